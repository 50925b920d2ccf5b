"""Pictures of spheres, bars and translucent triangles in a parallel projection, with depth for every pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LIGHT = np.array([-0.45, 0.5, 0.75]) / np.linalg.norm([-0.45, 0.5, 0.75])
"""Direction of the light in coordinates of the camera: right, up, towards the reader."""

AMBIENT = 0.55
OUTLINE = 0.86
"""Spheres are drawn dark beyond this part of their radius, so that they stay apart on any background."""

OVERSAMPLING = 2
DARK = np.array([0.15, 0.15, 0.15])

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Camera:
    """Rows of `axes` (3, 3): right, up, towards the reader."""

    axes: np.ndarray

    @classmethod
    def towards(cls, direction: tuple[float, float, float]) -> Camera:
        """A camera that sees along minus `direction`, the third axis of space upright unless it looks along it."""
        depth = np.array(direction) / np.linalg.norm(direction)
        upright = np.array([0.0, 0.0, 1.0]) if abs(depth[2]) < 0.9 else np.array([0.0, 1.0, 0.0])
        right = np.cross(upright, depth)
        right /= np.linalg.norm(right)
        return cls(np.array([right, np.cross(depth, right), depth]))

    def __call__(self, points_ang: np.ndarray) -> np.ndarray:
        """Coordinates (n, 3) Å of `points_ang` (n, 3) as the camera sees them."""
        seen: np.ndarray = np.asarray(points_ang, dtype=float) @ self.axes.T
        return seen


class Canvas:
    """A white picture of the rectangle from `low_ang` to `high_ang` (right, up); all coordinates are the camera's.

    Opaque things come first, in any order; translucent ones after them.
    """

    def __init__(self, low_ang: np.ndarray, high_ang: np.ndarray, *, pixels_per_ang: float) -> None:
        self.scale = pixels_per_ang * OVERSAMPLING
        self.low, self.high = np.asarray(low_ang, dtype=float), np.asarray(high_ang, dtype=float)
        even = OVERSAMPLING * np.ceil((self.high - self.low) * self.scale / OVERSAMPLING).astype(int)
        self.shape = (int(even[1]), int(even[0]))
        self.colour = np.ones((*self.shape, 3))
        self.depth = np.full(self.shape, -np.inf)

    def image(self) -> np.ndarray:
        """(rows, columns, 3) from 0 to 1, the first row at the bottom."""
        parts = [
            self.colour[i::OVERSAMPLING, j::OVERSAMPLING] for i in range(OVERSAMPLING) for j in range(OVERSAMPLING)
        ]
        averaged: np.ndarray = sum(parts[1:], parts[0]) / len(parts)
        return averaged

    def sphere(self, centre: np.ndarray, radius_ang: float, colour: Colour) -> None:
        """A shaded sphere with a dark outline."""
        rows, columns, x, y = self._window(centre[:2] - radius_ang, centre[:2] + radius_ang)
        dx, dy = (x - centre[0]) / radius_ang, (y - centre[1]) / radius_ang
        square = dx**2 + dy**2
        height = np.sqrt(np.clip(1.0 - square, 0.0, None))
        light = AMBIENT + (1 - AMBIENT) * np.clip(dx * LIGHT[0] + dy * LIGHT[1] + height * LIGHT[2], 0.0, 1.0)
        shaded = np.where((square > OUTLINE**2)[..., None], DARK, light[..., None] * np.array(colour))
        self._put(rows, columns, square <= 1.0, centre[2] + radius_ang * height, shaded)

    def bar(self, start: np.ndarray, end: np.ndarray, width_ang: float, colour: Colour) -> None:
        """A flat bar from `start` to `end`."""
        half = 0.5 * width_ang
        low, high = np.minimum(start, end)[:2] - half, np.maximum(start, end)[:2] + half
        rows, columns, x, y = self._window(low, high)
        along = end[:2] - start[:2]
        length2 = float(along @ along)
        t = ((x - start[0]) * along[0] + (y - start[1]) * along[1]) / length2 if length2 > 0 else np.zeros_like(x)
        t = np.clip(t, 0.0, 1.0)
        distance2 = (x - start[0] - t * along[0]) ** 2 + (y - start[1] - t * along[1]) ** 2
        self._put(rows, columns, distance2 <= half**2, start[2] + t * (end[2] - start[2]), np.array(colour))

    def triangles(self, corners: np.ndarray, colours: np.ndarray, opacities: np.ndarray) -> None:
        """Translucent triangles (n, 3, 3) of colours (n, 3) and opacities (n,), blended from back to front.

        What opaque things hide stays hidden.
        """
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        lengths = np.linalg.norm(normals, axis=1)
        keep = np.abs(normals[:, 2]) > 1e-12  # the others are seen from their edge
        facing = np.abs(normals @ LIGHT) / np.where(lengths > 0, lengths, 1.0)
        shaded = (AMBIENT + (1 - AMBIENT) * facing)[:, None] * colours
        turned = np.where((normals[:, 2] < 0)[:, None, None], corners[:, [0, 2, 1]], corners)
        pixels = (turned[:, :, :2] - self.low) * self.scale - 0.5
        first = np.clip(np.ceil(pixels.min(axis=1)).astype(int), 0, None)
        last = np.minimum(np.floor(pixels.max(axis=1)).astype(int) + 1, self.shape[::-1])
        keep &= (first < last).all(axis=1)
        for k in np.argsort(corners[:, :, 2].mean(axis=1), kind="stable"):
            if keep[k]:
                window = (slice(first[k, 1], last[k, 1]), slice(first[k, 0], last[k, 0]))
                self._blend(window, pixels[k], turned[k, :, 2], shaded[k], float(opacities[k]))

    def _blend(
        self, window: tuple[slice, slice], corners: np.ndarray, depths: np.ndarray, colour: np.ndarray, opacity: float
    ) -> None:
        """One triangle, its corners (3, 2) in pixels and anticlockwise."""
        y = np.arange(window[0].start, window[0].stop)[:, None]
        x = np.arange(window[1].start, window[1].stop)
        (ax, ay), (bx, by), (cx, cy) = corners.tolist()
        one, two, three = (
            (qx - px) * (y - py) - (qy - py) * (x - px)
            for px, py, qx, qy in ((bx, by, cx, cy), (cx, cy, ax, ay), (ax, ay, bx, by))
        )
        depth = (one * depths[0] + two * depths[1] + three * depths[2]) / (
            (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        )
        # a pixel on an edge that two triangles share belongs to one of them
        inside = (one > 0) | ((one == 0) & (cy > by))
        inside &= ((two > 0) | ((two == 0) & (ay > cy))) & ((three > 0) | ((three == 0) & (by > ay)))
        inside &= depth > self.depth[window]
        under = self.colour[window]
        under[inside] = (1 - opacity) * under[inside] + opacity * colour

    def _window(self, low: np.ndarray, high: np.ndarray) -> tuple[slice, slice, np.ndarray, np.ndarray]:
        """Pixels of a rectangle, and the coordinates of their middles."""
        first = np.clip(np.floor((low - self.low) * self.scale).astype(int), 0, self.shape[::-1])
        last = np.clip(np.ceil((high - self.low) * self.scale).astype(int) + 1, 0, self.shape[::-1])
        rows, columns = slice(first[1], last[1]), slice(first[0], last[0])
        x = self.low[0] + (np.arange(first[0], last[0]) + 0.5) / self.scale
        y = self.low[1] + (np.arange(first[1], last[1]) + 0.5) / self.scale
        return rows, columns, *np.meshgrid(x, y)

    def _put(self, rows: slice, columns: slice, inside: np.ndarray, depth: np.ndarray, colour: np.ndarray) -> None:
        nearer = inside & (depth > self.depth[rows, columns])
        self.depth[rows, columns][nearer] = depth[nearer]
        self.colour[rows, columns][nearer] = colour[nearer] if colour.ndim == 3 else colour

"""Compiled search for the neighbours of a few points: periodic images in any cell, and a grid over the fixed host.

Lengths in Å. The grid lists, for each of its boxes, every image of a host atom that a point of the box can have within
the cutoff, so that the cost of a query does not grow with the cell.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from alh2.core.errors import BadInputError

OVERLAP_ANG = 0.4
"""A trial that brings two atoms closer than this is an overlap of infinite energy."""
BOX_ANG = 2.7
"""Aimed height of a grid box."""


class Geometry(NamedTuple):
    """Cell and cutoff.

    cell, inverse : (3, 3), rows are cell vectors, and its inverse; reach : (3,) cutoff over the cell's heights
    rcut, rcut_smth, protection : of the environment matrix
    """

    cell: np.ndarray
    inverse: np.ndarray
    reach: np.ndarray
    rcut: float
    rcut_smth: float
    protection: float


class Grid(NamedTuple):
    """Host images by box: `shape` (3,) boxes; box b owns [start[b], start[b + 1]) of `atom` and `place` (n, 3)."""

    shape: np.ndarray
    start: np.ndarray
    atom: np.ndarray
    place: np.ndarray


def geometry_of(cell_ang: np.ndarray, *, rcut_ang: float, rcut_smth_ang: float, protection_ang: float) -> Geometry:
    """Cell and cutoff for the kernels; raises BadInputError for a cell without volume."""
    cell = np.ascontiguousarray(cell_ang, dtype=np.float64)
    if abs(np.linalg.det(cell)) < 1e-6:
        raise BadInputError("framework", expected="a cell with a volume", found=f"cell {cell.tolist()}")
    inverse = np.ascontiguousarray(np.linalg.inv(cell))
    heights = 1.0 / np.linalg.norm(inverse, axis=0)
    return Geometry(cell, inverse, rcut_ang / heights, rcut_ang, rcut_smth_ang, protection_ang)


def grid_of(positions_ang: np.ndarray, geometry: Geometry) -> Grid:
    """Grid over host atoms (n, 3)."""
    heights = geometry.rcut / geometry.reach
    shape = np.maximum(1, np.rint(heights / BOX_ANG)).astype(np.int64)
    edges = geometry.cell / shape[:, None]
    corners = np.array([edges[0] + i * edges[1] + j * edges[2] for i in (1, -1) for j in (1, -1)])
    radius = geometry.rcut + 0.5 * np.linalg.norm(corners, axis=1).max() + 1e-6
    wide = geometry._replace(reach=radius / heights, rcut=radius)
    scratch = np.empty((image_room(wide), 3))
    start = np.zeros(int(np.prod(shape)) + 1, dtype=np.int64)
    empty = Grid(shape, start, np.empty(0, dtype=np.int64), np.empty((0, 3)))
    positions = np.ascontiguousarray(positions_ang, dtype=np.float64)
    _list_images(positions, wide, empty, scratch, False)
    total = int(start[-1])
    grid = Grid(shape, start, np.empty(total, dtype=np.int64), np.empty((total, 3)))
    _list_images(positions, wide, grid, scratch, True)
    return grid


def image_room(geometry: Geometry) -> int:
    """How many images of one displacement there can be."""
    return int(np.prod(2 * np.ceil(geometry.reach) + 3))


@numba.njit(cache=True, nogil=True)
def images(d: np.ndarray, geometry: Geometry, itself: bool, out: np.ndarray) -> int:
    """Write to `out` every periodic image of displacement `d` within the cutoff; returns how many.

    Each fractional component of an image within rcut is at most rcut over the cell's height, so the loops below miss
    none in any triclinic cell. `itself` leaves out the zero displacement of an atom to itself.
    """
    cell, inverse, reach = geometry.cell, geometry.inverse, geometry.reach
    limit = geometry.rcut * geometry.rcut
    x0 = d[0] * inverse[0, 0] + d[1] * inverse[1, 0] + d[2] * inverse[2, 0]
    x1 = d[0] * inverse[0, 1] + d[1] * inverse[1, 1] + d[2] * inverse[2, 1]
    x2 = d[0] * inverse[0, 2] + d[1] * inverse[1, 2] + d[2] * inverse[2, 2]
    x0, x1, x2 = x0 - np.rint(x0), x1 - np.rint(x1), x2 - np.rint(x2)
    b0, b1, b2 = reach[0] + 1e-9, reach[1] + 1e-9, reach[2] + 1e-9
    n = 0
    for i in range(int(np.ceil(-b0 - x0)), int(np.floor(b0 - x0)) + 1):
        for j in range(int(np.ceil(-b1 - x1)), int(np.floor(b1 - x1)) + 1):
            for m in range(int(np.ceil(-b2 - x2)), int(np.floor(b2 - x2)) + 1):
                if itself and i == 0 and j == 0 and m == 0:
                    continue
                a, b, c = x0 + i, x1 + j, x2 + m
                x = a * cell[0, 0] + b * cell[1, 0] + c * cell[2, 0]
                y = a * cell[0, 1] + b * cell[1, 1] + c * cell[2, 1]
                z = a * cell[0, 2] + b * cell[1, 2] + c * cell[2, 2]
                if x * x + y * y + z * z < limit:
                    out[n, 0], out[n, 1], out[n, 2] = x, y, z
                    n += 1
    return n


@numba.njit(cache=True)
def _list_images(positions: np.ndarray, wide: Geometry, grid: Grid, scratch: np.ndarray, write: bool) -> None:
    """Count (into grid.start) or write the images within the wide cutoff of each box's centre."""
    shape, cell = grid.shape, wide.cell
    centre, d = np.empty(3), np.empty(3)
    box = n = 0
    for i in range(shape[0]):
        for j in range(shape[1]):
            for m in range(shape[2]):
                a, b, c = (i + 0.5) / shape[0], (j + 0.5) / shape[1], (m + 0.5) / shape[2]
                for k in range(3):
                    centre[k] = a * cell[0, k] + b * cell[1, k] + c * cell[2, k]
                for atom in range(len(positions)):
                    for k in range(3):
                        d[k] = positions[atom, k] - centre[k]
                    found = images(d, wide, False, scratch)
                    if write:
                        for s in range(found):
                            grid.atom[n + s] = atom
                            for k in range(3):
                                grid.place[n + s, k] = centre[k] + scratch[s, k]
                    n += found
                box += 1
                if not write:
                    grid.start[box] = n


@numba.njit(cache=True, nogil=True)
def locate(point: np.ndarray, geometry: Geometry, grid: Grid, home: np.ndarray) -> int:
    """Box of `point` (3,), and the point's image in the cell in `home` (3,)."""
    cell, inverse, shape = geometry.cell, geometry.inverse, grid.shape
    box = 0
    home[:] = 0.0
    for k in range(3):
        x = point[0] * inverse[0, k] + point[1] * inverse[1, k] + point[2] * inverse[2, k]
        x -= np.floor(x)
        box = box * shape[k] + min(int(x * shape[k]), shape[k] - 1)
        for m in range(3):
            home[m] += x * cell[k, m]
    return box

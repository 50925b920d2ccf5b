"""Periodic cells and rotations in plain floats: for a few sites that is faster than arrays."""

from __future__ import annotations

import math

import numpy as np
from ase import Atoms

from alh2.core.errors import BadInputError

Vector = tuple[float, float, float]
Rotation = tuple[float, float, float, float, float, float, float, float, float]
"""Row-major 3×3 matrix R, x' = R x."""


class PeriodicCell:
    """A cell of any shape, periodic along its three vectors."""

    def __init__(self, cell_ang: np.ndarray) -> None:
        matrix = np.array(cell_ang, dtype=np.float64)
        volume = abs(float(np.linalg.det(matrix)))
        lengths = np.linalg.norm(matrix, axis=1)
        if not math.isfinite(volume) or volume <= 1e-9 * float(np.prod(lengths)) or volume == 0.0:
            raise BadInputError(
                "framework",
                expected="a cell with three independent vectors",
                found=f"cell {matrix.tolist()}",
                action="set atoms.cell (an empty box is Atoms(cell=..., pbc=True))",
            )
        self.matrix_ang = matrix
        self.inverse = np.linalg.inv(matrix)
        self.volume_ang3 = volume
        self.longest_ang = float(lengths.max())
        self.narrowest_ang = float(1.0 / np.linalg.norm(self.inverse, axis=0).max())
        self._a, self._b, self._c = (tuple(row) for row in matrix.tolist())
        self._columns = [tuple(column) for column in self.inverse.T.tolist()]

    def point(self, u: float, v: float, w: float) -> Vector:
        """Cartesian position of fractional (u, v, w), Å."""
        a, b, c = self._a, self._b, self._c
        return (
            u * a[0] + v * b[0] + w * c[0],
            u * a[1] + v * b[1] + w * c[1],
            u * a[2] + v * b[2] + w * c[2],
        )

    def into_cell(self, x: float, y: float, z: float) -> Vector | None:
        """Lattice vector that carries (x, y, z) into the cell; None where it is inside already."""
        p, q, r = self._columns
        i = math.floor(x * p[0] + y * p[1] + z * p[2])
        j = math.floor(x * q[0] + y * q[1] + z * q[2])
        k = math.floor(x * r[0] + y * r[1] + z * r[2])
        if i == 0 and j == 0 and k == 0:
            return None
        return self.point(-i, -j, -k)

    def unbroken(self, sites_ang: np.ndarray) -> np.ndarray:
        """Sites (n_sites, 3) moved to the images nearest to the first, then shifted so that their mean is inside."""
        fractional = (sites_ang - sites_ang[0]) @ self.inverse
        whole = sites_ang - np.round(fractional) @ self.matrix_ang
        shift = self.into_cell(*whole.mean(axis=0).tolist())
        return whole if shift is None else whole + np.array(shift)


class Contacts:
    """The hard wall of `min_distance_ang` between sites of different molecules and between guests and host."""

    def __init__(self, framework: Atoms, cell: PeriodicCell, min_distance_ang: float) -> None:
        if min_distance_ang > 0.5 * cell.narrowest_ang:
            raise BadInputError(
                "min_distance_ang",
                expected=f"at most half the narrowest width of the cell ({0.5 * cell.narrowest_ang:.3g} Å)",
                found=f"{min_distance_ang:g} Å",
            )
        self._host = np.array(framework.positions)
        self._matrix = cell.matrix_ang
        self._inverse = cell.inverse
        self._limit2 = min_distance_ang**2

    def too_close(self, sites_ang: np.ndarray, guests: list[np.ndarray], skip: int | None) -> bool:
        """Whether `sites_ang` (n_sites, 3) touches the host or a guest other than number `skip`.

        Rounding fractional coordinates finds every image closer than half the narrowest width of the cell.
        """
        others = [g for i, g in enumerate(guests) if i != skip]
        points = np.concatenate([self._host, *others])
        if not len(points):
            return False
        delta = sites_ang[:, None, :] - points[None, :, :]
        delta -= np.round(delta @ self._inverse) @ self._matrix
        return bool((np.einsum("ijk,ijk->ij", delta, delta) < self._limit2).any())


def random_rotation(u1: float, u2: float, u3: float) -> Rotation:
    """Uniform rotation from three uniform numbers in [0, 1) (Shoemake, Graphics Gems III, 1992)."""
    s, t = math.sqrt(1.0 - u1), math.sqrt(u1)
    p, q = 2.0 * math.pi * u2, 2.0 * math.pi * u3
    return _from_quaternion(t * math.cos(q), s * math.sin(p), s * math.cos(p), t * math.sin(q))


def small_rotation(u1: float, u2: float, u3: float, largest_rad: float) -> Rotation:
    """Rotation about a uniform axis by an angle uniform in [-largest, largest]: as likely as its inverse."""
    z = 2.0 * u1 - 1.0
    rho, phi = math.sqrt(max(0.0, 1.0 - z * z)), 2.0 * math.pi * u2
    half = 0.5 * largest_rad * (2.0 * u3 - 1.0)
    s = math.sin(half)
    return _from_quaternion(math.cos(half), s * rho * math.cos(phi), s * rho * math.sin(phi), s * z)


def _from_quaternion(w: float, x: float, y: float, z: float) -> Rotation:
    return (
        1.0 - 2.0 * (y * y + z * z),
        2.0 * (x * y - w * z),
        2.0 * (x * z + w * y),
        2.0 * (x * y + w * z),
        1.0 - 2.0 * (x * x + z * z),
        2.0 * (y * z - w * x),
        2.0 * (x * z - w * y),
        2.0 * (y * z + w * x),
        1.0 - 2.0 * (x * x + y * y),
    )

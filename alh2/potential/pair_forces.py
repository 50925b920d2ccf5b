"""Energy and forces of the pair baseline, on molecules and on the host that they move on."""

from __future__ import annotations

import math

import numba
import numpy as np

from alh2.core.frames import ATOMS_PER_H2
from alh2.potential.pair_baseline import centres_ang
from alh2.potential.pair_session import PairEnergy, spline_at


@numba.njit(cache=True)
def _points(
    points: np.ndarray, owner: np.ndarray, row: np.ndarray, others: np.ndarray, owners: np.ndarray, kinds: np.ndarray,
    half: bool, cell: np.ndarray, inverse: np.ndarray, span: np.ndarray, knots: np.ndarray, table: np.ndarray,
    pairs: np.ndarray, forces: np.ndarray, on_others: np.ndarray,
) -> float:  # fmt: skip
    """Sum of pair terms of `points` with all images of `others` within the cutoff; adds to the forces on both.

    owner, owners : molecule of each point, -1 of the host; a molecule does not see itself, but its images
    half : `others` are the points themselves, and each pair is met from both sides; nothing is added to `on_others`
    """
    cutoff, first, spacing = knots[0], knots[1], knots[2]
    total = 0.0
    for i in range(len(points)):
        for j in range(len(others)):
            step = others[j] - points[i]
            f = step @ inverse
            f = f - np.round(f)
            for na in range(-span[0], span[0] + 1):
                for nb in range(-span[1], span[1] + 1):
                    for nc in range(-span[2], span[2] + 1):
                        if owner[i] == owners[j] and na == 0 and nb == 0 and nc == 0:
                            continue
                        a, b, c = f[0] + na, f[1] + nb, f[2] + nc
                        x = a * cell[0, 0] + b * cell[1, 0] + c * cell[2, 0]
                        y = a * cell[0, 1] + b * cell[1, 1] + c * cell[2, 1]
                        z = a * cell[0, 2] + b * cell[1, 2] + c * cell[2, 2]
                        r = math.sqrt(x * x + y * y + z * z)
                        if r >= cutoff:
                            continue
                        value, slope = spline_at(r, first, spacing, pairs[table[row[i], kinds[j]]])
                        total += 0.5 * value if half else value
                        pull = slope / r
                        forces[i, 0] += pull * x
                        forces[i, 1] += pull * y
                        forces[i, 2] += pull * z
                        if not half:
                            on_others[j, 0] -= pull * x
                            on_others[j, 1] -= pull * y
                            on_others[j, 2] -= pull * z
    return total


class PairForces(PairEnergy):
    """The baseline on one host, whose topology is that of the framework given; it may move."""

    def evaluate(self, guests_ang: np.ndarray) -> tuple[float, np.ndarray]:
        """Energy (eV) of molecules (n, 2, 3), bonds included, and the forces on their atoms, eV/Å."""
        energy, _, forces = self.with_host(self._host, guests_ang)
        return energy, forces

    def with_host(self, host_ang: np.ndarray, guests_ang: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Energy (eV) of molecules (n, 2, 3) on a host at (n_host, 3) Å, and forces (eV/Å) on host and molecules."""
        n = len(guests_ang)
        on_host, on_guests = np.zeros((len(self._host), 3)), np.zeros((n, ATOMS_PER_H2, 3))
        if not n:
            return 0.0, on_host, on_guests
        centres, step = centres_ang(guests_ang, self._cell)
        place = (self._cell, self._inverse, self._span, self._knots, self._table, self._pairs)
        points = np.concatenate([guests_ang, centres[:, None]], axis=1).reshape(-1, 3)
        owner = np.repeat(np.arange(n), ATOMS_PER_H2 + 1)
        row = np.tile(np.array([0] * ATOMS_PER_H2 + [1]), n)
        kinds = row + len(self._baseline.kinds)
        on_points = np.zeros((len(points), 3))
        no_owner = np.full(len(host_ang), -1)
        energy = _points(points, owner, row, host_ang, no_owner, self._host_kinds, False, *place, on_points, on_host)
        energy += _points(points, owner, row, points, owner, kinds, True, *place, on_points, on_host)
        by_molecule = on_points.reshape(n, ATOMS_PER_H2 + 1, 3)
        on_guests += by_molecule[:, :ATOMS_PER_H2] + 0.5 * by_molecule[:, ATOMS_PER_H2:]
        bond = self._baseline.bond
        for k in range(n):
            d = float(np.linalg.norm(step[k]))
            value, slope = spline_at(d, bond.first_ang, bond.spacing_ang, self._bond_values)
            energy += value
            on_guests[k, 0] += slope * step[k] / d
            on_guests[k, 1] -= slope * step[k] / d
        return float(energy), on_host, on_guests

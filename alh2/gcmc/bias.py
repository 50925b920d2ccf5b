"""Insertions where the empty host binds molecules, and what the acceptance must take back.

At a temperature and fugacity the energies of a `HostEnergyGrid` give the density that independent molecules would have,
limited to about one molecule per site; insertions are drawn from it, mixed with a uniform floor, so that every
configuration stays reachable. Energy-biased insertion after Snurr, Bell and Theodorou, J. Phys. Chem. 97, 13742 (1993).
The acceptance undoes the bias exactly whatever the grid holds: a coarse or outdated grid costs efficiency, never
correctness.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable

import numpy as np

from alh2.core.errors import BadInputError
from alh2.core.units import BAR_IN_EV_PER_ANG3, beta_per_ev
from alh2.gcmc.energy_grid import HostEnergyGrid, Placing
from alh2.gcmc.geometry import PeriodicCell
from alh2.gcmc.molecule import RigidMolecule

SITE_RADIUS_ANG = 1.4
"""Places closer than this count as one site, which holds about one molecule (half the distance of H2 in contact)."""
FLOOR = 0.1
"""Share of the insertions drawn uniformly over the cell."""
_LARGEST_EXPONENT = 600.0


class InsertionBias:
    """A probability for every leaf of a grid, uniform within each.

    log_ratio : its density over that of a uniform place and direction, ln(Vq), which the acceptance takes back
    """

    def __init__(self, grid: HostEnergyGrid, probabilities: np.ndarray) -> None:
        self._placing = Placing(grid)
        edges = np.cumsum(probabilities)
        self._edges: list[float] = (edges / edges[-1]).tolist()
        self._log_ratios: list[float] = np.log(probabilities / edges[-1] / grid.volumes).tolist()

    def draw(self, u: Callable[[], float]) -> tuple[np.ndarray, float]:
        """Sites (n_sites, 3) Å of a new molecule, and its `log_ratio`."""
        leaf = min(bisect_right(self._edges, u()), len(self._edges) - 1)
        return self._placing.sites(leaf, u), self._log_ratios[leaf]

    def log_ratio(self, sites_ang: np.ndarray) -> float:
        """ln(Vq) at sites (n_sites, 3) Å."""
        return self._log_ratios[self._placing.leaf(sites_ang)]


def insertion_bias(
    grid: HostEnergyGrid, *, temperature_k: float, fugacity_bar: float, floor: float = FLOOR
) -> InsertionBias:
    """The bias at one temperature and fugacity: the density x/(1 + X) of a Langmuir site at every point.

    x = βf exp(-βu) dv is what a leaf would hold if molecules did not see each other, X its sum over all leaves within
    `SITE_RADIUS_ANG`. Far below saturation that is the Boltzmann factor; a filled strong site takes no more than its
    share of the attempts. The share `floor` (0 < floor <= 1) is spread evenly.
    """
    if not 0.0 < floor <= 1.0:
        raise BadInputError("floor", expected="a share above 0 and at most 1", found=f"{floor}")
    cell = PeriodicCell(grid.cell_ang)
    beta, volumes, voxels = beta_per_ev(temperature_k), grid.volumes, grid.voxels
    log_x = math.log(beta * fugacity_bar * BAR_IN_EV_PER_ANG3 * cell.volume_ang3) - beta * grid.energies_ev
    x = volumes * np.exp(np.minimum(log_x, _LARGEST_EXPONENT))
    crowd = _within_site(np.bincount(voxels, weights=x, minlength=grid.fine.size), cell, grid.places)
    weights = x / (1.0 + crowd[voxels])
    total = float(weights.sum())
    if total > 0.0:
        return InsertionBias(grid, (1.0 - floor) * weights / total + floor * volumes)
    return InsertionBias(grid, volumes)


def check_grid(grid: HostEnergyGrid, cell: PeriodicCell, molecule: RigidMolecule) -> None:
    """Raise BadInputError where `grid` is of another cell or another molecule."""
    same_molecule = grid.molecule.symbols == molecule.symbols and np.allclose(
        grid.molecule.sites_ang, molecule.sites_ang, rtol=0.0, atol=1e-6
    )
    if not same_molecule or not np.allclose(grid.cell_ang, cell.matrix_ang, rtol=0.0, atol=1e-9):
        raise BadInputError(
            "energy_grid",
            expected="the grid of this molecule in this cell",
            found="one of another " + ("cell" if same_molecule else "molecule"),
            action="make it with host_energy_grid",
        )


def _within_site(values: np.ndarray, cell: PeriodicCell, places: tuple[int, int, int]) -> np.ndarray:
    """Sum of `values` (n_voxels,) over the voxels whose centres lie within `SITE_RADIUS_ANG` (nearest images)."""
    heights = 1.0 / np.linalg.norm(cell.inverse, axis=0)
    ranges = []
    for height, n in zip(heights, places, strict=True):
        most = math.floor(SITE_RADIUS_ANG / height * n)
        ranges.append(np.arange(-min(most, (n - 1) // 2), min(most, n // 2) + 1))
    steps = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    distances = np.linalg.norm(steps / np.array(places) @ cell.matrix_ang, axis=1)
    box = values.reshape(places)
    total = np.zeros(places)
    for step in steps[distances <= SITE_RADIUS_ANG]:
        total += np.roll(box, tuple(int(s) for s in -step), axis=(0, 1, 2))
    return total.ravel()

"""Energies of one molecule in the empty host, on a grid that is fine where the molecule binds.

The cell is cut into voxels; the energy at a random point and orientation in each tells which ones bind. These and their
neighbours are cut again, three times along each edge and, for linear molecules, into directions of equal solid angle:
at 77 K a site is a few tenths of an ångström wide, which a uniform grid would miss or pay for everywhere.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms

from alh2.core.errors import BadInputError
from alh2.core.units import beta_per_ev
from alh2.gcmc.errors import UntrustworthyEnergyError
from alh2.gcmc.geometry import Contacts, PeriodicCell, random_rotation
from alh2.gcmc.molecule import RigidMolecule
from alh2.potential.protocol import EnergySession, Potential

CUTS = 3
"""Parts of each edge of a voxel that is cut again."""
MOST_POINTS = 20_000_000


@dataclass(frozen=True, eq=False)
class HostEnergyGrid:
    """Energy of one molecule in the empty host, each value at a random point of its leaf.

    A leaf is a voxel, or a part of one with a range of directions; leaves follow each other voxel by voxel.

    molecule : the molecule as used, its geometry settled
    places : voxels along each cell vector; n_cosine, n_phi : direction bins within a part of a voxel
    fine : (n_voxels,) whether a voxel is cut again
    energies_ev : (n_leaves,) E(host + molecule) - E(host) - E(molecule), eV; inf for an overlap
    n_energies : energies the potential was asked for (contacts found before do not count)
    """

    cell_ang: np.ndarray
    molecule: RigidMolecule
    places: tuple[int, int, int]
    n_cosine: int
    n_phi: int
    fine: np.ndarray
    energies_ev: np.ndarray
    n_energies: int

    @property
    def leaves_per_fine_voxel(self) -> int:
        """Number of leaves of a voxel that is cut again."""
        return CUTS**3 * self.n_cosine * self.n_phi

    @property
    def voxels(self) -> np.ndarray:
        """(n_leaves,) voxel of each leaf."""
        return np.repeat(np.arange(self.fine.size), np.where(self.fine, self.leaves_per_fine_voxel, 1))

    @property
    def volumes(self) -> np.ndarray:
        """(n_leaves,) share of all places and directions; sums to 1."""
        return np.where(self.fine[self.voxels], 1.0 / self.leaves_per_fine_voxel, 1.0) / self.fine.size

    @property
    def digest(self) -> str:
        """Hash of the grid: two grids with one digest give the same chain."""
        text = hashlib.sha256(f"{self.places} {self.n_cosine} {self.n_phi}".encode() + self.fine.tobytes())
        for values in (self.cell_ang, self.molecule.sites_ang, self.energies_ev):
            text.update(np.ascontiguousarray(values, dtype=np.float64).tobytes())
        return text.hexdigest()


def host_energy_grid(
    framework: Atoms,
    adsorbate: RigidMolecule,
    potential: Potential,
    *,
    temperature_k: float,
    seed: int,
    spacing_ang: float = 0.5,
    n_directions: int = 2,
    refine_kt: float = 10.0,
    most_refined: int | None = None,
    min_distance_ang: float = 0.0,
) -> HostEnergyGrid:
    """Sample the energy of one `adsorbate` in the empty, rigid `framework`.

    Parameters
    ----------
    temperature_k : decides where the grid is fine; the grid serves other temperatures and every fugacity as well
    seed : of the points within their leaves
    spacing_ang : largest edge of a voxel along each cell vector
    n_directions : direction bins of a linear molecule where the grid is fine, 1 or an even number (two bands of cos θ);
        other molecules have one
    refine_kt : voxels bound by more than so many kT are cut again, with their 26 neighbours
    most_refined : voxels cut again at most, those that bind strongest; None: all that `refine_kt` names
    min_distance_ang : closest approach to host atoms (as in `GcmcSettings`); closer points cost no energy

    Raises BadInputError for a grid of more than `MOST_POINTS` points and options that make no sense, and
    UntrustworthyEnergyError for an energy of NaN or minus infinity.
    """
    cell = PeriodicCell(np.array(framework.cell))
    molecule = adsorbate.resolve(potential)
    gas_ev = float(potential.molecule_energy_ev(molecule.symbols, molecule.sites_ang))
    places = _places(cell, spacing_ang)
    if n_directions != 1 and (n_directions < 2 or n_directions % 2):
        raise BadInputError("n_directions", expected="1 or an even number", found=f"{n_directions}")
    bins = (2, n_directions // 2) if linear_axis(molecule) is not None and n_directions > 1 else (1, 1)
    asked = _Asked(
        potential.start(framework, molecule.symbols, np.zeros((0, molecule.n_sites, 3))),
        Contacts(framework, cell, min_distance_ang) if min_distance_ang else None,
        gas_ev,
    )
    uniform: Callable[[], float] = np.random.default_rng(seed).random
    coarse = HostEnergyGrid(
        cell.matrix_ang, molecule, places, *bins, np.zeros(math.prod(places), dtype=bool), np.zeros(0), 0
    )
    placing = Placing(coarse)
    energies = np.array([asked.energy_ev(placing.sites(leaf, uniform)) for leaf in range(coarse.fine.size)])
    fine = _bound(energies, places, -refine_kt / beta_per_ev(temperature_k))
    if most_refined is not None and fine.sum() > most_refined:
        strongest = np.argsort(np.where(fine, energies, np.inf), kind="stable")[: max(most_refined, 0)]
        fine = np.zeros_like(fine)
        fine[strongest] = True
    _check_size(int(fine.sum()), coarse.leaves_per_fine_voxel, refine_kt)
    shape = replace(coarse, fine=fine)
    placing = Placing(shape)
    voxels, leaves = shape.voxels, np.empty(len(shape.voxels))
    for leaf, voxel in enumerate(voxels.tolist()):
        leaves[leaf] = asked.energy_ev(placing.sites(leaf, uniform)) if fine[voxel] else energies[voxel]
    leaves.setflags(write=False)
    return replace(shape, energies_ev=leaves, n_energies=asked.count)


def _check_size(n_fine: int, leaves_each: int, refine_kt: float) -> None:
    if n_fine * leaves_each > MOST_POINTS:
        raise BadInputError(
            "refine_kt",
            expected=f"at most {MOST_POINTS} grid points",
            found=f"{n_fine * leaves_each} in {n_fine} voxels that bind by more than {refine_kt:g} kT",
            action="make it larger",
        )


class _Asked:
    """Energies of one molecule in the empty host, counted."""

    def __init__(self, session: EnergySession, contacts: Contacts | None, gas_ev: float) -> None:
        self._session, self._contacts, self._gas_ev = session, contacts, gas_ev
        self.count = 0

    def energy_ev(self, sites_ang: np.ndarray) -> float:
        """Energy of a molecule at `sites_ang` without its gas energy, inf where it touches the host."""
        if self._contacts is not None and self._contacts.too_close(sites_ang, [], None):
            return math.inf
        self.count += 1
        change_ev = self._session.trial(None, sites_ang)
        if not change_ev > -math.inf:
            raise UntrustworthyEnergyError(f"the potential returned {change_ev} eV for one molecule in the empty host")
        return change_ev - self._gas_ev


class Placing:
    """From a leaf of a grid to a molecule in it, and back."""

    def __init__(self, grid: HostEnergyGrid) -> None:
        self._cell = PeriodicCell(grid.cell_ang)
        self._na, self._nb, self._nc = grid.places
        self._n_cosine, self._n_phi = grid.n_cosine, grid.n_phi
        self._n_directions = grid.n_cosine * grid.n_phi
        self._fine: list[bool] = grid.fine.tolist()
        counts = np.where(grid.fine, grid.leaves_per_fine_voxel, 1)
        self._first: list[int] = (np.cumsum(counts) - counts).tolist()
        self._voxel: list[int] = grid.voxels.tolist()
        self._body = [tuple(row) for row in grid.molecule.sites_ang.tolist()]
        self._columns = [tuple(column) for column in self._cell.inverse.T.tolist()]
        axis = linear_axis(grid.molecule)
        self._along = None if axis is None else (grid.molecule.sites_ang @ axis[0]).tolist()
        self._ends = (0, 0) if axis is None else axis[1]

    def sites(self, leaf: int, u: Callable[[], float]) -> np.ndarray:
        """Sites (n_sites, 3) Å of a molecule uniform within `leaf`; `u` gives uniform numbers in [0, 1)."""
        voxel = self._voxel[leaf]
        row, k = divmod(voxel, self._nc)
        i, j = divmod(row, self._nb)
        if not self._fine[voxel]:
            a, b, c = u(), u(), u()
            return self._turned((i + a) / self._na, (j + b) / self._nb, (k + c) / self._nc, None, u)
        part, direction = divmod(leaf - self._first[voxel], self._n_directions)
        part, z = divmod(part, CUTS)
        x, y = divmod(part, CUTS)
        a, b, c = (x + u()) / CUTS, (y + u()) / CUTS, (z + u()) / CUTS
        return self._turned((i + a) / self._na, (j + b) / self._nb, (k + c) / self._nc, direction, u)

    def _turned(self, a: float, b: float, c: float, direction: int | None, u: Callable[[], float]) -> np.ndarray:
        """The molecule at fractional (a, b, c), turned any way or within bin number `direction`."""
        x, y, z = self._cell.point(a, b, c)
        if len(self._body) == 1:
            return np.array([[x, y, z]])
        if self._along is None:
            p, q, r, s, t, v, w, m, n = random_rotation(u(), u(), u())
            return np.array(
                [(x + p * f + q * g + r * h, y + s * f + t * g + v * h, z + w * f + m * g + n * h)
                 for f, g, h in self._body]
            )  # fmt: skip
        if direction is None:
            cosine, phi = 2.0 * u() - 1.0, 2.0 * math.pi * u()
        else:
            band, sector = divmod(direction, self._n_phi)
            cosine = 2.0 * (band + u()) / self._n_cosine - 1.0
            phi = 2.0 * math.pi * (sector + u()) / self._n_phi
        rho = math.sqrt(max(0.0, 1.0 - cosine * cosine))
        ex, ey = rho * math.cos(phi), rho * math.sin(phi)
        return np.array([(x + s * ex, y + s * ey, z + s * cosine) for s in self._along])

    def leaf(self, sites_ang: np.ndarray) -> int:
        """The leaf of a molecule anywhere in space."""
        rows = sites_ang.tolist()
        count = len(rows)
        x, y, z = (sum(row[axis] for row in rows) / count for axis in range(3))
        p, q, r = self._columns
        a = (x * p[0] + y * p[1] + z * p[2]) % 1.0 * self._na
        b = (x * q[0] + y * q[1] + z * q[2]) % 1.0 * self._nb
        c = (x * r[0] + y * r[1] + z * r[2]) % 1.0 * self._nc
        i, j, k = min(int(a), self._na - 1), min(int(b), self._nb - 1), min(int(c), self._nc - 1)
        voxel = (i * self._nb + j) * self._nc + k
        first = self._first[voxel]
        if not self._fine[voxel]:
            return first
        part = (_part(a - i) * CUTS + _part(b - j)) * CUTS + _part(c - k)
        if self._n_directions == 1:
            return first + part
        (x0, y0, z0), (x1, y1, z1) = rows[self._ends[0]], rows[self._ends[1]]
        dx, dy, dz = x1 - x0, y1 - y0, z1 - z0
        cosine = dz / math.sqrt(dx * dx + dy * dy + dz * dz)
        band = min(int(0.5 * (1.0 + cosine) * self._n_cosine), self._n_cosine - 1)
        sector = min(int(math.atan2(dy, dx) / (2.0 * math.pi) % 1.0 * self._n_phi), self._n_phi - 1)
        return first + part * self._n_directions + band * self._n_phi + sector


def _part(fraction: float) -> int:
    return min(int(fraction * CUTS), CUTS - 1)


def _places(cell: PeriodicCell, spacing_ang: float) -> tuple[int, int, int]:
    if not (math.isfinite(spacing_ang) and spacing_ang > 0.0):
        raise BadInputError("spacing_ang", expected="a positive length in Å", found=f"{spacing_ang}")
    a, b, c = (max(1, math.ceil(edge / spacing_ang - 1e-9)) for edge in np.linalg.norm(cell.matrix_ang, axis=1))
    if a * b * c > MOST_POINTS:
        raise BadInputError(
            "spacing_ang", expected=f"at most {MOST_POINTS} voxels", found=f"{a * b * c}", action="make it larger"
        )
    return a, b, c


def _bound(energies_ev: np.ndarray, places: tuple[int, int, int], below_ev: float) -> np.ndarray:
    """(n_voxels,) voxels with an energy below `below_ev`, and their neighbours."""
    box = (energies_ev < below_ev).reshape(places)
    for axis in range(3):
        box = box | np.roll(box, 1, axis) | np.roll(box, -1, axis)
    return box.ravel()


def linear_axis(molecule: RigidMolecule) -> tuple[np.ndarray, tuple[int, int]] | None:
    """Unit vector along a linear molecule and the sites at its two ends; None for any other."""
    sites = molecule.sites_ang
    far = int(np.argmax(np.linalg.norm(sites - sites[0], axis=1)))
    length = float(np.linalg.norm(sites[far] - sites[0]))
    if length < 1e-6:
        return None
    axis = (sites[far] - sites[0]) / length
    if np.abs(sites - np.outer(sites @ axis, axis)).max() > 1e-6:
        return None
    return axis, (0, far)

"""Insertions where the empty host says that molecules belong: a bias over places and directions, and its weights.

The energy of one molecule in the empty host is sampled once on a grid of places and, for linear molecules, directions
(:func:`host_energy_grid`). At a temperature and fugacity these energies give the density an independent molecule would
have, limited to about one molecule per site; insertions are drawn from it, mixed with a uniform floor, so that every
configuration stays reachable (:func:`insertion_bias`). Energy-biased insertion after Snurr, Bell and Theodorou,
J. Phys. Chem. 97, 13742 (1993); the acceptance undoes the bias exactly whatever the grid holds, so a coarse or
outdated grid costs efficiency, never correctness.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from alh2.core.errors import BadInputError
from alh2.core.units import BAR_IN_EV_PER_ANG3, beta_per_ev
from alh2.gcmc.errors import UntrustworthyEnergyError
from alh2.gcmc.geometry import Contacts, PeriodicCell, random_rotation
from alh2.gcmc.molecule import RigidMolecule
from alh2.potential.protocol import Potential

SITE_RADIUS_ANG = 1.4
"""Places closer than this count as one site, which holds about one molecule (half the distance of H2 in contact)."""
FLOOR = 0.1
"""Share of the insertions drawn uniformly over the cell."""
MOST_POINTS = 20_000_000
_LARGEST_EXPONENT = 600.0


@dataclass(frozen=True)
class _Shape:
    """Numbers of grid intervals: along each cell vector, in cos θ, and in φ (1, 1: all directions alike)."""

    places: tuple[int, int, int]
    n_cosine: int
    n_phi: int

    @property
    def n_places(self) -> int:
        """Number of voxels."""
        return math.prod(self.places)

    @property
    def n_directions(self) -> int:
        """Number of direction bins, equal in solid angle."""
        return self.n_cosine * self.n_phi


@dataclass(frozen=True, eq=False)
class HostEnergyGrid:
    """Energy of one molecule in the empty host, each value at a random point of its voxel and direction bin.

    molecule : the molecule as used, its geometry settled
    energies_ev : (n_places, n_directions) E(host + molecule) - E(host) - E(molecule), eV; inf for an overlap
    n_energies : energies the potential was asked for (overlaps found before do not count)
    """

    cell_ang: np.ndarray
    molecule: RigidMolecule
    shape: _Shape
    energies_ev: np.ndarray
    n_energies: int

    @property
    def digest(self) -> str:
        """Hash of shape and energies: two grids with one digest give the same chain."""
        text = hashlib.sha256(f"{self.shape}".encode())
        for values in (self.cell_ang, self.molecule.sites_ang, self.energies_ev):
            text.update(np.ascontiguousarray(values, dtype=np.float64).tobytes())
        return text.hexdigest()


def host_energy_grid(
    framework: Atoms,
    adsorbate: RigidMolecule,
    potential: Potential,
    *,
    seed: int,
    spacing_ang: float = 0.5,
    n_directions: int = 8,
    min_distance_ang: float = 0.0,
) -> HostEnergyGrid:
    """Sample the energy of one `adsorbate` in the empty, rigid `framework`; usable at every temperature and fugacity.

    Parameters
    ----------
    seed : of the points within their voxels and bins
    spacing_ang : largest edge of a voxel along each cell vector
    n_directions : direction bins of a linear molecule, 1 or an even number: 2 bands of cos θ by half as many of φ;
        other molecules have one bin
    min_distance_ang : closest approach to host atoms (as in `GcmcSettings`); closer ones cost no energy

    Raises BadInputError for a grid of more than `MOST_POINTS` points and options that make no sense, and
    UntrustworthyEnergyError for an energy of NaN or minus infinity.
    """
    cell = PeriodicCell(np.array(framework.cell))
    molecule = adsorbate.resolve(potential)
    gas_ev = float(potential.molecule_energy_ev(molecule.symbols, molecule.sites_ang))
    shape = _shape(cell, molecule, spacing_ang, n_directions)
    contacts = Contacts(framework, cell, min_distance_ang) if min_distance_ang else None
    session = potential.start(framework, molecule.symbols, np.zeros((0, molecule.n_sites, 3)))
    placing = Placing(cell, molecule, shape)
    uniform = np.random.default_rng(seed).random
    energies = np.full((shape.n_places, shape.n_directions), math.inf)
    n_energies = 0
    for index in range(energies.size):
        sites = placing.sites(index, lambda: float(uniform()))
        if contacts is not None and contacts.too_close(sites, [], None):
            continue
        change_ev = session.trial(None, sites)
        n_energies += 1
        if not change_ev > -math.inf:
            raise UntrustworthyEnergyError(f"the potential returned {change_ev} eV for one molecule in the empty host")
        energies.flat[index] = change_ev - gas_ev
    energies.setflags(write=False)
    return HostEnergyGrid(cell.matrix_ang, molecule, shape, energies, n_energies)


def _shape(cell: PeriodicCell, molecule: RigidMolecule, spacing_ang: float, n_directions: int) -> _Shape:
    if not (math.isfinite(spacing_ang) and spacing_ang > 0.0):
        raise BadInputError("spacing_ang", expected="a positive length in Å", found=f"{spacing_ang}")
    if n_directions != 1 and (n_directions < 2 or n_directions % 2):
        raise BadInputError("n_directions", expected="1 or an even number", found=f"{n_directions}")
    edges = np.linalg.norm(cell.matrix_ang, axis=1)
    a, b, c = (max(1, math.ceil(edge / spacing_ang - 1e-9)) for edge in edges)
    linear = _axis(molecule) is not None
    shape = _Shape((a, b, c), *((2, n_directions // 2) if linear and n_directions > 1 else (1, 1)))
    if shape.n_places * shape.n_directions > MOST_POINTS:
        raise BadInputError(
            "spacing_ang",
            expected=f"at most {MOST_POINTS} grid points",
            found=f"{shape.n_places * shape.n_directions}",
            action="make it larger",
        )
    return shape


class Placing:
    """From a grid index to a molecule within its voxel and bin, and back."""

    def __init__(self, cell: PeriodicCell, molecule: RigidMolecule, shape: _Shape) -> None:
        self._cell, self._shape = cell, shape
        self._na, self._nb, self._nc = shape.places
        self._body = [tuple(row) for row in molecule.sites_ang.tolist()]
        self._columns = [tuple(column) for column in cell.inverse.T.tolist()]
        axis = _axis(molecule)
        self._along = None if axis is None else (molecule.sites_ang @ axis[0]).tolist()
        self._ends = (0, 0) if axis is None else axis[1]

    def sites(self, index: int, u: Callable[[], float]) -> np.ndarray:
        """Sites (n_sites, 3) Å of a molecule uniform within voxel and direction bin number `index`."""
        place, direction = divmod(index, self._shape.n_directions)
        place, k = divmod(place, self._nc)
        i, j = divmod(place, self._nb)
        x, y, z = self._cell.point((i + u()) / self._na, (j + u()) / self._nb, (k + u()) / self._nc)
        if len(self._body) == 1:
            return np.array([[x, y, z]])
        if self._along is None:
            p, q, r, s, t, v, w, m, n = random_rotation(u(), u(), u())
            return np.array(
                [(x + p * a + q * b + r * c, y + s * a + t * b + v * c, z + w * a + m * b + n * c)
                 for a, b, c in self._body]
            )  # fmt: skip
        band, sector = divmod(direction, self._shape.n_phi)
        cosine = 2.0 * (band + u()) / self._shape.n_cosine - 1.0
        phi = 2.0 * math.pi * (sector + u()) / self._shape.n_phi
        rho = math.sqrt(max(0.0, 1.0 - cosine * cosine))
        ex, ey = rho * math.cos(phi), rho * math.sin(phi)
        return np.array([(x + s * ex, y + s * ey, z + s * cosine) for s in self._along])

    def index(self, sites_ang: np.ndarray) -> int:
        """Voxel and direction bin of a molecule anywhere in space."""
        rows = sites_ang.tolist()
        count = len(rows)
        x, y, z = (sum(row[axis] for row in rows) / count for axis in range(3))
        p, q, r = self._columns
        i = int((x * p[0] + y * p[1] + z * p[2]) % 1.0 * self._na) % self._na
        j = int((x * q[0] + y * q[1] + z * q[2]) % 1.0 * self._nb) % self._nb
        k = int((x * r[0] + y * r[1] + z * r[2]) % 1.0 * self._nc) % self._nc
        place = (i * self._nb + j) * self._nc + k
        if self._shape.n_directions == 1:
            return place
        (x0, y0, z0), (x1, y1, z1) = rows[self._ends[0]], rows[self._ends[1]]
        dx, dy, dz = x1 - x0, y1 - y0, z1 - z0
        cosine = dz / math.sqrt(dx * dx + dy * dy + dz * dz)
        band = min(int(0.5 * (1.0 + cosine) * self._shape.n_cosine), self._shape.n_cosine - 1)
        sector = int(math.atan2(dy, dx) / (2.0 * math.pi) % 1.0 * self._shape.n_phi) % self._shape.n_phi
        return place * self._shape.n_directions + band * self._shape.n_phi + sector


class InsertionBias:
    """A probability for every voxel and direction bin, uniform within each.

    log_ratio : its density over that of a uniform place and direction, ln(V q), which the acceptance takes back
    """

    def __init__(self, placing: Placing, probabilities: np.ndarray) -> None:
        self._placing = placing
        edges = np.cumsum(probabilities)
        self._edges: list[float] = (edges / edges[-1]).tolist()
        self._log_ratios: list[float] = np.log(probabilities / edges[-1] * probabilities.size).tolist()

    def draw(self, u: Callable[[], float]) -> tuple[np.ndarray, float]:
        """Sites (n_sites, 3) Å of a new molecule, and its `log_ratio`."""
        index = min(bisect_right(self._edges, u()), len(self._edges) - 1)
        return self._placing.sites(index, u), self._log_ratios[index]

    def log_ratio(self, sites_ang: np.ndarray) -> float:
        """ln(V q) at sites (n_sites, 3) Å."""
        return self._log_ratios[self._placing.index(sites_ang)]


def insertion_bias(
    grid: HostEnergyGrid, *, temperature_k: float, fugacity_bar: float, floor: float = FLOOR
) -> InsertionBias:
    """The bias at one temperature and fugacity: the density x/(1 + X) of a Langmuir site at every point.

    x = βf exp(-βu) dv is what a voxel and bin would hold if molecules did not see each other, X its sum over all
    directions within `SITE_RADIUS_ANG`. Far below saturation that is the Boltzmann factor; a filled strong site takes
    no more than its share of the attempts. The share `floor` (0 < floor <= 1) is spread evenly.
    """
    if not 0.0 < floor <= 1.0:
        raise BadInputError("floor", expected="a share above 0 and at most 1", found=f"{floor}")
    cell = PeriodicCell(grid.cell_ang)
    beta = beta_per_ev(temperature_k)
    n = grid.energies_ev.size
    log_x = math.log(beta * fugacity_bar * BAR_IN_EV_PER_ANG3 * cell.volume_ang3 / n) - beta * grid.energies_ev
    x = np.exp(np.minimum(log_x, _LARGEST_EXPONENT))
    weights = x / (1.0 + _within_site(x.sum(axis=1), cell, grid.shape.places))[:, None]
    total = float(weights.sum())
    if total > 0.0:
        probabilities = (1.0 - floor) * weights / total + floor / n
    else:
        probabilities = np.full(weights.shape, 1.0 / n)
    return InsertionBias(Placing(cell, grid.molecule, grid.shape), probabilities.ravel())


def _within_site(values: np.ndarray, cell: PeriodicCell, places: tuple[int, int, int]) -> np.ndarray:
    """Sum of `values` (n_places,) over the voxels whose centres lie within `SITE_RADIUS_ANG` (nearest images)."""
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


def _axis(molecule: RigidMolecule) -> tuple[np.ndarray, tuple[int, int]] | None:
    """Unit vector along a linear molecule and the sites at its two ends; None for any other."""
    sites = molecule.sites_ang
    if len(sites) == 1:
        return None
    far = int(np.argmax(np.linalg.norm(sites - sites[0], axis=1)))
    length = float(np.linalg.norm(sites[far] - sites[0]))
    if length < 1e-6:
        return None
    axis = (sites[far] - sites[0]) / length
    if np.abs(sites - np.outer(sites @ axis, axis)).max() > 1e-6:
        return None
    return axis, (0, far)

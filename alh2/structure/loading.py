"""H2 into a host: random places and orientations, minimum distances, open metal sites first if asked."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from scipy.spatial import cKDTree

from alh2.core.errors import BadInputError
from alh2.core.units import H2_MASS_AMU
from alh2.structure.sites import OpenSite, open_metal_sites
from alh2.structure.topology import periodic_images, plane_spacings_ang

H2_BOND_ANG = 0.7414
"""Experimental equilibrium bond length of H2, Å (Huber and Herzberg 1979)."""

OPEN_SITE_DISTANCE_ANG = 2.7
"""Distance from an open Al to the centre of its H2, Å (0 K DFT: 2.71 Å, Liu et al. 2024)."""

_BATCH = 64
_AZIMUTHS = 16


@dataclass(frozen=True, eq=False)
class _Crowd:
    """Atoms already there, and the rule that keeps molecules apart."""

    cell_ang: np.ndarray
    min_distance_ang: float
    tree: cKDTree | None

    @classmethod
    def of(cls, atoms: Atoms, min_distance_ang: float) -> _Crowd:
        cell = atoms.cell.array
        points, _ = periodic_images(atoms.positions, cell, min_distance_ang, pbc=np.ones(3, bool))
        return cls(cell, min_distance_ang, cKDTree(points) if len(points) else None)

    def has_room(self, molecules_ang: np.ndarray) -> np.ndarray:
        """Whether each of the molecules (n, 2, 3) keeps its distance, (n,), bool."""
        if self.tree is None:
            return np.ones(len(molecules_ang), bool)
        fractional = molecules_ang.reshape(-1, 3) @ np.linalg.inv(self.cell_ang)
        wrapped = (fractional - np.floor(fractional)) @ self.cell_ang
        nearest, _ = self.tree.query(wrapped, distance_upper_bound=self.min_distance_ang)
        return np.isinf(nearest).reshape(-1, 2).all(axis=1)


def load_h2(
    host: Atoms,
    n: int,
    *,
    rng: np.random.Generator,
    min_distance_ang: float = 2.2,
    bond_length_ang: float = H2_BOND_ANG,
    prefer_open_sites: bool = False,
    max_tries: int = 20_000,
) -> Atoms:
    """Copy of `host` followed by `n` H2 molecules, two atoms each; same `rng` state, same structure.

    Parameters
    ----------
    host : periodic structure, or an empty box; guests it already has count as obstacles
    min_distance_ang : smallest distance (nearest image) of each new H to the host and to other molecules, Å
    bond_length_ang : H–H distance, Å
    prefer_open_sites : put the first molecules side-on at `OPEN_SITE_DISTANCE_ANG` from open Al atoms, along the open
        direction, in random order; sites without room are passed over
    max_tries : random placements tried per molecule

    Raises BadInputError for impossible arguments or where a molecule finds no place.
    """
    _check_arguments(host, n, min_distance_ang, bond_length_ang)
    loaded = host.copy()
    loaded.calc = None
    placed = 0
    if prefer_open_sites and n:
        sites = open_metal_sites(host)
        for k in rng.permutation(len(sites)):
            if placed == n:
                break
            molecule = _at_site(_Crowd.of(loaded, min_distance_ang), sites[k], bond_length_ang, rng)
            if molecule is not None:
                loaded += Atoms("H2", molecule)
                placed += 1
    for count in range(placed, n):
        molecule = _anywhere(_Crowd.of(loaded, min_distance_ang), bond_length_ang, rng, max_tries)
        if molecule is None:
            raise BadInputError(
                "H2 loading",
                expected=f"room for {n} H2 at least {min_distance_ang:g} Å from every other atom",
                found=f"room for {count} after {max_tries} tries",
                action="ask for fewer molecules or a smaller minimum distance",
            )
        loaded += Atoms("H2", molecule)
    return loaded


def h2_weight_percent(host: Atoms, n: int) -> float:
    """Mass of `n` H2 as a percentage of host plus H2 (standard atomic weights)."""
    guests = n * H2_MASS_AMU
    return 100.0 * guests / (float(host.get_masses().sum()) + guests)


def _check_arguments(host: Atoms, n: int, min_distance_ang: float, bond_length_ang: float) -> None:
    if not isinstance(n, int | np.integer) or n < 0:
        raise BadInputError("number of H2", expected="an integer from 0 up", found=repr(n))
    for name, value in (("minimum distance", min_distance_ang), ("H2 bond length", bond_length_ang)):
        if not (math.isfinite(value) and value > 0):
            raise BadInputError(name, expected="a positive length in Å", found=repr(value))
    if host.cell.rank < 3 or not host.pbc.all():
        raise BadInputError("host", expected="a cell periodic in three directions", found=f"pbc {host.pbc.tolist()}")
    width = float(plane_spacings_ang(host.cell.array).min())
    if n and width < min_distance_ang + bond_length_ang:
        raise BadInputError(
            "host",
            expected=f"a cell at least {min_distance_ang + bond_length_ang:.2f} Å wide",
            found=f"{width:.2f} Å",
            action="repeat the cell",
        )


def _unit_vectors(rng: np.random.Generator, count: int) -> np.ndarray:
    """Isotropic unit vectors, (count, 3)."""
    vectors = rng.normal(size=(count, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _molecules(centres: np.ndarray, axes: np.ndarray, bond_length_ang: float) -> np.ndarray:
    """Positions (n, 2, 3) of molecules with these centres (n, 3) and axes (n, 3)."""
    half = 0.5 * bond_length_ang * axes
    return np.stack([centres - half, centres + half], axis=1)


def _at_site(crowd: _Crowd, site: OpenSite, bond_length_ang: float, rng: np.random.Generator) -> np.ndarray | None:
    """A molecule (2, 3) side-on in front of `site`, None where there is no room."""
    axes = np.cross(_unit_vectors(rng, _AZIMUTHS), site.direction)
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    centres = np.tile(site.position_ang + OPEN_SITE_DISTANCE_ANG * site.direction, (_AZIMUTHS, 1))
    return _first_with_room(crowd, _molecules(centres, axes, bond_length_ang))


def _anywhere(crowd: _Crowd, bond_length_ang: float, rng: np.random.Generator, max_tries: int) -> np.ndarray | None:
    """A molecule (2, 3) at a uniformly random place with room, None after `max_tries`."""
    for start in range(0, max_tries, _BATCH):
        count = min(_BATCH, max_tries - start)
        centres = rng.random((count, 3)) @ crowd.cell_ang
        found = _first_with_room(crowd, _molecules(centres, _unit_vectors(rng, count), bond_length_ang))
        if found is not None:
            return found
    return None


def _first_with_room(crowd: _Crowd, molecules: np.ndarray) -> np.ndarray | None:
    free = np.flatnonzero(crowd.has_room(molecules))
    return molecules[free[0]] if len(free) else None

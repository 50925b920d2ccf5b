"""Open metal sites: metal atoms that miss one ligand of their octahedron, and the direction in which it is missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii

from alh2.core.errors import BadInputError
from alh2.structure.topology import neighbour_pairs

LIGAND_TOLERANCE = 1.3
"""A ligand is closer than this multiple of the sum of covalent radii: 2.43 Å for Al–O, above the 2.2 Å to which the
bond trans to OH stretches and far below the next oxygen at 3.1 Å."""

FULL_COORDINATION = 6
"""Ligands of a metal atom that is not open (octahedral)."""

_NOT_LIGANDS = (1, 6)


@dataclass(frozen=True, eq=False)
class OpenSite:
    """A metal atom with a missing ligand.

    index : of the atom; position_ang : (3,), Å, as in the structure
    direction : (3,) unit vector out into the pore, opposite to the sum of the bond directions
    coordination : number of ligands it has
    """

    index: int
    position_ang: np.ndarray
    direction: np.ndarray
    coordination: int


def open_metal_sites(atoms: Atoms, *, metal: str = "Al") -> tuple[OpenSite, ...]:
    """Open sites of element `metal` in index order: 16 in Al-soc-MOF with OH, 24 without, 2 in the node cluster.

    Ligands are atoms other than H, C and the metal itself within `LIGAND_TOLERANCE`, so that adsorbed H2 does not
    close a site. Isolated metal atoms without any ligand are not sites. Raises BadInputError for an unknown element.
    """
    if metal not in atomic_numbers:
        raise BadInputError("metal", expected="a chemical symbol", found=repr(metal), action='for example "Al"')
    number = atomic_numbers[metal]
    numbers = atoms.numbers
    if not np.any(numbers == number):
        return ()
    i, j, vectors = _ligand_bonds(atoms, number)
    sites = []
    for index in np.flatnonzero(numbers == number):
        bonds = np.concatenate([vectors[i == index], -vectors[j == index]])
        if not 0 < len(bonds) < FULL_COORDINATION:
            continue
        direction = _missing_direction(bonds / np.linalg.norm(bonds, axis=1, keepdims=True))
        sites.append(OpenSite(int(index), atoms.positions[index].copy(), direction, len(bonds)))
    return tuple(sites)


def al_open_indices(atoms: Atoms) -> np.ndarray:
    """Indices of the open Al atoms, ascending, (n_open,), int."""
    return np.array([site.index for site in open_metal_sites(atoms)], dtype=int)


def _ligand_bonds(atoms: Atoms, metal_number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs i < j and vectors i → j between the metal and its ligands."""
    numbers = atoms.numbers
    radii = covalent_radii[numbers] * LIGAND_TOLERANCE
    is_metal = numbers == metal_number
    is_ligand = ~is_metal & ~np.isin(numbers, _NOT_LIGANDS)
    if not is_ligand.any():
        return np.zeros(0, int), np.zeros(0, int), np.zeros((0, 3))
    i, j, vectors = neighbour_pairs(atoms, float(radii[is_metal].max() + radii[is_ligand].max()))
    bonded = (is_metal[i] & is_ligand[j]) | (is_ligand[i] & is_metal[j])
    bonded &= np.linalg.norm(vectors, axis=1) < radii[i] + radii[j]
    return i[bonded], j[bonded], vectors[bonded]


def _missing_direction(bond_directions: np.ndarray) -> np.ndarray:
    """Unit vector away from the bonds (n, 3); for bonds that balance, the normal of their plane."""
    total = -bond_directions.sum(axis=0)
    if np.linalg.norm(total) < 0.1:
        total = np.linalg.svd(bond_directions)[2][-1]
    return total / np.linalg.norm(total)

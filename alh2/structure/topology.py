"""Which atoms are bonded, which are free H2, and the host-first atom order.

Everything works in any periodic or partly periodic cell, however skewed or small, and is vectorised: a crystal of
480 atoms takes a few milliseconds.
"""

from __future__ import annotations

import itertools

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import covalent_radii
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

BOND_TOLERANCE = 1.25
"""Two atoms are bonded below this multiple of the sum of their covalent radii (Cordero et al., Dalton Trans. 2008)."""

H2_BOND_MAX_ANG = 1.0
"""Two hydrogens closer than this are bonded, Å: a hot H2 stretches beyond the covalent-radius criterion (0.78 Å)."""

_NONMETALS = frozenset((1, 2, 5, 6, 7, 8, 9, 10, 14, 15, 16, 17, 18, 33, 34, 35, 36, 52, 53, 54))
_IS_METAL = np.array([z not in _NONMETALS for z in range(len(covalent_radii))])
_HYDROGEN = 1


def plane_spacings_ang(cell_ang: np.ndarray) -> np.ndarray:
    """Distances between opposite faces of the cell (3, 3), Å, shape (3,)."""
    return 1.0 / np.linalg.norm(np.linalg.inv(cell_ang), axis=0)


def periodic_images(
    positions_ang: np.ndarray, cell_ang: np.ndarray, cutoff_ang: float, *, pbc: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Atoms and those of their images that lie within `cutoff_ang` of the cell.

    Returns positions (n_images, 3), Å, and the index of the atom each is an image of, (n_images,). The first
    ``len(positions_ang)`` entries are the atoms themselves, wrapped into the cell along the periodic directions.
    """
    owner = np.arange(len(positions_ang))
    if not np.any(pbc) or not len(positions_ang):
        return np.array(positions_ang, dtype=float).reshape(-1, 3), owner
    full = _completed_cell(cell_ang, pbc)
    fractional = np.linalg.solve(full.T, np.asarray(positions_ang, dtype=float).T).T
    fractional[:, pbc] -= np.floor(fractional[:, pbc])
    margin = cutoff_ang / plane_spacings_ang(full)
    for axis in np.flatnonzero(pbc):
        shifts = [n for n in range(-int(np.ceil(margin[axis])), int(np.ceil(margin[axis])) + 1) if n]
        parts, owners = [fractional], [owner]
        for shift in shifts:
            moved = fractional[:, axis] + shift
            inside = (moved >= -margin[axis]) & (moved <= 1 + margin[axis])
            image = fractional[inside]
            image[:, axis] += shift
            parts.append(image)
            owners.append(owner[inside])
        fractional, owner = np.concatenate(parts), np.concatenate(owners)
    return fractional @ full, owner


def _completed_cell(cell_ang: np.ndarray, pbc: np.ndarray) -> np.ndarray:
    """The cell with unit vectors normal to the others where a direction is not periodic."""
    from ase.geometry.cell import complete_cell

    cell = np.array(cell_ang, dtype=float)
    cell[~np.asarray(pbc)] = 0.0
    return complete_cell(cell)


def neighbour_pairs(atoms: Atoms, cutoff_ang: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs (i < j) of different atoms closer than `cutoff_ang` in any image.

    Returns i (n_pairs,), j (n_pairs,) and the vectors from i to j (n_pairs, 3), Å. A pair that meets through several
    images appears once for each.
    """
    points, owner = periodic_images(atoms.positions, atoms.cell.array, cutoff_ang, pbc=atoms.pbc)
    n_atoms = len(atoms)
    if n_atoms < 2:
        return np.zeros(0, int), np.zeros(0, int), np.zeros((0, 3))
    pairs = cKDTree(points).query_pairs(cutoff_ang, output_type="ndarray")
    first, second = pairs[:, 0], pairs[:, 1]
    keep = (first < n_atoms) & (owner[first] < owner[second])
    first, second = first[keep], second[keep]
    return owner[first], owner[second], points[second] - points[first]


def bonded_pairs(atoms: Atoms, *, tolerance: float = BOND_TOLERANCE) -> np.ndarray:
    """Bonded atom pairs i < j, sorted, shape (n_bonds, 2), int.

    Bonded: closer (nearest image) than `tolerance` times the sum of the covalent radii; two hydrogens also below
    `H2_BOND_MAX_ANG`; two metal atoms never (they meet through their ligands in a framework).
    """
    numbers = atoms.numbers
    if len(atoms) < 2:
        return np.zeros((0, 2), int)
    radii = covalent_radii[numbers] * tolerance
    i, j, vectors = neighbour_pairs(atoms, max(2 * float(radii.max()), H2_BOND_MAX_ANG))
    limit = radii[i] + radii[j]
    limit[(numbers[i] == _HYDROGEN) & (numbers[j] == _HYDROGEN)] = H2_BOND_MAX_ANG
    bonded = np.einsum("ij,ij->i", vectors, vectors) < limit**2
    bonded &= ~(_IS_METAL[numbers[i]] & _IS_METAL[numbers[j]])
    keys = np.unique(i[bonded] * len(atoms) + j[bonded])
    return np.stack([keys // len(atoms), keys % len(atoms)], axis=1)


def coordination_numbers(atoms: Atoms, *, tolerance: float = BOND_TOLERANCE) -> np.ndarray:
    """Number of atoms bonded to each atom, (n_atoms,), int."""
    return np.bincount(bonded_pairs(atoms, tolerance=tolerance).ravel(), minlength=len(atoms))


def h2_molecules(atoms: Atoms, *, tolerance: float = BOND_TOLERANCE) -> np.ndarray:
    """Free H2 molecules as atom pairs (n_molecules, 2), sorted by their first atom.

    A pair of hydrogens closer than `H2_BOND_MAX_ANG`, neither bonded to anything else.
    """
    pairs = bonded_pairs(atoms, tolerance=tolerance)
    degree = np.bincount(pairs.ravel(), minlength=len(atoms))
    alone = (atoms.numbers == _HYDROGEN) & (degree == 1)
    return pairs[alone[pairs].all(axis=1)]


def fragments(atoms: Atoms, *, tolerance: float = BOND_TOLERANCE) -> np.ndarray:
    """Label 0, 1, … of the bonded fragment each atom belongs to, (n_atoms,)."""
    pairs = bonded_pairs(atoms, tolerance=tolerance)
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(atoms), len(atoms)))
    return connected_components(graph, directed=False)[1]


def split_host_guests(atoms: Atoms) -> tuple[Atoms, int]:
    """Reorder to host atoms first (in their order), then the H2 molecules, two atoms each.

    Returns the reordered copy and the number of host atoms. Every per-atom array moves along, and so do stored
    energies and forces (single-point results). Positions are not wrapped or moved.
    """
    guests = h2_molecules(atoms).ravel()
    is_host = np.ones(len(atoms), bool)
    is_host[guests] = False
    order = np.concatenate([np.flatnonzero(is_host), guests]).astype(int)
    reordered = atoms[order]
    results = getattr(atoms.calc, "results", None)
    if results:
        kept = {
            key: value[order] if np.ndim(value) and len(value) == len(atoms) and key in _PER_ATOM else value
            for key, value in results.items()
        }
        reordered.calc = SinglePointCalculator(reordered, **kept)
    return reordered, int(is_host.sum())


_PER_ATOM = frozenset(("forces", "energies", "stresses", "charges", "magmoms"))


def shortest_contact_ang(atoms: Atoms) -> float:
    """Smallest distance between two different atoms in any image, Å; inf for fewer than two atoms."""
    if len(atoms) < 2:
        return float("inf")
    for cutoff in itertools.chain((2.0, 4.0, 8.0, 16.0), itertools.count(32, 32)):
        _, _, vectors = neighbour_pairs(atoms, float(cutoff))
        if len(vectors):
            return float(np.linalg.norm(vectors, axis=1).min())
    raise AssertionError("unreachable: atoms are at finite distances")

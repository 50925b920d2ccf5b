"""Elastic network of the host in the reference potential: springs between atoms that are bonded, 1–3 or 1–4."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alh2.core.errors import BadInputError
from alh2.core.frames import Frame

COVALENT_RADII_ANG = {"H": 0.31, "C": 0.76, "N": 0.71, "O": 0.66, "Al": 1.21}
"""Single-bond radii, B. Cordero et al., Dalton Trans. 2008, 2832."""

BOND_TOLERANCE = 1.25
"""Atoms closer than this times the sum of their covalent radii are bonded."""

METAL_RADIUS_ANG = 1.15
"""Two atoms with radii above this are metals: close contacts between them (2.98 Å in an Al3O node) are not bonds."""


@dataclass(frozen=True, eq=False)
class HostNetwork:
    """Springs between host atoms i and j, at rest in the reference geometry.

    symbols : elements of the host atoms, length n_host
    pairs : (n_springs, 2) int; vectors_ang : (n_springs, 3) from i to j (the image meant) in the reference geometry
    order : (n_springs,) 1 for bonded atoms, 2 for 1–3 and 3 for 1–4 neighbours
    """

    symbols: tuple[str, ...]
    pairs: np.ndarray
    vectors_ang: np.ndarray
    order: np.ndarray

    @property
    def n_host(self) -> int:
        """Number of host atoms."""
        return len(self.symbols)

    @property
    def lengths_ang(self) -> np.ndarray:
        """Rest lengths, (n_springs,) Å."""
        return np.linalg.norm(self.vectors_ang, axis=1)


def build_network(host: Frame, *, max_order: int = 3) -> HostNetwork:
    """Network of the bare host `host` (its guests, if any, are ignored), up to 1–(max_order+1) neighbours.

    Raises BadInputError for an element without covalent radius.
    """
    host = host.bare_host()
    bonds = _bonds(host)
    neighbours: list[list[tuple[int, np.ndarray]]] = [[] for _ in range(host.n_atoms)]
    for i, j, vector in bonds:
        neighbours[i].append((j, vector))
        neighbours[j].append((i, -vector))
    springs: list[tuple[int, int, int, np.ndarray]] = []
    for start in range(host.n_atoms):
        shells: list[list[tuple[int, np.ndarray]]] = [[(start, np.zeros(3))]]
        for order in range(1, max_order + 1):
            shell: list[tuple[int, np.ndarray]] = []
            for middle, reached in shells[-1]:
                for j, vector in neighbours[middle]:
                    target = (j, reached + vector)
                    if not any(_same(target, other) for known in (*shells, shell) for other in known):
                        shell.append(target)
            shells.append(shell)
            springs += [(start, j, order, vector) for j, vector in shell if _first(start, j, vector)]
    return HostNetwork(
        host.symbols,
        np.array([(i, j) for i, j, _, _ in springs], dtype=np.int64).reshape(-1, 2),
        np.array([vector for *_, vector in springs], dtype=np.float64).reshape(-1, 3),
        np.array([order for _, _, order, _ in springs], dtype=np.int64),
    )


def _same(a: tuple[int, np.ndarray], b: tuple[int, np.ndarray]) -> bool:
    """Whether both are the same image of the same atom."""
    return a[0] == b[0] and float(np.abs(a[1] - b[1]).max()) < 1e-6


def _first(i: int, j: int, vector: np.ndarray) -> bool:
    """Count each spring once: by index, and for an atom and its own image by the sign of the vector."""
    return i < j or (i == j and tuple(vector) > (0.0, 0.0, 0.0))


def _bonds(host: Frame) -> list[tuple[int, int, np.ndarray]]:
    """Bonded pairs (i, j, vector from i to j), each once, in every image within reach."""
    radii = np.array([_radius(symbol) for symbol in host.symbols])
    if not len(radii):
        return []
    reach = 2.0 * radii.max() * BOND_TOLERANCE
    heights = cell_heights_ang(host.cell_ang)
    inverse = np.linalg.inv(host.cell_ang)
    shifts = image_shifts(heights, reach) @ host.cell_ang
    bonds = []
    for i in range(host.n_atoms):
        delta = (host.positions_ang - host.positions_ang[i]) @ inverse
        vectors = ((delta - np.round(delta)) @ host.cell_ang)[:, None, :] + shifts
        limit = BOND_TOLERANCE * (radii + radii[i])[:, None]
        if radii[i] > METAL_RADIUS_ANG:
            limit[radii > METAL_RADIUS_ANG] = 0.0
        distance = np.linalg.norm(vectors, axis=2)
        for j, s in zip(*np.nonzero((distance < limit) & (distance > 1e-9)), strict=True):
            if _first(i, int(j), vectors[j, s]):
                bonds.append((i, int(j), vectors[j, s]))
    return bonds


def _radius(symbol: str) -> float:
    """Covalent radius, Å; elements outside the table come from ASE (same source)."""
    if symbol in COVALENT_RADII_ANG:
        return COVALENT_RADII_ANG[symbol]
    from ase.data import atomic_numbers, covalent_radii

    if symbol not in atomic_numbers:
        raise BadInputError("host geometry", expected="chemical elements", found=f'"{symbol}"')
    return float(covalent_radii[atomic_numbers[symbol]])


def cell_heights_ang(cell_ang: np.ndarray) -> np.ndarray:
    """Distances between opposite faces of the cell, (3,) Å."""
    return 1.0 / np.linalg.norm(np.linalg.inv(cell_ang), axis=0)


def image_shifts(heights_ang: np.ndarray, reach_ang: float) -> np.ndarray:
    """Integer cell shifts (n, 3) that reach every image within `reach_ang` of a wrapped displacement.

    A displacement with fractional components in [-1/2, 1/2] plus n cells is at least (|n| - 1/2) heights long.
    """
    ranges = [np.arange(-m, m + 1) for m in np.floor(reach_ang / heights_ang + 0.5).astype(int)]
    return np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)

"""A unit cell with the density of its guests in three dimensions: the framework, the cell and isosurfaces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii

from alh2.analysis.density import DensityGrid
from alh2.analysis.isosurface import Surface, isosurface, smoothed
from alh2.report.figures_common import BLUE, GREY, ORANGE, PURPLE, SKY, VERMILLION
from alh2.structure.topology import bonded_pairs

ELEMENT_COLOURS = {"Al": ORANGE, "O": VERMILLION, "N": PURPLE, "C": "#4D4D4D", "H": "#D9D9D9"}
OTHER_COLOUR = GREY
FRACTIONS = (0.8, 0.5)
"""Parts of the molecules inside the surfaces, the outer surface first."""

SURFACE_COLOURS = (SKY, BLUE)
SURFACE_OPACITIES = (0.25, 0.85)
CORNERS = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], dtype=float)


@dataclass(frozen=True, eq=False)
class DensityScene:
    """What is drawn of one density.

    name : file stem; words : what it is the density of; source : the cube file, as named in the campaign
    symbols, positions_ang (n, 3) : the framework; bonds (m, 2, 3) Å : both ends of each half bond and its atom's number
    surfaces : outer one first; grid : the smoothed density
    """

    name: str
    words: str
    source: str
    symbols: tuple[str, ...]
    positions_ang: np.ndarray
    bond_ends_ang: np.ndarray
    bond_atoms: np.ndarray
    cell_ang: np.ndarray
    surfaces: tuple[Surface, ...]
    grid: DensityGrid

    @property
    def edges_ang(self) -> np.ndarray:
        """The twelve edges of the cell, (12, 2, 3) Å."""
        pairs = [(a, b) for a in range(8) for b in range(a + 1, 8) if np.abs(CORNERS[a] - CORNERS[b]).sum() == 1]
        return np.array([[CORNERS[a] @ self.cell_ang, CORNERS[b] @ self.cell_ang] for a, b in pairs])

    def radius_ang(self, symbol: str) -> float:
        """Radius an atom is drawn with."""
        return 0.45 * float(covalent_radii[atomic_numbers[symbol]])

    def elements(self) -> list[str]:
        """Elements of the framework, heaviest first."""
        return sorted(set(self.symbols), key=lambda s: -atomic_numbers[s])


def density_scene(grid: DensityGrid, host: Atoms, *, name: str, words: str, source: str) -> DensityScene | None:
    """The scene of a counted density in `host`; None where nothing was counted."""
    if not grid.n_molecules > 0.0:
        return None
    smooth = smoothed(grid)
    ends, owners = _half_bonds(host)
    return DensityScene(
        name=name,
        words=words,
        source=source,
        symbols=tuple(host.get_chemical_symbols()),
        positions_ang=np.array(host.positions),
        bond_ends_ang=ends,
        bond_atoms=owners,
        cell_ang=grid.cell_ang,
        surfaces=tuple(isosurface(smooth, fraction) for fraction in FRACTIONS),
        grid=smooth,
    )


def colour_of(symbol: str) -> str:
    """Colour of an element, apart for colour-blind readers."""
    return ELEMENT_COLOURS.get(symbol, OTHER_COLOUR)


def share(surface: Surface) -> str:
    """Part of the molecules inside, in words."""
    return f"{100 * surface.fraction:.0f} %"


def surface_words(surface: Surface) -> str:
    """How a surface is named in legends."""
    return f"{share(surface)} of H₂ inside"


def _half_bonds(host: Atoms) -> tuple[np.ndarray, np.ndarray]:
    """From each atom half-way to each bonded one: ends (m, 2, 3) Å and the atom each half belongs to (m,)."""
    ends, owners = [], []
    for i, j in bonded_pairs(host):
        step = host.get_distance(int(i), int(j), mic=True, vector=True)
        for atom, half in ((int(i), 0.5 * step), (int(j), -0.5 * step)):
            ends.append([host.positions[atom], host.positions[atom] + half])
            owners.append(atom)
    return np.array(ends, dtype=float).reshape(-1, 2, 3), np.array(owners, dtype=np.int64)

"""Al-soc-MOF(abtc) without its terminal ligands: the asymmetric unit in P-43n (no. 218), as numbers.

Facts from entry JALCAD_clean of the CoRE MOF 2019 database (ASR subset; Chung et al., J. Chem. Eng. Data 2019,
64, 5985; data licence CC BY 4.0), reduced to its asymmetric unit with spglib at 1e-3 Å. The crystal is that of
Alezi et al., J. Am. Chem. Soc. 2015, 137, 13308.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CIF_LATTICE_ANG = 21.4934
"""Cubic lattice parameter of the database entry, Å."""

GENERAL_SITES: tuple[tuple[str, str, tuple[float, float, float]], ...] = (
    ("Al1", "Al", (0.26072, 0.19852, 0.31923)),
    ("C1", "C", (0.45670, 0.21435, 0.33007)),
    ("C2", "C", (0.51089, 0.21889, 0.29435)),
    ("C3", "C", (0.56837, 0.20653, 0.32299)),
    ("C4", "C", (0.57052, 0.19520, 0.38539)),
    ("C5", "C", (0.51682, 0.19300, 0.42029)),
    ("C6", "C", (0.45909, 0.20230, 0.39172)),
    ("C7", "C", (0.39346, 0.22341, 0.30089)),
    ("C8", "C", (0.62813, 0.20719, 0.28809)),
    ("H1", "H", (0.50890, 0.23010, 0.25160)),
    ("H2", "H", (0.60960, 0.18870, 0.40500)),
    ("H3", "H", (0.42190, 0.20030, 0.41550)),
    ("N1", "N", (0.52400, 0.19120, 0.48586)),
    ("O1", "O", (0.34830, 0.19978, 0.33058)),
    ("O2", "O", (0.38945, 0.25297, 0.25128)),
    ("O3", "O", (0.67323, 0.18120, 0.31413)),
    ("O4", "O", (0.62961, 0.23320, 0.23604)),
)
"""(label, element, fractional coordinates) of the sites on 24 general positions each."""

OXO_SITE: tuple[str, str, tuple[float, float, float]] = ("O5", "O", (0.25938, 0.25938, 0.25938))
"""The µ3-oxygen in the middle of each Al3O trimer, on the eightfold position (x, x, x)."""

CARBON_OF_HYDROGEN = {"H1": "C2", "H2": "C4", "H3": "C6"}
"""The carbon each aromatic hydrogen sits on."""

_OPERATIONS = (
    "x,y,z|-x,-y,z|-x,y,-z|x,-y,-z|z,x,y|z,-x,-y|-z,-x,y|-z,x,-y|y,z,x|-y,z,-x|y,-z,-x|-y,-z,x|"
    "y+1/2,x+1/2,z+1/2|-y+1/2,-x+1/2,z+1/2|y+1/2,-x+1/2,-z+1/2|-y+1/2,x+1/2,-z+1/2|"
    "x+1/2,z+1/2,y+1/2|-x+1/2,z+1/2,-y+1/2|-x+1/2,-z+1/2,y+1/2|x+1/2,-z+1/2,-y+1/2|"
    "z+1/2,y+1/2,x+1/2|z+1/2,-y+1/2,-x+1/2|-z+1/2,y+1/2,-x+1/2|-z+1/2,-y+1/2,x+1/2"
)


@dataclass(frozen=True, eq=False)
class SymmetryOperation:
    """Maps fractional coordinates x to ``rotation @ x + translation``; rotation (3, 3), translation (3,)."""

    rotation: np.ndarray
    translation: np.ndarray

    def apply(self, fractional: np.ndarray) -> np.ndarray:
        """Image of the point(s) `fractional`, (..., 3), not wrapped into the cell."""
        return fractional @ self.rotation.T + self.translation


def _parse(text: str) -> SymmetryOperation:
    """Operation from its International Tables form, e.g. ``-y+1/2,x+1/2,-z+1/2``."""
    rotation = np.zeros((3, 3))
    translation = np.zeros(3)
    for row, term in enumerate(text.split(",")):
        sign = -1.0 if term.startswith("-") else 1.0
        rotation[row, "xyz".index(term.lstrip("-")[0])] = sign
        translation[row] = 0.5 if term.endswith("+1/2") else 0.0
    return SymmetryOperation(rotation, translation)


OPERATIONS: tuple[SymmetryOperation, ...] = tuple(_parse(text) for text in _OPERATIONS.split("|"))
"""The 24 operations of P-43n in the order of the database entry."""

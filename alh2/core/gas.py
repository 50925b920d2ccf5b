"""One guest molecule alone: the gas reference of insertion energies."""

from __future__ import annotations

import numpy as np

from alh2.core.frames import ATOMS_PER_H2, Frame, Provenance

GAS_BOX_ANG = 30.0
"""Edge of the cubic box of an isolated molecule, Å: farther than any interaction used here."""

BOND_DECIMALS = 6


def gas_molecule(frame: Frame, molecule: int) -> Frame:
    """Guest `molecule` of `frame` alone, along z in a cubic box.

    The bond length is rounded to 1e-6 Å (near its minimum that is worth less than 1e-10 eV), so that rigid molecules
    of one length are one frame and are labelled once. Raises IndexError where `frame` has no such molecule.
    """
    first = frame.n_host + ATOMS_PER_H2 * molecule
    if not 0 <= molecule < frame.n_h2:
        raise IndexError(f"molecule {molecule} of {frame.n_h2}")
    step = frame.positions_ang[first + 1] - frame.positions_ang[first]
    fractional = np.linalg.solve(frame.cell_ang.T, step)
    bond = round(float(np.linalg.norm((fractional - np.round(fractional)) @ frame.cell_ang)), BOND_DECIMALS)
    middle = 0.5 * GAS_BOX_ANG
    sites = np.array([[middle, middle, middle - bond / 2], [middle, middle, middle + bond / 2]])
    return Frame(("H", "H"), sites, GAS_BOX_ANG * np.eye(3), 0, "", Provenance("gas", detail=f"H2 {bond:.6f} Å"))

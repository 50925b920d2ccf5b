"""What the Monte Carlo engine asks of a potential: the energy of a configuration and of one-molecule changes.

A session holds the current configuration and whatever per-atom caches make a trial cheap. The engine proposes one
change at a time; a potential that only knows full energies evaluates the changed configuration, an incremental
one updates the affected atoms. Energies are in eV, positions in Å, and include the molecule's own energy: the
engine subtracts the gas energy per molecule, `molecule_energy_ev`.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from ase import Atoms


class EnergySession(Protocol):
    """A framework plus guest molecules whose energy is known."""

    @property
    def energy_ev(self) -> float:
        """Energy of the current configuration, eV."""

    def trial(self, remove: int | None, insert_ang: np.ndarray | None) -> float:
        """Energy change (eV) of removing molecule `remove` and/or adding one at `insert_ang` (n_sites, 3).

        Insertion: ``trial(None, x)``; deletion: ``trial(i, None)``; displacement or rotation: ``trial(i, x)``.
        Does not change the configuration. May return ``inf`` for an overlap. Molecule indices count from 0 in
        the order held by the session.
        """

    def accept(self) -> None:
        """Make the last trial the current configuration.

        Insertion appends the molecule at the end; displacement keeps the index; deletion moves the *last*
        molecule into the freed index (so the engine must do the same).
        """

    def recompute_ev(self) -> float:
        """Fresh full energy of the current configuration, eV (self-check; resets caches)."""


class Potential(Protocol):
    """Something with an energy that can open sessions."""

    def start(self, framework: Atoms, molecule_symbols: tuple[str, ...], guests_ang: np.ndarray) -> EnergySession:
        """Session on `framework` (cell periodic, may have no atoms) with guests (n_molecules, n_sites, 3) Å."""

    def molecule_energy_ev(self, molecule_symbols: tuple[str, ...], sites_ang: np.ndarray) -> float:
        """Energy (eV) of one isolated molecule with sites (n_sites, 3) Å, in a cell large enough to be alone."""

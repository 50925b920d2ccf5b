"""No energy at all: what lies over pair terms that are everything there is."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from alh2.potential.protocol import EnergySession


class _NoSession:
    """`EnergySession` whose energies are zero."""

    energy_ev = 0.0

    def trial(self, remove: int | None, insert_ang: np.ndarray | None) -> float:
        """No change."""
        return 0.0

    def accept(self) -> None:
        """Nothing to keep."""

    def recompute_ev(self) -> float:
        """Zero."""
        return 0.0


class NoPotential:
    """`Potential` without energy."""

    def describe(self) -> str:
        """One line for logs and reports."""
        return "no energy"

    def start(self, framework: Atoms, molecule_symbols: tuple[str, ...], guests_ang: np.ndarray) -> EnergySession:
        """A session whose energies are zero."""
        return _NoSession()

    def molecule_energy_ev(self, molecule_symbols: tuple[str, ...], sites_ang: np.ndarray) -> float:
        """Zero."""
        return 0.0

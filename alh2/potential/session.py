"""The energy session of one walker."""

from __future__ import annotations

import numpy as np

from alh2.potential.walkers import Walkers

REFRESH_EVERY = 5000
"""Accepted trials after which a session recomputes its sums, against the drift of adding and subtracting."""


class IncrementalSession:
    """`EnergySession` of one walker, which keeps the sums and the energy of every atom."""

    def __init__(self, walkers: Walkers, number: int, guests_ang: np.ndarray) -> None:
        self._walkers, self._number = walkers, number
        self._accepted = 0
        self.last_drift_ev = 0.0
        walkers.start(number, guests_ang)

    @property
    def energy_ev(self) -> float:
        """Energy of the current configuration, eV."""
        return self._walkers.energy_ev(self._number)

    @property
    def atomic_energies_ev(self) -> np.ndarray:
        """(n_atoms,) eV, framework first, then the molecules (a copy)."""
        return self._walkers.atomic_energies_ev(self._number)

    @property
    def guests_ang(self) -> np.ndarray:
        """Current guests (n_molecules, n_sites, 3), Å (a copy)."""
        return self._walkers.guests_ang(self._number)

    @property
    def n_affected(self) -> int:
        """Atoms whose energy the last trial had to evaluate, new ones included."""
        return self._walkers.n_affected(self._number)

    def recompute_ev(self) -> float:
        """Fresh sums and energy (eV) of the current configuration; the change is kept in `last_drift_ev`."""
        before = self.energy_ev
        self._accepted = 0
        self._walkers.refresh(self._number)
        self.last_drift_ev = self.energy_ev - before
        return self.energy_ev

    def trial(self, remove: int | None, insert_ang: np.ndarray | None) -> float:
        """Energy change (eV) of a trial, see `EnergySession.trial`; ``inf`` for an overlap (`OVERLAP_ANG`).

        Raises BadInputError where an atom gets more neighbours than the model's `sel` (the energy of such a
        configuration is not defined, whether the trial would be accepted or not), IndexError for a molecule that is
        not there, ValueError for a malformed request.
        """
        return self._walkers.trial(self._number, remove, insert_ang)

    def accept(self) -> None:
        """Make the last trial current; raises RuntimeError where there is none or it was an overlap."""
        self._walkers.accept(self._number)
        self._accepted += 1
        if self._accepted % REFRESH_EVERY == 0:
            self.recompute_ev()

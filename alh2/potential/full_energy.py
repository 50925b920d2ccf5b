"""A session that knows nothing but full energies: every trial evaluates the whole changed configuration."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from alh2.core.errors import BadInputError

EnergyFunction = Callable[[tuple[str, ...], np.ndarray], float]
"""Energy (eV) of symbols and positions (n_atoms, 3) Å in the session's cell; not called without atoms."""


def checked_guests(guests_ang: np.ndarray, n_sites: int) -> np.ndarray:
    """Own float64 copy of guests as (n_molecules, n_sites, 3) Å; raises ValueError where the shape does not fit."""
    guests = np.array(guests_ang, dtype=np.float64)
    if guests.size == 0:
        return np.empty((0, n_sites, 3))
    if guests.ndim != 3 or guests.shape[1:] != (n_sites, 3):
        raise ValueError(f"guests {guests.shape} are not (n_molecules, {n_sites}, 3)")
    return guests


def changed_guests(guests_ang: np.ndarray, remove: int | None, insert_ang: np.ndarray | None) -> np.ndarray:
    """Guests after one trial, in the order `EnergySession.accept` promises.

    Insertion appends, displacement keeps the index, deletion moves the last molecule into the freed index.
    Raises IndexError for a molecule that is not there, ValueError where nothing is asked.
    """
    if remove is not None and not 0 <= remove < len(guests_ang):
        raise IndexError(f"molecule {remove} of {len(guests_ang)}")
    if insert_ang is None:
        if remove is None:
            raise ValueError("a trial removes a molecule, inserts one, or both")
        changed = guests_ang[:-1].copy()
        if remove < len(changed):
            changed[remove] = guests_ang[-1]
        return changed
    sites = np.asarray(insert_ang, dtype=np.float64)
    if sites.shape != guests_ang.shape[1:]:
        raise ValueError(f"molecule {sites.shape} is not {guests_ang.shape[1:]}")
    if remove is None:
        return np.concatenate([guests_ang, sites[None]])
    changed = guests_ang.copy()
    changed[remove] = sites
    return changed


class FullEnergySession:
    """`EnergySession` by full energies of framework plus guests.

    Parameters
    ----------
    energy : function of (symbols, positions) in the session's constant cell
    framework_symbols, framework_ang : the fixed atoms, (n_framework, 3) Å
    molecule_symbols : of one guest; guests_ang : (n_molecules, n_sites, 3) Å
    """

    def __init__(
        self,
        energy: EnergyFunction,
        framework: tuple[tuple[str, ...], np.ndarray],
        *,
        molecule_symbols: tuple[str, ...],
        guests_ang: np.ndarray,
    ) -> None:
        self._energy = energy
        self._framework_symbols, positions = framework
        self._framework_ang = np.array(positions, dtype=np.float64).reshape(-1, 3)
        self._molecule_symbols = tuple(molecule_symbols)
        self._guests = checked_guests(guests_ang, len(self._molecule_symbols))
        self._trial: tuple[np.ndarray, float] | None = None
        self._current = self.recompute_ev()

    @property
    def energy_ev(self) -> float:
        """Energy of the current configuration, eV."""
        return self._current

    @property
    def guests_ang(self) -> np.ndarray:
        """Current guests (n_molecules, n_sites, 3), Å (a copy)."""
        return self._guests.copy()

    def _full(self, guests: np.ndarray) -> float:
        symbols = self._framework_symbols + self._molecule_symbols * len(guests)
        if not symbols:
            return 0.0
        return float(self._energy(symbols, np.concatenate([self._framework_ang, guests.reshape(-1, 3)])))

    def trial(self, remove: int | None, insert_ang: np.ndarray | None) -> float:
        """Energy change (eV) of a trial, see `EnergySession.trial`; ``inf`` where the energy is not a number."""
        self._trial = None
        guests = changed_guests(self._guests, remove, insert_ang)
        energy = self._full(guests)
        if math.isnan(energy):
            return math.inf
        self._trial = (guests, energy)
        return energy - self._current

    def accept(self) -> None:
        """Make the last trial current; raises RuntimeError where there is none or its energy is not finite."""
        if self._trial is None or not math.isfinite(self._trial[1]):
            raise RuntimeError("no trial with a finite energy to accept")
        self._guests, self._current = self._trial
        self._trial = None

    def recompute_ev(self) -> float:
        """Fresh full energy, eV; raises BadInputError where it is not finite."""
        self._trial = None
        self._current = self._full(self._guests)
        if not math.isfinite(self._current):
            raise BadInputError(
                f"{len(self._framework_ang)} framework atoms with {len(self._guests)} guests",
                expected="a finite energy",
                found=str(self._current),
                action="look for overlapping atoms",
            )
        return self._current

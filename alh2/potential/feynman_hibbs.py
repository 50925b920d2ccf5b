"""Quantum nuclei in Monte Carlo: the quadratic Feynman–Hibbs correction of a potential's energy.

A quantum particle of mass m is spread over about βħ²/12m (each axis, squared); averaging the potential over that spread
to second order gives the effective potential (Feynman and Hibbs, *Quantum Mechanics and Path Integrals*, 1965, ch. 10)

    U_FH = U + βħ²/(24 m) ∇²U

For rigid molecules of mass M the Laplacian is by the centre of mass at fixed orientation: rotation stays classical.
It is split into what belongs to one molecule and what belongs to pairs of them:

- guest–host: the trace of the Hessian of the model's own energy of one molecule in the bare host, by central
  differences of six displaced energies. It depends on that molecule alone, so what others have is kept.
- guest–guest: where the potential knows its pairs of molecules (`GuestPairs`), the effective pair form with the reduced
  mass μ = M/2, u + βħ²/(24 μ)(u'' + 2u'/r) of each pair of sites; otherwise guest–guest energies stay classical.

U_FH depends on the temperature, so the energy whose mean enters heats is ∂(βU_FH)/∂β = U + 2(U_FH - U), not U_FH.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers

from alh2.core.errors import BadInputError
from alh2.core.nuclei import Quantum
from alh2.core.units import AMU_ANG2_PER_PS2_IN_EV, HBAR_EV_PS, beta_per_ev
from alh2.potential.full_energy import changed_guests, checked_guests
from alh2.potential.load import DescribedPotential
from alh2.potential.protocol import EnergySession, Potential

STEP_ANG = 0.02
"""Displacement of the central differences: 0.05 % of the curvature of a wall that falls by e within 0.28 Å."""
HOPELESS_KT = 200.0
"""Molecules placed where the classical energy rises by more overlap: nothing accepts them, no curvature is asked."""


class GuestPairs(Protocol):
    """The interaction of molecules as a sum over pairs of them."""

    def laplacian_ev_ang2(self, sites_ang: np.ndarray, others_ang: np.ndarray) -> float:
        """Laplacian (eV/Å²), by the place of the molecule at `sites_ang` (n_sites, 3), of its energy with all images
        of the molecules `others_ang` (n, n_sites, 3)."""


@runtime_checkable
class PairwisePotential(Protocol):
    """A potential that knows the pair part of its guest–guest energy."""

    def guest_pairs(self, framework: Atoms) -> GuestPairs:
        """Pairs of molecules in the cell of `framework`."""


@dataclass(frozen=True, eq=False)
class RadialPairs:
    """`GuestPairs` of sites whose energy u depends on their distance alone, nearest images only.

    laplacian : u''(r) + 2u'(r)/r (eV/Å²) of distances (n,) Å; cutoff_ang : at most half the narrowest width of the cell
    """

    laplacian: Callable[[np.ndarray], np.ndarray]
    cutoff_ang: float
    cell_ang: np.ndarray

    def laplacian_ev_ang2(self, sites_ang: np.ndarray, others_ang: np.ndarray) -> float:
        """See `GuestPairs`."""
        delta = others_ang.reshape(-1, 3)[:, None, :] - sites_ang[None, :, :]
        delta -= np.round(delta @ np.linalg.inv(self.cell_ang)) @ self.cell_ang
        r = np.linalg.norm(delta, axis=-1).ravel()
        return float(self.laplacian(r[r < self.cutoff_ang]).sum())


def strength_ang2(temperature_k: float, mass_amu: float) -> float:
    """βħ²/(24 m) in Å²: what multiplies the Laplacian of the energy of a particle of `mass_amu`."""
    return beta_per_ev(temperature_k) * HBAR_EV_PS**2 / (24.0 * mass_amu * AMU_ANG2_PER_PS2_IN_EV)


def effective_pair_ev(
    r_ang: np.ndarray,
    derivatives: tuple[np.ndarray, np.ndarray, np.ndarray],
    *,
    temperature_k: float,
    reduced_mass_amu: float,
) -> np.ndarray:
    """Effective pair energy u + βħ²/(24 μ)(u'' + 2u'/r), (n,) eV, from u, u' and u'' at distances `r_ang` (n,)."""
    u, slope, curvature = derivatives
    result: np.ndarray = u + strength_ang2(temperature_k, reduced_mass_amu) * (curvature + 2.0 * slope / r_ang)
    return result


class _Correction:
    """Corrections of single molecules and of pairs of them, eV."""

    def __init__(self, bare: EnergySession, pairs: GuestPairs | None, strength: float, step_ang: float) -> None:
        self._bare, self._pairs, self._strength, self._step = bare, pairs, strength, step_ang

    def host_ev(self, sites_ang: np.ndarray) -> float:
        """Of one molecule in the bare host; inf where a displaced one overlaps."""
        total = -6.0 * self._bare.trial(None, sites_ang)
        for axis in range(3):
            for sign in (-1.0, 1.0):
                moved = np.array(sites_ang, dtype=np.float64)
                moved[:, axis] += sign * self._step
                total += self._bare.trial(None, moved)
        return math.inf if math.isnan(total) or math.isinf(total) else self._strength * total / self._step**2

    def pairs_ev(self, sites_ang: np.ndarray, others_ang: np.ndarray) -> float:
        """Of a molecule with others: both sides of every pair."""
        if self._pairs is None or not len(others_ang):
            return 0.0
        return 2.0 * self._strength * self._pairs.laplacian_ev_ang2(sites_ang, others_ang)


class FeynmanHibbsSession:
    """`EnergySession` of another session's energy plus the correction.

    hopeless_ev : of the sites that a trial adds (none for a displacement): the change beyond which it is an overlap
    nuclei : words for results
    """

    def __init__(
        self,
        inner: EnergySession,
        correction: _Correction,
        guests_ang: np.ndarray,
        *,
        hopeless_ev: Callable[[np.ndarray], float],
        nuclei: str,
    ) -> None:
        self._inner, self._correction, self._hopeless_ev, self.nuclei = inner, correction, hopeless_ev, nuclei
        self._guests = guests_ang
        self._host = np.array([correction.host_ev(sites) for sites in guests_ang])
        if not np.isfinite(self._host).all():
            raise BadInputError("initial molecules", expected="no overlap with the framework", found="one")
        self._pairs = self._all_pairs_ev()
        self._pending: tuple[int | None, np.ndarray | None, float, float] | None = None

    def _all_pairs_ev(self) -> float:
        each = (self._correction.pairs_ev(sites, self._guests[:k]) for k, sites in enumerate(self._guests))
        return math.fsum(each)

    @property
    def correction_ev(self) -> float:
        """U_FH - U of the current configuration, eV."""
        return float(self._host.sum()) + self._pairs

    @property
    def trial_correction_ev(self) -> float:
        """Change of U_FH - U by the last trial, eV; 0 where that was an overlap."""
        if self._pending is None:
            return 0.0
        remove, _, host, pairs = self._pending
        return host - (0.0 if remove is None else float(self._host[remove])) + pairs

    @property
    def energy_ev(self) -> float:
        """Energy of the current configuration, eV."""
        return self._inner.energy_ev + self.correction_ev

    def trial(self, remove: int | None, insert_ang: np.ndarray | None) -> float:
        """Energy change (eV) of a trial, see `EnergySession.trial`; ``inf`` where nothing could accept it."""
        self._pending = None
        change = self._inner.trial(remove, insert_ang)
        if not math.isfinite(change):
            return change
        if insert_ang is not None and change > self._hopeless_ev(insert_ang if remove is None else np.empty((0, 3))):
            return math.inf
        others = self._guests if remove is None else np.delete(self._guests, remove, axis=0)
        host = pairs = 0.0
        if insert_ang is not None:
            insert_ang = np.array(insert_ang, dtype=np.float64)
            host = self._correction.host_ev(insert_ang)
            if not math.isfinite(host):
                return math.inf
            pairs += self._correction.pairs_ev(insert_ang, others)
        if remove is not None:
            pairs -= self._correction.pairs_ev(self._guests[remove], others)
        self._pending = (remove, insert_ang, host, pairs)
        return change + self.trial_correction_ev

    def accept(self) -> None:
        """Make the last trial current; raises RuntimeError where there is none or it was an overlap."""
        if self._pending is None:
            raise RuntimeError("no trial with a finite energy to accept")
        self._inner.accept()
        (remove, insert, host, pairs), self._pending = self._pending, None
        self._guests = changed_guests(self._guests, remove, insert)
        one = None if insert is None else np.full((1, 1), host)
        self._host = changed_guests(self._host.reshape(-1, 1, 1), remove, one).ravel()
        self._pairs += pairs

    def recompute_ev(self) -> float:
        """Fresh energy (eV) of model and pairs; what single molecules have in the bare host does not change."""
        self._pending = None
        self._pairs = self._all_pairs_ev()
        return self._inner.recompute_ev() + self.correction_ev


class _Hopeless:
    """Energy change of an overlap: so much more than nothing, or than the molecule in the gas."""

    def __init__(self, model: Potential, symbols: tuple[str, ...], more_ev: float) -> None:
        self._model, self._symbols, self._more_ev = model, symbols, more_ev
        self._gas_ev: float | None = None

    def __call__(self, added_ang: np.ndarray) -> float:
        if not len(added_ang):
            return self._more_ev
        if self._gas_ev is None:  # molecules are rigid: that of the first one
            self._gas_ev = self._model.molecule_energy_ev(self._symbols, added_ang - added_ang.mean(axis=0))
        return self._gas_ev + self._more_ev


class FeynmanHibbsPotential:
    """`Potential` with the quadratic Feynman–Hibbs correction of `model` at one temperature.

    mass_amu : of the molecule; None: that of its elements
    step_ang : of the central differences; larger for models of single precision
    A trial that places a molecule costs seven more energies of one molecule in the bare host; deletions cost none.
    """

    def __init__(
        self, model: Potential, *, temperature_k: float, mass_amu: float | None = None, step_ang: float = STEP_ANG
    ) -> None:
        for name, value in (("temperature", temperature_k), ("mass", mass_amu), ("step", step_ang)):
            if value is not None and not (math.isfinite(value) and value > 0.0):
                raise BadInputError(name, expected="a positive number", found=f"{value}")
        self._model, self._temperature_k, self._mass_amu, self._step_ang = model, temperature_k, mass_amu, step_ang

    @property
    def nuclei(self) -> str:
        """What is quantum, in words for results."""
        guests = "in pair form" if isinstance(self._model, PairwisePotential) else "classical"
        return f"quantum: Feynman-Hibbs (quadratic; guest-guest {guests})"

    def describe(self) -> str:
        """One line for logs and reports."""
        model = self._model.describe() if hasattr(self._model, "describe") else type(self._model).__name__
        return f"{model}; {self.nuclei}"

    def start(self, framework: Atoms, molecule_symbols: tuple[str, ...], guests_ang: np.ndarray) -> FeynmanHibbsSession:
        """Session on `framework`; raises BadInputError as the model does, and for molecules that overlap."""
        guests = checked_guests(guests_ang, len(molecule_symbols))
        bare = self._model.start(framework, molecule_symbols, guests[:0])
        inner = self._model.start(framework, molecule_symbols, guests)
        pairs = self._model.guest_pairs(framework) if isinstance(self._model, PairwisePotential) else None
        mass = self._mass_amu or sum(float(atomic_masses[atomic_numbers[s]]) for s in molecule_symbols)
        correction = _Correction(bare, pairs, strength_ang2(self._temperature_k, mass), self._step_ang)
        hopeless = _Hopeless(self._model, tuple(molecule_symbols), HOPELESS_KT / beta_per_ev(self._temperature_k))
        return FeynmanHibbsSession(inner, correction, guests, hopeless_ev=hopeless, nuclei=self.nuclei)

    def molecule_energy_ev(self, molecule_symbols: tuple[str, ...], sites_ang: np.ndarray) -> float:
        """Energy (eV) of one molecule alone, which has no correction."""
        return self._model.molecule_energy_ev(molecule_symbols, sites_ang)


def with_nuclei(potential: DescribedPotential, quantum: Quantum, *, temperature_k: float) -> DescribedPotential:
    """`potential` itself for classical nuclei, or with the correction asked for."""
    if quantum == "classical":
        return potential
    return FeynmanHibbsPotential(potential, temperature_k=temperature_k)

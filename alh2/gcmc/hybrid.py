"""Segments of molecular dynamics between blocks of Monte Carlo moves: a framework that moves.

A block of moves sees the framework of the last segment, frozen. Both parts leave the same distribution unchanged, that
of rigid molecules in a flexible framework at the temperature and fugacity given (Duane et al., Phys. Lett. B 195, 216
(1987) for the idea; here the MD part is thermostatted rather than accepted, so the integrator's error stays).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers

from alh2.core.errors import BadInputError
from alh2.core.random_streams import seed_for, stream
from alh2.core.statistics import Estimate, mean_and_error
from alh2.core.units import AMU_ANG2_PER_PS2_IN_EV, KB_EV_PER_K
from alh2.gcmc.geometry import PeriodicCell
from alh2.gcmc.lammps_md import LammpsMd, MdConditions, MdSystem
from alh2.gcmc.molecule import RigidMolecule
from alh2.potential.lammps_forces import forces_of


@dataclass(frozen=True)
class FlexibleSettings:
    """The molecular dynamics of a hybrid run.

    model_file : DeePMD model for LAMMPS; the same energies as the potential of the moves, which is checked
    pair_baseline : the pair terms under it, between atoms; None for none
    moves_per_block : moves between segments; steps : of one segment
    dt_fs, thermostat_ps : time step, and relaxation time of the Langevin thermostat
    frozen_host : the framework stands still and only the molecules move (a rigid framework, for comparison)
    tolerance_ev_per_atom : largest difference of the two energies at a hand-over
    """

    model_file: Path
    pair_baseline: Path | None = None
    moves_per_block: int = 1000
    steps: int = 200
    dt_fs: float = 0.5
    thermostat_ps: float = 0.1
    frozen_host: bool = False
    tolerance_ev_per_atom: float = 1e-6

    def __post_init__(self) -> None:
        for name in ("moves_per_block", "steps"):
            value = getattr(self, name)
            if value < 1 or int(value) != value:
                raise BadInputError(name, expected="a whole number >= 1", found=f"{value}")
        for name in ("dt_fs", "thermostat_ps", "tolerance_ev_per_atom"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise BadInputError(name, expected="a positive number", found=f"{value}")


@dataclass(frozen=True)
class HybridRecord:
    """What the segments of a run were and did.

    host_temperature_k, guest_temperature_k : kinetic, at the ends of the segments after equilibration; None where
        nothing of the kind moved
    max_handover_ev : largest difference between the energies of both parts at a hand-over
    """

    settings: FlexibleSettings
    n_segments: int
    host_temperature_k: Estimate | None
    guest_temperature_k: Estimate | None
    max_handover_ev: float

    def label(self) -> str:
        """One line that says what moved and how."""
        s = self.settings
        what = "rigid framework with molecular dynamics of the molecules" if s.frozen_host else "flexible framework"
        return (
            f"{what} (hybrid MD/MC: {s.steps} steps of {s.dt_fs:g} fs NVT after every {s.moves_per_block} moves, "
            "rigid molecules)"
        )

    def summary(self) -> dict[str, Any]:
        """JSON-able record."""
        kinetic = {"host": self.host_temperature_k, "guest": self.guest_temperature_k}
        record = {k: v for k, v in asdict(self.settings).items() if k not in ("model_file", "pair_baseline")}
        for name, estimate in kinetic.items():
            record[f"{name}_temperature_k"] = None if estimate is None else estimate.mean
            known = estimate is not None and math.isfinite(estimate.standard_error)
            record[f"{name}_temperature_error_k"] = estimate.standard_error if known and estimate else None
        return record | {"n_segments": self.n_segments, "max_handover_ev": self.max_handover_ev}


class Hybrid:
    """Velocities of all atoms, and the segments that use them."""

    def __init__(
        self, settings: FlexibleSettings, framework: Atoms, molecule: RigidMolecule, temperature_k: float, seed: int
    ) -> None:
        self.settings, self._molecule, self._temperature_k, self._seed = settings, molecule, temperature_k, seed
        self._host_symbols = tuple(framework.get_chemical_symbols())
        self._cell = PeriodicCell(np.array(framework.cell))
        elements = tuple(dict.fromkeys((*self._host_symbols, *molecule.symbols)))
        conditions = MdConditions(
            temperature_k, 1e-3 * settings.dt_fs, settings.thermostat_ps, frozen_host=settings.frozen_host
        )
        forces = forces_of(elements, [] if settings.pair_baseline is None else [settings.pair_baseline])
        self._md = LammpsMd(settings.model_file, self._cell.matrix_ang, forces, conditions)
        self._host_masses, self._guest_masses = _masses(self._host_symbols), _masses(molecule.symbols)
        self._host_velocities = self._drawn(stream(seed, "velocities", "host"), self._host_masses)
        self._known: list[tuple[np.ndarray, np.ndarray]] = []
        self.n_segments = 0
        self.max_handover_ev = 0.0
        self._host_kinetic: list[float] = []
        self._guest_kinetic: list[float] = []

    def segment(
        self, host_ang: np.ndarray, guests: list[np.ndarray], *, record: bool
    ) -> tuple[np.ndarray, list[np.ndarray], tuple[float, float]]:
        """One segment from host (n_host, 3) and molecules: host, rigid molecules, and LAMMPS's energies of both ends.

        Molecules that moves have touched since the last segment get velocities drawn at the temperature, all others
        go on with their own. The host's mean position is kept: where the whole lies in the cell means nothing.
        record : the kinetic temperatures of the end count
        """
        settings, n_host = self.settings, len(host_ang)
        if settings.frozen_host and not guests:
            raise ValueError("nothing moves in a frozen host without molecules")
        rng = stream(self._seed, "velocities", self.n_segments)
        velocities = [self._host_velocities, *self._velocities(guests, rng)]
        system = MdSystem(
            self._host_symbols + self._molecule.symbols * len(guests),
            n_host,
            self._molecule.n_sites,
            np.concatenate([host_ang, *guests]),
            np.concatenate(velocities),
        )
        end = self._md.run(system, settings.steps, seed_for(self._seed, "thermostat", self.n_segments))
        self.n_segments += 1
        host = end.positions_ang[:n_host]
        if settings.frozen_host:
            host = host_ang  # without the rounding of the way through LAMMPS's cell
        drift = (host - host_ang).mean(axis=0) if n_host else np.zeros(3)
        moved = (end.positions_ang[n_host:] - drift).reshape(-1, self._molecule.n_sites, 3)
        new_guests = [self._molecule.fit(self._cell.unbroken(sites)) for sites in moved]
        if not settings.frozen_host:
            self._host_velocities = end.velocities_ang_ps[:n_host]
        guest_velocities = end.velocities_ang_ps[n_host:].reshape(moved.shape)
        self._known = list(zip(new_guests, guest_velocities, strict=True))
        if record:
            self._record(guest_velocities)
        return host - drift, new_guests, (end.first_energy_ev, end.last_energy_ev)

    def compare(self, energy_ev: float, md_energy_ev: float, n_atoms: int) -> None:
        """Raise BadInputError where the two energies of one configuration differ."""
        difference = abs(energy_ev - md_energy_ev)
        self.max_handover_ev = max(self.max_handover_ev, difference)
        limit = self.settings.tolerance_ev_per_atom * max(n_atoms, 1)
        if not difference <= limit:
            raise BadInputError(
                str(self.settings.model_file),
                expected=f"the energy of the moves, {energy_ev:.9g} eV, within {limit:.1g} eV",
                found=f"{md_energy_ev:.9g} eV in LAMMPS",
                action="use the same model in both parts",
            )

    def result(self) -> HybridRecord:
        """Record of the segments so far."""
        return HybridRecord(
            self.settings,
            self.n_segments,
            mean_and_error(self._host_kinetic) if self._host_kinetic else None,
            mean_and_error(self._guest_kinetic) if self._guest_kinetic else None,
            self.max_handover_ev,
        )

    def state(self, guests: list[np.ndarray]) -> dict[str, Any]:
        """All that a continuation needs, JSON-able; `guests` as the walker holds them."""
        known = {id(array): velocity for array, velocity in self._known}
        untouched = [known.get(id(array)) for array in guests]
        return {
            "host_velocities": self._host_velocities.tolist(),
            "guest_velocities": [None if v is None else v.tolist() for v in untouched],
            "n_segments": self.n_segments,
            "max_handover_ev": self.max_handover_ev,
            "host_kinetic": self._host_kinetic,
            "guest_kinetic": self._guest_kinetic,
        }

    def restore(self, state: Mapping[str, Any], guests: list[np.ndarray]) -> None:
        """Continue from `state`; `guests` as the walker holds them."""
        self._host_velocities = np.array(state["host_velocities"]).reshape(-1, 3)
        pairs = zip(guests, state["guest_velocities"], strict=True)
        self._known = [(array, np.array(velocity)) for array, velocity in pairs if velocity is not None]
        self.n_segments, self.max_handover_ev = state["n_segments"], state["max_handover_ev"]
        self._host_kinetic, self._guest_kinetic = list(state["host_kinetic"]), list(state["guest_kinetic"])

    def close(self) -> None:
        """End LAMMPS."""
        self._md.close()

    def _velocities(self, guests: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
        """Per molecule (n_sites, 3) Å/ps. The walker never writes into a molecule: the same array was not touched."""
        known = {id(array): velocity for array, velocity in self._known}
        return [known[id(g)] if id(g) in known else self._drawn(rng, self._guest_masses) for g in guests]

    def _drawn(self, rng: np.random.Generator, masses_amu: np.ndarray) -> np.ndarray:
        """Maxwell-Boltzmann velocities (n, 3), Å/ps; `fix rigid/small` keeps their part that moves a rigid body."""
        spread = np.sqrt(KB_EV_PER_K * self._temperature_k / (masses_amu * AMU_ANG2_PER_PS2_IN_EV))
        return rng.normal(size=(len(masses_amu), 3)) * spread[:, None]

    def _record(self, guest_velocities: np.ndarray) -> None:
        n_guests, n_sites = guest_velocities.shape[:2]
        if len(self._host_masses) and not self.settings.frozen_host:
            kinetic = _kinetic_ev(self._host_velocities, self._host_masses)
            self._host_kinetic.append(2.0 * kinetic / (3 * len(self._host_masses) * KB_EV_PER_K))
        if n_guests:
            kinetic = _kinetic_ev(guest_velocities.reshape(-1, 3), np.tile(self._guest_masses, n_guests))
            freedom = degrees_of_freedom(self._molecule) * n_guests
            self._guest_kinetic.append(2.0 * kinetic / (freedom * KB_EV_PER_K))


def degrees_of_freedom(molecule: RigidMolecule) -> int:
    """Of one rigid molecule: 3 for a single site, 5 for a linear one, 6 otherwise."""
    if molecule.n_sites == 1:
        return 3
    return 3 + int(np.linalg.matrix_rank(molecule.sites_ang, tol=1e-6) > 1) + 2


def _masses(symbols: tuple[str, ...]) -> np.ndarray:
    return np.array([atomic_masses[atomic_numbers[symbol]] for symbol in symbols], dtype=np.float64)


def _kinetic_ev(velocities_ang_ps: np.ndarray, masses_amu: np.ndarray) -> float:
    squares = np.einsum("ij,ij->i", velocities_ang_ps, velocities_ang_ps)
    return 0.5 * AMU_ANG2_PER_PS2_IN_EV * float(masses_amu @ squares)

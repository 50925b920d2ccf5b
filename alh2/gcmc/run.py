"""One simulation from its start to its last sample, continued from a restart file where there is one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from ase import Atoms

from alh2.core.errors import BadInputError
from alh2.core.nuclei import CLASSICAL_WORDS
from alh2.gcmc.engine import SizeAdaptation, advance, place_molecules, self_check
from alh2.gcmc.errors import UntrustworthyEnergyError
from alh2.gcmc.geometry import Contacts
from alh2.gcmc.hybrid import Hybrid
from alh2.gcmc.molecule import RigidMolecule
from alh2.gcmc.moves import Ensemble, weighted_moves
from alh2.gcmc.restart import Keeper, RestartState, check_same_inputs, read_restart
from alh2.gcmc.result import GcmcFrame
from alh2.gcmc.schedule import Schedule
from alh2.gcmc.settings import GcmcSettings
from alh2.gcmc.trajectory import TrajectoryWriter
from alh2.gcmc.walker import MOVE_NAMES, MoveCounts, UniformStream, Walker
from alh2.potential.feynman_hibbs import FeynmanHibbsSession
from alh2.potential.protocol import EnergySession, Potential


class Run:
    """One walker, its energy session and its samples: begin, advance to the next event, attend to it, finish."""

    def __init__(
        self,
        framework: Atoms,
        molecule: RigidMolecule,
        potential: Potential,
        ensemble: Ensemble,
        options: GcmcSettings,
        seed: int,
        hybrid: Hybrid | None = None,
    ) -> None:
        self.hybrid = hybrid
        self.options, self.ensemble, self.molecule, self.framework = options, ensemble, molecule, framework
        self.moves = weighted_moves(options.move_weights)
        self._potential = potential
        empty = potential.start(framework, molecule.symbols, np.zeros((0, molecule.n_sites, 3)))
        self.host_ev = self._bare_host_ev = finite_energy_ev(empty.energy_ev, "the framework alone")
        self.session: EnergySession = empty
        self.corrections_ev: list[float] | None = None
        self.nuclei = CLASSICAL_WORDS
        if isinstance(empty, FeynmanHibbsSession):
            self.corrections_ev, self.nuclei = [], empty.nuclei
        self.walker = Walker(
            UniformStream(np.random.default_rng(seed)),
            [],
            self.host_ev,
            min(options.translation_ang, 0.5 * ensemble.cell.longest_ang),
            min(options.rotation_rad, math.pi),
        )
        self.n_initial = 0
        self.numbers: list[int] = []
        self.energies_ev: list[float] = []
        self.host_energies_ev: list[float] = []
        self.frames: list[GcmcFrame] = []
        self._keeper = Keeper(options.restart) if options.restart else None
        self._trajectory = TrajectoryWriter(options.trajectory, molecule.symbols) if options.trajectory else None
        self._inputs: Mapping[str, str] = {}

    def begin(self, schedule: Schedule, n_random: int, inputs: Mapping[str, str]) -> None:
        """Take the initial molecules and place `n_random` more, or continue from the restart file of the options.

        inputs : what makes this run this run; a restart file of another one is refused with BadInputError
        """
        self.schedule, self._inputs = schedule, inputs
        self._kept = _kept_samples(schedule.n_samples, self.options.max_frames)
        self._adaptation = SizeAdaptation(self.walker, self.ensemble.cell.longest_ang)
        state = read_restart(self.options.restart.file) if self.options.restart else None
        if state is not None:
            assert self.options.restart is not None
            check_same_inputs(self.options.restart.file, state.inputs, inputs)
            self._restore(state)
            return
        guests = _initial_guests(self.molecule, self.ensemble, self.options)
        if guests:
            self.session = self._potential.start(self.framework, self.molecule.symbols, np.array(guests))
            self.walker.guests.extend(guests)
            what = f"the {len(guests)} initial molecules in the framework"
            self.walker.energy_ev = finite_energy_ev(self.session.energy_ev, what)
        self._place(n_random)
        if self._trajectory is not None:
            self._trajectory.open(0)
        if self._keeper is not None:
            self._check()
            self._keeper.at_point(0, schedule.n_total, self._state)

    @property
    def done(self) -> bool:
        """Whether all moves are done."""
        return self.walker.moves_done >= self.schedule.n_total

    def go(self) -> None:
        """All moves that are left; raises InterruptedRunError where the run must stop before its end."""
        try:
            while not self.done:
                n_moves = self.schedule.moves_to_event(self.walker.moves_done)
                advance(self.walker, self.session, self.ensemble, self.moves, n_moves)
                self.attend()
        finally:
            if self._trajectory is not None:
                self._trajectory.close()

    def attend(self) -> None:
        """What falls due after the moves done so far; call it after ``schedule.moves_to_event`` moves each time."""
        walker, schedule, done = self.walker, self.schedule, self.walker.moves_done
        if schedule.adapts_at(done):
            self._adaptation.update(walker)
        if schedule.checks_at(done):
            self._check()
        if schedule.samples_at(done):
            self._sample()
        if self._trajectory is not None and schedule.stores_at(done):
            move = done - schedule.n_equilibration
            self._trajectory.add(self.framework, self.guests_array(), move=move, energy_ev=walker.energy_ev)
        if done == schedule.n_equilibration:
            walker.counts = [MoveCounts() for _ in MOVE_NAMES]
        if schedule.segment_at(done):
            self._segment()
        if self.options.progress is not None and schedule.reports_at(done):
            self.options.progress(done, schedule.n_total, len(walker.guests))
        if self._keeper is not None:
            if schedule.restarts_at(done):
                self._keeper.at_point(done, schedule.n_total, self._state)
            else:
                self._keeper.between(done, schedule.n_total)
        if self._trajectory is not None and self.done:
            self._trajectory.finish()

    def guests_array(self) -> np.ndarray:
        """Copy of the molecules, (n_molecules, n_sites, 3) Å."""
        return np.array(self.walker.guests, dtype=np.float64).reshape(-1, self.molecule.n_sites, 3)

    def _place(self, n_molecules: int) -> None:
        self.n_initial = len(self.walker.guests) + n_molecules
        limit = self.options.max_molecules
        if limit is not None and n_molecules and self.n_initial > limit:
            raise BadInputError("n_initial", expected=f"at most max_molecules = {limit}", found=f"{self.n_initial}")
        place_molecules(self.walker, self.session, self.ensemble, n_molecules)

    def _check(self) -> None:
        self_check(self.walker, self.session, self.options.self_check_tolerance_ev)

    def _sample(self) -> None:
        walker = self.walker
        sample = len(self.numbers)
        self.numbers.append(len(walker.guests))
        self.energies_ev.append(walker.energy_ev)
        if self.hybrid is not None:
            self.host_energies_ev.append(self._bare_host_ev)
        if self.corrections_ev is not None:
            assert isinstance(self.session, FeynmanHibbsSession)
            self.corrections_ev.append(self.session.correction_ev)
        if sample in self._kept:
            move = (sample + 1) * self.schedule.sample_every
            host = None if self.hybrid is None else self.framework.positions.copy()
            self.frames.append(GcmcFrame(move, walker.energy_ev, self.guests_array(), host))

    def _segment(self) -> None:
        """Molecular dynamics from the present configuration; the energies of both parts must agree at both ends."""
        hybrid, walker = self.hybrid, self.walker
        assert hybrid is not None
        if hybrid.settings.frozen_host and not walker.guests:
            return
        measured = walker.moves_done > self.schedule.n_equilibration
        host_ang, guests, (first_ev, last_ev) = hybrid.segment(self.framework.positions, walker.guests, record=measured)
        n_atoms = len(host_ang) + len(guests) * self.molecule.n_sites
        hybrid.compare(walker.energy_ev, first_ev, n_atoms)
        self._move_host(host_ang)
        walker.guests[:] = guests
        self.session = self._potential.start(self.framework, self.molecule.symbols, self.guests_array())
        walker.energy_ev = float(self.session.energy_ev)
        hybrid.compare(walker.energy_ev, last_ev, n_atoms)

    def _move_host(self, host_ang: np.ndarray) -> None:
        """What depends on where the framework is: itself, its walls and its energy."""
        self.framework = self.framework.copy()
        self.framework.positions = host_ang
        options = self.options
        if options.min_distance_ang:
            contacts = Contacts(self.framework, self.ensemble.cell, options.min_distance_ang)
            self.ensemble = replace(self.ensemble, contacts=contacts)
        bare = self._potential.start(self.framework, self.molecule.symbols, np.zeros((0, self.molecule.n_sites, 3)))
        self._bare_host_ev = finite_energy_ev(bare.energy_ev, "the framework after molecular dynamics")

    def _state(self) -> RestartState:
        walker, frames = self.walker, self.frames
        n_sites = self.molecule.n_sites
        block_state, used = walker.uniform.state
        no_guests = np.zeros((0, n_sites, 3))
        return RestartState(
            inputs=dict(self._inputs),
            moves_done=walker.moves_done,
            counts=[[c.attempted, c.evaluated, c.accepted] for c in walker.counts],
            seen=[list(pair) for pair in self._adaptation.seen],
            n_initial=self.n_initial,
            uniform=[dict(block_state), used],
            trajectory_bytes=self._trajectory.flush() if self._trajectory is not None else 0,
            scalars=np.array([walker.energy_ev, walker.translation_ang, walker.rotation_rad, walker.max_drift_ev]),
            guests=self.guests_array(),
            numbers=np.array(self.numbers, dtype=np.int64),
            energies=np.array(self.energies_ev, dtype=np.float64),
            frame_moves=np.array([f.move for f in frames], dtype=np.int64),
            frame_numbers=np.array([len(f.guests_ang) for f in frames], dtype=np.int64),
            frame_energies=np.array([f.energy_ev for f in frames], dtype=np.float64),
            frame_guests=np.concatenate([no_guests, *(f.guests_ang for f in frames)]),
            frame_hosts=np.array([f.host_ang for f in frames if f.host_ang is not None], dtype=np.float64),
            host_energies=np.array(self.host_energies_ev, dtype=np.float64),
            extra=self._extra(),
        )

    def _extra(self) -> dict[str, Any]:
        if self.hybrid is not None:
            return {"host_ang": self.framework.positions.tolist(), **self.hybrid.state(self.walker.guests)}
        return {} if self.corrections_ev is None else {"corrections_ev": self.corrections_ev}

    def _restore(self, state: RestartState) -> None:
        walker = self.walker
        walker.uniform = UniformStream.restored((state.uniform[0], state.uniform[1]))
        walker.guests.extend(state.guests)
        walker.moves_done = state.moves_done
        walker.counts = [MoveCounts(*count) for count in state.counts]
        walker.energy_ev, walker.translation_ang, walker.rotation_rad, walker.max_drift_ev = state.scalars.tolist()
        self._adaptation.seen = [(a, b) for a, b in state.seen]
        self.n_initial = state.n_initial
        self.numbers, self.energies_ev = state.numbers.tolist(), state.energies.tolist()
        parts = np.split(state.frame_guests, np.cumsum(state.frame_numbers)[:-1]) if len(state.frame_numbers) else []
        rows = zip(state.frame_moves.tolist(), state.frame_energies.tolist(), parts, strict=True)
        hosts = list(state.frame_hosts) if self.hybrid is not None else [None] * len(parts)
        self.frames = [
            GcmcFrame(move, energy, guests, host) for (move, energy, guests), host in zip(rows, hosts, strict=True)
        ]
        self.host_energies_ev = state.host_energies.tolist()
        if self.corrections_ev is not None:
            self.corrections_ev = list(state.extra["corrections_ev"])
        if self.hybrid is not None:
            self.hybrid.restore(state.extra, walker.guests)
            self._move_host(np.array(state.extra["host_ang"]).reshape(-1, 3))
        self.session = self._potential.start(self.framework, self.molecule.symbols, state.guests)
        self._check_restored()
        if self._trajectory is not None and not (self.done and self._trajectory.finished_before()):
            self._trajectory.open(state.trajectory_bytes)
            if self.done:
                self._trajectory.finish()

    def _check_restored(self) -> None:
        assert self.options.restart is not None
        stored, now = self.walker.energy_ev, float(self.session.energy_ev)
        if not abs(stored - now) <= self.options.self_check_tolerance_ev:
            raise BadInputError(
                str(self.options.restart.file),
                expected=f"the energy of its configuration, {stored:.9g} eV",
                found=f"{now:.9g} eV by this potential",
                action="use the model the run was started with, or remove the file to start afresh",
            )
        self.walker.energy_ev = now


def _initial_guests(molecule: RigidMolecule, ensemble: Ensemble, options: GcmcSettings) -> list[np.ndarray]:
    """The molecules to start with, made rigid and moved into the cell."""
    if options.initial_guests_ang is None:
        return []
    given = np.asarray(options.initial_guests_ang, dtype=np.float64)
    if given.size == 0:
        return []
    if given.ndim != 3 or given.shape[1:] != (molecule.n_sites, 3) or not np.isfinite(given).all():
        raise BadInputError(
            "initial_guests_ang", expected=f"finite (n, {molecule.n_sites}, 3) Å", found=f"shape {given.shape}"
        )
    guests: list[np.ndarray] = []
    for number, sites in enumerate(given):
        sites = molecule.fit(ensemble.cell.unbroken(sites))
        if ensemble.contacts is not None and ensemble.contacts.too_close(sites, guests, None):
            raise BadInputError(
                f"initial_guests_ang[{number}]",
                expected=f"no contact below min_distance_ang = {options.min_distance_ang:g} Å",
                found="a closer one",
            )
        guests.append(sites)
    return guests


def _kept_samples(n_samples: int, max_frames: int) -> frozenset[int]:
    """Samples whose configuration is stored: all, or at most `max_frames` at even distances, the last included."""
    if not max_frames:
        return frozenset()
    stride = max(1, -(-n_samples // max_frames))
    return frozenset(range(n_samples - 1, -1, -stride))


def finite_energy_ev(energy_ev: float, what: str) -> float:
    """`energy_ev` of `what`; raises UntrustworthyEnergyError where it is not a finite number."""
    if not math.isfinite(energy_ev):
        raise UntrustworthyEnergyError(f"the potential gives {energy_ev} eV for {what}")
    return float(energy_ev)


def run_inputs(framework: Atoms, molecule: RigidMolecule, **conditions: Any) -> dict[str, str]:
    """Framework, molecule and `conditions` as text, for telling runs apart."""
    from alh2.core.files import digest_bytes

    framework_digest = digest_bytes(
        ",".join(framework.get_chemical_symbols()).encode(),
        np.ascontiguousarray(framework.positions).tobytes(),
        np.ascontiguousarray(np.array(framework.cell)).tobytes(),
    )
    molecule_digest = digest_bytes(",".join(molecule.symbols).encode(), molecule.sites_ang.tobytes())
    return {
        "framework": framework_digest,
        "molecule": molecule_digest,
        **{name: str(value) for name, value in conditions.items()},
    }

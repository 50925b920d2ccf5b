"""One simulation from its start to its last sample."""

from __future__ import annotations

import math

import numpy as np
from ase import Atoms

from alh2.core.errors import BadInputError
from alh2.gcmc.engine import SizeAdaptation, advance, place_molecules, self_check
from alh2.gcmc.errors import UntrustworthyEnergyError
from alh2.gcmc.molecule import RigidMolecule
from alh2.gcmc.moves import Ensemble, weighted_moves
from alh2.gcmc.result import GcmcFrame
from alh2.gcmc.settings import GcmcSettings
from alh2.gcmc.walker import MOVE_NAMES, MoveCounts, UniformStream, Walker
from alh2.potential.protocol import EnergySession, Potential

_ADAPT_EVERY = 500
_PROGRESS_STEPS = 100


class Run:
    """One walker, its energy session and its samples: place, equilibrate, measure, in this order."""

    def __init__(
        self,
        framework: Atoms,
        molecule: RigidMolecule,
        potential: Potential,
        ensemble: Ensemble,
        options: GcmcSettings,
        seed: int,
    ) -> None:
        self.options, self.ensemble, self.molecule = options, ensemble, molecule
        self.moves = weighted_moves(options.move_weights)
        guests = _initial_guests(molecule, ensemble, options)
        empty = np.zeros((0, molecule.n_sites, 3))
        session = potential.start(framework, molecule.symbols, empty)
        self.host_ev = finite_energy_ev(session.energy_ev, "the framework alone")
        if guests:
            session = potential.start(framework, molecule.symbols, np.array(guests))
        energy_ev = finite_energy_ev(session.energy_ev, f"the {len(guests)} initial molecules in the framework")
        self.session: EnergySession = session
        self.walker = Walker(
            UniformStream(np.random.default_rng(seed)),
            guests,
            energy_ev,
            min(options.translation_ang, 0.5 * ensemble.cell.longest_ang),
            min(options.rotation_rad, math.pi),
        )
        self.n_initial = len(guests)
        self.n_total = self.n_measured = 0
        self.numbers: list[int] = []
        self.energies_ev: list[float] = []
        self.frames: list[GcmcFrame] = []

    def place(self, n_molecules: int) -> None:
        """Add `n_molecules` at random places."""
        limit = self.options.max_molecules
        if limit is not None and self.n_initial + n_molecules > limit:
            raise BadInputError(
                "n_initial", expected=f"at most max_molecules = {limit}", found=f"{self.n_initial + n_molecules}"
            )
        place_molecules(self.walker, self.session, self.ensemble, n_molecules)
        self.n_initial = len(self.walker.guests)

    def equilibrate(self, n_moves: int, n_measured: int) -> None:
        """Moves that adapt the sizes and are not measured."""
        self.n_total, self.n_measured = n_moves + n_measured, n_measured
        adaptation = SizeAdaptation(self.walker, self.ensemble.cell.longest_ang)
        while self.walker.moves_done < n_moves:
            self._advance(min(_ADAPT_EVERY, n_moves - self.walker.moves_done))
            adaptation.update(self.walker)

    def measure(self, n_moves: int) -> None:
        """Moves with samples every `sample_every`, counted afresh, and a self-check at the end."""
        walker, options = self.walker, self.options
        walker.counts = [MoveCounts() for _ in MOVE_NAMES]
        n_samples = n_moves // options.sample_every
        kept = _kept_samples(n_samples, options.max_frames)
        for sample in range(n_samples):
            self._advance(options.sample_every)
            self.numbers.append(len(walker.guests))
            self.energies_ev.append(walker.energy_ev)
            if sample in kept:
                move = (sample + 1) * options.sample_every
                self.frames.append(GcmcFrame(move, walker.energy_ev, self.guests_array()))
        self._advance(n_moves - n_samples * options.sample_every)
        if options.self_check_every:
            self_check(walker, self.session, options.self_check_tolerance_ev)

    def guests_array(self) -> np.ndarray:
        """Copy of the molecules, (n_molecules, n_sites, 3) Å."""
        return np.array(self.walker.guests, dtype=np.float64).reshape(-1, self.molecule.n_sites, 3)

    def _advance(self, n_moves: int) -> None:
        """Moves up to the next sample, with self-checks and progress where they fall due."""
        walker, every, report = self.walker, self.options.self_check_every, self.options.progress
        notice = max(1, self.n_total // _PROGRESS_STEPS)
        end = walker.moves_done + n_moves
        while walker.moves_done < end:
            step = end - walker.moves_done
            if every:
                step = min(step, every - walker.moves_done % every)
            if report is not None:
                step = min(step, notice - walker.moves_done % notice)
            advance(walker, self.session, self.ensemble, self.moves, step)
            if every and walker.moves_done % every == 0:
                self_check(walker, self.session, self.options.self_check_tolerance_ev)
            if report is not None and (walker.moves_done % notice == 0 or walker.moves_done == self.n_total):
                report(walker.moves_done, self.n_total, len(walker.guests))


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

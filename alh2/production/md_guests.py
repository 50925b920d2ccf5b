"""Worker: molecules that move on a frozen host, by models of interaction energies with their pair baselines.

``python -m alh2.production.md_guests --job guests.json``. ASE moves the molecules (Langevin equilibration, then
velocity Verlet or a Nosé–Hoover chain); the host is part of the forces only. Trajectory and committee deviation are
written as LAMMPS writes them, and the end of a segment as an npz, which the next segment begins with. A thermostat
chain begins anew with every segment. Exit code 2 and one line on stderr for bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, TextIO

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.md.langevin import Langevin
from ase.md.nose_hoover_chain import NoseHooverChainNVT
from ase.md.velocitydistribution import thermalize_momenta
from ase.md.verlet import VelocityVerlet

from alh2.core.atoms import to_atoms
from alh2.core.errors import Alh2Error
from alh2.core.files import atomic_write_json, read_json_as
from alh2.core.frames import ATOMS_PER_H2, Frame
from alh2.core.lammps_cell import lammps_cell
from alh2.explore.lammps import DEVIATION_FILE, TRAJECTORY_FILE
from alh2.potential.deeppot import DeepPotEvaluator
from alh2.potential.frames_npz import load_frames, read_npz, write_npz
from alh2.potential.pair_baseline import load_pair_baseline

WORKER_MODULE = "alh2.production.md_guests"
JOB_FILE, START_FILE = "guests.json", "start.npz"
FRICTION_PER_PS = 20.0


@dataclass(frozen=True)
class GuestJob:
    """One segment.

    models, pair_baselines : of the committee, paths as seen from the folder; the first one moves the molecules
    start : frames file whose first frame has the host, and where the run begins unless `before` does: the end of the
        segment before
    first_step : of this segment; the first segment equilibrates for `n_equilibration` steps before it
    end : where positions and velocities go
    """

    models: tuple[str, ...]
    pair_baselines: tuple[str, ...]
    start: str
    before: str | None
    end: str
    mass_amu: float
    temperature_k: float
    dt_ps: float
    ensemble: str
    thermostat_ps: float
    n_equilibration: int
    n_steps: int
    first_step: int
    sample_every: int
    seed: int

    def save(self, path: Path) -> None:
        """Write as JSON, in one step."""
        atomic_write_json(path, asdict(self))


class Interaction:
    """One model: energy and forces of molecules on the host of `start`."""

    def __init__(self, model: Path, baseline: Path, start: Frame) -> None:
        from alh2.potential.pair_forces import PairForces

        under = load_pair_baseline(baseline)
        self._network, self._scale, self._start = DeepPotEvaluator(model), under.scale, start
        self._pairs = PairForces(under, to_atoms(start.bare_host()))

    def evaluate(self, guests_ang: np.ndarray) -> tuple[float, np.ndarray]:
        """Energy (eV) and forces (n, 2, 3) eV/Å of molecules (n, 2, 3) Å."""
        start, n_host = self._start, self._start.n_host
        positions = np.concatenate([start.positions_ang[:n_host], guests_ang.reshape(-1, 3)])
        energy, forces = self._network.raw(start.symbols, positions[None], start.cell_ang[None])
        own, on_guests = self._pairs.evaluate(guests_ang)
        return float(energy[0]) / self._scale + own, forces[0, n_host:].reshape(-1, 2, 3) / self._scale + on_guests


class Moves(Protocol):
    """What moves molecules on a host that stands still."""

    def evaluate(self, guests_ang: np.ndarray) -> tuple[float, np.ndarray]:
        """Energy (eV) and forces (n, 2, 3) eV/Å of molecules (n, 2, 3) Å."""
        ...


class OnHost(Calculator):  # type: ignore[misc]
    """ASE calculator of the molecules alone."""

    implemented_properties = ["energy", "forces"]

    def __init__(self, model: Moves) -> None:
        super().__init__()
        self._model = model

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Energy and forces of `atoms`."""
        super().calculate(atoms, list(properties), list(system_changes))
        energy, forces = self._model.evaluate(self.atoms.positions.reshape(-1, ATOMS_PER_H2, 3))
        self.results = {"energy": energy, "forces": forces.reshape(-1, 3)}


def run(job: GuestJob, folder: Path) -> None:
    """Run the segment in `folder`; raises BadInputError for models and files that are not what they should be."""
    (start,) = load_frames(folder / job.start)[:1]
    models = [
        Interaction(folder / model, folder / under, start)
        for model, under in zip(job.models, job.pair_baselines, strict=True)
    ]
    atoms = Atoms("H" * (ATOMS_PER_H2 * start.n_h2), start.positions_ang[start.n_host :], cell=start.cell_ang, pbc=True)
    atoms.set_masses([job.mass_amu] * len(atoms))
    atoms.calc = OnHost(models[0])
    dt, rng = 1e3 * job.dt_ps * units.fs, np.random.RandomState(job.seed % 2**32)
    if job.before is None:
        thermalize_momenta(atoms, job.temperature_k, rng=rng)
        friction = 1e-3 * FRICTION_PER_PS / units.fs
        Langevin(atoms, dt, temperature_K=job.temperature_k, friction=friction, fixcm=False, rng=rng).run(
            job.n_equilibration
        )
    else:
        before = read_npz(folder / job.before, "positions_ang", "velocities")
        atoms.positions = before["positions_ang"]
        atoms.set_velocities(before["velocities"])
    dynamics: VelocityVerlet | NoseHooverChainNVT = VelocityVerlet(atoms, dt)
    if job.ensemble == "nvt":
        dynamics = NoseHooverChainNVT(atoms, dt, job.temperature_k, 1e3 * job.thermostat_ps * units.fs)
    with open(folder / TRAJECTORY_FILE, "w") as dump, open(folder / DEVIATION_FILE, "w") as told:
        told.write("# step max_devi_f\n")

        def keep() -> None:
            step = job.first_step + dynamics.nsteps
            write_frame(dump, step, start, atoms.positions)
            told.write(f"{step} {deviation(models, atoms):.6e}\n")

        dynamics.attach(keep, interval=job.sample_every)
        dynamics.run(job.n_steps)
    write_npz(folder / job.end, positions_ang=atoms.positions, velocities=atoms.get_velocities())


def deviation(models: Sequence[Interaction], atoms: Atoms) -> float:
    """Largest committee deviation of the force on an atom (eV/Å), as DeePMD defines it; NaN for a single model."""
    if len(models) < 2:
        return float("nan")
    guests = atoms.positions.reshape(-1, ATOMS_PER_H2, 3)
    first = atoms.get_forces().reshape(guests.shape)
    forces = np.array([first, *(model.evaluate(guests)[1] for model in models[1:])])
    spread = np.sqrt(((forces - forces.mean(axis=0)) ** 2).sum(axis=-1).mean(axis=0))
    return float(spread.max(initial=0.0))


def write_frame(dump: TextIO, step: int, start: Frame, guests_ang: np.ndarray) -> None:
    """A frame as `alh2.explore.lammps.read_trajectory` reads it."""
    box, turn = lammps_cell(start.cell_ang)
    positions = np.concatenate([start.positions_ang[: start.n_host], guests_ang]) @ turn
    head = ["ITEM: TIMESTEP", str(step), "ITEM: NUMBER OF ATOMS", str(len(positions)), "ITEM: BOX BOUNDS xy xz yz"]
    head += [f"0.0 {box[k, k]:.10g} {tilt:.10g}" for k, tilt in enumerate((box[1, 0], box[2, 0], box[2, 1]))]
    head.append("ITEM: ATOMS id type xu yu zu")
    rows = (f"{k + 1} 1 {x:.10g} {y:.10g} {z:.10g}" for k, (x, y, z) in enumerate(positions))
    dump.write("\n".join((*head, *rows)) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line of the worker; returns the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m {WORKER_MODULE}", description=__doc__)
    parser.add_argument("--job", type=Path, required=True, help="written by GuestJob.save")
    options = parser.parse_args(arguments)
    try:
        run(read_json_as(options.job, GuestJob), options.job.resolve().parent)
    except Alh2Error as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

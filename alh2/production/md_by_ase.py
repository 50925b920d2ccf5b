"""Worker: molecular dynamics by models of interaction energies with their pair terms.

``python -m alh2.production.md_by_ase --job job.json``. The host stands still, or models of the bare host move it: then
energies are E(host) + E(interaction). ASE moves the atoms: Langevin equilibration, then velocity Verlet or a chain of
Nosé–Hoover. Trajectory and committee deviation are written as LAMMPS writes them, and the end of a segment as an npz,
which the next segment begins with. A thermostat chain begins anew with every segment. Exit code 2 and one line on
stderr for bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.md.langevin import Langevin
from ase.md.nose_hoover_chain import NoseHooverChainNVT
from ase.md.velocitydistribution import thermalize_momenta
from ase.md.verlet import VelocityVerlet

from alh2.core.atoms import to_atoms
from alh2.core.errors import Alh2Error, BadInputError
from alh2.core.files import atomic_write_json, read_json_as
from alh2.core.frames import ATOMS_PER_H2, Frame
from alh2.core.lammps_cell import lammps_cell
from alh2.explore.lammps import DEVIATION_FILE, TRAJECTORY_FILE
from alh2.potential.deeppot import DeepPotEvaluator
from alh2.potential.frames_npz import load_frames, read_npz, write_npz
from alh2.potential.host_springs import load_host_springs
from alh2.potential.pair_baseline import load_pair_baseline

WORKER_MODULE = "alh2.production.md_by_ase"
JOB_FILE, START_FILE = "job.json", "start.npz"
FRICTION_PER_PS = 20.0


@dataclass(frozen=True)
class AseJob:
    """One segment.

    models, pair_baselines : of the committee, paths as seen from the folder; the first one moves the molecules
    hosts, springs : models of the bare host, as many, the first one of which moves it, (): it stands still; and the
        springs under them, () for none
    start : frames file whose first frame has the host, and where the run begins unless `before` does: the end of the
        segment before
    first_step : of this segment; the first segment equilibrates for `n_equilibration` steps before it
    end : where positions and velocities of the atoms that move go
    masses_amu : (n_atoms,) of the frame
    """

    models: tuple[str, ...]
    pair_baselines: tuple[str, ...]
    hosts: tuple[str, ...]
    springs: tuple[str, ...]
    start: str
    before: str | None
    end: str
    masses_amu: tuple[float, ...]
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


Evaluate = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""Energy (eV) and forces (n, 3) eV/Å of atoms that move, from their positions (n, 3) Å."""


class HostModel:
    """One model of the bare host of `start`: a network, and the springs under it where it has any."""

    def __init__(self, model: Path, springs: Path | None, start: Frame) -> None:
        self._network = DeepPotEvaluator(model)
        self._symbols, self._cell = start.symbols[: start.n_host], start.cell_ang
        self._springs = None if springs is None else load_host_springs(springs)
        if self._springs is not None and self._springs.n_atoms != start.n_host:
            found = f"{self._springs.n_atoms}"
            raise BadInputError(str(springs), expected=f"springs of {start.n_host} atoms", found=found)

    def evaluate(self, positions_ang: np.ndarray) -> tuple[float, np.ndarray]:
        """Energy (eV) and forces (n_host, 3) eV/Å of the host at (n_host, 3) Å."""
        energies, found = self._network.raw(self._symbols, positions_ang[None], self._cell[None])
        if self._springs is None:
            return float(energies[0]), found[0]
        energy, forces = self._springs.evaluate(positions_ang, self._cell)
        return energy + float(energies[0]) / self._springs.scale, forces + found[0] / self._springs.scale


class Interaction:
    """One model: energy and forces of molecules on the host of `start`, which stands still or moves by `host`."""

    def __init__(self, model: Path, baseline: Path, start: Frame, host: HostModel | None = None) -> None:
        from alh2.potential.pair_forces import PairForces

        under = load_pair_baseline(baseline)
        self._network, self._scale, self._start = DeepPotEvaluator(model), under.scale, start
        self._pairs = PairForces(under, to_atoms(start.bare_host()))
        self._host = host

    def evaluate(self, moving_ang: np.ndarray) -> tuple[float, np.ndarray]:
        """Energy (eV) and forces (eV/Å) from the positions (Å) of what moves: molecules, or all atoms, (n, 3)."""
        start, n_host = self._start, self._start.n_host
        host_ang = start.positions_ang[:n_host] if self._host is None else moving_ang[:n_host]
        guests_ang = moving_ang if self._host is None else moving_ang[n_host:]
        positions = np.concatenate([host_ang, guests_ang])
        cell = start.cell_ang[None]
        energies, found = self._network.raw(start.symbols, positions[None], cell)
        energy, forces = float(energies[0]) / self._scale, found[0] / self._scale
        own, on_host, on_guests = self._pairs.with_host(host_ang, guests_ang.reshape(-1, ATOMS_PER_H2, 3))
        forces[:n_host] += on_host
        forces[n_host:] += on_guests.reshape(-1, 3)
        if self._host is None:
            return energy + own, forces[n_host:]
        of_host, on_host = self._host.evaluate(host_ang)
        forces[:n_host] += on_host
        return energy + own + of_host, forces


class MovedBy(Calculator):  # type: ignore[misc]
    """ASE calculator of the atoms that move."""

    implemented_properties = ["energy", "forces"]

    def __init__(self, evaluate: Evaluate) -> None:
        super().__init__()
        self._evaluate = evaluate

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Energy and forces of `atoms`."""
        super().calculate(atoms, list(properties), list(system_changes))
        energy, forces = self._evaluate(self.atoms.positions)
        self.results = {"energy": energy, "forces": forces}


def moving_atoms(start: Frame, masses_amu: Sequence[float], *, frozen_host: bool) -> Atoms:
    """What moves of `start`."""
    atoms = to_atoms(start)
    atoms.set_masses(list(masses_amu))
    return atoms[start.n_host :] if frozen_host else atoms


def equilibrate(
    atoms: Atoms, dt: float, temperature_k: float, n_steps: int, rng: np.random.RandomState, *, whole: bool
) -> None:
    """Velocities of `temperature_k`, and Langevin dynamics of `n_steps` of `dt` (ASE's unit).

    whole : nothing stands still: the momentum of all atoms together is taken out at the end
    """
    thermalize_momenta(atoms, temperature_k, rng=rng)
    friction = 1e-3 * FRICTION_PER_PS / units.fs
    Langevin(atoms, dt, temperature_K=temperature_k, friction=friction, fixcm=False, rng=rng).run(n_steps)
    if whole:
        momenta = atoms.get_momenta()
        atoms.set_momenta(momenta - atoms.get_masses()[:, None] * momenta.sum(axis=0) / atoms.get_masses().sum())


def chain(atoms: Atoms, dt: float, temperature_k: float, thermostat_ps: float, *, whole: bool) -> NoseHooverChainNVT:
    """Nosé–Hoover chain.

    whole : nothing stands still, and all atoms together have no momentum: its three degrees of freedom, which ASE's
        chain counts, are taken off the temperature that it is told
    """
    if whole:
        temperature_k *= (len(atoms) - 1) / len(atoms)
    return NoseHooverChainNVT(atoms, dt, temperature_k, 1e3 * thermostat_ps * units.fs)


def run(job: AseJob, folder: Path) -> None:
    """Run the segment in `folder`; raises BadInputError for models and files that are not what they should be."""
    (start,) = load_frames(folder / job.start)[:1]
    frozen = not job.hosts
    springs: Sequence[Path | None] = [folder / path for path in job.springs] or [None] * len(job.hosts)
    moving = zip(job.hosts, springs, strict=True)
    hosts: Sequence[HostModel | None] = [HostModel(folder / host, under, start) for host, under in moving]
    models = [
        Interaction(folder / model, folder / under, start, host)
        for model, under, host in zip(job.models, job.pair_baselines, hosts or [None] * len(job.models), strict=True)
    ]
    atoms = moving_atoms(start, job.masses_amu, frozen_host=frozen)
    atoms.calc = MovedBy(models[0].evaluate)
    dt = 1e3 * job.dt_ps * units.fs
    if job.before is None:
        rng = np.random.RandomState(job.seed % 2**32)
        equilibrate(atoms, dt, job.temperature_k, job.n_equilibration, rng, whole=not frozen)
    else:
        before = read_npz(folder / job.before, "positions_ang", "velocities")
        atoms.positions = before["positions_ang"]
        atoms.set_velocities(before["velocities"])
    dynamics: VelocityVerlet | NoseHooverChainNVT = VelocityVerlet(atoms, dt)
    if job.ensemble == "nvt":
        dynamics = chain(atoms, dt, job.temperature_k, job.thermostat_ps, whole=not frozen)
    with open(folder / TRAJECTORY_FILE, "w") as dump, open(folder / DEVIATION_FILE, "w") as told:
        told.write("# step max_devi_f\n")

        def keep() -> None:
            step = job.first_step + dynamics.nsteps
            still = start.positions_ang[: start.n_host] if frozen else atoms.positions[:0]
            write_frame(dump, step, start.cell_ang, np.concatenate([still, atoms.positions]))
            told.write(f"{step} {deviation(models, atoms):.6e}\n")

        dynamics.attach(keep, interval=job.sample_every)
        dynamics.run(job.n_steps)
    write_npz(folder / job.end, positions_ang=atoms.positions, velocities=atoms.get_velocities())


def deviation(models: Sequence[Interaction], atoms: Atoms) -> float:
    """Largest committee deviation of the force on an atom that moves (eV/Å), as DeePMD has it; NaN for one model."""
    if len(models) < 2:
        return float("nan")
    forces = np.array([atoms.get_forces(), *(model.evaluate(atoms.positions)[1] for model in models[1:])])
    spread = np.sqrt(((forces - forces.mean(axis=0)) ** 2).sum(axis=-1).mean(axis=0))
    return float(spread.max(initial=0.0))


def write_frame(dump: TextIO, step: int, cell_ang: np.ndarray, positions_ang: np.ndarray) -> None:
    """A frame as `alh2.explore.lammps.read_trajectory` reads it."""
    box, turn = lammps_cell(cell_ang)
    positions = positions_ang @ turn
    head = ["ITEM: TIMESTEP", str(step), "ITEM: NUMBER OF ATOMS", str(len(positions)), "ITEM: BOX BOUNDS xy xz yz"]
    head += [f"0.0 {box[k, k]:.10g} {tilt:.10g}" for k, tilt in enumerate((box[1, 0], box[2, 0], box[2, 1]))]
    head.append("ITEM: ATOMS id type xu yu zu")
    rows = (f"{k + 1} 1 {x:.10g} {y:.10g} {z:.10g}" for k, (x, y, z) in enumerate(positions))
    dump.write("\n".join((*head, *rows)) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line of the worker; returns the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m {WORKER_MODULE}", description=__doc__)
    parser.add_argument("--job", type=Path, required=True, help="written by AseJob.save")
    options = parser.parse_args(arguments)
    try:
        run(read_json_as(options.job, AseJob), options.job.resolve().parent)
    except Alh2Error as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What ``alh2 gcmc`` does: check, run one or several replicas, show and write."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from alh2.cli.gcmc_show import progress_line, show, write_results
from alh2.cli.signals import StopOnSignals
from alh2.core.errors import Alh2Error, BadInputError

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms

    from alh2.core.nuclei import Quantum
    from alh2.gcmc import FlexibleSettings, GcmcResult, GcmcSettings, RestartSettings, RigidMolecule
    from alh2.potential.load import DescribedPotential
    from alh2.potential.protocol import Potential

TRAJECTORY_FORMATS = ("extxyz", "lammpstrj")


@dataclass(frozen=True)
class Inputs:
    """Model and structure, and how they are used."""

    models: list[Path]
    structure: Path
    pair_baseline: Path | None
    dataset: Path | None
    bond_length_ang: float | None
    min_distance_ang: float


@dataclass(frozen=True)
class Lengths:
    """Conditions and length of the run."""

    temperature_k: float
    pressure_bar: float | None
    fugacity_bar: float | None
    n_moves: int
    n_equilibration: int | None
    sample_every: int
    max_molecules: int | None
    seed: int


@dataclass(frozen=True)
class OutputOptions:
    """What is written where; deadline_s : value of time.monotonic() before which the run stops."""

    folder: Path | None
    max_wall_s: float | None
    deadline_s: float | None
    restart_every: int
    trajectory: str | None
    trajectory_every: int


@dataclass(frozen=True)
class FlexibleOptions:
    """The molecular dynamics of ``--flexible``."""

    moves_per_block: int
    steps: int
    dt_fs: float


@dataclass(frozen=True)
class Moves:
    """How it moves: molecules placed at random in each replica, bias of insertions, re-insertions, dynamics, nuclei."""

    initial: tuple[int, ...]
    biased: bool
    reinsertion: float
    flexible: FlexibleOptions | None
    quantum: Quantum


@dataclass(frozen=True, eq=False)
class Replica:
    """One run: loading at random, seed, and where its files go (None: nowhere)."""

    n_random: int
    seed: int
    folder: Path | None


def run_command(inputs: Inputs, lengths: Lengths, outputs: OutputOptions, moves: Moves) -> None:
    """Run, show and write; raises Alh2Error with the exit code for anything that goes wrong."""
    from alh2.gcmc import RigidMolecule
    from alh2.potential.feynman_hibbs import with_nuclei
    from alh2.potential.load import load_potential
    from alh2.potential.pair_baseline import baseline_beside

    _check_output(outputs)
    if lengths.n_moves < 1:
        raise BadInputError("--moves", expected="a whole number >= 1", found=f"{lengths.n_moves}")
    fugacity = _fugacity(lengths)
    molecule = RigidMolecule.h2(inputs.bond_length_ang)
    host, guests_ang = _host_and_guests(inputs.structure)
    _check_dataset(inputs.dataset)
    baseline = inputs.pair_baseline or baseline_beside(inputs.models[0])
    dynamics = _dynamics(moves, inputs.models[0], baseline)
    model = load_potential(inputs.models, pair_baseline=baseline)
    potential = with_nuclei(model, moves.quantum, temperature_k=lengths.temperature_k)
    typer.echo(potential.describe())
    typer.echo(
        f"{inputs.structure}: host {host.get_chemical_formula(mode='hill') or 'empty box'}, "
        f"{len(guests_ang)} H2 in the file, {' or '.join(map(str, moves.initial))} more at random"
    )
    replicas = _replicas(moves.initial, lengths.seed, outputs.folder)
    identity = _identity(inputs.models[0], baseline, moves.quantum)
    settings = _moves_of(_settings(inputs, lengths, guests_ang), moves, (host, molecule, model), lengths)
    with StopOnSignals(waits=outputs.folder is not None) as stop:
        each = [_own_settings(settings, outputs, replica, identity=identity, stop=stop) for replica in replicas]
        if len(replicas) > 1 and settings.progress is not None:
            each[1:] = [replace(s, progress=None) for s in each[1:]]
        try:
            results = _simulate(host, molecule, potential, lengths, fugacity, replicas, each, dynamics)
        except KeyboardInterrupt:
            raise _interrupted(outputs.folder) from None
    show(results, lengths.pressure_bar)
    if outputs.folder is not None:
        write_results(results, [r.folder for r in replicas], outputs.folder, lengths.pressure_bar, inputs)


def _simulate(
    host: Atoms,
    molecule: RigidMolecule,
    potential: DescribedPotential,
    lengths: Lengths,
    fugacity: float,
    replicas: list[Replica],
    settings: list[GcmcSettings],
    dynamics: FlexibleSettings | None,
) -> list[GcmcResult]:
    from alh2.gcmc import simulate, simulate_flexible
    from alh2.gcmc.together import run_together

    molecule = molecule.resolve(potential)

    def job(replica: Replica, own: GcmcSettings) -> Callable[[Potential], GcmcResult]:
        conditions: dict[str, Any] = {
            "temperature_k": lengths.temperature_k,
            "fugacity_bar": fugacity,
            "n_moves": lengths.n_moves,
        }
        also: dict[str, Any] = {"seed": replica.seed, "n_initial": replica.n_random, "settings": own}
        if dynamics is not None:
            return lambda seat: simulate_flexible(host, molecule, seat, flexible=dynamics, **conditions, **also)
        return lambda seat: simulate(host, molecule, seat, **conditions, **also)

    jobs = [job(replica, own) for replica, own in zip(replicas, settings, strict=True)]
    if dynamics is not None:
        return [run(potential) for run in jobs]
    return run_together(potential, jobs)


def _replicas(initial: tuple[int, ...], seed: int, folder: Path | None) -> list[Replica]:
    from alh2.core.random_streams import seed_for

    if len(initial) == 1:
        return [Replica(initial[0], seed, folder)]
    return [
        Replica(n, seed_for(seed, "replica", k), None if folder is None else folder / f"replica.{k}")
        for k, n in enumerate(initial)
    ]


def _settings(inputs: Inputs, lengths: Lengths, guests_ang: np.ndarray) -> GcmcSettings:
    from alh2.gcmc import GcmcSettings

    return GcmcSettings(
        n_equilibration=lengths.n_equilibration,
        sample_every=min(lengths.sample_every, lengths.n_moves),
        max_molecules=lengths.max_molecules,
        initial_guests_ang=guests_ang,
        min_distance_ang=inputs.min_distance_ang,
        progress=progress_line(),
    )


def _moves_of(
    settings: GcmcSettings, moves: Moves, system: tuple[Atoms, RigidMolecule, DescribedPotential], lengths: Lengths
) -> GcmcSettings:
    """With the moves asked for."""
    from alh2.gcmc import MoveWeights, host_energy_grid

    settings = replace(settings, move_weights=MoveWeights(reinsertion=moves.reinsertion))
    if not moves.biased:
        return settings
    host, molecule, potential = system
    if moves.flexible is not None or not len(host):
        found = "--flexible" if len(host) else "an empty box"
        raise BadInputError("--biased", expected="a rigid framework, whose empty sites stay", found=found)
    grid = host_energy_grid(
        host, molecule, potential, temperature_k=lengths.temperature_k, seed=lengths.seed,
        min_distance_ang=settings.min_distance_ang,
    )  # fmt: skip
    typer.echo(f"insertions drawn from an energy grid of {len(grid.voxels)} leaves")
    return replace(settings, energy_grid=grid)


def _own_settings(
    settings: GcmcSettings, outputs: OutputOptions, replica: Replica, *, identity: str, stop: Callable[[], bool]
) -> GcmcSettings:
    """With the restart file and the trajectory of one replica."""
    from alh2.gcmc import RestartSettings, TrajectorySettings
    from alh2.gcmc.restart import read_restart

    if replica.folder is None:
        return settings
    restart: RestartSettings = RestartSettings(
        replica.folder / "restart.npz",
        every=outputs.restart_every,
        deadline_s=outputs.deadline_s,
        stop=stop,
        identity=identity,
    )
    before = read_restart(restart.file)
    if before is not None:
        typer.echo(f"going on from {restart.file}, {before.moves_done} moves done")
    if outputs.trajectory is None:
        return replace(settings, restart=restart)
    trajectory = TrajectorySettings(replica.folder / f"trajectory.{outputs.trajectory}", outputs.trajectory_every)
    return replace(settings, restart=restart, trajectory=trajectory)


def _dynamics(moves: Moves, model: Path, baseline: Path | None) -> FlexibleSettings | None:
    from alh2.gcmc import FlexibleSettings
    from alh2.potential.lammps_forces import acts_on_atoms
    from alh2.potential.pair_baseline import load_pair_baseline

    flexible = moves.flexible
    if flexible is None:
        return None
    if moves.quantum != "classical":
        raise BadInputError("--quantum", expected="classical with --flexible", found=moves.quantum)
    if baseline is not None and not acts_on_atoms(load_pair_baseline(baseline)):
        raise BadInputError(
            "--flexible",
            expected="a model of the total energy, which LAMMPS can run",
            found=f"one trained on top of {baseline}, with terms at the centres of molecules",
            action="use a total model, or leave the framework rigid",
        )
    return FlexibleSettings(model, baseline, flexible.moves_per_block, flexible.steps, flexible.dt_fs)


def _check_output(outputs: OutputOptions) -> None:
    folder = outputs.folder
    if outputs.trajectory not in (None, *TRAJECTORY_FORMATS):
        raise BadInputError("--trajectory", expected=" or ".join(TRAJECTORY_FORMATS), found=f"{outputs.trajectory}")
    if outputs.max_wall_s is not None and not (math.isfinite(outputs.max_wall_s) and outputs.max_wall_s > 0.0):
        raise BadInputError("--max-wall-s", expected="a positive number of seconds", found=f"{outputs.max_wall_s}")
    if folder is None:
        for option, value in (("--trajectory", outputs.trajectory), ("--max-wall-s", outputs.max_wall_s)):
            if value is not None:
                raise BadInputError(option, expected="--output, a folder to write to", found="none")
        return
    if folder.exists() and not folder.is_dir():
        raise BadInputError(str(folder), expected="a folder for the results", found="a file")
    if (folder / "result.json").exists():
        raise BadInputError(
            str(folder),
            expected="a new folder or one with an unfinished run",
            found="a finished run (result.json)",
            action="choose another folder",
        )


def _check_dataset(dataset: Path | None) -> None:
    from alh2.dataset.checks import require_insertion_energy_determined
    from alh2.dataset.store import DatasetStore

    if dataset is not None:
        require_insertion_energy_determined(DatasetStore.open(dataset).counts(), where=str(dataset))


def _identity(model: Path, baseline: Path | None, quantum: Quantum) -> str:
    from alh2.core.files import digest_bytes

    digest = digest_bytes(*(path.read_bytes() for path in (model, baseline) if path is not None))
    return digest if quantum == "classical" else f"{digest} {quantum}"


def _interrupted(folder: Path | None) -> Alh2Error:
    from alh2.core.errors import InterruptedCampaignError

    if folder is None:
        return Alh2Error("interrupted; without --output nothing is kept")
    return InterruptedCampaignError("interrupted; the same command resumes from its restart file")


def _fugacity(lengths: Lengths) -> float:
    from alh2.gcmc import fugacity_bar

    pressure, fugacity = lengths.pressure_bar, lengths.fugacity_bar
    if (pressure is None) == (fugacity is None):
        found = "neither" if pressure is None else "both"
        raise BadInputError("gcmc", expected="either --pressure or --fugacity", found=found)
    if pressure is not None:
        return fugacity_bar(pressure, lengths.temperature_k)
    assert fugacity is not None
    return fugacity


def _host_and_guests(path: Path) -> tuple[Atoms, np.ndarray]:
    """The host and the guests (n_molecules, 2, 3) Å of the last structure in `path`; raises BadInputError."""
    from ase import Atoms
    from ase.io import read

    from alh2.structure.topology import split_host_guests

    try:
        atoms = read(path)
    except Exception as error:  # noqa: BLE001 (ASE's readers of many formats raise anything, AssertionError too)
        found = f"{type(error).__name__}: {error}".splitlines()[0] if path.exists() else "no such file"
        raise BadInputError(str(path), expected="a structure file", found=found, action="check the path") from None
    assert isinstance(atoms, Atoms)
    if atoms.cell.rank < 3:
        raise BadInputError(str(path), expected="a cell with three independent vectors", found="none in the file")
    atoms.pbc = True
    ordered, n_host = split_host_guests(atoms)
    return ordered[:n_host], ordered.positions[n_host:].reshape(-1, 2, 3)

"""Production MD: replicas at several temperatures as rows of dispatched segments, watched as they come in."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from alh2.config.model import StageMachine
from alh2.core.errors import BadInputError, NeedsPersonError
from alh2.core.files import atomic_write_text
from alh2.core.frames import Frame
from alh2.core.random_streams import seed_for
from alh2.dispatch.run import Progress, run_tasks
from alh2.dispatch.tasks import Task, TaskOutcome, forget_failures
from alh2.explore.lammps import (
    CONF_FILE,
    DEVIATION_FILE,
    INPUT_FILE,
    LOG_FILE,
    TRAJECTORY_FILE,
    last_error,
    read_deviation,
    read_trajectory,
    write_conf,
)
from alh2.explore.md import MD_TIMEOUT_S
from alh2.potential.frames_npz import save_frames
from alh2.production.md_by_ase import JOB_FILE, START_FILE, WORKER_MODULE, AseJob
from alh2.production.md_plan import END_FILE, MdPlan, MdRunsSetting, by_ase, movers, segment_input
from alh2.production.md_probe import probed_command
from alh2.production.pimd import (
    BeadEnergies,
    beads_of,
    centroid,
    pimd_command,
    pimd_input,
    read_bead_frames,
    read_energies,
    worst,
)
from alh2.select.sanity import find_insane


@dataclass(eq=False)
class MdTrajectory:
    """One replica as far as it came.

    member : the model whose forces move it
    steps, frames : what is analysed, in time order; deviations_ev_ang : of these frames, NaN where none was asked
    beads, energies : of path integrals, whose frames are centroids: the beads of each frame, and its energies
    n_untrusted : frames at or beyond the trusted deviation, of all that were seen
    ended : why the run ended early, "" where it did not
    """

    temperature_k: float
    replica: int
    steps: list[int] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    beads: list[list[Frame]] = field(default_factory=list)
    energies: list[BeadEnergies | None] = field(default_factory=list)
    deviations_ev_ang: list[float] = field(default_factory=list)
    n_untrusted: int = 0
    ended: str = ""
    member: int = 0

    @property
    def name(self) -> str:
        """Folder of its segments."""
        return f"{self.temperature_k:g}K.r{self.replica}"

    def slices(self) -> list[list[Frame]]:
        """The frames of each bead in time order, whose places are those of the nuclei; `frames` of classical ones."""
        return [list(bead) for bead in zip(*self.beads, strict=True)] if self.beads else [self.frames]


def run_md_plan(
    plan: MdPlan,
    setting: MdRunsSetting,
    *,
    machine: StageMachine,
    on_progress: Callable[[Progress], None] | None = None,
    on_message: Callable[[str], None] | None = None,
) -> list[MdTrajectory]:
    """All replicas, segment by segment, finished ones reused.

    After each segment: the committee's deviation against `plan.trusted_ev_ang`, and the geometry (overlaps, H2 bonds,
    bonds of the framework). A replica whose geometry is not sound ends there, its unsound frames left out. One that was
    killed from outside runs again.

    Raises NeedsPersonError where LAMMPS fails in every replica, and under the policy "stop"; BadInputError for a frozen
    host without molecules.
    """
    if plan.frozen_host and not setting.start.n_h2:
        raise BadInputError("frozen host", expected="molecules to move", found="none", action="give a loading")
    say = on_message or (lambda text: None)
    n_models = len(movers(plan, setting))
    runs = [
        MdTrajectory(t, r, member=plan.member(r, n_models)) for t in plan.temperatures_k for r in range(plan.n_replicas)
    ]
    by_python = by_ase(plan, setting)
    forget_failures(setting.directory, only_killed=True)
    setting.forces.write_table(setting.directory)
    if plan.n_beads == 1 and not by_python:
        command = probed_command(
            plan, setting, machine=machine, n_runs=len(runs), on_progress=on_progress, on_message=on_message
        )
        setting = replace(setting, command=command)
    for number in range(len(plan.segments)):
        going = [run for run in runs if not run.ended]
        if not going:
            break
        if by_python:
            tasks = [_prepare_ase(plan, setting, run, number) for run in going]
        else:
            tasks = [_prepare(plan, setting, run, number, machine) for run in going]
        outcomes = run_tasks(
            tasks, machine=machine, base_dir=setting.directory, name=f"md.seg.{number:03d}", on_progress=on_progress
        )
        for run, outcome in zip(going, outcomes, strict=True):
            _take(plan, setting, run, outcome)
            if run.ended:
                say(f"{run.name}: ended in segment {number}: {run.ended}")
        if number == 0 and all(outcome.status != "done" for outcome in outcomes):
            raise NeedsPersonError(f"MD failed in every replica; {tasks[0].work_dir}: {going[0].ended}")
        untrusted = [run for run in going if run.n_untrusted]
        if untrusted and plan.on_untrusted == "stop":
            raise NeedsPersonError(
                f"{untrusted[0].name} left the trusted range in segment {number}: {untrusted[0].n_untrusted} frames "
                f"with a force deviation of {plan.trusted_ev_ang:g} eV/Å or more; label such frames and train on, or "
                "repeat with --on-untrusted cut or flag"
            )
    return runs


def _prepare(plan: MdPlan, setting: MdRunsSetting, run: MdTrajectory, number: int, machine: StageMachine) -> Task:
    """Write the files of one segment; repeatable."""
    folder = setting.directory / run.name / f"seg.{number:03d}"
    folder.mkdir(parents=True, exist_ok=True)
    graphs = setting.graphs[run.member :] + setting.graphs[: run.member]
    models = tuple(os.path.relpath(graph, folder) for graph in graphs)
    seed = seed_for(setting.root_seed, "production-md", run.name)
    make, quantum = (pimd_input, True) if plan.n_beads > 1 else (segment_input, False)
    text = make(plan, setting, temperature_k=run.temperature_k, number=number, seed=seed, models=models)
    atomic_write_text(folder / INPUT_FILE, text)
    files = setting.shared_files
    beads = beads_of(plan.n_beads) if quantum else ()
    ends = [bead.end for bead in beads] or [END_FILE]
    if number:
        before = folder.parent / f"seg.{number - 1:03d}"
        files += [os.path.relpath(before / end, setting.directory) for end in ends]
    else:
        write_conf(setting.start_of(run.replica), folder / CONF_FILE, forces=setting.forces)
        files.append(CONF_FILE)
    written = [name for bead in beads for name in (bead.trajectory, bead.energies)] or [TRAJECTORY_FILE]
    if len(setting.graphs) > 1:
        written += [bead.deviation for bead in beads] or [DEVIATION_FILE]
    command = f"{setting.command} -i {INPUT_FILE} -log {LOG_FILE} -screen none"
    return Task(
        work_dir=folder,
        command=pimd_command(plan, setting.command, machine) if quantum else command,
        inputs=(INPUT_FILE, *files),
        outputs=(*written, *ends),
        timeout_s=MD_TIMEOUT_S,
        label=f"MD {run.name} segment {number}",
    )


def _prepare_ase(plan: MdPlan, setting: MdRunsSetting, run: MdTrajectory, number: int) -> Task:
    """The same where models of interaction energies move the molecules, and those of the host it."""
    folder = setting.directory / run.name / f"seg.{number:03d}"
    folder.mkdir(parents=True, exist_ok=True)
    own = ((), ()) if plan.frozen_host else (setting.hosts, setting.springs)
    models, under, hosts, springs = (
        paths[run.member :] + paths[: run.member] for paths in (setting.interaction, setting.under, *own)
    )
    save_frames(folder / START_FILE, [setting.start_of(run.replica)])
    before = None if not number else os.path.relpath(folder.parent / f"seg.{number - 1:03d}" / END_FILE, folder)
    job = AseJob(
        models=tuple(os.path.relpath(path, folder) for path in models),
        pair_baselines=tuple(os.path.relpath(path, folder) for path in under),
        hosts=tuple(os.path.relpath(path, folder) for path in hosts),
        springs=tuple(os.path.relpath(path, folder) for path in springs),
        start=START_FILE,
        before=before,
        end=END_FILE,
        masses_amu=setting.forces.atom_masses_amu(setting.start, setting.masses_amu),
        temperature_k=run.temperature_k,
        dt_ps=plan.dt_ps,
        ensemble=plan.ensemble,
        thermostat_ps=plan.thermostat_ps,
        n_equilibration=plan.n_equilibration,
        n_steps=plan.segments[number],
        first_step=plan.n_equilibration + sum(plan.segments[:number]),
        sample_every=plan.sample_every,
        seed=seed_for(setting.root_seed, "production-md", run.name),
    )
    job.save(folder / JOB_FILE)
    shared = [*(os.path.relpath(path, setting.directory) for path in (*models, *under, *hosts, *springs))]
    if number:
        shared.append(os.path.relpath(folder.parent / f"seg.{number - 1:03d}" / END_FILE, setting.directory))
    return Task(
        work_dir=folder,
        command=f"{setting.python} -m {WORKER_MODULE} --job {JOB_FILE}",
        inputs=(JOB_FILE, START_FILE, *shared),
        outputs=(TRAJECTORY_FILE, DEVIATION_FILE, END_FILE),
        timeout_s=MD_TIMEOUT_S,
        label=f"MD {run.name} segment {number}",
    )


def _take(plan: MdPlan, setting: MdRunsSetting, run: MdTrajectory, outcome: TaskOutcome) -> None:
    """Add the frames of a segment to `run`, and say why it ends where it does."""
    folder = outcome.task.work_dir
    found, beads = _frames(plan, setting, folder)
    if run.steps:
        found = [(step, frame) for step, frame in found if step > run.steps[-1]]
    deviations = _deviations(plan, folder) if len(movers(plan, setting)) > 1 else {}
    values = [deviations.get(step, math.nan) for step, _ in found]
    insane = find_insane([frame for _, frame in found], setting.sanity, setting.bonds)
    keep = next((i for i, reason in enumerate(insane) if reason), len(found))
    if keep < len(found):
        run.ended = f"step {found[keep][0]}: {insane[keep]}"
    elif outcome.status != "done":
        run.ended = last_error(folder) or outcome.message
    limit = plan.trusted_ev_ang
    untrusted = [] if limit is None or not deviations else [i for i in range(keep) if not values[i] < limit]
    run.n_untrusted += len(untrusted)
    if untrusted and plan.on_untrusted == "cut":
        keep = untrusted[0]
        run.ended = run.ended or f"step {found[keep][0]}: force deviation {values[keep]:.3f} eV/Å"
    run.steps += [step for step, _ in found[:keep]]
    run.frames += [frame for _, frame in found[:keep]]
    run.deviations_ev_ang += values[:keep]
    if beads:
        energies = read_energies(folder, plan.n_beads, n_atoms=setting.start.n_atoms, temperature_k=run.temperature_k)
        run.beads += [beads[step] for step, _ in found[:keep]]
        run.energies += [energies.get(step) for step, _ in found[:keep]]


def _frames(
    plan: MdPlan, setting: MdRunsSetting, folder: Path
) -> tuple[list[tuple[int, Frame]], dict[int, list[Frame]]]:
    """(step, frame) of a segment, of path integrals the centroids; and the beads of each step."""
    if plan.n_beads == 1:
        return list(read_trajectory(folder / TRAJECTORY_FILE, setting.start)), {}
    beads = read_bead_frames(folder, plan.n_beads, setting.start)
    return [(step, centroid(each)) for step, each in beads], dict(beads)


def _deviations(plan: MdPlan, folder: Path) -> dict[int, float]:
    """Deviation per step of a segment, of path integrals the largest of the beads; none where it wrote none."""
    if plan.n_beads == 1:
        return _deviations_in(folder, DEVIATION_FILE)
    each = [_deviations_in(folder, bead.deviation) for bead in beads_of(plan.n_beads)]
    return {step: worst(each, step) for step in each[0]}


def _deviations_in(folder: Path, name: str) -> dict[int, float]:
    """Deviation per step in a file of a segment, none where there is none.

    DeePMD leaves the header out in a run from a restart file: it is that of the first segment.
    """
    path, first = folder / name, folder.parent / "seg.000" / name
    if not path.exists() or not path.stat().st_size:
        return {}
    text = path.read_text(errors="replace")
    if text.startswith("#"):
        return read_deviation(path)
    with open(first, encoding="utf-8", errors="replace") as handle:
        header = handle.readline().lstrip("# ").split()
    if "max_devi_f" not in header or "step" not in header:
        raise BadInputError(str(first), expected="a header with step and max_devi_f", found=" ".join(header)[:60])
    step, deviation = header.index("step"), header.index("max_devi_f")
    whole = text[: text.rfind("\n") + 1]
    rows = [line.split() for line in whole.splitlines()]
    return {int(row[step]): float(row[deviation]) for row in rows if len(row) == len(header)}


def guest_paths_ang(frames: Sequence[Frame], masses_amu: np.ndarray) -> np.ndarray:
    """Unwrapped centres of the molecules (n_frames, n_h2, 3) Å, the drift of the framework's centre of mass taken out.

    masses_amu : (n_host,) of the host atoms
    """
    positions = np.array([frame.positions_ang for frame in frames])
    n_host = frames[0].n_host
    centres = positions[:, n_host:].reshape(len(positions), -1, 2, 3).mean(axis=2)
    if not n_host:
        return centres
    drift = np.einsum("a,fad->fd", masses_amu / masses_amu.sum(), positions[:, :n_host] - positions[:1, :n_host])
    result: np.ndarray = centres - drift[:, None, :]
    return result

"""MD exploration: one LAMMPS task per system and temperature, with the committee's deviation on the fly."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from alh2.config.model import MdJob
from alh2.core.errors import BadInputError, NeedsPersonError
from alh2.core.explored import ExploredFrame
from alh2.core.files import atomic_write_json, atomic_write_text
from alh2.core.frames import Frame, Provenance
from alh2.core.random_streams import seed_for
from alh2.dispatch.tasks import Task, TaskOutcome
from alh2.explore.lammps import (
    CONF_FILE,
    DEVIATION_FILE,
    INPUT_FILE,
    LOG_FILE,
    TRAJECTORY_FILE,
    NvtRun,
    last_error,
    nvt_input,
    read_deviation,
    read_trajectory,
    write_conf,
)
from alh2.potential.lammps_forces import TABLE_FILE, LammpsForces

MD_TIMEOUT_S = 3 * 24 * 3600.0


@dataclass(frozen=True, eq=False)
class MdTask:
    """A prepared MD run: its task, where it started, and its temperature."""

    task: Task
    start: Frame
    temperature_k: float


@dataclass(frozen=True)
class MdSetting:
    """What all MD tasks of an iteration share.

    directory : ``01.model_devi``; graphs : models of the committee; command : ``lmp``
    """

    directory: Path
    iteration: int
    graphs: tuple[Path, ...]
    forces: LammpsForces
    masses_amu: tuple[float, ...]
    root_seed: int
    command: str


def prepare_md(
    setting: MdSetting, job: MdJob, system: int, temperature_k: float, start: Frame, *, index: int
) -> MdTask:
    """Write ``task.SSS.NNNNNN`` (system, running number) and return its task; repeatable."""
    work_dir = setting.directory / f"task.{system:03d}.{index:06d}"  # ExploredFrame.system reads it
    work_dir.mkdir(parents=True, exist_ok=True)
    run = NvtRun(
        models=tuple(os.path.relpath(graph, work_dir) for graph in setting.graphs),
        forces=setting.forces,
        temperature_k=temperature_k,
        n_steps=job.n_steps,
        dt_ps=job.dt_ps,
        thermostat_ps=job.thermostat_ps,
        every=job.trj_freq,
        seed=seed_for(setting.root_seed, "md", setting.iteration, system, index),
        masses_amu=setting.masses_amu,
        table=os.path.relpath(setting.directory / TABLE_FILE, work_dir),
    )
    table = setting.forces.write_table(setting.directory)
    write_conf(start, work_dir / CONF_FILE, forces=setting.forces)
    atomic_write_text(work_dir / INPUT_FILE, nvt_input(run))
    atomic_write_json(
        work_dir / "job.json",
        {"kind": "md", "temps": temperature_k, "n_h2": start.n_h2, "host": start.host_id, "n_steps": job.n_steps},
    )
    graphs = [os.path.relpath(graph, setting.directory) for graph in setting.graphs]
    task = Task(
        work_dir=work_dir,
        command=f"{setting.command} -i {INPUT_FILE} -log {LOG_FILE} -screen none",
        inputs=(INPUT_FILE, CONF_FILE, *graphs, *([] if table is None else [table.name])),
        outputs=(TRAJECTORY_FILE, DEVIATION_FILE) if len(setting.graphs) > 1 else (TRAJECTORY_FILE,),
        timeout_s=MD_TIMEOUT_S,
        label=f"MD {start.n_h2} H2 {temperature_k:g} K",
    )
    return MdTask(task, start, temperature_k)


def collect_md(setting: MdSetting, runs: Sequence[MdTask], outcomes: Sequence[TaskOutcome]) -> list[ExploredFrame]:
    """All frames of all runs with their deviations.

    A run that exploded is exploration's answer: the frames it wrote count, those without a deviation as NaN
    (failed), and its end counts as one more failed frame, at the last geometry it wrote or at its start. With fewer
    than two models every deviation is NaN. Raises NeedsPersonError where no run at all wrote a frame: that is the
    program, not the model.
    """
    explored = [_frames(setting, run, outcome) for run, outcome in zip(runs, outcomes, strict=True)]
    if runs and not any(explored):
        raise NeedsPersonError(f"no MD run wrote a frame; {why_failed(runs[0], outcomes[0])}")
    for run, outcome, entries in zip(runs, outcomes, explored, strict=True):
        if outcome.status == "failed" or not (entries or outcome.status == "done"):
            last, step = (entries[-1].frame, entries[-1].step) if entries else (run.start, 0)
            what = f"{outcome.status} after step {step}: {last_error(run.task.work_dir)}".removesuffix(": ")
            entries.append(_entry(setting, run, last, step, what, math.nan))
    return [entry for entries in explored for entry in entries]


def why_failed(run: MdTask, outcome: TaskOutcome) -> str:
    """Folder of a run that did not end well and what LAMMPS said, or its last output where its log tells nothing."""
    return f"{run.task.work_dir}: {last_error(run.task.work_dir) or outcome.message}"


def _entry(
    setting: MdSetting, run: MdTask, frame: Frame, step: int, what: str, deviation_ev_ang: float
) -> ExploredFrame:
    name = run.task.work_dir.name
    detail = f"iter.{setting.iteration:06d}/{setting.directory.name}/{name} {what}"
    located = replace(frame, provenance=Provenance("md", setting.iteration, detail, run.temperature_k))
    return ExploredFrame(located, "md", name, step, run.temperature_k, deviation_ev_ang)


def _frames(setting: MdSetting, run: MdTask, outcome: TaskOutcome) -> list[ExploredFrame]:
    deviations = _deviations(setting, run, outcome)
    return [
        _entry(setting, run, frame, step, f"step {step}", deviations.get(step, math.nan))
        for step, frame in read_trajectory(run.task.work_dir / TRAJECTORY_FILE, run.start)
    ]


def _deviations(setting: MdSetting, run: MdTask, outcome: TaskOutcome) -> dict[int, float]:
    """Deviation per step; none from a run that ended before it wrote any."""
    if len(setting.graphs) < 2:
        return {}
    try:
        return read_deviation(run.task.work_dir / DEVIATION_FILE)
    except BadInputError:
        if outcome.status == "done":
            raise
        return {}

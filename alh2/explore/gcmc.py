"""GCMC exploration: our engine on frozen host snapshots, one task per temperature, fugacity and initial loading."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from alh2.core.errors import NeedsPersonError
from alh2.core.explored import ExploredFrame
from alh2.core.frames import Frame, Provenance
from alh2.dispatch.tasks import Task, TaskOutcome
from alh2.explore.deviation_worker import WORKER_MODULE as DEVIATION_MODULE
from alh2.explore.gcmc_job import (
    END_FILE,
    EXIT_UNTRUSTWORTHY,
    JOB_FILE,
    RESULT_FILE,
    SAMPLES_FILE,
    SERIES_FILE,
    START_FILE,
    WORKER_MODULE,
    GcmcSpec,
    read_samples,
    write_job,
)
from alh2.potential.frames_npz import save_frames

GCMC_TIMEOUT_S = 3 * 24 * 3600.0
DRIVERS = (JOB_FILE, START_FILE)
FRAMES_FILE, DEVIATIONS_FILE = "frames.npz", "deviations.npz"
FRAMES_PER_TASK = 200
"""Samples that one task asks the committees about: it loads the models once, and several tasks run side by side."""


@dataclass(frozen=True, eq=False)
class GcmcTask:
    """A prepared Monte Carlo run: its task, where it started, and its settings."""

    task: Task
    start: Frame
    spec: GcmcSpec


@dataclass(frozen=True)
class GcmcModels:
    """Models of an iteration: the one the engine runs with, and the committees asked about the samples.

    pair_baselines : the pair potentials under the insertion committee, whose first model is the engine's; () for none
    force_pairs : the pair terms under all models of the force committee; None for none
    engines : every model of the insertion committee as the engine reads it, the first one `engine`; () for it alone
    """

    engine: Path
    force: tuple[Path, ...]
    insertion: tuple[Path, ...]
    pair_baselines: tuple[Path, ...] = ()
    force_pairs: Path | None = None
    engines: tuple[Path, ...] = ()

    def in_turn(self, number: int) -> GcmcModels:
        """The same with another model of the committee for the engine: each has holes of its own."""
        if not self.engines:
            return self
        k = number % len(self.engines)
        return replace(self, engine=self.engines[k], pair_baselines=self.pair_baselines[k : k + 1], engines=())


def prepare_gcmc(
    work_dir: Path, spec: GcmcSpec, start: Frame, *, models: GcmcModels, base_dir: Path, command: str
) -> GcmcTask:
    """Write the input files of one run and return its task; repeatable.

    The model paths of `spec` are filled in from `models`, relative to `work_dir`. `command` is the Python
    interpreter of the machine file.
    """
    work_dir.mkdir(parents=True, exist_ok=True)

    def seen(path: Path) -> str:
        return os.path.relpath(path, work_dir)

    spec = replace(
        spec,
        engine_model=seen(models.engine),
        pair_baselines=tuple(seen(path) for path in models.pair_baselines[:1]),
    )
    write_job(work_dir, spec, start)
    read = (models.engine, *models.pair_baselines[:1])
    before = tuple(work_dir / name for name in (spec.continues, spec.grid) if name)
    files = dict.fromkeys(os.path.relpath(path, base_dir) for path in (*read, *before))
    task = Task(
        work_dir=work_dir,
        command=f"{command} -m {WORKER_MODULE}",
        inputs=(*DRIVERS, *files),
        outputs=(SAMPLES_FILE, SERIES_FILE, RESULT_FILE, *([END_FILE] if spec.restart_every else [])),
        timeout_s=GCMC_TIMEOUT_S,
        label=f"GCMC {spec.temperature_k:g} K {spec.fugacity_bar:g} bar"
        if spec.ensemble == "grand-canonical"
        else f"MC {spec.temperature_k:g} K {spec.n_initial} H2",
    )
    return GcmcTask(task, start, spec)


def deviation_tasks(
    directory: Path, frames: Sequence[Frame], *, models: GcmcModels, command: str
) -> list[tuple[Task, int]]:
    """Tasks that ask the committees of `models` about `frames`, and the number of frames of each, in order.

    Below `directory`; `command` is the Python interpreter of the machine file.
    """
    tasks = []
    for k in range(0, len(frames), FRAMES_PER_TASK):
        part = frames[k : k + FRAMES_PER_TASK]
        folder = directory / f"deviation.{k // FRAMES_PER_TASK:06d}"
        folder.mkdir(parents=True, exist_ok=True)
        save_frames(folder / FRAMES_FILE, part)
        force, insertion, under = (
            [os.path.relpath(path, folder) for path in paths]
            for paths in (models.force, models.insertion, models.pair_baselines)
        )
        option = f" --pair-baselines {' '.join(under)}" if under else ""
        files = dict.fromkeys(os.path.relpath(folder / path, directory) for path in (*force, *insertion, *under))
        task = Task(
            work_dir=folder,
            command=f"{command} -m {DEVIATION_MODULE} --force {' '.join(force)} --insertion {' '.join(insertion)}"
            f"{option} --frames {FRAMES_FILE} --output {DEVIATIONS_FILE}",
            inputs=(FRAMES_FILE, *files),
            outputs=(DEVIATIONS_FILE,),
            timeout_s=GCMC_TIMEOUT_S,
            label=f"committee on {len(part)} samples",
        )
        tasks.append((task, len(part)))
    return tasks


def sampled_frames(runs: Sequence[GcmcTask], outcomes: Sequence[TaskOutcome]) -> list[Frame]:
    """Frames of all finished runs, in the order in which :func:`collect_gcmc` takes their deviations."""
    done = [run for run, outcome in zip(runs, outcomes, strict=True) if outcome.status == "done"]
    return [frame for run in done for frame in read_samples(run.task.work_dir).frames]


def collect_gcmc(
    runs: Sequence[GcmcTask],
    outcomes: Sequence[TaskOutcome],
    *,
    iteration: int,
    source: str = "gcmc",
    deviations: tuple[np.ndarray, np.ndarray] | None = None,
) -> list[ExploredFrame]:
    """Samples of all finished runs with their deviations; a failed run contributes its start as failed (NaN).

    deviations : largest force deviation (eV/Å; NaN: no committee was asked) and spread of the insertion energy (eV;
        NaN likewise and at N = 0) of each of :func:`sampled_frames`; None: nobody was asked

    Raises NeedsPersonError where every run failed and no model's energies were the reason: nothing can have been
    explored for a mistake in the set-up.
    """
    codes = {outcome.exit_code for outcome in outcomes if outcome.status != "done"}
    if outcomes and all(outcome.status != "done" for outcome in outcomes) and EXIT_UNTRUSTWORTHY not in codes:
        raise NeedsPersonError(f"every Monte Carlo run failed; {runs[0].task.work_dir}: {outcomes[0].message}")
    explored: list[ExploredFrame] = []
    unknown = (float("nan"), float("nan"))
    asked = None if deviations is None else zip(*deviations, strict=True)
    for run, outcome in zip(runs, outcomes, strict=True):
        name = run.task.work_dir.name
        origin = f"iter.{iteration:06d}/{run.task.work_dir.parent.name}/{name}"
        temperature_k = run.spec.temperature_k
        if outcome.status != "done":
            provenance = Provenance(source, iteration, f"{origin} {outcome.status}: {outcome.message}", temperature_k)
            start = replace(run.start, provenance=provenance)
            explored.append(ExploredFrame(start, "gcmc", name, 0, temperature_k, float("nan")))
            continue
        samples = read_samples(run.task.work_dir)
        for frame, step in zip(samples.frames, samples.steps, strict=True):
            force, insertion = unknown if asked is None else next(asked)
            provenance = Provenance(source, iteration, f"{origin} move {step}", temperature_k)
            explored.append(
                ExploredFrame(
                    replace(frame, provenance=provenance),
                    "gcmc",
                    name,
                    int(step),
                    temperature_k,
                    float(force),
                    None if insertion != insertion else float(insertion),
                )
            )
    return explored

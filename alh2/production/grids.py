"""Energy grids of the empty host, a task per temperature and model: the chains at every pressure and Widom use them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from alh2.config.model import StageMachine
from alh2.core.files import atomic_write_json, from_fields, read_json
from alh2.core.frames import Frame
from alh2.core.random_streams import seed_for
from alh2.dispatch.run import Progress, run_tasks
from alh2.dispatch.tasks import Task, TaskOutcome
from alh2.explore.gcmc import GCMC_TIMEOUT_S
from alh2.potential.frames_npz import load_frame, save_frames
from alh2.production.isotherm_plan import IsothermSetting, member_folder

JOB_FILE, HOST_FILE, GRID_FILE = "job.json", "host.npz", "grid.npz"
WORKER_MODULE = "alh2.production.grid_worker"

Wanted = tuple[float, int]
"""Temperature (K) and number of the model."""


@dataclass(frozen=True)
class GridSpec:
    """What one task computes; the model paths are relative to its folder."""

    temperature_k: float
    min_distance_ang: float
    bond_length_ang: float | None
    seed: int
    engine_model: str
    pair_baseline: str


def grid_file(setting: IsothermSetting, temperature_k: float, member: int) -> Path:
    """Where the grid of a temperature and a model is."""
    return setting.directory / f"{member_folder(member)}grid.{temperature_k:g}K" / GRID_FILE


def run_grids(
    setting: IsothermSetting,
    wanted: Iterable[Wanted],
    *,
    machine: StageMachine,
    name: str,
    on_progress: Callable[[Progress], None] | None = None,
) -> dict[Wanted, TaskOutcome]:
    """Make the grids that are not there yet; how the task of each ended."""
    keys = list(dict.fromkeys(wanted))
    tasks = [_prepare(setting, temperature_k, member) for temperature_k, member in keys]
    outcomes = run_tasks(tasks, machine=machine, base_dir=setting.directory, name=name, on_progress=on_progress)
    return dict(zip(keys, outcomes, strict=True))


def read_grid_job(directory: Path) -> tuple[GridSpec, Frame]:
    """Settings and host of a task folder; raises BadInputError where they are not such files."""
    spec = from_fields(read_json(directory / JOB_FILE), GridSpec, where=str(directory / JOB_FILE))
    return spec, load_frame(directory / HOST_FILE)


def _prepare(setting: IsothermSetting, temperature_k: float, member: int) -> Task:
    folder = grid_file(setting, temperature_k, member).parent
    folder.mkdir(parents=True, exist_ok=True)
    model = setting.committee[member]
    under = [] if model.pair_baseline is None else [model.pair_baseline]
    spec = GridSpec(
        temperature_k=temperature_k,
        min_distance_ang=setting.min_distance_ang,
        bond_length_ang=setting.bond_length_ang,
        seed=seed_for(setting.root_seed, "grid", f"{temperature_k:g}", member),
        engine_model=os.path.relpath(model.engine, folder),
        pair_baseline=os.path.relpath(under[0], folder) if under else "",
    )
    atomic_write_json(folder / JOB_FILE, asdict(spec))
    save_frames(folder / HOST_FILE, [setting.starts[0].bare_host()])
    files = [os.path.relpath(path, setting.directory) for path in (model.engine, *under)]
    return Task(
        work_dir=folder,
        command=f"{setting.command} -m {WORKER_MODULE}",
        inputs=(JOB_FILE, HOST_FILE, *files),
        outputs=(GRID_FILE,),
        timeout_s=GCMC_TIMEOUT_S,
        label=f"energy grid {temperature_k:g} K, model {member}",
    )

"""Henry constant and heat at infinite dilution: Widom insertions, a task per temperature and model of the committee."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from alh2.config.model import StageMachine
from alh2.core.errors import NeedsPersonError
from alh2.core.files import atomic_write_json, from_fields, read_json, read_json_as
from alh2.core.frames import Frame
from alh2.core.nuclei import Quantum
from alh2.core.random_streams import seed_for
from alh2.core.statistics import Estimate
from alh2.core.units import beta_per_ev
from alh2.dispatch.run import Progress, run_tasks
from alh2.dispatch.tasks import Task
from alh2.explore.gcmc import GCMC_TIMEOUT_S
from alh2.explore.gcmc_job import EXIT_UNTRUSTWORTHY
from alh2.potential.frames_npz import load_frame, save_frames
from alh2.production.committee_interval import committee_interval
from alh2.production.grids import grid_file, run_grids
from alh2.production.isotherm_plan import IsothermPlan, IsothermSetting, member_folder
from alh2.production.isotherm_result import HenryPoint

JOB_FILE, START_FILE, RESULT_FILE = "job.json", "start.npz", "widom.json"
WORKER_MODULE = "alh2.production.widom_worker"


@dataclass(frozen=True)
class WidomSpec:
    """What one task computes; the model paths are relative to its folder, `quantum` as in `GcmcSpec`."""

    temperature_k: float
    n_insertions: int
    min_distance_ang: float
    bond_length_ang: float | None
    seed: int
    engine_model: str
    pair_baseline: str
    grid: str
    quantum: Quantum = "classical"


@dataclass(frozen=True)
class WidomAnswer:
    """What the task found, errors one standard deviation; see `alh2.gcmc.widom`."""

    henry_per_cell_bar: float
    henry_per_cell_bar_error: float
    henry_mol_per_kg_pa: float | None
    henry_mol_per_kg_pa_error: float | None
    adsorption_enthalpy_kj_per_mol: float
    adsorption_enthalpy_error_kj_per_mol: float
    n_insertions: int
    n_effective: float
    trusted: bool


def run_henry(
    plan: IsothermPlan,
    setting: IsothermSetting,
    *,
    machine: StageMachine,
    on_progress: Callable[[Progress], None] | None = None,
    on_message: Callable[[str], None] | None = None,
) -> tuple[HenryPoint, ...]:
    """Henry constant at every temperature of `plan`, finished tasks reused; NeedsPersonError where one failed.

    A temperature at which a model's energies cannot be trusted is left out, and said.
    """
    host = setting.starts[0].bare_host()
    asked = len(setting.committee) if plan.committee_by != "none" else 1
    wanted = [(t, member) for t in plan.temperatures_k for member in range(asked)]
    grids = run_grids(setting, wanted, machine=machine, name="henry.grids", on_progress=on_progress)
    tasks = {key: _prepare(plan, setting, host, *key) for key in wanted if grids[key].status == "done"}
    ended = run_tasks(
        list(tasks.values()), machine=machine, base_dir=setting.directory, name="henry", on_progress=on_progress
    )
    found = dict(zip(tasks, ended, strict=True))
    outcomes = [found.get(key, grids[key]) for key in wanted]
    unfinished = [o for o in outcomes if o.status != "done"]
    failed = [f"{o.task.work_dir}: {o.message}" for o in unfinished if o.exit_code != EXIT_UNTRUSTWORTHY]
    if failed:
        raise NeedsPersonError(f"{len(failed)} of {len(wanted)} runs of Widom insertions failed, first {failed[0]}")
    points = []
    for k, temperature_k in enumerate(plan.temperatures_k):
        own = outcomes[k * asked : (k + 1) * asked]
        refused = [f"model {number}: {o.message}" for number, o in enumerate(own) if o.status != "done"]
        if not refused:
            points.append(_point(temperature_k, [o.task.work_dir for o in own], setting.insertion_error_ev))
        elif on_message is not None:
            on_message(f"no Henry constant at {temperature_k:g} K: {'; '.join(refused)}")
    return tuple(points)


def read_widom_job(directory: Path) -> tuple[WidomSpec, Frame]:
    """Settings and host of a task folder; raises BadInputError where they are not such files."""
    spec = from_fields(read_json(directory / JOB_FILE), WidomSpec, where=str(directory / JOB_FILE))
    return spec, load_frame(directory / START_FILE)


def _prepare(plan: IsothermPlan, setting: IsothermSetting, host: Frame, temperature_k: float, member: int) -> Task:
    folder = setting.directory / f"{member_folder(member)}widom.{temperature_k:g}K"
    folder.mkdir(parents=True, exist_ok=True)
    model = setting.committee[member]
    under = [] if model.pair_baseline is None else [model.pair_baseline]
    grid = grid_file(setting, temperature_k, member)
    spec = WidomSpec(
        temperature_k=temperature_k,
        n_insertions=plan.widom_insertions,
        min_distance_ang=setting.min_distance_ang,
        bond_length_ang=setting.bond_length_ang,
        seed=seed_for(setting.root_seed, "widom", f"{temperature_k:g}"),
        engine_model=os.path.relpath(model.engine, folder),
        pair_baseline=os.path.relpath(under[0], folder) if under else "",
        grid=os.path.relpath(grid, folder),
        quantum=plan.quantum,
    )
    content = asdict(spec)
    if spec.quantum == "classical":
        del content["quantum"]
    atomic_write_json(folder / JOB_FILE, content)
    save_frames(folder / START_FILE, [host])
    files = [os.path.relpath(path, setting.directory) for path in (model.engine, *under, grid)]
    return Task(
        work_dir=folder,
        command=f"{setting.command} -m {WORKER_MODULE}",
        inputs=(JOB_FILE, START_FILE, *files),
        outputs=(RESULT_FILE,),
        timeout_s=GCMC_TIMEOUT_S,
        label=f"Widom {temperature_k:g} K, model {member}",
    )


def _point(temperature_k: float, folders: list[Path], insertion_error_ev: float) -> HenryPoint:
    """From the task folders of the members, the first one's numbers first.

    An error δ of the energy multiplies the constant by exp(-βδ).
    """
    answers = [read_json_as(folder / RESULT_FILE, WidomAnswer) for folder in folders]
    found = answers[0]
    committee = None
    if len(answers) > 1:
        each = [Estimate(a.henry_per_cell_bar, a.henry_per_cell_bar_error, a.n_effective, 0) for a in answers]
        shift = beta_per_ev(temperature_k) * insertion_error_ev if math.isfinite(insertion_error_ev) else 0.0
        committee = committee_interval(each, model_error=shift * sum(e.mean for e in each) / len(each))

    def known(value: float | None) -> float:
        return math.nan if value is None else value

    return HenryPoint(
        temperature_k=temperature_k,
        per_cell_bar=found.henry_per_cell_bar,
        per_cell_bar_error=found.henry_per_cell_bar_error,
        mol_per_kg_pa=known(found.henry_mol_per_kg_pa),
        mol_per_kg_pa_error=known(found.henry_mol_per_kg_pa_error),
        heat_kj_per_mol=-found.adsorption_enthalpy_kj_per_mol,
        heat_error_kj_per_mol=found.adsorption_enthalpy_error_kj_per_mol,
        n_insertions=found.n_insertions,
        n_effective=found.n_effective,
        trusted=found.trusted,
        committee=committee,
    )

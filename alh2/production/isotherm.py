"""Adsorption isotherm by GCMC on a frozen host: every pressure from each initial loading."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from alh2.config.model import ProductionConfig, StageMachine
from alh2.core.errors import BadInputError, NeedsPersonError
from alh2.core.files import atomic_write_json, from_fields, read_json
from alh2.core.frames import Frame
from alh2.core.random_streams import seed_for
from alh2.dispatch.run import Progress, run_tasks
from alh2.explore.gcmc import GcmcModels, GcmcTask, prepare_gcmc
from alh2.explore.gcmc_job import GcmcSpec, read_summary
from alh2.gcmc.fugacity import fugacity_bar

RESULT_FILE = "isotherm.json"
SAMPLES_PER_RUN = 1000
FRAMES_PER_RUN = 20


@dataclass(frozen=True)
class IsothermResult:
    """One point: molecules per cell ± one standard error, started with `n_initial` molecules."""

    temperature_k: float
    pressure_bar: float
    fugacity_bar: float
    n_initial: int
    n_adsorbed: float
    n_adsorbed_error: float
    insertion_acceptance: float
    bond_length_ang: float
    potential: str
    max_loading: int | None = None


@dataclass(frozen=True, eq=False)
class IsothermSetting:
    """Where and with what the points are computed.

    max_loading : largest loading that was explored; insertions beyond it are refused, the model knows nothing there
    starts : a start frame per entry of ``config.n_initial`` (same frozen host, that many guests)
    """

    directory: Path
    models: GcmcModels
    starts: tuple[Frame, ...]
    min_distance_ang: float
    max_loading: int | None
    bond_length_ang: float | None
    root_seed: int
    command: str


def run_isotherm(
    config: ProductionConfig,
    setting: IsothermSetting,
    *,
    machine: StageMachine,
    on_progress: Callable[[Progress], None] | None = None,
) -> list[IsothermResult]:
    """All points, finished ones reused; raises NeedsPersonError naming a point that failed."""
    setting.directory.mkdir(parents=True, exist_ok=True)
    runs: list[tuple[float, GcmcTask]] = []
    for pressure_bar in config.pressures_bar:
        for start in setting.starts:
            runs.append((pressure_bar, _prepare(config, setting, pressure_bar, start, index=len(runs))))
    outcomes = run_tasks(
        [run.task for _, run in runs],
        machine=machine,
        base_dir=setting.directory,
        name="production.isotherm",
        on_progress=on_progress,
    )
    failed = [f"{o.task.work_dir}: {o.message}" for o in outcomes if o.status != "done"]
    if failed:
        raise NeedsPersonError(f"{len(failed)} of {len(runs)} isotherm points failed, first {failed[0]}")
    points = [_point(pressure_bar, run) for pressure_bar, run in runs]
    atomic_write_json(setting.directory / RESULT_FILE, [asdict(point) for point in points])
    return points


def _prepare(
    config: ProductionConfig, setting: IsothermSetting, pressure_bar: float, start: Frame, *, index: int
) -> GcmcTask:
    spec = GcmcSpec(
        ensemble="grand-canonical",
        temperature_k=config.isotherm_temperature_k,
        fugacity_bar=fugacity_bar(pressure_bar, config.isotherm_temperature_k),
        n_initial=start.n_h2,
        n_moves=config.n_moves,
        n_equilibration=config.n_equilibration,
        sample_every=max(1, config.n_moves // SAMPLES_PER_RUN),
        max_samples=FRAMES_PER_RUN,
        max_loading=setting.max_loading,
        min_distance_ang=setting.min_distance_ang,
        seed=seed_for(setting.root_seed, "isotherm", index),
        bond_length_ang=setting.bond_length_ang,
        biased=config.biased_insertion,
    )
    return prepare_gcmc(
        setting.directory / f"point.{index:03d}",
        spec,
        start,
        models=setting.models,
        base_dir=setting.directory,
        command=setting.command,
    )


def _point(pressure_bar: float, run: GcmcTask) -> IsothermResult:
    summary = read_summary(run.task.work_dir)
    return IsothermResult(
        temperature_k=run.spec.temperature_k,
        pressure_bar=pressure_bar,
        fugacity_bar=run.spec.fugacity_bar,
        n_initial=run.spec.n_initial,
        n_adsorbed=summary.n_adsorbed,
        n_adsorbed_error=summary.n_adsorbed_error,
        insertion_acceptance=summary.acceptance_insertion,
        bond_length_ang=summary.bond_length_ang,
        potential=summary.potential,
        max_loading=run.spec.max_loading,
    )


def read_isotherm(directory: Path) -> list[IsothermResult]:
    """Points of a finished isotherm, empty where there is none; raises BadInputError for a file of another kind."""
    path = directory / RESULT_FILE
    if not path.exists():
        return []
    points = read_json(path)
    if not isinstance(points, list):
        raise BadInputError(str(path), expected="a list of isotherm points", found=type(points).__name__)
    return [from_fields(point, IsothermResult, where=f"{path}, point {i}") for i, point in enumerate(points)]

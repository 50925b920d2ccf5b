"""The Monte Carlo chains behind an isotherm: rows of tasks, the next one of a row going on where the last one ended.

A task is known by its inputs, so repeating a call repeats nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from alh2.config.model import StageMachine
from alh2.core.errors import NeedsPersonError
from alh2.core.frames import Frame
from alh2.core.random_streams import seed_for
from alh2.dispatch.run import Progress, run_tasks
from alh2.explore.gcmc import GcmcModels, GcmcTask, prepare_gcmc
from alh2.explore.gcmc_job import END_FILE, JOB_FILE, GcmcSpec, read_job, read_series, read_summary
from alh2.gcmc.fugacity import fugacity_bar
from alh2.production.grids import grid_file, run_grids
from alh2.production.isotherm_plan import CommitteeMember, IsothermPlan, IsothermSetting, member_folder
from alh2.production.isotherm_points import Chain, PointAverages, moves_to_add, point_averages

SAMPLES_PER_RUN = 1000
FRAMES_PER_RUN = 200
RESTART_EVERY = 1000
MOST_ROUNDS = 50


@dataclass(eq=False)
class ChainRuns:
    """The runs of one chain so far, finished or not; `member` of the committee is the model they run with."""

    temperature_k: float
    pressure_bar: float
    start: Frame
    runs: list[GcmcTask]
    member: int = 0

    @property
    def name(self) -> str:
        """Its folder below that of the isotherm."""
        return f"{member_folder(self.member)}{self.temperature_k:g}K.{self.pressure_bar:g}bar.{self.start.n_h2}h2"

    @property
    def folders(self) -> list[Path]:
        """Of its runs, in order."""
        return [run.task.work_dir for run in self.runs]

    def chain(self) -> Chain:
        """All its samples; the acceptance weighted by moves."""
        series = [read_series(folder) for folder in self.folders]
        moves = [run.spec.n_moves for run in self.runs]
        ratios = [read_summary(folder).acceptance_insertion for folder in self.folders]
        return Chain(
            self.start.n_h2,
            sum(moves),
            np.concatenate([s.n_adsorbed for s in series]),
            np.concatenate([s.adsorption_energy_ev for s in series]),
            float(np.average(ratios, weights=moves)),
        )


@dataclass(eq=False)
class PointRuns:
    """One temperature and pressure with one model: its chains, one from each start, and what they say together."""

    chains: list[ChainRuns]
    found: PointAverages | None = None

    @property
    def temperature_k(self) -> float:
        """Of all its chains."""
        return self.chains[0].temperature_k

    @property
    def pressure_bar(self) -> float:
        """Of all its chains."""
        return self.chains[0].pressure_bar

    @property
    def averages(self) -> PointAverages:
        """What was found; the point has been run."""
        assert self.found is not None
        return self.found


def new_point(setting: IsothermSetting, temperature_k: float, pressure_bar: float, *, member: int = 0) -> PointRuns:
    """A point with a chain from each start of `setting`, nothing of it run."""
    return PointRuns([ChainRuns(temperature_k, pressure_bar, start, [], member) for start in setting.starts])


def run_points(
    plan: IsothermPlan,
    setting: IsothermSetting,
    points: Sequence[PointRuns],
    *,
    machine: StageMachine,
    name: str,
    on_progress: Callable[[Progress], None] | None = None,
    on_message: Callable[[str], None] | None = None,
) -> None:
    """Run every chain of `points`, and go on with those of points that are not known well enough; finished runs reused.

    Raises NeedsPersonError naming a run that failed.
    """
    if plan.biased:
        _make_grids(setting, points, machine, f"{name}.grids", on_progress)
    wanted = {id(chain): plan.n_moves for point in points for chain in point.chains}
    for number in range(MOST_ROUNDS):
        prepared = [
            _prepare(plan, setting, chain, wanted[id(chain)])
            for point in points
            for chain in point.chains
            if wanted[id(chain)]
        ]
        _run(prepared, machine, setting.directory, f"{name}.{number:02d}", on_progress)
        for point in points:
            point.found = point_averages(
                [c.chain() for c in point.chains], temperature_k=point.temperature_k, max_loading=setting.max_loading
            )
            wanted.update({id(chain): _more(plan, point.found) for chain in point.chains})
        left = sum(any(wanted[id(c)] for c in point.chains) for point in points)
        if not left:
            return
        if on_message is not None:
            on_message(
                f"{left} of {len(points)} points are not known to {plan.relative_error:g} yet: going on with them"
            )


def _make_grids(
    setting: IsothermSetting,
    points: Sequence[PointRuns],
    machine: StageMachine,
    name: str,
    on_progress: Callable[[Progress], None] | None,
) -> None:
    wanted = [(point.temperature_k, point.chains[0].member) for point in points]
    ended = run_grids(setting, wanted, machine=machine, name=name, on_progress=on_progress).values()
    failed = [f"{o.task.work_dir}: {o.message}" for o in ended if o.status != "done"]
    if failed:
        raise NeedsPersonError(f"{len(failed)} of {len(ended)} energy grids failed, first {failed[0]}")


def _more(plan: IsothermPlan, point: PointAverages) -> int:
    if plan.relative_error is None:
        return 0
    most = plan.max_moves if plan.max_moves is not None else 100 * plan.n_moves
    return moves_to_add(point, relative_error=plan.relative_error, step=plan.n_moves, most=most)


def _prepare(plan: IsothermPlan, setting: IsothermSetting, chain: ChainRuns, n_moves: int) -> GcmcTask:
    """The next run of `chain`, appended to it."""
    number = len(chain.runs)
    temperature_k, pressure_bar = chain.temperature_k, chain.pressure_bar
    run_folder = setting.directory / chain.name / f"run.{number:02d}"
    grid = grid_file(setting, temperature_k, chain.member)
    spec = GcmcSpec(
        ensemble="grand-canonical",
        temperature_k=temperature_k,
        fugacity_bar=fugacity_bar(pressure_bar, temperature_k),
        n_initial=chain.start.n_h2,
        n_moves=n_moves,
        n_equilibration=0 if number else plan.n_equilibration,
        sample_every=max(1, plan.n_moves // SAMPLES_PER_RUN),
        max_samples=FRAMES_PER_RUN,
        max_loading=setting.max_loading,
        min_distance_ang=setting.min_distance_ang,
        seed=seed_for(setting.root_seed, "isotherm", chain.name, number),
        bond_length_ang=setting.bond_length_ang,
        grid=os.path.relpath(grid, run_folder) if plan.biased else "",
        restart_every=RESTART_EVERY,
        continues=f"../run.{number - 1:02d}/{END_FILE}" if number else "",
        quantum=plan.quantum,
    )
    run = prepare_gcmc(
        run_folder,
        _as_begun(run_folder, spec) if number else spec,
        chain.start,
        models=_models_of(setting.committee[chain.member]),
        base_dir=setting.directory,
        command=setting.command,
    )
    chain.runs.append(run)
    return run


def _as_begun(folder: Path, spec: GcmcSpec) -> GcmcSpec:
    """`spec` with the length of the extension that lies in `folder` where it is the same but for that."""
    if not (folder / JOB_FILE).exists():
        return spec
    before, _ = read_job(folder)
    like_before = replace(
        spec,
        n_moves=before.n_moves,
        engine_model=before.engine_model,
        pair_baselines=before.pair_baselines,
    )
    return replace(spec, n_moves=before.n_moves) if like_before == before else spec


def _run(
    runs: Sequence[GcmcTask],
    machine: StageMachine,
    base_dir: Path,
    name: str,
    on_progress: Callable[[Progress], None] | None,
) -> None:
    outcomes = run_tasks(
        [run.task for run in runs], machine=machine, base_dir=base_dir, name=name, on_progress=on_progress
    )
    failed = [f"{o.task.work_dir}: {o.message}" for o in outcomes if o.status != "done"]
    if failed:
        raise NeedsPersonError(f"{len(failed)} of {len(runs)} isotherm runs failed, first {failed[0]}")


def _models_of(model: CommitteeMember) -> GcmcModels:
    return GcmcModels(model.engine, (), (), () if model.pair_baseline is None else (model.pair_baseline,))

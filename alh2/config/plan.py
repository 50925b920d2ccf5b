"""The work a param file asks for, counted before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alh2.config.model import GcmcJob, MdJob, ParamConfig, SelectConfig
from alh2.core.frames import Target


@dataclass(frozen=True)
class PlannedCommittee:
    """Trainings of one committee per iteration; from `reuse_iter` on they are continued for `reuse_steps`."""

    target: Target
    n_models: int
    steps: int | None
    reuse_iter: int | None
    reuse_steps: int | None


@dataclass(frozen=True)
class PlannedIteration:
    """Exploration and labels of one iteration; `last` also for those after it up to `max_iterations`.

    iteration : number of the iteration; of the rung with a curriculum
    label_cap : most frames picked: the cap per system (loading) times the loadings that MD starts from and Monte
    Carlo can reach, or the cap per iteration; bare hosts and the assessment come on top
    assess_labels : labels of held-out insertions (N and N+1)
    """

    iteration: int
    md_tasks: int
    md_steps: int
    temperatures_k: tuple[float, ...]
    loadings: tuple[int, ...]
    gcmc_tasks: int
    gcmc_moves: int
    label_cap: int
    assess_labels: int


@dataclass(frozen=True)
class PlannedWork:
    """The whole campaign.

    bootstrap_labels : labels before the first training, at most
    iterations : what each iteration does; with a curriculum what each of the iterations of a rung does
    max_iterations : of the loop, or of each rung (`rungs`)
    isotherm_runs : pressures times initial loadings
    """

    committees: tuple[PlannedCommittee, ...]
    bootstrap_labels: int
    iterations: tuple[PlannedIteration, ...]
    max_iterations: int
    production_md_steps: int
    isotherm_runs: int
    isotherm_moves: int
    rungs: bool = False

    @property
    def most_labels(self) -> int:
        """Labels that the campaign may ask for, bare hosts of explored frames not counted."""
        each = [planned.label_cap + planned.assess_labels for planned in self.iterations]
        if self.rungs:
            return self.bootstrap_labels + self.max_iterations * sum(each)
        later = max(0, self.max_iterations - len(each)) * each[-1] if each else 0
        return self.bootstrap_labels + sum(each) + later


def planned_work(param: ParamConfig, *, n_aimd_frames: int) -> PlannedWork:
    """Work of `param`; `n_aimd_frames` initial frames need a bare-host label each where that is asked for."""
    boot, made = param.bootstrap, param.production
    loaded = sum(1 for loading in boot.loadings if loading > 0) * (boot.frames_per_loading + boot.sampled_per_loading)
    rattled = boot.rattled_frames if boot.host_displacements_ang else 0
    bare = boot.host_snapshots + (n_aimd_frames + rattled if boot.label_bare_hosts else 0)
    labels = loaded + rattled + bare + boot.gas_frames + boot.gas_pair_frames
    described = min(
        max(len(param.explore.md_jobs), len(param.explore.gcmc_jobs), 1),
        param.converge.max_iterations,
    )
    return PlannedWork(
        committees=tuple(_committee(param, target) for target in ("total", "interaction") if param.committee(target)),
        bootstrap_labels=labels,
        iterations=_rungs(param) if param.curriculum else tuple(_iteration(param, i) for i in range(described)),
        max_iterations=param.converge.max_iterations,
        production_md_steps=made.md_steps if made else 0,
        isotherm_runs=len(made.pressures_bar) * len(made.n_initial) if made else 0,
        isotherm_moves=made.n_moves if made else 0,
        rungs=param.curriculum is not None,
    )


def _committee(param: ParamConfig, target: Target) -> PlannedCommittee:
    config = param.committee(target)
    assert config is not None
    training = config.training_param["training"]
    steps = training.get("numb_steps")
    return PlannedCommittee(target, config.n_models, steps, config.reuse_iter, config.reuse_n_steps)


def _rungs(param: ParamConfig) -> tuple[PlannedIteration, ...]:
    """One iteration of each rung of the curriculum, with the first jobs of the param file."""
    target = param.curriculum
    assert target is not None
    md, gcmc, asked = param.explore.md_jobs[0], param.explore.gcmc_jobs[:1], param.assess
    planned = []
    for rung, loadings in enumerate(target.rungs):
        tasks = len(target.temperatures_k) * (2 * len(loadings) + sum(n > 0 for n in loadings)) if gcmc else 0
        visited = target.top(rung) + 1 if gcmc else len(loadings)
        planned.append(
            PlannedIteration(
                iteration=rung,
                md_tasks=len(loadings) * len(target.temperatures_k),
                md_steps=md.n_steps,
                temperatures_k=target.temperatures_k,
                loadings=loadings,
                gcmc_tasks=tasks,
                gcmc_moves=tasks * gcmc[0][0].n_moves if gcmc else 0,
                label_cap=_label_cap(param.select, visited),
                assess_labels=2 * len(loadings) * asked.per_loading if asked else 0,
            )
        )
    return tuple(planned)


def _iteration(param: ParamConfig, iteration: int) -> PlannedIteration:
    explore = param.explore
    md = explore.md_jobs[min(iteration, len(explore.md_jobs) - 1)]
    gcmc = explore.gcmc_jobs[min(iteration, len(explore.gcmc_jobs) - 1)] if explore.gcmc_jobs else ()
    md_tasks = _starts(param, md) * len(md.temperatures_k)
    gcmc_tasks = [job.n_tasks for job in gcmc]
    asked = param.assess
    return PlannedIteration(
        iteration=iteration,
        md_tasks=md_tasks,
        md_steps=md.n_steps,
        temperatures_k=md.temperatures_k,
        loadings=tuple(explore.loadings[i] for i in md.sys_idx) if explore.loadings else (),
        gcmc_tasks=sum(gcmc_tasks),
        gcmc_moves=sum(n * j.n_moves for n, j in zip(gcmc_tasks, gcmc, strict=True)),
        label_cap=_label_cap(param.select, _n_loadings(param, md, gcmc)),
        assess_labels=2 * len(asked.loadings) * asked.per_loading if asked else 0,
    )


def _label_cap(select: SelectConfig, n_loadings: int) -> int:
    most = select.fp_task_max * n_loadings
    return most if select.max_labels is None else min(most, select.max_labels)


def _n_loadings(param: ParamConfig, md: MdJob, gcmc: Sequence[GcmcJob]) -> int:
    """Loadings that an iteration can visit; systems given by files count each."""
    if not param.explore.loadings:
        return len(md.sys_idx) + bool(gcmc)
    reached = {param.explore.loadings[i] for i in md.sys_idx}
    return len(reached.union(*(range(job.max_loading + 1) for job in gcmc)))


def _starts(param: ParamConfig, job: MdJob) -> int:
    """Start configurations of an MD job: one per loading, or every file of its ``sys_configs``."""
    if param.explore.loadings:
        return len(job.sys_idx)
    return sum(len(param.explore.sys_configs[i]) for i in job.sys_idx)

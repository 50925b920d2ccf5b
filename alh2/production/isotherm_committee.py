"""What the other members of a committee say of an isotherm: by reweighting the first member's samples, or by runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from alh2.config.model import StageMachine
from alh2.core.errors import NeedsPersonError
from alh2.core.frames import Frame
from alh2.core.statistics import Estimate
from alh2.core.units import EV_IN_KJ_PER_MOL
from alh2.dispatch.run import Progress, run_tasks
from alh2.explore.gcmc_job import read_samples
from alh2.gcmc.averages import isosteric_heat
from alh2.production.committee_interval import (
    CommitteeInterval,
    Reweighted,
    committee_interval,
    loading_error,
    no_less_than_elsewhere,
    reweighted,
)
from alh2.production.energies_worker import energies_task, read_energies
from alh2.production.holes import MOST_CHECKED, depths_ev, shares_alone, spread_evenly
from alh2.production.isotherm_chains import PointRuns, new_point, run_points
from alh2.production.isotherm_plan import IsothermPlan, IsothermSetting, member_folder
from alh2.production.isotherm_result import CommitteePoint, MemberAnswer


@dataclass(frozen=True, eq=False)
class _Kept:
    """Configurations kept at one point after the transients, (n,): loading, and energy under every member.

    energies_ev : (n_members, n) adsorption energies, E(host + N) - E(host) - N E(molecule)
    """

    n_adsorbed: np.ndarray
    energies_ev: np.ndarray


def ask_committee(
    plan: IsothermPlan,
    setting: IsothermSetting,
    points: Sequence[PointRuns],
    *,
    machine: StageMachine,
    on_progress: Callable[[Progress], None] | None = None,
    on_message: Callable[[str], None] | None = None,
) -> list[CommitteePoint | None]:
    """The committee's interval at each of `points`, which the first member has run; None for each with one member.

    Raises NeedsPersonError naming a run that failed.
    """
    others = range(1, len(setting.committee))
    if not others or plan.committee_by == "none":
        return [None] * len(points)
    answers: dict[tuple[int, int], MemberAnswer] = {}
    kept: list[_Kept] = []
    if plan.committee_by == "reweight" and plan.quantum == "classical":
        kept = _evaluated(setting, points, machine, on_progress)
        for index, (point, sample) in enumerate(zip(points, kept, strict=True)):
            for member in others:
                found = _reweighted(sample, member, point)
                if found is not None:
                    answers[index, member] = found
    missing = [(i, m) for m in others for i in range(len(points)) if (i, m) not in answers]
    if missing and on_message is not None:
        on_message(f"committee: {len(answers)} answers by reweighting, {len(missing)} by runs of the other members")
    runs = {(i, m): new_point(setting, points[i].temperature_k, points[i].pressure_bar, member=m) for i, m in missing}
    if runs:
        run_points(
            plan, setting, list(runs.values()), machine=machine, name="committee", on_progress=on_progress,
            on_message=on_message,
        )  # fmt: skip
    answers |= {key: _run_answer(key[1], run) for key, run in runs.items()}
    answers |= {(i, 0): _run_answer(0, point) for i, point in enumerate(points)}
    known = {(i, 0): sample for i, sample in enumerate(kept)}
    left = runs if known else {(i, 0): point for i, point in enumerate(points)} | runs
    if left:
        checked = _evaluated(setting, list(left.values()), machine, on_progress, name="holes", most=MOST_CHECKED)
        known |= dict(zip(left, checked, strict=True))
    for key, share in _shares_alone(known).items():
        answers[key] = replace(answers[key], alone=share)
    asked = [
        committee_point(
            [answers[i, m] for m in range(len(setting.committee))],
            n_variance=point.averages.n_variance,
            insertion_error_ev=setting.insertion_error_ev,
            temperature_k=point.temperature_k,
        )
        for i, point in enumerate(points)
    ]
    return list(_together(asked, points))


def _together(asked: Sequence[CommitteePoint], points: Sequence[PointRuns]) -> list[CommitteePoint]:
    """Intervals of loadings that know of each other; points in a hole or without equilibrium say nothing of others."""
    responses = [loading_error(p.averages.n_variance, 1.0, temperature_k=p.temperature_k) for p in points]
    sound = [not any(m.in_hole or m.hysteresis for m in point.members) for point in asked]
    loadings = no_less_than_elsewhere([point.n_absolute for point in asked], responses, sound)
    return [replace(point, n_absolute=loading) for point, loading in zip(asked, loadings, strict=True)]


def committee_point(
    answers: Sequence[MemberAnswer], *, n_variance: float, insertion_error_ev: float, temperature_k: float
) -> CommitteePoint:
    """Intervals from the members' answers; an unknown error of the insertion energy (NaN) adds nothing.

    An error δ of the energy per molecule shifts the isosteric heat by δ. Answers from holes (`MemberAnswer.in_hole`)
    count where fewer than two others are left.
    """
    sound = [a for a in answers if not a.in_hole]
    counted = sound if len(sound) > 1 else answers
    known = insertion_error_ev if math.isfinite(insertion_error_ev) else 0.0
    loadings = [Estimate(a.n_absolute, a.n_absolute_error, math.nan, 0) for a in counted]
    shift = loading_error(n_variance, known, temperature_k=temperature_k)
    heats = [Estimate(a.heat_kj_per_mol, a.heat_error_kj_per_mol, math.nan, 0) for a in counted]
    return CommitteePoint(
        committee_interval(loadings, model_error=shift),
        _interval_of_known(heats, model_error=known * EV_IN_KJ_PER_MOL),
        tuple(answers),
    )


def _interval_of_known(heats: Sequence[Estimate], *, model_error: float) -> CommitteeInterval:
    """The interval from the members whose heat is known; all NaN where none is."""
    known = [h for h in heats if math.isfinite(h.mean)]
    if not known:
        return CommitteeInterval(math.nan, math.nan, math.nan, math.nan)
    return committee_interval(known, model_error=model_error)


def _run_answer(member: int, point: PointRuns) -> MemberAnswer:
    n, heat = point.averages.n_adsorbed, point.averages.isosteric_heat_kj_per_mol
    return MemberAnswer(
        member, "run", n.mean, n.standard_error, heat.mean, heat.standard_error, 1.0, point.averages.hysteresis
    )


def _reweighted(sample: _Kept, member: int, point: PointRuns) -> MemberAnswer | None:
    """The answer of `member`, None where it has to be run: too little weight, or chains that disagree."""
    if point.averages.hysteresis or sample.n_adsorbed.size < 2 or np.ptp(sample.n_adsorbed) == 0:
        return None
    change = sample.energies_ev[member] - sample.energies_ev[0]
    found: Reweighted = reweighted(sample.n_adsorbed, change, temperature_k=point.temperature_k)
    if not found.trusted:
        return None
    heat = isosteric_heat(
        [(sample.n_adsorbed, sample.energies_ev[member])], temperature_k=point.temperature_k, weights=[found.weights]
    )
    return MemberAnswer(
        member, "reweighted", found.estimate.mean, found.estimate.standard_error, heat.mean, heat.standard_error,
        found.effective,
    )  # fmt: skip


def _shares_alone(known: Mapping[tuple[int, int], _Kept]) -> dict[tuple[int, int], float]:
    """Part of the configurations of each run that its model alone holds deep, by point and member."""
    depths = [depths_ev(sample.energies_ev, member) for (_, member), sample in known.items()]
    return dict(zip(known, shares_alone(depths), strict=True))


def _evaluated(
    setting: IsothermSetting,
    points: Sequence[PointRuns],
    machine: StageMachine,
    on_progress: Callable[[Progress], None] | None,
    *,
    name: str = "committee",
    most: int | None = None,
) -> list[_Kept]:
    """Energies of the configurations kept at each of `points` by all members; one task for each point.

    name : of the folders of the tasks; most : configurations of a point; None: all
    """
    committee = setting.committee
    frames = [_kept_frames(point) for point in points]
    if most is not None:
        frames = [[kept[k] for k in spread_evenly(len(kept), most)] for kept in frames]
    tasks = [
        energies_task(
            setting.directory
            / f"{member_folder(point.chains[0].member)}{name}.{point.temperature_k:g}K.{point.pressure_bar:g}bar",
            kept,
            models=[m.engine for m in committee],
            pairs=[m.pair_baseline for m in committee if m.pair_baseline is not None],
            command=setting.command,
            label=f"{name} {point.temperature_k:g} K {point.pressure_bar:g} bar",
        )
        for point, kept in zip(points, frames, strict=True)
        if kept
    ]
    outcomes = run_tasks(
        tasks, machine=machine, base_dir=setting.directory, name=f"{name}.energies", on_progress=on_progress
    )
    failed = [f"{o.task.work_dir}: {o.message}" for o in outcomes if o.status != "done"]
    if failed:
        raise NeedsPersonError(f"{len(failed)} of {len(tasks)} evaluations of the committee failed, first {failed[0]}")
    done = iter(tasks)
    nothing = _Kept(np.empty(0), np.empty((len(committee), 0)))
    return [
        _Kept(np.array([f.n_h2 for f in kept], dtype=np.float64), read_energies(next(done).work_dir))
        if kept
        else nothing
        for kept in frames
    ]


def _kept_frames(point: PointRuns) -> list[Frame]:
    """Configurations of the chains' runs after the transient that each chain's averages leave out."""
    frames: list[Frame] = []
    for chain, found in zip(point.chains, point.averages.chains, strict=True):
        before = found.n_discarded * chain.runs[0].spec.sample_every
        for run in chain.runs:
            samples = read_samples(run.task.work_dir)
            frames += [f for f, step in zip(samples.frames, samples.steps, strict=True) if step > before]
            before = max(0, before - run.spec.n_moves)
    return frames

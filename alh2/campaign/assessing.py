"""Stage *assess*: errors of the committees on held-out labels, and the convergence verdict."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from alh2.assess.errors import (
    FrameErrors,
    InsertionEnergies,
    frame_errors,
    frames_of,
    insertion_energies,
    save_errors,
)
from alh2.assess.heldout import HeldoutInsertion, load_heldout
from alh2.assess.samples import named_samples
from alh2.assess.uncertainty import CommitteeCalibration, calibrate_committee, load_calibration, save_calibration
from alh2.assess.verdict import Measured, Verdict, judge
from alh2.campaign.context import Campaign
from alh2.campaign.evaluating import EVALUATION_FILE, evaluation_task
from alh2.campaign.labelling import known_labels
from alh2.campaign.paths import RunPaths
from alh2.config.model import CommitteeConfig
from alh2.core.errors import NeedsPersonError
from alh2.core.files import atomic_write_json, read_json_as
from alh2.core.frames import Label, LabelledFrame, Target
from alh2.dispatch.run import run_tasks
from alh2.dispatch.tasks import Task
from alh2.explore.explored_file import load_explored
from alh2.potential.evaluate import load_evaluation
from alh2.select.table import SELECTION_FILE, read_selection_table

RESULT_FILE = "assess.json"


@dataclass(frozen=True)
class Assessment:
    """Figures and verdict of one iteration, as stored in ``03.assess/assess.json``."""

    accurate_fraction: float
    insertion_spread_ev: float
    force_rmse_ev_ang: float
    insertion_rmse_ev: float
    insertion_mean_ev: float
    met: bool
    words: str


def assess(campaign: Campaign, iteration: int) -> Assessment:
    """Evaluate both committees on everything held out, judge, and write ``assess.json``; repeatable."""
    directory = campaign.paths.assess(iteration)
    directory.mkdir(parents=True, exist_ok=True)
    jobs = [_evaluation(campaign, iteration, committee) for committee in campaign.param.committees]
    outcomes = run_tasks(
        [job.task for job in jobs],
        machine=campaign.machine.gcmc,
        base_dir=directory,
        name=f"evaluate.{iteration:06d}",
        on_progress=campaign.on_progress,
    )
    for job, outcome in zip(jobs, outcomes, strict=True):
        if outcome.status != "done":
            raise NeedsPersonError(
                f"{job.task.work_dir}: the {job.target} committee could not be evaluated: {outcome.message}"
            )
    labels = known_labels(campaign.store).labels
    done = {job.target: _errors(directory, job, labels) for job in jobs}
    force, _ = done[campaign.force_committee.target]
    _, insertions = done[campaign.engine_committee.target]
    for target, (errors, found) in done.items():
        before = calibration_of(campaign.paths, iteration - 1, target)
        calibration = calibrate_committee(target, named_samples(errors, found), before)
        save_calibration(_calibration_file(campaign.paths, iteration, target), calibration)
    measured = Measured(
        accurate_fraction=_accurate_fraction(campaign, iteration),
        insertion_spread_ev=_insertion_spread(campaign, iteration),
        force_rmse_ev_ang=force.force_rmse_ev_ang,
        insertion_rmse_ev=insertions.rmse_ev,
        insertion_mean_ev=insertions.mean_ev,
    )
    verdict: Verdict = judge(campaign.param.converge, measured)
    result = Assessment(**asdict(measured), met=verdict.met, words=verdict.words)
    atomic_write_json(directory / RESULT_FILE, asdict(result))
    words = errors_in_words(
        force_rmse_ev_ang=measured.force_rmse_ev_ang,
        insertion_rmse_ev=measured.insertion_rmse_ev,
        insertion_mean_ev=measured.insertion_mean_ev,
    )
    campaign.reporter.message(f"held out: {words}")
    campaign.reporter.message(verdict.words)
    return result


def calibration_of(paths: RunPaths, iteration: int, target: Target) -> CommitteeCalibration | None:
    """Calibration of a committee in `iteration`, None where there is none."""
    return load_calibration(_calibration_file(paths, iteration, target)) if iteration >= 0 else None


def _calibration_file(paths: RunPaths, iteration: int, target: Target) -> Path:
    return paths.assess(iteration) / f"calibration.{target}.json"


def errors_in_words(*, force_rmse_ev_ang: float, insertion_rmse_ev: float, insertion_mean_ev: float) -> str:
    """Held-out errors as a person reads them; "not measured" for NaN."""

    def shown(value: float, text: str) -> str:
        return text if math.isfinite(value) else "not measured"

    force = shown(force_rmse_ev_ang, f"{force_rmse_ev_ang:.3f} eV/Å")
    rmse = shown(insertion_rmse_ev, f"{1e3 * insertion_rmse_ev:.1f} meV")
    mean = shown(insertion_mean_ev, f"{1e3 * insertion_mean_ev:+.1f} meV")
    return f"force RMSE {force}, insertion energy RMSE {rmse}, mean {mean}"


def load_assessment(path: Path) -> Assessment | None:
    """The assessment in an iteration's ``03.assess``, None where there is none yet."""
    file = path / RESULT_FILE
    return read_json_as(file, Assessment) if file.exists() else None


def judged_again(campaign: Campaign, iteration: int) -> Verdict | None:
    """The verdict on what was measured in `iteration` by the limits of the param file as it is now."""
    result = load_assessment(campaign.paths.assess(iteration))
    if result is None:
        return None
    return judge(campaign.param.converge, Measured(**{f.name: getattr(result, f.name) for f in fields(Measured)}))


@dataclass(frozen=True, eq=False)
class _Evaluation:
    """The task that evaluates one committee, and what it is asked about."""

    target: Target
    task: Task
    valid: list[LabelledFrame]
    insertions: list[HeldoutInsertion]


def _evaluation(campaign: Campaign, iteration: int, committee: CommitteeConfig) -> _Evaluation:
    target = committee.target
    valid = [f for f in campaign.store.load("valid") if f.has_target(target) and _current(f, iteration)]
    insertions = load_heldout(campaign.paths.explore(iteration))
    committee_members = campaign.members(committee, iteration)
    task = evaluation_task(
        campaign,
        campaign.paths.assess(iteration) / f"evaluate.{target}",
        [f.frame for f in valid] + frames_of(insertions),
        graphs=[m.graph for m in committee_members],
        pairs=[m.pair_baseline for m in committee_members if m.pair_baseline.exists()],
        label=f"evaluate {target} committee",
    )
    return _Evaluation(target, task, valid, insertions)


def _errors(directory: Path, job: _Evaluation, labels: dict[str, Label]) -> tuple[FrameErrors, InsertionEnergies]:
    evaluation = load_evaluation(job.task.work_dir / EVALUATION_FILE)
    n_valid, n_all = len(job.valid), len(evaluation.digests)
    errors = frame_errors(job.valid, evaluation.part(0, n_valid), target=job.target)
    insertion = insertion_energies(job.insertions, labels, evaluation.part(n_valid, n_all), target=job.target)
    save_errors(directory / f"errors.{job.target}.npz", errors, insertion)
    return errors, insertion


def _current(labelled: LabelledFrame, iteration: int) -> bool:
    """Whether a held-out frame counts for `iteration`: samples of an earlier model are not what this one visits."""
    origin = labelled.frame.provenance
    return origin.source != "heldout" or origin.iteration == iteration


def _accurate_fraction(campaign: Campaign, iteration: int) -> float:
    rows = read_selection_table(campaign.paths.label(iteration) / SELECTION_FILE)
    return sum(row.band == "accurate" for row in rows) / len(rows) if rows else float("nan")


def _insertion_spread(campaign: Campaign, iteration: int) -> float:
    """Mean committee spread (eV) of the insertion energy over explored GCMC frames; NaN where there are none."""
    explored = load_explored(campaign.paths.explore(iteration))
    spreads = [e.devi_insertion_ev for e in explored if e.devi_insertion_ev is not None]
    return float(np.mean(spreads)) if spreads else float("nan")

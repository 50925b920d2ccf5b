"""After the training of a committee on pair baselines: they are fitted once more, to what the networks leave."""

from __future__ import annotations

from alh2.campaign.context import Campaign
from alh2.campaign.evaluating import EVALUATION_FILE, evaluation_task
from alh2.config.model import CommitteeConfig
from alh2.core.errors import NeedsPersonError
from alh2.core.frames import Label, LabelledFrame
from alh2.dispatch.run import run_tasks
from alh2.dispatch.tasks import Task
from alh2.potential.evaluate import CommitteeEvaluation, load_evaluation
from alh2.potential.pair_baseline import load_pair_baseline
from alh2.train.pair_fit import corrected_baseline, drawn_frames, fitted_frames


def correct_baselines(campaign: Campaign, iteration: int, usable: list[LabelledFrame]) -> None:
    """Evaluate the committees that have baselines on the frames they were trained on, and write the baselines of their
    models; repeatable. Those under total energies stay as they are: one for all members, between atoms only.

    Raises NeedsPersonError where the evaluation fails.
    """
    committees = [c for c in campaign.param.committees if c.pair_baseline]
    for committee in committees:
        for member in campaign.members(committee, iteration):
            if committee.target == "total" and member.pair_start.exists():
                load_pair_baseline(member.pair_start).save(member.pair_baseline)
    committees = [c for c in committees if c.target == "interaction"]
    committees = [c for c in committees if all(m.pair_start.exists() for m in campaign.members(c, iteration))]
    if not committees:
        return
    frames = fitted_frames(usable)
    train_dir = campaign.paths.train(iteration)
    tasks = [_evaluation(campaign, iteration, committee, frames) for committee in committees]
    outcomes = run_tasks(
        tasks,
        machine=campaign.machine.gcmc,
        base_dir=train_dir,
        name=f"correct.{iteration:06d}",
        on_progress=campaign.on_progress,
    )
    for committee, task, outcome in zip(committees, tasks, outcomes, strict=True):
        if outcome.status != "done":
            raise NeedsPersonError(f"{task.work_dir}: the new models could not be evaluated: {outcome.message}")
        evaluation = load_evaluation(task.work_dir / EVALUATION_FILE)
        for member in campaign.members(committee, iteration):
            drawn = drawn_frames(len(frames), member, iteration=iteration, root_seed=campaign.param.seed)
            corrected_baseline(
                load_pair_baseline(member.pair_start),
                [frames[k] for k in drawn],
                [_label(evaluation, member.index, k) for k in drawn],
            ).save(member.pair_baseline)


def _evaluation(campaign: Campaign, iteration: int, committee: CommitteeConfig, frames: list[LabelledFrame]) -> Task:
    members = campaign.members(committee, iteration)
    return evaluation_task(
        campaign,
        campaign.paths.train(iteration) / f"evaluate.{committee.target}",
        [f.frame for f in frames],
        graphs=[m.graph for m in members],
        pairs=[m.pair_start for m in members],
        label=f"evaluate {committee.target} committee on what it learned",
    )


def _label(evaluation: CommitteeEvaluation, member: int, frame: int) -> Label:
    return Label(
        float(evaluation.energies_ev[member, frame]), evaluation.frame_forces_ev_ang(frame)[member], "committee"
    )

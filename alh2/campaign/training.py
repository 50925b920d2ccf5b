"""Stage *train*: data of this iteration, checks on it, and the committees."""

from __future__ import annotations

from alh2.campaign.context import Campaign
from alh2.dataset.checks import check_sel
from alh2.dataset.export import export_systems
from alh2.train.committee import TrainingPlan, train_committees
from alh2.train.pair_fit import pair_baseline


def train(campaign: Campaign, iteration: int) -> None:
    """Export the training frames and train every committee; repeatable.

    Frames that this or a later iteration found are left out, so that a repeat trains on the same data.
    """
    train_dir = campaign.paths.train(iteration)
    train_dir.mkdir(parents=True, exist_ok=True)
    usable = [f for f in campaign.store.load("train") if f.frame.provenance.iteration < iteration]
    frames = [labelled.frame for labelled in usable]
    previous = campaign.paths.train(iteration - 1) if iteration > 0 else None
    data, baselines = [], []
    for committee in campaign.param.committees:
        descriptor = committee.training_param["model"]["descriptor"]
        check_sel(
            frames,
            rcut_ang=float(descriptor["rcut"]),
            sel=descriptor["sel"],
            type_map=campaign.param.type_map,
            where=f"{campaign.param.source}: training sel of the {committee.target} committee",
        )
        baseline = pair_baseline(committee, usable, iteration=iteration, previous_train_dir=previous)
        learned = usable if baseline is None else [baseline.subtracted(f) for f in usable]
        exported = train_dir / f"data.{committee.target}"
        data.append(tuple(export_systems(learned, exported, target=committee.target, type_map=campaign.param.type_map)))
        baselines.append(baseline)
    plan = TrainingPlan(
        train_dir=train_dir,
        iteration=iteration,
        committees=campaign.param.committees,
        data=tuple(data),
        baselines=tuple(baselines),
        previous_train_dir=previous,
        type_map=campaign.param.type_map,
        root_seed=campaign.param.seed,
    )
    train_committees(plan, campaign.machine.train, on_progress=campaign.on_progress)

"""Stage *train*: data of this iteration, checks on it, and the committees."""

from __future__ import annotations

from pathlib import Path

from alh2.campaign.context import Campaign
from alh2.campaign.correcting import correct_baselines
from alh2.config.model import CommitteeConfig
from alh2.core.frames import LabelledFrame
from alh2.dataset.checks import check_sel
from alh2.dataset.export import export_systems
from alh2.train.committee import MemberData, TrainingPlan, train_committees
from alh2.train.inputs import weighs_guests
from alh2.train.pair_fit import learnable, member_baseline


def train(campaign: Campaign, iteration: int) -> None:
    """Export the training frames train every committee, and correct their pair baselines; repeatable.

    See :func:`usable_frames` for what they are trained on.
    """
    train_dir = campaign.paths.train(iteration)
    train_dir.mkdir(parents=True, exist_ok=True)
    usable = usable_frames(campaign, iteration)
    frames = [labelled.frame for labelled in usable]
    previous = campaign.paths.train(iteration - 1) if iteration > 0 else None
    data = []
    for committee in campaign.param.committees:
        descriptor = committee.training_param["model"]["descriptor"]
        check_sel(
            frames,
            rcut_ang=float(descriptor["rcut"]),
            sel=descriptor["sel"],
            type_map=campaign.param.type_map,
            where=f"{campaign.param.source}: training sel of the {committee.target} committee",
        )
        data.append(_member_data(campaign, committee, usable, iteration=iteration, previous=previous))
    plan = TrainingPlan(
        train_dir=train_dir,
        iteration=iteration,
        committees=campaign.param.committees,
        data=tuple(data),
        previous_train_dir=previous,
        type_map=campaign.param.type_map,
        root_seed=campaign.param.seed,
    )
    train_committees(plan, campaign.machine.train, on_progress=campaign.on_progress)
    correct_baselines(campaign, iteration, usable)


def usable_frames(campaign: Campaign, iteration: int) -> list[LabelledFrame]:
    """What `iteration` is trained on: training frames found before it, and the held-out insertions of older iterations.

    Those have judged the models they were held out for; every iteration draws new ones. A repeat gets the same frames.
    """
    known = campaign.store.load("train")
    known += [f for f in campaign.store.load("valid") if f.frame.provenance.source == "heldout"]
    return [f for f in known if f.frame.provenance.iteration < iteration]


def _member_data(
    campaign: Campaign, committee: CommitteeConfig, usable: list[LabelledFrame], *, iteration: int,
    previous: Path | None,
) -> tuple[MemberData, ...]:  # fmt: skip
    """Exported systems of each member: the same for all on total energies; the others have baselines of their own."""
    train_dir, type_map = campaign.paths.train(iteration), campaign.param.type_map
    relevant = usable if committee.target == "total" else _with_guests(usable)
    data: list[MemberData] = []
    for member in campaign.members(committee, iteration):
        if data and committee.target == "total":
            data.append(data[0])
            continue
        baseline = member_baseline(
            committee, relevant, member, iteration=iteration, previous_train_dir=previous,
            root_seed=campaign.param.seed,
        )  # fmt: skip
        name, learned = f"data.{committee.target}", relevant
        if baseline is not None and committee.target == "total":
            learned = [baseline.total_rest(f) for f in relevant if learnable(baseline, f)]
        elif baseline is not None:
            name += f".{member.index:03d}"
            kept = [f for f in relevant if f.has_target(committee.target) and learnable(baseline, f)]
            learned = [baseline.rest(f) for f in kept]
        systems = export_systems(
            learned,
            train_dir / name,
            target=committee.target,
            type_map=type_map,
            guest_weights=weighs_guests(committee),
        )
        data.append(MemberData(tuple(systems), baseline))
    return tuple(data)


def _with_guests(frames: list[LabelledFrame]) -> list[LabelledFrame]:
    """Without the bare hosts that no frame puts guests on: their interaction energy is zero and teaches nothing."""
    hosts = {f.frame.bare_host().digest for f in frames if f.frame.n_h2}
    return [f for f in frames if f.frame.n_h2 or f.frame.digest in hosts]

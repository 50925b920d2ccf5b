"""The protocol of one loading: a total-energy model trained on the molecular dynamics alone, no loop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from alh2.config.load import load_machine, load_param
from alh2.dataset.export import export_systems
from alh2.dataset.store import DatasetStore
from alh2.potential.load import load_potential
from alh2.potential.protocol import Potential
from alh2.train.committee import MemberData, TrainingPlan, train_committees

STEPS_TIMES = 2
"""Steps of the one training, in those of the loop's total committee: no iterations follow."""


def paper_potential(folder: Path, param: Path, machine: Path, seed: int) -> Potential:
    """The model, trained in ``folder/paper`` where it is not there already."""
    config, where = load_param(param), folder / "paper"
    committee = config.committees[0]
    training = {**committee.training_param["training"]}
    training["numb_steps"] = STEPS_TIMES * training["numb_steps"]
    committee = replace(committee, n_models=1, training_param={**committee.training_param, "training": training})
    frames = [f for f in DatasetStore.open(folder / "campaign" / "dataset").load("train")]
    frames = [f for f in frames if f.frame.provenance.source == "aimd"]
    systems = export_systems(frames, where / "data", target="total", type_map=config.type_map)
    plan = TrainingPlan(where, 0, (committee,), ((MemberData(tuple(systems)),),), None, config.type_map, seed)
    (member,) = train_committees(plan, load_machine(machine).train)
    return load_potential(member.frozen)

"""Inputs of a campaign for the public: param and machine file without secrets, label inputs, training inputs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ase.io import write

from alh2.campaign.context import Campaign
from alh2.config.files import read_tree
from alh2.config.model import CommitteeConfig
from alh2.config.public import public_machine, public_param
from alh2.config.schema import LABEL_PATHS
from alh2.core.atoms import to_atoms
from alh2.core.files import atomic_write_json, read_json

LICENSED = ("fp_pp_path",)
"""Pseudopotentials belong to those who made them."""


def write_inputs(campaign: Campaign, iteration: int, folder: Path) -> None:
    """Write what the models of `iteration` were made from into the new `folder`."""
    folder.mkdir()
    atomic_write_json(folder / "param.json", public_param(campaign.param.raw))
    atomic_write_json(folder / "machine.json", public_machine(read_tree(campaign.machine.source)))
    _label_files(campaign, folder / "labels")
    if campaign.paths.hosts.exists():
        write(folder / "hosts.extxyz", [to_atoms(host) for host in campaign.hosts()], format="extxyz")
    for committee in campaign.param.committees:
        _training(campaign, committee, iteration, folder / "training")
    atomic_write_json(folder / "seeds.json", seeds(campaign, iteration))


def seeds(campaign: Campaign, iteration: int) -> dict[str, Any]:
    """The root seed, from which all random streams follow, and the seeds that training was given."""
    training = {}
    for committee in campaign.param.committees:
        for member in campaign.members(committee, iteration):
            given = read_json(member.work_dir / "input.json")
            training[f"{member.work_dir.parent.parent.name}/{member.work_dir.name}"] = {
                "training": given["training"].get("seed"),
                "descriptor": given["model"]["descriptor"].get("seed"),
                "fitting_net": given["model"]["fitting_net"].get("seed"),
            }
    return {"root": campaign.param.seed, "training": training}


def _label_files(campaign: Campaign, folder: Path) -> None:
    """Input files of the labeler that may be given away, e.g. the INCAR."""
    for key in LABEL_PATHS:
        value = campaign.param.label.params.get(key)
        if key in LICENSED or not value or not Path(value).is_file():
            continue
        folder.mkdir(exist_ok=True)
        shutil.copyfile(value, folder / Path(value).name)


def _training(campaign: Campaign, committee: CommitteeConfig, iteration: int, folder: Path) -> None:
    for member in campaign.members(committee, iteration):
        target = folder / committee.target / f"{member.index:03d}"
        target.mkdir(parents=True)
        shutil.copyfile(member.work_dir / "input.json", target / "input.json")
        if member.lcurve.exists():
            shutil.copyfile(member.lcurve, target / "lcurve.out")

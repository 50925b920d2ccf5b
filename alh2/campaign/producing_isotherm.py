"""Isotherms with the models of a campaign."""

from __future__ import annotations

from pathlib import Path

from alh2.analysis.void import VoidFraction
from alh2.campaign.context import Campaign
from alh2.campaign.exploring import gas_bond_length_ang
from alh2.campaign.older_predictions import keep_older
from alh2.campaign.predicting import insertion_error_ev, on_last_host
from alh2.config.rules import max_explored_loading
from alh2.core.files import link_file
from alh2.core.nuclei import Quantum
from alh2.production.isotherm import run_isotherm
from alh2.production.isotherm_plan import CommitteeMember, IsothermPlan, IsothermSetting
from alh2.production.isotherm_result import Isotherm, point_words


def produce_isotherm(
    campaign: Campaign, iteration: int, plan: IsothermPlan, *, void: VoidFraction | None = None
) -> Isotherm:
    """The isotherm `plan` with the models of `iteration`, in the folder of its nuclei; repeatable.

    Predictions by models of other iterations are kept in other folders (`alh2.campaign.older_predictions`).
    """
    directory = isotherm_directory(campaign, plan.quantum)
    keep_older(campaign, iteration)
    directory.mkdir(parents=True, exist_ok=True)
    campaign.reporter.stage("isotherm")
    isotherm = run_isotherm(
        plan,
        IsothermSetting(
            directory=directory,
            committee=link_committee(campaign, iteration, directory),
            starts=tuple(on_last_host(campaign, n) for n in plan.n_initial),
            min_distance_ang=campaign.param.select.min_distance_ang,
            max_loading=max_explored_loading(campaign.param),
            bond_length_ang=gas_bond_length_ang(campaign),
            root_seed=campaign.param.seed,
            command=campaign.machine.gcmc.command,
            void=void,
            insertion_error_ev=insertion_error_ev(campaign, iteration),
        ),
        machine=campaign.machine.gcmc,
        on_progress=campaign.on_progress,
        on_message=campaign.reporter.message,
    )
    for point in isotherm.points:
        campaign.reporter.message(point_words(point))
    return isotherm


def link_committee(campaign: Campaign, iteration: int, directory: Path) -> tuple[CommitteeMember, ...]:
    """The models of `iteration` that predict adsorption, linked into `directory`."""
    found = []
    for member in campaign.members(campaign.engine_committee, iteration):
        source = member.engine if member.engine.exists() else member.frozen
        engine = directory / f"engine.{member.target}.{member.index:03d}{source.suffix}"
        under = None
        link_file(source, engine)
        if member.pair_baseline.exists():
            under = directory / f"pair_baseline.{member.index:03d}.json"
            link_file(member.pair_baseline, under)
        found.append(CommitteeMember(engine, under))
    return tuple(found)


def isotherm_directory(campaign: Campaign, quantum: Quantum) -> Path:
    """``production/isotherm``, or the folder beside it of isotherms with quantum nuclei."""
    return campaign.paths.production / ("isotherm" if quantum == "classical" else f"isotherm-{quantum}")

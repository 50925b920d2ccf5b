"""Stage *production*: MD and the isotherm with the committee of the last iteration."""

from __future__ import annotations

from alh2.campaign.context import Campaign
from alh2.campaign.producing_isotherm import isotherm_directory, produce_isotherm
from alh2.campaign.producing_md import produce_md
from alh2.config.model import ProductionConfig
from alh2.production.isotherm_density import density_name, point_density, shown_points
from alh2.production.isotherm_plan import IsothermPlan
from alh2.production.made import write_made
from alh2.production.md_plan import standard_plan
from alh2.report.isotherm_files import save_isotherm_files

COMMAND = "alh2 run"


def produce(campaign: Campaign, iteration: int) -> None:
    """Run what ``alh2.production`` asks for; repeatable."""
    config = campaign.param.production
    if config is None:
        return
    made = produce_md(
        campaign, iteration, standard_plan(config, (config.md_temperature_k,)), loading=config.md_loading,
        command=COMMAND,
    )  # fmt: skip
    for words in made.words():
        campaign.reporter.message(words)
    _isotherm(campaign, iteration, config)


def _isotherm(campaign: Campaign, iteration: int, config: ProductionConfig) -> None:
    plan = IsothermPlan(
        (config.isotherm_temperature_k,),
        config.pressures_bar,
        config.n_initial,
        config.n_moves,
        config.n_equilibration,
        relative_error=config.relative_error,
        max_moves=config.max_moves,
        biased=config.biased_insertion,
        committee_by=config.committee,
    )
    isotherm = produce_isotherm(campaign, iteration, plan)
    directory = isotherm_directory(campaign, plan.quantum)
    save_isotherm_files(directory, isotherm)
    write_made(directory, command=COMMAND, seed=campaign.param.seed)
    for point in shown_points(isotherm):
        point_density(directory, point, directory / f"{density_name(point)}.cube")

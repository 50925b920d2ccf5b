"""Molecular dynamics with the models of a campaign, and with any others: run, analyse, write."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from alh2.campaign.context import Campaign
from alh2.campaign.exploring import campaign_forces, link_models
from alh2.campaign.moving import movers_of, with_movers
from alh2.campaign.older_predictions import keep_older
from alh2.campaign.predicting import insertion_rmse_ev, on_last_host
from alh2.campaign.progress import Reporter
from alh2.config.model import StageMachine
from alh2.core.frames import Target
from alh2.production.made import write_made
from alh2.production.md_analysis import RESULT_FILE, MdAnalysis, analyse
from alh2.production.md_plan import MdPlan, MdRunsSetting, unused_models
from alh2.production.md_runs import run_md_plan
from alh2.production.md_setting import runs_setting
from alh2.report.md_files import save_md_files


@dataclass(frozen=True, eq=False)
class MadeMd:
    """Molecular dynamics of a campaign.

    plan : as it was run; insertion_rmse_ev : of the models that moved the molecules, held out, NaN where unknown
    """

    plan: MdPlan
    directory: Path
    analysis: MdAnalysis
    insertion_rmse_ev: float

    def words(self) -> list[str]:
        """One line per temperature."""
        told = []
        for result in self.analysis.temperatures:
            known = [d for run in result.runs for d in run.deviations_ev_ang if math.isfinite(d)]
            told.append(
                f"MD at {result.temperature_k:g} K with {result.n_h2} H2: {result.n_frames} frames of "
                f"{len(result.runs)} runs, {self.analysis.movers}; largest force deviation "
                f"{max(known, default=math.nan):.3f} eV/Å"
            )
        return told


def md_directory(campaign: Campaign, n_beads: int) -> Path:
    """``production/md``, or the folder beside it of path integrals."""
    return campaign.paths.production / ("md" if n_beads == 1 else "md-pimd")


def produce_md(
    campaign: Campaign,
    iteration: int,
    plan: MdPlan,
    *,
    loading: int,
    command: str,
    forces: Target | None = None,
    beside: Sequence[Path] = (),
    density: bool = False,
) -> MadeMd:
    """Run `plan` with the models of `iteration`, in the folder of its nuclei; repeatable.

    Predictions by models of other iterations are kept in other folders (`alh2.campaign.older_predictions`).
    forces : the models that move the molecules, None: those that know insertion energies better
    beside : folders of results drawn beside, after those of other nuclei in the campaign
    Raises what `alh2.campaign.moving.movers_of` and `alh2.production.md_runs.run_md_plan` raise.
    """
    directory = md_directory(campaign, plan.n_beads)
    keep_older(campaign, iteration)
    directory.mkdir(parents=True, exist_ok=True)
    models = link_models(campaign, iteration, directory)
    start, *starts = (on_last_host(campaign, loading, replica=k) for k in range(plan.n_replicas))
    select = campaign.param.select
    if plan.trusted_ev_ang is None:
        plan = replace(plan, trusted_ev_ang=select.f_trust_hi_ev_ang)
    setting = runs_setting(
        directory, models.force, campaign_forces(campaign, models), start, seed=campaign.param.seed, select=select
    )
    setting = replace(
        setting,
        other_starts=tuple(starts),
        masses_amu=campaign.param.explore.mass_amu,
        command=campaign.machine.model_devi.command,
        python=campaign.machine.gcmc.command,
    )
    movers = movers_of(campaign, iteration, plan, n_h2=start.n_h2, wanted=forces)
    if movers.words:
        campaign.reporter.message(movers.words)
    if movers.by_ase:
        setting = with_movers(
            campaign, iteration, plan, setting, interaction=models.insertion, under=models.pair_baselines
        )
    other_nuclei = md_directory(campaign, 1 if plan.n_beads > 1 else 2)
    beside = (*beside, *([other_nuclei] if (other_nuclei / RESULT_FILE).exists() else []))
    machine = campaign.machine.model_devi
    campaign.reporter.stage("MD")
    analysis = run_and_write(plan, setting, machine, campaign.reporter, command=command, beside=beside, density=density)
    rmse = insertion_rmse_ev(campaign, iteration, movers.target) if start.n_h2 else math.nan
    return MadeMd(plan, directory, analysis, rmse)


def run_and_write(
    plan: MdPlan,
    setting: MdRunsSetting,
    machine: StageMachine,
    reporter: Reporter,
    *,
    command: str,
    beside: Sequence[Path] = (),
    density: bool = False,
) -> MdAnalysis:
    """Run, analyse, and write results, what they were made by, and figures into the folder of `setting`."""
    runs = run_md_plan(plan, setting, machine=machine, on_progress=reporter.tasks, on_message=reporter.message)
    analysis = analyse(plan, setting, runs)
    write_made(setting.directory, command=command, seed=setting.root_seed, unused=unused_models(plan, setting))
    save_md_files(plan, setting, analysis, beside=beside, density=density)
    return analysis

"""Stage *production*: MD and the isotherm with the committee of the last iteration."""

from __future__ import annotations

import math
from pathlib import Path

from alh2.analysis.void import VoidFraction
from alh2.assess.errors import load_errors
from alh2.campaign.context import Campaign
from alh2.campaign.exploring import gas_bond_length_ang, link_models, md_setting
from alh2.config.rules import max_explored_loading
from alh2.core.atoms import from_atoms, to_atoms
from alh2.core.errors import BadInputError
from alh2.core.files import link_file
from alh2.core.frames import Frame, Provenance, Target
from alh2.core.nuclei import Quantum
from alh2.core.random_streams import seed_for, stream
from alh2.production.committee_interval import systematic_error_ev
from alh2.production.isotherm import run_isotherm
from alh2.production.isotherm_density import density_name, point_density, shown_points
from alh2.production.isotherm_plan import CommitteeMember, IsothermPlan, IsothermSetting
from alh2.production.isotherm_result import Isotherm, point_words
from alh2.production.made import write_made
from alh2.production.md import run_md
from alh2.report.isotherm_files import save_isotherm_files
from alh2.structure.loading import load_h2


def produce(campaign: Campaign, iteration: int) -> None:
    """Run what ``alh2.production`` asks for; repeatable."""
    config = campaign.param.production
    if config is None:
        return
    md_dir = campaign.paths.production / "md"
    md_dir.mkdir(parents=True, exist_ok=True)
    models = link_models(campaign, iteration, md_dir)
    seed = seed_for(campaign.param.seed, "production")
    setting = md_setting(campaign, iteration, md_dir, models=models, root_seed=seed)
    md = run_md(
        config,
        setting,
        on_last_host(campaign, config.md_loading),
        machine=campaign.machine.model_devi,
        f_trust_hi_ev_ang=campaign.param.select.f_trust_hi_ev_ang,
        on_progress=campaign.on_progress,
    )
    campaign.reporter.message(
        f"MD at {md.temperature_k:g} K with {md.n_h2} H2: {md.n_frames} frames, largest force deviation "
        f"{md.max_devi_f_ev_ang:.3f} eV/Å"
    )
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
    directory = campaign.paths.production / "isotherm"
    save_isotherm_files(directory, isotherm)
    for made in (md_dir, directory):
        write_made(made, command="alh2 run", seed=campaign.param.seed)
    for point in shown_points(isotherm):
        point_density(directory, point, directory / f"{density_name(point)}.cube")


def produce_isotherm(
    campaign: Campaign, iteration: int, plan: IsothermPlan, *, void: VoidFraction | None = None
) -> Isotherm:
    """The isotherm `plan` with the models of `iteration`, in the folder of its nuclei; repeatable."""
    directory = isotherm_directory(campaign, plan.quantum)
    directory.mkdir(parents=True, exist_ok=True)
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


def insertion_error_ev(campaign: Campaign, iteration: int) -> float:
    """Standard error (eV) of the mean insertion energy on the held-out labels of `iteration`, NaN where none are."""
    path = campaign.paths.assess(iteration) / f"errors.{campaign.engine_committee.target}.npz"
    if not path.exists():
        return math.nan
    error = systematic_error_ev(load_errors(path)[1].errors_ev)
    return error if math.isfinite(error) else math.nan


def insertion_rmse_ev(campaign: Campaign, iteration: int, target: Target) -> float:
    """RMSE (eV) of held-out insertion energies by the models on `target`, NaN where none is known."""
    path = campaign.paths.assess(iteration) / f"errors.{target}.npz"
    return load_errors(path)[1].rmse_ev if path.exists() else math.nan


def isotherm_directory(campaign: Campaign, quantum: Quantum) -> Path:
    """``production/isotherm``, or the folder beside it of isotherms with quantum nuclei."""
    return campaign.paths.production / ("isotherm" if quantum == "classical" else f"isotherm-{quantum}")


def last_trained(campaign: Campaign, iteration: int) -> int:
    """The last iteration up to `iteration` whose committees are all trained; raises BadInputError where none is."""
    for number in range(iteration, -1, -1):
        if all(m.graph.exists() for c in campaign.param.committees for m in campaign.members(c, number)):
            return number
    raise BadInputError(
        str(campaign.paths.root), expected="trained committees", found="none yet", action="alh2 run goes on with it"
    )


def on_last_host(campaign: Campaign, n_h2: int, *, replica: int = 0) -> Frame:
    """`n_h2` molecules on the last host snapshot: production is on one frozen host.

    Replicas differ: every other one begins with molecules at random places instead of at open sites first, so that what
    runs remember of their start is part of their scatter.
    """
    host = campaign.hosts()[-1]
    atoms = load_h2(
        to_atoms(host),
        n_h2,
        rng=stream(campaign.param.seed, "production-start", n_h2, *([replica] if replica else [])),
        min_distance_ang=campaign.param.bootstrap.min_distance_ang,
        prefer_open_sites=replica % 2 == 0,
    )
    return from_atoms(atoms, n_host=host.n_host, host_id=host.host_id, provenance=Provenance("bootstrap"))

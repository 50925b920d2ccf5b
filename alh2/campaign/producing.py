"""Stage *production*: MD and the isotherm with the committee of the last iteration."""

from __future__ import annotations

from dataclasses import replace

from alh2.campaign.context import Campaign
from alh2.campaign.exploring import gas_bond_length_ang, link_models, md_setting
from alh2.config.rules import max_explored_loading
from alh2.core.atoms import from_atoms, to_atoms
from alh2.core.frames import Frame, Provenance
from alh2.core.random_streams import seed_for, stream
from alh2.production.isotherm import IsothermSetting, run_isotherm
from alh2.production.md import run_md
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
    setting = md_setting(campaign, iteration, md_dir, graphs=models.force, root_seed=seed)
    md = run_md(
        config,
        setting,
        _on_last_host(campaign, config.md_loading),
        machine=campaign.machine.model_devi,
        f_trust_hi_ev_ang=campaign.param.select.f_trust_hi_ev_ang,
        on_progress=campaign.on_progress,
    )
    campaign.reporter.message(
        f"MD at {md.temperature_k:g} K with {md.n_h2} H2: {md.n_frames} frames, largest force deviation "
        f"{md.max_devi_f_ev_ang:.3f} eV/Å"
    )
    isotherm_dir = campaign.paths.production / "isotherm"
    isotherm_dir.mkdir(parents=True, exist_ok=True)
    models = link_models(campaign, iteration, isotherm_dir)
    points = run_isotherm(
        config,
        IsothermSetting(
            directory=isotherm_dir,
            models=replace(models, force=(), insertion=()),
            starts=tuple(_on_last_host(campaign, n) for n in config.n_initial),
            min_distance_ang=campaign.param.select.min_distance_ang,
            max_loading=max_explored_loading(campaign.param),
            bond_length_ang=gas_bond_length_ang(campaign),
            root_seed=campaign.param.seed,
            command=campaign.machine.gcmc.command,
        ),
        machine=campaign.machine.gcmc,
        on_progress=campaign.on_progress,
    )
    for point in points:
        campaign.reporter.message(
            f"{point.pressure_bar:g} bar, started with {point.n_initial} H2: "
            f"{point.n_adsorbed:.2f} ± {point.n_adsorbed_error:.2f} H2 per cell"
        )


def _on_last_host(campaign: Campaign, n_h2: int) -> Frame:
    """`n_h2` molecules on the last host snapshot: production is on one frozen host."""
    host = campaign.hosts()[-1]
    atoms = load_h2(
        to_atoms(host),
        n_h2,
        rng=stream(campaign.param.seed, "production-start", n_h2),
        min_distance_ang=campaign.param.bootstrap.min_distance_ang,
        prefer_open_sites=True,
    )
    return from_atoms(atoms, n_host=host.n_host, host_id=host.host_id, provenance=Provenance("bootstrap"))

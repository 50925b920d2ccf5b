"""What ``alh2 produce all`` does: the isotherms, the MD and the report of a campaign with one command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alh2.core.errors import BadInputError

if TYPE_CHECKING:
    from alh2.config.model import ParamConfig, ProductionConfig
    from alh2.production.md_plan import MdPlan

WIDOM_INSERTIONS = 20_000
EQUILIBRATION_FRACTION = 0.2
SEGMENT_STEPS = 50_000


@dataclass(frozen=True)
class Everything:
    """Conditions as given; () and None: those of the campaign.

    frozen_host : whether only the molecules move in MD; None: as the errors of the models have it
    """

    temperatures_k: tuple[float, ...]
    replicas: int
    steps: int | None
    relative_error: float | None
    compare: tuple[Path, ...]
    unit: str
    weight_of: str
    frozen_host: bool | None = None


def run_command(campaign: Path, asked: Everything) -> None:
    """Isotherms and MD at every temperature, then the report; raises Alh2Error with the exit code."""
    from alh2.cli import produce_isotherm, produce_md
    from alh2.cli.run import report_command

    param, production = _predicted(campaign)
    temperatures = asked.temperatures_k or default_temperatures_k(param)
    frozen = asked.frozen_host
    if frozen is None:
        frozen = production.md_loading > 0 and stands_still(campaign, min(temperatures))
    plan = md_plan(production, temperatures, asked, frozen_host=frozen)
    isotherms = produce_isotherm.Asked(
        temperatures_k=temperatures,
        pressures_bar=(),
        pressure_range=None,
        n_initial=(),
        n_moves=None,
        n_equilibration=None,
        relative_error=asked.relative_error if asked.relative_error is not None else production.relative_error,
        max_moves=production.max_moves,
        max_loading=None,
        bond_length_ang=None,
        min_distance_ang=0.0,
        widom_insertions=WIDOM_INSERTIONS,
        seed=param.seed,
        committee=None,
    )
    produce_isotherm.run_command(
        produce_isotherm.Source(campaign, (), None, None, None, ()),
        isotherms,
        produce_isotherm.VoidOptions("helium", 0.0),
        produce_isotherm.Comparison(asked.compare, asked.unit, asked.weight_of, density=True),
    )
    source = produce_md.MdSource(campaign, (), None, None, None, None, param.seed)
    produce_md.run_command(source, plan, produce_md.Drawn(density=True))
    report_command(campaign)


def default_temperatures_k(param: ParamConfig) -> tuple[float, ...]:
    """Those of ``alh2.production`` and the highest one that was explored, so that there are slopes in temperature."""
    made = param.production
    known = [made.isotherm_temperature_k, made.md_temperature_k] if made else []
    explored = [t for job in param.explore.md_jobs for t in job.temperatures_k]
    return tuple(sorted({*known, *([max(explored)] if explored else [])}))


def stands_still(directory: Path, temperature_k: float) -> bool:
    """Whether MD had better be on a frozen host, and says why.

    It had where models of total energies, which alone can move the host, are off by more than kT in held-out insertion
    energies, and there are models of interaction energies that are off by less.
    """
    from alh2.campaign.open import reopen_campaign
    from alh2.campaign.producing import insertion_rmse_ev, last_trained
    from alh2.campaign.state import load_state
    from alh2.core.units import KB_EV_PER_K

    campaign = reopen_campaign(directory)
    campaign.reporter.close()
    state = load_state(campaign.paths.state)
    assert state is not None
    iteration = last_trained(campaign, state.iteration)
    whole, alone = campaign.force_committee, campaign.engine_committee
    moving, frozen = (insertion_rmse_ev(campaign, iteration, committee.target) for committee in (whole, alone))
    have_pairs = all(member.pair_baseline.exists() for member in campaign.members(alone, iteration))
    if not (moving > KB_EV_PER_K * temperature_k and frozen < moving and have_pairs):
        return False
    typer.echo(
        f"MD is on a frozen host: held-out insertion energies are off by {1e3 * frozen:.3g} meV (RMSE) with the models "
        f"of interaction energies, by {1e3 * moving:.3g} meV with those that can move the host (--moving-host)"
    )
    return True


def md_plan(
    production: ProductionConfig, temperatures_k: tuple[float, ...], asked: Everything, *, frozen_host: bool = False
) -> MdPlan:
    """MD of the length of ``alh2.production`` unless told, a fifth of it more as equilibration."""
    from alh2.production.md_plan import MdPlan

    every = production.md_sample_every
    steps = asked.steps if asked.steps is not None else every * (production.md_steps // every)
    return MdPlan(
        temperatures_k=tuple(sorted(temperatures_k)),
        n_replicas=asked.replicas,
        n_steps=steps,
        n_equilibration=every * int(EQUILIBRATION_FRACTION * steps / every),
        segment_steps=min(steps, every * max(1, SEGMENT_STEPS // every)),
        dt_ps=production.md_dt_ps,
        sample_every=every,
        frozen_host=frozen_host,
    )


def _predicted(directory: Path) -> tuple[ParamConfig, ProductionConfig]:
    from alh2.campaign.open import reopen_campaign

    campaign = reopen_campaign(directory)
    campaign.reporter.close()
    production = campaign.param.production
    if production is None:
        raise BadInputError(
            str(campaign.param.source), expected="alh2.production", found="none", action="say what is to be predicted"
        )
    return campaign.param, production


def register(app: typer.Typer) -> None:
    """Add ``all`` to `app`, the group of ``alh2 produce``."""
    app.command("all")(_command)


def _command(
    campaign: Annotated[Path, typer.Argument(help="Campaign directory.")] = Path("."),
    temperature: Annotated[
        list[float] | None,
        typer.Option(help="K; repeated (default: those of the campaign, and the highest one that was explored)."),
    ] = None,
    replicas: Annotated[int, typer.Option(help="MD runs at each temperature.")] = 2,
    steps: Annotated[
        int | None, typer.Option(help="MD steps that are analysed (default: those of the campaign).")
    ] = None,
    relative_error: Annotated[
        float | None, typer.Option(help="Isotherms go on until the standard error is at most this part of the loading.")
    ] = None,
    compare: Annotated[
        list[Path] | None, typer.Option(help="Measured isotherm: NIST-ISODB .json, .aif or .csv; repeated.")
    ] = None,
    unit: Annotated[str, typer.Option(help="Loading in the figure: molecules/cell, mol/kg, wt%, cm3(STP)/g.")] = "wt%",
    weight_of: Annotated[str, typer.Option(help="What wt% of measured files are of: host, or both.")] = "host",
    frozen_host: Annotated[
        bool | None,
        typer.Option(
            "--frozen-host/--moving-host",
            help="In MD only the molecules move, or the host too (default: frozen where the models that can move "
            "it are off by more than kT in insertion energies, and others by less).",
        ),
    ] = None,
) -> int:
    """Everything from a campaign: isotherms with excess, heats, Henry constants and densities; MD; the report.

    Exit codes: 0 done, 1 a person must decide, 2 bad input, 3 interrupted and resumable.
    """
    run_command(
        campaign,
        Everything(
            tuple(temperature or ()),
            replicas,
            steps,
            relative_error,
            tuple(compare or ()),
            unit,
            weight_of,
            frozen_host,
        ),
    )
    return 0

"""What ``alh2 produce all`` does: the isotherms, the MD and the report of a campaign with one command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alh2.core.errors import BadInputError

if TYPE_CHECKING:
    from alh2.config.model import ParamConfig, ProductionConfig

WIDOM_INSERTIONS = 20_000


@dataclass(frozen=True)
class Everything:
    """Conditions as given; () and None: those of the campaign; frozen_host : only the molecules move in MD."""

    temperatures_k: tuple[float, ...]
    replicas: int
    steps: int | None
    relative_error: float | None
    compare: tuple[Path, ...]
    unit: str
    weight_of: str
    frozen_host: bool = False


def run_command(campaign: Path, asked: Everything) -> None:
    """Isotherms and MD at every temperature, then the report; raises Alh2Error with the exit code."""
    from alh2.cli import produce_isotherm, produce_md
    from alh2.cli.run import report_command
    from alh2.production.md_plan import standard_plan

    param, production = _predicted(campaign)
    temperatures = asked.temperatures_k or default_temperatures_k(param)
    plan = standard_plan(
        production, temperatures, n_replicas=asked.replicas, n_steps=asked.steps, frozen_host=asked.frozen_host
    )
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
    frozen_host: Annotated[bool, typer.Option("--frozen-host", help="In MD only the molecules move.")] = False,
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

"""What ``alh2 produce isotherm`` does: from a campaign or from a model, run, show and export."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from alh2.core.errors import BadInputError, InterruptedCampaignError

if TYPE_CHECKING:
    from alh2.analysis.void import VoidFraction
    from alh2.config.model import CommitteeBy
    from alh2.core.frames import Frame
    from alh2.core.nuclei import Quantum
    from alh2.production.isotherm_plan import CommitteeMember, IsothermPlan, IsothermSetting
    from alh2.production.isotherm_result import Isotherm
    from alh2.production.measured import MeasuredIsotherm

VOID_POINTS = 100_000
VOIDS = ("helium", "geometric")
COMMITTEES = ("reweight", "run", "none")
DIGITS = 4
"""Significant digits of the pressures of a range."""
STOPPED = "interrupted: jobs already started go on by themselves; the same command resumes"


@dataclass(frozen=True)
class Source:
    """Where models and host come from: a campaign directory, or files."""

    campaign: Path | None
    models: tuple[Path, ...]
    structure: Path | None
    machine: Path | None
    output: Path | None
    pair_baselines: tuple[Path, ...]


@dataclass(frozen=True)
class Asked:
    """Conditions and lengths as given; what is missing comes from the campaign's param file."""

    temperatures_k: tuple[float, ...]
    pressures_bar: tuple[float, ...]
    pressure_range: str | None
    n_initial: tuple[int, ...]
    n_moves: int | None
    n_equilibration: int | None
    relative_error: float | None
    max_moves: int | None
    max_loading: int | None
    bond_length_ang: float | None
    min_distance_ang: float
    widom_insertions: int
    seed: int
    committee: str | None
    quantum: Quantum = "classical"


@dataclass(frozen=True)
class VoidOptions:
    """How the void fraction is found; None: not at all."""

    method: str | None
    probe_radius_ang: float


@dataclass(frozen=True)
class Comparison:
    """Measured isotherms beside the computed one, the unit of the figure, and whether densities are written too.

    beside : folders of other computed isotherms that are drawn too
    """

    files: tuple[Path, ...]
    unit: str
    weight_of: str
    density: bool
    beside: tuple[Path, ...] = ()


def run_command(source: Source, asked: Asked, void: VoidOptions, comparison: Comparison) -> None:
    """Run, show and export; raises Alh2Error with the exit code for anything that goes wrong."""
    from alh2.cli.run import quiet_libraries, stop_on_signals
    from alh2.production.isotherm_beside import read_beside, siblings

    if void.method is not None and void.method not in VOIDS:
        raise BadInputError("--void", expected=" or ".join(VOIDS), found=void.method)
    measured, others = _read_measured(comparison), [read_beside(folder) for folder in comparison.beside]
    quiet_libraries()
    stop_on_signals()
    try:
        if source.campaign is not None:
            isotherm, directory = _of_campaign(source, asked, void)
        else:
            isotherm, directory = _of_files(source, asked, void)
    except KeyboardInterrupt:
        raise InterruptedCampaignError(STOPPED) from None
    show(isotherm)
    if source.campaign is not None:
        others += siblings(directory, on_message=typer.echo)
    _write(directory, isotherm, (measured, others), comparison)
    typer.echo(f"results, pyGAPS, AIF and CSV files, figures: {directory}")


def _read_measured(comparison: Comparison) -> list[MeasuredIsotherm]:
    from alh2.production.isotherm_result import UNITS
    from alh2.production.measured import read_measured

    weight_of = comparison.weight_of
    if weight_of not in ("host", "both"):
        raise BadInputError("--weight-of", expected="host or both", found=weight_of)
    if comparison.unit not in UNITS:
        raise BadInputError("--unit", expected=" or ".join(UNITS), found=comparison.unit)
    return [read_measured(path, weight_of="host" if weight_of == "host" else "both") for path in comparison.files]


def _write(
    directory: Path,
    isotherm: Isotherm,
    drawn: tuple[list[MeasuredIsotherm], list[Isotherm]],
    comparison: Comparison,
) -> None:
    """Files for other programs, and figures with measured and other computed isotherms beside."""
    from alh2.report.isotherm_files import save_isotherm_files

    measured, beside = drawn
    save_isotherm_files(directory, isotherm, measured, unit=comparison.unit, beside=beside)
    if comparison.density:
        _densities(directory, isotherm)


def _densities(directory: Path, isotherm: Isotherm) -> None:
    from alh2.production.isotherm_density import density_name, point_density
    from alh2.report.figures_md import density_figure
    from alh2.report.stored import save_figure

    for point in isotherm.points:
        name = density_name(point)
        grid = point_density(directory, point, directory / f"{name}.cube")
        words = f"Density of H₂ centres at {point.temperature_k:g} K and {point.pressure_bar:g} bar, integrated."
        save_figure(density_figure(grid, name, words), directory)


def pressure_list(asked: Asked) -> tuple[float, ...]:
    """Pressures of ``--pressure`` and ``--pressures`` together, ascending, bar; raises BadInputError."""
    listed = list(asked.pressures_bar)
    if asked.pressure_range is not None:
        parts = asked.pressure_range.split(":")
        try:
            low, high, n = float(parts[0]), float(parts[1]), int(parts[2])
            if len(parts) != 3 or not (0.0 < low < high < math.inf) or n < 2:
                raise ValueError
        except (ValueError, IndexError):
            raise BadInputError(
                "--pressures", expected="LOW:HIGH:N with 0 < LOW < HIGH and N >= 2, e.g. 0.01:1:7",
                found=asked.pressure_range,
            ) from None  # fmt: skip
        listed += [float(f"{low * (high / low) ** (k / (n - 1)):.{DIGITS}g}") for k in range(n)]
    return tuple(sorted(set(listed)))


def _of_campaign(source: Source, asked: Asked, void: VoidOptions) -> tuple[Isotherm, Path]:
    from alh2.campaign.curriculum import at_iteration
    from alh2.campaign.open import reopen_campaign
    from alh2.campaign.predicting import last_trained
    from alh2.campaign.producing_isotherm import isotherm_directory, produce_isotherm
    from alh2.campaign.state import load_state
    from alh2.cli.run import command_line
    from alh2.production.made import write_made

    assert source.campaign is not None
    extra = {"--model": source.models, "--structure": source.structure, "--machine": source.machine}
    extra |= {"--output": source.output, "--pair-baseline": source.pair_baselines}
    given = [name for name, value in extra.items() if value]
    if given:
        raise BadInputError(
            "alh2 produce isotherm", expected="a campaign or files of its own", found=f"a campaign and {given[0]}"
        )
    campaign = reopen_campaign(source.campaign)
    state = load_state(campaign.paths.state)
    assert state is not None
    campaign = at_iteration(campaign, state)
    made = campaign.param.production
    plan = _plan(
        asked,
        temperatures_k=(made.isotherm_temperature_k,) if made else (),
        pressures_bar=made.pressures_bar if made else (),
        n_initial=made.n_initial if made else (0,),
        n_moves=made.n_moves if made else None,
        n_equilibration=made.n_equilibration if made and asked.n_moves is None else None,
        committee_by=made.committee if made else "reweight",
    )
    try:
        with campaign.lock:
            iteration = last_trained(campaign, state.iteration)
            fraction = _void(void, campaign.hosts()[-1], campaign.param.seed)
            isotherm = produce_isotherm(campaign, iteration, plan, void=fraction)
            directory = isotherm_directory(campaign, plan.quantum)
            write_made(directory, command=command_line(), seed=campaign.param.seed)
    finally:
        campaign.reporter.close()
    return isotherm, directory


def _of_files(source: Source, asked: Asked, void: VoidOptions) -> tuple[Isotherm, Path]:
    from alh2.campaign.lock import DriverLock
    from alh2.campaign.progress import Reporter
    from alh2.cli.run import command_line
    from alh2.config.load import load_machine
    from alh2.production.isotherm import run_isotherm
    from alh2.production.made import write_made

    needed = {"--model": source.models, "--structure": source.structure}
    needed |= {"--machine": source.machine, "--output": source.output}
    missing = [name for name, value in needed.items() if not value]
    if missing:
        raise BadInputError(
            "alh2 produce isotherm", expected="a campaign directory, or --model, --structure, --machine and --output",
            found=f"no {', '.join(missing)}",
        )  # fmt: skip
    assert source.machine is not None and source.output is not None
    machine = load_machine(source.machine).gcmc
    plan = _plan(
        asked, temperatures_k=(), pressures_bar=(), n_initial=(0,), n_moves=None, n_equilibration=None,
        committee_by="reweight",
    )  # fmt: skip
    setting = _setting(source, asked, void, plan, command=machine.command)
    reporter = Reporter()
    reporter.stage("isotherm")
    try:
        with DriverLock(setting.directory / "driver.lock"):
            isotherm = run_isotherm(
                plan, setting, machine=machine, on_progress=reporter.tasks, on_message=reporter.message
            )
            write_made(setting.directory, command=command_line(), seed=asked.seed)
    finally:
        reporter.close()
    return isotherm, setting.directory


def _plan(
    asked: Asked,
    *,
    temperatures_k: tuple[float, ...],
    pressures_bar: tuple[float, ...],
    n_initial: tuple[int, ...],
    n_moves: int | None,
    n_equilibration: int | None,
    committee_by: CommitteeBy,
) -> IsothermPlan:
    from alh2.production.isotherm_plan import IsothermPlan

    if asked.committee is not None and asked.committee not in COMMITTEES:
        raise BadInputError("--committee", expected=", ".join(COMMITTEES), found=asked.committee)

    moves = asked.n_moves or n_moves
    pressures = pressure_list(asked) or pressures_bar
    temperatures = asked.temperatures_k or temperatures_k
    for name, value in (("--temperature", temperatures), ("--pressure or --pressures", pressures), ("--moves", moves)):
        if not value:
            raise BadInputError("alh2 produce isotherm", expected=name, found="none")
    assert moves is not None
    equilibration = asked.n_equilibration if asked.n_equilibration is not None else n_equilibration
    return IsothermPlan(
        tuple(sorted(temperatures)),
        pressures,
        asked.n_initial or n_initial,
        moves,
        moves // 5 if equilibration is None else equilibration,
        relative_error=asked.relative_error,
        max_moves=asked.max_moves,
        widom_insertions=asked.widom_insertions,
        committee_by=committee_by if asked.committee is None else cast("CommitteeBy", asked.committee),
        quantum=asked.quantum,
    )


def _setting(source: Source, asked: Asked, void: VoidOptions, plan: IsothermPlan, *, command: str) -> IsothermSetting:
    """Host, models and start frames from files, the models linked into the output folder as tasks need them."""
    from alh2.core.atoms import from_atoms
    from alh2.core.frames import Provenance
    from alh2.core.random_streams import stream
    from alh2.potential.deeppot import check_model_file
    from alh2.production.isotherm_plan import IsothermSetting
    from alh2.structure.hosts import read_host
    from alh2.structure.loading import load_h2

    assert source.structure is not None and source.output is not None
    for model in source.models:
        check_model_file(model)
    host = read_host(source.structure)
    provenance = Provenance("bootstrap", detail=str(source.structure))
    starts = []
    for n in plan.n_initial:
        rng = stream(asked.seed, "production-start", n)
        loaded = load_h2(host, n, rng=rng, min_distance_ang=max(asked.min_distance_ang, 1.0), prefer_open_sites=True)
        starts.append(from_atoms(loaded, n_host=len(host), host_id=source.structure.stem, provenance=provenance))
    fraction = _void(void, starts[0].bare_host(), asked.seed)
    output = source.output.resolve()
    if output.exists() and not output.is_dir():
        raise BadInputError(str(source.output), expected="a folder for the results", found="a file")
    output.mkdir(parents=True, exist_ok=True)
    return IsothermSetting(
        directory=output,
        committee=_linked(source, output),
        starts=tuple(starts),
        min_distance_ang=asked.min_distance_ang,
        max_loading=asked.max_loading,
        bond_length_ang=asked.bond_length_ang,
        root_seed=asked.seed,
        command=command,
        void=fraction,
    )


def _linked(source: Source, output: Path) -> tuple[CommitteeMember, ...]:
    """The models, linked into the output folder as tasks need them; raises BadInputError for unmatched baselines."""
    from alh2.core.files import link_file
    from alh2.potential.pair_baseline import baseline_beside
    from alh2.production.isotherm_plan import CommitteeMember

    given = source.pair_baselines
    if given and len(given) != len(source.models):
        expected = f"as many as --model ({len(source.models)}), or none"
        raise BadInputError("--pair-baseline", expected=expected, found=str(len(given)))
    under: tuple[Path | None, ...] = given or tuple(baseline_beside(model) for model in source.models)
    if len({baseline is None for baseline in under}) > 1:
        raise BadInputError("pair baselines", expected="one beside each model, or none", found="some of them")
    found = []
    for index, (model, baseline) in enumerate(zip(source.models, under, strict=True)):
        engine = output / f"engine.{index:03d}{model.suffix}"
        link_file(model.resolve(), engine)
        link = None
        if baseline is not None:
            link = output / f"pair_baseline.{index:03d}.json"
            link_file(baseline.resolve(), link)
        found.append(CommitteeMember(engine, link))
    return tuple(found)


def _void(options: VoidOptions, host: Frame, seed: int) -> VoidFraction | None:
    from alh2.analysis.void import Host, geometric_void_fraction, helium_void_fraction
    from alh2.core.random_streams import stream

    if options.method is None:
        return None
    bare = host.bare_host()
    of = Host(bare.symbols, bare.positions_ang, bare.cell_ang)
    rng = stream(seed, "void", options.method)
    if options.method == "helium":
        return helium_void_fraction(of, n_points=VOID_POINTS, rng=rng)
    return geometric_void_fraction(of, n_points=VOID_POINTS, rng=rng, probe_radius_ang=options.probe_radius_ang)


def show(isotherm: Isotherm) -> None:
    """Print host, void fraction, points, heats and Henry constants."""
    from alh2.production.isotherm_result import interval_words

    host = isotherm.host
    typer.echo(f"host {host.host_id}: {host.formula}, {host.mass_amu:.2f} amu and {host.volume_ang3:.1f} Å³ per cell")
    typer.echo(host.potential)
    typer.echo(host.nuclei)
    if isotherm.void is not None:
        v = isotherm.void
        typer.echo(f"void fraction {v.fraction:.4f} ± {v.error:.4f} ({v.method}: {v.words})")
    typer.echo("    T/K      p/bar  H2/cell (absolute)  95 % interval     excess     wt%   mol/kg   q_st/(kJ/mol)")
    for p in isotherm.points:
        loading = f"{p.n_absolute:9.4g} ± {p.n_absolute_error:<8.2g}"
        wt, mol = isotherm.loading(p.n_absolute, "wt%"), isotherm.loading(p.n_absolute, "mol/kg")
        heat_error = p.heat_error_kj_per_mol
        known = f"± {heat_error:.2g}" if math.isfinite(heat_error) else "(error unknown)"
        heat = "unknown" if math.isnan(p.heat_kj_per_mol) else f"{p.heat_kj_per_mol:.2f} {known}"
        notes = "  chains disagree" * p.hysteresis + "  not as exact as asked" * (not p.reached)
        notes += "  held down by the largest loading allowed" * p.is_limited
        notes += f"  hole in model {', '.join(map(str, p.holes))}" if p.holes else ""
        above = "" if math.isnan(p.n_excess) else f"{p.n_excess:.4g}"
        interval = f"± {p.half_width_95:.2g}" if math.isfinite(p.half_width_95) else "unknown"
        row = f"{p.temperature_k:7g} {p.pressure_bar:10g}  {loading} {interval:>13} {above:>10} {wt:7.3f} {mol:8.3f}   "
        row += f"{heat}{notes}"
        typer.echo(row)
    typer.echo(interval_words(isotherm))
    for h in isotherm.henry:
        typer.echo(
            f"{h.temperature_k:g} K: Henry constant {h.per_cell_bar:.4g} ± {h.per_cell_bar_error:.2g} H2/cell/bar "
            f"({h.mol_per_kg_pa:.4g} mol/kg/Pa), q_st at infinite dilution {h.heat_kj_per_mol:.2f} ± "
            f"{h.heat_error_kj_per_mol:.2g} kJ/mol{'' if h.trusted else '; too few insertions count, do not trust it'}"
        )
        if h.committee is not None:
            typer.echo(f"  over the models {h.committee.mean:.4g} ± {h.committee.half_width_95:.2g} (95 %) H2/cell/bar")
    for c in isotherm.clausius_clapeyron:
        typer.echo(
            f"Clausius-Clapeyron at {c.n_molecules:.4g} H2/cell: q_st {c.heat_kj_per_mol:.2f} ± "
            f"{c.error_kj_per_mol:.2g} kJ/mol"
        )

"""What ``alh2 produce md`` does: from a campaign or from models, run, analyse, show and write figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from alh2.core.errors import BadInputError, InterruptedCampaignError

if TYPE_CHECKING:
    from alh2.analysis.sites import Residence
    from alh2.core.frames import Target
    from alh2.core.statistics import Estimate
    from alh2.production.md_analysis import MdAnalysis, QuantumResult
    from alh2.production.md_plan import MdPlan

STOPPED = "interrupted: jobs already started go on by themselves; the same command resumes"


@dataclass(frozen=True)
class MdSource:
    """Where committee and host come from: a campaign directory, or files.

    forces : the models of a campaign that move the molecules, None: those that know insertion energies better
    """

    campaign: Path | None
    models: tuple[Path, ...]
    structure: Path | None
    machine: Path | None
    output: Path | None
    loading: int | None
    seed: int
    forces: Target | None = None


@dataclass(frozen=True)
class Drawn:
    """Whether densities are written, and folders of other runs whose distributions are drawn beside."""

    density: bool
    beside: tuple[Path, ...] = ()


def run_command(source: MdSource, plan: MdPlan, drawn: Drawn) -> int:
    """Run, analyse, show and write; 0, or raises Alh2Error with the exit code for anything that goes wrong."""
    from alh2.cli.run import quiet_libraries, stop_on_signals
    from alh2.production.md_analysis import RESULT_FILE

    for folder in drawn.beside:
        if not (folder / RESULT_FILE).is_file():
            raise BadInputError("--beside", expected=f"a folder with {RESULT_FILE}", found=str(folder))
    quiet_libraries()
    stop_on_signals()
    try:
        if source.campaign is not None:
            directory = _of_campaign(source, plan, drawn)
        else:
            directory = _of_files(source, plan, drawn)
    except KeyboardInterrupt:
        raise InterruptedCampaignError(STOPPED) from None
    typer.echo(f"results and figures: {directory}")
    return 0


def temperatures_k(source: MdSource, given: Sequence[float]) -> tuple[float, ...]:
    """Those `given`, else that of the campaign; raises BadInputError where there is none."""
    from alh2.campaign.open import reopen_campaign

    if given:
        return tuple(sorted(given))
    if source.campaign is None:
        _check_files(source)
    else:
        campaign = reopen_campaign(source.campaign)
        campaign.reporter.close()
        if campaign.param.production is not None:
            return (campaign.param.production.md_temperature_k,)
    raise BadInputError("--temperature", expected="one or more, K", found="none")


def _of_campaign(source: MdSource, plan: MdPlan, drawn: Drawn) -> Path:
    from alh2.campaign.open import reopen_campaign
    from alh2.campaign.predicting import last_trained
    from alh2.campaign.producing_md import produce_md
    from alh2.campaign.state import load_state
    from alh2.cli.run import command_line

    assert source.campaign is not None
    given = {"--model": source.models, "--structure": source.structure, "--machine": source.machine}
    extra = [name for name, value in {**given, "--output": source.output}.items() if value]
    if extra:
        raise BadInputError(
            "alh2 produce md", expected="a campaign or files of its own", found=f"a campaign and {extra[0]}"
        )
    campaign = reopen_campaign(source.campaign)
    state = load_state(campaign.paths.state)
    assert state is not None
    config = campaign.param.production
    loading = source.loading if source.loading is not None else (config.md_loading if config else 0)
    try:
        with campaign.lock:
            made = produce_md(
                campaign, last_trained(campaign, state.iteration), plan, loading=loading, command=command_line(),
                forces=source.forces, beside=drawn.beside, density=drawn.density,
            )  # fmt: skip
    finally:
        campaign.reporter.close()
    show(made.plan, made.analysis)
    said = insertion_words(made.insertion_rmse_ev, min(plan.temperatures_k))
    if said:
        typer.echo(said)
    return made.directory


def insertion_words(rmse_ev: float, temperature_k: float) -> str:
    """Where errors of insertion energies put molecules elsewhere: the words for people, "" where they are below kT."""
    from alh2.core.units import KB_EV_PER_K

    kt = KB_EV_PER_K * temperature_k
    if not rmse_ev > kt:
        return ""
    return (
        f"insertion energies of these models are off by {1e3 * rmse_ev:.3g} meV (RMSE, held out), kT is "
        f"{1e3 * kt:.3g} meV: molecules may stay, and move, otherwise than the labels would have them; compare with "
        "alh2 produce isotherm"
    )


def _of_files(source: MdSource, plan: MdPlan, drawn: Drawn) -> Path:
    from dataclasses import replace

    from alh2.campaign.lock import DriverLock
    from alh2.campaign.producing_md import run_and_write
    from alh2.campaign.progress import Reporter
    from alh2.cli.run import command_line
    from alh2.config.load import load_machine
    from alh2.core.atoms import from_atoms
    from alh2.core.files import link_file
    from alh2.core.frames import Provenance
    from alh2.core.random_streams import stream
    from alh2.potential.deeppot import check_model_file
    from alh2.production.md_setting import sound_setting
    from alh2.structure.hosts import read_host
    from alh2.structure.loading import load_h2

    _check_files(source)
    assert source.structure is not None and source.machine is not None and source.output is not None
    for model in source.models:
        check_model_file(model)
    host = read_host(source.structure)
    machines = load_machine(source.machine)
    machine = machines.model_devi
    starts = []
    for k in range(plan.n_replicas):
        rng = stream(source.seed, "production-start", source.loading or 0, *([k] if k else []))
        loaded = load_h2(host, source.loading or 0, rng=rng, min_distance_ang=2.2, prefer_open_sites=k % 2 == 0)
        provenance = Provenance("bootstrap", detail=str(source.structure))
        starts.append(from_atoms(loaded, n_host=len(host), host_id=source.structure.stem, provenance=provenance))
    output = source.output.resolve()
    if output.exists() and not output.is_dir():
        raise BadInputError(str(source.output), expected="a folder for the results", found="a file")
    output.mkdir(parents=True, exist_ok=True)
    graphs = tuple(output / f"graph.{k:03d}{model.suffix}" for k, model in enumerate(source.models))
    for graph, model in zip(graphs, source.models, strict=True):
        link_file(model.resolve(), graph)
    setting = replace(
        sound_setting(output, graphs, starts[0], machines, seed=source.seed), other_starts=tuple(starts[1:])
    )
    reporter = Reporter()
    reporter.stage("MD")
    try:
        with DriverLock(output / "driver.lock"):
            analysis = run_and_write(
                plan, setting, machine, reporter, command=command_line(), beside=drawn.beside, density=drawn.density
            )
    finally:
        reporter.close()
    show(plan, analysis)
    return output


def _check_files(source: MdSource) -> None:
    """Raise BadInputError where models of files lack something."""
    needed = {"--model": source.models, "--structure": source.structure}
    needed |= {"--machine": source.machine, "--output": source.output}
    missing = [name for name, value in needed.items() if not value]
    if source.forces == "interaction":
        raise BadInputError("--forces", expected="a campaign, whose labels of the bare host it needs", found="models")
    if missing:
        raise BadInputError(
            "alh2 produce md", expected="a campaign directory, or --model, --structure, --machine and --output",
            found=f"no {', '.join(missing)}",
        )  # fmt: skip


def stay_words(stay: Residence) -> str:
    """Residence time for people."""
    if math.isnan(stay.mean_ps):
        return f"no stay ended in {stay.occupied_ps:.3g} ps at sites" if stay.occupied_ps else "no stay"
    return f"stays of {stay.mean_ps:.3g} ± {stay.error_ps:.2g} ps, {stay.n_departures} ended"


def show(plan: MdPlan, analysis: MdAnalysis) -> None:
    """Print what each temperature says."""
    for r in analysis.temperatures:
        typer.echo(
            f"{r.temperature_k:g} K, {r.n_h2} H2, {plan.ensemble.upper()}, {analysis.nuclei}: {r.n_frames} frames of "
            f"{len(r.runs)} runs, {analysis.movers}"
        )
        for run in r.runs:
            worst = max((d for d in run.deviations_ev_ang if math.isfinite(d)), default=math.nan)
            untrusted = f", {run.n_untrusted} frames outside the trusted range" if run.n_untrusted else ""
            ended = f"; ended early: {run.ended}" if run.ended else ""
            typer.echo(f"  {run.name}: largest force deviation {worst:.3f} eV/Å{untrusted}{ended}")
        if r.sites is not None:
            mean = r.sites.mean_occupancy
            stay = stay_words(r.sites.residence) if r.quantum is None else "centroids"
            typer.echo(
                f"  open sites: {with_error(mean, 3)} H2 each, {r.coordination:.3f} within the first shell; {stay}"
            )
        if r.quantum is not None:
            _show_quantum(r.quantum)
        if r.diffusion is not None:
            d = r.diffusion
            interval = f"95 % between {d.low:.3g} and {d.high:.3g}"
            typer.echo(f"  D_s {d.mean:.3g} m²/s, {interval}, linear from {d.linear_from_ps:g} ps")
            if r.diffusion_interval is not None:
                i = r.diffusion_interval
                typer.echo(
                    f"  D_s over the models {i.mean:.3g} ± {i.half_width_95:.2g} m²/s (95 %, with their spread "
                    f"{i.committee:.2g})"
                )
        elif r.n_h2 and r.quantum is None:
            typer.echo("  no D_s: the runs have no diffusive regime")
    if analysis.arrhenius is not None:
        a = analysis.arrhenius
        typer.echo(f"E_a {a.activation_kj_per_mol:.2f} ± {a.activation_error_kj_per_mol:.2g} kJ/mol")


def with_error(found: Estimate, digits: int) -> str:
    """Mean and standard error for people."""
    error = f"± {found.standard_error:.2g}" if math.isfinite(found.standard_error) else "(error unknown)"
    return f"{found.mean:.{digits}f} {error}"


def _show_quantum(q: QuantumResult) -> None:
    def of(e: Estimate) -> str:
        return with_error(e, 4)

    typer.echo(
        f"  kinetic energy of the cell {of(q.kinetic_virial_ev)} eV (centroid virial), {of(q.kinetic_primitive_ev)} "
        f"(primitive), {q.kinetic_classical_ev:.4f} of classical nuclei; potential energy {of(q.potential_ev)} eV"
    )
    if q.extent_ang is not None:
        typer.echo(f"  H2 extends over {of(q.extent_ang)} Å about its centroid, {q.free_extent_ang:.4f} Å when free")
    typer.echo(
        f"  with these beads an H2 bond has {100 * q.bond_share:.0f} % of its energy: structure converges sooner than "
        "the energy of stiff bonds"
    )

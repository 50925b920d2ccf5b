"""``alh2 check``: are the files, the programs and the data there, and how much work is it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from alh2.config.check import CheckReport
    from alh2.config.plan import PlannedWork


def register(app: typer.Typer) -> None:
    """Add the subcommand to `app`."""
    app.command("check", help="Check a param and a machine file, and print the planned work.")(check)


def check(
    param: Annotated[Path, typer.Argument(help="Param file (JSON or YAML).")],
    machine: Annotated[Path, typer.Argument(help="Machine file (JSON or YAML).")],
) -> None:
    """Exit code 0 where everything is there, 2 where something is missing; nothing is run or written."""
    from alh2.config import load
    from alh2.config.check import check as check_files
    from alh2.label.registry import make_labeler

    loaded = load.load_param(param)
    report = check_files(loaded, load.load_machine(machine))
    _print_work(report)
    if report.ok:
        make_labeler(loaded.label, type_map=loaded.type_map)
    for note in report.notes:
        typer.echo(f"note: {note}")
    for problem in report.problems:
        typer.echo(f"alh2: {problem}", err=True)
    if not report.ok:
        raise typer.Exit(2)
    typer.echo("all files, programs and data are there")


def _print_work(report: CheckReport) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table("stage", "planned work", box=SIMPLE, show_edge=False, pad_edge=False)
    for stage, text in _rows(report.work, report.n_aimd_frames):
        table.add_row(stage, text)
    Console(highlight=False).print(table)


def _rows(work: PlannedWork, n_aimd_frames: int) -> list[tuple[str, str]]:
    from alh2.production.md_plan import N_REPLICAS

    rows = [
        ("dataset", f"{n_aimd_frames} frames to start from, at most {work.bootstrap_labels} labels before training")
    ]
    for committee in work.committees:
        steps = f"{committee.steps} steps" if committee.steps else "DeePMD's default steps"
        again = f", {committee.reuse_steps} from iteration {committee.reuse_iter} on" if committee.reuse_iter else ""
        rows.append(("train", f"{committee.n_models} models of {committee.target} energies, {steps}{again}"))
    for i, each in enumerate(work.iterations):
        later = i + 1 == len(work.iterations) and work.max_iterations > len(work.iterations)
        name = f"iteration {each.iteration}" + (f" to {work.max_iterations - 1}" if later else "")
        if work.rungs:
            name = f"rung {each.iteration + 1}, at most {work.max_iterations} times"
        temperatures = ", ".join(f"{t:g}" for t in each.temperatures_k)
        loadings = f", {', '.join(map(str, each.loadings))} H2" if each.loadings else ""
        rows.append((name, f"{each.md_tasks} MD runs of {each.md_steps} steps ({temperatures} K{loadings})"))
        if each.gcmc_tasks:
            rows.append(("", f"{each.gcmc_tasks} GCMC runs, {each.gcmc_moves} moves together"))
        held_out = f", {each.assess_labels} for held-out insertions" if each.assess_labels else ""
        rows.append(("", f"at most {each.label_cap} labels{held_out}"))
    if work.isotherm_runs:
        rows.append(("production", f"{N_REPLICAS} MD runs of {work.production_md_steps} steps"))
        rows.append(("", f"isotherm: {work.isotherm_runs} GCMC runs of {work.isotherm_moves} moves"))
    return rows

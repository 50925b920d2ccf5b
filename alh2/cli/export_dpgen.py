"""``alh2 export-dpgen``: a folder for stock DP-GEN."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the subcommand to `app`."""
    app.command("export-dpgen", help="Write param and machine file, data and structures for `dpgen run`.")(export)


def export(
    param: Annotated[Path, typer.Argument(help="Param file (JSON or YAML).")],
    machine: Annotated[Path, typer.Argument(help="Machine file (JSON or YAML).")],
    output: Annotated[Path, typer.Argument(help="New folder.")],
    campaign: Annotated[
        Path | None, typer.Option(help="Campaign whose frames and hosts are taken, instead of the param file's AIMD.")
    ] = None,
) -> None:
    """Exit code 2 where something is missing; nothing is written then."""
    from alh2.campaign.exporting import export_dpgen

    done = export_dpgen(param, machine, output, campaign=campaign)
    typer.echo(f"{done.n_frames} frames and {done.n_systems} systems for DP-GEN: {output}")
    for words in done.left_behind:
        typer.echo(f"not in it: {words}")
    typer.echo(f"next, in {output}: dpgen run param.json machine.json")

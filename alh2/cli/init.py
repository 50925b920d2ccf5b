"""``alh2 init``: a folder with a param and a machine file to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the subcommand to `app`."""
    app.command("init", help="Write a param and a machine file to start from.")(init)


def init(
    directory: Annotated[Path, typer.Argument(help="Folder for param.json and machine.json.")],
    template: Annotated[str, typer.Option(help="quickstart, node-converged or al-soc-mof-xtb.")] = "quickstart",
) -> None:
    """Exit code 2 for an unknown template or a folder that holds other files of these names."""
    from alh2.config.templates import write_template

    param, machine = write_template(template, directory)
    typer.echo(f"wrote {param} and {machine}")
    typer.echo(f"next: alh2 check {param} {machine}")

"""The ``alh2`` command. Each subcommand parses, calls one function and formats the answer."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from alh2 import __version__
from alh2.cli import check, export_dpgen, gcmc, ingest, init, label, produce, publish, run, structure
from alh2.cli.errors import run_app

app = typer.Typer(
    name="alh2",
    help="Active learning of a Deep Potential for H2 in Al-soc-MOF, and predictions with error bars.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"alh2 {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options before any command."""


for _command in (init, check, run, ingest, structure, label, gcmc, produce, publish, export_dpgen):
    _command.register(app)


def main() -> None:
    """Entry point; exit codes: 0 done, 1 a person must decide, 2 bad input, 3 interrupted and resumable."""
    sys.exit(run_app(app))

"""From exceptions to one line and an exit code."""

from __future__ import annotations

import sys

import click
import typer

from alh2.core.errors import Alh2Error


def run_app(app: typer.Typer) -> int:
    """Run the command line; user mistakes become one line on stderr and an exit code, never a traceback."""
    try:
        result = app(standalone_mode=False)
    except click.exceptions.Exit as leave:
        return int(leave.exit_code)
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        print("alh2: interrupted; the same command resumes", file=sys.stderr)
        return 3
    except Alh2Error as error:
        print(f"alh2: {error}", file=sys.stderr)
        return error.exit_code
    return result if isinstance(result, int) else 0

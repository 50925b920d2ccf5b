"""From exceptions to one line and an exit code."""

from __future__ import annotations

import errno
import sys
from typing import cast

import click
import typer

from alh2.core.errors import Alh2Error

# Some typer versions carry their own copy of click, whose exceptions are not click's.
_EXITS = (click.exceptions.Exit, typer.Exit)
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
"""A disk that is full or may not be written: no mistake of the program."""
_ABORTS = (click.Abort, typer.Abort, KeyboardInterrupt)
_USAGE_ERRORS = cast(
    "tuple[type[click.ClickException], ...]",
    tuple(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"),
)


def run_app(app: typer.Typer) -> int:
    """Run the command line; user mistakes become one line on stderr and an exit code, never a traceback."""
    try:
        result = app(standalone_mode=False)
    except _EXITS as leave:
        return int(leave.exit_code)
    except _USAGE_ERRORS as error:
        error.show()
        return 2
    except _ABORTS:
        print("alh2: interrupted; the same command resumes", file=sys.stderr)
        return 3
    except Alh2Error as error:
        print(f"alh2: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if error.errno not in _DISK:
            raise
        print(f"alh2: {error}; repeat the command when that is mended", file=sys.stderr)
        return 1
    return result if isinstance(result, int) else 0

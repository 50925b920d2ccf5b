"""How a worker of Monte Carlo, Widom insertions or an energy grid ends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from alh2.core.errors import Alh2Error
from alh2.explore.gcmc_job import EXIT_UNTRUSTWORTHY
from alh2.gcmc import UntrustworthyEnergyError


def run_worker(run: Callable[[Path], None]) -> int:
    """Run in the current folder; the exit code, after one line on stderr where it is not 0."""
    try:
        run(Path("."))
    except Alh2Error as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_UNTRUSTWORTHY if isinstance(error, UntrustworthyEnergyError) else error.exit_code
    return 0

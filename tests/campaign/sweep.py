"""Drives a campaign that dies at every place of ``alh2.core.faults``, and starts it again after each death.

``python sweep.py PARAM MACHINE WORKDIR STAGE``: one process that forks each driver, so that libraries are loaded once.
Prints the number of deaths; ends when a driver comes to STAGE ("done" for the whole campaign).
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from alh2.campaign import loop
from alh2.campaign.open import open_campaign
from alh2.campaign.state import CampaignState, load_state
from alh2.core.errors import NeedsPersonError
from alh2.core.quiet import import_dpgen_arginfo

MOST_DEATHS = 3000


def drive(param: Path, machine: Path, workdir: Path, last: str) -> None:
    """One driver; ends the process."""

    def end_after(state: CampaignState) -> None:
        if state.stage == last != "done":
            os._exit(0)

    try:
        campaign = open_campaign(param, machine, workdir)
        before = load_state(campaign.paths.state)
        if before is not None:
            end_after(before)
        with campaign.lock:
            loop.run(campaign, after_stage=end_after)
    except NeedsPersonError as error:
        print(f"stopped: {error}", flush=True)
        os._exit(0 if "not converged" in str(error) else 1)
    os._exit(0)


def main() -> int:
    """Start drivers until one ends by itself."""
    param, machine, workdir, last = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    import_dpgen_arginfo()
    open_campaign(param, machine, workdir)
    for deaths in range(MOST_DEATHS):
        child = os.fork()
        if child == 0:
            drive(param, machine, workdir, last)
        _, status = os.waitpid(child, 0)
        if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            print(f"deaths {deaths}", flush=True)
            return os.waitstatus_to_exitcode(status)
    return 2


if __name__ == "__main__":
    sys.exit(main())

"""``alh2 run``, ``alh2 status`` and ``alh2 report``."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

STOPPED = (
    "interrupted: jobs already started go on by themselves; the same command resumes "
    "(finished tasks are not run again, running ones are waited for)"
)


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("run")(run_command)
    app.command("status")(status_command)
    app.command("report")(report_command)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _stop_on_signals() -> None:
    """SIGTERM, and SIGHUP unless it is ignored (nohup), end the driver like Ctrl-C."""
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _interrupt)


def run_command(
    param: Annotated[Path, typer.Argument(help="param file (JSON or YAML)")],
    machine: Annotated[Path, typer.Argument(help="machine file (JSON or YAML)")],
    workdir: Annotated[Path, typer.Option(help="campaign directory; made where absent")] = Path("."),
) -> int:
    """Run the campaign, or continue it: repeating the same command after any interruption resumes.

    Exit codes: 0 done, 1 a person must decide (the message says what), 2 bad input, 3 interrupted and resumable.
    """
    from alh2.core.errors import InterruptedCampaignError

    try:
        _stop_on_signals()
        return _run(param, machine, workdir)
    except KeyboardInterrupt:
        raise InterruptedCampaignError(STOPPED) from None


def _run(param: Path, machine: Path, workdir: Path) -> int:
    # Libraries read these as they are imported; their chatter is not for users.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without Å still gets its lines

    from alh2.campaign.loop import run
    from alh2.campaign.open import open_campaign

    campaign = open_campaign(param, machine, workdir)
    try:
        with campaign.lock:
            state = run(campaign)
    finally:
        campaign.reporter.close()
    typer.echo(f"done: {state.verdict}")
    typer.echo(f"report: {campaign.paths.report / 'index.html'}")
    return 0


def status_command(
    directory: Annotated[Path, typer.Argument(help="campaign directory")] = Path("."),
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable")] = False,
) -> int:
    """Say where a campaign stands."""
    from alh2.campaign.status import read_status

    status = read_status(directory)
    if as_json:
        typer.echo(json.dumps(_finite(asdict(status)), indent=1, allow_nan=False))
        return 0
    for line in status.lines():
        typer.echo(line)
    return 0


def _finite(value: Any) -> Any:
    """`value` with None for every number that JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def report_command(
    directory: Annotated[Path, typer.Argument(help="campaign directory")] = Path("."),
) -> int:
    """Write the report of a campaign as it stands."""
    from alh2.campaign.open import reopen_campaign
    from alh2.campaign.reporting import report
    from alh2.campaign.state import load_state

    campaign = reopen_campaign(directory)
    state = load_state(campaign.paths.state)
    assert state is not None
    typer.echo(f"report: {report(campaign, state)}")
    return 0

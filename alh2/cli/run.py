"""``alh2 run``, ``alh2 stop``, ``alh2 status`` and ``alh2 report``."""

from __future__ import annotations

import json
import math
import os
import shlex
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from alh2.core.quiet import QUIET_ENVIRONMENT

STOPPED = (
    "interrupted: jobs already started go on by themselves; the same command resumes "
    "(finished tasks are not run again, running ones are waited for)"
)


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("run")(run_command)
    app.command("stop")(stop_command)
    app.command("status")(status_command)
    app.command("report")(report_command)


def _interrupt(number: int, frame: FrameType | None) -> None:
    for once in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):  # the end is not to be interrupted
        signal.signal(once, signal.SIG_IGN)
    raise KeyboardInterrupt


def quiet_libraries() -> None:
    """Keep the chatter of libraries, which read these variables as they are imported, from users."""
    for name, value in QUIET_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without Å still gets its lines


def command_line() -> str:
    """The command as it was given, for records of how something was made."""
    return shlex.join(["alh2", *sys.argv[1:]])


def stop_on_signals() -> None:
    """SIGTERM, and SIGHUP unless it is ignored (nohup), end the driver like Ctrl-C."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGUSR1, _interrupt)  # Slurm, some minutes before the time of the driver's own job is over
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _interrupt)


def run_command(
    param: Annotated[Path, typer.Argument(help="param file (JSON or YAML)")],
    machine: Annotated[Path, typer.Argument(help="machine file (JSON or YAML)")],
    workdir: Annotated[Path, typer.Option(help="campaign directory; made where absent")] = Path("."),
    detach: Annotated[bool, typer.Option("--detach", help="go on without this terminal; see alh2 stop")] = False,
    as_job: Annotated[bool, typer.Option("--as-job", help="run the driver itself as a Slurm job")] = False,
    job_option: Annotated[
        list[str] | None, typer.Option(help="option of sbatch for that job, e.g. --time=24:00:00; repeatable")
    ] = None,
) -> int:
    """Run the campaign, or continue it: repeating the same command after any interruption resumes.

    Exit codes: 0 done, 1 a person must decide (the message says what), 2 bad input, 3 interrupted and resumable.
    """
    from alh2.core.errors import BadInputError, InterruptedCampaignError

    if detach and as_job:
        raise BadInputError("alh2 run", expected="--detach or --as-job", found="both", action="choose one")
    if detach or as_job:
        return _start(param, machine, workdir, None if detach else job_option or [])
    try:
        stop_on_signals()
        return _run(param, machine, workdir)
    except KeyboardInterrupt:
        raise InterruptedCampaignError(STOPPED) from None


def _start(param: Path, machine: Path, workdir: Path, job_options: list[str] | None) -> int:
    """Start a driver elsewhere: detached, or as a job where `job_options` are given."""
    from alh2.campaign.background import start_as_job, start_detached
    from alh2.config.load import load_machine, load_param

    load_param(param)
    load_machine(machine)
    if job_options is None:
        started = start_detached(param, machine, workdir)
        typer.echo(f"the driver is at work: pid {started.id}")
    else:
        started = start_as_job(param, machine, workdir, options=job_options)
        typer.echo(f"the driver is in the queue: job {started.id}")
    typer.echo(f"log: {started.log}; alh2 status and alh2 stop take the campaign directory")
    return 0


def _run(param: Path, machine: Path, workdir: Path) -> int:
    quiet_libraries()
    from alh2.campaign.background import Successor
    from alh2.campaign.loop import run
    from alh2.campaign.open import open_campaign

    successor = Successor()
    campaign = open_campaign(param, machine, workdir)
    over = True
    try:
        with campaign.lock:
            successor.submit()
            try:
                state = run(campaign)
            except KeyboardInterrupt:
                over = campaign.lock.asked_to_stop  # else this job's time is over, and the next one goes on
                raise
    finally:
        if over:
            successor.cancel()
        campaign.reporter.close()
    typer.echo(f"done: {state.verdict}")
    typer.echo(f"report: {campaign.paths.report / 'index.html'}")
    return 0


def stop_command(
    directory: Annotated[Path, typer.Argument(help="campaign directory")] = Path("."),
    cancel_jobs: Annotated[bool, typer.Option("--cancel-jobs", help="also cancel the jobs of this campaign")] = False,
) -> int:
    """Stop the driver of a campaign; its jobs go on unless told otherwise, and alh2 run continues."""
    from alh2.campaign.background import stop_driver
    from alh2.campaign.open import machines_of

    machines = machines_of(directory)
    owner = stop_driver(directory)
    typer.echo("no driver is at work" if owner is None else f"stopped the driver (host {owner.host}, pid {owner.pid})")
    if cancel_jobs:
        from alh2.dispatch.cancel import cancel_jobs as cancel

        typer.echo(f"cancelled {cancel(directory.resolve(), machines)} jobs")
    return 0


def status_command(
    directory: Annotated[Path, typer.Argument(help="campaign directory")] = Path("."),
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="show it again every few seconds; Ctrl-C ends")] = False,
    every: Annotated[float, typer.Option(help="seconds between looks with --watch", min=0.2)] = 5.0,
) -> int:
    """Say where a campaign stands."""
    from alh2.campaign.status import read_status

    while True:
        status = read_status(directory)
        if as_json:
            typer.echo(json.dumps(_finite(asdict(status)), indent=None if watch else 1, allow_nan=False))
        else:
            if watch and sys.stdout.isatty():
                typer.echo("\x1b[2J\x1b[H", nl=False)
            for line in status.lines():
                typer.echo(line)
        if not watch or not status.driver:
            return 0
        try:
            time.sleep(every)
        except KeyboardInterrupt:
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
    typer.echo(f"report: {report(campaign, state, for_paper=True)}")
    return 0

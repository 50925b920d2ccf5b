"""A driver without a terminal: detached on this computer, or as a Slurm job that follows itself; and how to stop it."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alh2.campaign.lock import Owner, driver_at
from alh2.campaign.paths import RunPaths
from alh2.core.errors import Alh2Error, BadInputError, NeedsPersonError
from alh2.core.files import atomic_write_text, digest_bytes

JOB_VARIABLE = "ALH2_DRIVER_JOB"
"""Set in the job that runs a driver: its job script."""

ENDS_BEFORE_S = 300
STARTS_WITHIN_S = 120.0
STOPS_WITHIN_S = 180.0


@dataclass(frozen=True)
class Started:
    """A driver that was started: its process id or job id, and where its words go."""

    id: str
    log: Path


def driver_command(param: Path, machine: Path, workdir: Path) -> list[str]:
    """The driver as this interpreter starts it, with absolute paths."""
    start = "import sys; from alh2.cli import main; sys.argv[0] = 'alh2'; main()"
    return [sys.executable, "-c", start, "run", str(param.resolve()), str(machine.resolve()), "--workdir", str(workdir)]


def start_detached(param: Path, machine: Path, workdir: Path) -> Started:
    """Start a driver in a session of its own, which outlives the terminal, and wait until it is at work.

    Raises NeedsPersonError where one is at work already, Alh2Error with its last line where it ends at once.
    """
    paths = _prepared(workdir)
    with open(paths.log, "ab") as log:
        offset = log.tell()
        process = subprocess.Popen(
            driver_command(param, machine, paths.root),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=paths.root,
            start_new_session=True,
        )
    until = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < until:
        owner = driver_at(paths.lock)
        if owner is not None and owner.pid == process.pid:
            return Started(str(process.pid), paths.log)
        code = process.poll()
        if code == 0:
            return Started(str(process.pid), paths.log)
        if code is not None:
            said = paths.log.read_bytes()[offset:].decode(errors="replace").strip().splitlines()
            error = Alh2Error((said or [f"the driver ended with code {code}"])[-1].removeprefix("alh2: "))
            error.exit_code = code
            raise error
        time.sleep(0.1)
    raise Alh2Error(f"the driver (pid {process.pid}) is not at work after {STARTS_WITHIN_S:.0f} s; see {paths.log}")


def start_as_job(param: Path, machine: Path, workdir: Path, *, options: Sequence[str]) -> Started:
    """Submit the driver as a Slurm job with `options` of sbatch; it follows itself until the campaign is over."""
    paths = _prepared(workdir)
    name = f"alh2-driver-{digest_bytes(str(paths.root).encode())[:12]}"
    command = " ".join(shlex.quote(word) for word in driver_command(param, machine, paths.root))
    lines = [
        "#!/bin/bash",
        f"#SBATCH --job-name={name}",
        f"#SBATCH --output={paths.log}",
        "#SBATCH --open-mode=append",
        f"#SBATCH --signal=B:USR1@{ENDS_BEFORE_S}",
        *(f"#SBATCH {option}" for option in options),
        f"export {JOB_VARIABLE}={shlex.quote(str(paths.job_script))}",
        f"exec {command}",
    ]
    atomic_write_text(paths.job_script, "\n".join(lines) + "\n")
    return Started(_sbatch(paths.job_script), paths.log)


def _prepared(workdir: Path) -> RunPaths:
    paths = RunPaths(workdir.resolve())
    owner = driver_at(paths.lock)
    if owner is not None:
        raise NeedsPersonError(f"{paths.root}: another driver is at work here ({owner}); wait for it or stop it")
    paths.root.mkdir(parents=True, exist_ok=True)
    paths.stop_request.unlink(missing_ok=True)
    return paths


def _sbatch(script: Path, *options: str) -> str:
    command = ["sbatch", "--parsable", *options, str(script)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=script.parent, check=False)
    except FileNotFoundError:
        raise BadInputError("sbatch", expected="Slurm's program", found="none here", action="use --detach") from None
    if done.returncode:
        raise Alh2Error(f"the driver could not be submitted: {' '.join(done.stderr.split())}")
    return done.stdout.split(";")[0].strip()


class Successor:
    """The next job of a driver that is a Slurm job: submitted first thing, so that no death ends the chain.

    It waits until this job is over (same name, ``--dependency=singleton``) and is cancelled when the campaign is.
    """

    def __init__(self) -> None:
        self._script = os.environ.pop(JOB_VARIABLE, "")
        self._job_id = ""
        if self._script:  # tasks are jobs of their own: what Slurm says about this one must not reach them
            for key in [key for key in os.environ if key.startswith("SLURM_") and key != "SLURM_CONF"]:
                del os.environ[key]

    def submit(self) -> None:
        """Submit it; without effect where the driver is no job."""
        if self._script:
            self._job_id = _sbatch(Path(self._script), "--dependency=singleton", "--begin=now+15")

    def cancel(self) -> None:
        """The campaign is over or was stopped: no next job."""
        if self._job_id:
            subprocess.run(["scancel", self._job_id], capture_output=True, check=False)


def stop_driver(directory: Path) -> Owner | None:
    """Ask the driver of a campaign to stop, and wait for it; returns who it was, None where none was at work.

    A driver on another host sees the request in the campaign directory. Raises Alh2Error where it does not stop.
    """
    paths = RunPaths(directory.resolve())
    owner = driver_at(paths.lock)
    if owner is None:
        return None
    atomic_write_text(paths.stop_request, f"{socket.gethostname()} {os.getpid()}\n")
    if owner.here:
        os.kill(owner.pid, signal.SIGTERM)
    until = time.monotonic() + STOPS_WITHIN_S
    while driver_at(paths.lock) is not None:
        if time.monotonic() > until:
            raise Alh2Error(f"the driver ({owner}) has not stopped after {STOPS_WITHIN_S:.0f} s; see {paths.log}")
        time.sleep(0.2)
    paths.stop_request.unlink(missing_ok=True)
    return owner

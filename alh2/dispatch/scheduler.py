"""Asking, submitting and cancelling: what every batch system of dpdispatcher offers, one job at a time."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from alh2.core.faults import fault_point
from alh2.core.quiet import import_dpdispatcher
from alh2.dispatch.endings import Seen, TransientError


class Scheduler(Protocol):
    """A batch system as the engine sees it; jobs are dpdispatcher's."""

    def survey(self, jobs: Sequence[Any]) -> dict[str, Seen]:
        """State of each of `jobs` by its hash; raises TransientError where the scheduler does not answer."""

    def submit(self, job: Any, *, memory_mb: int | None = None) -> str:
        """Submit `job` and return its id.

        Raises TransientError (nothing is known about the job then: look before submitting again) and RefusedError.
        """

    def cancel(self, jobs: Sequence[Any]) -> int:
        """Cancel those of `jobs` that wait or run; returns how many."""


class GenericScheduler:
    """Any batch system through dpdispatcher's own commands: local processes, PBS, LSF, SGE, …"""

    def __init__(self, machine: Any) -> None:
        self._machine = machine

    def survey(self, jobs: Sequence[Any]) -> dict[str, Seen]:
        """One query per job, for that is what dpdispatcher has."""
        return {job.job_hash: self._see(job) for job in jobs}

    def _see(self, job: Any) -> Seen:
        if job.job_id == "":
            job.register_job_id(recorded_id(self._machine.context, job))
        if job.job_id == "":
            return Seen("absent")
        try:
            name = self._machine.check_status(job).name
        except transient_errors() as error:
            raise as_transient(error, f"job {job.job_id}") from error
        state = {"waiting": "waiting", "running": "running", "completing": "running", "finished": "finished"}
        if name in state:
            return Seen(state[name], str(job.job_id))  # type: ignore[arg-type]
        return Seen("ended", str(job.job_id), "lost", f"state {name}")

    def submit(self, job: Any, *, memory_mb: int | None = None) -> str:
        """Submit through dpdispatcher; `memory_mb` has no common form and is left out."""
        fault_point(f"before submit {job.job_hash}")
        try:
            job.submit_job()
        except transient_errors() as error:
            raise as_transient(error, "a job could not be submitted") from error
        fault_point(f"after submit {job.job_hash}")
        return str(job.job_id)

    def cancel(self, jobs: Sequence[Any]) -> int:
        """Cancel by id."""
        seen = self.survey(jobs)
        alive = [job for job in jobs if seen[job.job_hash].state in ("waiting", "running")]
        for job in alive:
            self._machine.kill(job)
        return len(alive)


def recorded_id(context: Any, job: Any) -> str:
    """Id that dpdispatcher wrote beside the job script as it was submitted; "" without."""
    name = f"{job.job_hash}_job_id"
    if not context.check_file_exists(name):
        return ""
    content = context.read_file(name)
    return (content.decode() if isinstance(content, bytes) else str(content)).strip()


def transient_errors() -> tuple[type[Exception], ...]:
    """What dpdispatcher raises where a scheduler, a network or a disk is gone for a while."""
    from paramiko.ssh_exception import SSHException

    return (RuntimeError, OSError, EOFError, SSHException)


_FOR_A_PERSON = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


def as_transient(error: Exception, what: str) -> TransientError:
    """`error` as one to wait for; raises it where waiting does not help: a disk that is full or may not be written."""
    if isinstance(error, OSError) and error.errno in _FOR_A_PERSON:
        raise error
    return TransientError(f"{what}: {error}")


def load_machine(description: dict[str, Any], *, local: bool) -> Any:
    """dpdispatcher's machine for a dictionary; `local` for processes of this computer."""
    machine = import_dpdispatcher().Machine.load_from_dict(description)
    return _local_shell()(context=machine.context, retry_count=machine.retry_count) if local else machine


def _local_shell() -> Any:
    """dpdispatcher's Shell that knows its own processes: no ``ps`` needed, a reused process id is not mistaken."""
    from dpdispatcher.machine import Machine
    from dpdispatcher.machines.shell import Shell
    from dpdispatcher.utils.job_status import JobStatus

    if "OwnShell" in Machine.subclasses_dict:
        return Machine.subclasses_dict["OwnShell"]

    class OwnShell(Shell):  # type: ignore[misc]
        def check_status(self, job: Any) -> Any:
            if job.job_id == "":
                return JobStatus.unsubmitted
            running = runs_script(int(job.job_id), job.script_file_name)
            if self.check_finish_tag(job):
                return JobStatus.finished
            return JobStatus.running if running else JobStatus.terminated

    return OwnShell


def runs_script(pid: int, script: str) -> bool:
    """Whether process `pid` is alive and has `script` in its command line (a defunct process has none)."""
    try:
        return script.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False

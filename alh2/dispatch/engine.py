"""One dpdispatcher submission, driven step by step: recover or submit, look, resubmit with patience, fetch, clean.

dpdispatcher's own loop sleeps 1 s before its first look, burns its retries within seconds, raises on the first
scheduler hiccup and forgets the jobs of a driver that was killed between submitting and writing its state.
"""

from __future__ import annotations

import contextlib
import logging
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alh2.config.model import StageMachine
from alh2.core.errors import Alh2Error, BadInputError
from alh2.core.quiet import import_dpdispatcher

LOG = logging.getLogger("dpdispatcher")

_LAZY_CONTEXTS = ("lazylocalcontext", "lazylocal")
_LOCAL_CONTEXTS = (*_LAZY_CONTEXTS, "localcontext", "local")


@dataclass(frozen=True)
class Patience:
    """How failures outside the tasks are met.

    resubmits : times a lost job is submitted again; wait_s, factor : wait before the first, growth per time
    status_errors : failed status queries in a row before giving up
    """

    resubmits: int = 3
    wait_s: float = 10.0
    factor: float = 4.0
    status_errors: int = 30


@dataclass(frozen=True)
class Placement:
    """Where and how jobs run.

    in_place : tasks run in their own folders (shared or local disk); otherwise files travel
    local : jobs are processes of this machine
    """

    machine: dict[str, Any]
    resources: dict[str, Any]
    in_place: bool
    local: bool
    patience: Patience


def place(stage: StageMachine, base_dir: Path) -> Placement:
    """Complete dpdispatcher's dictionaries for `base_dir`; raises BadInputError where a root is needed and absent."""
    machine, resources = dict(stage.machine), dict(stage.resources)
    context = str(machine.get("context_type", "")).lower()
    batch = str(machine.get("batch_type", "")).lower()
    in_place = context in _LAZY_CONTEXTS
    local = batch == "shell" and context in _LOCAL_CONTEXTS
    machine["local_root"] = str(base_dir)
    if context in _LOCAL_CONTEXTS:
        machine["remote_root"] = str(base_dir / (machine.get("remote_root") or ".dispatch/remote"))
    elif not machine.get("remote_root"):
        raise BadInputError(
            f"machine with context_type {machine.get('context_type')!r}",
            expected="remote_root, the folder for jobs on the other side",
            found="none",
            action="add it to the machine file",
        )
    patience = Patience(wait_s=0.5) if local else Patience()
    return Placement(machine, resources, in_place, local, patience)


@dataclass(frozen=True)
class JobSpec:
    """One job: a command run in the work base, and the files that travel where the jobs are not in place."""

    command: str
    forward: tuple[str, ...] = ()
    backward: tuple[str, ...] = ()


@contextlib.contextmanager
def log_to(path: Path) -> Iterator[None]:
    """dpdispatcher's log goes to `path` inside the block (the file appears with the first line)."""
    handler = logging.FileHandler(path, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    LOG.addHandler(handler)
    try:
        yield
    finally:
        LOG.removeHandler(handler)
        handler.close()


@contextlib.contextmanager
def _global_random_untouched() -> Iterator[None]:
    """dpdispatcher seeds the global `random` with 42; give its state back."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


@dataclass
class _Watch:
    """What is remembered of a job between two looks."""

    losses: int = 0
    resubmit_at: float | None = None
    given_up: str = ""


@dataclass
class Engine:
    """A submission bound to its machine. Build with :func:`open_engine`."""

    submission: Any
    placement: Placement
    _watches: dict[str, _Watch] = field(default_factory=dict)
    _status_errors: int = 0

    def start(self) -> None:
        """Attach to the jobs of an earlier driver, submit the others, write the state down."""
        submission = self.submission
        self._recover()
        for job in submission.belonging_jobs:
            job.fail_count = 0
            self._watches[job.job_hash] = _Watch()
            if job.job_id == "":
                self._adopt(job)
        self.look()
        new = [job for job in submission.belonging_jobs if job.job_id == ""]
        if new:
            submission.upload_jobs()
            for job in new:
                job.submit_job()
        submission.submission_to_json()

    def _recover(self) -> None:
        """Take over the state file of an earlier driver; one that cannot be read is left out of account."""
        with _global_random_untouched():
            try:
                self.submission.try_recover_from_json()
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                LOG.warning("state of an earlier run cannot be used: %s", error)

    def _adopt(self, job: Any) -> None:
        """Take the id that dpdispatcher wrote beside the job script: its driver may have died before the state file."""
        context = self.submission.machine.context
        name = f"{job.job_hash}_job_id"
        if context.check_file_exists(name):
            job_id = context.read_file(name)
            text = (job_id.decode() if isinstance(job_id, bytes) else str(job_id)).strip()
            if text:
                job.register_job_id(text)
                LOG.info("job %s: adopted id %s", job.job_hash, text)

    def reopen_finished(self) -> None:
        """Run jobs again that count as finished: their tasks have no valid result (any more)."""
        for job in self._with_state("finished"):
            tags = [f"{job.job_hash}_job_tag_finished"]
            tags += [f"{task.task_hash}_task_tag_finished" for task in job.job_task_list]
            self.submission.machine.context.block_call("rm -f " + " ".join(tags))
            job.submit_job()
        self.submission.submission_to_json()

    def look(self) -> None:
        """Ask for the state of every open job once; submit lost ones again when their wait is over.

        Raises Alh2Error after `Patience.status_errors` failed queries in a row.
        """
        changed = False
        for job in self.open_jobs():
            before = job.job_state
            if job.job_id != "" and not self._query(job):
                continue
            if job.job_id != "" and job.job_state in self._states("terminated", "unknown", "failed", "unsubmitted"):
                changed |= self._lost(job)
            changed |= job.job_state != before
        if changed:
            self.submission.submission_to_json()

    def _query(self, job: Any) -> bool:
        watch = self._watches[job.job_hash]
        if watch.resubmit_at is not None:
            return True
        try:
            job.get_job_state()
        except _transient_errors() as error:
            self._status_errors += 1
            LOG.warning("status query failed (%d in a row): %s", self._status_errors, error)
            if self._status_errors > self.placement.patience.status_errors:
                raise Alh2Error(f"the scheduler cannot be asked for job {job.job_id}: {error}") from error
            return False
        self._status_errors = 0
        return True

    def _lost(self, job: Any) -> bool:
        """A job ended without its finish tag: wait, submit again, give up after some times. True where it changed."""
        watch, patience = self._watches[job.job_hash], self.placement.patience
        now = time.monotonic()
        if watch.resubmit_at is None:
            watch.losses += 1
            if watch.losses > patience.resubmits:
                watch.given_up = f"its job ended without a result {watch.losses} times (last job id {job.job_id})"
                LOG.error("job %s: %s", job.job_hash, watch.given_up)
                return True
            watch.resubmit_at = now + patience.wait_s * patience.factor ** (watch.losses - 1)
            LOG.warning("job %s (%s) was lost, state %s", job.job_hash, job.job_id, job.job_state)
            return False
        if now < watch.resubmit_at:
            return False
        try:
            job.submit_job()
        except _transient_errors() as error:
            LOG.warning("job %s could not be submitted again: %s", job.job_hash, error)
        watch.resubmit_at = None
        return True

    def open_jobs(self) -> list[Any]:
        """Jobs that are neither finished nor given up."""
        finished = self._states("finished")
        return [
            job
            for job in self.submission.belonging_jobs
            if job.job_state not in finished and not self._watches[job.job_hash].given_up
        ]

    def finished_commands(self) -> set[str]:
        """Commands of the jobs that have finished."""
        return {job.job_task_list[0].command for job in self._with_state("finished")}

    def given_up(self) -> list[str]:
        """Why jobs were given up."""
        return [watch.given_up for watch in self._watches.values() if watch.given_up]

    def save(self) -> None:
        """Write dpdispatcher's state file, so that the next driver attaches to the running jobs."""
        self.submission.submission_to_json()

    def fetch(self) -> None:
        """Bring back what the tasks wrote, leaving out files that do not exist (no-op in place)."""
        if self.placement.in_place:
            return
        for wait_s in (1.0, 10.0, 60.0, 0.0):
            try:
                self.submission.download_jobs(include_failed=True)
                return
            except _transient_errors() as error:
                LOG.warning("results cannot be brought back: %s", error)
                problem = error
                time.sleep(wait_s)
        raise Alh2Error(f"results cannot be brought back: {problem}; repeat the command") from problem

    def clean_remote(self) -> None:
        """Remove the submission's folder on the other side (no-op in place)."""
        if not self.placement.in_place:
            self.submission.machine.context.clean()

    def _with_state(self, name: str) -> list[Any]:
        return [job for job in self.submission.belonging_jobs if job.job_state in self._states(name)]

    @staticmethod
    def _states(*names: str) -> tuple[Any, ...]:
        from dpdispatcher.utils.job_status import JobStatus

        return tuple(JobStatus[name] for name in names)


def open_engine(placement: Placement, jobs: Sequence[JobSpec], work_base: Path) -> Engine:
    """Submission of `jobs` with `work_base` as the folder that paths are relative to; nothing is submitted yet.

    The same arguments give the same submission hash, by which :meth:`Engine.start` finds running jobs.
    """
    dpdispatcher = import_dpdispatcher()
    machine = dpdispatcher.Machine.load_from_dict(placement.machine)
    if placement.local:
        machine = _local_shell()(context=machine.context, retry_count=machine.retry_count)
    tasks = [
        dpdispatcher.Task(
            command=job.command,
            task_work_path=".",
            forward_files=list(job.forward),
            backward_files=list(job.backward),
            outlog=None,
            errlog=None,
        )
        for job in jobs
    ]
    submission = dpdispatcher.Submission(
        work_base=str(work_base),
        machine=machine,
        resources=dpdispatcher.Resources.load_from_dict(placement.resources),
        task_list=tasks,
    )
    with _global_random_untouched():
        submission.generate_jobs()
    return Engine(submission, placement)


def _transient_errors() -> tuple[type[Exception], ...]:
    from paramiko.ssh_exception import SSHException

    return (RuntimeError, OSError, EOFError, SSHException)


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
            running = _runs_script(int(job.job_id), job.script_file_name)
            if self.check_finish_tag(job):
                return JobStatus.finished
            return JobStatus.running if running else JobStatus.terminated

    return OwnShell


def _runs_script(pid: int, script: str) -> bool:
    """Whether process `pid` is alive and has `script` in its command line (a defunct process has none)."""
    try:
        return script.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False

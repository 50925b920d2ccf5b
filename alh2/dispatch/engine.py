"""One dpdispatcher submission, driven step by step: recover or submit, look, resubmit with patience, fetch, clean.

dpdispatcher's own loop sleeps 1 s before its first look, burns its retries within seconds, raises on the first
scheduler hiccup and forgets the jobs of a driver that was killed between submitting and writing its state.
"""

from __future__ import annotations

import contextlib
import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alh2.core.errors import Alh2Error, NeedsPersonError
from alh2.core.quiet import import_dpdispatcher
from alh2.dispatch.endings import WORDS, Decision, QueueFullError, RefusedError, Seen, TransientError
from alh2.dispatch.placement import LOCAL_CONTEXTS, JobSpec, Placement
from alh2.dispatch.scheduler import GenericScheduler, Scheduler, as_transient, load_machine, transient_errors
from alh2.dispatch.slurm import SlurmScheduler

LOG = logging.getLogger("dpdispatcher")
OUTAGE_WAITS_S = (1.0, 15.0)
"""Waits between tries while the scheduler does not answer: the first, and the longest it doubles to."""


@contextlib.contextmanager
def log_to(path: Path) -> Iterator[None]:
    """dpdispatcher's log goes to `path` inside the block (the file appears with the first line).

    Whoever looks for a lost job needs it, so it is written even where logging was disabled as a whole.
    """
    silent = logging.root.manager.disable
    logging.disable(logging.NOTSET)
    handler = logging.FileHandler(path, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    LOG.addHandler(handler)
    try:
        yield
    finally:
        LOG.removeHandler(handler)
        handler.close()
        logging.disable(silent)


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

    state: str = "absent"
    handled: set[str] = field(default_factory=set)
    submit_at: float = 0.0
    memory_mb: int | None = None
    given_up: str = ""


@dataclass
class Engine:
    """A submission bound to its machine. Build with :func:`open_engine`.

    on_ended : decides what becomes of a job that ended without a result
    outage_s : how long a scheduler that does not answer is waited for
    """

    submission: Any
    placement: Placement
    scheduler: Scheduler
    on_ended: Callable[[Any, Seen], Decision] | None = None
    outage_s: float = 7200.0
    _watches: dict[str, _Watch] = field(default_factory=dict)
    _outage_since: float | None = None
    _quiet_until: float = 0.0
    _uploaded: bool = False

    def start(self) -> None:
        """Attach to the jobs of an earlier driver and submit the others, as far as the scheduler takes them now."""
        with _global_random_untouched():
            try:
                self.submission.try_recover_from_json()
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                LOG.warning("state of an earlier run cannot be used: %s", error)
        self._watches = {job.job_hash: _Watch() for job in self.submission.belonging_jobs}
        self.look()

    def reopen_finished(self) -> None:
        """Run jobs again that count as finished: their tasks have no valid result (any more)."""
        for job in self._jobs("finished"):
            tags = [f"{job.job_hash}_job_tag_finished", f"{job.job_hash}_job_id"]
            tags += [f"{task.task_hash}_task_tag_finished" for task in job.job_task_list]
            self.submission.machine.context.block_call("rm -f " + " ".join(tags))
            watch = self._watches[job.job_hash]
            watch.handled.add(str(job.job_id))
            watch.state = "absent"
            self._submit(job)
        self.save()

    def look(self) -> None:
        """Ask for the state of every open job once; submit those whose turn it is.

        While the scheduler does not answer, looks become rarer. Raises Alh2Error when it has not answered for
        `outage_s`, NeedsPersonError where it refuses a job for good.
        """
        if time.monotonic() < self._quiet_until:
            return
        jobs = self.open_jobs()
        before = [(self._watches[job.job_hash].state, job.job_id) for job in jobs]
        try:
            seen = self.scheduler.survey(jobs)
            for job in jobs:
                self._take(job, seen[job.job_hash])
        except QueueFullError as error:
            LOG.info("the scheduler takes no more jobs for now: %s", error)
            self._quiet_until = time.monotonic() + OUTAGE_WAITS_S[1]
        except TransientError as error:
            self._outage(error)
        else:
            self._outage_since, self._quiet_until = None, 0.0
        if before != [(self._watches[job.job_hash].state, job.job_id) for job in jobs]:
            self.save()

    def _take(self, job: Any, seen: Seen) -> None:
        """Act on what was seen of one job."""
        watch = self._watches[job.job_hash]
        if seen.state in ("waiting", "running", "finished"):
            if watch.state == "absent":
                LOG.info("job %s: adopted id %s", job.job_hash, seen.job_id)
            watch.state = seen.state
            return
        if seen.state == "ended" and seen.job_id not in watch.handled:
            watch.handled.add(seen.job_id)
            self._ended(job, seen)
        if not watch.given_up and watch.state != "finished" and time.monotonic() >= watch.submit_at:
            self._submit(job)

    def _ended(self, job: Any, seen: Seen) -> None:
        watch = self._watches[job.job_hash]
        watch.state = "absent"
        LOG.warning("job %s (%s) was lost: %s; %s", job.job_hash, seen.job_id, WORDS[seen.ending], seen.detail)
        decision = self.on_ended(job, seen) if self.on_ended else Decision(False, reason=WORDS[seen.ending])
        if decision.again:
            watch.submit_at = time.monotonic() + decision.wait_s
            watch.memory_mb = decision.memory_mb or watch.memory_mb
        elif decision.reason:
            watch.given_up = decision.reason
            LOG.error("job %s: %s", job.job_hash, decision.reason)
        else:
            watch.state = "finished"

    def _submit(self, job: Any) -> None:
        if not self._uploaded:
            try:
                self.submission.upload_jobs()
            except transient_errors() as error:
                raise as_transient(error, "input files cannot be sent") from error
            self._uploaded = True
        watch = self._watches[job.job_hash]
        try:
            job_id = self.scheduler.submit(job, memory_mb=watch.memory_mb)
        except RefusedError as error:
            if watch.memory_mb is None:
                raise NeedsPersonError(f"the scheduler refuses a job: {error}; mend the machine file") from error
            watch.given_up = f"{WORDS['out-of-memory']}, and {watch.memory_mb} MB are refused: {error}"
            return
        watch.state = "waiting"
        LOG.debug("job %s: submitted as %s", job.job_hash, job_id)

    def _outage(self, error: TransientError) -> None:
        now = time.monotonic()
        if self._outage_since is None:
            self._outage_since = now
        lasted_s = now - self._outage_since
        LOG.warning("the scheduler does not answer (for %.0f s now): %s", lasted_s, error)
        if lasted_s > self.outage_s:
            raise Alh2Error(f"the scheduler has not answered for {lasted_s:.0f} s: {error}") from error
        self._quiet_until = now + min(max(lasted_s, OUTAGE_WAITS_S[0]), OUTAGE_WAITS_S[1])

    @property
    def trouble(self) -> str:
        """What is being waited for beside the jobs, "" where all is well."""
        if self._outage_since is None:
            return ""
        return f"the scheduler has not answered for {time.monotonic() - self._outage_since:.0f} s"

    def open_jobs(self) -> list[Any]:
        """Jobs that are neither finished nor given up."""
        watches = self._watches
        jobs = self.submission.belonging_jobs
        return [j for j in jobs if watches[j.job_hash].state != "finished" and not watches[j.job_hash].given_up]

    def counts(self) -> tuple[int, int]:
        """Jobs that wait in the queue (or to be submitted), and jobs that run."""
        states = [self._watches[job.job_hash].state for job in self.open_jobs()]
        return sum(state != "running" for state in states), states.count("running")

    def finished_commands(self) -> set[str]:
        """Commands of the jobs that have finished."""
        return {job.job_task_list[0].command for job in self._jobs("finished")}

    def given_up(self) -> list[str]:
        """Why jobs were given up."""
        return [watch.given_up for watch in self._watches.values() if watch.given_up]

    def save(self) -> None:
        """Write dpdispatcher's state file, so that the next driver attaches to the running jobs.

        On this computer the folder is gone where another driver saw the last task end and tidied up: nothing to keep.
        """
        try:
            self.submission.submission_to_json()
        except FileNotFoundError:
            if not self.placement.in_place or Path(self.submission.machine.context.remote_root).is_dir():
                raise

    def fetch(self) -> None:
        """Bring back what the tasks wrote, leaving out files that do not exist (no-op in place)."""
        if self.placement.in_place:
            return
        for wait_s in (1.0, 10.0, 60.0, 0.0):
            try:
                self.submission.download_jobs(include_failed=True)
                return
            except transient_errors() as error:
                LOG.warning("results cannot be brought back: %s", error)
                problem = error
                time.sleep(wait_s)
        raise Alh2Error(f"results cannot be brought back: {problem}; repeat the command") from problem

    def clean_remote(self) -> None:
        """Remove the submission's folder on the other side (no-op in place)."""
        if not self.placement.in_place:
            self.submission.machine.context.clean()

    def _jobs(self, state: str) -> list[Any]:
        return [job for job in self.submission.belonging_jobs if self._watches[job.job_hash].state == state]


def open_engine(placement: Placement, jobs: Sequence[JobSpec], work_base: Path) -> Engine:
    """Submission of `jobs` with `work_base` as the folder that paths are relative to; nothing is submitted yet.

    The same arguments give the same submission hash, by which :meth:`Engine.start` finds running jobs.
    """
    dpdispatcher = import_dpdispatcher()
    machine = load_machine(placement.machine, local=placement.local)
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
    if placement.machine["context_type"].lower() in LOCAL_CONTEXTS:
        Path(machine.context.remote_root).mkdir(parents=True, exist_ok=True)  # commands run in it
    if not placement.slurm:
        return Engine(submission, placement, GenericScheduler(machine))
    by_command = {job.command: job.name for job in jobs}
    names = {job.job_hash: by_command[job.job_task_list[0].command] for job in submission.belonging_jobs}
    return Engine(submission, placement, SlurmScheduler(machine, names))

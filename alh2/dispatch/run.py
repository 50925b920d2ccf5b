"""Run tasks on a machine, each exactly once: finished ones are never run again, running ones are attached to."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from alh2.config.model import StageMachine
from alh2.config.policy import TaskPolicy
from alh2.dispatch.attach import open_round
from alh2.dispatch.endings import Decision, Seen
from alh2.dispatch.engine import Engine, log_to
from alh2.dispatch.losses import Losses
from alh2.dispatch.placement import Placement, place
from alh2.dispatch.plan import Layout, Plan, Submitted, Wanted, recall
from alh2.dispatch.tasks import DigestCache, Entry, Task, TaskOutcome, last_lines, recorded_outcome, task_digest

_POLL_LOCAL_S = 0.2
_POLL_REMOTE_S = 10.0
PAUSE_TIMES, LONGEST_PAUSE_S = 50.0, 30.0
"""A look at the tasks is followed by a pause of so many times the processor time it took: the driver leaves the cores
to the tasks. Waiting for a scheduler, in an outage or for thousands of submissions, is no work."""
_JOB_WAIT_LOCAL_S = 0.5


@dataclass(frozen=True)
class Progress:
    """State of a run.

    n_done, n_failed : tasks with a result (a timeout counts as failed); n_reused : of these, finished before this call
    elapsed_s : since this call began
    jobs_waiting, jobs_running : jobs of the scheduler (one job runs all local tasks)
    trouble : what is waited for beside them, "" where all is well
    """

    name: str
    n_total: int
    n_done: int
    n_failed: int
    n_reused: int
    elapsed_s: float
    jobs_waiting: int = 0
    jobs_running: int = 0
    trouble: str = ""


@dataclass
class _Run:
    layout: Layout
    placement: Placement
    parallel: int
    entries: list[Entry]
    poll_s: float
    policy: TaskPolicy
    on_progress: Callable[[Progress], None] | None
    engine: Engine | None = None
    n_reused: int = 0
    started: float = 0.0
    given_up: str = ""
    successes: dict[int, tuple[TaskOutcome, int]] = field(default_factory=dict)

    def recorded(self, entry: Entry) -> tuple[TaskOutcome, int] | None:
        """Outcome and attempt on disk; a success is read once per call."""
        key = id(entry)
        if key not in self.successes:
            found = recorded_outcome(entry.task, entry.digest, self.layout.base_dir)
            if found is None or found[0].status != "done":
                return found
            self.successes[key] = found
        return self.successes[key]

    def waits(self, entry: Entry, attempt: int) -> bool:
        """Whether `entry` still has to run for everything up to `attempt` to be over."""
        known = self.recorded(entry)
        return known is None or (known[0].status != "done" and known[1] < attempt)

    def report(self, n_in_finished_jobs: int = 0) -> None:
        if self.on_progress is None:
            return
        known = [found[0].status for found in map(self.recorded, self.entries) if found]
        n_done = known.count("done")
        n_failed = len(known) - n_done
        n_done = max(n_done, min(n_in_finished_jobs + self.n_reused, len(self.entries) - n_failed))
        elapsed_s = time.monotonic() - self.started
        now = Progress(self.layout.name, len(self.entries), n_done, n_failed, self.n_reused, elapsed_s)
        if self.engine is not None:
            waiting, running = self.engine.counts()
            now = replace(now, jobs_waiting=waiting, jobs_running=running, trouble=self.engine.trouble)
        self.on_progress(now)


def run_tasks(
    tasks: Sequence[Task],
    *,
    machine: StageMachine,
    base_dir: Path,
    name: str,
    on_progress: Callable[[Progress], None] | None = None,
    poll_s: float | None = None,
) -> list[TaskOutcome]:
    """Run `tasks` on `machine` and return their outcomes in the same order; a failed task is an outcome, not an error.

    A task whose digest is recorded as ended is not run again (a success whose outputs are gone is). Where an
    earlier call was interrupted, by whatever means, the same call attaches to its jobs. KeyboardInterrupt and
    other exceptions pass through while jobs go on. Jobs that end without a result (killed, out of memory, machine
    restarted) are submitted again with growing waits, as the policy of `machine` says; after that their unfinished
    tasks are "failed" with no exit code.

    Parameters
    ----------
    base_dir : folder that relative paths refer to; job scripts and dpdispatcher's state and log live below
        ``base_dir/.dispatch``
    name : of this run, unique in `base_dir`; two runs of one name never run at a time on the local machine
    poll_s : time between looks; default: the machine's, else 0.2 s for local jobs, 10 s for schedulers

    Raises
    ------
    BadInputError : an input is absent, two tasks share a folder, an output leaves its folder, a root is missing
    NeedsPersonError : the scheduler refuses a job
    Alh2Error : the scheduler cannot be reached for longer than the policy allows
    """
    layout = Layout(Path(base_dir).resolve(), name.replace("/", "_"))
    placement = place(machine, layout.base_dir)
    policy = machine.policy
    if placement.local:
        policy = replace(policy, job_wait_s=min(policy.job_wait_s, _JOB_WAIT_LOCAL_S))
    default_poll_s = machine.poll_s or (_POLL_LOCAL_S if placement.local else _POLL_REMOTE_S)
    if policy.timeout_s is not None:
        tasks = [replace(task, timeout_s=policy.timeout_s) for task in tasks]
    entries = _with_digests(tasks, layout)
    run = _Run(layout, placement, machine.parallel, entries, poll_s or default_poll_s, policy, on_progress)
    run.started = time.monotonic()
    run.n_reused = sum(run.recorded(entry) is not None for entry in entries)
    run.report()
    last = recall(layout, entries)
    first = last.attempt if last and last.attempt <= policy.retry_count + 1 else 1
    for attempt in range(first, policy.retry_count + 2):
        waiting = [entry for entry in entries if run.waits(entry, attempt)]
        if waiting:
            if attempt > first and policy.retry_wait_s:
                time.sleep(policy.retry_wait_s * 2.0 ** (attempt - 2))
            _round(run, waiting, attempt, last)
    if not any(run.waits(entry, 1) for entry in entries):
        shutil.rmtree(layout.control, ignore_errors=True)
    return [_outcome(run, entry) for entry in entries]


def _with_digests(tasks: Sequence[Task], layout: Layout) -> list[Entry]:
    cache = DigestCache()
    entries = [Entry(task, task_digest(task, layout.base_dir, cache=cache)) for task in tasks]
    folders = {layout.key(task) for task in tasks}
    if len(folders) != len(tasks):
        raise ValueError(f"{len(tasks)} tasks in {len(folders)} folders: each task needs its own")
    return entries


def _outcome(run: _Run, entry: Entry) -> TaskOutcome:
    known = run.recorded(entry)
    if known is not None:
        return known[0]
    folder = entry.task.folder(run.layout.base_dir)
    said = last_lines(folder)
    reason = run.given_up or "its job ended without a result"
    if not folder.is_dir():
        reason = f"its folder {folder} was removed while it waited"
    return TaskOutcome(entry.task, "failed", None, f"{reason}: {said}" if said else reason, 0.0)


def _round(run: _Run, waiting: list[Entry], attempt: int, last: Submitted | None) -> None:
    """Submit `waiting` or attach to their jobs, and wait until all are over."""
    control = run.layout.control
    control.mkdir(parents=True, exist_ok=True)
    with log_to(control.parent / "dpdispatcher.log"):
        wanted = Wanted(run.layout, run.placement, run.parallel, attempt)
        plan, engine = open_round(waiting, wanted, last, outage_s=run.policy.outage_s)
        losses = Losses(
            policy=run.policy,
            base_dir=run.layout.base_dir,
            attempt=attempt,
            waiting=lambda group: [entry for entry in group if run.waits(entry, attempt)],
            visible=run.placement.in_place,
            by_job=run.placement.slurm,
        )
        index_of = {spec.command: index for index, spec in enumerate(plan.jobs)}
        engine.on_ended = partial(_on_ended, losses, plan, index_of)
        run.engine = engine
        engine.start()
        run.report()
        if not engine.open_jobs():
            engine.fetch()
            if any(run.waits(entry, attempt) for group in plan.members for entry in group):
                engine.reopen_finished()
        with _saved_on_exit(engine):
            _wait(run, engine, plan, attempt)
        run.given_up = "; ".join(engine.given_up())
        _finish(run, engine, plan, attempt)
        run.engine = None


def _on_ended(losses: Losses, plan: Plan, index_of: dict[str, int], job: Any, seen: Seen) -> Decision:
    index = index_of[job.job_task_list[0].command]
    return losses.decide(index, plan.members[index], seen)


@contextlib.contextmanager
def _saved_on_exit(engine: Engine) -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            engine.save()


def _wait(run: _Run, engine: Engine, plan: Plan, attempt: int) -> None:
    """Look until every task has a record or every job is over."""
    waiting = [entry for group in plan.members for entry in group]
    look_s = max(run.poll_s, 0.5) if run.placement.local else run.poll_s
    next_look = 0.0
    while True:
        begun, worked_s = time.monotonic(), time.process_time()
        n_before = len(waiting)
        waiting = [entry for entry in waiting if run.waits(entry, attempt)]
        if len(waiting) != n_before:
            run.report()
        if not waiting:
            return
        if begun >= next_look:
            engine.look()
            next_look = begun + look_s
            if not engine.open_jobs():
                return
            if not run.placement.in_place:
                _report_jobs(run, engine, plan)
            else:
                run.report()
        pause_s = PAUSE_TIMES * (time.process_time() - worked_s)
        time.sleep(max(run.poll_s, min(pause_s, LONGEST_PAUSE_S)))


def _report_jobs(run: _Run, engine: Engine, plan: Plan) -> None:
    """Progress where results come back only at the end: tasks of finished jobs."""
    finished = engine.finished_commands()
    run.report(sum(len(group) for job, group in zip(plan.jobs, plan.members, strict=True) if job.command in finished))


def _finish(run: _Run, engine: Engine, plan: Plan, attempt: int) -> None:
    """Let jobs write their last tags, bring results back, remove what is no longer needed."""
    pause_s, until = (0.01, 5.0) if run.placement.local else (run.poll_s, 60.0)
    deadline = time.monotonic() + until
    while engine.open_jobs() and time.monotonic() < deadline:
        engine.look()
        time.sleep(pause_s)
    engine.fetch()
    entries = [entry for group in plan.members for entry in group]
    if not run.placement.local:
        for _ in range(5):  # a shared file system may show new files late
            if not any(run.waits(entry, attempt) for entry in entries):
                break
            time.sleep(1.0)
    if not any(run.waits(entry, attempt) for entry in entries) and not engine.open_jobs():
        engine.clean_remote()
        shutil.rmtree(run.layout.control, ignore_errors=True)
    run.report()

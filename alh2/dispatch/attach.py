"""Before anything is submitted: what an earlier driver left in the queue is attached to, or cancelled where nobody
wants its result any more. The intent is on disk before the first job goes out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from alh2.core.errors import Alh2Error
from alh2.dispatch.endings import TransientError
from alh2.dispatch.engine import LOG, OUTAGE_WAITS_S, Engine, open_engine
from alh2.dispatch.plan import Plan, Submitted, Wanted, group_entries, machine_digest, make_plan, remember
from alh2.dispatch.slurm import SlurmScheduler
from alh2.dispatch.tasks import Entry

T = TypeVar("T")
GONE_WITHIN_S = 120.0


def open_round(
    waiting: Sequence[Entry], wanted: Wanted, last: Submitted | None, *, outage_s: float
) -> tuple[Plan, Engine]:
    """Plan and engine for the tasks `waiting`, attached to the jobs of `last` where these still are what is wanted.

    Jobs of `last` for tasks whose inputs have changed since are cancelled. While jobs of `last` are in the queue, the
    resources they were submitted with stay; changes of the machine file count for the next submission.
    """
    wanted = replace(wanted, groups=_groups(waiting, wanted, last))
    plan, engine = _open(waiting, wanted)
    if isinstance(engine.scheduler, SlurmScheduler) and last is not None:
        slurm = engine.scheduler
        names = {job.name for job in plan.jobs}
        _cancel(slurm, set(last.names) - names, outage_s)
        changed = last.resources != plan.asked and last.machine == machine_digest(plan.placement)
        if changed and alive(slurm, names & set(last.names), outage_s):
            LOG.info("jobs in the queue keep the resources that they were submitted with")
            plan, engine = _open(
                waiting, replace(wanted, placement=replace(wanted.placement, resources=last.resources))
            )
    engine.outage_s = outage_s
    remember(wanted.layout, plan, wanted.attempt)
    return plan, engine


def _open(waiting: Sequence[Entry], wanted: Wanted) -> tuple[Plan, Engine]:
    plan = make_plan(waiting, wanted)
    return plan, open_engine(plan.placement, plan.jobs, plan.work_base)


def _groups(waiting: Sequence[Entry], wanted: Wanted, last: Submitted | None) -> tuple[tuple[Entry, ...], ...] | None:
    """The groups of `last` where its tasks are still wanted, with further ones for tasks that it did not have."""
    if last is None or last.groups is None or last.attempt != wanted.attempt:
        return None
    known = {entry.digest + str(entry.task.work_dir) for group in last.groups for entry in group}
    new = [entry for entry in waiting if entry.digest + str(entry.task.work_dir) not in known]
    if not new:
        return last.groups
    return last.groups + group_entries(new, wanted.placement) if wanted.placement.slurm else None


def _cancel(slurm: SlurmScheduler, names: set[str], outage_s: float) -> None:
    """Cancel jobs and wait until they have left their folders."""
    if not names or not patiently(lambda: slurm.cancel_names(names), outage_s):
        return
    LOG.info("cancelled jobs for tasks that have changed since")
    until = time.monotonic() + GONE_WITHIN_S
    while alive(slurm, names, outage_s):
        if time.monotonic() > until:
            raise Alh2Error(f"jobs that were cancelled do not end: {', '.join(sorted(names))}; repeat the command")
        time.sleep(1.0)


def alive(slurm: SlurmScheduler, names: set[str], outage_s: float) -> set[str]:
    """Those of `names` that wait or run in the queue."""
    if not names:
        return set()
    queue = patiently(slurm.queue, outage_s)
    return {entry.name for entry in queue if entry.alive and entry.name in names}


def patiently(ask: Callable[[], T], outage_s: float) -> T:
    """What `ask` returns, asked again while the scheduler does not answer; Alh2Error after `outage_s`."""
    since, wait_s = time.monotonic(), OUTAGE_WAITS_S[0]
    while True:
        try:
            return ask()
        except TransientError as error:
            lasted_s = time.monotonic() - since
            LOG.warning("the scheduler does not answer (for %.0f s now): %s", lasted_s, error)
            if lasted_s > outage_s:
                raise Alh2Error(f"the scheduler has not answered for {lasted_s:.0f} s: {error}") from error
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, OUTAGE_WAITS_S[1])

"""Where a campaign stands, read from its directory without touching it."""

from __future__ import annotations

import contextlib
import math
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from alh2.campaign.assessing import errors_in_words, load_assessment
from alh2.campaign.paths import RunPaths
from alh2.campaign.progress import duration
from alh2.campaign.snapshot import Seen, read_snapshot
from alh2.campaign.state import CampaignState, load_state
from alh2.core.errors import BadInputError
from alh2.dispatch.script import SCRIPT_NAME
from alh2.dispatch.tasks import RECORD_NAME, last_lines, read_record
from alh2.label.quarantine import read_quarantine

MOST_REASONS = 5


@dataclass(frozen=True)
class TaskCounts:
    """Task folders of the stage at hand: finished (a record exists), and all."""

    finished: int
    total: int


@dataclass(frozen=True)
class JobCounts:
    """Jobs of the running stage in the scheduler, as the driver saw them last."""

    waiting: int
    running: int


@dataclass(frozen=True)
class Failure:
    """Why tasks of the stage at hand failed, or frames have no label; count : how many; example : one task folder."""

    reason: str
    count: int
    example: str


@dataclass(frozen=True)
class IterationRow:
    """Verdict of one assessed iteration."""

    iteration: int
    met: bool
    force_rmse_ev_ang: float
    insertion_rmse_ev: float
    insertion_mean_ev: float
    accurate_fraction: float


@dataclass(frozen=True)
class RungRow:
    """One rung of the curriculum: its loadings, its iterations (first, last begun), and whether it converged.

    first, last : None where it has not begun
    """

    number: int
    loadings: str
    first: int | None
    last: int | None
    converged: bool

    @property
    def words(self) -> str:
        """Where it stands."""
        if self.first is None:
            return "to come"
        which = f"iteration {self.first}" + (f" to {self.last}" if self.last != self.first else "")
        return f"{which}, {'converged' if self.converged else 'not converged'}"


@dataclass(frozen=True)
class CampaignStatus:
    """What ``alh2 status`` shows.

    state : "running", "interrupted", "needs-person" or "done" (as last written); driver : whether one is at work now
    n_labels : labelled frames in the dataset, those it started from included
    labels_computed : of the campaign's own label tasks; label_budget : most of them planned, None: not known yet
    jobs : of the scheduler, None where none are known; waits_for : in words; eta_s : to the end of this stage's tasks
    rungs : of the curriculum; () without one
    failures : of the stage at hand, and of labels; size_bytes : of the directory
    """

    state: str
    driver: bool
    iteration: int
    stage: str
    converged: bool
    verdict: str
    message: str
    n_labels: int
    n_quarantined: int
    tasks: TaskCounts
    iterations: tuple[IterationRow, ...]
    labels_computed: int = 0
    label_budget: int | None = None
    jobs: JobCounts | None = None
    waits_for: str = ""
    eta_s: float | None = None
    failures: tuple[Failure, ...] = ()
    size_bytes: int = 0
    rungs: tuple[RungRow, ...] = ()

    def lines(self) -> list[str]:
        """The same for people."""
        driver = "a driver is at work" if self.driver else "no driver is at work"
        budget = "" if self.label_budget is None else f" of {self.label_budget} planned at most"
        rows = [
            f"state      {self.state} ({driver})",
            f"stage      {self.stage}, iteration {self.iteration}",
            f"tasks      {self.tasks.finished} of {self.tasks.total} finished in this stage{self._eta()}",
        ]
        if self.jobs is not None:
            rows.append(f"jobs       {self.jobs.running} running, {self.jobs.waiting} waiting")
        rows += [
            f"waits for  {self.waits_for}",
            f"labels     {self.n_labels} in the dataset, {self.n_quarantined} quarantined; "
            f"{self.labels_computed} computed{budget}",
            f"converged  {'yes' if self.converged else 'no'}: {self.verdict}",
            f"directory  {self.size_bytes / 1e6:.1f} MB",
        ]
        rows += [f"rung {row.number}     {row.loadings}: {row.words}" for row in self.rungs]
        if self.message:
            rows.append(f"message    {self.message}")
        for row in self.iterations:
            accurate = (
                f"{100 * row.accurate_fraction:.0f} %" if math.isfinite(row.accurate_fraction) else "not measured"
            )
            errors = errors_in_words(
                force_rmse_ev_ang=row.force_rmse_ev_ang,
                insertion_rmse_ev=row.insertion_rmse_ev,
                insertion_mean_ev=row.insertion_mean_ev,
            )
            rows.append(f"  iteration {row.iteration}: accurate {accurate}, {errors}")
        rows += [f"  failed {entry.count} times: {entry.reason} (e.g. {entry.example})" for entry in self.failures]
        return rows

    def _eta(self) -> str:
        return "" if self.eta_s is None else f", about {duration(self.eta_s)} left"


def read_status(directory: Path) -> CampaignStatus:
    """Status of the campaign in `directory`; raises BadInputError where there is none."""
    from alh2.campaign.lock import is_held
    from alh2.dataset.store import DatasetStore

    paths = RunPaths(directory.resolve())
    state = load_state(paths.state)
    if state is None:
        raise BadInputError(
            str(directory),
            expected="a campaign directory (with state.json)",
            found="none",
            action="start with alh2 run",
        )
    where = paths.stage(state.stage, state.iteration)
    held = is_held(paths.lock)
    seen = read_snapshot(paths.progress) if held else None
    quarantined = read_quarantine(paths.quarantine)
    tasks = TaskCounts(len(list(where.glob(f"**/{RECORD_NAME}"))), len(list(where.glob(f"**/{SCRIPT_NAME}"))))
    return CampaignStatus(
        state=state.status,
        driver=held,
        iteration=state.iteration,
        stage=state.stage,
        converged=state.converged,
        verdict=state.verdict,
        message=state.message,
        n_labels=len(DatasetStore(paths.dataset, ()).digests()),
        n_quarantined=len(quarantined),
        tasks=tasks,
        iterations=_iterations(paths, state.iteration),
        labels_computed=_labels_computed(paths),
        label_budget=state.label_budget,
        jobs=JobCounts(seen.jobs_waiting, seen.jobs_running) if seen else None,
        waits_for=_waits_for(state, held, seen),
        eta_s=seen.eta_s if seen else None,
        failures=_failures(paths, where, [entry.reason for entry in quarantined]),
        size_bytes=_size(paths.root),
        rungs=rung_rows(state),
    )


def rung_rows(state: CampaignState) -> tuple[RungRow, ...]:
    """Rungs of the curriculum, those to come included; () without one."""
    rows = []
    for rung, loadings in enumerate(state.rungs):
        first = state.rung_starts[rung] if rung < len(state.rung_starts) else None
        following = state.rung_starts[rung + 1] if rung + 1 < len(state.rung_starts) else None
        last = None if first is None else state.iteration if following is None else following - 1
        converged = following is not None or (first is not None and state.converged)
        rows.append(RungRow(rung + 1, loadings, first, last, converged))
    return tuple(rows)


def _iterations(paths: RunPaths, last: int) -> tuple[IterationRow, ...]:
    rows = []
    for iteration in range(last + 1):
        result = load_assessment(paths.assess(iteration))
        if result is not None:
            rows.append(
                IterationRow(
                    iteration,
                    result.met,
                    result.force_rmse_ev_ang,
                    result.insertion_rmse_ev,
                    result.insertion_mean_ev,
                    result.accurate_fraction,
                )
            )
    return tuple(rows)


def _labels_computed(paths: RunPaths) -> int:
    records = (read_record(path.parent) for path in paths.root.glob(f"*/02.fp/*/{RECORD_NAME}"))
    return sum(record is not None and record.state == "ok" for record in records)


def _waits_for(state: CampaignState, held: bool, seen: Seen | None) -> str:
    if state.status == "done":
        return "nothing"
    if state.status == "needs-person":
        return "a person to decide (see the message), then alh2 run again"
    if not held:
        return "a driver: repeat alh2 run"
    if seen is None:
        return f"{state.stage}, which has no tasks at the moment"
    if seen.trouble:
        return seen.trouble
    left = seen.n_total - seen.n_done - seen.n_failed
    return f"{left} tasks of {seen.name}" if left else f"the end of {state.stage}"


def _failures(paths: RunPaths, where: Path, refused: list[str]) -> tuple[Failure, ...]:
    """Reasons of failed tasks in the stage at hand, then of labels in quarantine; the most frequent first."""
    examples: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for path in sorted(where.glob(f"**/{RECORD_NAME}")):
        record = read_record(path.parent)
        if record is not None and record.state != "ok":
            reason = f"{record.state}: {last_lines(path.parent, n_lines=1) or f'exit code {record.exit_code}'}"
            counts[reason] += 1
            examples.setdefault(reason, str(path.parent.relative_to(paths.root)))
    found = [Failure(reason, n, examples[reason]) for reason, n in counts.most_common(MOST_REASONS)]
    labels = Counter(refused).most_common(MOST_REASONS)
    return tuple(found) + tuple(Failure(f"no label: {reason}", n, paths.quarantine.name) for reason, n in labels)


def _size(root: Path) -> int:
    """Bytes of all files below `root`, links not followed; files that vanish meanwhile do not count."""
    total = 0
    for folder, _, files in os.walk(root):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total

"""Labels for frames: known ones are looked up, the others become tasks, refused ones go to quarantine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from alh2.config.model import StageMachine
from alh2.core.frames import Frame, Label, LabelledFrame
from alh2.dataset.store import DatasetStore, Split
from alh2.dispatch.run import Progress, run_tasks
from alh2.dispatch.tasks import Task, TaskOutcome
from alh2.label.protocol import Labeler, LabelFailure
from alh2.label.quarantine import QuarantineEntry, append_quarantine, now_utc, release_quarantine

RETRIES = 1
"""Times a label task that crashed or ran out of time is run again; a geometry the labeler refuses is not."""


@dataclass(frozen=True, eq=False)
class LabelRequest:
    """A frame to label in the task folder `name` ("task.003.000012", "host.1f0c…", …)."""

    name: str
    frame: Frame


@dataclass(frozen=True)
class LabelBench:
    """What labelling needs: who labels, where, and how long a task may take."""

    labeler: Labeler
    machine: StageMachine
    timeout_s: float
    quarantine: Path


@dataclass(frozen=True, eq=False)
class LabelAnswers:
    """What became of label requests.

    labels : by frame digest, known ones included; n_computed : of these, from tasks of this call
    reasons : why each frame without a label has none
    """

    labels: dict[str, Label]
    n_computed: int
    reasons: tuple[str, ...]

    @property
    def common_reason(self) -> str:
        """The reason given most often, "" where nothing failed."""
        return Counter(self.reasons).most_common(1)[0][0] if self.reasons else ""


def host_requests(hosts: Sequence[Frame], known: set[str]) -> list[LabelRequest]:
    """Requests for those of `hosts` that are not `known`; named by content, so that a repeat finds its tasks."""
    distinct = {host.digest: host for host in hosts}
    return [LabelRequest(f"host.{digest[:12]}", host) for digest, host in distinct.items() if digest not in known]


def known_labels(store: DatasetStore) -> dict[str, Label]:
    """Every label in `store` by frame digest, those of bare hosts beside the frames included."""
    labels: dict[str, Label] = {}
    for labelled in store.load():
        labels[labelled.frame.digest] = labelled.label
        if labelled.host_label is not None:
            labels[labelled.frame.bare_host().digest] = labelled.host_label
    return labels


def label_frames(
    requests: Sequence[LabelRequest],
    bench: LabelBench,
    *,
    directory: Path,
    known: dict[str, Label],
    name: str,
    on_progress: Callable[[Progress], None] | None = None,
) -> LabelAnswers:
    """Labels for all `requests` that could be labelled; equal frames are labelled once.

    known : labels by digest that exist already. Frames without a label are written to the quarantine with the
    reason: for good where the labeler refused the geometry, else (crash, time limit) until a later label.
    """
    labels: dict[str, Label] = {}
    todo: dict[str, LabelRequest] = {}
    for request in requests:
        digest = request.frame.digest
        if digest in known:
            labels[digest] = known[digest]
        else:
            todo.setdefault(digest, request)
    pending = list(todo.values())
    if not pending:
        return LabelAnswers(labels, 0, ())
    outcomes = run_tasks(
        [_prepare(request, bench, directory) for request in pending],
        machine=bench.machine,
        base_dir=directory,
        name=name,
        on_progress=on_progress,
        retries=RETRIES,
    )
    entries = []
    for request, outcome in zip(pending, outcomes, strict=True):
        answer = _answer(request, outcome, bench, directory)
        if isinstance(answer, Label):
            labels[request.frame.digest] = answer
        else:
            task = f"{directory.parent.name}/{directory.name}/{request.name}"
            final = outcome.status == "done"
            entries.append(
                QuarantineEntry(request.frame.digest, task, bench.labeler.name, answer.reason, now_utc(), final)
            )
    append_quarantine(bench.quarantine, entries)
    release_quarantine(bench.quarantine, set(labels))
    computed = sum(digest in labels for digest in todo)
    return LabelAnswers(labels, computed, tuple(entry.reason for entry in entries))


def _answer(request: LabelRequest, outcome: TaskOutcome, bench: LabelBench, directory: Path) -> Label | LabelFailure:
    if outcome.status == "done":
        return bench.labeler.collect(request.frame, directory / request.name)
    return LabelFailure(f"{outcome.status}: {outcome.message}")


def _prepare(request: LabelRequest, bench: LabelBench, directory: Path) -> Task:
    work_dir = directory / request.name
    work_dir.mkdir(parents=True, exist_ok=True)
    bench.labeler.prepare(request.frame, work_dir)
    return Task(
        work_dir=work_dir,
        command=f"{bench.machine.command} -m {bench.labeler.worker_module}",
        inputs=bench.labeler.input_files,
        outputs=bench.labeler.output_files,
        timeout_s=bench.timeout_s,
        label=f"label {request.name}",
    )


def store_frames(store: DatasetStore, frames: Sequence[LabelledFrame], *, split: Split, name: str) -> int:
    """Add those of `frames` that the store does not have, as the step `name`; returns how many were new.

    The store takes each name once per system. Frames of a repeated step that were labelled only later go into a
    step called ``name.2``, and so on.
    """
    number, added = 1, 0
    while True:
        have = store.digests()
        new = list({f.frame.digest: f for f in frames if f.frame.digest not in have}.values())
        if not new:
            return added
        added += store.append(new, split=split, name=name if number == 1 else f"{name}.{number}")
        number += 1

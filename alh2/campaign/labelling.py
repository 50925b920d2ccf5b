"""Labels for frames: known ones are looked up, the others become tasks, refused ones go to quarantine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from alh2.config.model import StageMachine
from alh2.core.frames import Frame, Label
from alh2.dispatch.run import Progress, run_tasks
from alh2.dispatch.tasks import Task
from alh2.label.protocol import Labeler, LabelFailure
from alh2.label.quarantine import QuarantineEntry, append_quarantine, now_utc, read_quarantine


@dataclass(frozen=True, eq=False)
class LabelRequest:
    """A frame to label in the task folder `name` ("task.003.000012", "host.000001", …)."""

    name: str
    frame: Frame


@dataclass(frozen=True)
class LabelBench:
    """What labelling needs: who labels, where, and how long a task may take."""

    labeler: Labeler
    machine: StageMachine
    timeout_s: float
    quarantine: Path


def label_command(labeler: Labeler, machine: StageMachine) -> str:
    """Command of a label task: the machine file's interpreter runs the labeler's worker."""
    return f"{machine.command} -m {labeler.worker_module}"


def label_frames(
    requests: Sequence[LabelRequest],
    bench: LabelBench,
    *,
    directory: Path,
    known: dict[str, Label],
    name: str,
    on_progress: Callable[[Progress], None] | None = None,
) -> dict[str, Label]:
    """Labels by frame digest for all `requests` that could be labelled; equal frames are labelled once.

    known : labels by digest that exist already. A frame refused before is not tried again. Refusals are written to
    the quarantine with their reason.
    """
    refused = {entry.digest for entry in read_quarantine(bench.quarantine)}
    labels: dict[str, Label] = {}
    todo: dict[str, LabelRequest] = {}
    for request in requests:
        digest = request.frame.digest
        if digest in known:
            labels[digest] = known[digest]
        elif digest not in todo and digest not in refused:
            todo[digest] = request
    pending = list(todo.values())
    if not pending:
        return labels
    tasks = [_prepare(request, bench, directory) for request in pending]
    outcomes = run_tasks(tasks, machine=bench.machine, base_dir=directory, name=name, on_progress=on_progress)
    refusals = []
    for request, outcome in zip(pending, outcomes, strict=True):
        answer: Label | LabelFailure
        if outcome.status == "done":
            answer = bench.labeler.collect(request.frame, directory / request.name)
        elif outcome.exit_code is None:
            continue  # its job was lost: nothing is known against the frame
        else:
            answer = LabelFailure(f"{outcome.status}: {outcome.message}")
        if isinstance(answer, Label):
            labels[request.frame.digest] = answer
        else:
            task = f"{directory.parent.name}/{directory.name}/{request.name}"
            refusals.append(QuarantineEntry(request.frame.digest, task, bench.labeler.name, answer.reason, now_utc()))
    if refusals:
        append_quarantine(bench.quarantine, refusals)
    return labels


def _prepare(request: LabelRequest, bench: LabelBench, directory: Path) -> Task:
    work_dir = directory / request.name
    work_dir.mkdir(parents=True, exist_ok=True)
    bench.labeler.prepare(request.frame, work_dir)
    return Task(
        work_dir=work_dir,
        command=label_command(bench.labeler, bench.machine),
        inputs=bench.labeler.input_files,
        outputs=bench.labeler.output_files,
        timeout_s=bench.timeout_s,
        label=f"label {request.name}",
    )

"""Labels for frames: known ones are looked up, the others become tasks, refused ones go to quarantine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from alh2.config.model import StageMachine
from alh2.core.files import link_file
from alh2.core.frames import Frame, Label, LabelledFrame
from alh2.dataset.store import DatasetStore, Split
from alh2.dispatch.run import Progress, run_tasks
from alh2.dispatch.tasks import Task, TaskOutcome, last_lines
from alh2.label.attempts import all_reasons, next_attempt
from alh2.label.protocol import SCRATCH, Labeler, LabelFailure, LabelJob
from alh2.label.quarantine import QuarantineEntry, append_quarantine, now_utc, release_quarantine
from alh2.label.window import outside_window


@dataclass(frozen=True, eq=False)
class LabelRequest:
    """A frame to label in the task folder `name` ("task.003.000012", "host.1f0c…", …)."""

    name: str
    frame: Frame


@dataclass(frozen=True)
class LabelBench:
    """What labelling needs: who labels, where, and how long a task may take.

    energy_window_ev_per_atom : see :func:`alh2.label.window.outside_window`; None: energies are not compared
    """

    labeler: Labeler
    machine: StageMachine
    timeout_s: float
    quarantine: Path
    energy_window_ev_per_atom: float | None = None


@dataclass(frozen=True, eq=False)
class Known:
    """Labels that exist already.

    labels : by frame digest; energies_ev : of each (composition, labeler), for the energy window
    """

    labels: dict[str, Label]
    energies_ev: dict[tuple[str, str], list[float]]


NOTHING_KNOWN = Known({}, {})


@dataclass(frozen=True, eq=False)
class LabelAnswers:
    """What became of label requests.

    labels : by frame digest, known ones included
    reasons : why each frame without a label has none
    """

    labels: dict[str, Label]
    reasons: tuple[str, ...]

    @property
    def common_reason(self) -> str:
        """The reason given most often, "" where nothing failed."""
        return Counter(self.reasons).most_common(1)[0][0] if self.reasons else ""


def host_requests(hosts: Sequence[Frame], known: set[str]) -> list[LabelRequest]:
    """Requests for those of `hosts` that are not `known`; named by content, so that a repeat finds its tasks."""
    distinct = {host.digest: host for host in hosts}
    return [LabelRequest(f"host.{digest[:12]}", host) for digest, host in distinct.items() if digest not in known]


def known_labels(store: DatasetStore) -> Known:
    """Every label in `store`, those of bare hosts beside the frames included."""
    known = Known({}, {})
    for labelled in store.load():
        _add_known(known, labelled.frame, labelled.label)
        if labelled.host_label is not None:
            _add_known(known, labelled.frame.bare_host(), labelled.host_label)
    return known


def _add_known(known: Known, frame: Frame, label: Label) -> None:
    if frame.digest not in known.labels:
        known.labels[frame.digest] = label
        known.energies_ev.setdefault((composition(frame), label.labeler), []).append(label.energy_ev)


def composition(frame: Frame) -> str:
    """Formula of `frame` with its number of host atoms, e.g. "30 Al3C6H19O14": gas is never compared with a host."""
    counts = Counter(frame.symbols)
    return f"{frame.n_host} " + "".join(f"{symbol}{counts[symbol]}" for symbol in sorted(counts))


def label_frames(
    requests: Sequence[LabelRequest],
    bench: LabelBench,
    *,
    directory: Path,
    known: Known,
    name: str,
    on_progress: Callable[[Progress], None] | None = None,
) -> LabelAnswers:
    """Labels for all `requests` that could be labelled; equal frames are labelled once.

    known : labels that exist already. A failed frame is tried with each recipe of the labeler. Frames without a label
    are written to the quarantine with the reason: for good where the labeler refused the geometry, else (crash, time
    limit) until a later label.
    """
    labels: dict[str, Label] = {}
    todo: dict[str, LabelRequest] = {}
    for request in requests:
        digest = request.frame.digest
        if digest in known.labels:
            labels[digest] = known.labels[digest]
        else:
            todo.setdefault(digest, request)
    believed = {key: list(values) for key, values in known.energies_ev.items()}
    pending, entries, machine = list(todo.values()), [], bench.machine
    while pending:
        outcomes = run_tasks(
            _prepared(pending, bench, directory),
            machine=machine,
            base_dir=directory,
            name=name,
            on_progress=on_progress,
        )
        answers = {r.frame.digest: _answer(r, o, bench, directory) for r, o in zip(pending, outcomes, strict=True)}
        _compare_energies(pending, answers, bench, believed)
        again = []
        for request, outcome in zip(pending, outcomes, strict=True):
            answer = answers[request.frame.digest]
            if isinstance(answer, Label):
                labels[request.frame.digest] = answer
                believed.setdefault((composition(request.frame), answer.labeler), []).append(answer.energy_ev)
            elif next_attempt(directory / request.name, answer.reason, bench.labeler.n_attempts):
                again.append(request)
            else:
                entries.append(_entry(request, answer, bench, directory, final=outcome.status == "done"))
        pending, machine = again, replace(machine, policy=replace(machine.policy, retry_count=0))
    for path in directory.glob(f"{SCRATCH}*"):
        path.unlink(missing_ok=True)
    if todo:
        append_quarantine(bench.quarantine, entries)
        release_quarantine(bench.quarantine, set(labels))
    return LabelAnswers(labels, tuple(entry.reason for entry in entries))


def _entry(
    request: LabelRequest, answer: LabelFailure, bench: LabelBench, directory: Path, *, final: bool
) -> QuarantineEntry:
    task = f"{directory.parent.name}/{directory.name}/{request.name}"
    reason = all_reasons(directory / request.name, answer.reason)
    return QuarantineEntry(request.frame.digest, task, bench.labeler.name, reason, now_utc(), final)


def _answer(request: LabelRequest, outcome: TaskOutcome, bench: LabelBench, directory: Path) -> Label | LabelFailure:
    answer = bench.labeler.collect(request.frame, directory / request.name)
    if outcome.status != "done" and isinstance(answer, LabelFailure):
        said = outcome.message if outcome.status != "failed" or last_lines(directory / request.name) else answer.reason
        return LabelFailure(f"{outcome.status}: {said}")
    return answer


def _compare_energies(
    requests: Sequence[LabelRequest],
    answers: dict[str, Label | LabelFailure],
    bench: LabelBench,
    believed: dict[tuple[str, str], list[float]],
) -> None:
    """Turn labels whose energy is far from all others of their composition into failures."""
    if bench.energy_window_ev_per_atom is None:
        return
    groups: dict[str, dict[str, float]] = {}
    n_atoms: dict[str, int] = {}
    for request in requests:
        answer = answers[request.frame.digest]
        if isinstance(answer, Label):
            formula = composition(request.frame)
            groups.setdefault(formula, {})[request.frame.digest] = answer.energy_ev
            n_atoms[formula] = request.frame.n_atoms
    for formula, energies in groups.items():
        before = believed.get((formula, bench.labeler.name), [])
        found = outside_window(energies, before, n_atoms=n_atoms[formula], ev_per_atom=bench.energy_window_ev_per_atom)
        answers.update({digest: LabelFailure(reason) for digest, reason in found.items()})


def _prepared(requests: Sequence[LabelRequest], bench: LabelBench, directory: Path) -> list[Task]:
    """Input files of all `requests`, written, and their tasks."""
    jobs = [LabelJob(request.frame, directory / request.name) for request in requests]
    for job in jobs:
        job.folder.mkdir(parents=True, exist_ok=True)
    bench.labeler.prepare(jobs)
    extra = [Path(name) for name in bench.machine.user_forward_files]
    for job in jobs:
        for path in extra:
            link_file(path, job.folder / path.name)
    return [
        Task(
            work_dir=directory / request.name,
            command=bench.labeler.command(bench.machine.command),
            inputs=(*bench.labeler.input_files, *(path.name for path in extra)),
            outputs=bench.labeler.output_files,
            timeout_s=bench.timeout_s,
            label=f"label {request.name}",
        )
        for request in requests
    ]


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

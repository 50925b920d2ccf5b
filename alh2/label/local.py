"""Labels frames here and now, one subprocess per frame, a few at a time: for the command line and scripts."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from alh2.core.frames import Frame, Label
from alh2.label.attempts import all_reasons, next_attempt
from alh2.label.protocol import Labeler, LabelFailure, LabelJob

STDOUT, STDERR = "task.out", "task.err"


@dataclass(frozen=True)
class LocalRun:
    """How labels are computed here.

    workdir : task folders ``task.NNNNNN`` are made in it; jobs : frames at a time; timeout_s : longest time of one
    program : started by the labeler's command, "" for its own
    """

    workdir: Path
    jobs: int = 2
    timeout_s: float = 3600.0
    program: str = ""


def label_frames(
    labeler: Labeler,
    frames: Sequence[Frame],
    run: LocalRun,
    *,
    on_done: Callable[[int, Label | LabelFailure], None] | None = None,
) -> list[Label | LabelFailure]:
    """Label of each of `frames`, or why there is none, in their order.

    A frame whose task already has a label is not computed again; a labeler's recipes are tried one after the other.
    `on_done(index, answer)` is called as each frame ends, from a worker thread.
    """
    jobs = [LabelJob(frame, run.workdir / f"task.{i:06d}") for i, frame in enumerate(frames)]
    known = [labeler.collect(job.frame, job.folder) for job in jobs]
    todo = [job for job, answer in zip(jobs, known, strict=True) if isinstance(answer, LabelFailure)]
    for job in todo:
        job.folder.mkdir(parents=True, exist_ok=True)
    if todo:
        labeler.prepare(todo)

    def one(index: int) -> Label | LabelFailure:
        answer = known[index]
        if isinstance(answer, LabelFailure):
            answer = _all_attempts(labeler, jobs[index], run)
        if on_done is not None:
            on_done(index, answer)
        return answer

    with ThreadPoolExecutor(max_workers=max(1, run.jobs)) as pool:
        return list(pool.map(one, range(len(frames))))


def _all_attempts(labeler: Labeler, job: LabelJob, run: LocalRun) -> Label | LabelFailure:
    """Run a prepared task, and again with the next recipe while it fails and there is one."""
    while True:
        answer = _compute(labeler, job, run)
        if isinstance(answer, Label):
            return answer
        if not next_attempt(job.folder, answer.reason, labeler.n_attempts):
            return LabelFailure(all_reasons(job.folder, answer.reason))
        labeler.prepare([job])


def _compute(labeler: Labeler, job: LabelJob, run: LocalRun) -> Label | LabelFailure:
    """Run one task as a subprocess; a crash or a timeout is a LabelFailure."""
    for name in labeler.output_files:
        (job.folder / name).unlink(missing_ok=True)
    command = labeler.command(run.program or labeler.program)
    with open(job.folder / STDOUT, "wb") as out, open(job.folder / STDERR, "wb") as err:
        process = subprocess.Popen(
            ["sh", "-c", command],
            cwd=job.folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        try:
            code = process.wait(run.timeout_s)
        except subprocess.TimeoutExpired:
            return LabelFailure(f"no answer after {run.timeout_s:g} s")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    answer = labeler.collect(job.frame, job.folder)
    if isinstance(answer, LabelFailure) and code != 0:
        said = (job.folder / STDERR).read_text(errors="replace").strip().splitlines()
        return LabelFailure(f"the program ended with code {code}: {said[-1] if said else answer.reason}")
    return answer

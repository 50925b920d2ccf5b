"""Labels frames here and now, one subprocess per frame, a few at a time: for the command line and scripts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from alh2.core.frames import Frame, Label
from alh2.label.protocol import Labeler, LabelFailure


def label_frames(
    labeler: Labeler,
    frames: Sequence[Frame],
    *,
    workdir: Path,
    jobs: int = 2,
    timeout_s: float = 3600.0,
    on_done: Callable[[int, Label | LabelFailure], None] | None = None,
) -> list[Label | LabelFailure]:
    """Label of each of `frames`, or why there is none, in their order.

    Task folders ``workdir/task.NNNNNN`` are made here; a frame whose task already has a label is not computed again.
    `on_done(index, answer)` is called as each frame ends, from a worker thread.
    """

    def one(index: int) -> Label | LabelFailure:
        task_dir = workdir / f"task.{index:06d}"
        answer = labeler.collect(frames[index], task_dir)
        if isinstance(answer, LabelFailure):
            answer = _compute(labeler, frames[index], task_dir, timeout_s)
        if on_done is not None:
            on_done(index, answer)
        return answer

    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        return list(pool.map(one, range(len(frames))))


def _compute(labeler: Labeler, frame: Frame, task_dir: Path, timeout_s: float) -> Label | LabelFailure:
    """Run one task as a subprocess; a crash or a timeout is a LabelFailure."""
    task_dir.mkdir(parents=True, exist_ok=True)
    for name in labeler.output_files:
        (task_dir / name).unlink(missing_ok=True)
    labeler.prepare(frame, task_dir)
    try:
        done = subprocess.run(
            [sys.executable, "-m", labeler.worker_module],
            cwd=task_dir,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return LabelFailure(f"no answer after {timeout_s:g} s")
    answer = labeler.collect(frame, task_dir)
    if isinstance(answer, LabelFailure) and done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return LabelFailure(f"worker ended with code {done.returncode}: {last}")
    return answer

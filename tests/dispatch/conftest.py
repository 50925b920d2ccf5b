"""Small real tasks on the local machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from alh2.config.model import StageMachine
from alh2.dispatch import Task

MakeTask = Callable[..., Task]


@pytest.fixture
def local_machine() -> StageMachine:
    """Two tasks at a time in their own folders."""
    return StageMachine(
        machine={"batch_type": "Shell", "context_type": "LazyLocalContext"},
        resources={"group_size": 0},
        command="",
        parallel=2,
    )


@pytest.fixture
def make_task(tmp_path: Path) -> MakeTask:
    """``make_task(i, command)``: a task in ``tmp_path/task.<i>`` with the input ``in`` and the output ``out``."""

    def make(
        index: int,
        command: str,
        *,
        content: str | None = None,
        outputs: tuple[str, ...] = ("out",),
        timeout_s: float = 20,
    ) -> Task:
        folder = tmp_path / f"task.{index:06d}"
        folder.mkdir(exist_ok=True)
        (folder / "in").write_text(content if content is not None else f"input {index}\n")
        return Task(Path(folder.name), command, ("in",), outputs, timeout_s, f"task {index}")

    return make

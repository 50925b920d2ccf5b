"""From tasks to jobs: which folders each job runs, the scripts on disk, and the list that makes a rerun attach."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_json, digest_bytes, read_json
from alh2.dispatch.engine import JobSpec, Placement
from alh2.dispatch.script import (
    SCRIPT_NAME,
    group_script,
    script_context,
    task_script,
    write_if_changed,
    write_list,
)
from alh2.dispatch.tasks import RECORD_NAME, STDERR_NAME, STDOUT_NAME, Task

SUBMITTED_NAME = "submitted.json"


@dataclass(frozen=True)
class Entry:
    """A task with its content digest."""

    task: Task
    digest: str


@dataclass(frozen=True)
class Layout:
    """Folders of one run.

    base_dir : absolute folder that relative paths refer to; name : of the run, unique in `base_dir`
    """

    base_dir: Path
    name: str

    @property
    def control(self) -> Path:
        """Folder of job scripts and dpdispatcher's state, removed when the run is over."""
        return self.base_dir / ".dispatch" / self.name

    @property
    def lock(self) -> str:
        """Lock of the local runner, relative to the base folder."""
        return f".dispatch/{self.name}.lock"

    def key(self, task: Task) -> str:
        """Folder of `task` relative to the base folder, absolute where it lies elsewhere."""
        folder = os.path.abspath(task.folder(self.base_dir))
        relative = os.path.relpath(folder, self.base_dir)
        return folder if relative.startswith("..") else relative


def remember(layout: Layout, entries: Sequence[Entry], attempt: int) -> None:
    """Write down what is about to be submitted, so that a rerun submits exactly the same (same hash) and attaches."""
    value = {"attempt": attempt, "tasks": [[layout.key(e.task), e.digest] for e in entries]}
    atomic_write_json(layout.control / SUBMITTED_NAME, value)


def recall(layout: Layout, entries: Sequence[Entry]) -> tuple[int, list[Entry]] | None:
    """Attempt and tasks of the last submission; None where there is none or a task or an input has changed since."""
    path = layout.control / SUBMITTED_NAME
    if not path.is_file():
        return None
    now = {(layout.key(e.task), e.digest): e for e in entries}
    try:
        value = read_json(path)
        return int(value["attempt"]), [now[(key, digest)] for key, digest in value["tasks"]]
    except (BadInputError, KeyError, TypeError, ValueError):
        return None


@dataclass(frozen=True)
class Plan:
    """Jobs of one submission.

    placement : with resources for one job per entry of `jobs`; members : tasks of each job
    """

    placement: Placement
    jobs: tuple[JobSpec, ...]
    members: tuple[tuple[Entry, ...], ...]
    work_base: Path


def make_plan(entries: Sequence[Entry], *, layout: Layout, placement: Placement, parallel: int, attempt: int) -> Plan:
    """Write ``task.sh`` of every task and the scripts that run groups of them; submits nothing.

    Locally one job runs all, `parallel` at a time, the next starting whenever one ends (dpdispatcher's own
    ``para_deg`` waits for a whole batch). Elsewhere ``group_size`` tasks go into one job, ``para_deg`` at a time.
    """
    envs = placement.resources.get("envs") or {}
    context = script_context(local=placement.local, set_by_machine=envs)
    for entry in entries:
        script = task_script(entry.task, entry.digest, attempt=attempt, context=context)
        write_if_changed(entry.task.folder(layout.base_dir) / SCRIPT_NAME, script)
    resources, size, at_once = _grouping(placement, len(entries), parallel)
    n_groups = math.ceil(len(entries) / size)
    members = tuple(tuple(entries[index::n_groups]) for index in range(n_groups))
    lock = layout.lock if placement.local and placement.in_place else None
    jobs = []
    for index, group in enumerate(members):
        list_path = f".dispatch/{layout.name}/group.{index:04d}.list"
        text = group_script(list_path, parallel=at_once, lock_path=lock)
        write_if_changed(layout.base_dir / Path(list_path).with_suffix(".sh"), text)
        write_list(layout.base_dir / list_path, [layout.key(e.task) for e in group])
        identity = [text, str(attempt), *(f"{layout.key(e.task)} {e.digest}" for e in group)]
        digest = digest_bytes(*(part.encode() for part in identity))
        jobs.append(_job_spec(group, list_path, digest, layout=layout, placement=placement))
    work_base = layout.control if placement.in_place else layout.base_dir
    return Plan(replace(placement, resources=resources), tuple(jobs), members, work_base)


def _grouping(placement: Placement, n_tasks: int, parallel: int) -> tuple[dict[str, object], int, int]:
    """Resources for dpdispatcher, tasks per job script, and how many of these run at a time."""
    resources = dict(placement.resources)
    if placement.local:
        resources.update(group_size=1, para_deg=1)
        return resources, n_tasks, max(1, parallel)
    if (resources.get("strategy") or {}).get("if_cuda_multi_devices"):
        return resources, 1, 1  # dpdispatcher deals the GPUs to its own tasks
    size = int(resources.get("group_size", 1)) or n_tasks
    at_once = int(resources.get("para_deg", 1))
    resources.update(group_size=1, para_deg=1)
    return resources, size, max(1, at_once)


def _job_spec(group: Sequence[Entry], list_path: str, digest: str, *, layout: Layout, placement: Placement) -> JobSpec:
    script = Path(list_path).with_suffix(".sh")
    if placement.in_place:
        own_session = "setsid -w " if placement.local else ""
        return JobSpec(f"{own_session}sh {script.name} {digest} {shlex.quote(str(layout.base_dir))}")
    forward, backward = {script.as_posix(): None, list_path: None}, []
    for entry in group:
        key = layout.key(entry.task)
        if Path(key).is_absolute():
            raise BadInputError(
                f"task {entry.task.label!r}", expected=f"a folder below {layout.base_dir}", found=str(key)
            )
        forward[f"{key}/{SCRIPT_NAME}"] = None
        for path in entry.task.input_paths(layout.base_dir).values():
            forward[_below(path, layout.base_dir, entry.task)] = None
        written = (RECORD_NAME, STDOUT_NAME, STDERR_NAME, *entry.task.outputs)
        backward += [f"{key}/{name}" for name in written]
    return JobSpec(f"sh {script.as_posix()} {digest} .", tuple(forward), tuple(backward))


def _below(path: Path, base_dir: Path, task: Task) -> str:
    relative = os.path.relpath(os.path.abspath(path), base_dir)
    if relative.startswith(".."):
        raise BadInputError(
            f"task {task.label!r}",
            expected=f"inputs below {base_dir}, for files travel to this machine",
            found=str(path),
        )
    return Path(relative).as_posix()

"""From tasks to jobs: which folders each job runs, the scripts on disk, and the list that makes a rerun attach."""

from __future__ import annotations

import json
import math
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_json, digest_bytes, read_json
from alh2.dispatch.placement import JobSpec, Placement
from alh2.dispatch.script import (
    SCRIPT_NAME,
    group_script,
    script_context,
    task_script,
    write_if_changed,
    write_list,
)
from alh2.dispatch.tasks import RECORD_NAME, STDERR_NAME, STDOUT_NAME, Entry, Task

SUBMITTED_NAME = "submitted.json"


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


@dataclass(frozen=True)
class Submitted:
    """What was about to be submitted last, as written down before (``submitted.json``).

    groups : tasks of each job; names : of the jobs in the queue; None where a task or an input has changed since
    resources, machine : what the jobs were submitted with, the machine without its secrets
    """

    attempt: int
    groups: tuple[tuple[Entry, ...], ...] | None
    names: tuple[str, ...]
    resources: dict[str, object]
    machine: str


def remember(layout: Layout, plan: Plan, attempt: int) -> None:
    """Write down what is about to be submitted: a rerun then submits exactly the same and finds the jobs by name."""
    value = {
        "attempt": attempt,
        "groups": [[[layout.key(e.task), e.digest] for e in group] for group in plan.members],
        "names": [job.name for job in plan.jobs],
        "resources": plan.asked,
        "machine": machine_digest(plan.placement),
    }
    atomic_write_json(layout.control / SUBMITTED_NAME, value)


def recall(layout: Layout, entries: Sequence[Entry]) -> Submitted | None:
    """The last submission; None where there is none or what was written cannot be read."""
    path = layout.control / SUBMITTED_NAME
    if not path.is_file():
        return None
    now = {(layout.key(e.task), e.digest): e for e in entries}
    try:
        value = read_json(path)
        names = tuple(str(name) for name in value["names"])
        known = all((key, digest) in now for group in value["groups"] for key, digest in group)
        groups = tuple(tuple(now[key, digest] for key, digest in group) for group in value["groups"]) if known else None
        return Submitted(int(value["attempt"]), groups, names, dict(value["resources"]), str(value["machine"]))
    except (BadInputError, KeyError, TypeError, ValueError):
        return None


def machine_digest(placement: Placement) -> str:
    """Digest of where jobs go (no secrets); equal digests: jobs submitted then can be found now."""
    machine = placement.machine
    profile = machine.get("remote_profile") or {}
    place = [machine.get(key) for key in ("batch_type", "context_type", "local_root", "remote_root")]
    place += [profile.get(key) for key in ("hostname", "username", "port")]
    return digest_bytes(json.dumps(place, default=str).encode())


@dataclass(frozen=True)
class Plan:
    """Jobs of one submission.

    placement : with resources for one job per entry of `jobs`; members : tasks of each job
    asked : the resources as asked for, before the grouping
    """

    placement: Placement
    jobs: tuple[JobSpec, ...]
    members: tuple[tuple[Entry, ...], ...]
    work_base: Path
    asked: dict[str, object]


@dataclass(frozen=True)
class Wanted:
    """What a plan is made of.

    parallel : tasks at a time on this machine; groups : tasks of each job as submitted before, None: to be grouped
    """

    layout: Layout
    placement: Placement
    parallel: int
    attempt: int
    groups: tuple[tuple[Entry, ...], ...] | None = None


def make_plan(entries: Sequence[Entry], wanted: Wanted) -> Plan:
    """Write ``task.sh`` of every task and the scripts that run groups of them; submits nothing.

    Locally one job runs all, `parallel` at a time, the next starting whenever one ends (dpdispatcher's own
    ``para_deg`` waits for a whole batch). Elsewhere ``group_size`` tasks go into one job, ``para_deg`` at a time.
    """
    layout, placement, attempt = wanted.layout, wanted.placement, wanted.attempt
    envs = placement.resources.get("envs") or {}
    context = script_context(local=placement.local, set_by_machine=envs)
    for entry in [e for group in wanted.groups or (tuple(entries),) for e in group]:
        script = task_script(entry.task, entry.digest, attempt=attempt, context=context)
        write_if_changed(entry.task.folder(layout.base_dir) / SCRIPT_NAME, script)
    resources, at_once = _resources(placement, wanted.parallel)
    members = wanted.groups or group_entries(entries, placement)
    lock = layout.lock if placement.local and placement.in_place else None
    jobs = []
    for group in members:
        identity = [str(attempt), *(f"{layout.key(e.task)} {e.digest}" for e in group)]
        digest = digest_bytes(*(part.encode() for part in identity))
        list_path = f".dispatch/{layout.name}/group.{digest[:12]}.list"
        text = group_script(list_path, parallel=at_once, lock_path=lock)
        write_if_changed(layout.base_dir / Path(list_path).with_suffix(".sh"), text)
        write_list(layout.base_dir / list_path, [layout.key(e.task) for e in group])
        spec = _job_spec(group, list_path, digest, layout=layout, placement=placement)
        jobs.append(replace(spec, name=job_name(layout, digest)))
    work_base = layout.control if placement.in_place else layout.base_dir
    placed = replace(placement, resources=resources)
    return Plan(placed, tuple(jobs), members, work_base, dict(placement.resources))


def job_name(layout: Layout, digest: str) -> str:
    """Name of a job in the queue: the same for the same tasks of the same run folder, and for no others."""
    own = digest_bytes(str(layout.base_dir).encode(), layout.name.encode(), digest.encode())
    return f"alh2-{layout.name[:24]}-{own[:16]}"


def group_entries(entries: Sequence[Entry], placement: Placement) -> tuple[tuple[Entry, ...], ...]:
    """Tasks of each job, dealt like cards: neighbours, which often take equally long, go to different jobs."""
    size = len(entries)
    if _deals_gpus(placement):
        size = 1
    elif not placement.local:
        size = int(placement.resources.get("group_size", 1)) or len(entries)
    n_groups = math.ceil(len(entries) / size)
    return tuple(tuple(entries[index::n_groups]) for index in range(n_groups))


def _deals_gpus(placement: Placement) -> bool:
    """Whether dpdispatcher deals the GPUs of a node to its own tasks: then each task is one of them."""
    return not placement.local and bool((placement.resources.get("strategy") or {}).get("if_cuda_multi_devices"))


def _resources(placement: Placement, parallel: int) -> tuple[dict[str, object], int]:
    """Resources for dpdispatcher, and how many tasks of a job run at a time."""
    resources = dict(placement.resources)
    if _deals_gpus(placement):
        return resources, 1
    at_once = parallel if placement.local else int(resources.get("para_deg", 1))
    resources.update(group_size=1, para_deg=1)
    return resources, max(1, at_once)


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

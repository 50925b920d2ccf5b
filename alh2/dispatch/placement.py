"""Where jobs run: dpdispatcher's dictionaries, completed for one base folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alh2.config.model import StageMachine
from alh2.core.errors import BadInputError

_LAZY_CONTEXTS = ("lazylocalcontext", "lazylocal")
LOCAL_CONTEXTS = (*_LAZY_CONTEXTS, "localcontext", "local")
"""dpdispatcher's contexts on this file system, in lower case."""
_SLURM = "slurm"


@dataclass(frozen=True)
class Placement:
    """Where and how jobs run.

    in_place : tasks run in their own folders (shared or local disk); otherwise files travel
    local : jobs are processes of this machine; slurm : jobs of a Slurm that alh2 watches by itself
    """

    machine: dict[str, Any]
    resources: dict[str, Any]
    in_place: bool
    local: bool
    slurm: bool = False


@dataclass(frozen=True)
class JobSpec:
    """One job: a command run in the work base, and the files that travel where the jobs are not in place.

    name : unique, carried by the job through the queue
    """

    command: str
    forward: tuple[str, ...] = ()
    backward: tuple[str, ...] = ()
    name: str = ""


def place(stage: StageMachine, base_dir: Path) -> Placement:
    """Complete dpdispatcher's dictionaries for `base_dir`; raises BadInputError where a root is needed and absent."""
    machine, resources = dict(stage.machine), dict(stage.resources)
    context = str(machine.get("context_type", "")).lower()
    batch = str(machine.get("batch_type", "")).lower()
    in_place = context in _LAZY_CONTEXTS
    local = batch == "shell" and context in LOCAL_CONTEXTS
    machine["local_root"] = str(base_dir)
    if context in LOCAL_CONTEXTS:
        machine["remote_root"] = str(base_dir / (machine.get("remote_root") or ".dispatch/remote"))
    elif not machine.get("remote_root"):
        raise BadInputError(
            f"machine with context_type {machine.get('context_type')!r}",
            expected="remote_root, the folder for jobs on the other side",
            found="none",
            action="add it to the machine file",
        )
    return Placement(machine, resources, in_place, local, batch == _SLURM)

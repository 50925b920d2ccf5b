"""What happens to tasks that fail, and who is told: the dataclasses of ``alh2.failures`` and ``alh2.notify``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TaskPolicy:
    """What happens to tasks of one kind that fail, and to their jobs (``alh2.failures``).

    retry_count : times a failed task is run again; retry_wait_s : before the first, doubled each time
    job_retry_count : times a job that ended without a result is submitted again, and starts of a task whose job
        died under it that are forgiven; jobs lost to node failures and preemption are not counted
    job_wait_s : wait before the first of these, four times as long each time (one hour at most)
    memory_factor : memory asked for after an out-of-memory end, as a multiple of that before
    outage_s : how long a scheduler that does not answer is waited for
    timeout_s : wall time of one task; None where the kind has a limit of its own
    ratio_failed : part of a stage's tasks that may fail; too_many : what then, "stop" for a person or "go on"
    """

    retry_count: int = 0
    retry_wait_s: float = 0.0
    job_retry_count: int = 3
    job_wait_s: float = 10.0
    memory_factor: float = 2.0
    outage_s: float = 7200.0
    timeout_s: float | None = None
    ratio_failed: float = 1.0
    too_many: Literal["stop", "go on"] = "stop"


@dataclass(frozen=True)
class FailureConfig:
    """``alh2.failures``: the policy of each kind of task, named as in the machine file."""

    train: TaskPolicy = TaskPolicy()
    model_devi: TaskPolicy = TaskPolicy()
    gcmc: TaskPolicy = TaskPolicy()
    fp: TaskPolicy = TaskPolicy(retry_count=1)


@dataclass(frozen=True)
class NotifyConfig:
    """``alh2.notify``: a shell command run when the campaign is done, stuck or needs a person; "" for none."""

    command: str = ""
    stuck_after_s: float = 24 * 3600.0

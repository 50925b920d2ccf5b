"""How a job of a scheduler can end without a result, told apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Ending = Literal["out-of-memory", "node-failure", "preempted", "cancelled", "time-limit", "job-failed", "lost"]

WORDS: dict[Ending, str] = {
    "out-of-memory": "its job was killed for its use of memory",
    "node-failure": "the node of its job failed",
    "preempted": "its job had to make way for another one",
    "cancelled": "its job was cancelled",
    "time-limit": "its job reached the time limit of the queue",
    "job-failed": "its job failed",
    "lost": "its job ended without a trace",
}

BLAMELESS: tuple[Ending, ...] = ("node-failure", "preempted")
"""Endings that say nothing about the tasks: they are not counted against them."""


def is_ending(word: str) -> bool:
    """Whether `word` names an ending."""
    return word in get_args(Ending)


@dataclass(frozen=True)
class Seen:
    """What a look at the scheduler says about a job.

    state : "absent" (never submitted, as far as can be known), "waiting", "running", "finished", or "ended" without
        its finish tag
    job_id : of the scheduler; ending, detail : for "ended", the kind and the scheduler's own words
    memory_mb : memory the job asked for, MB; None where not known
    """

    state: Literal["absent", "waiting", "running", "finished", "ended"]
    job_id: str = ""
    ending: Ending = "lost"
    detail: str = ""
    memory_mb: int | None = None


@dataclass(frozen=True)
class Decision:
    """Whether a job is submitted again, after which wait, with which memory (MB, None: as before); else why not."""

    again: bool
    wait_s: float = 0.0
    memory_mb: int | None = None
    reason: str = ""


class TransientError(Exception):
    """The scheduler or the way to it does not work at the moment; asking again later is all there is to do."""


class QueueFullError(TransientError):
    """The scheduler takes no more jobs of this user for now."""


class RefusedError(Exception):
    """The scheduler refuses a job for good; asking again would not help."""

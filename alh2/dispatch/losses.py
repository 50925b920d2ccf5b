"""What to do when a job ends without a result: again after a wait, without the tasks that bring it down, or not at all.

A task that was running when its job died is a suspect. One whose jobs died more often than the policy forgives gets a
record of its own and is left out from then on, so that the others of its group go on.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from alh2.config.policy import TaskPolicy
from alh2.dispatch.endings import BLAMELESS, WORDS, Decision, Seen
from alh2.dispatch.tasks import RECORD_NAME, Entry, TaskRecord, read_start

MAX_WAIT_S = 3600.0
KILLED_CODE = 137


@dataclass
class Losses:
    """Memory of the losses of one submission.

    base_dir : folder that task folders are relative to; attempt : of the tasks
    waiting : the tasks of a group that have no result yet; visible : whether task folders can be read here
    by_job : whether tasks note the scheduler's id of the job that they start in
    """

    policy: TaskPolicy
    base_dir: Path
    attempt: int
    waiting: Callable[[Sequence[Entry]], list[Entry]]
    visible: bool
    by_job: bool
    _losses: Counter[int] = field(default_factory=Counter)
    _blameless: Counter[int] = field(default_factory=Counter)
    _strikes: Counter[str] = field(default_factory=Counter)
    _open_before: dict[int, int] = field(default_factory=dict)

    def decide(self, index: int, group: Sequence[Entry], seen: Seen) -> Decision:
        """What to do with the job `index`, whose tasks are `group` and whose end was `seen`."""
        left = self.waiting(group) if self.visible else list(group)
        if not left:
            return Decision(False, reason="")
        if len(left) < self._open_before.get(index, len(group)):
            self._losses[index] = 0
        self._open_before[index] = len(left)
        if seen.ending in BLAMELESS:
            self._blameless[index] += 1
            return Decision(True, self._wait_s(self._blameless[index]))
        self._losses[index] += 1
        condemned = self._condemned(left, seen)
        if len(condemned) == len(left):
            return Decision(False, reason="")
        if condemned:
            self._losses[index] = 0
            return Decision(True, self.policy.job_wait_s)
        if self._losses[index] > self.policy.job_retry_count:
            times = self._losses[index]
            return Decision(
                False, reason=f"{WORDS[seen.ending]}, {times} times (last job {seen.job_id}; {seen.detail})"
            )
        return Decision(True, self._wait_s(self._losses[index]), self._memory_mb(seen))

    def _wait_s(self, times: int) -> float:
        return min(self.policy.job_wait_s * 4.0 ** min(times - 1, 20), MAX_WAIT_S)

    def _memory_mb(self, seen: Seen) -> int | None:
        if seen.ending != "out-of-memory" or seen.memory_mb is None or self.policy.memory_factor <= 1.0:
            return None
        return round(seen.memory_mb * self.policy.memory_factor)

    def _condemned(self, left: Sequence[Entry], seen: Seen) -> list[Entry]:
        """Tasks that were running in the job that ended, once too often: they get a record and are left out."""
        if not self.visible:
            return []
        condemned = []
        for entry in left:
            folder = entry.task.folder(self.base_dir)
            start = read_start(folder)
            if start is None or start.digest != entry.digest or (self.by_job and start.job_id != seen.job_id):
                continue
            self._strikes[entry.digest] += 1
            if self._strikes[entry.digest] > self.policy.job_retry_count:
                condemned.append(entry)
                _write_record(folder, TaskRecord(entry.digest, KILLED_CODE, 0, self.attempt, seen.ending))
        return condemned


def _write_record(folder: Path, record: TaskRecord) -> None:
    """Write ``task.done`` in one step; without effect where the folder is gone."""
    temporary = folder / f"{RECORD_NAME}.driver"
    try:
        temporary.write_text(record.line())
        os.replace(temporary, folder / RECORD_NAME)
    except FileNotFoundError:
        pass

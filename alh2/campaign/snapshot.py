"""What the driver sees of the running stage, left in a small file for those who look in from outside."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from alh2.core.errors import BadInputError
from alh2.core.files import read_json_as
from alh2.dispatch.run import Progress

TAKEN_EVERY_S = 2.0


@dataclass(frozen=True)
class Seen:
    """Content of ``progress.json``: a :class:`Progress` with the time (s since the epoch) at which it was true."""

    time: float
    name: str
    n_total: int
    n_done: int
    n_failed: int
    n_reused: int
    elapsed_s: float
    jobs_waiting: int = 0
    jobs_running: int = 0
    trouble: str = ""

    @property
    def eta_s(self) -> float | None:
        """Time to the end of these tasks at the rate seen so far, s; None where nothing can be said."""
        ended = self.n_done + self.n_failed
        fresh, left = ended - self.n_reused, self.n_total - ended
        return self.elapsed_s / fresh * left if fresh > 0 and left >= 0 else None


class Snapshot:
    """Writes the file, every two seconds at most; it can always be made again, so nothing is flushed to disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next = 0.0

    def take(self, progress: Progress) -> None:
        """Note `progress`; a disk that is full or read-only does not matter here."""
        now = time.monotonic()
        if now < self._next and progress.n_done + progress.n_failed < progress.n_total:
            return
        self._next = now + TAKEN_EVERY_S
        temporary = self._path.with_name(f".{self._path.name}.new")
        with contextlib.suppress(OSError):
            temporary.write_text(json.dumps({"time": time.time(), **asdict(progress)}))
            os.replace(temporary, self._path)


def read_snapshot(path: Path) -> Seen | None:
    """The last one; None where there is none."""
    try:
        return read_json_as(path, Seen)
    except BadInputError:
        return None

"""What a person sees while a campaign runs: a live line in a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

from alh2.dispatch.run import Progress

PLAIN_EVERY_S = 10.0


def duration(seconds: float) -> str:
    """ "1:05" or "2:03:04"."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def finished(progress: Progress) -> int:
    """Tasks with a result, good or bad."""
    return progress.n_done + progress.n_failed


class Reporter:
    """Stage, iteration, task counts and ETA; `stream` decides between live and plain.

    A stream that is gone (a closed pipe or terminal) is given up: the campaign goes on without it.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._live = self._stream.isatty()
        self._began = time.monotonic()
        self._stage = ""
        self._stage_began = self._began
        self._last_plain = 0.0
        self._first: tuple[float, int] | None = None
        self._width = 0
        self._gone = False

    def stage(self, name: str, *, iteration: int | None = None, most: int = 0) -> None:
        """A stage begins; `most` is the number of iterations at most."""
        self._clear()
        where = "" if iteration is None else f"iteration {iteration} ({iteration + 1} of at most {most}) · "
        self._stage = f"{where}{name}"
        self._stage_began = time.monotonic()
        self._last_plain = 0.0
        self._first = None
        self._line(f"[{duration(time.monotonic() - self._began)}] {self._stage}")

    def message(self, text: str) -> None:
        """A line that stays."""
        self._clear()
        self._line(f"[{duration(time.monotonic() - self._began)}]   {text}")

    def tasks(self, progress: Progress) -> None:
        """Task counts of the running stage, with an ETA from the rate seen so far."""
        now = time.monotonic()
        if self._first is None or finished(progress) < self._first[1] or finished(progress) == 0:
            self._first = (now, finished(progress))
        text = f"{self._stage} · {finished(progress)}/{progress.n_total} tasks"
        if progress.n_failed:
            text += f", {progress.n_failed} failed"
        text += self._eta(now, progress)
        if self._live:
            columns = shutil.get_terminal_size().columns
            line = f"[{duration(now - self._began)}] {text}"[: columns - 1]
            self._write("\r" + line.ljust(min(self._width, columns - 1)))
            self._width = len(line)
        elif now - self._last_plain > PLAIN_EVERY_S and now - self._stage_began > PLAIN_EVERY_S:
            self._last_plain = now
            self._line(f"[{duration(now - self._began)}]   {text}")

    def _eta(self, now: float, progress: Progress) -> str:
        assert self._first is not None
        began, before = self._first
        fresh = finished(progress) - before
        left = progress.n_total - finished(progress)
        if fresh <= 0 or left <= 0:
            return ""
        return f", about {duration((now - began) / fresh * left)} left"

    def _line(self, text: str) -> None:
        self._write(text + "\n")

    def _clear(self) -> None:
        if self._live and self._width:
            self._write("\r" + " " * self._width + "\r")
            self._width = 0

    def _write(self, text: str) -> None:
        if self._gone:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            self._gone = True

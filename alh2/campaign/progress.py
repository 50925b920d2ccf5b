"""What a person sees while a campaign runs: a live line in a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from typing import TextIO

from alh2.dispatch.run import Progress

PLAIN_EVERY_S = 10.0
LIVE_EVERY_S = 1.0


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

    In a terminal a thread keeps the clock of the live line going while tasks run. A stream that is gone (a closed
    pipe or terminal) is given up: the campaign goes on without it.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._live = self._stream.isatty()
        self._began = time.monotonic()
        self._stage = ""
        self._last_plain = self._began
        self._first: tuple[float, int] | None = None
        self._latest: tuple[float, Progress] | None = None
        self._width = 0
        self._gone = False
        self._guard = threading.RLock()
        self._closed = threading.Event()
        self._clock: threading.Thread | None = None

    def stage(self, name: str, *, iteration: int | None = None, most: int = 0) -> None:
        """A stage begins; `most` is the number of iterations at most."""
        where = "" if iteration is None else f"iteration {iteration} ({iteration + 1} of at most {most}) · "
        with self._guard:
            self._stage = f"{where}{name}"
            self._first = self._latest = None
            self._last_plain = time.monotonic()
            self._line(self._stage)

    def message(self, text: str) -> None:
        """A line that stays."""
        with self._guard:
            self._line(f"  {text}")

    def tasks(self, progress: Progress) -> None:
        """Task counts of the running stage, with an ETA from the rate seen so far."""
        now = time.monotonic()
        with self._guard:
            if self._first is None or finished(progress) < self._first[1] or finished(progress) == 0:
                self._first = (now, finished(progress))
            self._latest = (now, progress)
            if self._live:
                self._draw(now)
                self._start_clock()
            elif now - self._last_plain >= PLAIN_EVERY_S:
                self._last_plain = now
                self._line(f"  {self._words(now)}")

    def close(self) -> None:
        """Take the live line away; nothing more is shown."""
        self._closed.set()
        with self._guard:
            self._latest = None
            self._clear()

    def _words(self, now: float) -> str:
        assert self._latest is not None
        _, progress = self._latest
        failed = f", {progress.n_failed} failed" if progress.n_failed else ""
        return f"{self._stage} · {finished(progress)}/{progress.n_total} tasks{failed}{self._eta(now)}"

    def _eta(self, now: float) -> str:
        assert self._first is not None
        assert self._latest is not None
        (began, before), (seen, progress) = self._first, self._latest
        fresh = finished(progress) - before
        left = progress.n_total - finished(progress)
        if fresh <= 0 or left <= 0:
            return ""
        seconds = (seen - began) / fresh * left - (now - seen)
        return f", about {duration(seconds)} left" if seconds > 0 else ""

    def _start_clock(self) -> None:
        if self._clock is None:
            self._clock = threading.Thread(target=self._tick, name="clock", daemon=True)
            self._clock.start()

    def _tick(self) -> None:
        while not self._closed.wait(LIVE_EVERY_S):
            with self._guard:
                if self._latest is not None:
                    self._draw(time.monotonic())

    def _draw(self, now: float) -> None:
        """Replace the live line, cut to the width of the terminal."""
        columns = shutil.get_terminal_size().columns
        line = f"[{duration(now - self._began)}] {self._words(now)}"[: columns - 1]
        self._write("\r" + line.ljust(min(self._width, columns - 1)))
        self._width = len(line)

    def _line(self, text: str) -> None:
        self._clear()
        self._write(f"[{duration(time.monotonic() - self._began)}] {text}\n")

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

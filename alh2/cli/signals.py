"""Ending a run on SIGTERM, SIGHUP and Ctrl-C at its next good point."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class StopOnSignals:
    """Inside the block a signal makes the object, called, return True; a second one raises KeyboardInterrupt.

    waits : whether there is a good point to go on to; else the first signal raises KeyboardInterrupt
    """

    def __init__(self, *, waits: bool) -> None:
        self._asked = False
        self._waits = waits

    def __enter__(self) -> StopOnSignals:
        ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # nohup
        mine = [number for number in _SIGNALS if not (number == signal.SIGHUP and ignored)]
        self._before = {number: signal.signal(number, self._stop) for number in mine}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        """Whether the run was asked to stop."""
        return self._asked

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._asked or not self._waits:
            raise KeyboardInterrupt
        self._asked = True

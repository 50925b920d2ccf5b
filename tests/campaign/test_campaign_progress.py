"""What a person sees: plain lines in a pipe, one live line in a terminal."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import re
import time

import pytest

from alh2.campaign import progress
from alh2.campaign.progress import Reporter, duration
from alh2.dispatch.run import Progress


def _progress(n_done: int, n_failed: int = 0, n_total: int = 10) -> Progress:
    return Progress("x", n_total, n_done, n_failed, 0, 1.0)


def _clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_duration() -> None:
    assert [duration(s) for s in (0, 59.9, 65, 7384)] == ["0:00", "0:59", "1:05", "2:03:04"]


def test_a_pipe_gets_plain_lines_and_not_many(monkeypatch: pytest.MonkeyPatch) -> None:
    now = _clock(monkeypatch)
    stream = io.StringIO()
    reporter = Reporter(stream)
    reporter.stage("train", iteration=0, most=3)
    for second in range(1, 41):
        now[0] = float(second)
        reporter.tasks(_progress(second // 10))
    reporter.message("a line that stays")
    lines = stream.getvalue().split("\n")
    assert lines[0] == "[0:00] iteration 0 (1 of at most 3) · train"
    assert "\r" not in stream.getvalue()
    assert 4 <= len(lines) - 1 <= 6  # the stage, about one line every 10 s, the message
    assert lines[-2] == "[0:40]   a line that stays"


def test_eta_comes_from_the_rate_seen_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    now = _clock(monkeypatch)
    stream = io.StringIO()
    reporter = Reporter(stream)
    reporter.stage("label", iteration=0, most=1)
    reporter.tasks(_progress(0))
    now[0] = 20.0
    reporter.tasks(_progress(3, n_failed=1))
    assert stream.getvalue().splitlines()[-1].endswith("4/10 tasks, 1 failed, about 0:30 left")


def test_reused_tasks_do_not_make_the_eta_too_short(monkeypatch: pytest.MonkeyPatch) -> None:
    now = _clock(monkeypatch)
    stream = io.StringIO()
    reporter = Reporter(stream)
    reporter.stage("label", iteration=0, most=1)
    reporter.tasks(_progress(5))  # finished by an earlier driver
    now[0] = 20.0
    reporter.tasks(_progress(6))
    assert stream.getvalue().splitlines()[-1].endswith("6/10 tasks, about 1:20 left")


def _everything(terminal: int) -> str:
    """All that was written to the other side of a terminal, which is closed by now."""
    chunks = []
    with contextlib.suppress(OSError):  # the end of a terminal's output is an error
        while chunk := os.read(terminal, 65536):
            chunks.append(chunk)
    os.close(terminal)
    return b"".join(chunks).decode()


def test_a_terminal_gets_one_live_line_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "58")
    monkeypatch.setattr(progress, "LIVE_EVERY_S", 0.05)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        reporter = Reporter(terminal)
        reporter.stage("train", iteration=0, most=3)
        for done in range(4):
            reporter.tasks(_progress(done))
        time.sleep(0.5)  # the clock goes on though no task ends
        reporter.message("finished")
        reporter.tasks(_progress(10))
        reporter.close()
    shown = _everything(ours)
    assert shown.count("\n") == 2  # the stage and the message; progress stays in its line
    live = [part for line in shown.split("\n")[1:] for part in line.split("\r") if "tasks" in part]
    assert [f"{done}/10 tasks" in "".join(live) for done in (0, 1, 2, 3, 10)] == [True] * 5
    assert len(live) > 6
    assert all(len(part) < 58 for part in live)
    assert re.search(r"\r\[0:0\d\]   finished\r\n", shown)
    assert shown.endswith(" \r")  # the live line is wiped at the end


def test_the_campaign_outlives_a_terminal_that_is_gone() -> None:
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w", buffering=1)
    os.close(reading)
    with pytest.raises(BrokenPipeError):
        stream.write("the terminal is really gone\n")
    reporter = Reporter(stream)
    reporter.stage("train", iteration=0, most=1)
    reporter.message("nobody reads this")
    reporter.tasks(_progress(3))
    with contextlib.suppress(BrokenPipeError):
        stream.close()

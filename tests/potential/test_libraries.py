"""Silence of compiled libraries, and what is heard after it."""

from __future__ import annotations

import logging
import os
import threading

import pytest

from alh2.potential.libraries import silenced


def test_nothing_is_heard_inside(capfd: pytest.CaptureFixture[str]) -> None:
    before = logging.root.manager.disable
    with silenced():
        os.write(1, b"out")
        os.write(2, b"error")
        assert logging.root.manager.disable >= logging.WARNING
    os.write(1, b"after")
    assert capfd.readouterr() == ("after", "") and logging.root.manager.disable == before


def test_of_blocks_that_overlap_in_threads_the_last_one_ends_it(capfd: pytest.CaptureFixture[str]) -> None:
    """Each block used to give back what it had found, which for the second one was silence."""
    before, inside, first_is_out = logging.root.manager.disable, threading.Event(), threading.Event()

    def second() -> None:
        with silenced():
            inside.set()
            first_is_out.wait(10)
            os.write(1, b"still silent")

    other = threading.Thread(target=second)
    with silenced():
        other.start()
        assert inside.wait(10)
    first_is_out.set()
    other.join()
    os.write(1, b"after")
    assert capfd.readouterr() == ("after", "") and logging.root.manager.disable == before


def test_errors_pass_and_end_it(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="x"), silenced():
        raise ValueError("x")
    os.write(1, b"after")
    assert capfd.readouterr().out == "after"

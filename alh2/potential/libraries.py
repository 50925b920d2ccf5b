"""Keep DeePMD and TensorFlow quiet and single-minded: environment, and silence on stdout and stderr."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from alh2.core.quiet import QUIET_ENVIRONMENT

DEEPMD_ENVIRONMENT = {
    **QUIET_ENVIRONMENT,
    "OMP_NUM_THREADS": "1",
    "DP_INTRA_OP_PARALLELISM_THREADS": "1",
    "DP_INTER_OP_PARALLELISM_THREADS": "1",
}
"""Defaults for processes that run DeePMD; values already set in the environment win."""


def quiet_environment() -> dict[str, str]:
    """The current environment with `DEEPMD_ENVIRONMENT` filled in, for subprocesses."""
    return {**DEEPMD_ENVIRONMENT, **os.environ}


@functools.cache
def silence_exit() -> None:
    """Drop what compiled libraries print on stderr while the process ends (once; after Python's own messages)."""

    def close_stderr() -> None:
        sys.stderr.flush()
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 2)
        os.close(sink)

    atexit.register(close_stderr)


class _Silence:
    """How many blocks are inside, and what ends with the last of them."""

    def __init__(self) -> None:
        self._guard, self._inside, self._kept = threading.Lock(), 0, ExitStack()

    def begin(self) -> None:
        with self._guard:
            if not self._inside:
                self._kept.enter_context(_nothing_is_heard())
            self._inside += 1

    def end(self) -> None:
        with self._guard:
            self._inside -= 1
            if not self._inside:
                self._kept.close()


_SILENCE = _Silence()


@contextmanager
def silenced() -> Iterator[None]:
    """Send stdout and stderr, also those of compiled code, to nowhere while inside; exceptions pass.

    File descriptors and logging belong to the process: of blocks that overlap, in threads, the last gives them back.
    """
    _SILENCE.begin()
    try:
        yield
    finally:
        _SILENCE.end()


@contextmanager
def _nothing_is_heard() -> Iterator[None]:
    for name, value in DEEPMD_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(1), os.dup(2)]
    level = logging.root.manager.disable
    with tempfile.TemporaryFile() as sink, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            logging.disable(logging.WARNING)
            os.dup2(sink.fileno(), 1)
            os.dup2(sink.fileno(), 2)
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for target, descriptor in zip((1, 2), saved, strict=True):
                os.dup2(descriptor, target)
                os.close(descriptor)
            logging.disable(level)

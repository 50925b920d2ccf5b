"""Keep DeePMD and TensorFlow quiet and single-minded: environment, and silence on stdout and stderr."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def silenced() -> Iterator[None]:
    """Send stdout and stderr, also those of compiled code, to nowhere while inside; exceptions pass.

    File descriptors 1 and 2 belong to the process: do not enter from two threads at once.
    """
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

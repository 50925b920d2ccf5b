"""Libraries that log where nobody asked them to or load what nobody needs: what keeps them quiet and quick."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

QUIET_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_USE_LEGACY_KERAS": "1",  # which is absent: TensorFlow then loads no Keras at all
}
"""Environment of every process that may load TensorFlow; values that are set already win."""


@contextlib.contextmanager
def _scratch_home() -> Iterator[Path]:
    """``$HOME`` is a temporary folder inside the block."""
    before = os.environ.get("HOME")
    with tempfile.TemporaryDirectory(prefix="alh2-home-") as scratch:
        os.environ["HOME"] = scratch
        try:
            yield Path(scratch)
        finally:
            if before is None:
                del os.environ["HOME"]
            else:
                os.environ["HOME"] = before


def import_dpdispatcher() -> ModuleType:
    """The `dpdispatcher` package, leaving no log in the working directory, lines on stdout or ``~/.dpdispatcher``.

    Its own ``dlog`` module opens the file as it is imported; a stand-in that holds the same logger
    (``logging.getLogger("dpdispatcher")``, silent until a handler is added) takes its place.
    Its record of failed submissions, a folder in the home directory made at import, is not used here.
    """
    if "dpdispatcher" not in sys.modules:
        logger = logging.getLogger("dpdispatcher")
        logger.propagate = False
        logger.setLevel(logging.INFO)
        logger.addHandler(logging.NullHandler())
        stand_in = ModuleType("dpdispatcher.dlog")
        stand_in.__dict__["dlog"] = logger
        stand_in.__dict__["__all__"] = ["dlog"]
        sys.modules["dpdispatcher.dlog"] = stand_in
        with _scratch_home():
            return importlib.import_module("dpdispatcher")
    return importlib.import_module("dpdispatcher")


def import_dpgen_arginfo() -> ModuleType:
    """`dpgen.generator.arginfo`, without ``dpgen.log`` or a handler on the root logger."""
    import_dpdispatcher()
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    module = importlib.import_module("dpgen.generator.arginfo")
    for handler in [h for h in root.handlers if h not in before]:
        root.removeHandler(handler)
    root.setLevel(level)
    logger = logging.getLogger("dpgen")
    for handler in [h for h in logger.handlers if isinstance(h, logging.FileHandler)]:
        logger.removeHandler(handler)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return module

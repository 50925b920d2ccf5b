"""Imports of third-party packages that log into the working directory, done so that they leave nothing behind."""

from __future__ import annotations

import importlib
import logging
import sys
from types import ModuleType


def import_dpdispatcher() -> ModuleType:
    """The `dpdispatcher` package, without ``dpdispatcher.log`` in the working directory or lines on stdout.

    Its own ``dlog`` module opens the file as it is imported; a stand-in that holds the same logger
    (``logging.getLogger("dpdispatcher")``, silent until a handler is added) takes its place.
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

"""Runs DP-GEN's own writer of first-principles inputs: ``python -m alh2.label.dpgen_worker``.

DP-GEN works on the current folder: this process is started in a folder that holds ``jdata.json`` and
``iter.000000/02.fp/task.*/POSCAR`` (see :mod:`alh2.label.dpgen_inputs`). One line on stderr and exit code 1 where
DP-GEN refuses.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

JDATA_FILE = "jdata.json"
ITERATION = 0


@contextlib.contextmanager
def _without_readers() -> Iterator[None]:
    """dpdata does not load the readers that other packages add: half of the start-up time, and inputs need none."""
    every = metadata.entry_points

    def entry_points(**which: Any) -> Any:
        return () if which.get("group") == "dpdata.plugins" else every(**which)

    metadata.entry_points = entry_points  # type: ignore[assignment]
    try:
        yield
    finally:
        metadata.entry_points = every


def main() -> int:
    """Write the inputs; returns the exit code."""
    jdata = json.loads(Path(JDATA_FILE).read_text())
    try:
        with contextlib.ExitStack() as stack:
            if jdata["fp_style"] != "custom":  # its formats may be anybody's
                stack.enter_context(_without_readers())
            from dpgen.generator.run import make_fp_calculation

        make_fp_calculation(ITERATION, jdata, {})
    except (AssertionError, RuntimeError, KeyError, ValueError, OSError, TypeError, IndexError, ImportError) as error:
        print(f"{type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

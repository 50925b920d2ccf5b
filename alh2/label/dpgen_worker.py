"""Runs DP-GEN's own writer of first-principles inputs: ``python -m alh2.label.dpgen_worker``.

DP-GEN works on the current folder: this process is started in a folder that holds ``jdata.json`` and
``iter.000000/02.fp/task.*/POSCAR`` (see :mod:`alh2.label.dpgen_inputs`). One line on stderr and exit code 1 where
DP-GEN refuses.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

JDATA_FILE = "jdata.json"
ITERATION = 0


def main() -> int:
    """Write the inputs; returns the exit code."""
    jdata = json.loads(Path(JDATA_FILE).read_text())
    try:
        from dpgen.generator.run import make_fp_calculation

        make_fp_calculation(ITERATION, jdata, {})
    except (AssertionError, RuntimeError, KeyError, ValueError, OSError, TypeError, IndexError, ImportError) as error:
        print(f"{type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

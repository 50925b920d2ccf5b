"""Computes the label of one task folder: ``python -m alh2.label.worker [TASK_DIR]``.

Reads frame.json and labeler.json, writes label.json. A geometry without a label (SCF not converged, …) is an answer,
written with its reason, exit code 0: running it again would not help. Exit code 2: the task folder is wrong.
Thread counts are set before the numerical libraries are loaded: one per task unless ``params.threads`` or the
environment says otherwise.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run_task(task_dir: Path) -> int:
    """Compute the label of `task_dir`; returns the exit code."""
    started = time.perf_counter()
    try:
        settings = json.loads((task_dir / "labeler.json").read_text())
        style, params = settings["style"], settings["params"]
    except (OSError, ValueError, KeyError) as error:
        print(f"{task_dir / 'labeler.json'}: {type(error).__name__} {error}", file=sys.stderr)
        return 2
    for name in THREAD_VARIABLES:
        if params.get("threads"):
            os.environ[name] = str(params["threads"])
        else:
            os.environ.setdefault(name, "1")

    from alh2.core.errors import BadInputError
    from alh2.label import files
    from alh2.label.protocol import LabelFailure
    from alh2.label.registry import STYLES, style_module

    if style not in STYLES:
        print(f"labeler.json: unknown style {style!r}, expected one of {', '.join(STYLES)}", file=sys.stderr)
        return 2
    try:
        frame = files.read_frame(task_dir / files.FRAME_FILE)
    except (BadInputError, KeyError, TypeError, ValueError) as error:
        print(f"{files.FRAME_FILE}: {error}", file=sys.stderr)
        return 2
    answer: files.EnergyForces | LabelFailure
    try:
        answer = style_module(style).compute(frame, params)
    except files.LabelError as error:
        answer = LabelFailure(str(error))
    files.write_label(task_dir / files.LABEL_FILE, frame, answer, time.perf_counter() - started)
    return 0


if __name__ == "__main__":
    sys.exit(run_task(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))

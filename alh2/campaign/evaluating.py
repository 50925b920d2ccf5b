"""The task that asks a committee for energies and forces of frames, wherever a stage needs them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from alh2.campaign.context import Campaign
from alh2.core.frames import Frame
from alh2.dispatch.tasks import Task
from alh2.potential.frames_npz import save_frames

EVALUATE_TIMEOUT_S = 24 * 3600.0
EVALUATION_FILE = "evaluation.npz"


def evaluation_task(
    campaign: Campaign, work_dir: Path, frames: Sequence[Frame], *, graphs: Sequence[Path], pairs: Sequence[Path],
    label: str,
) -> Task:  # fmt: skip
    """Write `frames` into `work_dir` and return the task that evaluates them into `EVALUATION_FILE` there.

    graphs, pairs : the models, and the pair baseline under each where they have one
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    save_frames(work_dir / "frames.npz", frames)
    models, baselines = ([os.path.relpath(path, work_dir) for path in paths] for paths in (graphs, pairs))
    option = f"--pair-baselines {' '.join(baselines)} " if baselines else ""
    return Task(
        work_dir=work_dir,
        command=f"{campaign.machine.gcmc.command} -m alh2.potential.evaluate --models {' '.join(models)} "
        f"{option}--frames frames.npz --output {EVALUATION_FILE}",
        inputs=("frames.npz", *models, *baselines),
        outputs=(EVALUATION_FILE,),
        timeout_s=EVALUATE_TIMEOUT_S,
        label=label,
    )

"""What an iteration leaves behind that nothing needs any more: trajectories, copies of data, old checkpoints.

Kept is what resuming, warm starts (``training_reuse_iter``), DP-GEN's tools and the report read: explored frames,
deviations, models, the last checkpoint, labels.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from alh2.campaign.paths import RunPaths
from alh2.explore.explored_file import TABLE_FILE
from alh2.explore.gcmc import FRAMES_FILE
from alh2.explore.gcmc_job import SAMPLES_FILE
from alh2.explore.lammps import TRAJECTORY_FILE

BULKY_LABEL_FILES = ("WAVECAR", "CHG", "CHGCAR", "DOSCAR", "PROCAR", "LOCPOT")
"""Files of first-principles codes that no label is read from."""


def tidy(paths: RunPaths, last: int, *, clean_trajectories: bool | int) -> int:
    """Remove what iterations up to `last`, which are over, do not need any more; returns the bytes freed.

    clean_trajectories : DP-GEN's ``model_devi_clean_traj``: True removes trajectories, a number keeps those of so many
        iterations, False keeps all
    """
    freed = 0
    for iteration in range(last + 1):
        for path in (*_training(paths.train(iteration)), *_labels(paths.label(iteration))):
            freed += _remove(path)
        kept = clean_trajectories is False or (clean_trajectories is not True and iteration > last - clean_trajectories)
        if not kept:
            for path in _trajectories(paths.explore(iteration)):
                freed += _remove(path)
    return freed


def _training(folder: Path) -> list[Path]:
    """Copies of the data (not their lists) and of the checkpoint started from, and all checkpoints but the last."""
    last = {path.resolve() for path in folder.glob("*/model.ckpt.*")}
    old = [path for path in folder.glob("*/model.ckpt-*") if path.resolve() not in last]
    copies = [path for path in folder.glob("data.*/*") if path.is_dir()]
    copies += list(folder.glob("evaluate.*/frames.npz"))
    return [*copies, *folder.glob("*/old"), *old]


def _labels(folder: Path) -> list[Path]:
    return [path for name in BULKY_LABEL_FILES for path in folder.glob(f"*/{name}")]


def _trajectories(folder: Path) -> list[Path]:
    """None before the explored frames are stored."""
    if not (folder / TABLE_FILE).exists():
        return []
    names = (f"*/{TRAJECTORY_FILE}", f"*/{SAMPLES_FILE}", f"deviation.*/{FRAMES_FILE}")
    return [path for name in names for path in folder.glob(name)]


def _remove(path: Path) -> int:
    if path.is_dir() and not path.is_symlink():
        size = sum(entry.lstat().st_size for entry in path.rglob("*") if entry.is_file())
        shutil.rmtree(path, ignore_errors=True)
        return size
    size = path.lstat().st_size
    path.unlink(missing_ok=True)
    return size

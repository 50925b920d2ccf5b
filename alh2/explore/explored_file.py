"""Explored frames on disk: what selection reads, written once when exploration is complete."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

import numpy as np

from alh2.core.errors import BadInputError
from alh2.core.explored import ExploredFrame
from alh2.potential.frames_npz import load_frames, read_npz, save_frames, write_npz

FRAMES_FILE = "explored_frames.npz"
TABLE_FILE = "explored.npz"


def save_explored(directory: Path, explored: Sequence[ExploredFrame]) -> None:
    """Write `explored` to `directory`; the table comes last, so its presence means both files are whole."""
    save_frames(directory / FRAMES_FILE, [entry.frame for entry in explored])
    insertion = [math.nan if e.devi_insertion_ev is None else e.devi_insertion_ev for e in explored]
    write_npz(
        directory / TABLE_FILE,
        kind=np.array([e.kind for e in explored], dtype=np.str_),
        task=np.array([e.task for e in explored], dtype=np.str_),
        step=np.array([e.step for e in explored], dtype=np.int64),
        temperature_k=np.array([e.temperature_k for e in explored]),
        max_devi_f_ev_ang=np.array([e.max_devi_f_ev_ang for e in explored]),
        devi_insertion_ev=np.array(insertion, dtype=np.float64),
    )


def load_explored(directory: Path) -> list[ExploredFrame]:
    """Frames written by `save_explored`; raises BadInputError where they are absent or torn."""
    names = ("kind", "task", "step", "temperature_k", "max_devi_f_ev_ang", "devi_insertion_ev")
    table = read_npz(directory / TABLE_FILE, *names)
    frames = load_frames(directory / FRAMES_FILE)
    if len(frames) != len(table["step"]):
        raise BadInputError(
            str(directory / TABLE_FILE),
            expected=f"a row for each of {len(frames)} frames",
            found=f"{len(table['step'])} rows",
            action=f"remove it and {FRAMES_FILE}, and explore again",
        )
    explored = []
    for i, frame in enumerate(frames):
        insertion = float(table["devi_insertion_ev"][i])
        explored.append(
            ExploredFrame(
                frame,
                cast(Literal["md", "gcmc"], str(table["kind"][i])),
                str(table["task"][i]),
                int(table["step"][i]),
                float(table["temperature_k"][i]),
                float(table["max_devi_f_ev_ang"][i]),
                None if math.isnan(insertion) else insertion,
            )
        )
    return explored

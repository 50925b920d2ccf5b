"""Which files to read, and how: one entry per origin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alh2.config.model import AimdSource


@dataclass(frozen=True)
class TrajectorySource:
    """Files of one origin, consecutive in time (frames of another composition start a trajectory of their own).

    format : "auto" or as in :func:`alh2.dataset.read.read_trajectory`
    drop_ps : equilibration time removed from the start of each trajectory; dt_fs : time between frames in the file
    (None: from VASP's POTIM); every : keep every n-th frame after that; max_frames : then at most so many
    temperature_k : recorded in the provenance; labeler : level of theory of these labels
    allow_truncated : keep the whole frames of a file that breaks off; allow_mixed_cells : accept changing cells
    """

    files: tuple[Path, ...]
    format: str = "auto"
    drop_ps: float = 0.0
    dt_fs: float | None = None
    every: int = 1
    max_frames: int | None = None
    temperature_k: float | None = None
    labeler: str = "aimd"
    allow_truncated: bool = False
    allow_mixed_cells: bool = False

    @classmethod
    def from_config(cls, source: AimdSource) -> TrajectorySource:
        """The entry of a param file's ``alh2.dataset.aimd``."""
        return cls(
            source.files, source.format, source.drop_ps, source.dt_fs or None, source.every, source.max_frames,
            source.temperature_k, source.labeler,
        )  # fmt: skip

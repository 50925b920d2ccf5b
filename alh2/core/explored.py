"""Frames that exploration visited, with what the committees say of them (explore → select → report)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from alh2.core.frames import Frame


@dataclass(frozen=True, eq=False)
class ExploredFrame:
    """One sampled configuration.

    kind : "md" | "gcmc"
    task : exploration task folder, e.g. "task.001.000003"; step : MD step or MC move
    max_devi_f_ev_ang : largest committee force deviation over atoms (DP-GEN's max_devi_f); NaN counts as failed
    devi_insertion_ev : committee standard deviation of the insertion energy of the last guest, None for MD
    """

    frame: Frame
    kind: Literal["md", "gcmc"]
    task: str
    step: int
    temperature_k: float
    max_devi_f_ev_ang: float
    devi_insertion_ev: float | None = None

    @property
    def system(self) -> int | None:
        """Index of the system whose molecular dynamics this is, from the name of the task; None for Monte Carlo."""
        return int(self.task.split(".")[1]) if self.kind == "md" else None


@dataclass(frozen=True, eq=False)
class SelectionVerdict:
    """What selection decided on one explored frame, and why.

    band : trust band ("failed" also for NaN and for insane geometries)
    reason : short phrase, e.g. "max_devi_f 0.31 in [0.15, 0.60)", "H2 bond 1.42 Å > 1.10 Å", "already labelled"
    picked : sent to labelling
    """

    explored: ExploredFrame
    band: Literal["accurate", "candidate", "failed"]
    reason: str
    picked: bool

"""DP-GEN's ``record.dpgen``: a line "iteration step" per finished step, so that its users' tools keep working."""

from __future__ import annotations

from pathlib import Path

from alh2.campaign.state import Stage
from alh2.core.files import atomic_write_text

DPGEN_STEPS: dict[Stage, tuple[int, ...]] = {"train": (0, 1, 2), "explore": (3, 4, 5), "select": (6,), "label": (7, 8)}
"""make/run/post of train, model_devi and fp, as DP-GEN numbers them."""


def record_stage(path: Path, iteration: int, stage: Stage) -> None:
    """Append the steps of a finished stage; repeating adds nothing."""
    lines = path.read_text().splitlines() if path.exists() else []
    new = [f"{iteration} {step}" for step in DPGEN_STEPS.get(stage, ())]
    missing = [line for line in new if line not in lines]
    if missing:
        atomic_write_text(path, "\n".join([*lines, *missing]) + "\n")

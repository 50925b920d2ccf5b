"""Which frames of a trajectory are held out: blocks of time, so that neighbours in time do not straddle the split."""

from __future__ import annotations

from typing import Literal

import numpy as np

SplitMethod = Literal["blocks", "random"]
MAX_BLOCKS = 4
SMALLEST_SPLIT = 5


def validation_mask(
    n_frames: int, fraction: float, *, method: SplitMethod = "blocks", rng: np.random.Generator | None = None
) -> np.ndarray:
    """True for held-out frames, (n_frames,) bool.

    "blocks": up to `MAX_BLOCKS` stretches of at least 5 frames, evenly spread, each at the end of its share of the
    trajectory; needs no random numbers. "random": single frames drawn with `rng` (frames close in time are then
    nearly copies of training frames, and held-out errors come out too small). At least one frame of five or more
    where `fraction` > 0. Raises ValueError for a fraction outside [0, 1) or a missing `rng`.
    """
    if not 0.0 <= fraction < 1.0:
        raise ValueError(f"validation fraction {fraction} is not in [0, 1)")
    mask = np.zeros(n_frames, bool)
    n_valid = min(max(round(fraction * n_frames), int(fraction > 0 and n_frames >= SMALLEST_SPLIT)), n_frames - 1)
    if n_valid < 1:
        return mask
    if method == "random":
        if rng is None:
            raise ValueError("a random split needs rng")
        mask[rng.permutation(n_frames)[:n_valid]] = True
        return mask
    n_blocks = max(1, min(MAX_BLOCKS, n_valid // 5))
    ends = [round(n_frames * (i + 1) / n_blocks) for i in range(n_blocks)]
    sizes = [n_valid // n_blocks + (i < n_valid % n_blocks) for i in range(n_blocks)]
    for end, size in zip(ends, sizes, strict=True):
        mask[end - size : end] = True
    return mask

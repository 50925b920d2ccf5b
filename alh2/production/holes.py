"""Configurations that one model of a committee alone holds deep: a hole that its training left open.

A network may hold molecules far too deep at a place which no label is near, since no sound model puts molecules there.
A run that falls in stays, at a loading that looks right. The other models, trained otherwise, have no hole there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DEEP_EV, TIMES_TYPICAL = 0.1, 20.0
MOST_ALONE = 0.01
"""An answer with more of its configurations in a hole than this counts for nothing."""
MOST_CHECKED = 50
"""Configurations of a point that are asked about, spread evenly."""


def depths_ev(energies_ev: np.ndarray, member: int) -> np.ndarray:
    """How much deeper (eV) `member` holds each configuration than the median of the other models, (n,).

    energies_ev : (n_models, n) of the configurations `member` has been to; NaN for a single model
    """
    if len(energies_ev) < 2:
        return np.full(energies_ev.shape[1], np.nan)
    result: np.ndarray = np.median(np.delete(energies_ev, member, axis=0), axis=0) - energies_ev[member]
    return result


def shares_alone(depths_ev: Sequence[np.ndarray]) -> list[float]:
    """Part of the configurations of each run that its model alone holds deep; 0 for a run without any.

    depths_ev : of the runs of all models. Deep is `DEEP_EV` or more, and `TIMES_TYPICAL` times as much as models
    differ in the median.
    """
    known = [d[np.isfinite(d)] for d in depths_ev]
    together = np.abs(np.concatenate(known)) if known else np.empty(0)
    limit = max(DEEP_EV, TIMES_TYPICAL * float(np.median(together))) if together.size else DEEP_EV
    return [float(np.mean(d > limit)) if d.size else 0.0 for d in known]


def spread_evenly(n: int, most: int = MOST_CHECKED) -> np.ndarray:
    """Indices (at most `most`) of `n` configurations in order."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int)) if n else np.empty(0, dtype=int)

"""Means of correlated series."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import numpy as np

_MOST_POINTS = 20_000


@dataclass(frozen=True)
class Estimate:
    """A mean with one standard error, and how many independent samples the series is worth."""

    mean: float
    standard_error: float
    n_effective: float


def mean_and_error(series: np.ndarray) -> Estimate:
    """Mean of a correlated series (n,) with the standard error sqrt(var·g/n).

    g is the statistical inefficiency 1 + 2τ (Chodera et al., J. Chem. Theory Comput. 3, 26 (2007), by pymbar),
    taken over block averages where the series has more than 20000 points. A series that never changes has
    standard error 0 and one effective sample; a single point has an unknown error (NaN). Raises ValueError
    where the series is empty.
    """
    values = np.asarray(series, dtype=np.float64)
    n = len(values)
    if n == 0:
        raise ValueError("no samples")
    mean = float(values.mean())
    if n == 1:
        return Estimate(mean, math.nan, 1.0)
    if np.ptp(values) == 0.0:
        return Estimate(mean, 0.0, 1.0)
    width = -(-n // _MOST_POINTS)
    blocks = values[: n - n % width].reshape(-1, width).mean(axis=1)
    variance = float(blocks.var(ddof=1))
    if variance == 0.0:
        return Estimate(mean, 0.0, 1.0)
    n_effective = len(blocks) / _inefficiency(blocks)
    return Estimate(mean, math.sqrt(variance / n_effective), n_effective)


def _inefficiency(values: np.ndarray) -> float:
    """pymbar's statistical inefficiency, without the notices pymbar logs when it is imported."""
    logger = logging.getLogger("pymbar")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        from pymbar.timeseries import statistical_inefficiency
    finally:
        logger.setLevel(level)
    return float(statistical_inefficiency(values))

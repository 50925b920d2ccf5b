"""Means with honest standard errors of correlated series (MD properties, Monte Carlo counts)."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import ModuleType

import numpy as np

MINIMUM_FOR_DETECTION = 20
"""Shorter series are used whole: no transient can be told from noise in them."""

TENTHS, SIGNIFICANT = 10, 2.58
"""Parts that are dropped from the start, and standard errors beyond which a part is not like the rest (1 in 100)."""

FEW_BLOCKS, MORE_BLOCKS, MANY_EFFECTIVE = 5, 10, 100.0
"""Blocks of `cautious_mean_and_error`: few, and more from so many effective values on."""

FAST_FROM = 20_000
"""Longer series use pymbar's coarser grid of lags."""


@dataclass(frozen=True)
class Estimate:
    """A mean and its standard error, in the unit of the series.

    standard_error : one standard deviation of the mean; 0 for a series that never changed (nothing can be learnt
        from it about its error), NaN for a single value
    n_effective : number of independent values the series is worth; 1 for a constant series
    n_samples, n_discarded : values used, and values dropped from the start as equilibration
    """

    mean: float
    standard_error: float
    n_effective: float
    n_samples: int
    n_discarded: int = 0


def mean_and_error(series: Sequence[float] | np.ndarray, *, discard_equilibration: bool = False) -> Estimate:
    """Mean of a correlated series, with the standard error of that mean.

    With the statistical inefficiency g = 1 + 2 sum_t (1 - t/n) C(t) (Chodera et al., J. Chem. Theory Comput. 2007,
    3, 26; pymbar.timeseries), the mean of n values with biased sample variance s2 has variance s2 g / (n - g): the
    minus g undoes the bias of s2, which is itself g/n for a correlated series. g is capped at n/2, so a series that
    never decorrelates gets its own standard deviation as error rather than none.

    Parameters
    ----------
    series : (n,) finite numbers in the order they were sampled
    discard_equilibration : drop the start that `equilibration_length` finds

    Raises ValueError on an empty series or on NaN or infinite values.
    """
    values = _checked(series)
    discarded = equilibration_length(values) if discard_equilibration else 0
    kept = values[discarded:]
    n = kept.size
    mean = float(kept.mean())
    if n == 1:
        return Estimate(mean, math.nan, 1.0, 1, discarded)
    if np.ptp(kept) == 0.0:
        return Estimate(mean, 0.0, 1.0, n, discarded)
    inefficiency = min(statistical_inefficiency(kept), n / 2)
    variance = float(kept.var()) * inefficiency / (n - inefficiency)
    return Estimate(mean, math.sqrt(variance), n / inefficiency, n, discarded)


def cautious_mean_and_error(series: Sequence[float] | np.ndarray) -> Estimate:
    """`mean_and_error`, with an error whose 1.96-fold holds in short runs with slow modes too.

    Where a fast mode hides a slow one, as in Monte Carlo of a dense fluid, the sum over the autocorrelation ends in
    noise before the slow part, and errors come out too small. The scatter of a few long blocks sees it (batch means;
    Schmeiser, *Oper. Res.* 1982, 30, 556). The error is the larger of the two, that of the blocks times t/1.96 with
    Student's t of 95 % for their number. `tests/benchmarks/short_runs.py` compares. Raises ValueError as
    `mean_and_error` does.
    """
    found = mean_and_error(series)
    n_blocks = FEW_BLOCKS if found.n_effective < MANY_EFFECTIVE else MORE_BLOCKS
    if found.n_samples < MINIMUM_FOR_DETECTION or found.standard_error == 0.0:
        return found
    wide = block_error(series, n_blocks=n_blocks).standard_error * _student_factor(n_blocks - 1)
    return replace(found, standard_error=max(found.standard_error, wide))


@cache
def _student_factor(degrees: int) -> float:
    """By how much an error known from few values is to be widened, that its 1.96-fold holds 95 % of the time."""
    from scipy.stats import norm
    from scipy.stats import t as student_t

    return float(student_t.ppf(0.975, degrees) / norm.ppf(0.975))


def block_error(series: Sequence[float] | np.ndarray, *, n_blocks: int = 5) -> Estimate:
    """Mean and standard error from `n_blocks` contiguous blocks of equal length (a remainder at the start is dropped).

    Right when each block is much longer than the correlation time; :func:`mean_and_error` needs no such choice.
    Raises ValueError for fewer than 2 blocks or fewer values than blocks.
    """
    values = _checked(series)
    if n_blocks < 2 or values.size < n_blocks:
        raise ValueError(f"{n_blocks} blocks of {values.size} values: at least 2 blocks and one value in each")
    length = values.size // n_blocks
    dropped = values.size - n_blocks * length
    blocks = values[dropped:].reshape(n_blocks, length).mean(axis=1)
    error = float(blocks.std(ddof=1)) / math.sqrt(n_blocks)
    return Estimate(float(blocks.mean()), error, float(n_blocks), n_blocks * length, dropped)


def combine_replicas(estimates: Sequence[Estimate]) -> Estimate:
    """Mean over independent replicas of equal weight.

    The error is the larger of what the replicas say of themselves and what their scatter says, since replicas
    that are stuck in different places each report a small error. Raises ValueError on an empty list.
    """
    if not estimates:
        raise ValueError("no estimates to combine")
    if len(estimates) == 1:
        return estimates[0]
    means = np.array([e.mean for e in estimates])
    inner = math.sqrt(float(np.nansum([e.standard_error**2 for e in estimates]))) / means.size
    outer = float(means.std(ddof=1)) / math.sqrt(means.size)
    return Estimate(
        float(means.mean()),
        max(inner, outer),
        sum(e.n_effective for e in estimates),
        sum(e.n_samples for e in estimates),
        sum(e.n_discarded for e in estimates),
    )


def statistical_inefficiency(series: Sequence[float] | np.ndarray) -> float:
    """Number of successive values worth one independent value, at least 1; 1 for a constant series.

    Raises ValueError on an empty series or on NaN or infinite values.
    """
    values = _checked(series)
    if values.size < 2 or np.ptp(values) == 0.0:
        return 1.0
    return float(_timeseries().statistical_inefficiency(values, fast=values.size > FAST_FROM))


def equilibration_length(series: Sequence[float] | np.ndarray) -> int:
    """Number of leading values that are not like the second half of `series`; 0 for short series.

    Tenths are dropped from the start, half of the series at most (as Heidelberger and Welch do, *Oper. Res.* 1983, 31,
    1109), until the mean of the next tenth is that of the second half within `SIGNIFICANT` standard errors, correlation
    included (Geweke, *Bayesian Statistics 4*, 1992, 169). The start with the most effective samples in what follows
    (Chodera, *J. Chem. Theory Comput.* 2016, 12, 1799) was no good: of a correlated series without any transient it
    keeps a stretch that happens to change little, with a wrong mean and too small an error.

    Raises ValueError on an empty series or on NaN or infinite values.
    """
    values = _checked(series)
    if values.size < MINIMUM_FOR_DETECTION:
        return 0
    step = values.size // TENTHS
    settled = values[values.size // 2 :]
    inside = min(1.0, min(statistical_inefficiency(settled), settled.size / 2) / step)
    width = math.sqrt(float(settled.var()) * inside + cautious_mean_and_error(settled).standard_error ** 2)
    for start in range(0, values.size // 2, step):
        if abs(float(values[start : start + step].mean() - settled.mean())) <= SIGNIFICANT * width:
            return start
    return values.size // 2


def _checked(series: Sequence[float] | np.ndarray) -> np.ndarray:
    values = np.asarray(series, dtype=np.float64).ravel()
    if values.size == 0:
        raise ValueError("the series is empty")
    if not np.all(np.isfinite(values)):
        raise ValueError(f"the series has {int(np.sum(~np.isfinite(values)))} NaN or infinite values")
    return values


def _timeseries() -> ModuleType:
    """pymbar.timeseries without the advice it logs on import."""
    logger = logging.getLogger("pymbar")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        from pymbar import timeseries
    finally:
        logger.setLevel(level)
    return timeseries

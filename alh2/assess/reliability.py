"""How well stated uncertainties fit the errors: reliability diagram, miscalibration area, likelihood, coverage.

All functions take errors (n,) and standard deviations or half widths (n,) in one unit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

BINS = 10
"""Bins of equal counts for the expected normalised calibration error."""

LEAST_PER_BIN = 10


@dataclass(frozen=True, eq=False)
class ReliabilityCurve:
    """Observed fraction of errors inside central intervals of expected probability p; arrays (n_points,) from 0 to 1.

    Below the diagonal the committee is overconfident.
    """

    expected: np.ndarray
    observed: np.ndarray


def reliability_curve(error: np.ndarray, sigma: np.ndarray, *, n_points: int = 101) -> ReliabilityCurve:
    """Reliability diagram of Gaussian predictions (Kuleshov, Fenner and Ermon, ICML 2018, PMLR 80, 2796)."""
    probability = np.sort(_probabilities(error, sigma))
    expected = np.linspace(0.0, 1.0, n_points)
    observed = np.searchsorted(probability, expected, side="right") / max(1, probability.size)
    return ReliabilityCurve(expected, observed)


def miscalibration_area(error: np.ndarray, sigma: np.ndarray) -> float:
    """Area between reliability curve and diagonal, from 0 to 0.5 (Tran et al., Mach. Learn.: Sci. Technol. 2020, 1,
    025006); exact for the empirical curve, a step function. NaN without errors.

    n errors that are exactly as stated leave about 0.33/√n (the mean of ∫|Brownian bridge| is √(π/32) = 0.313).
    """
    if not error.size:
        return math.nan
    edges = np.concatenate([[0.0], np.sort(_probabilities(error, sigma)), [1.0]])
    level = np.arange(edges.size - 1) / error.size
    low, high = edges[:-1] - level, edges[1:] - level
    crossing = (low < 0) & (high > 0)
    area = np.where(crossing, (low**2 + high**2) / 2, np.abs(high**2 - low**2) / 2)
    return float(area.sum())


def negative_log_likelihood(error: np.ndarray, sigma: np.ndarray) -> float:
    """Mean of -ln N(error; 0, sigma²) per value, in the unit of the error; infinite where a sigma is 0 and an error
    not. NaN without errors.
    """
    if not error.size:
        return math.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        values = 0.5 * np.log(2 * math.pi * sigma**2) + 0.5 * (error / sigma) ** 2
    return math.inf if not np.isfinite(values).all() else float(values.mean())


def normalised_calibration_error(error: np.ndarray, sigma: np.ndarray) -> float | None:
    """Expected normalised calibration error: mean over bins of sigma, of equal counts, of |RMS sigma - RMS error| / RMS
    sigma (Levi et al., Sensors 2022, 22, 5540, eq. 8). None with fewer than two bins of ten values.
    """
    bins = min(BINS, error.size // LEAST_PER_BIN)
    if bins < 2:
        return None
    parts = np.array_split(np.argsort(sigma, kind="stable"), bins)
    stated = np.array([_rms(sigma[part]) for part in parts])
    found = np.array([_rms(error[part]) for part in parts])
    return float(np.mean(np.abs(stated - found) / stated)) if (stated > 0).all() else None


@dataclass(frozen=True)
class Coverage:
    """Fraction of errors within their half widths, and its standard error with frames as what is independent."""

    fraction: float
    error: float | None


def coverage(error: np.ndarray, half_width: np.ndarray, frame: np.ndarray) -> Coverage | None:
    """Coverage of intervals; values whose half width is infinite have no interval. None where none has one.

    frame : (n,) which frame each value belongs to. The standard error is that of a mean over frames; for one value per
    frame it is the binomial one, with one failure and one success added (Agresti and Coull) so that it is never 0.
    """
    stated = np.isfinite(half_width)
    if not stated.any():
        return None
    inside = np.abs(error[stated]) <= half_width[stated]
    number = np.unique(frame[stated], return_inverse=True)[1]
    n_frames = int(number.max()) + 1
    fraction = float(inside.mean())
    if n_frames == inside.size:
        shrunk = (inside.sum() + 1) / (inside.size + 2)
        return Coverage(fraction, math.sqrt(shrunk * (1 - shrunk) / (inside.size + 2)))
    if n_frames < 2:
        return Coverage(fraction, None)
    excess = np.bincount(number, weights=inside - fraction)
    return Coverage(fraction, math.sqrt(n_frames / (n_frames - 1) * float(np.sum(excess**2))) / inside.size)


def _probabilities(error: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Probability of the smallest central interval that holds each error, erf(|e| / (√2 sigma)), (n,)."""
    from scipy.special import erf

    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(error == 0, 0.0, np.abs(error) / sigma)
    return np.asarray(erf(ratio / math.sqrt(2)))


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))

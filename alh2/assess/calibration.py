"""Calibration of a committee: what its deviation says about its error.

A committee's deviation s is not its error: models that share data and descriptors share mistakes. On labels that the
committee has not seen, two numbers are fitted, the variance model

    sigma(s)^2 = floor^2 + (slope * s)^2

by maximum likelihood of Gaussian errors of mean zero. The floor is the error that the deviation does not see; with
floor 0 it is the usual scaling of the deviation, with slope 0 the deviation says nothing and the error is the same
everywhere. Two models make the floor necessary: their deviation is nearly zero now and then, and scaling alone would
promise an error of nearly zero there.

Intervals take no Gaussian for granted: their half width is q * sigma(s), with q the split-conformal quantile of
|error| / sigma(s) (Vovk et al., Algorithmic Learning in a Random World, 2005; Lei et al., J. Am. Stat. Assoc. 2018,
113, 1094, with the normalised score of its section 5.2). For frames that are exchangeable with those calibrated on, an
interval of level 1 - a covers with at least that probability, whatever the distribution, where there are at least
ceil((1 - a)/a) frames; with fewer the quantile is infinite. To use small samples whole, scores come from folds: each
frame's from a variance model fitted without it (cross-conformal; Vovk, Ann. Math. Artif. Intell. 2015, 74, 9). Below
some 30 frames that covers a little more than asked for, up to 0.93 for 0.9.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.9
"""Level of the stated intervals."""

SCORE_FOLDS = 10
"""Folds from which conformal scores come; frame number i is in fold i mod 10."""

TEST_FOLDS = 5
"""Folds on which a calibration is tested; frame number i is in fold i mod 5."""

MOST_FITTED = 5000
"""The variance model of a larger sample is fitted to so many values, evenly taken."""

GRID, REFINEMENTS = 21, 4


@dataclass(frozen=True, eq=False)
class DeviationSample:
    """Committee deviations and errors on labels that the committee has not seen.

    deviation : (n,) ≥ 0, standard deviation over models; error : (n,) committee mean minus label, in the same unit
    frame : (n,) integers, which frame each value belongs to: values of one frame are never told apart by a fold
    """

    deviation: np.ndarray
    error: np.ndarray
    frame: np.ndarray

    @property
    def n_frames(self) -> int:
        """Number of different frames."""
        return int(np.unique(self.frame).size)

    def part(self, keep: np.ndarray) -> DeviationSample:
        """The values that the mask or the indices `keep` name."""
        return DeviationSample(self.deviation[keep], self.error[keep], self.frame[keep])

    def finite(self) -> DeviationSample:
        """Without values that are not finite numbers (a single model has no deviation)."""
        return self.part(np.isfinite(self.deviation) & np.isfinite(self.error))


@dataclass(frozen=True)
class Calibration:
    """What a sample says about the error at a given deviation. Numbers have the unit of the error.

    factor : RMS error over RMS deviation, with its jackknife standard error over frames; None where nothing deviates
    slope, floor : of the variance model; quantile : of the intervals of level `confidence`, in units of sigma, None
        where the sample is too small for any; largest_deviation : of the sample, nothing is known beyond it
    """

    n_frames: int
    factor: float | None
    factor_error: float | None
    slope: float
    floor: float
    quantile: float | None
    largest_deviation: float
    confidence: float = CONFIDENCE

    def sigma(self, deviation: np.ndarray | float) -> np.ndarray:
        """RMS error expected at `deviation`, same shape."""
        return np.asarray(np.sqrt(self.floor**2 + (self.slope * np.asarray(deviation, dtype=float)) ** 2))

    def half_width(self, deviation: np.ndarray | float) -> np.ndarray:
        """Half width of the interval of level `confidence` at `deviation`, same shape; infinite without a quantile."""
        return np.asarray((math.inf if self.quantile is None else self.quantile) * self.sigma(deviation))

    def deviation_at(self, rms_error: float) -> float:
        """The deviation at which the expected RMS error reaches `rms_error`: 0 where it is larger everywhere.

        At most the largest deviation of the sample: beyond it the error has not been seen.
        """
        if self.floor >= rms_error:
            return 0.0
        rest = math.sqrt(rms_error**2 - self.floor**2)
        return min(self.largest_deviation, rest / self.slope) if self.slope > 0 else self.largest_deviation


def frames_needed(confidence: float = CONFIDENCE) -> int:
    """Least number of frames for which a conformal interval of that level is finite, ceil(c / (1 - c)): 9 for 0.9."""
    return math.ceil(round(confidence / (1.0 - confidence), 9))


def calibrate(sample: DeviationSample, *, confidence: float = CONFIDENCE) -> Calibration | None:
    """Calibration on `sample`; None with fewer than two frames. Values that are no numbers are left out."""
    sample = sample.finite()
    if sample.n_frames < 2:
        return None
    slope, floor = _variance_model(sample)
    factor, factor_error = _factor(sample)
    sigma = np.full(sample.error.shape, np.nan)
    for fold in _folds(sample, SCORE_FOLDS):
        sigma[fold] = _sigma(_variance_model(sample.part(~fold)), sample.deviation[fold])
    scores = np.abs(sample.error) / np.maximum(sigma, np.finfo(float).tiny)
    return Calibration(
        n_frames=sample.n_frames,
        factor=factor,
        factor_error=factor_error,
        slope=slope,
        floor=floor,
        quantile=conformal_quantile(scores, n_frames=sample.n_frames, confidence=confidence),
        largest_deviation=float(sample.deviation.max()),
        confidence=confidence,
    )


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """For each value of a sample, arrays (n,), what calibrations that did not see its frame say.

    half_width : infinite where the rest of the sample is too small for an interval
    """

    sigma: np.ndarray
    half_width: np.ndarray


@dataclass(frozen=True, eq=False)
class FoldedCalibration:
    """Calibrations that each leave a fold of the frames out.

    frames : (n_frames,) ascending; number i is in fold i mod the number of `calibrations`
    """

    frames: np.ndarray
    calibrations: tuple[Calibration | None, ...]

    def predict(self, sample: DeviationSample) -> OutOfFold:
        """Sigma and half width of values whose frames are among `frames`, each from the calibration without it."""
        sigma, half_width = np.full(sample.error.shape, np.nan), np.full(sample.error.shape, np.inf)
        number = np.searchsorted(self.frames, sample.frame) % max(1, len(self.calibrations))
        for k, calibration in enumerate(self.calibrations):
            if calibration is not None:
                sigma[number == k] = calibration.sigma(sample.deviation[number == k])
                half_width[number == k] = calibration.half_width(sample.deviation[number == k])
        return OutOfFold(sigma, half_width)


def calibrate_folds(sample: DeviationSample, *, confidence: float = CONFIDENCE) -> FoldedCalibration:
    """One calibration per fold of `sample`, on its other frames."""
    sample = sample.finite()
    rest = [calibrate(sample.part(~fold), confidence=confidence) for fold in _folds(sample, TEST_FOLDS)]
    return FoldedCalibration(np.unique(sample.frame), tuple(rest))


def conformal_quantile(scores: np.ndarray, *, n_frames: int, confidence: float = CONFIDENCE) -> float | None:
    """The ceil((n + 1) c)-th smallest of n scores (n,), None where that is more than n.

    With several scores per frame, frames are what is exchangeable: the rank is ceil(n (n_frames + 1) c / n_frames),
    the same for one score per frame.
    """
    n = scores.size
    rank = math.ceil(round(n * (n_frames + 1) * confidence / n_frames, 9)) if n_frames else n + 1
    return float(np.partition(scores, rank - 1)[rank - 1]) if rank <= n else None


def _folds(sample: DeviationSample, n_folds: int) -> list[np.ndarray]:
    """Masks (n,) of the folds."""
    number = np.unique(sample.frame, return_inverse=True)[1] % n_folds
    return [number == k for k in range(min(n_folds, sample.n_frames))]


def _sigma(model: tuple[float, float], deviation: np.ndarray) -> np.ndarray:
    slope, floor = model
    return np.asarray(np.sqrt(floor**2 + (slope * deviation) ** 2))


def _variance_model(sample: DeviationSample) -> tuple[float, float]:
    """(slope, floor) of largest Gaussian likelihood, both ≥ 0.

    With u = s² / <s²>, the variance is k (1 - w + w u); for given w the best k is the mean of e² / (1 - w + w u), which
    leaves a function of w in [0, 1], searched on a grid that is refined around its best point.
    """
    step = -(-sample.error.size // MOST_FITTED)
    square_error, square_deviation = sample.error[::step] ** 2, sample.deviation[::step] ** 2
    mean_square = float(square_deviation.mean())
    if not mean_square > 0 or not square_error.any():
        return 0.0, math.sqrt(float(square_error.mean()))
    u = square_deviation / mean_square
    low, high, weight, k = 0.0, 1.0, 0.0, 0.0
    for _ in range(REFINEMENTS):
        weights = np.linspace(low, high, GRID)
        with np.errstate(divide="ignore", invalid="ignore"):
            shape = 1.0 - weights[:, None] + weights[:, None] * u
            scales = (square_error / shape).mean(axis=1)
            losses = np.log(scales) + np.log(shape).mean(axis=1)
        best = int(np.argmin(np.where(np.isfinite(losses), losses, np.inf)))
        weight, k = float(weights[best]), float(scales[best])
        width = (high - low) / (GRID - 1)
        low, high = max(0.0, weight - width), min(1.0, weight + width)
    return math.sqrt(k * weight / mean_square), math.sqrt(k * (1.0 - weight))


def _factor(sample: DeviationSample) -> tuple[float | None, float | None]:
    """RMS error over RMS deviation and its delete-one-frame jackknife standard error."""
    frames = np.unique(sample.frame, return_inverse=True)[1]
    errors = np.bincount(frames, weights=sample.error**2)
    deviations = np.bincount(frames, weights=sample.deviation**2)
    if not deviations.sum() > 0:
        return None, None
    n, factor = errors.size, math.sqrt(errors.sum() / deviations.sum())
    left = deviations.sum() - deviations
    if not (left > 0).all():
        return factor, None
    without = np.sqrt(np.maximum(errors.sum() - errors, 0.0) / left)
    return factor, math.sqrt((n - 1) / n * float(np.sum((without - without.mean()) ** 2)))

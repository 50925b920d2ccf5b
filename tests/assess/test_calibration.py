"""Calibrations of synthetic committees whose errors are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from alh2.assess.calibration import (
    DeviationSample,
    calibrate,
    calibrate_folds,
    conformal_quantile,
    frames_needed,
)


def proportional(rng: np.random.Generator, n: int, factor: float, floor: float = 0.0) -> DeviationSample:
    """Errors that are Gaussian with sigma² = floor² + (factor × deviation)², exactly."""
    deviation = 0.02 * rng.lognormal(0.0, 0.7, n)
    error = np.sqrt(floor**2 + (factor * deviation) ** 2) * rng.standard_normal(n)
    return DeviationSample(deviation, error, np.arange(n))


@pytest.mark.physics
@pytest.mark.parametrize("n_models", [2, 4, 8])
@pytest.mark.parametrize("common", [0.0, 1.0, 4.0])
def test_scale_of_a_committee_is_recovered(synthetic, n_models, common):
    committee = synthetic(n_models, common)
    rng = np.random.default_rng(17)
    found = [calibrate(committee.draw(rng, 200)) for _ in range(100)]
    factors = np.array([c.factor for c in found])
    error = factors.std(ddof=1) / math.sqrt(factors.size)
    assert abs(factors.mean() / committee.factor - 1) < 0.05
    assert abs(factors.mean() - committee.factor) < 4 * error + 0.02 * committee.factor
    stated = np.mean([c.factor_error for c in found])
    assert stated == pytest.approx(factors.std(ddof=1), rel=0.3)  # the jackknife knows the scatter


@pytest.mark.physics
@pytest.mark.parametrize(("factor", "floor"), [(0.5, 0.0), (3.0, 0.0), (2.0, 0.04), (0.0, 0.03)])
def test_variance_model_is_recovered(factor, floor):
    found = calibrate(proportional(np.random.default_rng(2), 20_000, factor, floor))
    assert found.slope == pytest.approx(factor, rel=0.05, abs=0.15)
    assert found.floor == pytest.approx(floor, rel=0.05, abs=0.0025)
    at = found.deviation_at(0.08)
    if factor:
        expected = min(math.sqrt(0.08**2 - floor**2) / factor, found.largest_deviation)
        assert at == pytest.approx(expected, rel=0.05)
    else:
        assert at == pytest.approx(found.largest_deviation, rel=0.25) or at > 0


@pytest.mark.physics
@pytest.mark.parametrize("n_calibration", [30, 100])
@pytest.mark.parametrize("noise", ["committee of two", "heavy tails", "one-sided"])
def test_conformal_intervals_cover_nine_in_ten(synthetic, n_calibration, noise):
    """On average over draws, whatever the distribution: ceil(0.9 (n+1)) / (n+1) of new errors are inside."""
    committee = synthetic(2, 1.0)
    inside = []
    for seed in range(300):
        rng = np.random.default_rng([n_calibration, seed])
        sample = committee.draw(rng, n_calibration + 200)
        if noise == "heavy tails":
            sample = DeviationSample(sample.deviation, 0.02 * rng.standard_t(2, sample.error.size), sample.frame)
        if noise == "one-sided":
            sample = DeviationSample(sample.deviation, rng.exponential(sample.deviation + 0.01), sample.frame)
        known = calibrate(sample.part(np.arange(n_calibration)))
        new = sample.part(np.arange(n_calibration, n_calibration + 200))
        inside.append(np.mean(np.abs(new.error) <= known.half_width(new.deviation)))
    assert np.mean(inside) == pytest.approx(0.90, abs=0.02)


@pytest.mark.physics
@pytest.mark.parametrize("n_calibration", [9, 20])
def test_intervals_of_small_samples_cover_rather_more(synthetic, n_calibration):
    inside = []
    for seed in range(300):
        sample = synthetic(2, 1.0).draw(np.random.default_rng([n_calibration, seed]), n_calibration + 200)
        known = calibrate(sample.part(np.arange(n_calibration)))
        new = sample.part(np.arange(n_calibration, n_calibration + 200))
        inside.append(np.mean(np.abs(new.error) <= known.half_width(new.deviation)))
    assert 0.89 < np.mean(inside) < 0.935


@pytest.mark.physics
def test_values_of_one_frame_count_as_one_where_they_are_alike(synthetic):
    committee = synthetic(2, 1.5)
    inside = []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        known = calibrate(committee.draw(rng, 40, per_frame=30))
        new = committee.draw(rng, 40, per_frame=30)
        inside.append(np.mean(np.abs(new.error) <= known.half_width(new.deviation)))
    assert np.mean(inside) == pytest.approx(0.90, abs=0.02)


@pytest.mark.physics
def test_intervals_from_other_folds_cover_nine_in_ten(synthetic):
    committee = synthetic(8, 2.0)
    inside, squares = [], []
    for seed in range(60):
        sample = committee.draw(np.random.default_rng(seed), 100)
        out = calibrate_folds(sample).predict(sample)
        inside.append(np.mean(np.abs(sample.error) <= out.half_width))
        squares.append(np.mean((sample.error / out.sigma) ** 2))
    assert np.mean(inside) == pytest.approx(0.90, abs=0.02)
    assert np.mean(squares) == pytest.approx(1.0, abs=0.12)  # sigma is an RMS error


def test_no_calibration_has_seen_what_it_predicts():
    rng = np.random.default_rng(3)
    sample = proportional(rng, 50, 1.0, 0.01)
    clean = calibrate_folds(sample).predict(sample)
    sample.error[7] *= 1e6
    spoilt = calibrate_folds(sample).predict(sample)
    fold = np.arange(50) % 5 == 7 % 5
    np.testing.assert_array_equal(spoilt.sigma[fold], clean.sigma[fold])
    assert (spoilt.sigma[~fold] > 10 * clean.sigma[~fold]).all()


def test_rank_of_the_conformal_quantile():
    scores = np.arange(1.0, 31.0)
    assert frames_needed() == 9 and frames_needed(0.95) == 19
    assert conformal_quantile(scores, n_frames=30) == 28.0  # ceil(31 × 0.9)
    assert conformal_quantile(scores[:9], n_frames=9) == 9.0
    assert conformal_quantile(scores[:8], n_frames=8) is None
    assert conformal_quantile(scores, n_frames=10) == 30.0  # three values a frame: ceil(30 × 0.99)
    assert conformal_quantile(scores, n_frames=8) is None
    assert conformal_quantile(scores[:0], n_frames=0) is None


def test_small_samples_state_no_interval():
    few = calibrate(proportional(np.random.default_rng(1), 8, 1.0))
    assert few.quantile is None and np.isinf(few.half_width(np.array([0.1, 0.2]))).all()
    assert calibrate(proportional(np.random.default_rng(1), 1, 1.0)) is None
    same_frame = DeviationSample(np.ones(50), np.ones(50), np.zeros(50, dtype=int))
    assert calibrate(same_frame) is None


def test_deviations_that_say_nothing():
    rng = np.random.default_rng(4)
    error = 0.03 * rng.standard_normal(200)
    none = calibrate(DeviationSample(np.zeros(200), error, np.arange(200)))
    assert none.factor is None and none.factor_error is None and none.slope == 0.0
    assert none.floor == pytest.approx(np.sqrt(np.mean(error**2)))
    single = DeviationSample(np.full(200, np.nan), error, np.arange(200))
    assert calibrate(single) is None
    exact = calibrate(DeviationSample(np.ones(30), np.zeros(30), np.arange(30)))
    assert (exact.factor, exact.slope, exact.floor, exact.quantile) == (0.0, 0.0, 0.0, 0.0)
    one_zero = DeviationSample(np.r_[0.0, np.full(199, 0.01)], error, np.arange(200))
    assert calibrate(one_zero).floor > 0  # a deviation of zero beside an error: no scaling explains it


def test_levels_for_a_target_error():
    known = calibrate(proportional(np.random.default_rng(5), 5000, 2.0, 0.02))
    assert known.deviation_at(0.5 * known.floor) == 0.0
    assert known.deviation_at(known.floor) == 0.0
    assert known.deviation_at(1e9) == known.largest_deviation
    for target in (0.03, 0.05, 0.08):
        assert known.sigma(known.deviation_at(target)) == pytest.approx(target)

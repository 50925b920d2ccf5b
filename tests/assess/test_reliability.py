"""Measures of calibration against numbers worked out by hand or in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from alh2.assess.reliability import (
    coverage,
    miscalibration_area,
    negative_log_likelihood,
    normalised_calibration_error,
    reliability_curve,
)


def at_probability(p: float) -> float:
    """The error, in units of sigma, at the edge of the central interval of probability p."""
    from scipy.special import erfinv

    return math.sqrt(2) * float(erfinv(p))


def test_area_of_one_error_by_hand():
    one = np.ones(1)
    assert miscalibration_area(at_probability(0.3) * one, one) == pytest.approx((0.3**2 + 0.7**2) / 2)
    assert miscalibration_area(np.zeros(1), one) == pytest.approx(0.5)
    assert miscalibration_area(one, np.zeros(1)) == pytest.approx(0.5)
    assert math.isnan(miscalibration_area(np.zeros(0), np.zeros(0)))


def test_area_of_four_errors_by_hand():
    errors = np.array([at_probability(p) for p in (0.8, 0.1, 0.5, 0.2)])
    fine = np.linspace(0, 1, 2_000_001)
    steps = np.searchsorted([0.1, 0.2, 0.5, 0.8], fine, side="right") / 4
    assert miscalibration_area(errors, np.ones(4)) == pytest.approx(np.abs(steps - fine).mean(), abs=1e-6)


@pytest.mark.physics
@pytest.mark.parametrize("ratio", [0.25, 0.5, 2.0, 4.0])
def test_area_of_a_wrong_scale_is_known(ratio):
    """Errors `ratio` times as large as stated: |2/π arctan(ratio) - 1/2|."""
    error = ratio * np.random.default_rng(1).standard_normal(100_000)
    exact = abs(2 / math.pi * math.atan(ratio) - 0.5)
    assert miscalibration_area(error, np.ones(100_000)) == pytest.approx(exact, abs=0.004)
    curve = reliability_curve(error, np.ones(100_000))
    assert curve.expected[0] == 0.0 and curve.observed[-1] == 1.0 and (np.diff(curve.observed) >= 0).all()
    below = (curve.observed - curve.expected)[1:-1]
    assert (below < 0).all() if ratio > 1 else (below > 0).all()


@pytest.mark.physics
def test_right_scale_leaves_the_area_of_chance():
    areas = [miscalibration_area(np.random.default_rng(seed).standard_normal(400), np.ones(400)) for seed in range(200)]
    assert np.mean(areas) == pytest.approx(math.sqrt(math.pi / 32) / math.sqrt(400), rel=0.1)


def test_likelihood_of_a_gaussian():
    error = 0.02 * np.random.default_rng(2).standard_normal(200_000)
    entropy = 0.5 * math.log(2 * math.pi * math.e * 0.02**2)
    assert negative_log_likelihood(error, np.full(error.size, 0.02)) == pytest.approx(entropy, abs=0.01)
    right = negative_log_likelihood(error, np.full(error.size, 0.02))
    assert right < negative_log_likelihood(error, np.full(error.size, 0.03))
    assert right < negative_log_likelihood(error, np.full(error.size, 0.013))
    assert negative_log_likelihood(np.ones(2), np.array([1.0, 0.0])) == math.inf
    assert math.isnan(negative_log_likelihood(np.zeros(0), np.zeros(0)))


def test_normalised_calibration_error():
    rng = np.random.default_rng(3)
    sigma = rng.lognormal(0, 0.5, 50_000)
    error = sigma * rng.standard_normal(50_000)
    assert normalised_calibration_error(error, sigma) == pytest.approx(0.0, abs=0.02)
    assert normalised_calibration_error(error, 2 * sigma) == pytest.approx(0.5, abs=0.02)
    assert normalised_calibration_error(error, sigma / 2) == pytest.approx(1.0, abs=0.04)
    assert normalised_calibration_error(error[:19], sigma[:19]) is None
    assert normalised_calibration_error(error, np.zeros(50_000)) is None


def test_coverage_counts_frames():
    error, half = np.array([1.0, -2.0, 3.0, 0.5]), np.array([1.0, 1.0, 4.0, np.inf])
    found = coverage(error, half, np.arange(4))
    assert found.fraction == pytest.approx(2 / 3)  # the last states no interval
    assert found.error == pytest.approx(math.sqrt(0.6 * 0.4 / 5))
    assert coverage(error, np.full(4, np.inf), np.arange(4)) is None
    assert coverage(error, np.full(4, 9.0), np.zeros(4)).error is None


@pytest.mark.physics
def test_error_of_coverage_knows_that_values_of_a_frame_are_alike():
    fractions, stated = [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        frame = np.repeat(np.arange(30), 20)
        error = rng.standard_normal(30)[frame] + 0.3 * rng.standard_normal(600)
        found = coverage(error, np.full(600, 1.5), frame)
        fractions.append(found.fraction)
        stated.append(found.error)
    assert np.mean(stated) == pytest.approx(np.std(fractions), rel=0.15)

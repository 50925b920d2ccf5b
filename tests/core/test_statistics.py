"""Errors of correlated series against exact results."""

from __future__ import annotations

import math

import numpy as np
import pytest

from alh2.core.statistics import (
    FAST_FROM,
    Estimate,
    block_error,
    cautious_mean_and_error,
    combine_replicas,
    equilibration_length,
    mean_and_error,
    statistical_inefficiency,
)


def ar1(rng: np.random.Generator, n: int, phi: float) -> np.ndarray:
    """x_t = phi x_(t-1) + noise with unit stationary variance, started in the stationary distribution."""
    noise = rng.normal(size=n) * math.sqrt(1 - phi**2)
    values = np.empty(n)
    values[0] = rng.normal()
    for t in range(1, n):
        values[t] = phi * values[t - 1] + noise[t]
    return values


def exact_error(n: int, phi: float) -> float:
    """Standard error of the mean of n values of a unit-variance AR(1) process, exact for every n."""
    lags = np.arange(1, n)
    return math.sqrt((1 + 2 * np.sum((1 - lags / n) * phi**lags)) / n)


@pytest.mark.physics
@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_error_of_ar1_is_the_exact_one(phi: float) -> None:
    n, replicas = 3000, 150
    rng = np.random.default_rng(11)
    estimates = [mean_and_error(ar1(rng, n, phi)) for _ in range(replicas)]
    exact = exact_error(n, phi)
    squares = np.array([e.standard_error**2 for e in estimates])
    mean, error = squares.mean(), squares.std(ddof=1) / math.sqrt(replicas)
    assert abs(mean - exact**2) < 4 * error + 0.03 * exact**2
    scores = np.array([e.mean / e.standard_error for e in estimates])
    assert abs(scores.mean()) < 4 / math.sqrt(replicas)
    assert 0.82 < scores.std(ddof=1) < 1.25  # 1 ± 4 standard errors of a standard deviation, 1/sqrt(2·150) = 0.058
    expected_g = (1 + phi) / (1 - phi)
    assert np.mean([n / e.n_effective for e in estimates]) == pytest.approx(expected_g, rel=0.12)


@pytest.mark.physics
@pytest.mark.parametrize("phi", [0.0, 0.9, 0.99])
def test_error_of_a_series_long_enough_for_the_coarse_lags(phi: float) -> None:
    n, copies = 60_000, 12
    estimates = [mean_and_error(ar1(np.random.default_rng(copy), n, phi)) for copy in range(copies)]
    exact = exact_error(n, phi)
    assert n > FAST_FROM
    assert np.mean([e.standard_error for e in estimates]) == pytest.approx(exact, rel=0.12)
    assert np.std([e.mean for e in estimates]) == pytest.approx(exact, rel=0.7)


def test_naive_error_would_be_far_too_small_for_a_slow_series() -> None:
    values = ar1(np.random.default_rng(3), 4000, 0.98)
    naive = values.std(ddof=1) / math.sqrt(values.size)
    assert mean_and_error(values).standard_error > 5 * naive


def test_block_error_agrees_with_the_exact_one() -> None:
    rng = np.random.default_rng(5)
    squares = np.array([block_error(ar1(rng, 4000, 0.8), n_blocks=10).standard_error ** 2 for _ in range(100)])
    assert abs(squares.mean() - exact_error(4000, 0.8) ** 2) < 4 * squares.std(ddof=1) / 10 + 0.05 * squares.mean()


@pytest.mark.physics
@pytest.mark.parametrize("n", [1250, 5000, 20_000])
def test_cautious_errors_hold_where_a_fast_mode_hides_a_slow_one(n: int) -> None:
    """Correlation times of 5 and 100 values, most of the variance in the fast mode."""
    rng = np.random.default_rng(21)
    fast, slow = math.exp(-1 / 5), math.exp(-1 / 100)
    runs = [0.7 * ar1(rng, n, fast) + 0.25 * ar1(rng, n, slow) for _ in range(200)]
    cautious = [cautious_mean_and_error(run) for run in runs]
    plain = [mean_and_error(run) for run in runs]
    held, plainly = (np.mean([abs(e.mean) <= 1.96 * e.standard_error for e in found]) for found in (cautious, plain))
    assert held >= 0.9 and held > plainly
    assert all(c.standard_error >= p.standard_error and c.mean == p.mean for c, p in zip(cautious, plain, strict=True))
    exact = math.hypot(0.7 * exact_error(n, fast), 0.25 * exact_error(n, slow))
    assert float(np.sqrt(np.mean([e.standard_error**2 for e in cautious]))) < 1.6 * exact


def test_cautious_errors_by_hand() -> None:
    """Five blocks of means 0, 4, 0, 4, 2: standard error 2/√5, t of four degrees 2.776."""
    series = np.repeat([0.0, 4.0, 0.0, 4.0, 2.0], 8)
    found = cautious_mean_and_error(series)
    assert found.standard_error == pytest.approx(2 / math.sqrt(5) * 2.7764451 / 1.9599640, rel=1e-6)
    assert cautious_mean_and_error([1.0, 2.0, 3.0]) == mean_and_error([1.0, 2.0, 3.0])
    assert cautious_mean_and_error([3.0] * 50).standard_error == 0.0


def test_block_error_by_hand() -> None:
    estimate = block_error([9.0, 1.0, 3.0, 5.0, 7.0], n_blocks=2)
    assert (estimate.mean, estimate.n_samples, estimate.n_discarded) == (4.0, 4, 1)
    assert estimate.standard_error == pytest.approx(2.0)  # blocks 2 and 6: deviation sqrt(8), over sqrt(2)
    with pytest.raises(ValueError, match="blocks"):
        block_error([1.0, 2.0], n_blocks=3)


def test_constant_single_and_bad_series() -> None:
    assert mean_and_error([3.0] * 50) == Estimate(3.0, 0.0, 1.0, 50)
    assert mean_and_error([0.1] * 7).standard_error == 0.0
    assert mean_and_error(np.full(100, 3)).n_effective == 1.0
    single = mean_and_error([2.0])
    assert single.mean == 2.0 and math.isnan(single.standard_error)
    assert statistical_inefficiency([1.0, 1.0]) == 1.0
    for bad in ([], [1.0, math.nan], [1.0, math.inf]):
        with pytest.raises(ValueError, match="series"):
            mean_and_error(bad)


def test_series_that_never_decorrelates_keeps_its_own_spread_as_error() -> None:
    ramp = np.linspace(0, 1, 200)
    estimate = mean_and_error(ramp)
    assert estimate.n_effective == pytest.approx(2.0, abs=1.5)
    assert estimate.standard_error > 0.1
    assert mean_and_error([0.0, 1.0]).standard_error == pytest.approx(0.5)


def test_transient_is_detected_and_dropped() -> None:
    rng = np.random.default_rng(8)
    settled = ar1(rng, 3000, 0.5)
    start = 20 * np.exp(-np.arange(300) / 60)
    estimate = mean_and_error(np.concatenate([start, settled]), discard_equilibration=True)
    assert 150 < estimate.n_discarded < 900
    assert abs(estimate.mean) < 4 * estimate.standard_error
    whole = mean_and_error(np.concatenate([start, settled]))
    assert whole.n_discarded == 0 and whole.mean > 0.3
    assert mean_and_error([5.0] * 100, discard_equilibration=True).n_discarded == 0


@pytest.mark.physics
def test_errors_of_short_correlated_series_hold_where_transients_are_looked_for() -> None:
    """Thirty correlation times, no transient: about 95 % of the intervals hold the mean, and little is dropped."""
    rng = np.random.default_rng(12)
    found = [mean_and_error(ar1(rng, 3000, 0.98), discard_equilibration=True) for _ in range(200)]
    held = np.mean([abs(e.mean) <= 1.96 * e.standard_error for e in found])
    assert held > 0.88
    assert np.mean([e.n_discarded for e in found]) < 100
    spread = float(np.sqrt(np.mean([e.mean**2 for e in found])))
    assert spread == pytest.approx(exact_error(3000, 0.98), rel=0.15)


def test_a_series_that_settles_on_one_value_is_used_from_there() -> None:
    rising = np.concatenate([np.linspace(0.0, 16.0, 300), np.full(700, 16.0)])
    assert equilibration_length(rising) == 300
    assert equilibration_length(np.full(100, 2.0)) == 0 and equilibration_length(np.arange(10.0)) == 0


def test_replicas_in_different_basins_show_their_scatter() -> None:
    stuck = [Estimate(2.0, 0.01, 100, 1000), Estimate(4.0, 0.01, 100, 1000)]
    assert combine_replicas(stuck).standard_error == pytest.approx(1.0)
    agreeing = [Estimate(2.0, 0.3, 100, 1000), Estimate(2.0, 0.4, 100, 1000)]
    combined = combine_replicas(agreeing)
    assert combined.standard_error == pytest.approx(0.25) and combined.n_samples == 2000
    assert combine_replicas(agreeing[:1]) == agreeing[0]
    with pytest.raises(ValueError, match="no estimates"):
        combine_replicas([])


def test_nothing_is_printed_on_import(capfd: pytest.CaptureFixture[str]) -> None:
    import subprocess
    import sys

    code = "from alh2.core.statistics import mean_and_error; mean_and_error([1, 2, 1, 3, 2, 4])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""

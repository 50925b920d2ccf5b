"""The statistics of the label-efficiency benchmark, on learning curves whose ratio is known."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

LABELS = np.array([24.0, 40.0, 56.0, 72.0])


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The benchmark's module."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("label_efficiency")


def curves(ratio: float, *, noise: float, n_seeds: int, seed: int = 1) -> dict[str, np.ndarray]:
    """Random pick learns as n^-1/2; the other reaches its last error with `ratio` of the picked labels."""
    rng = np.random.default_rng(seed)
    needed = LABELS[0] + ratio * (LABELS[-1] - LABELS[0])
    power = 0.5 * np.log(LABELS[-1] / LABELS[0]) / np.log(needed / LABELS[0])
    found = {}
    for method, exponent in (("random", 0.5), ("diverse", power)):
        errors = (LABELS / LABELS[0]) ** -exponent * np.exp(noise * rng.standard_normal((n_seeds, len(LABELS))))
        found[method] = np.stack([np.broadcast_to(LABELS, errors.shape), errors, 0.1 * errors], axis=2)
    return found


@pytest.mark.parametrize("ratio", [0.4, 0.6, 1.0, 1.3])
def test_ratio_of_known_curves(benchmark: Any, ratio: float) -> None:
    exact = curves(ratio, noise=0.0, n_seeds=3)
    for column in (1, 2):
        found, error = benchmark.with_error(exact, column)
        assert found == pytest.approx(ratio, rel=1e-9) and error == pytest.approx(0.0, abs=1e-9)


def test_standard_error_covers_the_scatter(benchmark: Any) -> None:
    answers = np.array([benchmark.with_error(curves(0.6, noise=0.03, n_seeds=5, seed=s), 1) for s in range(200)])
    scatter = answers[:, 0].std()
    assert np.sqrt(np.mean(answers[:, 1] ** 2)) == pytest.approx(scatter, rel=0.25)
    assert answers[:, 0].mean() == pytest.approx(0.6, abs=4 * scatter / np.sqrt(200) + 0.01)


def test_errors_that_do_not_fall_never_reach_it(benchmark: Any) -> None:
    flat = curves(0.5, noise=0.0, n_seeds=2)
    flat["diverse"][:, :, 1] = 1.0 + 0.001 * LABELS
    results = [{m: flat[m][i].tolist() for m in flat} for i in range(2)]
    line = benchmark.summary(results, benchmark.SHORT, 1.0)
    assert line["ratio"] is None and line["ratio_force"][0] is None and line["passed"] is False
    assert line["ratio_insertion"][0] == pytest.approx(0.5)

"""The matrix product and tanh: right, and the same to the last bit whatever else is evaluated beside a row."""

from __future__ import annotations

import numpy as np
import pytest

from alh2.potential.simd import DEPTH, LANES, PANEL, ROWS, add_product, pack, tanh_rows


@pytest.mark.parametrize("n_rows", [1, 2, 3, ROWS - 1, ROWS, 2 * ROWS + 5, 101])
@pytest.mark.parametrize("n_in", [1, DEPTH, 2 * DEPTH + 7])
def test_product_equals_numpy_and_rows_do_not_depend_on_each_other(n_rows: int, n_in: int) -> None:
    rng = np.random.default_rng(n_rows + n_in)
    n_out = PANEL + 3
    a, w = rng.normal(size=(n_rows, n_in + 2)), rng.normal(size=(n_in, n_out))
    panels = pack(w)
    start = rng.normal(size=(n_rows, panels.shape[0] * PANEL))
    c = start.copy()
    add_product(a, n_rows, panels, c)
    exact = start[:, :n_out] + a[:, :n_in] @ w
    bound = 4e-16 * (np.abs(a[:, :n_in]) @ np.abs(w) + np.abs(start[:, :n_out])) * np.sqrt(n_in + 1)
    assert (np.abs(c[:, :n_out] - exact) <= bound).all()
    np.testing.assert_array_equal(c[:, n_out:], start[:, n_out:])
    for i in range(n_rows):
        alone = start[i : i + 1].copy()
        add_product(np.ascontiguousarray(a[i : i + 1]), 1, panels, alone)
        np.testing.assert_array_equal(alone[0], c[i])


def test_rows_beyond_those_asked_for_stay() -> None:
    a, c = np.ones((4, 3)), np.zeros((4, PANEL))
    add_product(a, 2, pack(np.ones((3, PANEL))), c)
    assert (c[:2] == 3.0).all() and (c[2:] == 0.0).all()


def test_tanh_is_right_to_rounding_everywhere() -> None:
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e300, -1e300, 5e-324, 22.4, 22.6]
    x = np.concatenate([np.linspace(-30, 30, 60_001), np.logspace(-18, 0, 997), special])
    width = LANES * 7
    padded = np.concatenate([x, np.zeros(-len(x) % width)]).reshape(-1, width)
    y = padded.copy()
    tanh_rows(y, len(y), width)
    np.testing.assert_allclose(y, np.tanh(padded), rtol=0, atol=3e-16)
    assert np.signbit(y.ravel()[60_001 + 997 + 1])
    before = y.copy()
    tanh_rows(y, 0, width)
    np.testing.assert_array_equal(y, before)

"""Tables of embedding networks: the stated error is the real one."""

from __future__ import annotations

import numpy as np

from alh2.potential.embedding_table import DEGREE, TOLERANCE, build_tables
from alh2.potential.networks import Layer, Network


def network(act, scale: float) -> Network:
    rng = np.random.default_rng(9)
    one = Layer(scale * rng.normal(size=(1, 8)), rng.normal(size=8), None, act, 0)
    two = Layer(rng.normal(size=(8, 16)) / 3, rng.normal(size=16), None, act, 2)
    return Network((one, two))


def test_tables_reach_the_tolerance_at_points_of_their_own() -> None:
    nets = (network(np.tanh, 1.0), network(np.tanh, 4.0))
    ranges = np.array([[-0.5, 20.0], [-1.0, 30.0]])
    tables = build_tables(nets, ranges)
    assert tables is not None and tables.error <= TOLERANCE
    assert tables.intervals[1] > tables.intervals[0]
    s = np.random.default_rng(1).uniform(-0.5, 20.0, 4000)
    for k, net in enumerate(nets):
        x = (s - tables.lowest[k]) * tables.per_width[k]
        i = np.floor(x).astype(int)
        u = 2 * (x - i) - 1
        block = tables.coefficients[tables.first[k] + i]
        value = sum(block[:, p] * u[:, None] ** p for p in range(DEGREE + 1))
        exact = net(s[:, None])
        assert np.abs(value - exact).max() < 10 * TOLERANCE * np.abs(exact).max()


def test_networks_with_kinks_get_no_table() -> None:
    net = network(lambda x: np.maximum(x, 0.0), 1.0)
    assert build_tables((net,), np.array([[-0.5, 20.0]])) is None

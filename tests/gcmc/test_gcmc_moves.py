"""Proposals by themselves: detailed balance holds exactly, and what is drawn is drawn evenly."""

from __future__ import annotations

import math

import numpy as np
import pytest

from alh2.gcmc import MoveWeights
from alh2.gcmc.geometry import PeriodicCell
from alh2.gcmc.moves import Deletion, Ensemble, Insertion, RotationMove, Translation, weighted_moves
from alh2.gcmc.walker import MOVE_NAMES, UniformStream, Walker


def ensemble(body=((0.0, 0.0, -0.37), (0.0, 0.0, 0.37)), max_molecules=None) -> Ensemble:
    cell = PeriodicCell(np.array([[9.0, 0.0, 0.0], [3.5, 8.0, 0.0], [-2.0, 3.0, 7.0]]))
    return Ensemble(cell, body, 150.0, math.log(2.3), -31.7, max_molecules, None)


def walker(n: int, shared: Ensemble | None = None) -> Walker:
    shared = shared or ensemble()
    made = Walker(UniformStream(np.random.default_rng(5)), [], 0.0, 0.5, 0.8)
    for _ in range(n):
        made.guests.append(Insertion().propose(made, shared).insert_ang)
    return made


@pytest.mark.physics
@pytest.mark.parametrize("n", range(6))
def test_insertion_and_deletion_are_each_others_inverse(n):
    """acc(N → N+1) / acc(N+1 → N) = βfV/(N+1) · exp(-βΔU), to rounding."""
    shared = ensemble()
    there = Insertion().propose(walker(n), shared)
    back = Deletion().propose(walker(n + 1), shared)
    assert there.log_weight == pytest.approx(math.log(2.3 / (n + 1)))
    assert there.log_weight + back.log_weight == pytest.approx(0.0, abs=1e-14)
    assert there.energy_shift_ev + back.energy_shift_ev == 0.0 and there.energy_shift_ev == 31.7
    assert there.remove is None and back.insert_ang is None


def test_impossible_moves_propose_nothing():
    shared = ensemble(max_molecules=2)
    for move in (Deletion(), Translation(), RotationMove()):
        assert move.propose(walker(0), shared) is None
    assert Insertion().propose(walker(2), shared) is None
    single = ensemble(body=((0.0, 0.0, 0.0),))
    assert RotationMove().propose(walker(2, single), single) is None


@pytest.mark.parametrize("move", [Deletion(), Translation(), RotationMove()])
def test_every_molecule_is_picked_alike(move):
    made, shared, n_draws = walker(4), ensemble(), 20_000
    picked = np.bincount([move.propose(made, shared).remove for _ in range(n_draws)], minlength=4)
    assert np.abs(picked - n_draws / 4).max() < 4.0 * math.sqrt(n_draws * 3 / 16)


def test_displacements_are_even_and_symmetric():
    made, shared, n_draws = walker(1), ensemble(), 20_000
    inverse, matrix = shared.cell.inverse, shared.cell.matrix_ang
    moved = np.array([Translation().propose(made, shared).insert_ang for _ in range(n_draws)]) - made.guests[0]
    moved -= np.round(moved @ inverse) @ matrix
    assert moved[:, 0] == pytest.approx(moved[:, 1], abs=1e-12)
    steps = moved[:, 0]
    assert np.abs(steps).max() <= 0.5
    assert np.abs(steps.mean(axis=0)).max() < 4.0 * 1.0 / math.sqrt(12.0 * n_draws)
    assert steps.var(axis=0) == pytest.approx(1.0 / 12.0, rel=0.03)


def test_turns_are_symmetric_and_within_the_largest_angle():
    made, shared, n_draws = walker(1), ensemble(), 20_000
    axis = made.guests[0][1] - made.guests[0][0]
    turned = np.array([RotationMove().propose(made, shared).insert_ang for _ in range(n_draws)])
    axes = turned[:, 1] - turned[:, 0]
    assert turned.mean(axis=1) == pytest.approx(np.tile(made.guests[0].mean(axis=0), (n_draws, 1)))
    cosines = axes @ axis / 0.74**2
    assert cosines.min() >= math.cos(0.8) - 1e-12
    across = axes - cosines[:, None] * axis
    assert np.abs(across.mean(axis=0)).max() < 4.0 * across.std() / math.sqrt(n_draws)


def test_table_of_moves_follows_the_weights():
    table = weighted_moves(MoveWeights(1.0, 1.0, 0.0, 2.0))
    assert [(MOVE_NAMES[index], edge) for edge, index, _ in table] == [
        ("insertion", 0.25),
        ("deletion", 0.5),
        ("rotation", math.inf),
    ]

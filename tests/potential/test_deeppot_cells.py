"""DeepPot in cells whose vectors are left-handed: the lattice is the same, so is the energy."""

from __future__ import annotations

import numpy as np
import pytest

from alh2.potential.deeppot import DeepPotEvaluator, right_handed


def test_left_handed_cells_have_the_energy_of_their_lattice(trained_committee, node_start):
    evaluator = DeepPotEvaluator(trained_committee.members[0].frozen)
    tilted = node_start.cell_ang + np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 2.0], [0.0, 0.0, 0.0]])
    small = 0.65 * tilted  # the node reaches into its images
    left = small[[1, 0, 2]]
    assert np.linalg.det(small) > 0.0 > np.linalg.det(left)
    symbols, positions = node_start.symbols, node_start.positions_ang
    energies, forces = evaluator.raw(symbols, np.array([positions] * 3), np.array([small, left, tilted]))
    assert abs(energies[2] - energies[0]) > 1e-5, "the images must matter"
    assert energies[1] == pytest.approx(energies[0], abs=1e-8)
    assert forces[1] == pytest.approx(forces[0], abs=1e-7)


def test_right_handed_spans_the_same_lattice():
    cells = np.random.default_rng(1).normal(size=(20, 3, 3))
    turned = right_handed(cells)
    assert (np.linalg.det(turned) > 0.0).all() and (np.linalg.det(cells) < 0.0).any()
    whole = turned @ np.linalg.inv(cells)
    assert whole == pytest.approx(np.round(whole), abs=1e-9)
    assert abs(np.linalg.det(whole)) == pytest.approx(1.0)

"""The node against the crystal it comes from and the trajectories computed for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.io import read

from alh2.core.errors import BadInputError
from alh2.structure.cluster import carve_node
from alh2.structure.crystal import build_al_soc_mof
from alh2.structure.topology import bonded_pairs, coordination_numbers, fragments, shortest_contact_ang

NODE = Path(__file__).resolve().parents[2] / "examples" / "data" / "node-gfn1" / "aimd77-0h2.extxyz"


def test_composition_and_valences():
    node = carve_node()
    assert node.get_chemical_formula(mode="hill") == "C6H7Al3O14" and len(node) == 30
    degree = coordination_numbers(node)
    assert degree[:4].tolist() == [3, 6, 5, 5]
    assert set(degree[4:17]) == {2} and set(degree[17:23]) == {3} and set(degree[23:]) == {1}
    assert set(fragments(node)) == {0}
    assert shortest_contact_ang(node) > 0.9
    assert np.allclose(node.cell.array, np.eye(3) * 16.0) and np.allclose(node.positions[0], 8.0)


@pytest.mark.skipif(not NODE.exists(), reason=f"{NODE} is not here")
def test_same_order_and_bonds_as_the_stored_trajectory():
    node = carve_node()
    for frame in read(NODE, index="::10"):
        assert frame.get_chemical_symbols() == node.get_chemical_symbols()
        assert np.array_equal(bonded_pairs(frame), bonded_pairs(node))
        moved = (frame.positions - node.positions)[:23]
        assert np.linalg.norm(moved - moved.mean(axis=0), axis=1).max() < 1.0


def test_framework_part_is_the_crystals():
    crystal, node = build_al_soc_mof(), carve_node()
    oxo = 416
    vectors = crystal.get_distances(oxo, range(len(crystal)), mic=True, vector=True)
    relative = node.positions - node.positions[0]
    for k in range(24):
        same = np.flatnonzero(crystal.numbers == node.numbers[k])
        assert np.linalg.norm(vectors[same] - relative[k], axis=1).min() < 1e-9
    carbons = crystal.numbers == 6
    for carbon, hydrogen in bonded_pairs(node):
        if node.symbols[carbon] == "C" and node.symbols[hydrogen] == "H":
            bond = relative[hydrogen] - relative[carbon]
            assert np.linalg.norm(bond) == pytest.approx(1.10)
            removed = vectors[carbons] - relative[carbon]
            lengths = np.linalg.norm(removed, axis=1)
            linker = removed[np.argsort(lengths)[1]] / np.sort(lengths)[1]
            assert bond @ linker / 1.10 == pytest.approx(1.0)


def test_lattice_and_box_are_free():
    node = carve_node(lattice_ang=22.0, box_ang=20.0)
    assert np.allclose(node.cell.lengths(), 20.0)
    assert node.get_distance(1, 16) == pytest.approx(1.75)
    ratio = node.get_distance(0, 2) / carve_node().get_distance(0, 2)
    assert ratio == pytest.approx(22.0 / 21.67)


@pytest.mark.parametrize("box_ang", [5.0, 0.0, float("nan"), "16"])
def test_box_too_small(box_ang):
    with pytest.raises(BadInputError, match="box around the node: expected at least 10.7 Å, found"):
        carve_node(box_ang=box_ang)


def test_impossible_lattice():
    with pytest.raises(BadInputError, match="lattice parameter"):
        carve_node(lattice_ang=1.0)

"""Bonds, free H2 and atom order against brute force and against real frames."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.data import covalent_radii
from ase.io import read

from alh2.structure.crystal import build_al_soc_mof
from alh2.structure.loading import load_h2
from alh2.structure.topology import (
    bonded_pairs,
    fragments,
    h2_molecules,
    neighbour_pairs,
    shortest_contact_ang,
    split_host_guests,
)

DATA = Path(__file__).resolve().parents[2] / "examples" / "data"
CELLS = {
    "cubic": np.eye(3) * 7.0,
    "skewed": np.array([[6.0, 0, 0], [-2.9, 5.5, 0], [2.5, 2.6, 5.0]]),
    "thin": np.array([[2.1, 0, 0], [0.8, 9.0, 0], [0, 3.0, 8.0]]),
}


def brute_force_nearest(atoms: Atoms) -> np.ndarray:
    """Nearest-image distances from an explicit sum over many images."""
    delta = atoms.positions[None] - atoms.positions[:, None]
    shifts = [n for n in itertools.product(range(-6, 7), repeat=3)]
    images = np.array(shifts) * atoms.pbc @ atoms.cell.array
    return np.linalg.norm(delta[:, :, None] + images, axis=3).min(axis=2)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("pbc", [(True, True, True), (True, False, True), (False, False, False)])
def test_pairs_equal_brute_force_in_any_cell(cell, pbc):
    rng = np.random.default_rng(4)
    positions = rng.uniform(-0.6, 1.0, (40, 3)) @ CELLS[cell]
    atoms = Atoms(rng.choice(["C", "O", "H", "Al"], 40), positions, cell=CELLS[cell], pbc=pbc)
    nearest = brute_force_nearest(atoms)
    upper = np.triu(np.ones((40, 40), bool), 1)
    i, j, vectors = neighbour_pairs(atoms, 2.5)
    assert set(zip(i.tolist(), j.tolist(), strict=True)) == set(
        map(tuple, np.argwhere(upper & (nearest < 2.5)).tolist())
    )
    assert shortest_contact_ang(atoms) == pytest.approx(nearest[upper].min())
    assert np.linalg.norm(vectors, axis=1).max() <= 2.5
    limit = 1.25 * (covalent_radii[atoms.numbers][:, None] + covalent_radii[atoms.numbers][None])
    hydrogen, metal = atoms.numbers == 1, atoms.numbers == 13
    limit[np.ix_(hydrogen, hydrogen)] = 1.0
    limit[np.ix_(metal, metal)] = 0.0
    assert bonded_pairs(atoms).tolist() == np.argwhere(upper & (nearest < limit)).tolist()


def test_h2_is_found_across_the_boundary_and_when_stretched():
    atoms = Atoms("H2OH2H", [[0.1, 1, 1], [9.5, 1, 1], [5, 5, 5], [5.96, 5, 5], [4.76, 5.93, 5], [2, 8, 8]])
    atoms.set_cell(np.eye(3) * 10)
    atoms.pbc = True
    assert h2_molecules(atoms).tolist() == [[0, 1]]
    atoms.positions[1, 0] = 9.15
    assert h2_molecules(atoms).tolist() == [[0, 1]]
    atoms.positions[1, 0] = 9.05
    assert h2_molecules(atoms).tolist() == []
    assert len(set(fragments(atoms))) == 4


def test_a_third_hydrogen_spoils_a_molecule():
    atoms = Atoms("H3", [[1, 1, 1], [1.75, 1, 1], [2.5, 1, 1]], cell=[9, 9, 9], pbc=True)
    assert len(h2_molecules(atoms)) == 0


def test_split_restores_host_first_from_any_order():
    host = build_al_soc_mof()
    loaded = load_h2(host, 24, rng=np.random.default_rng(1))
    order = np.random.default_rng(2).permutation(len(loaded))
    shuffled = loaded[order]
    split, n_host = split_host_guests(shuffled)
    assert n_host == 432 and len(split) == 480
    host_order = [k for k in order if k < 432]
    assert np.array_equal(split.positions[:432], loaded.positions[host_order])
    assert h2_molecules(split).tolist() == [[432 + 2 * k, 433 + 2 * k] for k in range(24)]
    again, _ = split_host_guests(loaded)
    assert np.array_equal(again.positions, loaded.positions)


def test_empty_and_gas_only_structures():
    empty = Atoms(cell=[9, 9, 9], pbc=True)
    assert bonded_pairs(empty).shape == (0, 2) and h2_molecules(empty).shape == (0, 2)
    assert split_host_guests(empty)[1] == 0
    gas = Atoms("H2", [[1, 1, 1], [1.74, 1, 1]], cell=[9, 9, 9], pbc=True)
    assert split_host_guests(gas)[1] == 0 and len(split_host_guests(gas)[0]) == 2


@pytest.mark.skipif(not DATA.exists(), reason=f"{DATA} is not here")
@pytest.mark.parametrize(
    ("name", "n_host"), [("node-gfn1/aimd77-6h2.extxyz", 30), ("al-soc-mof-gfn1/multi-loading.extxyz", 432)]
)
def test_real_frames_split_with_their_forces(name, n_host):
    for frame in read(DATA / name, index="::3"):
        reversed_frame = frame[::-1]
        split, found = split_host_guests(frame)
        assert found == n_host and len(frame) - found == 2 * frame.info["n_h2"]
        assert np.array_equal(split.get_forces(), frame.get_forces())
        assert split.get_potential_energy() == frame.get_potential_energy()
        assert split_host_guests(reversed_frame)[1] == n_host


def test_480_atoms_take_milliseconds():
    loaded = load_h2(build_al_soc_mof(), 24, rng=np.random.default_rng(1))
    best = np.inf
    for _ in range(10):
        start = time.perf_counter()
        split_host_guests(loaded)
        best = min(best, time.perf_counter() - start)
    assert best < 0.02

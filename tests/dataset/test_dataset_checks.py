"""Composition rank and neighbour counts, against direct constructions."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list

from alh2.core.errors import BadInputError
from alh2.core.frames import Frame, Label
from alh2.dataset.checks import (
    check_sel,
    composition_check,
    neighbour_counts,
    require_insertion_energy_determined,
)
from alh2.dataset.store import DatasetStore


def test_one_loading_does_not_determine_the_insertion_energy(frames_api):
    verdict = composition_check([frames_api.frame(6, k) for k in range(5)])
    assert not verdict.determined and verdict.free_shift_ev > 0.1
    assert (verdict.n_compositions, verdict.rank) == (1, 1)
    assert "node with 6 H2" in verdict.explanation and "add frames of the bare host" in verdict.explanation
    with pytest.raises(BadInputError, match="add frames of the bare host, or frames at another loading"):
        require_insertion_energy_determined([frames_api.frame(6)])


@pytest.mark.parametrize("loadings", [(0, 6), (6, 7), (1, 2, 3)])
def test_two_loadings_determine_it(frames_api, loadings):
    verdict = require_insertion_energy_determined([frames_api.frame(n) for n in loadings])
    assert verdict.determined and verdict.free_shift_ev == 0.0 and verdict.warning == ""
    assert verdict.hosts[0].loadings == loadings


def test_gas_alone_with_one_loading_is_formal_and_warned_of(frames_api):
    verdict = composition_check([frames_api.frame(6), frames_api.frame(1, n_host=0)])
    assert verdict.determined and verdict.has_gas
    assert "only isolated H2 and a single loading" in verdict.warning
    assert composition_check([frames_api.frame(n) for n in (0, 6)] + [frames_api.frame(1, n_host=0)]).warning == ""
    assert not composition_check([]).determined
    assert "nothing is known of H2 in the host" in composition_check([frames_api.frame(2, n_host=0)]).warning


def test_verdict_is_what_least_squares_says(frames_api):
    """For random sets of compositions: determined exactly where any shift that keeps all energies keeps 2 δ_H."""
    rng = np.random.default_rng(4)
    seen = set()
    for _ in range(60):
        frames = []
        for _ in range(rng.integers(1, 5)):
            n_host = int(rng.integers(0, 4))
            n_h2 = int(rng.integers(0 if n_host else 1, 3))
            frames.append(frames_api.frame(n_h2, n_host=n_host, host_id=f"h{n_host}"))
        matrix = np.array([[f.symbols.count(s) for s in ("Al", "O", "H")] for f in frames], float)
        projector = np.eye(3) - np.linalg.pinv(matrix) @ matrix
        free = np.linalg.norm(projector @ [0, 0, 2])
        verdict = composition_check(frames)
        assert verdict.determined == (free < 1e-8)
        assert verdict.free_shift_ev == pytest.approx(free, abs=1e-6)
        seen.add(verdict.determined)
    assert seen == {True, False}


def test_interaction_counts_only_frames_whose_host_is_labelled(frames_api, tmp_path):
    store = DatasetStore(tmp_path, frames_api.type_map)
    frames = [frames_api.labelled(n, n) for n in (2, 5)]
    store.append(frames, split="train", name="a")
    for data in (store.load(), store.counts()):
        assert composition_check(data, target="total").determined
        assert not composition_check(data, target="interaction").determined
    with pytest.raises(BadInputError, match="add .*labels of their bare hosts"):
        require_insertion_energy_determined(store.load(), target="interaction")
    store.append_host_labels([(frames[0].frame.bare_host(), Label(0.0, np.zeros((3, 3)), "xtb"))], name="h")
    for data in (store.load(), store.counts()):
        assert composition_check(data, target="interaction").determined


def _reference_counts(frame: Frame, rcut: float, type_map: tuple[str, ...]) -> np.ndarray:
    atoms = Atoms(frame.symbols, frame.positions_ang, cell=frame.cell_ang, pbc=True)
    i, j = neighbor_list("ij", atoms, rcut)
    counts = np.zeros((len(atoms), len(type_map)), int)
    np.add.at(counts, (i, [type_map.index(frame.symbols[k]) for k in j]), 1)
    return counts


@pytest.mark.parametrize("rcut", [2.0, 6.0, 11.0])
def test_neighbour_counts_equal_ase(frames_api, rcut):
    """Skewed cells, also far smaller than the cutoff, atoms outside the cell."""
    rng = np.random.default_rng(7)
    frames = []
    for edge in (3.0, 5.0, 9.0):
        cell = edge * (np.eye(3) + 0.3 * rng.standard_normal((3, 3)))
        positions = rng.uniform(-1.5, 1.5, (9, 3)) @ cell
        frames.append(Frame(("Al", "O", "C", "N", "H", "O", "O", "H", "H"), positions, cell, 7, "x"))
    reference = np.concatenate([_reference_counts(f, rcut, frames_api.type_map) for f in frames])
    counts = neighbour_counts(frames, rcut, frames_api.type_map)
    assert counts.per_type == tuple(reference.max(axis=0))
    assert counts.total == reference.sum(axis=1).max()


def test_simple_cubic_by_hand():
    cell = np.eye(3) * 3.0
    frame = Frame(("Al",), np.zeros((1, 3)), cell, 1, "x")
    shells = [np.linalg.norm(s) * 3.0 for s in itertools.product(range(-3, 4), repeat=3) if any(s)]
    assert neighbour_counts([frame], 7.0, ("Al",)).per_type == (sum(d <= 7.0 for d in shells),)


def test_sel_too_small_says_what_is_needed(frames_api):
    frames = [frames_api.frame(n, n) for n in (0, 4, 12)]
    counts = check_sel(frames, rcut_ang=6.0, sel=[8, 8, 8, 8, 64], type_map=frames_api.type_map)
    hydrogen = counts.per_type[-1]
    assert hydrogen > 5
    with pytest.raises(BadInputError) as caught:
        check_sel(frames, rcut_ang=6.0, sel=[8, 8, 8, 8, hydrogen - 1], type_map=frames_api.type_map)
    assert f"H:{hydrogen}" in str(caught.value)
    suggested = [int(w) for w in caught.value.action.split("[")[1].rstrip("]").split(",")]
    assert suggested[:4] == [8, 8, 8, 8] and suggested[-1] >= 1.1 * hydrogen and suggested[-1] % 4 == 0
    assert check_sel(frames, rcut_ang=6.0, sel=suggested, type_map=frames_api.type_map) == counts
    check_sel(frames, rcut_ang=6.0, sel=counts.total, type_map=frames_api.type_map)
    with pytest.raises(BadInputError, match="set sel to"):
        check_sel(frames, rcut_ang=6.0, sel=counts.total - 1, type_map=frames_api.type_map)
    with pytest.raises(BadInputError, match="expected 5 numbers"):
        check_sel(frames, rcut_ang=6.0, sel=[8, 8], type_map=frames_api.type_map)


def test_a_crystal_sized_frame_is_counted_fast(frames_api):
    rng = np.random.default_rng(0)
    frame = Frame(("Al",) * 480, 21.67 * rng.random((480, 3)), np.eye(3) * 21.67, 480, "x")
    start = time.perf_counter()
    neighbour_counts([frame] * 5, 7.0, frames_api.type_map)
    assert time.perf_counter() - start < 2.0

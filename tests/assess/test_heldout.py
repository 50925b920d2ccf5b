"""Held-out insertions on disk and across the periodic boundary."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alh2.assess.heldout import heldout_insertion, load_heldout, pick_molecules, save_heldout
from alh2.core.frames import Frame, LabelledFrame


def test_round_trip_keeps_every_bit_and_origin(tmp_path: Path, loaded_frames: list[LabelledFrame]) -> None:
    frames = [f.frame for f in loaded_frames[:5]]
    molecules = pick_molecules(frames, np.random.default_rng(3))
    assert load_heldout(tmp_path) == []
    save_heldout(tmp_path, frames, molecules)
    back = load_heldout(tmp_path)
    for frame, molecule, insertion in zip(frames, molecules, back, strict=True):
        expected = heldout_insertion(frame, molecule)
        for part in ("loaded", "less", "gas"):
            assert getattr(insertion, part).digest == getattr(expected, part).digest
        assert insertion.loaded.provenance == frame.provenance and insertion.n_h2 == 5
    save_heldout(tmp_path, [], [])
    assert load_heldout(tmp_path) == []


def test_parts_add_up_to_the_loaded_frame(loaded_frames: list[LabelledFrame]) -> None:
    frame = loaded_frames[2].frame
    for molecule in range(frame.n_h2):
        insertion = heldout_insertion(frame, molecule)
        rows = {tuple(x) for x in insertion.less.positions_ang}
        removed = [i for i, x in enumerate(frame.positions_ang) if tuple(x) not in rows]
        assert removed == [30 + 2 * molecule, 31 + 2 * molecule]
        bond = np.linalg.norm(frame.positions_ang[removed[1]] - frame.positions_ang[removed[0]])
        assert np.linalg.norm(np.diff(insertion.gas.positions_ang, axis=0)) == pytest.approx(bond, abs=1e-6)


def test_molecule_cut_by_the_boundary_is_the_same_gas(loaded_frames: list[LabelledFrame]) -> None:
    frame = loaded_frames[0].frame
    cut = frame.positions_ang.copy()
    cut[31] += frame.cell_ang[0] - 2 * frame.cell_ang[2]
    assert heldout_insertion(replace(frame, positions_ang=cut), 0).gas.digest == heldout_insertion(frame, 0).gas.digest


def test_every_molecule_is_picked_equally_often(loaded_frames: list[LabelledFrame]) -> None:
    frames: list[Frame] = [loaded_frames[0].frame] * 6000
    counts = np.bincount(pick_molecules(frames, np.random.default_rng(1)), minlength=6)
    assert len(counts) == 6 and abs(counts - 1000).max() < 4 * np.sqrt(6000 * (1 / 6) * (5 / 6))
    again = pick_molecules(frames[:50], np.random.default_rng(2))
    assert again == pick_molecules(frames[:50], np.random.default_rng(2))

"""Training input with a weight of its own for forces on guests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from alh2.core.frames import LabelledFrame
from alh2.dataset.export import export_systems


def test_weights_are_one_on_guests_and_nothing_changes_without(
    tmp_path: Path, loaded_frames: list[LabelledFrame]
) -> None:
    types, frames = ("O", "Al", "H", "C"), loaded_frames[:3]
    (plain,) = export_systems(frames, tmp_path / "data", target="total", type_map=types)
    assert not list(plain.glob("set.*/atom_pref.npy"))
    (weighted,) = export_systems(frames, tmp_path / "data", target="total", type_map=types, guest_weights=True)
    assert weighted == plain
    weights = np.load(weighted / "set.000" / "atom_pref.npy")
    frame = frames[0].frame
    assert weights.shape == (3, frame.n_atoms)
    assert (weights[:, : frame.n_host] == 0).all() and (weights[:, frame.n_host :] == 1).all()
    assert export_systems(frames, tmp_path / "data", target="total", type_map=types) == [plain]
    assert not list(plain.glob("set.*/atom_pref.npy"))

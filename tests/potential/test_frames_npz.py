"""Frames survive the file, and nothing half-written is taken for frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alh2.core.errors import BadInputError
from alh2.core.frames import Frame
from alh2.potential.frames_npz import load_frames, save_frames


def test_frames_of_different_sizes_come_back(tmp_path: Path, node_frames: list[Frame]) -> None:
    gas = Frame(("H", "H"), np.array([[0, 0, 0], [0, 0, 0.74]]), 20 * np.eye(3), 0)
    nothing = Frame((), np.empty((0, 3)), 9 * np.eye(3), 0)
    frames = [node_frames[0], gas, nothing, node_frames[-1], node_frames[1]]
    path = tmp_path / "frames.npz"
    save_frames(path, frames)
    back = load_frames(path)
    assert [f.digest for f in back] == [f.digest for f in frames]
    assert [f.provenance for f in back] == [f.provenance for f in frames]
    save_frames(path, [])
    assert load_frames(path) == []


def test_torn_absent_and_foreign_files_are_named(tmp_path: Path, node_frames: list[Frame]) -> None:
    path = tmp_path / "frames.npz"
    with pytest.raises(BadInputError, match="no such file"):
        load_frames(path)
    save_frames(path, node_frames)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(BadInputError, match="frames.npz.*complete"):
        load_frames(path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(BadInputError, match="no offsets"):
        load_frames(path)
    np.savez(path, offsets=np.array([object()]))
    with pytest.raises(BadInputError):
        load_frames(path)

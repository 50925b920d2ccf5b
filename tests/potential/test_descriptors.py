"""Features of frames: invariance, distances, and the worker."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from alh2.core.errors import BadInputError
from alh2.core.frames import Frame
from alh2.potential.deeppot import DeepPotEvaluator
from alh2.potential.descriptors import describe_frames, load_features
from alh2.potential.frames_npz import save_frames


def _moved(frame: Frame, width_ang: float, seed: int) -> Frame:
    noise = width_ang * np.random.default_rng(seed).standard_normal(frame.positions_ang.shape)
    return replace(frame, positions_ang=frame.positions_ang + noise)


def _distances(points: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.norm(points[:, None] - points[None], axis=2))


def test_same_structures_are_at_the_same_point(trained, node_frames: list[Frame]) -> None:
    frame = max(node_frames, key=lambda f: f.n_h2)
    turned = Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix()
    order = [*range(frame.n_host), *range(frame.n_host + 2, frame.n_atoms), frame.n_host + 1, frame.n_host]
    same = [
        frame,
        replace(frame, positions_ang=frame.positions_ang + [3.0, -1.0, 0.2]),
        replace(frame, positions_ang=frame.positions_ang @ turned, cell_ang=frame.cell_ang @ turned),
        replace(frame, positions_ang=frame.positions_ang[order]),  # other guest first, its atoms exchanged
    ]
    others = [f for f in node_frames if f.n_h2 == frame.n_h2 and f is not frame]
    distances = _distances(describe_frames(trained.frozen, [*same, *others]).points())
    assert distances[:4, :4].max() < 1e-6
    assert distances[:4, 4:].min() > 1e-2


def test_distance_grows_with_displacement_and_is_bounded_by_the_environments(trained, node_frames: list[Frame]) -> None:
    frame = max(node_frames, key=lambda f: f.n_h2)
    moved = [_moved(frame, width, seed) for width in (0.001, 0.01, 0.1) for seed in range(4)]
    points = describe_frames(trained.frozen, [frame, *moved, *node_frames]).points()
    near, middle, far = np.linalg.norm(points[1:13] - points[0], axis=1).reshape(3, 4).mean(axis=1)
    assert near < 0.3 * middle < 0.09 * far


def test_compressed_and_uncompressed_models_describe_alike(trained, node_frames: list[Frame]) -> None:
    points = [describe_frames(model, node_frames).points() for model in (trained.frozen, trained.compressed)]
    np.testing.assert_allclose(_distances(points[0]), _distances(points[1]), atol=1e-3)


def test_descriptors_do_not_depend_on_the_company(trained, node_frames: list[Frame]) -> None:
    evaluator = DeepPotEvaluator(trained.frozen)
    same = [f for f in node_frames if f.symbols == node_frames[0].symbols]
    together = evaluator.descriptors(
        same[0].symbols, np.array([f.positions_ang for f in same]), np.array([f.cell_ang for f in same])
    )
    for frame, found in zip(same, together, strict=True):
        alone = evaluator.descriptors(frame.symbols, frame.positions_ang[None], frame.cell_ang[None])
        np.testing.assert_allclose(found, alone[0], atol=1e-12)


def test_worker_writes_what_the_function_gives(trained, node_frames: list[Frame], tmp_path: Path) -> None:
    save_frames(tmp_path / "frames.npz", node_frames)
    command = [sys.executable, "-m", "alh2.potential.descriptors", "--model", str(trained.frozen)]
    command += ["--frames", str(tmp_path / "frames.npz"), "--output", str(tmp_path / "out.npz")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    found, direct = load_features(tmp_path / "out.npz"), describe_frames(trained.frozen, node_frames)
    np.testing.assert_allclose(found.points(), direct.points(), atol=1e-9)
    assert found.counts[0].sum() == node_frames[0].n_atoms and found.counts[0, -1] == 2 * node_frames[0].n_h2
    with pytest.raises(BadInputError, match="absent.npz"):
        load_features(tmp_path / "absent.npz")

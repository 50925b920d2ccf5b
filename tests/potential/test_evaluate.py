"""Committees on frames: grouping, order, files, errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from alh2.core.errors import BadInputError
from alh2.core.frames import Frame
from alh2.potential.deeppot import DeepPotEvaluator, DeepPotPotential
from alh2.potential.evaluate import load_evaluation, main
from alh2.potential.frames_npz import save_frames


def test_forces_are_gradients_and_grouping_keeps_the_order(trained, node_frames: list[Frame]) -> None:
    evaluator = DeepPotEvaluator(trained.frozen)
    mixed = [node_frames[0], node_frames[-1], node_frames[1], node_frames[-2]]
    labels = evaluator.evaluate(mixed)
    for frame, label in zip(mixed, labels, strict=True):
        alone = evaluator.evaluate([frame])[0]
        assert label.energy_ev == pytest.approx(alone.energy_ev, abs=1e-9)
        np.testing.assert_allclose(label.forces_ev_ang, alone.forces_ev_ang, atol=1e-9)
    frame, step = mixed[0], 1e-4
    for atom in (3, 35):
        moved = []
        for sign in (1, -1):
            positions = frame.positions_ang.copy()
            positions[atom, 1] += sign * step
            moved.append(evaluator.energy_ev(frame.symbols, positions, frame.cell_ang))
        slope = -(moved[0] - moved[1]) / (2 * step)
        assert labels[0].forces_ev_ang[atom, 1] == pytest.approx(slope, abs=1e-5)


def test_unknown_element_names_file_and_symbol(trained, node_frames: list[Frame]) -> None:
    frame = node_frames[-1]
    other = Frame(("Zn", *frame.symbols[1:]), frame.positions_ang, frame.cell_ang, frame.n_host, "node")
    with pytest.raises(BadInputError, match=r"frozen\.pb.*O Al H C.*element Zn"):
        DeepPotEvaluator(trained.frozen).evaluate([other])


def test_worker_writes_the_whole_committee_quietly(trained, node_frames: list[Frame], tmp_path: Path) -> None:
    frames = [node_frames[-1], node_frames[0]]
    save_frames(tmp_path / "frames.npz", frames)
    command = [
        sys.executable,
        "-m",
        "alh2.potential.evaluate",
        "--models",
        str(trained.frozen),
        str(trained.compressed),
    ]
    command += ["--frames", str(tmp_path / "frames.npz"), "--output", str(tmp_path / "out.npz")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    answer = load_evaluation(tmp_path / "out.npz")
    assert answer.energies_ev.shape == (2, 2) and answer.forces_ev_ang.shape == (2, 72, 3)
    assert answer.digests == tuple(f.digest for f in frames)
    for i, label in enumerate(DeepPotEvaluator(trained.frozen).evaluate(frames)):
        assert answer.energies_ev[0, i] == pytest.approx(label.energy_ev, abs=1e-9)
        np.testing.assert_allclose(answer.frame_forces_ev_ang(i)[0], label.forces_ev_ang, atol=1e-9)
    np.testing.assert_allclose(answer.energies_ev[0], answer.energies_ev[1], atol=1e-3)


def test_bad_models_are_one_line_and_leave_no_output(
    tmp_path: Path, node_frames: list[Frame], random_model, capsys: pytest.CaptureFixture[str]
) -> None:
    save_frames(tmp_path / "frames.npz", node_frames[:1])
    (tmp_path / "bad.pb").write_text("not a graph")
    (tmp_path / "empty.pb").touch()
    (tmp_path / "torn.pb").write_bytes(b"\n\x40half a node")
    (tmp_path / "model.txt").write_text("x")
    cases = {
        str(tmp_path / "bad.pb"): "readable DeePMD",
        str(tmp_path / "empty.pb"): "empty file",
        str(tmp_path / "torn.pb"): "DecodeError",
        str(tmp_path / "absent.pb"): "no such file",
        str(tmp_path / "model.txt"): "suffix",
        str(random_model()): "with forces",
    }
    for model, words in cases.items():
        arguments = ["--models", model, "--frames", str(tmp_path / "frames.npz"), "--output", str(tmp_path / "o.npz")]
        assert main(arguments) == 2
        line = capsys.readouterr().err
        assert words in line and model in line and line.count("\n") == 1
    assert not (tmp_path / "o.npz").exists()


def test_full_energy_potential_agrees_with_the_evaluator(trained, node_frames: list[Frame]) -> None:
    frame = node_frames[0]
    potential = DeepPotPotential(trained.frozen)
    from alh2.core.atoms import to_atoms

    guests = frame.positions_ang[frame.n_host :].reshape(-1, 2, 3)
    session = potential.start(to_atoms(frame.bare_host()), ("H", "H"), guests)
    evaluator = DeepPotEvaluator(trained.frozen)
    whole = evaluator.energy_ev(frame.symbols, frame.positions_ang, frame.cell_ang)
    assert session.energy_ev == pytest.approx(whole, abs=1e-9)
    less = frame.without_molecule(5)
    expected = evaluator.energy_ev(less.symbols, less.positions_ang, less.cell_ang) - whole
    assert session.trial(5, None) == pytest.approx(expected, abs=1e-9)
    assert np.isfinite(potential.molecule_energy_ev(("H", "H"), guests[0]))

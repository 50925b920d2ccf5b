"""LAMMPS files: cells of any shape, complete frames only, deviations with NaN."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from alh2.core.errors import BadInputError
from alh2.core.frames import Frame
from alh2.core.lammps_cell import lammps_cell
from alh2.explore.lammps import (
    NvtRun,
    nvt_input,
    read_deviation,
    read_trajectory,
    write_conf,
)
from alh2.potential.lammps_forces import LammpsForces

CUBIC = Frame(("O", "H", "H"), np.array([[0.5, 1, 2], [3, 4, 5.25], [3.1, 4, 5.95]]), 9.0 * np.eye(3), 1, "toy")


def distances(positions: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Sorted lengths of all vectors between atoms and the images within two cells, Å."""
    shifts = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), -1).reshape(-1, 3) @ cell
    delta = positions[:, None, None] - positions[None, :, None] + shifts
    return np.sort(np.linalg.norm(delta, axis=-1).ravel())


def read_conf(path: Path) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Box, positions and types of a data file with atoms in order."""
    lines = path.read_text().splitlines()
    box = np.zeros((3, 3))
    for i, axis in enumerate("xyz"):
        (line,) = [text for text in lines if text.endswith(f"{axis}lo {axis}hi")]
        box[i, i] = float(line.split()[1])
    (tilts,) = [text for text in lines if text.endswith("xy xz yz")]
    box[1, 0], box[2, 0], box[2, 1] = map(float, tilts.split()[:3])
    atoms = [line.split() for line in lines[lines.index("Atoms # atomic") + 2 :]]
    assert [int(row[0]) for row in atoms] == list(range(1, len(atoms) + 1))
    return box, np.array([[float(v) for v in row[2:]] for row in atoms]), [int(row[1]) for row in atoms]


@settings(deadline=None, max_examples=200)
@given(arrays(np.float64, (3, 3), elements=st.floats(-12, 12, width=32)))
def test_any_cell_becomes_lammps_form_of_the_same_lattice(cell: np.ndarray) -> None:
    if abs(np.linalg.det(cell)) < 1.0:
        return
    box, turn = lammps_cell(cell)
    assert np.allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert (np.triu(box, 1) == 0).all() and (np.diag(box) > 0).all()
    for row, axis in ((1, 0), (2, 0), (2, 1)):
        assert abs(box[row, axis]) <= 0.5 * box[axis, axis] * (1 + 1e-9)
    basis = (cell @ turn) @ np.linalg.inv(box)
    assert np.allclose(basis, np.round(basis), atol=1e-6 * np.abs(basis).max() + 1e-9)
    assert abs(abs(np.linalg.det(basis)) - 1) < 1e-6


def test_cell_in_lammps_form_is_written_as_it_is(tmp_path: Path) -> None:
    cell = np.array([[9.0, 0, 0], [4.0, 8.0, 0], [-3.0, 3.5, 7.0]])
    box, turn = lammps_cell(cell)
    assert np.array_equal(box, cell) and np.array_equal(turn, np.eye(3))
    frame = replace(CUBIC, cell_ang=cell)
    write_conf(frame, tmp_path / "conf", forces=LammpsForces(("H", "O")))
    written_box, positions, types = read_conf(tmp_path / "conf")
    assert np.array_equal(written_box, cell) and types == [2, 1, 1]
    assert np.array_equal(positions, frame.positions_ang)


def test_turned_and_skewed_cells_keep_all_distances(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    for _ in range(10):
        rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        cell = (np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1]]) @ CUBIC.cell_ang) @ rotation
        frame = replace(CUBIC, positions_ang=CUBIC.positions_ang @ rotation, cell_ang=cell)
        write_conf(frame, tmp_path / "conf", forces=LammpsForces(("H", "O")))
        box, positions, _ = read_conf(tmp_path / "conf")
        near = distances(CUBIC.positions_ang, CUBIC.cell_ang)
        assert np.allclose(distances(positions, box)[:60], near[:60], atol=1e-9)


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    flat = replace(CUBIC, cell_ang=np.diag([9.0, 9.0, 0.0]))
    for cell in (flat.cell_ang, np.full((3, 3), np.nan)):
        with pytest.raises(BadInputError, match="span a volume"):
            write_conf(replace(CUBIC, cell_ang=cell), tmp_path / "conf", forces=LammpsForces(("H", "O")))
    with pytest.raises(BadInputError, match=r"type_map \(H, C\), found O"):
        write_conf(CUBIC, tmp_path / "conf", forces=LammpsForces(("H", "C")))
    assert not (tmp_path / "conf").exists()


def test_input_has_the_units_and_settings_asked_for() -> None:
    run = NvtRun(("a.pb", "b.pb"), LammpsForces(("H", "O")), 77.0, 100, 0.0005, 0.1, 20, 42)
    text = nvt_input(run)
    for line in (
        "units metal",
        "pair_style deepmd a.pb b.pb out_freq 20 out_file model_devi.out",
        "pair_coeff * * H O",
        "mass 1 1.008000",
        "mass 2 15.999000",
        "velocity all create 77.0 42 mom yes rot yes dist gaussian",
        "timestep 0.0005",
        "fix nvt all nvt temp 77.0 77.0 0.1",
        "run 100",
    ):
        assert line in text.splitlines()
    assert "mass 1 2.014000" in nvt_input(replace(run, masses_amu=(2.014, 16.0)))
    assert "out_freq" not in nvt_input(replace(run, models=("a.pb",)))


def test_trajectory_comes_back_in_order_and_cut_frames_are_left_out(written, dump_text) -> None:
    rng = np.random.default_rng(1)
    frames = [(20 * k, np.round(rng.uniform(-20, 20, (3, 3)), 6)) for k in range(3)]
    text = dump_text(frames)
    ends = [len(dump_text(frames[: k + 1])) for k in range(3)]
    for cut in range(len(text) + 1):
        got = list(read_trajectory(written(text[:cut]), CUBIC))
        assert [step for step, _ in got] == [20 * k for k in range(sum(cut >= end for end in ends))]
    for (step, positions), (found, frame) in zip(frames, got, strict=True):
        assert step == found and np.array_equal(frame.positions_ang, positions)
        assert (frame.symbols, frame.n_host, frame.host_id) == (CUBIC.symbols, 1, "toy")


def test_unsorted_atoms_are_put_in_order(written, dump_text) -> None:
    lines = dump_text([(0, CUBIC.positions_ang)]).splitlines(keepends=True)
    mixed = "".join([*lines[:9], lines[11], lines[9], lines[10]])
    ((_, frame),) = read_trajectory(written(mixed), CUBIC)
    assert np.array_equal(frame.positions_ang, CUBIC.positions_ang)


def test_nan_positions_are_read_as_they_are(written, dump_text) -> None:
    text = dump_text([(0, CUBIC.positions_ang), (20, np.full((3, 3), np.nan))]).replace("nan nan", "-nan nan")
    assert [np.isnan(f.positions_ang).all() for _, f in read_trajectory(written(text), CUBIC)] == [False, True]


def test_foreign_trajectories_are_refused(written, dump_text, tmp_path: Path) -> None:
    assert list(read_trajectory(tmp_path / "absent", CUBIC)) == []
    good = dump_text([(0, CUBIC.positions_ang)])
    for text in (good.replace("xu yu zu", "x y z"), "hello\n" * 12):
        with pytest.raises(BadInputError, match="a LAMMPS dump"):
            list(read_trajectory(written(text), CUBIC))
    with pytest.raises(BadInputError, match="expected 3 atoms, found 2"):
        list(read_trajectory(written(dump_text([(0, CUBIC.positions_ang[:2])])), CUBIC))


HEAD = "#       step         max_devi_v         min_devi_v         avg_devi_v         max_devi_f         min_devi_f\n"


def test_deviations_with_nan_and_a_torn_end(written) -> None:
    rows = "  0  1.0e+00 2.0e+00 3.0e+00 2.5e-01 6.0e+00\n 20 nan nan nan -nan nan\n 40 1.0 2.0 3.0 7.5e-01 6.0\n"
    found = read_deviation(written(HEAD + rows))
    assert list(found) == [0, 20, 40] and found[0] == 0.25 and math.isnan(found[20]) and found[40] == 0.75
    assert list(read_deviation(written(HEAD + rows[:-4]))) == [0, 20]
    for text in ("", rows, "# step a\n0 1\n"):
        with pytest.raises(BadInputError, match="max_devi_f"):
            read_deviation(written(text))

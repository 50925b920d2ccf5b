"""DP-GEN's other codes: their inputs by DP-GEN, when an output counts, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alh2.config.model import LabelConfig
from alh2.core.errors import BadInputError
from alh2.core.frames import Frame, Label
from alh2.formats.trajectory import Step, Trajectory
from alh2.label.dpgen_styles import CODES, REFUSED, by_type
from alh2.label.matching import label_from
from alh2.label.protocol import LabelFailure, LabelJob
from alh2.label.registry import DPGEN_STYLES, make_labeler

TYPES = ("O", "H")


@pytest.fixture
def water() -> Frame:
    """O and H2 with the atoms in an order no code keeps: H, O, H."""
    positions = np.array([[4.0, 4.76, 4.59], [4.0, 4.0, 4.0], [4.0, 3.24, 4.59]])
    return Frame(("H", "O", "H"), positions, np.eye(3) * 8.0, 3, "water")


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, dict[str, Any]]:
    """Keys of the param file for each style, with the files they name."""
    potentials = tmp_path / "pp"
    potentials.mkdir()
    for name in ("O.UPF", "H.UPF", "O.orb", "H.orb", "O.psf", "H.psf"):
        (potentials / name).write_text(f"stands for {name}\n")
    files = {"fp_pp_path": str(potentials), "fp_pp_files": ["O.UPF", "H.UPF"], "mass_map": [15.999, 1.008]}
    siesta = {"ecut": 200, "ediff": 1e-4, "kspacing": 1.0, "mixingWeight": 0.05, "NumberPulay": 5}
    pwscf = {"ecut": 60.0, "ediff": 1e-6, "smearing": "gauss", "sigma": 0.02, "kspacing": 1.0}
    return {
        "cp2k": {"fp_pp_path": ".", "fp_pp_files": [], "user_fp_params": {"FORCE_EVAL": {"DFT": {"CHARGE": 0}}}},
        "pwscf": {**files, "fp_params": pwscf},
        "abacus": {**files, "user_fp_params": {"ecutwfc": 60, "gamma_only": 1}},
        "siesta": {**files, "fp_pp_files": ["O.psf", "H.psf"], "fp_params": siesta},
        "gaussian": {"fp_params": {"keywords": "force pbepbe/6-31g nosymm", "nproc": 1, "charge": 0}},
        "custom": {"fp_params": {"input_fmt": "xyz", "input_fn": "in.xyz", "output_fmt": "extxyz", "output_fn": "out"}},
    }  # fmt: skip


def labeler_of(style: str, params: dict[str, Any]) -> Any:
    return make_labeler(LabelConfig(style, params, 60.0, where="param.json"), type_map=TYPES)


CONTENT = {
    "cp2k": ("coord.xyz", "O [4. 4. 4.]"),
    "pwscf": ("input", "ATOMIC_POSITIONS"),
    "abacus": ("STRU", "ATOMIC_POSITIONS"),
    "siesta": ("input", "AtomicCoordinatesAndAtomicSpecies"),
    "gaussian": ("input", "#force pbepbe/6-31g nosymm"),
    "custom": ("in.xyz", "O"),
}


@pytest.mark.parametrize("style", sorted(CODES))
def test_dpgen_writes_every_input_that_is_sent(style, keys, tmp_path, water):
    labeler = labeler_of(style, keys[style])
    folder = tmp_path / "fp" / "task"
    folder.mkdir(parents=True)
    labeler.prepare([LabelJob(water, folder)])
    missing = [name for name in labeler.input_files if not (folder / name).exists()]
    assert missing == []
    name, words = CONTENT[style]
    text = (folder / name).read_text().replace("O 4. 4. 4.", "O [4. 4. 4.]")
    assert words in text
    assert (folder / "POSCAR").read_text().startswith("O1 H2\n")
    command = labeler.command("mpirun -np 4 the_program")
    assert command.startswith("{ mpirun -np 4 the_program\n} > output") or style == "custom"


def test_every_style_of_dpgen_is_run_or_refused_with_a_reason():
    assert set(DPGEN_STYLES) == {"vasp", *CODES, *REFUSED}


def test_what_the_output_says_decides(keys, tmp_path):
    frame = Frame(("H", "H"), np.array([[0, 0, 0], [0, 0, 0.75]]), np.eye(3) * 8, 0)
    labeler = labeler_of("pwscf", keys["pwscf"])
    assert labeler.collect(frame, tmp_path) == LabelFailure("no output: the program did not start")
    output = tmp_path / "output"
    output.write_text("     Program PWSCF v.7.2 starts\n")
    assert labeler.collect(frame, tmp_path) == LabelFailure('output is not whole: no "JOB DONE" in it')
    output.write_text("     convergence NOT achieved after  50 iterations: stopping\n   JOB DONE.\n")
    assert labeler.collect(frame, tmp_path) == LabelFailure('not converged: output has "convergence NOT achieved"')
    output.write_text("     JOB DONE.\n")
    assert labeler.collect(frame, tmp_path).reason.startswith("output: ")  # dpdata finds nothing


def test_a_program_that_writes_output_itself_is_not_redirected(keys):
    labeler = labeler_of("gaussian", keys["gaussian"])
    assert labeler.command("g16 < input > output ||:") == "g16 < input > output ||:"


def test_files_and_clusters_that_do_not_fit_are_one_line(keys):
    cases = [
        ("pwscf", {"fp_pp_files": ["O.UPF"]}, "2 files, one for each of type_map"),
        ("pwscf", {"fp_pp_files": ["O.UPF", "X.UPF"]}, "fp_pp_files[1]: expected a readable file"),
        ("abacus", {"fp_orb_files": ["O.orb", "none"]}, "fp_orb_files[1]"),
        ("gaussian", {"use_clusters": True}, "alh2 labels whole frames"),
    ]
    for style, change, words in cases:
        with pytest.raises(BadInputError) as caught:
            labeler_of(style, {**keys[style], **change})
        assert words in str(caught.value) and "\n" not in str(caught.value)


def test_the_name_follows_keys_and_files(keys):
    first = labeler_of("pwscf", keys["pwscf"])
    assert first.name.startswith("pwscf (level ")
    moved = {**keys["pwscf"], "mass_map": [16.0, 1.0]}
    assert labeler_of("pwscf", moved).name == first.name
    finer = {**keys["pwscf"], "fp_params": {**keys["pwscf"]["fp_params"], "ecut": 80.0}}
    (Path(keys["pwscf"]["fp_pp_path"]) / "H.UPF").write_text("another potential\n")
    assert len({first.name, labeler_of("pwscf", finer).name, labeler_of("pwscf", keys["pwscf"]).name}) == 3


def _molecule(seed: int) -> tuple[Frame, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    frame = Frame(("H", "O", "H"), rng.normal(size=(3, 3)) + 4.0, np.eye(3) * 8.0, 3, "water")
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return frame, turn * np.sign(np.linalg.det(turn)), rng.normal(size=(3, 3))


def test_a_turned_and_shifted_molecule_is_laid_on_ours():
    frame, turn, forces = _molecule(2)
    order, cell = [1, 0, 2], np.eye(3) * 100
    turned = frame.positions_ang[order] @ turn + 3.0
    step = Step(1, ("O", "H", "H"), turned, cell, -1.0, forces[order] @ turn)
    label = label_from(Trajectory("x", (step,), periodic=False), frame, TYPES, labeler="x")
    assert isinstance(label, Label)
    assert np.abs(label.forces_ev_ang - forces).max() < 1e-12
    stretched = Step(1, step.symbols, turned * 1.01, cell, -1.0, step.forces_ev_ang)
    answer = label_from(Trajectory("x", (stretched,), periodic=False), frame, TYPES, labeler="x")
    assert isinstance(answer, LabelFailure) and "another geometry" in answer.reason


def test_atoms_in_the_order_a_reader_met_them_are_grouped():
    step = Step(1, ("H", "O", "H"), np.arange(9.0).reshape(3, 3), np.eye(3), 0.0, np.arange(9.0).reshape(3, 3) * 2)
    (grouped,) = by_type(Trajectory("x", (step,)), TYPES).steps
    assert grouped.symbols == ("O", "H", "H")
    assert grouped.positions_ang[:, 0].tolist() == [3.0, 0.0, 6.0]
    assert (grouped.forces_ev_ang == 2 * grouped.positions_ang).all()

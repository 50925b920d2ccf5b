"""GFN1-xTB labels against stored ones, through the subprocess a scheduler would run."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
import pytest

from alh2.config.model import LabelConfig
from alh2.core.errors import BadInputError
from alh2.core.frames import Frame, Label
from alh2.label import xtb
from alh2.label.files import WORKER_MODULE
from alh2.label.protocol import LabelFailure, LabelJob
from alh2.label.registry import make_labeler

NODE_TYPES = ("Al", "C", "H", "O")


def labeler_of(**params):
    return make_labeler(LabelConfig("xtb", params, 60.0), type_map=NODE_TYPES)


def run_worker(labeler, task_dir):
    return subprocess.run(
        [sys.executable, "-m", WORKER_MODULE], cwd=task_dir, capture_output=True, text=True, check=False
    )


def test_stored_energies_are_reproduced(loaded_node, empty_node):
    for stored in (*loaded_node, *empty_node):
        answer = xtb.compute(stored.frame, {})
        assert answer.energy_ev == pytest.approx(stored.label.energy_ev, abs=1e-6)
        assert np.abs(answer.forces_ev_ang - stored.label.forces_ev_ang).max() < 3e-4


def test_forces_are_the_derivative_of_the_energy(loaded_node):
    frame = loaded_node[0].frame
    forces = xtb.compute(frame, {"accuracy": 0.01}).forces_ev_ang
    step = 2e-3
    for atom, axis in ((1, 0), (32, 2)):
        energies = []
        for sign in (1.0, -1.0):
            moved = frame.positions_ang.copy()
            moved[atom, axis] += sign * step
            shifted = Frame(frame.symbols, moved, frame.cell_ang, frame.n_host, frame.host_id)
            energies.append(xtb.compute(shifted, {"accuracy": 0.01}).energy_ev)
        assert -(energies[0] - energies[1]) / (2 * step) == pytest.approx(forces[atom, axis], abs=3e-5)


def test_worker_process_returns_the_label_with_full_precision(tmp_path, loaded_node):
    labeler = labeler_of()
    frame = loaded_node[1].frame
    labeler.prepare([LabelJob(frame, tmp_path)])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(labeler.input_files)
    done = run_worker(labeler, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    label = labeler.collect(frame, tmp_path)
    direct = xtb.compute(frame, {})
    assert isinstance(label, Label) and label.labeler == "GFN1-xTB/tblite"
    assert label.energy_ev == pytest.approx(direct.energy_ev, abs=1e-9)
    assert np.abs(label.forces_ev_ang - direct.forces_ev_ang).max() < 1e-9
    assert json.loads((tmp_path / "label.json").read_text())["energy_ev"] == label.energy_ev


def test_same_frame_gives_the_same_input_bytes(tmp_path, loaded_node):
    labeler = labeler_of()
    for name in ("a", "b"):
        labeler.prepare([LabelJob(loaded_node[0].frame, tmp_path / name)])
    for name in labeler.input_files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_unconverged_scf_is_a_failure_with_its_message(tmp_path, loaded_node):
    labeler = labeler_of(max_iterations=3)
    frame = loaded_node[0].frame
    labeler.prepare([LabelJob(frame, tmp_path)])
    assert run_worker(labeler, tmp_path).returncode == 0
    answer = labeler.collect(frame, tmp_path)
    assert isinstance(answer, LabelFailure)
    assert answer.reason == "SCF not converged in 3 cycles"


def test_coincident_atoms_are_a_failure(tmp_path, h2_frame):
    labeler = labeler_of()
    frame = Frame(("H", "H"), np.full((2, 3), 5.0), h2_frame.cell_ang, 0)
    labeler.prepare([LabelJob(frame, tmp_path)])
    assert run_worker(labeler, tmp_path).returncode == 0
    answer = labeler.collect(frame, tmp_path)
    assert answer == LabelFailure("atoms 0 and 1 are 0.000 Å apart")


def test_collect_explains_missing_torn_foreign_and_nonfinite_labels(tmp_path, h2_frame):
    labeler = labeler_of()
    assert "did not finish" in labeler.collect(h2_frame, tmp_path).reason
    (tmp_path / "label.json").write_text('{"converged": tr')
    assert "cannot be read" in labeler.collect(h2_frame, tmp_path).reason
    (tmp_path / "label.json").write_text("[1, 2]")
    assert "incomplete" in labeler.collect(h2_frame, tmp_path).reason
    good = {"converged": True, "message": "", "digest": h2_frame.digest, "energy_ev": 1.0}
    forces = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    for change, word in (
        ({}, "incomplete"),
        ({"forces_ev_ang": forces, "digest": "0"}, "another geometry"),
        ({"forces_ev_ang": forces[:1]}, "the frame has 2"),
        ({"forces_ev_ang": forces, "energy_ev": float("nan")}, "not finite"),
    ):
        (tmp_path / "label.json").write_text(json.dumps({**good, **change}))
        assert word in labeler.collect(h2_frame, tmp_path).reason
    (tmp_path / "label.json").write_text(json.dumps({**good, "forces_ev_ang": forces}))
    assert labeler.collect(h2_frame, tmp_path).energy_ev == 1.0


def test_worker_imports_nothing_heavy_and_starts_fast(tmp_path, h2_frame):
    labeler = labeler_of()
    labeler.prepare([LabelJob(h2_frame, tmp_path)])
    code = (
        "import sys; from pathlib import Path; from alh2.label.worker import run_task; run_task(Path('.'));"
        "print([m for m in ('ase', 'scipy', 'tensorflow', 'typer', 'dpdata', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    times = []
    for _ in range(4):
        (tmp_path / "label.json").unlink()
        started = time.perf_counter()
        run_worker(labeler, tmp_path)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.3 + json.loads((tmp_path / "label.json").read_text())["wall_s"]


def test_worker_with_a_wrong_task_folder_says_so(tmp_path):
    labeler = labeler_of()
    done = run_worker(labeler, tmp_path)
    assert done.returncode == 2 and "labeler.json" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"acuracy": 1.0}, ["fp_params.acuracy", '"accuracy"']),
        ({"accuracy": "tight"}, ["fp_params.accuracy", "a number", "'tight'"]),
        ({"method": "GFN1"}, ["fp_params.method", "GFN1-xTB"]),
        ({"max_iterations": 0}, ["fp_params.max_iterations", "≥ 1"]),
        ({"max_iterations": True}, ["fp_params.max_iterations", "an integer"]),
    ],
)
def test_wrong_parameters_name_the_key(params, words):
    with pytest.raises(BadInputError) as caught:
        labeler_of(**params)
    assert all(word in str(caught.value) for word in words)


def test_element_without_parameters_is_refused():
    with pytest.raises(BadInputError, match="type_map"):
        make_labeler(LabelConfig("xtb", {}, 1.0), type_map=("H", "Xx"))

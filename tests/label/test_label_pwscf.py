"""Labels by Quantum ESPRESSO itself, through DP-GEN's inputs and dpdata's reader."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

from alh2.config.model import LabelConfig
from alh2.core.frames import Frame, Label
from alh2.label.local import LocalRun, label_frames
from alh2.label.protocol import LabelFailure
from alh2.label.registry import make_labeler

EXAMPLES = Path("/usr/share/doc/quantum-espresso/examples/CPV/EXX-wf-example")
POTENTIALS = {element: EXAMPLES / f"{element}_HSCV_PBE-1.0.UPF.gz" for element in ("H", "O")}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("pw.x") and all(path.exists() for path in POTENTIALS.values())),
        reason="needs Debian's packages quantum-espresso and quantum-espresso-data",
    ),
]


def labels_of(frames: list[Frame], folder: Path, *, steps: int = 60) -> list[Label | LabelFailure]:
    potentials = folder / "pp"
    potentials.mkdir()
    for element, path in POTENTIALS.items():
        (potentials / f"{element}.UPF").write_bytes(gzip.decompress(path.read_bytes()))
    tags = {
        "control": {"calculation": "scf", "pseudo_dir": "./", "outdir": "./OUT", "tprnfor": True},
        "system": {"ecutwfc": 40, "occupations": "fixed", "vdw_corr": ""},
        "electrons": {"conv_thr": 1e-8, "electron_maxstep": steps},
        "kspacing": 2.0,
    }
    keys = {"fp_pp_path": str(potentials), "fp_pp_files": ["O.UPF", "H.UPF"], "mass_map": [15.999, 1.008]}
    labeler = make_labeler(LabelConfig("pwscf", {**keys, "user_fp_params": tags}, 1.0), type_map=("O", "H"))
    program = "OMP_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 pw.x -i input"
    return label_frames(labeler, frames, LocalRun(folder / "run", timeout_s=800.0, program=program))


def water(stretch_ang: float, order: list[int]) -> Frame:
    positions = np.array([[3.0, 3.0, 3.0], [3.0, 3.757 + stretch_ang, 3.587], [3.0, 2.243, 3.587]])
    symbols = ("O", "H", "H")
    return Frame(tuple(symbols[i] for i in order), positions[order], np.eye(3) * 6.0, 3, "water")


def test_water_has_its_forces_in_any_order_of_atoms(tmp_path):
    frames = [water(0.10, [0, 1, 2]), water(0.10, [1, 0, 2]), water(0.08, [0, 1, 2]), water(0.12, [0, 1, 2])]
    answers = labels_of(frames, tmp_path)
    assert all(isinstance(answer, Label) for answer in answers), answers
    plain, shuffled, low, high = answers
    assert shuffled.energy_ev == pytest.approx(plain.energy_ev, abs=1e-4)
    assert np.abs(shuffled.forces_ev_ang - plain.forces_ev_ang[[1, 0, 2]]).max() < 2e-3
    slope = (high.energy_ev - low.energy_ev) / 0.04
    assert plain.forces_ev_ang[1, 1] == pytest.approx(-slope, abs=0.05)
    assert plain.forces_ev_ang[1, 1] < -1.0


def test_too_few_steps_are_a_failure(tmp_path):
    (answer,) = labels_of([water(0.1, [0, 1, 2])], tmp_path, steps=2)
    assert isinstance(answer, LabelFailure)
    assert answer.reason.endswith('not converged: output has "convergence NOT achieved"')

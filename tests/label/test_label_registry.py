"""Contract of every registered labeler, and what unknown ones are told."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from alh2.config.model import LabelConfig
from alh2.core.errors import BadInputError
from alh2.core.frames import Frame, Label
from alh2.label.dpgen_styles import REFUSED
from alh2.label.protocol import LabelJob
from alh2.label.registry import DPGEN_STYLES, STYLES, make_labeler

EXAMPLE_PARAMS = {
    "xtb": {},
    "ase": {"calculator": "ase.calculators.lj.LennardJones", "arguments": {"sigma": 2.9, "epsilon": 0.003}},
    "reference": {},
}


@pytest.mark.parametrize("style", sorted(STYLES))
def test_every_labeler_prepares_runs_and_collects(style, tmp_path, h2_frame):
    labeler = make_labeler(LabelConfig(style, EXAMPLE_PARAMS[style], 60.0), type_map=("H",))
    pair = Frame(
        ("H",) * 4, np.vstack([h2_frame.positions_ang, h2_frame.positions_ang + [3.2, 0, 0]]), h2_frame.cell_ang, 0
    )
    labeler.prepare([LabelJob(pair, tmp_path)])
    assert labeler.command("python") == "python -m alh2.label.worker"
    command = labeler.command(labeler.program)
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {path.name for path in tmp_path.iterdir()} == {*labeler.input_files, *labeler.output_files}
    label = labeler.collect(pair, tmp_path)
    assert isinstance(label, Label)
    assert label.labeler == labeler.name != ""
    assert label.forces_ev_ang.shape == (4, 3) and np.abs(label.forces_ev_ang).max() > 1e-4
    assert np.abs(label.forces_ev_ang.sum(axis=0)).max() < 1e-6


@pytest.mark.parametrize(("style", "reason"), sorted(REFUSED.items()))
def test_styles_that_are_not_run_are_refused_with_the_reason(style, reason):
    with pytest.raises(BadInputError) as caught:
        make_labeler(LabelConfig(style, {}, 1.0), type_map=("H",))
    assert reason in str(caught.value) and "cp2k" in str(caught.value)
    assert style in DPGEN_STYLES


def test_misspelled_style_gets_the_nearest_name():
    with pytest.raises(BadInputError, match='did you mean "reference"'):
        make_labeler(LabelConfig("refrence", {}, 1.0), type_map=("H",))


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({}, "found nothing"),
        ({"calculator": "ase.calculators.lj.LennardJonez"}, "LennardJonez"),
        ({"calculator": "no_such_module.Calculator"}, "no_such_module"),
        ({"calculator": "LennardJones"}, "LennardJones"),
        ({"calculator": "ase.Atoms"}, "which is not one"),
        ({"calculator": "ase.calculators.lj.LennardJones", "arguments": [1]}, "keyword arguments"),
        ({"calculator": "ase.calculators.emt.EMT", "argument": {}}, '"arguments"'),
    ],
)
def test_wrong_ase_calculators_fail_when_made(params, word):
    with pytest.raises(BadInputError) as caught:
        make_labeler(LabelConfig("ase", params, 1.0), type_map=("H",))
    assert word in str(caught.value)


def test_calculator_that_fails_gives_its_message(tmp_path, h2_frame):
    from alh2.label import ase_calculator
    from alh2.label.files import LabelError

    frame = Frame(("Al", "H", "H"), np.array([[0.0, 0, 0], [5, 5, 5], [5, 5, 5.74]]), h2_frame.cell_ang, 1, "al")
    with pytest.raises(LabelError, match="NotImplementedError"):
        ase_calculator.compute(
            Frame(("U", *frame.symbols[1:]), frame.positions_ang, frame.cell_ang, 1, "u"),
            {"calculator": "ase.calculators.emt.EMT"},
        )

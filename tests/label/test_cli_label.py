"""``alh2 label`` on structure files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import typer
from ase.io import read, write

from alh2.cli.errors import run_app
from alh2.cli.label import register
from alh2.core.atoms import to_atoms
from alh2.label.reference_pes import reference_energy_forces
from alh2.label.xtb import compute

pytest.importorskip("alh2.structure.topology")


@pytest.fixture
def run(monkeypatch):
    """Run ``alh2 label`` with the given words; returns the exit code."""

    def call(*words: str) -> int:
        app = typer.Typer()
        app.callback()(lambda: None)
        register(app)
        monkeypatch.setattr("sys.argv", ["alh2", "label", *words])
        return run_app(app)

    return call


def test_frames_and_their_bare_hosts_are_labelled(run, tmp_path, loaded_node, empty_node, capsys):
    source, output = tmp_path / "in.extxyz", tmp_path / "out.extxyz"
    write(source, [to_atoms(loaded_node[0].frame), to_atoms(empty_node[0].frame)])
    assert run(str(source), "--output", str(output), "--host-label") == 0
    assert "2 of 2 frames labelled by GFN1-xTB/tblite" in capsys.readouterr().out
    loaded, empty = read(output, index=":")
    assert loaded.get_potential_energy() == pytest.approx(loaded_node[0].label.energy_ev, abs=1e-5)
    host = compute(loaded_node[0].frame.bare_host(), {})
    assert loaded.info["interaction_energy"] == pytest.approx(loaded.get_potential_energy() - host.energy_ev, abs=1e-5)
    difference = loaded.get_forces()[:30] - host.forces_ev_ang
    assert np.abs(loaded.arrays["interaction_forces"][:30] - difference).max() < 1e-4
    assert empty.info["interaction_energy"] == 0.0


def test_failed_frame_gets_a_line_and_exit_code_1(run, tmp_path, loaded_node, capsys):
    good = to_atoms(loaded_node[0].frame)
    bad = good.copy()
    bad.positions[40] = bad.positions[3]
    source, output = tmp_path / "in.extxyz", tmp_path / "out.extxyz"
    write(source, [good, bad])
    assert run(str(source), "--output", str(output)) == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and "frame 1: no label: atoms" in captured.err
    assert len(read(output, index=":")) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--params", "{"), "--params: expected a JSON object"),
        (("--style", "xtbb"), 'did you mean "xtb"'),
        (("--style", "vasp"), "--params.fp_incar: expected an INCAR for the labels, found no such key"),
        (("--style", "pwmat"), "label with another code"),
        (("--retry", "nowhere"), "expected files with --output, or --retry, or --quarantine"),
    ],
)
def test_bad_options_are_one_line_and_exit_code_2(run, tmp_path, h2_frame, capsys, words, message):
    source = tmp_path / "in.extxyz"
    write(source, to_atoms(h2_frame))
    assert run(str(source), "--output", str(tmp_path / "out.extxyz"), *words) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1
    assert not (tmp_path / "out.extxyz").exists()


def test_missing_file_is_one_line(run, tmp_path, capsys):
    assert run(str(tmp_path / "none.extxyz"), "--output", str(tmp_path / "out.extxyz")) == 2
    assert "no such file" in capsys.readouterr().err


def test_a_first_principles_code_needs_its_program(run, tmp_path, h2_frame, vasp_kit, capsys):
    source = tmp_path / "in.extxyz"
    write(source, to_atoms(h2_frame))
    params = json.dumps(vasp_kit.keys(("H",)))
    words = (str(source), "--output", str(tmp_path / "out.extxyz"), "--style", "vasp", "--params", params)
    assert run(*words) == 2
    assert "--program: expected how the code of VASP (" in capsys.readouterr().err
    vasp_kit.configure(None)
    assert run(*words, "--program", vasp_kit.program, "--workdir", str(tmp_path / "work")) == 0
    assert "1 of 1 frames labelled by VASP (ENCUT 480" in capsys.readouterr().out
    energy, _ = reference_energy_forces(h2_frame)
    assert read(tmp_path / "out.extxyz").get_potential_energy() == pytest.approx(energy, abs=1e-7)
    assert (tmp_path / "work" / "task.000000" / "OUTCAR").exists()


@pytest.mark.parametrize("option", ["--quarantine", "--retry"])
def test_a_folder_that_is_no_campaign_is_one_line(option, run, tmp_path, capsys):
    assert run(option, str(tmp_path)) == 2
    assert "expected a campaign directory" in capsys.readouterr().err

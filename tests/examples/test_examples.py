"""Every script in examples/ runs in a short mode; those with a test of their own are tested there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.io import read

ROOT = Path(__file__).resolve().parents[2]
TESTED_ELSEWHERE = {
    "build_structures.py": "tests/cli/test_cli_structure.py",
    "gcmc_lennard_jones.py": "tests/gcmc/test_gcmc_lennard_jones.py",
    "label_with_any_ase_calculator.py": "tests/label/test_example_label.py",
}


def run_example(name: str, *arguments: object, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / name, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[-2000:]
    return done.stdout


def test_every_script_has_a_test():
    here = Path(__file__).read_text()
    for script in (ROOT / "examples").glob("*.py"):
        tested = ROOT / TESTED_ELSEWHERE.get(script.name, "tests/examples/test_examples.py")
        assert script.name in (here if tested == Path(__file__).resolve() else tested.read_text()), script.name


def test_ingest_aimd(tmp_path):
    said = run_example("ingest_aimd.py", "--output", tmp_path / "dataset", folder=tmp_path)
    assert re.search(r"60 read, \d+ dropped, \d+ train, \d+ held out", said)
    assert "determine the energy of adding one H2" in said
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def test_xtb_aimd(tmp_path):
    """Four steps of MD: energies and forces are those of the frames written."""
    from tblite.ase import TBLite

    start = ROOT / "examples" / "data" / "node-gfn1" / "aimd77-0h2.extxyz"
    output = tmp_path / "hot.extxyz"
    run_example("xtb_aimd.py", output, "--start", start, "--h2", 2, "--steps", 4, "--every", 2, folder=tmp_path)
    images = read(output, ":")
    assert len(images) >= 2 and {len(image) for image in images} == {34}
    energies = [image.get_potential_energy() for image in images]
    forces = images[-1].get_forces()
    again = images[-1].copy()
    again.calc = TBLite(method="GFN1-xTB", verbosity=0, accuracy=0.1)
    assert again.get_potential_energy() == pytest.approx(energies[-1], abs=1e-4)
    assert np.abs(again.get_forces() - forces).max() < 1e-3
    assert len(set(energies)) == len(energies)


def test_binding_on_the_node_as_built(tmp_path):
    """Without relaxation: H2 at the distance it was placed, bound, in a second."""
    said = run_example("bind_h2_on_the_node.py", "--steps", 0, folder=tmp_path)
    energy, distance = re.fullmatch(r"binding energy (-[\d.]+) kJ/mol, Al–H2 ([\d.]+) Å\n", said).groups()
    assert distance == "2.70"
    assert -50 < float(energy) < -10


def test_widom_in_a_slit_pore(tmp_path):
    """A short run: H2 binds to graphite by several kJ/mol, and few insertions are told as such."""
    said = run_example("widom_slit_pore.py", "--insertions", 40, folder=tmp_path)
    enthalpy = float(re.search(r"adsorption enthalpy +(-[\d.]+) ± [\d.]+ kJ/mol", said).group(1))
    assert -12.0 < enthalpy < -3.0
    assert "mol/kg/Pa" in said and "of 40, too few" in said


@pytest.mark.slow
@pytest.mark.physics
def test_binding_on_the_relaxed_node_is_what_the_docs_say(tmp_path):
    said = run_example("bind_h2_on_the_node.py", folder=tmp_path)
    energy, distance = map(float, re.search(r"(-[\d.]+) kJ/mol, Al–H2 ([\d.]+) Å", said).groups())
    theory = (ROOT / "docs" / "theory.md").read_text()
    stated_energy, stated_distance = re.search(r"with −(\d+) kJ/mol at ([\d.]+) Å", theory).groups()
    assert energy == pytest.approx(-float(stated_energy), abs=0.6)
    assert distance == pytest.approx(float(stated_distance), abs=0.02)

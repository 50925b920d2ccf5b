"""``alh2 produce``: what it prints and writes, that repeating it runs nothing, and how it refuses."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest
from ase import Atoms
from ase.io import write

from alh2.cli import app
from alh2.cli.errors import run_app
from alh2.cli.produce_md import insertion_words, with_error
from alh2.core.files import atomic_write_json
from alh2.core.statistics import Estimate
from alh2.production.isotherm_result import read_isotherm


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["alh2", *arguments])
    return run_app(app)


@pytest.fixture
def files(tmp_path: Path, ideal_model: Path) -> list[str]:
    """Options that name model, host, machine and output."""
    write(tmp_path / "host.extxyz", Atoms("Al", [[1.0, 2.0, 3.0]], cell=[12.0] * 3, pbc=True))
    place = {"batch_type": "Shell", "context_type": "LazyLocalContext", "local_root": "./"}
    stage = {"command": "python", "machine": place, "resources": {"group_size": 0, "para_deg": 2}}
    atomic_write_json(tmp_path / "machine.json", {n: stage for n in ("train", "model_devi", "fp", "gcmc")})
    paths = {"model": ideal_model, "structure": tmp_path / "host.extxyz", "machine": tmp_path / "machine.json"}
    options = [word for name, path in paths.items() for word in (f"--{name}", str(path))]
    return [*options, "--output", str(tmp_path / "out")]


CONDITIONS = "--temperature 100 --pressures 20:40:2 --initial 0 --moves 1000 --widom 20 --min-distance 0"


def test_isotherm_from_files(files: list[str], tmp_path: Path, monkeypatch, capsys) -> None:
    command = ["produce", "isotherm", *files, *CONDITIONS.split(), "--void", "geometric", "--density"]
    assert call(monkeypatch, *command) == 0
    said = capsys.readouterr().out
    found = read_isotherm(tmp_path / "out")
    assert found is not None and [p.pressure_bar for p in found.points] == [20.0, 40.0]
    assert found.void is not None  # a sphere of 2.25 Å in 1728 Å³
    assert abs(found.void.fraction - (1 - 4 / 3 * math.pi * 2.25**3 / 1728)) < 4 * found.void.error
    assert "host host: Al, 26.98 amu and 1728.0 Å³ per cell" in said and "Henry constant" in said
    assert f"{found.points[1].n_absolute:.4g} ± " in said
    stamp = (tmp_path / "out" / "100K.20bar.0h2" / "run.00" / "series.npz").stat().st_mtime_ns
    assert call(monkeypatch, *command) == 0
    assert read_isotherm(tmp_path / "out") == found
    names = (
        "isotherm.csv",
        "isotherm.100K.excess.aif",
        "isotherm.svg",
        "isotherm.png",
        "isosteric_heat.svg",
        "density.100K.20bar.cube",
        "density.100K.20bar.png",
    )
    assert all((tmp_path / "out" / name).is_file() for name in names)
    assert (tmp_path / "out" / "100K.20bar.0h2" / "run.00" / "series.npz").stat().st_mtime_ns == stamp


def test_quantum_nuclei_beside_classical_ones(files: list[str], tmp_path: Path, monkeypatch, capsys) -> None:
    """An ideal gas has no correction: the same numbers, other words, and job files of classical runs as they were."""
    command = ["produce", "isotherm", *files, *CONDITIONS.split()]
    assert call(monkeypatch, *command) == 0
    output = tmp_path / "quantum"
    more = ["--output", str(output), "--quantum", "feynman-hibbs", "--beside", str(tmp_path / "out")]
    assert call(monkeypatch, *command, *more) == 0
    said = capsys.readouterr().out
    classical, quantum = read_isotherm(tmp_path / "out"), read_isotherm(output)
    assert classical is not None and quantum is not None
    assert classical.host.nuclei == "classical nuclei" and quantum.host.nuclei.startswith("quantum: Feynman-Hibbs")
    assert classical.points == quantum.points and classical.henry == quantum.henry and quantum.host.nuclei in said
    for folder, expected in ((tmp_path / "out", None), (output, "feynman-hibbs")):
        for job in (folder / "100K.20bar.0h2" / "run.00" / "job.json", folder / "widom.100K" / "job.json"):
            assert json.loads(job.read_text()).get("quantum") == expected
    curves = {line.split(",computed")[0] for line in (output / "isotherm.figure.csv").read_text().splitlines()[1:]}
    assert any("classical nuclei" in c for c in curves) and any("Feynman-Hibbs" in c for c in curves)
    assert (output / "isotherm.csv").read_text().splitlines()[1].endswith(quantum.host.nuclei)
    assert "Feynman-Hibbs" in (output / "isotherm.100K.absolute.aif").read_text()
    for wrong, words in ((["--beside", str(tmp_path)], "--beside"), (["--quantum", "bohm"], "feynman-hibbs")):
        assert call(monkeypatch, *command, "--output", str(output), *wrong) == 2
        assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("--pressures 1:0.1:4", "LOW:HIGH:N"),
        ("--pressures 1:2", "LOW:HIGH:N"),
        ("--void mercury", "helium or geometric"),
        ("--initial 2 --initial 2", "each once"),
        ("--compare absent.json", "no such file"),
        ("--unit g/L", "molecules/cell"),
        ("--weight-of me", "host or both"),
        ("--relative-error 1.5", "between 0 and 1"),
        ("--temperature -1", "positive numbers"),
        ("--pressure 20.0000001", "differ in six digits"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_code_2(
    files: list[str], tmp_path: Path, monkeypatch, capsys, change: str, words: str
) -> None:
    assert call(monkeypatch, "produce", "isotherm", *files, *CONDITIONS.split(), *change.split()) == 2
    error = capsys.readouterr().err
    assert words in error and len(error.splitlines()) == 1
    assert not list(tmp_path.glob("out/*K*"))


def test_missing_files_and_conditions_are_named(files: list[str], tmp_path: Path, monkeypatch, capsys) -> None:
    assert call(monkeypatch, "produce", "isotherm", *files[:4], *CONDITIONS.split()) == 2
    assert "no --machine, --output" in capsys.readouterr().err
    assert call(monkeypatch, "produce", "isotherm", *files, "--temperature", "77", "--pressure", "1") == 2
    assert "--moves" in capsys.readouterr().err
    assert call(monkeypatch, "produce", "isotherm", str(tmp_path / "absent")) == 2
    assert "a campaign directory" in capsys.readouterr().err
    assert call(monkeypatch, "produce", "isotherm", str(tmp_path), *files) == 2
    assert "a campaign and --model" in capsys.readouterr().err
    assert json.loads((tmp_path / "machine.json").read_text())["gcmc"]["command"] == "python"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("--ensemble npt", "nvt or nve"),
        ("--on-untrusted shrug", "flag, cut or stop"),
        ("--steps 30 --sample-every 20", "a multiple of the 20 steps"),
        ("--replicas 0", ">= 1"),
    ],
)
def test_md_that_makes_no_sense_is_one_line_and_code_2(files, monkeypatch, capsys, change: str, words: str) -> None:
    assert call(monkeypatch, "produce", "md", *files, "--temperature", "77", *change.split()) == 2
    error = capsys.readouterr().err
    assert words in error and len(error.splitlines()) == 1


def test_md_without_conditions_or_files_is_told_what_is_missing(files, monkeypatch, capsys) -> None:
    assert call(monkeypatch, "produce", "md", *files) == 2
    assert capsys.readouterr().err == "alh2: --temperature: expected one or more, K, found none\n"
    for conditions in ((), ("--temperature", "77")):
        assert call(monkeypatch, "produce", "md", *conditions) == 2
        assert "no --model, --structure, --machine, --output" in capsys.readouterr().err


def test_md_of_a_folder_that_is_no_campaign(tmp_path: Path, monkeypatch, capsys) -> None:
    assert call(monkeypatch, "produce", "md", str(tmp_path)) == 2
    assert f"{tmp_path}: expected a campaign directory" in capsys.readouterr().err


def test_an_error_that_is_not_known_is_said_in_words() -> None:
    assert with_error(Estimate(1.0, float("nan"), 1.0, 1), 3) == "1.000 (error unknown)"
    assert with_error(Estimate(1.0, 0.0123, 9.0, 1), 3) == "1.000 ± 0.012"


def test_insertion_energies_that_are_off_are_told_beside_molecular_dynamics() -> None:
    assert insertion_words(0.016, 77.0).startswith(
        "insertion energies of these models are off by 16 meV (RMSE, held out), kT is"
    )
    assert "6.64 meV" in insertion_words(0.016, 77.0)
    assert insertion_words(0.006, 77.0) == insertion_words(float("nan"), 77.0) == ""

"""``alh2 gcmc`` on a small model with random weights: what it prints, what it writes, how it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from ase import Atoms
from ase.io import read, write

from alh2.cli import gcmc as command
from alh2.cli.errors import run_app


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models that know Al, O and H or only O, and structures with and without H2."""
    from deepmd.dpmodel.model.model import get_model
    from deepmd.dpmodel.utils.serialization import save_dp_model

    folder = tmp_path_factory.mktemp("gcmc")
    for name, types in (("model.dp", ["Al", "O", "H"]), ("oxygen.dp", ["O"])):
        descriptor = {"type": "se_e2_a", "rcut": 3.0, "rcut_smth": 1.0, "sel": [40] * len(types), "neuron": [2, 4]}
        model = get_model(
            {
                "type_map": types,
                "descriptor": descriptor | {"axis_neuron": 2, "seed": 1},
                "fitting_net": {"neuron": [4, 4], "seed": 1},
            }
        )
        save_dp_model(str(folder / name), {"backend": "NumPy", "model": model.serialize(), "model_def_script": {}})
    host = Atoms("AlO", [[2.0, 2.0, 2.0], [3.8, 2.0, 2.0]], cell=[9.0] * 3, pbc=True)
    write(folder / "host.extxyz", host)
    guests = Atoms("H4", [[6, 6, 6], [6.74, 6, 6], [2, 6, 6], [2, 6, 6.74]])
    write(folder / "loaded.extxyz", host + guests)
    write(folder / "molecule.xyz", guests)
    (folder / "broken.extxyz").write_text("three\natoms\n")
    (folder / "POSCAR").write_text("garbage\n1.0\nabc\n")
    (folder / "noise.cif").write_bytes(np.random.default_rng(1).bytes(3000))
    (folder / "folder").mkdir()
    return folder


@pytest.fixture(scope="module")
def loaded_dataset(tmp_path_factory: pytest.TempPathFactory, loaded_frames) -> Path:
    """A dataset of one loading only: it leaves the energy of adding one H2 free."""
    from alh2.dataset.store import DatasetStore

    folder = tmp_path_factory.mktemp("dataset") / "data"
    DatasetStore(folder, ("O", "Al", "H", "C")).append(loaded_frames[:3], split="train", name="first")
    return folder


def call(files: Path, monkeypatch, *, model: str = "model.dp", structure: str = "host.extxyz", more: str = "") -> int:
    app = typer.Typer()
    app.callback()(lambda: None)
    command.register(app)
    words = f"alh2 gcmc --model {files / model} --structure {files / structure} --bond-length 0.74 {more}"
    if "--temperature" not in more:
        words += " --temperature 300"
    if "--moves" not in more:
        words += " --moves 300"
    monkeypatch.setattr("sys.argv", words.split())
    return run_app(app)


def test_quantum_nuclei_are_said(files, monkeypatch, capsys, tmp_path):
    more = f"--pressure 200 --initial 2 --moves 100 --output {tmp_path / 'out'} --quantum"
    assert call(files, monkeypatch, more=f"{more} feynman-hibbs") == 0
    assert "rigid framework, quantum: Feynman-Hibbs (quadratic; guest-guest classical)" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "result.json").read_text())["nuclei"].startswith("quantum: Feynman-Hibbs")
    assert call(files, monkeypatch, more=f"{more} feynman-hibbs --flexible") == 2
    assert call(files, monkeypatch, more=f"{more} other") == 2
    assert "--quantum: expected classical or feynman-hibbs, found other" in capsys.readouterr().err


def test_writes_what_it_prints(files, monkeypatch, capsys, tmp_path):
    out = tmp_path / "new" / "out"
    more = f"--pressure 200 --initial 3 --seed 5 --output {out}"
    assert call(files, monkeypatch, structure="loaded.extxyz", more=more) == 0
    printed = capsys.readouterr()
    record = json.loads((out / "result.json").read_text())
    assert f"<N> = {record['mean_n_adsorbed']:.4g} ± " in printed.out
    assert "wt%" in printed.out and "2 H2 in the file, 3 more at random" in printed.out
    assert printed.err == ""
    assert record["n_initial"] == 5
    assert record["pressure_bar"] == 200.0 and 200.0 < record["fugacity_bar"] < 260.0
    assert sum(move["attempted"] for move in record["acceptance"].values()) == 300
    assert record["mean_n_adsorbed"] == pytest.approx(np.mean(record["series"]["n_adsorbed"]))
    frames = read(out / "frames.extxyz", index=":")
    assert [frame.info["n_adsorbed"] for frame in frames] == record["series"]["n_adsorbed"]
    assert all(frame.get_chemical_symbols()[:2] == ["Al", "O"] for frame in frames)


def test_same_seed_same_bytes(files, monkeypatch, tmp_path):
    for name in ("a", "b"):
        assert call(files, monkeypatch, more=f"--fugacity 100 --initial 2 --output {tmp_path / name}") == 0
    for file in ("result.json", "frames.extxyz"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_nothing_happened_is_said(files, monkeypatch, capsys):
    assert call(files, monkeypatch, more="--fugacity 1e-9") == 0
    assert "N never changed, so its error is unknown" in capsys.readouterr().out


def test_moves_can_be_chosen(files, monkeypatch, capsys, tmp_path):
    """Biased insertions and re-insertions: another chain, the same answer."""
    found = {}
    for name, more in (("plain", ""), ("chosen", "--biased --reinsertion 20")):
        more += f" --fugacity 300 --moves 6000 --max-molecules 1 --seed 3 --output {tmp_path / name}"
        assert call(files, monkeypatch, more=more) == 0
        found[name] = json.loads((tmp_path / name / "result.json").read_text())
    assert "insertions drawn from an energy grid of" in capsys.readouterr().out
    plain, chosen = found["plain"], found["chosen"]
    assert chosen["acceptance"]["reinsertion"]["attempted"] == pytest.approx(1000, abs=120)
    assert chosen["series"]["n_adsorbed"] != plain["series"]["n_adsorbed"]
    error = np.hypot(plain["n_adsorbed_error"], chosen["n_adsorbed_error"])
    assert 0.0 < error < 0.05
    assert abs(plain["mean_n_adsorbed"] - chosen["mean_n_adsorbed"]) < 4.0 * error


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"more": "--pressure=-0.15"}, "pressure: expected a positive number of bar, found -0.15 bar"),
        ({"more": "--fugacity=-1"}, "fugacity"),
        ({"more": "--pressure 1 --temperature 5"}, "13.957"),
        ({"more": ""}, "expected either --pressure or --fugacity, found neither"),
        ({"more": "--pressure 1 --fugacity 1"}, "found both"),
        ({"more": "--pressure 1 --moves 0"}, "--moves"),
        ({"more": "--pressure 1 --initial=-1"}, "n_initial"),
        ({"more": "--pressure 1 --min-distance 8"}, "half the narrowest width"),
        ({"more": "--pressure 1", "structure": "absent.cif"}, "no such file"),
        ({"more": "--pressure 1", "structure": "broken.extxyz"}, "expected a structure file"),
        ({"more": "--pressure 1", "structure": "POSCAR"}, "expected a structure file"),
        ({"more": "--pressure 1", "structure": "noise.cif"}, "expected a structure file"),
        ({"more": "--pressure 1", "structure": "folder"}, "expected a structure file"),
        ({"more": "--pressure 1", "structure": "molecule.xyz"}, "three independent vectors"),
        ({"more": "--pressure 1", "model": "absent.pb"}, "no such file"),
        ({"more": "--pressure 1", "model": "host.extxyz"}, "expected a DeePMD model"),
        ({"more": "--pressure 1", "model": "oxygen.dp"}, "found element H"),
        ({"more": "--pressure 1 --output /dev/null"}, "found a file"),
        ({"more": "--pressure much"}, "pressure"),
        (
            {"more": "--pressure 1 --trajectory xtc --output {out}"},
            "--trajectory: expected extxyz or lammpstrj, found xtc",
        ),
        ({"more": "--pressure 1 --trajectory extxyz"}, "--trajectory: expected --output"),
        ({"more": "--pressure 1 --max-wall-s 5"}, "--max-wall-s: expected --output"),
        ({"more": "--pressure 1 --max-wall-s=-5 --output {out}"}, "--max-wall-s: expected a positive number"),
        ({"more": "--pressure 1 --restart-every 0 --output {out}"}, "restart every: expected a whole number"),
        ({"more": "--pressure 1 --trajectory extxyz --trajectory-every 0 --output {out}"}, "trajectory every"),
        ({"more": "--pressure 1 --initial 0 --initial=-2"}, "n_initial"),
        ({"more": "--pressure 1 --dataset {files}"}, "expected a dataset, found no systems"),
        ({"more": "--pressure 1 --dataset {loaded}"}, "compositions that determine the energy of adding one H2"),
        ({"more": "--pressure 1 --flexible --md-steps 0"}, "steps: expected a whole number >= 1, found 0"),
        ({"more": "--pressure 1 --flexible --biased"}, "--biased: expected a rigid framework"),
        ({"more": "--pressure 1 --reinsertion=-1"}, "move_weights: expected numbers >= 0"),
        ({"more": "--pressure 1 --flexible"}, "expected a model that LAMMPS takes"),
    ],
)
def test_refusals_are_one_line_and_exit_code_2(files, loaded_dataset, monkeypatch, capsys, tmp_path, keywords, words):
    places = {"out": tmp_path / "out", "files": files, "loaded": loaded_dataset}
    keywords = keywords | {"more": keywords["more"].format(**places)}
    assert call(files, monkeypatch, **keywords) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert not list(tmp_path.rglob("*.*"))
    assert "Traceback" not in printed.err
    if "much" not in keywords["more"]:
        assert printed.err.count("\n") == 1


def test_a_cell_narrower_than_twice_the_cutoff_has_images(files, monkeypatch, capsys, tmp_path):
    """One atom in a 2.5 Å cell, cutoff 3 Å: its energy is an eighth of that of the doubled cell."""
    energies = []
    small = Atoms("O", [[1.0, 1.0, 1.0]], cell=[2.5] * 3, pbc=True)
    for number, host in enumerate((small, small.repeat(2))):
        write(files / f"cell{number}.extxyz", host)
        out = tmp_path / str(number)
        more = f"--fugacity 1e-9 --moves 5 --min-distance 0 --output {out}"
        assert call(files, monkeypatch, structure=f"cell{number}.extxyz", more=more) == 0
        energies.append(json.loads((out / "result.json").read_text())["host_energy_ev"])
    assert energies[1] == pytest.approx(8.0 * energies[0], abs=1e-10)
    lonely = tmp_path / "lonely"
    write(files / "lonely.extxyz", Atoms("O", [[1.0, 1.0, 1.0]], cell=[9.0] * 3, pbc=True))
    more = f"--fugacity 1e-9 --moves 5 --min-distance 0 --output {lonely}"
    assert call(files, monkeypatch, structure="lonely.extxyz", more=more) == 0
    assert abs(json.loads((lonely / "result.json").read_text())["host_energy_ev"] - energies[0]) > 1e-12

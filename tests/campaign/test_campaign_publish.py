"""``alh2 publish``: the bundle is whole, checks itself, loads without alh2, and is the same whenever it is made."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase.io
import dpdata
import numpy as np
import pytest
import yaml

from alh2.core.errors import BadInputError
from alh2.dataset.store import DatasetStore
from alh2.publish import bundle
from alh2.publish.bundle import Published, publish
from alh2.report.model import ReportData

pytestmark = pytest.mark.slow

WITHOUT_ALH2 = """
import runpy, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "alh2":
            raise ModuleNotFoundError("alh2 is not here")
sys.meta_path.insert(0, Absent())
sys.argv = [sys.argv[1]]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    assert not any(name.split(".")[0] == "alh2" for name in sys.modules)
"""
"""Runs a script where alh2 cannot be imported (the environment of the tests has it, a reader's need not)."""


@pytest.fixture(scope="module", autouse=True)
def short_reports() -> Iterator[None]:
    """Pages without most of their figures, which tests/report draws."""
    whole = bundle.write_report

    def short(data: ReportData, folder: Path, *, for_paper: bool) -> Path:
        few = replace(data, learning_curves=[], parities=[], insertions=[], calibrations=[], selections={})
        return whole(few, folder, for_paper=for_paper)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "write_report", short)
        yield


@pytest.fixture(scope="module")
def published(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Published:
    return publish(finished.workdir, tmp_path_factory.mktemp("published") / "bundle")


@pytest.fixture
def moved(published: Published, tmp_path: Path) -> Path:
    """A copy elsewhere, as a reader unpacks it."""
    return Path(shutil.copytree(published.folder, tmp_path / "elsewhere"))


def elsewhere(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, timeout=300)


def test_everything_is_in_it(published: Published) -> None:
    assert sorted(path.name for path in published.folder.iterdir()) == [
        "CITATION.bib", "CITATION.cff", "README.md", "SHA256SUMS", "dataset", "examples", "inputs", "models", "report",
        "results", "versions.json",
    ]  # fmt: skip
    assert sorted(
        path.parent.relative_to(published.folder).as_posix() for path in published.folder.rglob("graph.pb")
    ) == [f"models/{target}/{k:03d}" for target in ("host", "interaction", "total") for k in (0, 1)]
    assert published.results == ("isotherm", "md", "assessment/iter.000000", "assessment/iter.000001")
    assert not [path for path in published.folder.rglob("*") if path.is_symlink() or path.name.startswith(".")]
    seeds = json.loads((published.folder / "inputs" / "seeds.json").read_text())
    assert seeds["root"] == 11 and len({tuple(s.values()) for s in seeds["training"].values()}) == 4
    for member in ("total/000", "interaction/001"):
        given = json.loads((published.folder / "inputs" / "training" / member / "input.json").read_text())
        assert given["training"]["seed"] in {s["training"] for s in seeds["training"].values()}
    assert "alh2" in json.loads((published.folder / "versions.json").read_text())


def test_checksums_are_those_of_sha256sum(moved: Path) -> None:
    done = elsewhere(["sha256sum", "-c", "--quiet", "SHA256SUMS"], moved)
    assert (done.returncode, done.stdout) == (0, "")
    listed = {line.split("  ", 1)[1] for line in (moved / "SHA256SUMS").read_text().splitlines()}
    assert listed == {p.relative_to(moved).as_posix() for p in moved.rglob("*") if p.is_file()} - {"SHA256SUMS"}
    (moved / "versions.json").write_text("{}")
    assert elsewhere(["sha256sum", "-c", "--quiet", "SHA256SUMS"], moved).returncode == 1


def test_models_load_in_ase_and_lammps_without_alh2_and_agree(moved: Path) -> None:
    """The numbers to agree with are those that the campaign's own evaluation gave, in the process of `publish`."""
    python = [sys.executable, "-I", "-c", WITHOUT_ALH2]
    done = elsewhere([*python, "load_ase.py"], moved / "examples")
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert done.stdout.count("models/") == 4 and "the models load and agree" in done.stdout
    done = elsewhere([*python, "pair_terms.py"], moved / "examples")
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert done.stdout.count("models/interaction/") == 2 and done.stdout.count("models/total/") == 2
    lmp = str(Path(sys.executable).parent / "lmp")
    done = elsewhere([lmp, "-in", "in.lammps", "-log", "none"], moved / "examples")
    assert done.returncode == 0, done.stdout[-2000:]
    energy, expected = re.findall(r"^potential energy (\S+) eV, expected (\S+) eV$", done.stdout, re.MULTILINE)[0]
    assert float(energy) == pytest.approx(float(expected), abs=2e-5)
    numbers = json.loads((moved / "examples" / "expected.json").read_text())
    on_pairs = {entry["model"]: entry["energy_ev"] for entry in numbers["on_pairs"]}
    assert float(expected) == pytest.approx(on_pairs["models/total/000/graph.pb"], abs=1e-6)
    assert (moved / "examples" / "model_devi.out").exists()


def test_the_dataset_is_whole_in_both_forms(published: Published, finished: Any) -> None:
    store = DatasetStore.open(finished.workdir / "dataset")
    for split in ("train", "valid"):
        frames = store.load(split)  # type: ignore[arg-type]
        read = ase.io.read(published.folder / "dataset" / "extxyz" / f"{split}.extxyz", index=":")
        assert [a.get_potential_energy() for a in read] == pytest.approx([f.label.energy_ev for f in frames], abs=1e-7)
        np.testing.assert_allclose(read[-1].get_forces(), frames[-1].label.forces_ev_ang, atol=1e-7)
        systems = sorted((published.folder / "dataset" / "deepmd" / split).iterdir())
        loaded = [dpdata.LabeledSystem(str(system), "deepmd/npy") for system in systems]
        assert sum(system.get_nframes() for system in loaded) == len(frames)
        energies = sorted(float(e) for system in loaded for e in system["energies"])
        assert energies == pytest.approx(sorted(f.label.energy_ev for f in frames), abs=1e-9)
    assert published.n_frames == len(store.load())


def test_made_again_it_is_the_same(published: Published, finished: Any) -> None:
    again = publish(finished.workdir, published.folder)
    assert published.is_new and not again.is_new


def test_a_folder_with_another_content_is_refused(
    moved: Path, finished: Any, alh2: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nearly_nothing(*arguments: Any) -> None:
        (arguments[-1] / "README.md").write_text("another")

    monkeypatch.setattr(bundle, "_fill", nearly_nothing)
    with pytest.raises(BadInputError, match="one with another content; choose another name"):
        publish(finished.workdir, moved)
    assert (moved / "models").is_dir()
    empty = moved.parent / "empty"
    empty.mkdir()
    ended = alh2("publish", finished.workdir, "--output", empty)
    assert (ended.code, ended.out) == (2, "")
    assert re.fullmatch(r"alh2: .*: expected a new folder.*\n", ended.err)
    assert not list(moved.parent.glob(".*.tmp")) and not list(empty.iterdir())


def test_what_cannot_be_published_is_one_line(finished: Any, tmp_path: Path, alh2: Callable[..., Any]) -> None:
    ended = alh2("publish", tmp_path, "--output", tmp_path / "out")
    assert ended.code == 2 and "expected a campaign directory" in ended.err and ended.err.count("\n") == 1
    with pytest.raises(BadInputError, match="a folder outside the campaign"):
        publish(finished.workdir, finished.workdir / "bundle")
    assert not (tmp_path / "out").exists()


def test_citations_are_those_of_what_was_used(published: Published) -> None:
    bib = (published.folder / "CITATION.bib").read_text()
    keys = re.findall(r"^@\w+\{(\w+),$", bib, re.MULTILINE)
    assert {"Zeng2025", "Zhang2020", "Thompson2022", "Leachman2009", "Liu2024"} <= set(keys)
    assert not {"Grimme2017", "Kresse1996", "McCluskey2025", "Lu2022"} & set(keys)  # labels of the reference potential
    cff = yaml.safe_load((published.folder / "CITATION.cff").read_text())
    assert cff["cff-version"] == "1.2.0" and len(cff["references"]) == len(keys)
    page = (published.folder / "README.md").read_text()
    for path in re.findall(r"`((?:models|inputs|results|dataset|report)/[\w./-]+)`", page):
        assert (published.folder / path).exists(), path

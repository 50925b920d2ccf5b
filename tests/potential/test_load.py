"""Which potential a model file gets, and what is said of files that give none."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from alh2.core.errors import BadInputError
from alh2.core.frames import Frame
from alh2.potential.convert import to_dp
from alh2.potential.deeppot import DeepPotEvaluator
from alh2.potential.incremental import IncrementalPotential
from alh2.potential.load import load_potential
from alh2.potential.se_e2_a import read_se_e2_a

REFUSED = {
    "float64": {"descriptor": {"precision": "float32"}},
    "descriptor se_e2_a": {"descriptor": {"type": "se_e2_r"}},
    "numb_fparam": {"fitting": {"numb_fparam": 1}},
}


@pytest.mark.parametrize("words", REFUSED)
def test_unsupported_models_are_refused_by_name(words: str, refused_model: Callable[..., Path]) -> None:
    model = refused_model(**REFUSED[words])
    with pytest.raises(BadInputError, match=words) as caught:
        IncrementalPotential(model)
    assert str(model) in str(caught.value)


def test_other_models_fall_back_to_full_energies_and_say_why(refused_model: Callable[..., Path]) -> None:
    model = refused_model(descriptor={"type": "se_e2_r"})
    potential = load_potential([model, Path("other.pb")])
    assert "full energies by DeepPot" in potential.describe() and "se_r" in potential.describe()
    host = Atoms("OAl", [[1, 1, 1], [2.5, 1, 1]], cell=9 * np.eye(3), pbc=True)
    session = potential.start(host, ("H", "H"), np.zeros((0, 2, 3)))
    sites = np.array([[4.0, 4.0, 4.0], [4.7, 4.0, 4.0]])
    evaluator = DeepPotEvaluator(model)
    together = evaluator.energy_ev(("O", "Al", "H", "H"), np.vstack([host.positions, sites]), 9 * np.eye(3))
    alone = evaluator.energy_ev(("O", "Al"), host.positions, 9 * np.eye(3))
    assert session.trial(None, sites) == pytest.approx(together - alone, abs=1e-9)


def test_compressed_models_use_the_frozen_one_beside_them(trained, tmp_path: Path, node_frames: list[Frame]) -> None:
    link = tmp_path / "graph.000.pb"
    link.symlink_to(trained.compressed)
    potential = load_potential(link)
    assert "incremental" in potential.describe()
    frame = node_frames[-1]
    session = potential.start(Atoms(frame.symbols, frame.positions_ang, cell=frame.cell_ang), ("H", "H"), np.zeros(0))
    original = DeepPotEvaluator(trained.compressed).energy_ev(frame.symbols, frame.positions_ang, frame.cell_ang)
    assert session.energy_ev == pytest.approx(original, abs=2e-8 * frame.n_atoms)
    alone = tmp_path / "alone" / "compressed.pb"
    alone.parent.mkdir()
    for path in (trained.compressed, to_dp(trained.compressed)):
        shutil.copy(path, alone.parent)
    with pytest.raises(BadInputError, match=r"alone/compressed\.pb.*uncompressed.*keep the frozen"):
        read_se_e2_a(alone)
    assert "local energies" in load_potential(alone).describe()


def test_conversion_happens_once_per_content(trained, tmp_path: Path) -> None:
    first = to_dp(trained.frozen)
    stamp = first.stat().st_mtime_ns
    assert first.parent == trained.frozen.parent and to_dp(trained.frozen) == first
    assert first.stat().st_mtime_ns == stamp
    assert not [p for p in first.parent.iterdir() if p.name.startswith(".") and p.suffix == ".dp"]


def test_bad_files_are_named(tmp_path: Path) -> None:
    cases = {"bad.pb": b"not a graph", "bad.dp": b"not hdf5", "empty.dp": b"", "model.txt": b"x"}
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInputError, match=name):
            load_potential(tmp_path / name)
    with pytest.raises(BadInputError, match=r"absent\.pb.*no such file"):
        load_potential(tmp_path / "absent.pb")
    with pytest.raises(BadInputError, match="at least one"):
        load_potential([])

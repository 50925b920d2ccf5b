"""Local energies through DeePMD's C library equal differences of full energies, for models the sums refuse."""

from __future__ import annotations

import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from alh2.core.atoms import to_atoms
from alh2.core.errors import BadInputError
from alh2.core.frames import Frame
from alh2.potential import generic
from alh2.potential.convert import cache_path
from alh2.potential.deeppot import DeepPotEvaluator
from alh2.potential.full_energy import changed_guests
from alh2.potential.generic import LocalPotential
from alh2.potential.libraries import quiet_environment
from alh2.potential.load import load_potential
from alh2.potential.session import IncrementalSession

TYPE_MAP = ["O", "Al", "H", "C"]
SMALL = np.array([[5.2, 0.0, 0.0], [1.1, 5.6, 0.0], [-0.9, 0.8, 6.1]])
DESCRIPTORS = {
    "se_e2_r": {"type": "se_e2_r", "rcut": 4.0, "rcut_smth": 1.0, "sel": [40, 40, 40, 40], "neuron": [4, 8], "seed": 1},
    "dpa1": {
        **{"type": "dpa1", "rcut": 4.0, "rcut_smth": 1.0, "sel": 60, "neuron": [4, 8], "axis_neuron": 2, "seed": 1},
        **{"tebd_dim": 4, "tebd_input_mode": "concat", "attn_layer": 1, "attn": 8, "smooth_type_embedding": False},
    },
}


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`.pb` models of the two descriptors, converted by DeePMD from random weights, each beside its `.dp`."""
    from deepmd.dpmodel.model.model import get_model
    from deepmd.dpmodel.utils.serialization import save_dp_model

    folder = tmp_path_factory.mktemp("frozen")
    running = {}
    for name, descriptor in DESCRIPTORS.items():
        parts = {
            "type": "standard",
            "type_map": TYPE_MAP,
            "descriptor": descriptor,
            "fitting_net": {"neuron": [8, 8], "seed": 2},
        }
        content = {"backend": "NumPy", "model": get_model(deepcopy(parts)).serialize(), "model_def_script": parts}
        save_dp_model(str(folder / f"{name}.dp"), content)
        command = [sys.executable, "-m", "deepmd", "convert-backend", f"{name}.dp", f"{name}.pb"]
        running[name] = subprocess.Popen(
            command, cwd=folder, env=quiet_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    for name, process in running.items():
        assert process.wait(300) == 0, name
        shutil.copy(folder / f"{name}.dp", cache_path(folder / f"{name}.pb"))
    return {name: folder / f"{name}.pb" for name in DESCRIPTORS}


def host() -> Atoms:
    fractions = np.array([[0.1, 0.2, 0.1], [0.5, 0.4, 0.6], [0.8, 0.1, 0.4], [0.3, 0.8, 0.2], [0.7, 0.7, 0.9]])
    return Atoms("OAlHCO", fractions @ SMALL, cell=SMALL, pbc=True)


def compare(session: IncrementalSession, evaluator: DeepPotEvaluator, framework: Atoms, steps: int) -> None:
    """Trials of every kind against full energies; half of the finite ones accepted."""
    rng, cell, compared = np.random.default_rng(7), np.array(framework.cell), 0
    symbols = tuple(framework.get_chemical_symbols())

    def full(guests: np.ndarray) -> float:
        positions = np.vstack([framework.positions, guests.reshape(-1, 3)])
        return evaluator.energy_ev(symbols + ("H", "H") * len(guests), positions, cell)

    for step in range(steps):
        guests = session.guests_ang
        kind = ("insert", "displace", "delete")[step % 3] if len(guests) else "insert"
        remove = None if kind == "insert" else int(rng.integers(len(guests)))
        axis = rng.normal(size=3)
        centre = rng.random(3) @ cell
        sites = None if kind == "delete" else np.array([centre, centre + 0.74 * axis / np.linalg.norm(axis)])
        change = session.trial(remove, sites)
        if np.isinf(change):
            continue
        expected = full(changed_guests(guests, remove, sites)) - full(guests)
        assert change == pytest.approx(expected, abs=1e-9), kind
        compared += 1
        if step % 2 == 0:
            session.accept()
    assert compared >= steps // 3
    assert session.energy_ev == pytest.approx(full(session.guests_ang), abs=1e-9)


@pytest.mark.parametrize("name", DESCRIPTORS)
def test_other_descriptors_get_local_energies(name: str, frozen: dict[str, Path]) -> None:
    potential = load_potential(frozen[name])
    assert isinstance(potential, LocalPotential)
    assert "local energies" in potential.describe() and "expected descriptor se_e2_a" in potential.describe()
    assert "not checked" not in potential.describe()
    session = potential.start(host(), ("H", "H"), np.empty((0, 2, 3)))
    compare(session, DeepPotEvaluator(frozen[name]), host(), 9)
    sites = np.array([[0.0, 0.0, 0.0], [0.74, 0.0, 0.0]])
    alone = DeepPotEvaluator(frozen[name]).energy_ev(("H", "H"), sites + 15.0, 30.0 * np.eye(3))
    assert potential.molecule_energy_ev(("H", "H"), sites) == pytest.approx(alone, abs=1e-9)


def test_a_compressed_model_without_its_parent(trained, tmp_path: Path, node_frames: list[Frame]) -> None:
    alone = tmp_path / "compressed.pb"
    shutil.copy(trained.compressed, alone)
    potential = load_potential(alone)
    assert isinstance(potential, LocalPotential) and "keep the frozen" in potential.describe()
    frame = node_frames[0]
    guests = frame.positions_ang[frame.n_host :].reshape(-1, 2, 3)
    framework = to_atoms(frame.bare_host())
    compare(potential.start(framework, ("H", "H"), guests), DeepPotEvaluator(alone), framework, 9)


@pytest.mark.parametrize(
    ("name", "words"), [("se_e2_r", "sel of at least 40 40"), ("dpa1", "sel of at least [6-9][0-9]$")]
)
def test_too_many_neighbours_stop_the_run(name: str, words: str, frozen: dict[str, Path]) -> None:
    session = LocalPotential(frozen[name]).start(Atoms(cell=SMALL, pbc=True), ("H", "H"), np.empty((0, 2, 3)))
    grid = [np.array([i, j, k]) / 3 @ SMALL for i in range(3) for j in range(3) for k in range(3)]
    with pytest.raises(BadInputError, match=words):
        for centre in grid:
            session.trial(None, np.array([centre, centre + [0.0, 0.0, 0.74]]))
            session.accept()


def test_models_of_longer_range_are_told_apart(frozen: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    potential = LocalPotential(frozen["se_e2_r"])
    original = potential._evaluator.library.periodic_energy_ev
    monkeypatch.setattr(potential._evaluator.library, "periodic_energy_ev", lambda *given: original(*given) + 1e-4)
    with pytest.raises(BadInputError, match="nothing beyond its cutoff.*differ from the whole by 0.0001"):
        potential.start(host(), ("H", "H"), np.empty((0, 2, 3)))


def test_buffers_grow(frozen: dict[str, Path]) -> None:
    potential = LocalPotential(frozen["se_e2_r"])
    potential._evaluator._room = 8
    session = potential.start(host(), ("H", "H"), np.empty((0, 2, 3)))
    compare(session, DeepPotEvaluator(frozen["se_e2_r"]), host(), 2)
    assert potential._evaluator._room > 8


def test_files_it_cannot_take_are_named(tmp_path: Path) -> None:
    torn = tmp_path / "torn.pb"
    torn.write_bytes(b"\n\x40half a node")
    with pytest.raises(BadInputError, match="torn.pb.*C library reads"):
        LocalPotential(torn)
    with pytest.raises(BadInputError, match=r"frozen model \(\.pb\).*'\.dp'"):
        LocalPotential(tmp_path / "model.dp")
    assert generic.UNLIMITED > 10**6

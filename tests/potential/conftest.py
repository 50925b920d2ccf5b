"""Small DeePMD models: one truly trained on xTB frames of the node, others with random weights."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
import pytest

from alh2.core.frames import Frame, Provenance
from alh2.potential.libraries import quiet_environment

NODE_FILES = Path(__file__).parents[2].parent / "shared" / "data" / "node-gfn1"
TYPE_MAP = ["O", "Al", "H", "C"]
N_HOST = 30


@pytest.fixture(scope="session")
def node_frames() -> list[Frame]:
    """Frames of the Al3O node: 20 with 6 H2, then 20 empty."""
    if not NODE_FILES.is_dir():
        pytest.skip(f"{NODE_FILES} is not here: no xTB frames of the node")
    frames = []
    for name in ("aimd77-6h2", "aimd77-0h2"):
        for i, atoms in enumerate(ase.io.read(NODE_FILES / f"{name}.extxyz", index=":20")):
            provenance = Provenance("aimd", -1, f"{name} {i}", 77.0 if i % 2 else None)
            symbols = tuple(atoms.get_chemical_symbols())
            frames.append(Frame(symbols, atoms.positions, np.array(atoms.cell), N_HOST, "node", provenance))
    return frames


@dataclass(frozen=True)
class Trained:
    """A trained model: frozen, compressed and converted."""

    frozen: Path
    compressed: Path


def _write_system(folder: Path, name: str) -> None:
    frames = ase.io.read(NODE_FILES / f"{name}.extxyz", index=":20")
    (folder / "set.000").mkdir(parents=True)
    np.savetxt(folder / "type.raw", [TYPE_MAP.index(s) for s in frames[0].get_chemical_symbols()], fmt="%d")
    (folder / "type_map.raw").write_text("\n".join(TYPE_MAP) + "\n")
    for key, values in (
        ("coord", [f.positions.ravel() for f in frames]),
        ("box", [np.array(f.cell).ravel() for f in frames]),
        ("energy", [f.get_potential_energy() for f in frames]),
        ("force", [f.get_forces().ravel() for f in frames]),
    ):
        np.save(folder / "set.000" / f"{key}.npy", np.array(values))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, node_frames: list[Frame]) -> Trained:
    """60 steps of real training (TensorFlow backend, the node's recipe), frozen and compressed."""
    folder = tmp_path_factory.mktemp("trained")
    systems = ["aimd77-0h2", "aimd77-6h2"]
    for name in systems:
        _write_system(folder / name, name)
    descriptor = {
        "type": "se_e2_a",
        "rcut": 6.0,
        "rcut_smth": 2.0,
        "sel": [24, 6, 90, 14],
        "neuron": [16, 32],
        "axis_neuron": 8,
        "type_one_side": True,
        "seed": 1,
    }
    value = {
        "model": {
            "type_map": TYPE_MAP,
            "descriptor": descriptor,
            "fitting_net": {"neuron": [100, 100, 100], "resnet_dt": True, "seed": 1},
        },
        "learning_rate": {"type": "exp", "start_lr": 5e-3, "stop_lr": 1e-4, "decay_steps": 20},
        "loss": {"start_pref_e": 0.1, "limit_pref_e": 5, "start_pref_f": 1000, "limit_pref_f": 5},
        "training": {
            "training_data": {"systems": systems, "batch_size": 1},
            "numb_steps": 60,
            "seed": 1,
            "disp_freq": 60,
            "save_freq": 60,
        },
    }
    (folder / "input.json").write_text(json.dumps(value))
    dp = str(Path(sys.executable).parent / "dp")
    script = (
        "import sys\n"
        "from deepmd.main import main\n"
        "main(['train', '--skip-neighbor-stat', 'input.json'])\n"
        "main(['freeze', '-o', 'frozen.pb'])\n"
    )
    for command in (
        [sys.executable, "-c", script],
        [dp, "compress", "-i", "frozen.pb", "-o", "compressed.pb", "-t", "input.json"],
    ):
        done = subprocess.run(
            command, cwd=folder, env=quiet_environment(), capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
    return Trained(folder / "frozen.pb", folder / "compressed.pb")


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Function writing a `.dp` se_e2_a model with random weights and statistics; keywords change its parts."""
    folder = tmp_path_factory.mktemp("random")
    count = iter(range(10_000))

    def make(*, descriptor: dict | None = None, fitting: dict | None = None, type_map: list[str] | None = None) -> Path:
        from deepmd.dpmodel.model.model import get_model
        from deepmd.dpmodel.utils.serialization import save_dp_model

        names = type_map or TYPE_MAP
        number = next(count)
        base = {"type": "se_e2_a", "rcut": 4.0, "rcut_smth": 1.0, "sel": [60] * len(names), "neuron": [8, 16]}
        base |= {"axis_neuron": 4, "seed": number} | (descriptor or {})
        net = {"neuron": [20, 20], "resnet_dt": True, "seed": number} | (fitting or {})
        model = get_model({"type_map": names, "descriptor": base, "fitting_net": net})
        data = model.serialize()
        rng = np.random.default_rng(number)
        variables = data["descriptor"]["@variables"]
        shape = variables["davg"].shape
        per_type = rng.normal(0.1, 0.05, (shape[0], 1, 2)).repeat(shape[1], axis=1)
        variables["davg"] = np.concatenate([per_type[..., :1], np.zeros((*shape[:2], 3))], axis=-1)
        scale = rng.uniform(0.1, 0.4, (shape[0], 1, 2)).repeat(shape[1], axis=1)
        variables["dstd"] = scale[..., [0, 1, 1, 1]]
        data["fitting"]["@variables"]["bias_atom_e"] = rng.normal(-50, 20, (len(names), 1))
        data["@variables"]["out_bias"] = rng.normal(-5, 2, (1, len(names), 1))
        path = folder / f"random{number}.dp"
        save_dp_model(str(path), {"backend": "NumPy", "model": data, "model_def_script": {}})
        return path

    return make


@pytest.fixture(scope="session")
def refused_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Function writing small `.dp` models as DeePMD initialises them, of any kind."""
    folder = tmp_path_factory.mktemp("refused")
    count = iter(range(10_000))

    def make(*, descriptor: dict | None = None, fitting: dict | None = None) -> Path:
        from deepmd.dpmodel.model.model import get_model
        from deepmd.dpmodel.utils.serialization import save_dp_model

        base = {"type": "se_e2_a", "rcut": 4.0, "rcut_smth": 1.0, "sel": [20] * 4, "neuron": [4, 8]} | (
            descriptor or {}
        )
        if base["type"] == "se_e2_a":
            base["axis_neuron"] = 2
        net = {"neuron": [8, 8]} | (fitting or {})
        model = get_model({"type_map": list(TYPE_MAP), "descriptor": base, "fitting_net": net})
        path = folder / f"refused{next(count)}.dp"
        save_dp_model(str(path), {"backend": "NumPy", "model": model.serialize(), "model_def_script": {}})
        return path

    return make

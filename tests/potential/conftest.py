"""Small DeePMD models: one truly trained on xTB frames of the node, others with random weights."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from alh2.core.frames import Frame, LabelledFrame
from alh2.potential.libraries import quiet_environment

TYPE_MAP = ["O", "Al", "H", "C"]


@pytest.fixture(scope="session")
def node_frames(loaded_frames: list[LabelledFrame], empty_frames: list[LabelledFrame]) -> list[Frame]:
    """Frames of the Al3O node: 20 with 6 H2, then 20 empty."""
    return [labelled.frame for labelled in (*loaded_frames, *empty_frames)]


@dataclass(frozen=True)
class Trained:
    """A trained model: frozen, compressed and converted."""

    frozen: Path
    compressed: Path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, trained_committee) -> Trained:
    """The first member of the trained committee, in a folder of its own."""
    folder = tmp_path_factory.mktemp("trained")
    member = trained_committee.members[0]
    shutil.copyfile(member.frozen, folder / "frozen.pb")
    shutil.copyfile(member.graph, folder / "compressed.pb")
    return Trained(folder / "frozen.pb", folder / "compressed.pb")


@pytest.fixture(scope="session")
def trained_two_sided(tmp_path_factory: pytest.TempPathFactory, loaded_frames: list[LabelledFrame]) -> Path:
    """A frozen model with an embedding per pair of elements, trained for 20 steps on frames with 6 H2."""
    folder = tmp_path_factory.mktemp("two_sided")
    data = folder / "data" / "set.000"
    data.mkdir(parents=True)
    frames = loaded_frames[:5]
    np.savetxt(folder / "data" / "type.raw", [TYPE_MAP.index(s) for s in frames[0].frame.symbols], fmt="%d")
    (folder / "data" / "type_map.raw").write_text("\n".join(TYPE_MAP) + "\n")
    np.save(data / "coord.npy", [f.frame.positions_ang.ravel() for f in frames])
    np.save(data / "box.npy", [f.frame.cell_ang.ravel() for f in frames])
    np.save(data / "energy.npy", [f.energy_ev() for f in frames])
    np.save(data / "force.npy", [f.forces_ev_ang().ravel() for f in frames])
    descriptor = {"type": "se_e2_a", "rcut": 5.0, "rcut_smth": 1.5, "sel": [24, 6, 90, 14], "neuron": [8, 16]}
    descriptor |= {"axis_neuron": 4, "type_one_side": False, "resnet_dt": True, "seed": 1}
    model = {"type_map": TYPE_MAP, "descriptor": descriptor, "fitting_net": {"neuron": [30, 30], "seed": 1}}
    training = {"training_data": {"systems": ["data"]}, "numb_steps": 20, "disp_freq": 20, "save_freq": 20, "seed": 1}
    rate = {"type": "exp", "start_lr": 0.01, "stop_lr": 1e-3, "decay_steps": 10}
    content = {"model": model, "learning_rate": rate, "loss": {"type": "ener"}, "training": training}
    (folder / "input.json").write_text(json.dumps(content))
    for command in (["train", "input.json", "--skip-neighbor-stat"], ["freeze", "-o", "frozen.pb"]):
        subprocess.run(
            [sys.executable, "-m", "deepmd", *command],
            cwd=folder,
            env=quiet_environment(),
            capture_output=True,
            check=True,
        )
    return folder / "frozen.pb"


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Function writing a `.dp` se_e2_a model with random weights and statistics; keywords change its parts."""
    folder = tmp_path_factory.mktemp("random")
    count = iter(range(10_000))

    def make(
        *,
        descriptor: dict | None = None,
        fitting: dict | None = None,
        type_map: list[str] | None = None,
        model: dict | None = None,
    ) -> Path:
        from deepmd.dpmodel.model.model import get_model
        from deepmd.dpmodel.utils.serialization import save_dp_model

        names = type_map or TYPE_MAP
        number = next(count)
        base = {"type": "se_e2_a", "rcut": 4.0, "rcut_smth": 1.0, "sel": [60] * len(names), "neuron": [8, 16]}
        base |= {"axis_neuron": 4, "seed": number} | (descriptor or {})
        net = {"neuron": [20, 20], "resnet_dt": True, "seed": number} | (fitting or {})
        parts = {"type_map": names, "descriptor": base, "fitting_net": net} | (model or {})
        data = get_model(parts).serialize()
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

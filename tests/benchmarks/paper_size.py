"""What the throughput benchmark runs on: the crystal, a paper-size model of it, and the same model for more H2."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from alh2.potential.libraries import quiet_environment

DATA = Path(__file__).resolve().parents[2] / "examples" / "data" / "al-soc-mof-gfn1" / "md77-24h2-start.extxyz"
N_HOST = 432
TYPE_MAP = ["Al", "O", "C", "N", "H"]
STEPS = 4
"""Of training: what a trial costs does not depend on how good the model is."""
TRAINING = {
    "model": {
        "type_map": TYPE_MAP,
        "descriptor": {
            **{"type": "se_e2_a", "rcut": 7.0, "rcut_smth": 4.1, "sel": [8, 24, 40, 12, 100], "seed": 1},
            **{"neuron": [25, 50, 100], "axis_neuron": 16, "type_one_side": True, "resnet_dt": False},
        },
        "fitting_net": {"neuron": [240, 240, 240], "resnet_dt": True, "seed": 1},
    },
    "learning_rate": {"type": "exp", "start_lr": 0.001, "stop_lr": 1e-5, "decay_steps": 2},
    "loss": {"type": "ener", "start_pref_e": 0.02, "limit_pref_e": 1, "start_pref_f": 1000, "limit_pref_f": 1},
}


@dataclass(frozen=True)
class Case:
    """Framework with molecules, and the same model frozen and compressed."""

    framework: Atoms
    guests_ang: np.ndarray
    frozen: Path
    compressed: Path

    @property
    def whole(self) -> Atoms:
        """All atoms, molecules last."""
        return Atoms(
            list(self.framework.symbols) + ["H"] * (2 * len(self.guests_ang)),
            np.concatenate([self.framework.positions, self.guests_ang.reshape(-1, 3)]),
            cell=self.framework.cell,
            pbc=True,
        )


def read_case(structure: Path, n_host: int, frozen: Path, compressed: Path) -> Case:
    """Case of the first frame of `structure`, whose atoms from `n_host` on are H2."""
    atoms = ase.io.read(structure, index=0)
    guests = np.array(atoms.positions[n_host:]).reshape(-1, 2, 3)
    framework = atoms[:n_host]
    framework.calc = None
    return Case(framework, guests, frozen, compressed)


def crystal_case(cache: Path) -> Case:
    """The 480-atom crystal with a paper-size model, trained at most once per `cache`."""
    frozen, compressed = cache / "frozen.pb", cache / "compressed.pb"
    if not compressed.is_file():
        _train(cache)
    return read_case(DATA, N_HOST, frozen, compressed)


def _train(cache: Path) -> None:
    """Train a few steps, freeze and compress; the finished files appear last."""
    work = cache / "work"
    (work / "data" / "set.000").mkdir(parents=True, exist_ok=True)
    frames = ase.io.read(DATA, index=":")
    np.savetxt(work / "data" / "type.raw", [TYPE_MAP.index(s) for s in frames[0].symbols], fmt="%d")
    (work / "data" / "type_map.raw").write_text("\n".join(TYPE_MAP) + "\n")
    for key, values in (
        ("coord", [a.positions.ravel() for a in frames]),
        ("box", [np.array(a.cell).ravel() for a in frames]),
        ("energy", [a.get_potential_energy() for a in frames]),
        ("force", [a.get_forces().ravel() for a in frames]),
    ):
        np.save(work / "data" / "set.000" / f"{key}.npy", np.array(values))
    training = {"training_data": {"systems": ["data"], "batch_size": 1}, "numb_steps": STEPS, "seed": 1}
    content = {**TRAINING, "training": {**training, "disp_freq": STEPS, "save_freq": STEPS}}
    (work / "input.json").write_text(json.dumps(content))
    for command in (
        ["train", "input.json", "--skip-neighbor-stat"],
        ["freeze", "-o", "frozen.pb"],
        ["compress", "-i", "frozen.pb", "-o", "compressed.pb", "-t", "input.json"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "deepmd", *command],
            cwd=work,
            env=quiet_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"dp {' '.join(command)} failed:\n{done.stderr[-2000:]}")
    for name in ("frozen.pb", "compressed.pb"):
        shutil.move(work / name, cache / name)


def with_room_for_h2(dp_file: Path, sel_h: int, target: Path) -> Path:
    """Copy of a `.dp` model that takes `sel_h` H neighbours, for loadings beyond the one it was trained at."""
    from deepmd.dpmodel.utils.serialization import load_dp_model, save_dp_model

    content = load_dp_model(str(dp_file))
    descriptor = content["model"]["descriptor"]
    old = list(descriptor["sel"])
    hydrogen = list(content["model"]["type_map"]).index("H")
    new = [sel_h if b == hydrogen else n for b, n in enumerate(old)]
    starts = np.concatenate([[0], np.cumsum(old)])
    for key in ("davg", "dstd"):
        table = descriptor["@variables"][key]
        parts = [np.repeat(table[:, starts[b] : starts[b] + 1], n, axis=1) for b, n in enumerate(new)]
        descriptor["@variables"][key] = np.concatenate(parts, axis=1)
    descriptor["sel"] = new
    save_dp_model(str(target), content)
    return target

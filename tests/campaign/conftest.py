"""A mini campaign on the Al3O node: the whole loop with the analytic reference potential as its electronic structure.

Every program of the machine file is a wrapper that notes start and end in ``runs.log`` of its task folder, so that
tests can count what really ran, and fails in folders whose path contains ``$FAIL_IN``.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from alh2.config.model import HostConfig
from alh2.core.atoms import from_atoms, to_atoms
from alh2.core.frames import Frame, Provenance
from alh2.label.reference_network import build_network
from alh2.label.reference_pes import reference_energy_forces
from alh2.structure.hosts import build_host
from alh2.structure.loading import load_h2

BOX_ANG = 13.0
N_AIMD = 10
PATIENCE_S = float(os.environ.get("ALH2_TEST_PATIENCE_S", "800"))
"""Longest time for one campaign; a busy computer needs more."""

PARAM: dict[str, Any] = {
    "type_map": ["Al", "O", "C", "H"],
    "mass_map": "auto",
    "numb_models": 2,
    "dp_compress": False,
    "default_training_param": {
        "model": {
            "descriptor": {
                "type": "se_e2_a",
                "rcut": 4.0,
                "rcut_smth": 0.5,
                "sel": [4, 16, 8, 32],
                "neuron": [4, 8],
                "axis_neuron": 4,
                "type_one_side": True,
            },
            "fitting_net": {"neuron": [16, 16]},
        },
        "learning_rate": {"type": "exp", "start_lr": 0.01, "stop_lr": 1e-4, "decay_steps": 20},
        "loss": {
            "start_pref_e": 0.1, "limit_pref_e": 1, "start_pref_f": 100, "limit_pref_f": 1, "start_pref_v": 0,
            "limit_pref_v": 0,
        },
        "training": {"numb_steps": 100, "disp_freq": 50, "save_freq": 100},
    },
    "training_reuse_iter": 1,
    "training_reuse_numb_steps": 50,
    "model_devi_dt": 0.0005,
    "model_devi_skip": 0,
    "model_devi_clean_traj": False,
    "model_devi_f_trust_lo": 0.01,
    "model_devi_f_trust_hi": 20.0,
    "model_devi_jobs": [
        {"sys_idx": [0], "temps": [77], "nsteps": 100, "trj_freq": 20, "ensemble": "nvt", "taut": 0.05}
    ],
    "fp_style": "reference",
    "fp_params": {"host_file": "host.extxyz"},
    "fp_task_max": 3,
    "fp_task_min": 1,
    "alh2": {
        "seed": 11,
        "host": {"id": "node", "build": "node", "box_ang": BOX_ANG},
        "systems": {"loadings": [2]},
        "dataset": {
            "aimd": [{"files": ["aimd.extxyz"], "dt_fs": 5.0, "drop_ps": 0.0, "every": 1, "temperature_k": 77}],
            "validation_fraction": 0.2,
            "split": "blocks",
        },
        "bootstrap": {
            "loadings": [0, 1, 3], "frames_per_loading": 2, "host_snapshots": 2, "displacement_ang": 0.02,
            "gas_frames": 6, "gas_pair_frames": 2, "gas_box_ang": 12.0, "sampled_per_loading": 2,
        },
        "interaction": {"numb_models": 2},
        "gcmc_jobs": [
            {"temps": [77], "fugacities_bar": [0.1], "n_initial": [2], "n_moves": 100, "n_equilibration": 20,
             "sample_every": 20, "max_loading": 6}
        ],
        "select": {"insertion_trust_lo_ev": 0.03, "framework_bond_stretch": 1.5},
        "label": {"timeout_s": 120, "energy_window_ev_per_atom": None},  # such short models explode
        "assess": {"loadings": [0, 2], "per_loading": 2, "temperature_k": 77, "n_moves_between": 20},
        "converge": {"accurate_fraction": None, "insertion_rmse_ev": 1e-6, "consecutive": 1, "max_iterations": 1},
        "production": {
            "md_temperature_k": 77, "md_loading": 2, "md_steps": 60, "md_dt_ps": 0.0005, "md_sample_every": 10,
            "isotherm_temperature_k": 77, "pressures_bar": [0.1], "n_moves": 100, "n_equilibration": 20,
            "n_initial": [0], "biased_insertion": False,
        },
    },
}  # fmt: skip

WRAPPER = """#!/bin/sh
unset ALH2_FAULTS  # drivers die, tasks do not
case "$PWD/" in *"${{FAIL_IN:-nowhere}}"*) echo "made to fail" >&2; exit 1;; esac
echo "start $*" >> runs.log
{program} "$@"; code=$?
echo "end $code $*" >> runs.log
exit $code
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Inputs:
    """A folder with the param and machine files of a mini campaign and everything they name."""

    folder: Path

    @property
    def param(self) -> Path:
        """The param file."""
        return self.folder / "param.json"

    @property
    def machine(self) -> Path:
        """The machine file."""
        return self.folder / "machine.json"

    def write_param(self, content: dict[str, Any]) -> None:
        """Replace the param file."""
        self.param.write_text(json.dumps(content, indent=1))

    def command(self, stage: str, program: Path | str) -> None:
        """Use `program` in a stage of the machine file."""
        machine = json.loads(self.machine.read_text())
        machine[stage]["command"] = str(program)
        self.machine.write_text(json.dumps(machine, indent=1))


@dataclass(frozen=True)
class Finished:
    """A campaign that ran without interruption: one iteration, then the same command with more allowed.

    dataset_after_one : copy of the dataset as it was after one iteration
    """

    inputs: Inputs
    workdir: Path
    dataset_after_one: Path
    first: Ended
    second: Ended


@pytest.fixture(scope="session")
def node() -> Frame:
    """The bare node."""
    atoms = build_host(HostConfig("node", None, "node", 21.67, BOX_ANG))
    return from_atoms(atoms, n_host=len(atoms), host_id="node", provenance=Provenance("test"))


@pytest.fixture(scope="session")
def base_inputs(node: Frame, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Input files shared by all tests (copy them with `inputs` before changing any)."""
    folder = tmp_path_factory.mktemp("inputs")
    write(folder / "host.extxyz", to_atoms(node))
    write(folder / "aimd.extxyz", _aimd(node))
    programs = folder / "bin"
    programs.mkdir()
    for name in ("dp", "lmp", "python"):
        path = programs / name
        path.write_text(WRAPPER.format(program=Path(sys.executable).parent / name))
        path.chmod(0o755)
    local = json.loads((Path(__file__).parents[2] / "machines" / "local.json").read_text())
    for stage, name in (("train", "dp"), ("model_devi", "lmp"), ("fp", "python"), ("gcmc", "python")):
        local[stage]["command"] = str(programs / name)
    (folder / "machine.json").write_text(json.dumps(local, indent=1))
    inputs = Inputs(folder)
    inputs.write_param(PARAM)
    return inputs


@pytest.fixture
def inputs(base_inputs: Inputs, tmp_path: Path) -> Inputs:
    """A copy of the input files that a test may change."""
    shutil.copytree(base_inputs.folder, tmp_path / "inputs")
    return Inputs(tmp_path / "inputs")


@pytest.fixture
def param_content() -> dict[str, Any]:
    """The content of the param file, to change and write back."""
    return copy.deepcopy(PARAM)


@pytest.fixture(scope="session")
def finished(base_inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A campaign of two iterations: one that meets no limit, then more are allowed, with a limit that is met.

    The second command asks for production too.
    """
    root = tmp_path_factory.mktemp("finished")
    inputs = Inputs(root / "inputs")
    shutil.copytree(base_inputs.folder, inputs.folder)
    content = copy.deepcopy(PARAM)
    content["alh2"]["dataset"]["aimd"][0]["files"] = [str(base_inputs.folder / "aimd.extxyz")]
    production = content["alh2"].pop("production")
    inputs.write_param(content)
    workdir = root / "run"
    first = alh2_run(inputs, workdir)
    shutil.copytree(workdir / "dataset", root / "dataset_after_one")
    content["alh2"]["production"] = production
    content["alh2"]["converge"] |= {"insertion_rmse_ev": 1e6, "consecutive": 2, "max_iterations": 3}
    inputs.write_param(content)
    second = alh2_run(inputs, workdir)
    return Finished(inputs, workdir, root / "dataset_after_one", first, second)


@pytest.fixture
def again(finished: Finished, tmp_path: Path) -> Finished:
    """A copy of the finished campaign that a test may spoil and continue."""
    shutil.copytree(finished.workdir, tmp_path / "run", symlinks=True)
    shutil.copytree(finished.inputs.folder, tmp_path / "inputs")
    return replace(finished, inputs=Inputs(tmp_path / "inputs"), workdir=tmp_path / "run")


@pytest.fixture(scope="session")
def run_campaign() -> Callable[..., Ended]:
    """``run_campaign(inputs, workdir, fail_in="/02.fp/")``: ``alh2 run`` in a process of its own."""
    return alh2_run


@pytest.fixture(scope="session")
def alh2() -> Callable[..., Ended]:
    """``alh2("status", folder, "--json")``: the command in a process of its own."""

    def run(*arguments: object) -> Ended:
        command = [str(Path(sys.executable).parent / "alh2"), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


def alh2_run(inputs: Inputs, workdir: Path, *, fail_in: str = "nowhere") -> Ended:
    command = [str(Path(sys.executable).parent / "alh2"), "run", str(inputs.param), str(inputs.machine)]
    command += ["--workdir", str(workdir)]
    environment = {**os.environ, "FAIL_IN": fail_in}
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, env=environment)
    return Ended(done.returncode, done.stdout, done.stderr)


def _aimd(node: Frame) -> list[Atoms]:
    """Frames of the shaken node with two H2, labelled by the reference potential, in a made-up time order."""
    rng = np.random.default_rng(5)
    network = build_network(node)
    frames = []
    for _ in range(N_AIMD):
        atoms = load_h2(to_atoms(node), 2, rng=rng, min_distance_ang=2.0)
        atoms.positions += 0.02 * rng.standard_normal(atoms.positions.shape)
        frame = from_atoms(atoms, n_host=node.n_host, host_id="node", provenance=Provenance("test"))
        energy, forces = reference_energy_forces(frame, network=network)
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        frames.append(atoms)
    return frames

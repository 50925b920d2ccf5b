"""Files for the tests of the configuration: the project's own, and a small stock DP-GEN pair."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

STOCK: dict[str, Any] = {
    "type_map": ["H", "C"],
    "mass_map": [1, 12],
    "_comment": "methane, in the style of DP-GEN's VASP example",
    "init_data_prefix": "data",
    "init_data_sys": ["methane/deepmd"],
    "init_batch_size": [8],
    "sys_configs_prefix": "data",
    "sys_configs": [["scale-*/00000*/POSCAR"], ["scale-1.000/000010/POSCAR"]],
    "sys_batch_size": [8, 8],
    "_comment1": "that is all",
    "numb_models": 4,
    "default_training_param": {
        "_comment": "old names of DeePMD 2 stay valid",
        "model": {
            "type_map": ["H", "C"],
            "descriptor": {
                "type": "se_a",
                "sel": [16, 4],
                "rcut_smth": 0.5,
                "rcut": 5.0,
                "neuron": [10, 20, 40],
                "resnet_dt": True,
                "axis_neuron": 12,
                "seed": 1,
            },
            "fitting_net": {"neuron": [120, 120, 120], "resnet_dt": False, "seed": 1},
        },
        "learning_rate": {"type": "exp", "start_lr": 0.001, "decay_steps": 100},
        "loss": {"start_pref_e": 0.02, "limit_pref_e": 2, "start_pref_f": 1000, "limit_pref_f": 1},
        "training": {
            "set_prefix": "set",
            "stop_batch": 2000,
            "batch_size": 1,
            "disp_file": "lcurve.out",
            "disp_freq": 1000,
            "save_freq": 1000,
            "save_ckpt": "model.ckpt",
            "disp_training": True,
            "time_training": True,
            "profiling": False,
            "profiling_file": "timeline.json",
            "_comment": "that is all",
        },
    },
    "model_devi_dt": 0.002,
    "model_devi_skip": 0,
    "model_devi_f_trust_lo": 0.05,
    "model_devi_f_trust_hi": 0.15,
    "model_devi_clean_traj": True,
    "model_devi_jobs": [
        {
            "sys_idx": [0],
            "temps": [100],
            "press": [1.0],
            "trj_freq": 10,
            "nsteps": 300,
            "ensemble": "nvt",
            "_idx": "00",
        },
        {
            "sys_idx": [1],
            "temps": [50, 100],
            "trj_freq": 10,
            "nsteps": 3000,
            "ensemble": "nvt",
            "taut": 0.2,
            "_idx": "01",
        },
    ],
    "fp_style": "vasp",
    "shuffle_poscar": False,
    "fp_task_max": 20,
    "fp_task_min": 5,
    "fp_pp_path": "vasp",
    "fp_pp_files": ["POTCAR_H", "POTCAR_C"],
    "fp_incar": "vasp/INCAR",
}

SLURM_STAGE: dict[str, Any] = {
    "command": "ulimit -s unlimited; mpirun -np 32 vasp_std",
    "machine": {
        "batch_type": "Slurm",
        "context_type": "SSHContext",
        "local_root": "./",
        "remote_root": "/scratch/someone/work",
        "remote_profile": {"hostname": "cluster.example.org", "username": "someone"},
    },
    "resources": {
        "number_node": 1,
        "cpu_per_node": 32,
        "gpu_per_node": 0,
        "queue_name": "normal",
        "group_size": 10,
        "custom_flags": ["#SBATCH --time=24:00:00"],
        "source_list": ["/opt/env.sh"],
        "_comment": "as DP-GEN",
    },
    "user_forward_files": ["vdw_kernel.bindat"],
}

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def campaign() -> dict[str, Any]:
    """A whole param tree with every section of alh2."""
    return json.loads((Path(__file__).parent / "data" / "campaign.json").read_text())


@pytest.fixture
def stock() -> dict[str, Any]:
    """A stock DP-GEN param tree."""
    return copy.deepcopy(STOCK)


@pytest.fixture
def local() -> dict[str, Any]:
    """The tree of ``machines/local.json``."""
    return json.loads((ROOT / "machines" / "local.json").read_text())


@pytest.fixture
def write(tmp_path: Path) -> Callable[[dict[str, Any], str], Path]:
    """Write a tree as JSON under a name in a fresh folder; returns the path."""

    def _write(tree: dict[str, Any], name: str = "param.json") -> Path:
        path = tmp_path / name
        path.write_text(json.dumps(tree))
        return path

    return _write


@pytest.fixture
def stock_stage() -> dict[str, Any]:
    """One stage of a DP-GEN machine file on Slurm over SSH."""
    return copy.deepcopy(SLURM_STAGE)

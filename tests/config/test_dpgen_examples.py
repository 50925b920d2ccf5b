"""Param and machine files with the keys of DP-GEN's own LAMMPS examples: taken, or refused key by key with a reason."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alh2.config.check import check
from alh2.config.load import load_machine, load_param
from alh2.core.errors import BadInputError

METHANE: dict[str, Any] = {
    "type_map": ["H", "C"],
    "mass_map": [1, 12],
    "init_data_prefix": "./",
    "init_data_sys": ["md/deepmd"],
    "sys_configs_prefix": "./",
    "sys_configs": [["pert/scale*/00000*/POSCAR"], ["pert/scale*/00001*/POSCAR"]],
    "_comment": "that's all",
    "numb_models": 4,
    "default_training_param": {
        "model": {
            "type_map": ["H", "C"],
            "descriptor": {"type": "se_e2_a", "sel": "auto", "rcut_smth": 0.5, "rcut": 6.0, "neuron": [25, 50, 100],
                           "resnet_dt": False, "axis_neuron": 16, "seed": 1},
            "fitting_net": {"neuron": [240, 240, 240], "resnet_dt": True, "seed": 1},
        },
        "learning_rate": {"type": "exp", "start_lr": 0.001, "decay_steps": 100},
        "loss": {"start_pref_e": 0.02, "limit_pref_e": 2, "start_pref_f": 1000, "limit_pref_f": 1, "start_pref_v": 0.0,
                 "limit_pref_v": 0.0},
        "training": {"stop_batch": 20000, "disp_file": "lcurve.out", "disp_freq": 1000, "numb_test": 4,
                     "save_freq": 1000, "save_ckpt": "model.ckpt", "disp_training": True, "time_training": True,
                     "profiling": False, "profiling_file": "timeline.json", "_comment": "that's all"},
    },
    "model_devi_dt": 0.002,
    "model_devi_skip": 0,
    "model_devi_f_trust_lo": 0.05,
    "model_devi_f_trust_hi": 0.15,
    "model_devi_clean_traj": True,
    "model_devi_jobs": [
        {"sys_idx": [i], "temps": [100], "press": [1.0], "trj_freq": 10, "nsteps": 3000, "ensemble": "nvt",
         "_idx": f"0{i}"}
        for i in (0, 1)
    ],
    "shuffle_poscar": False,
    "fp_task_max": 20,
    "fp_task_min": 5,
}  # fmt: skip
"""What the methane examples for VASP and CP2K share."""

VASP = {"fp_style": "vasp", "fp_pp_path": "./", "fp_pp_files": ["POTCAR_H", "POTCAR_C"], "fp_incar": "./INCAR"}
CP2K = {
    "ratio_failed": 0.2, "fp_style": "cp2k", "fp_pp_path": ".", "fp_pp_files": [],
    "user_fp_params": {
        "FORCE_EVAL": {
            "DFT": {"BASIS_SET_FILE_NAME": "BASIS_MOLOPT", "POTENTIAL_FILE_NAME": "GTH_POTENTIALS"},
            "SUBSYS": {"KIND": {"_": ["C", "H"], "POTENTIAL": ["GTH-PBE-q4", "GTH-PBE-q1"],
                                "BASIS_SET": ["DZVP-MOLOPT-GTH", "DZVP-MOLOPT-GTH"]}},
        }
    },
}  # fmt: skip
CP2K_TEMPLATE = {"fp_style": "cp2k", "external_input_path": "template.inp", "init_batch_size": [8],
                 "sys_batch_size": [8, 8, 8, 8]}  # fmt: skip
GAUSSIAN = {
    "fp_style": "gaussian", "ratio_failed": 0.2, "sys_format": "lammps/lmp",
    "fp_params": {"keywords": "force B3LYP 6-31g(d,p) nosymm", "nproc": 2, "multiplicity": "auto"},
}  # fmt: skip


@pytest.mark.parametrize(("keys", "params"), [
    (VASP, {"fp_incar": "INCAR", "fp_pp_files": ["POTCAR_H", "POTCAR_C"]}),
    (CP2K, {"user_fp_params": CP2K["user_fp_params"], "fp_pp_files": []}),
    (CP2K_TEMPLATE, {"external_input_path": "template.inp"}),
    (GAUSSIAN, {"fp_params": {**GAUSSIAN["fp_params"], "charge": 0, "fragment_guesses": False}}),
], ids=["vasp", "cp2k", "cp2k-template", "gaussian"])  # fmt: skip
def test_the_examples_load_unchanged(
    keys: dict[str, Any], params: dict[str, Any], write: Callable[..., Path], tmp_path: Path
) -> None:
    param = load_param(write({**copy.deepcopy(METHANE), **keys}))
    assert param.label.style == keys["fp_style"]
    for key, value in params.items():
        found = param.label.params[key]
        assert found == (str(tmp_path / value) if isinstance(value, str) else value)
    assert param.label.params["mass_map"] == [1.0, 12.0]
    assert param.converge.max_iterations == 2


REFUSED = [
    ({"use_relative": True}, "use_relative: expected false"),
    ({"model_devi_e_trust_lo": 1e10}, "model_devi_e_trust_lo: expected"),
    ({"model_devi_engine": "gromacs"}, "model_devi_engine: expected lammps"),
]


@pytest.mark.parametrize(("keys", "words"), REFUSED, ids=[next(iter(keys)) for keys, _ in REFUSED])
def test_what_alh2_does_not_do_is_refused_by_name(keys: dict[str, Any], words: str, write: Callable[..., Path]) -> None:
    with pytest.raises(BadInputError) as caught:
        load_param(write({**copy.deepcopy(METHANE), **GAUSSIAN, **keys}))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_clusters_are_refused_when_the_labeler_is_made(write: Callable[..., Path]) -> None:
    from alh2.label.registry import make_labeler

    clusters = {"use_clusters": True, "cluster_cutoff": 5.0, "cluster_minify": True}
    param = load_param(write({**copy.deepcopy(METHANE), **GAUSSIAN, **clusters}))
    with pytest.raises(BadInputError, match="use_clusters: expected false"):
        make_labeler(param.label, type_map=param.type_map)


def _stage(command: str, queue: str, group_size: int, **resources: Any) -> dict[str, Any]:
    return {
        "command": command,
        "machine": {
            "batch_type": "Lebesgue", "context_type": "LebesgueContext", "local_root": "./",
            "remote_profile": {
                "email": "someone", "password": "secret", "program_id": 1, "keep_backup": True,
                "input_data": {"job_type": "container", "log_file": "*/log", "grouped": True, "platform": "ali"},
            },
        },
        "resources": {"number_node": 1, "cpu_per_node": 8, "gpu_per_node": 1, "queue_name": queue,
                      "group_size": group_size, **resources},
    }  # fmt: skip


MACHINE = {
    "api_version": "1.0",
    "deepmd_version": "2.1.5",
    "train": [_stage("dp", "T4", 1)],
    "model_devi": [_stage("lmp -i input.lammps -v restart 0", "V100", 250, source_list=[])],
    "fp": [_stage("ulimit -s unlimited; mpirun -np 32 vasp_std", "CPU", 10, source_list=["/opt/setvars.sh"])],
}


def test_the_machine_files_load_and_are_not_looked_into_from_here(write: Callable[..., Path]) -> None:
    machine = load_machine(write(MACHINE, "machine.json"))
    assert machine.train.machine["batch_type"] == "Lebesgue"
    assert machine.fp.resources["group_size"] == 10
    report = check(load_param(write({**copy.deepcopy(METHANE), **VASP})), machine)
    assert any("fp.command: not looked for, the machine is remote" in note for note in report.notes)
    missing = [line for line in report.problems if "fp_pp_files" in line]
    assert len(missing) == 2 and "the POTCAR of H" in missing[0]
    assert all("\n" not in line for line in report.problems)


def test_batch_type_among_the_resources_is_taken(write: Callable[..., Path]) -> None:
    tree = copy.deepcopy(MACHINE)
    for name in ("train", "model_devi", "fp"):
        tree[name] = tree[name][0] | {"command": "g16 < input > output ||:"}
        tree[name]["resources"]["batch_type"] = "Lebesgue"
    assert load_machine(write(tree, "machine.json")).fp.command.startswith("g16")

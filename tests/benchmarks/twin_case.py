"""The two hosts of the twin experiment, and the campaigns on them as param files.

`small`: the formate-capped Al3O node, periodic in a tight box. `crystal`: Al-soc-MOF, 432 atoms. The reference
potential is set so that an open Al site binds H2 at 2.7 Å; on the crystal about 27 H2 are adsorbed at 77 K and 0.15 bar
at a mean energy near -9 kJ/mol (weaker wells put the strongest site into pockets of the linkers, 3.5 Å from Al).
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta

from alh2.config.model import HostConfig
from alh2.core.atoms import from_atoms
from alh2.core.files import atomic_write_json
from alh2.core.frames import Provenance
from alh2.label.reference_calculator import ReferenceCalculator
from alh2.label.reference_network import build_network
from alh2.label.reference_pes import ReferenceParameters
from alh2.structure.hosts import build_host
from alh2.structure.loading import load_h2

TEMPERATURE_K = 77.0
PRESSURES_BAR = (0.01, 0.03, 0.1, 0.2, 0.4)
MIN_DISTANCE_ANG = 1.5
BOND_ANG = 0.7414
AIMD_DT_FS, AIMD_EVERY = 0.5, 20


@dataclass(frozen=True)
class Case:
    """One host and what is run on it.

    aimd_loading : molecules in the molecular dynamics that both campaigns start from
    loaded : molecules that the second run of every isotherm point begins with
    max_loading : largest loading explored and used
    overrides : fields of `ReferenceParameters`
    """

    name: str
    host: HostConfig
    aimd_loading: int
    aimd_steps: int
    loaded: int
    max_loading: int
    overrides: dict[str, float] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def parameters(self) -> ReferenceParameters:
        """The truth."""
        return replace(ReferenceParameters(), **cast("dict[str, Any]", self.overrides))

    def bare_host(self) -> Atoms:
        """The host at rest."""
        return build_host(self.host)


SMALL = Case(
    "small",
    HostConfig("node", None, "node", 21.67, 11.0),
    6,
    6000,
    10,
    16,
    {"al_depth_ev": 0.055, "host_lj_scale": 1.0},
)
CRYSTAL = Case(
    "crystal",
    HostConfig("al-soc-mof", None, "al-soc-mof", 21.67, 16.0),
    24,
    4000,
    40,
    64,
    {"al_depth_ev": 0.035, "host_lj_scale": 0.25},
    {
        "type_map": ["Al", "O", "C", "N", "H"],
        "sel": [8, 30, 48, 12, 80],
        "md": [8, 24, 48],
        "bootstrap": [4, 12, 24, 36, 48, 60],
        "frames_per_loading": 8,
        "canonical": [2, 8, 16, 32, 48],
        "assess": [0, 8, 16, 24, 32, 48],
        "n_moves": 4000,
        "total_steps": 1500,
        "steps": 1500,
    },
)


def aimd(case: Case, seed: int) -> list[Atoms]:
    """Molecular dynamics of the reference potential at 77 K with one loading, as electronic structure would give it."""
    host = case.bare_host()
    network = build_network(from_atoms(host, n_host=len(host), host_id="x", provenance=Provenance("twin")))
    atoms = load_h2(host, case.aimd_loading, rng=np.random.default_rng(seed), min_distance_ang=2.2)
    atoms.calc = ReferenceCalculator(network, case.parameters)
    rng = np.random.RandomState(seed)
    thermalize_momenta(atoms, TEMPERATURE_K, rng=rng)
    dynamics = Langevin(
        atoms, AIMD_DT_FS * units.fs, temperature_K=TEMPERATURE_K, friction=0.02 / units.fs, fixcm=False, rng=rng
    )
    frames = []

    def keep() -> None:
        frame = atoms.copy()
        frame.calc = SinglePointCalculator(frame, energy=atoms.get_potential_energy(), forces=atoms.get_forces())
        frames.append(frame)

    dynamics.attach(keep, interval=AIMD_EVERY)
    dynamics.run(case.aimd_steps)
    return frames[len(frames) // 5 :]


def write_inputs(case: Case, seed: int, folder: Path) -> tuple[Path, Path]:
    """Host, dynamics, param and machine file in `folder` (kept where they are); returns the two files."""
    folder.mkdir(parents=True, exist_ok=True)
    param, machine = folder / "param.json", folder / "machine.json"
    if not (folder / "aimd.extxyz").exists():
        write(folder / "host.extxyz", case.bare_host())
        write(folder / "aimd.partial.extxyz", aimd(case, seed))
        (folder / "aimd.partial.extxyz").rename(folder / "aimd.extxyz")
    atomic_write_json(param, param_content(case, seed))
    atomic_write_json(machine, json.loads((Path(__file__).parents[2] / "machines" / "local.json").read_text()))
    return param, machine


def param_content(case: Case, seed: int) -> dict[str, Any]:
    """The campaign of the full loop."""
    setting = {
        "type_map": ["Al", "O", "C", "H"],
        "sel": [8, 32, 24, 64],
        "md": [1, 4, 8],
        "bootstrap": [1, 2, 4, 6, 8, 10, 12],
        "frames_per_loading": 9,
        "canonical": [1, 2, 3, 5, 7, 9, 11],
        "assess": [0, 1, 2, 4, 6, 9],
        "n_moves": 3000,
        "total_steps": 10_000,
        "steps": 3000,
        **case.changes,
    }
    content = copy.deepcopy(_COMMON)
    content["type_map"] = setting["type_map"]
    descriptor = content["default_training_param"]["model"]["descriptor"]
    descriptor["sel"] = setting["sel"]
    content["default_training_param"]["training"]["numb_steps"] = setting["total_steps"]
    content["training_reuse_numb_steps"] = setting["total_steps"] // 2
    numbers = list(range(len(setting["md"])))
    content["model_devi_jobs"] = [
        {"sys_idx": numbers, "temps": [77], "nsteps": 400, "trj_freq": 40, "ensemble": "nvt", "taut": 0.05}
    ]
    content["fp_params"] = {"host_file": "host.extxyz", "overrides": case.overrides}
    own = content["alh2"]
    own["seed"] = seed
    own["host"] = {"id": case.host.id, "build": case.host.build, "box_ang": case.host.box_ang}
    if case.host.build == "al-soc-mof":
        own["host"] = {"id": case.host.id, "build": case.host.build, "lattice_ang": case.host.lattice_ang}
    own["systems"]["loadings"] = setting["md"]
    own["bootstrap"] |= {"loadings": setting["bootstrap"], "frames_per_loading": setting["frames_per_loading"]}
    own["interaction"]["training_param"]["training"] = {"numb_steps": setting["steps"]}
    own["interaction"]["training_reuse_numb_steps"] = setting["steps"] // 2
    job = own["gcmc_jobs"][0]
    job |= {"n_initial": [0, case.loaded], "n_moves": setting["n_moves"], "max_loading": case.max_loading}
    job["canonical_loadings"] = setting["canonical"]
    own["assess"]["loadings"] = setting["assess"]
    return content


_COMMON: dict[str, Any] = {
    "mass_map": "auto",
    "numb_models": 2,
    "dp_compress": False,
    "default_training_param": {
        "model": {
            "descriptor": {
                "type": "se_e2_a", "rcut": 6.0, "rcut_smth": 0.5, "neuron": [8, 16], "axis_neuron": 6,
                "type_one_side": True,
            },
            "fitting_net": {"neuron": [50, 50, 50]},
        },
        "learning_rate": {"type": "exp", "start_lr": 0.01, "stop_lr": 1e-4, "decay_steps": 50},
        "loss": {
            "start_pref_e": 0.1, "limit_pref_e": 2, "start_pref_f": 1000, "limit_pref_f": 100, "start_pref_v": 0,
            "limit_pref_v": 0,
        },
        "training": {"disp_freq": 200, "save_freq": 1000, "disp_file": "lcurve.out"},
    },
    "training_reuse_iter": 1,
    "training_reuse_start_lr": 0.003,
    "training_reuse_start_pref_e": 1,
    "training_reuse_start_pref_f": 300,
    "model_devi_dt": 0.0005,
    "model_devi_skip": 0,
    "model_devi_f_trust_lo": 0.2,
    "model_devi_f_trust_hi": 2.0,
    "fp_style": "reference",
    "fp_task_max": 6,
    "fp_task_min": 1,
    "alh2": {
        "systems": {},
        "dataset": {
            "aimd": [
                {"files": ["aimd.extxyz"], "dt_fs": AIMD_DT_FS * AIMD_EVERY, "drop_ps": 0.0, "every": 2,
                 "temperature_k": 77}
            ],
            "validation_fraction": 0.15,
            "split": "blocks",
        },
        "bootstrap": {
            "host_snapshots": 4, "displacement_ang": 0.01, "sampled_per_loading": 6, "close_distance_ang": 1.6,
            "rattled_frames": 12,
            "host_displacements_ang": [0.03], "gas_frames": 24, "gas_pair_frames": 12, "gas_box_ang": 14.0,
        },
        "interaction": {
            "numb_models": 4,
            "training_param": {
                "loss": {"start_pref_e": 3, "limit_pref_e": 300, "start_pref_f": 100, "limit_pref_f": 10},
            },
            "training_reuse_start_pref_e": 100,
            "training_reuse_start_pref_f": 30,
        },
        "gcmc_jobs": [
            {"temps": [77], "fugacities_bar": [0.01, 0.6], "n_equilibration": 500, "sample_every": 100}
        ],
        "select": {"insertion_trust_lo_ev": 0.002, "min_distance_ang": MIN_DISTANCE_ANG, "framework_bond_stretch": 1.5},
        "label": {"timeout_s": 120, "energy_window_ev_per_atom": None},
        "assess": {"per_loading": 10, "temperature_k": 77, "n_moves_between": 500},
        "converge": {
            "accurate_fraction": None, "force_rmse_ev_ang": None, "insertion_spread_ev": 0.002,
            "insertion_rmse_ev": 0.005, "insertion_mean_ev": 0.001, "consecutive": 2, "max_iterations": 5,
        },
    },
}  # fmt: skip

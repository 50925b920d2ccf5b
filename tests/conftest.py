"""Real frames and one truly trained committee, shared by all packages: training happens once per session."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms
from xdist.scheduler import LoadScopeScheduling

from alh2.config.model import CommitteeConfig, StageMachine
from alh2.core.atoms import from_atoms
from alh2.core.frames import Frame, Label, LabelledFrame, Provenance
from alh2.core.quiet import QUIET_ENVIRONMENT
from alh2.label.files import frame_to_json
from alh2.potential.pair_baseline import PairBaseline
from alh2.structure.site_kinds import site_kinds
from alh2.train.pair_fit import empty_baseline

for _name, _value in QUIET_ENVIRONMENT.items():  # before anything loads TensorFlow, here and in what tests start
    os.environ.setdefault(_name, _value)

NODE_DATA = Path(__file__).parents[1] / "examples" / "data" / "node-gfn1"
TYPE_MAP = ("O", "Al", "H", "C")
N_HOST = 30
N_STEPS = 120

TRAINING_PARAM: dict[str, Any] = {
    "model": {
        "descriptor": {
            "type": "se_e2_a",
            "rcut": 6.0,
            "rcut_smth": 2.0,
            "sel": [24, 6, 90, 14],
            "neuron": [16, 32],
            "axis_neuron": 8,
            "type_one_side": True,
        },
        "fitting_net": {"neuron": [100, 100, 100], "resnet_dt": True},
    },
    "learning_rate": {"type": "exp", "start_lr": 5e-3, "stop_lr": 1e-4, "decay_steps": 20},
    "loss": {"start_pref_e": 0.1, "limit_pref_e": 5, "start_pref_f": 1000, "limit_pref_f": 5},
    "training": {"numb_steps": N_STEPS, "disp_freq": 50, "save_freq": 60},
}
"""The node's recipe, too short to be accurate. Steps, disp_freq and save_freq are a choice that leaves no checkpoint
of the last step unless it is mended."""


_SHARED_WORK = {
    "the finished campaign": [
        f"tests/campaign/test_campaign_{name}.py"
        for name in (
            *("whole", "stops", "produce", "publish", "curriculum", "interrupted", "trust", "first_samples"),
            *("selecting", "moving"),
        )
    ],
    "the one Slurm": [
        "tests/campaign/test_campaign_slurm.py",
        "tests/campaign/test_campaign_background.py",
        "tests/dispatch/test_dispatch_slurm.py",
    ],
}
"""Files that one worker must run, since they share what is costly to make or must not be disturbed."""


class ByFile(LoadScopeScheduling):
    """Workers (``-n``) take whole files, or all files of an entry of ``_SHARED_WORK``."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        return next((name for name, files in _SHARED_WORK.items() if file in files), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Several workers share the tests by file."""
    config.option.loadscopereorder = False  # as collected: long ones first
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, shared work before all, so that no worker is left with a long one at the end."""
    shared = [file for files in _SHARED_WORK.values() for file in files]

    def order(item: pytest.Item) -> int:
        if item.nodeid.split("::")[0] in shared:
            return 0
        return 1 if item.path in slow else 2

    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=order)


def machine(command: str) -> StageMachine:
    """Two tasks at a time on this computer, in their own folders."""
    return StageMachine({"batch_type": "Shell", "context_type": "LazyLocalContext"}, {"group_size": 0}, command, 2)


@pytest.fixture(scope="session")
def local() -> Callable[[str], StageMachine]:
    """``local(command)``: two tasks at a time on this computer."""
    return machine


def read_node_frames(name: str, n_frames: int) -> list[LabelledFrame]:
    """The first frames of a stored xTB trajectory of the node with their labels."""
    labelled = []
    for i, atoms in enumerate(ase.io.read(NODE_DATA / f"{name}.extxyz", index=f":{n_frames}")):
        provenance = Provenance("aimd", -1, f"{name} {i}", 77.0)
        frame = from_atoms(atoms, n_host=N_HOST, host_id="node", provenance=provenance)
        labelled.append(LabelledFrame(frame, Label(atoms.get_potential_energy(), atoms.get_forces(), "xtb")))
    return labelled


def write_deepmd(folder: Path, frames: list[LabelledFrame]) -> Path:
    """A ``deepmd/npy`` system of `frames`, all of one composition."""
    (folder / "set.000").mkdir(parents=True)
    np.savetxt(folder / "type.raw", [TYPE_MAP.index(s) for s in frames[0].frame.symbols], fmt="%d")
    (folder / "type_map.raw").write_text("\n".join(TYPE_MAP) + "\n")
    for key, values in (
        ("coord", [f.frame.positions_ang.ravel() for f in frames]),
        ("box", [f.frame.cell_ang.ravel() for f in frames]),
        ("energy", [f.energy_ev() for f in frames]),
        ("force", [f.forces_ev_ang().ravel() for f in frames]),
    ):
        np.save(folder / "set.000" / f"{key}.npy", np.array(values))
    return folder


def committee_config(**changes: Any) -> CommitteeConfig:
    """The total committee of two; keywords change its fields."""
    values: dict[str, Any] = {
        "target": "total",
        "n_models": 2,
        "training_param": TRAINING_PARAM,
        "reuse_iter": 1,
        "reuse_start_lr": 1e-4,
        "reuse_start_pref_e": 1.0,
        "reuse_start_pref_f": 100.0,
        "reuse_n_steps": 20,
        "compress": True,
    }
    return CommitteeConfig(**{**values, **changes})


@pytest.fixture(scope="session")
def loaded_frames() -> list[LabelledFrame]:
    """20 labelled node frames with 6 H2."""
    return read_node_frames("aimd77-6h2", 20)


@pytest.fixture(scope="session")
def empty_frames() -> list[LabelledFrame]:
    """20 labelled frames of the empty node."""
    return read_node_frames("aimd77-0h2", 20)


@dataclass(frozen=True, eq=False)
class TrainedCommittee:
    """What the training of iteration 0 left: its folder and plan, and the members' models."""

    plan: Any
    members: tuple[Any, ...]

    @property
    def graphs(self) -> tuple[Path, ...]:
        """Models exploration uses (compressed)."""
        return tuple(member.graph for member in self.members)


@pytest.fixture(scope="session")
def trained_committee(
    tmp_path_factory: pytest.TempPathFactory, loaded_frames: list[LabelledFrame], empty_frames: list[LabelledFrame]
) -> TrainedCommittee:
    """Two models trained for 120 steps by ``dp``, frozen, compressed, the first converted to ``.dp``.

    By the worker that needs them first, for all.
    """
    from alh2.train.committee import MemberData, TrainingPlan, train_committees

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "trained-committee"
    folder.mkdir(exist_ok=True)
    train_dir = folder / "iter.000000" / "00.train"
    data = (train_dir / "data.total" / "node.06", train_dir / "data.total" / "node.00")
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for system, frames in zip(data, (loaded_frames, empty_frames), strict=True):
            if not system.exists():
                write_deepmd(system, frames)
        plan = TrainingPlan(train_dir, 0, (committee_config(),), ((MemberData(data),) * 2,), None, TYPE_MAP, 7)
        return TrainedCommittee(plan, tuple(train_committees(plan, machine("dp"))))


@pytest.fixture(scope="session")
def node_start(loaded_frames: list[LabelledFrame]) -> Frame:
    """The node with two of its six H2."""
    frame = loaded_frames[0].frame
    for _ in range(4):
        frame = frame.without_molecule(frame.n_h2 - 1)
    return frame


def some_pair_terms(host: Atoms, *, centres: bool = False) -> PairBaseline:
    """Repulsion and wells of some 10 meV between atoms of every kind, and a stiff bond."""
    shape = empty_baseline(sorted(set(site_kinds(host))), 6.0)
    rng, n = np.random.default_rng(8), len(shape.pairs[0].coefficients_ev)
    r = shape.pairs[0].first_ang + shape.pairs[0].spacing_ang * (np.arange(n) - 1)
    pairs = []
    for k, pair in enumerate(shape.pairs):
        values = rng.uniform(0.01, 0.04) * (np.exp(-3.0 * (r - 2.8)) - 2.0 * np.exp(-1.5 * (r - 2.8)))
        values[-3:] = 0.0
        off = k in shape.centre_terms() and not centres
        pairs.append(replace(pair, coefficients_ev=(0.0,) * n if off else tuple(values.tolist())))
    d = shape.bond.first_ang + shape.bond.spacing_ang * (np.arange(len(shape.bond.coefficients_ev)) - 1)
    bond = replace(shape.bond, coefficients_ev=tuple((-4.7 + 18.0 * (d - 0.75) ** 2).tolist()))
    return replace(shape, pairs=tuple(pairs), bond=bond)


@pytest.fixture(scope="session")
def on_atoms() -> Callable[..., PairBaseline]:
    """The function :func:`some_pair_terms`."""
    return some_pair_terms


@pytest.fixture(scope="session")
def ideal_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DeePMD model of Al and H whose energy is the same everywhere: its gas is ideal."""
    from deepmd.dpmodel.model.model import get_model
    from deepmd.dpmodel.utils.serialization import save_dp_model

    descriptor = {"type": "se_e2_a", "rcut": 3.0, "rcut_smth": 1.0, "sel": [8, 60], "neuron": [2, 4]}
    description = {
        "type_map": ["Al", "H"],
        "descriptor": descriptor | {"axis_neuron": 2, "seed": 1},
        "fitting_net": {"neuron": [4, 4], "seed": 1, "atom_ener": [0.0, 0.0]},
    }
    data = get_model(description).serialize()
    for net in data["fitting"]["nets"]["networks"]:
        for name in ("w", "b"):
            values = net["layers"][-1]["@variables"][name]
            if values is not None:
                net["layers"][-1]["@variables"][name] = np.zeros_like(values)
    path = tmp_path_factory.mktemp("ideal") / "model.dp"
    save_dp_model(str(path), {"backend": "NumPy", "model": data, "model_def_script": description})
    return path


@dataclass(frozen=True)
class SlurmJob:
    """A finished job as Slurm logged it."""

    job_id: str
    name: str
    state: str
    folder: str
    memory: str


class Slurm:
    """The private Slurm of the tests."""

    folder = Path(os.environ.get("ALH2_SLURM_DIR", "/tmp/alh2-slurm"))
    cpus = int(os.environ.get("ALH2_SLURM_CPUS", "8"))

    def control(self, *arguments: str) -> None:
        """``.ci/slurm start``, ``stop``, ``stop slurmctld``."""
        script = Path(__file__).parents[1] / ".ci" / "slurm"
        done = subprocess.run(["bash", str(script), *arguments], capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stderr

    def finished(self, below: Path) -> list[SlurmJob]:
        """Jobs that ended, of those whose folder lies in `below`, in the order in which they ended."""
        jobs = []
        for line in (self.folder / "log" / "jobcomp.txt").read_text().splitlines():
            field = dict(re.findall(r"(\w+)=(\S*)", line))
            memory = re.search(r"mem=(\w+)", line)
            if Path(field["WorkDir"]).is_relative_to(below):
                job = SlurmJob(
                    field["JobId"], field["Name"], field["JobState"], field["WorkDir"], memory[1] if memory else ""
                )
                jobs.append(job)
        return jobs


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    """The private Slurm of ``.ci/slurm``: started where it is not up yet, and then stopped at the end.

    Tests that ask for it are skipped where Slurm is not installed; continuous integration must have it.
    """
    missing = [name for name in ("slurmctld", "slurmd", "munged", "sbatch") if shutil.which(name) is None]
    reason = f"no {', '.join(missing)} here (apt-get install slurm-wlm munge)" if missing else ""
    if not reason and os.geteuid() != 0:
        reason = "the private Slurm of the tests is started by root"
    if reason and os.environ.get("CI") == "true":
        pytest.fail(f"continuous integration must run the Slurm tests: {reason}")
    if reason:
        pytest.skip(reason)
    cluster = Slurm()
    was_up = subprocess.run(["scontrol", "ping"], capture_output=True, text=True).stdout.count("is UP") > 0
    cluster.control("start")
    yield cluster
    if not was_up:
        cluster.control("stop")


INCAR = """\
# PBE-D3(BJ), single point
PREC = Accurate ; ENCUT = 480
GGA = PE
IVDW = 12        ! D3(BJ)
EDIFF = 1E-5
ISMEAR = 0; SIGMA = 0.05
ALGO = Fast
NELM = 40
NSW = 0 ; IBRION = -1
KSPACING = 0.7
KGAMMA = .TRUE.
LWAVE = .FALSE.
LCHARG = .FALSE.
NCORE = 4
"""


@dataclass(frozen=True)
class VaspKit:
    """What a user of VASP has: INCAR, pseudopotentials (here with nothing but their titles) and a program, here the
    stand-in of tests/label/vasp_standin.py."""

    folder: Path

    @property
    def incar(self) -> Path:
        """The INCAR file."""
        return self.folder / "INCAR"

    @property
    def program(self) -> str:
        """How the stand-in is started."""
        standin = Path(__file__).parent / "label" / "vasp_standin.py"
        return f"{sys.executable} {standin} {self.folder / 'standin.json'}"

    def keys(self, type_map: tuple[str, ...]) -> dict[str, Any]:
        """Keys of the param file."""
        files = [f"POTCAR.{element}" for element in type_map]
        return {"fp_incar": str(self.incar), "fp_pp_path": str(self.folder), "fp_pp_files": files}

    def configure(self, host: Frame | None, **values: Any) -> dict[str, Any]:
        """Write the stand-in's configuration; returns it."""
        config = {"host": None if host is None else frame_to_json(host.bare_host()), **values}
        (self.folder / "standin.json").write_text(json.dumps(config))
        return config


def make_vasp_kit(folder: Path) -> VaspKit:
    """VASP's input files in the new `folder`."""
    kit = VaspKit(folder)
    folder.mkdir()
    kit.incar.write_text(INCAR)
    for element in ("Al", "C", "H", "N", "O"):
        title = f"PAW_PBE {element} 01Jan2001"
        (folder / f"POTCAR.{element}").write_text(f"  {title}\n   TITEL  = {title}\n")
    return kit


@pytest.fixture
def vasp_kit(tmp_path: Path) -> VaspKit:
    """VASP's input files; call ``configure`` before the program runs."""
    return make_vasp_kit(tmp_path / "vasp")


@pytest.fixture(scope="session")
def vasp_kit_in() -> Callable[[Path], VaspKit]:
    """``vasp_kit_in(folder)``: the same, in a folder of one's choice."""
    return make_vasp_kit

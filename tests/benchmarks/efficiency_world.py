"""A small world in which labels are free: the Al3O node in a periodic box of 13 Å, labelled by the reference potential.

Exploration is what a campaign near convergence visits: molecular dynamics with moving hosts and Monte Carlo on frozen
ones, here with the reference potential itself, so that two ways of selecting see the same frames. Models are trained on
interaction energies, without a pair baseline (the reference potential is a sum of pairs, which a baseline would give
away), from scratch each time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import units
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution

from alh2.config.model import BootstrapConfig, CommitteeConfig, HostConfig, StageMachine
from alh2.core.atoms import from_atoms, to_atoms
from alh2.core.files import atomic_write_json
from alh2.core.frames import Frame, Label, LabelledFrame, Provenance
from alh2.core.random_streams import seed_for, stream
from alh2.dataset.bootstrap import bootstrap_frames
from alh2.dataset.export import export_systems
from alh2.dispatch.run import run_tasks
from alh2.dispatch.tasks import Task
from alh2.gcmc import GcmcSettings, MoveWeights, RigidMolecule, simulate
from alh2.label.reference_calculator import ReferenceCalculator
from alh2.label.reference_network import build_network
from alh2.label.reference_pes import reference_energy_forces
from alh2.potential.ase_potential import AsePotential
from alh2.potential.frames_npz import load_frames, save_frames
from alh2.structure.hosts import build_host
from alh2.structure.loading import load_h2
from alh2.train.inputs import deepmd_input

BOX_ANG = 13.0
TYPE_MAP = ("Al", "O", "C", "H")
LOADINGS = (1, 3, 6, 10)
TEMPERATURES_K = (30.0, 88.0)
N_MODELS = 2
CANONICAL = MoveWeights(insertion=0.0, deletion=0.0, translation=50.0, rotation=50.0)
MD_STEP_FS, MD_EVERY, MD_EQUILIBRATION = 0.5, 20, 200
MC_EVERY, MC_EQUILIBRATION = 100, 300
BOOTSTRAP = BootstrapConfig(LOADINGS, 6, 4, 2.4, 0.02, 2.4, 0, (), 12, 0, 16.0, True)
"""Six frames at each loading on four hosts; no contact below 2.4 Å, where the reference potential is very steep."""


def training_param(n_steps: int) -> dict[str, Any]:
    """A small network, trained for `n_steps`."""
    descriptor = {"type": "se_e2_a", "rcut": 6.0, "rcut_smth": 0.5, "sel": [6, 24, 12, 60], "neuron": [8, 16]}
    return {
        "model": {
            "descriptor": {**descriptor, "axis_neuron": 4, "type_one_side": True, "resnet_dt": False},
            "fitting_net": {"neuron": [40, 40], "resnet_dt": True},
        },
        "learning_rate": {"type": "exp", "start_lr": 0.01, "stop_lr": 1e-4, "decay_steps": max(10, n_steps // 50)},
        "loss": {"start_pref_e": 3, "limit_pref_e": 300, "start_pref_f": 100, "limit_pref_f": 10},
        "training": {"numb_steps": n_steps, "disp_freq": 500, "save_freq": n_steps},
    }


@dataclass(frozen=True)
class Sampled:
    """Frames of exploration with the task and temperature of each; kind "md" or "gcmc"."""

    frames: list[Frame]
    kinds: list[str]
    tasks: list[str]
    temperatures_k: list[float]


class World:
    """Host, labels and exploration."""

    def __init__(self) -> None:
        atoms = build_host(HostConfig("node", None, "node", 21.67, BOX_ANG))
        self.host = from_atoms(atoms, n_host=len(atoms), host_id="node", provenance=Provenance("bootstrap"))
        self.network = build_network(self.host)

    def label(self, frame: Frame) -> LabelledFrame:
        """Label of `frame` and of its bare host."""
        label = Label(*reference_energy_forces(frame, network=self.network), "reference")
        if not frame.n_host:
            return LabelledFrame(frame, label)
        bare = Label(*reference_energy_forces(frame.bare_host(), network=self.network), "reference")
        return LabelledFrame(frame, label, bare)

    def initial(self, seed: int) -> list[Frame]:
        """Frames before the first training: loaded hosts, and H2 gas."""
        hosts = [self.moved_host(88.0, ("host", k), seed) for k in range(BOOTSTRAP.host_snapshots)]
        return bootstrap_frames(BOOTSTRAP, hosts, host_id="node", rng=stream(seed, "bootstrap"))

    def moved_host(self, temperature_k: float, path: tuple[str | int, ...], seed: int) -> Frame:
        """The bare host after some dynamics."""
        return self._dynamics(self.host, temperature_k, 1, stream(seed, *path))[0]

    def explore(self, seed: int, name: str, *, n_md: int, n_mc: int) -> Sampled:
        """Dynamics and Monte Carlo, `n_md` and `n_mc` frames at each loading and temperature."""
        found = Sampled([], [], [], [])
        for kind, number in (("md", n_md), ("gcmc", n_mc)):
            for loading in LOADINGS:
                for temperature_k in TEMPERATURES_K:
                    rng = stream(seed, name, kind, loading, int(temperature_k))
                    host = self.moved_host(temperature_k, (name, kind, "host", loading, int(temperature_k)), seed)
                    atoms = load_h2(to_atoms(host), loading, rng=rng, min_distance_ang=2.2, prefer_open_sites=True)
                    start = from_atoms(atoms, n_host=host.n_host, host_id="node", provenance=Provenance(kind))
                    sample = self._dynamics if kind == "md" else self._monte_carlo
                    frames = sample(start, temperature_k, number, rng)
                    found.frames.extend(frames)
                    found.kinds.extend([kind] * len(frames))
                    found.tasks.extend([f"{kind}.{loading:03d}.{temperature_k:03.0f}"] * len(frames))
                    found.temperatures_k.extend([temperature_k] * len(frames))
        return found

    def _dynamics(self, start: Frame, temperature_k: float, number: int, rng: np.random.Generator) -> list[Frame]:
        atoms = to_atoms(start)
        atoms.calc = ReferenceCalculator(self.network)
        MaxwellBoltzmannDistribution(atoms, temperature_K=temperature_k, rng=rng)
        step = MD_STEP_FS * units.fs
        dynamics = Langevin(atoms, step, temperature_K=temperature_k, friction=0.01 / units.fs, rng=rng, fixcm=False)
        dynamics.run(MD_EQUILIBRATION)
        frames = []
        for _ in range(number):
            dynamics.run(MD_EVERY)
            frames.append(from_atoms(atoms, n_host=start.n_host, host_id="node", provenance=Provenance("md")))
        return frames

    def _monte_carlo(self, start: Frame, temperature_k: float, number: int, rng: np.random.Generator) -> list[Frame]:
        host = start.bare_host()
        settings = GcmcSettings(
            move_weights=CANONICAL,
            n_equilibration=MC_EQUILIBRATION,
            sample_every=MC_EVERY,
            max_frames=number,
            initial_guests_ang=start.positions_ang[start.n_host :].reshape(-1, 2, 3),
            min_distance_ang=1.2,
        )
        result = simulate(
            to_atoms(host),
            RigidMolecule.h2(bond_length_ang=0.7414),
            AsePotential(ReferenceCalculator(self.network)),
            temperature_k=temperature_k,
            fugacity_bar=1.0,
            n_moves=MC_EQUILIBRATION + MC_EVERY * number,
            seed=int(rng.integers(1, 2**31)),
            settings=settings,
        )
        frames = []
        for sample in result.frames:
            guests = np.asarray(sample.guests_ang).reshape(-1, 3)
            symbols = host.symbols + ("H",) * len(guests)
            positions = np.concatenate([host.positions_ang, guests])
            frames.append(Frame(symbols, positions, host.cell_ang, host.n_host, "node", Provenance("gcmc")))
        return frames


def kept(folder: Path, name: str, make: Any) -> Sampled:
    """What `make` returns, from the files of an earlier run where they are there."""
    frames_file, rows_file = folder / f"{name}.frames.npz", folder / f"{name}.rows.npz"
    if not rows_file.exists():
        found: Sampled = make()
        folder.mkdir(parents=True, exist_ok=True)
        save_frames(frames_file, found.frames)
        temporary = rows_file.with_suffix(".part.npz")
        np.savez(temporary, kinds=found.kinds, tasks=found.tasks, temperatures_k=found.temperatures_k)
        temporary.replace(rows_file)
    rows = np.load(rows_file)
    temperatures = [float(t) for t in rows["temperatures_k"]]
    return Sampled(
        load_frames(frames_file), [str(k) for k in rows["kinds"]], [str(t) for t in rows["tasks"]], temperatures
    )


def train(folder: Path, frames: Sequence[LabelledFrame], *, seed: int, n_steps: int) -> list[Path]:
    """Frozen models trained on `frames`; a finished training is not repeated."""
    committee = CommitteeConfig("interaction", N_MODELS, training_param(n_steps), None, 0.0, 0.0, 0.0, 0, False)
    systems = export_systems(frames, folder / "data", target="interaction", type_map=TYPE_MAP)
    names = [f"{member:03d}" for member in range(N_MODELS)]
    for member, name in enumerate(names):
        content = deepmd_input(
            committee,
            [f"data/{system.name}" for system in systems],
            type_map=TYPE_MAP,
            seed=seed_for(seed, "train", member),
            reuse=False,
        )
        content["training"] |= {"disp_file": f"{name}/lcurve.out", "save_ckpt": f"{name}/model.ckpt"}
        (folder / name).mkdir(parents=True, exist_ok=True)
        atomic_write_json(folder / name / "input.json", content)
    data = [str(p.relative_to(folder)) for s in systems for p in sorted(s.rglob("*")) if p.is_file()]
    task = Task(
        work_dir=folder,
        command=f"{sys.executable} {Path(__file__).with_name('efficiency_train.py')} {' '.join(names)}",
        inputs=(*(f"{name}/input.json" for name in names), *data),
        outputs=tuple(f"{name}/frozen_model.pb" for name in names),
        timeout_s=7200.0,
        label="train",
    )
    machine = StageMachine({"batch_type": "Shell", "context_type": "LazyLocalContext"}, {"group_size": 0}, "", 1)
    (outcome,) = run_tasks([task], machine=machine, base_dir=folder.parent, name=f"train.{folder.name}")
    if outcome.status != "done":
        raise SystemExit(f"{folder}: {outcome.message}")
    return [folder / name / "frozen_model.pb" for name in names]

"""Real runs of ``lmp`` and of the Monte Carlo worker with the trained committee, once per session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from alh2.config.model import MdJob
from alh2.core.frames import Frame
from alh2.dispatch.run import run_tasks
from alh2.dispatch.tasks import TaskOutcome
from alh2.explore.md import MdSetting, MdTask, prepare_md
from alh2.potential.lammps_forces import LammpsForces

N_MD_STEPS = 100
EVERY = 20


@dataclass(frozen=True, eq=False)
class MdRuns:
    """A sound run in a turned cell and one that explodes, with their outcomes."""

    setting: MdSetting
    runs: tuple[MdTask, ...]
    outcomes: tuple[TaskOutcome, ...]


def turned(frame: Frame) -> Frame:
    """`frame` with another choice of cell vectors (large tilts, general orientation, left-handed), same physics."""
    rng = np.random.default_rng(4)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    skewed = np.array([[1, 0, 0], [1, 1, 0], [-1, 1, 1]]) @ frame.cell_ang
    skewed = skewed[[1, 0, 2]]
    return replace(frame, positions_ang=frame.positions_ang @ rotation, cell_ang=skewed @ rotation)


def squeezed(frame: Frame) -> Frame:
    """`frame` with an atom of one H2 almost on an oxygen atom, and the other molecule on top of itself."""
    positions = frame.positions_ang.copy()
    oxygen = frame.symbols.index("O")
    positions[frame.n_host] = positions[oxygen] + [0.001, 0.0, 0.0]
    positions[-1] = positions[-2] + [0.0, 1e-6, 0.0]
    return replace(frame, positions_ang=positions)


@pytest.fixture(scope="session")
def md_runs(tmp_path_factory: pytest.TempPathFactory, trained_committee, node_start: Frame, local) -> MdRuns:
    """NVT of 100 steps at 77 K; the second start is squeezed, and its time step 100 times too long."""
    directory = tmp_path_factory.mktemp("md") / "iter.000002" / "01.model_devi"
    directory.mkdir(parents=True)
    plan = trained_committee.plan
    setting = MdSetting(directory, 2, trained_committee.graphs, LammpsForces(plan.type_map), (), 7, "lmp")
    job = MdJob((0,), (77.0,), N_MD_STEPS, 0.0005, EVERY, 0.1)
    wild = replace(job, dt_ps=0.05, n_steps=20 * N_MD_STEPS)
    runs = (
        prepare_md(setting, job, 0, 77.0, turned(node_start), index=0),
        prepare_md(setting, wild, 0, 77.0, squeezed(node_start), index=1),
    )
    outcomes = run_tasks([run.task for run in runs], machine=local("lmp"), base_dir=directory, name="md")
    return MdRuns(setting, runs, tuple(outcomes))


@pytest.fixture
def dump_text() -> Callable[[list[tuple[int, np.ndarray]]], str]:
    """``dump_text([(step, positions), …])``: what LAMMPS dumps."""

    def make(frames: list[tuple[int, np.ndarray]]) -> str:
        text = ""
        for step, positions in frames:
            text += f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{len(positions)}\n"
            text += "ITEM: BOX BOUNDS pp pp pp\n0 9\n0 9\n0 9\nITEM: ATOMS id type xu yu zu\n"
            text += "".join(f"{i + 1} 1 {x:.10g} {y:.10g} {z:.10g}\n" for i, (x, y, z) in enumerate(positions))
        return text

    return make


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    """``written(text)``: a file with that text."""

    def make(text: str) -> Path:
        path = tmp_path / "written"
        path.write_text(text)
        return path

    return make

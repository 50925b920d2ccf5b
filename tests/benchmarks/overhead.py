"""What the framework itself costs: ``python tests/benchmarks/overhead.py [N_TASKS] [N_ROWS]`` prints a JSON line.

An iteration of N_TASKS (2000) tasks that do nothing: planned, dispatched in groups, collected, committed to a dataset;
through Slurm where one answers, else on this computer. Selection over N_ROWS (1000000) deviation rows by each method;
the descriptors, which a task computes, are made up. Times are processor times of the driver (with the programs it
calls: squeue, sbatch), memory its peak.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from alh2.config.model import SelectConfig, StageMachine
from alh2.core.explored import ExploredFrame
from alh2.core.frames import Frame, Label, LabelledFrame, Provenance
from alh2.dataset.store import DatasetStore
from alh2.dispatch import Task, run_tasks
from alh2.potential.descriptors import FrameFeatures
from alh2.select.choose import Surroundings, select_frames
from alh2.select.sanity import HostBonds
from alh2.select.table import write_selection


def cpu_s() -> float:
    """Processor time of this process and of the programs that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def peak_mb() -> float:
    """Most memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def gas(rng: np.random.Generator) -> Frame:
    """One H2 in a box."""
    positions = rng.uniform(0.0, 10.0, (1, 3)) + np.array([[0.0, 0.0, 0.0], [0.74, 0.0, 0.0]])
    return Frame(("H", "H"), positions, 20.0 * np.eye(3), 0, "", Provenance("test", 0))


def machine() -> StageMachine:
    """Groups of 100 through Slurm where it answers, else two at a time here."""
    if shutil.which("scontrol") and b"is UP" in subprocess.run(["scontrol", "ping"], capture_output=True).stdout:
        resources = {"group_size": 100, "para_deg": 2, "cpu_per_node": 1, "custom_flags": ["#SBATCH --mem=50"]}
        return StageMachine({"batch_type": "Slurm", "context_type": "LazyLocalContext"}, resources, "", 1, poll_s=1.0)
    return StageMachine({"batch_type": "Shell", "context_type": "LazyLocalContext"}, {"group_size": 0}, "", 2)


def iteration(n_tasks: int, folder: Path) -> dict[str, object]:
    """Plan, dispatch, collect and commit `n_tasks` tasks."""
    rng = np.random.default_rng(1)
    began, wall = cpu_s(), time.monotonic()
    frames, tasks = [gas(rng) for _ in range(n_tasks)], []
    for index, frame in enumerate(frames):
        work = folder / "02.fp" / f"task.{index:06d}"
        work.mkdir(parents=True)
        np.save(work / "in.npy", frame.positions_ang)
        tasks.append(Task(work, "echo -6.5 > label", ("in.npy",), ("label",), 60.0, f"label {index}"))
    used = machine()
    outcomes = run_tasks(tasks, machine=used, base_dir=folder / "02.fp", name="label")
    assert all(outcome.status == "done" for outcome in outcomes)
    labels = [Label(float((task.work_dir / "label").read_text()), np.zeros((2, 3)), "none") for task in tasks]
    store = DatasetStore(folder / "dataset", ("H",))
    labelled = [LabelledFrame(frame, label) for frame, label in zip(frames, labels, strict=True)]
    assert store.append(labelled, split="train", name="iter.000000") == n_tasks
    return {
        "n_tasks": n_tasks,
        "through": used.machine["batch_type"],
        "driver_cpu_s": round(cpu_s() - began, 1),
        "wall_s": round(time.monotonic() - wall, 1),
        "peak_mb": round(peak_mb()),
    }


def selection(n_rows: int, folder: Path) -> dict[str, object]:
    """Judge `n_rows` rows, 2 % of them candidates, and write the tables."""
    rng = np.random.default_rng(2)
    frames = [gas(rng) for _ in range(10_000)]
    deviations = np.where(rng.random(n_rows) < 0.02, 0.2, 0.05)
    tasks = [f"task.000.{i:06d}" for i in range(100)]
    rows = [
        ExploredFrame(frames[i % len(frames)], "md", tasks[i % 100], i, 77.0, deviation)
        for i, deviation in enumerate(deviations.tolist())
    ]
    config = SelectConfig(0.1, 0.5, 0.02, 300, 1, 1.2, 1.1, 1.4)
    answer: dict[str, object] = {"n_rows": n_rows}
    none = HostBonds(np.empty((0, 2), dtype=int), np.empty(0))
    labelled = [gas(rng) for _ in range(4000)]
    for method in ("random", "diverse"):
        began, wall = cpu_s(), time.monotonic()
        used = replace(config, method=method, duplicate_distance=0.0)
        surroundings = Surroundings(labelled, made_up_features) if method == "diverse" else None
        verdicts = select_frames(rows, config=used, known_digests=set(), bonds=none, rng=rng, surroundings=surroundings)
        assert sum(verdict.picked for verdict in verdicts) == 300
        write_selection(folder, verdicts)
        answer[method] = {"cpu_s": round(cpu_s() - began, 1), "wall_s": round(time.monotonic() - wall, 1)}
    answer["peak_mb"] = round(peak_mb())
    return answer


def made_up_features(frames: Sequence[Frame]) -> FrameFeatures:
    """Features as large as those of a model of five elements, without a model."""
    values = np.random.default_rng(3).standard_normal((len(frames), 6, 32))
    return FrameFeatures(values, np.ones((len(frames), 6), dtype=np.int64))


def main() -> None:
    """Both measurements, one JSON line."""
    n_tasks = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    n_rows = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    with tempfile.TemporaryDirectory(prefix="alh2-overhead-") as folder:
        result = {"iteration": iteration(n_tasks, Path(folder)), "selection": selection(n_rows, Path(folder))}
    print(json.dumps(result))


if __name__ == "__main__":
    main()

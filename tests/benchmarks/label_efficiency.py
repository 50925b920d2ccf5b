"""Labels that selection by descriptors needs, compared with DP-GEN's random pick in the trust band.

``python tests/benchmarks/label_efficiency.py [FOLDER] [--short] [--seeds N] [--rounds N] [--steps N]`` prints a JSON
line last. Everything is kept in FOLDER (label-efficiency), finished trainings and seeds are not repeated.

Per seed: 24 frames with H2 (and H2 gas) are labelled, a committee of two is trained, explored frames are judged, 16
of them are labelled, and so on; once with `method` "random" and once with "diverse", everything else the same. Errors
are measured on frames and insertions that nobody trains on, the same for all seeds. For each way the logarithm of the
error, averaged over seeds, is a straight line in the logarithm of the number of labels; the ratio compares the labels
picked by "diverse" to reach the error that "random" has in the end with the labels that "random" picked for it.
Standard errors: jackknife over seeds. ``passed``: the worse of the two ratios, forces and insertion energies, is at
most 0.6.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from efficiency_world import LOADINGS, Sampled, World, kept, train

from alh2.assess.errors import frames_of
from alh2.assess.heldout import HeldoutInsertion, heldout_insertion, pick_molecules
from alh2.config.model import SelectConfig
from alh2.core.atoms import to_atoms
from alh2.core.explored import ExploredFrame
from alh2.core.files import atomic_write_json, read_json
from alh2.core.frames import LabelledFrame
from alh2.core.gas import gas_molecule
from alh2.core.random_streams import seed_for, stream
from alh2.explore.deviation import force_deviation
from alh2.potential.descriptors import describe_frames
from alh2.potential.evaluate import CommitteeEvaluation, evaluate_committee
from alh2.select.choose import Surroundings, select_frames
from alh2.select.sanity import HostBonds
from alh2.structure.topology import bonded_pairs

METHODS = ("random", "diverse")
REQUIRED = 0.6
HELD_OUT_SEED = 20_000
THREADS = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
    *("DP_INTRA_OP_PARALLELISM_THREADS", "DP_INTER_OP_PARALLELISM_THREADS"),
)


@dataclass(frozen=True)
class Plan:
    """Size of the benchmark."""

    n_seeds: int = 5
    n_rounds: int = 3
    batch: int = 16
    n_steps: int = 2000
    n_md: int = 15
    n_mc: int = 10


SHORT = Plan(n_seeds=2, n_rounds=2, n_steps=800, n_md=8, n_mc=5)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Labelled frames, and insertions with their exact energies (n,) eV."""

    frames: list[LabelledFrame]
    insertions: list[HeldoutInsertion]
    insertion_ev: np.ndarray


@dataclass(frozen=True)
class Errors:
    """RMSE on what is held out."""

    n_labels: int
    force_ev_ang: float
    insertion_ev: float


def held_out(world: World, folder: Path) -> HeldOut:
    """The same for all seeds."""
    sampled = kept(folder, "held-out", lambda: world.explore(HELD_OUT_SEED, "held-out", n_md=8, n_mc=10))
    gcmc = [f for f, kind in zip(sampled.frames, sampled.kinds, strict=True) if kind == "gcmc"]
    insertions = [
        heldout_insertion(f, k) for f, k in zip(gcmc, pick_molecules(gcmc, stream(HELD_OUT_SEED, "pick")), strict=True)
    ]
    energy = np.array([world.label(f).label.energy_ev for f in frames_of(insertions)]).reshape(-1, 3)
    return HeldOut([world.label(f) for f in sampled.frames], insertions, energy[:, 0] - energy[:, 1] - energy[:, 2])


def judge(evaluation: CommitteeEvaluation, held: HeldOut, first: int, n_labels: int) -> Errors:
    """Errors of the committee mean; what is held out begins at frame `first` of the evaluation."""
    forces = [
        evaluation.frame_forces_ev_ang(first + i).mean(axis=0) - labelled.forces_ev_ang("interaction")
        for i, labelled in enumerate(held.frames)
    ]
    start = first + len(held.frames)
    energy = evaluation.energies_ev[:, start : start + 3 * len(held.insertions)].mean(axis=0).reshape(-1, 3)
    error = energy[:, 0] - energy[:, 1] - energy[:, 2] - held.insertion_ev
    together = np.concatenate(forces)
    return Errors(n_labels, float(np.sqrt(np.mean(together**2))), float(np.sqrt(np.mean(error**2))))


def explored_frames(pool: Sampled, evaluation: CommitteeEvaluation) -> list[ExploredFrame]:
    """The pool with its deviations; the evaluation is of the pool, the pool without the last guests, those guests."""
    n = len(pool.frames)
    energy = evaluation.energies_ev[:, : 3 * n].reshape(-1, 3, n)
    spread = (energy[:, 0] - energy[:, 1] - energy[:, 2]).std(axis=0, ddof=1)
    return [
        ExploredFrame(
            frame,
            "md" if kind == "md" else "gcmc",
            task,
            i,
            temperature_k,
            force_deviation(evaluation.frame_forces_ev_ang(i)),
            None if kind == "md" else float(spread[i]),
        )
        for i, (frame, kind, task, temperature_k) in enumerate(
            zip(pool.frames, pool.kinds, pool.tasks, pool.temperatures_k, strict=True)
        )
    ]


def run_method(world: World, held: HeldOut, folder: Path, plan: Plan, *, seed: int, method: str) -> list[Errors]:
    """Errors after each round of one way of selecting."""
    labelled = [world.label(frame) for frame in world.initial(seed)]
    pairs = bonded_pairs(to_atoms(world.host))
    lengths = np.linalg.norm(world.host.positions_ang[pairs[:, 0]] - world.host.positions_ang[pairs[:, 1]], axis=1)
    config = SelectConfig(0.015, 1.0, 0.005, plan.batch, 1, 1.2, 1.1, 1.4, method=method, max_labels=plan.batch)
    history = []
    for number in range(plan.n_rounds + 1):
        where = folder / ("start" if number == 0 else f"{method}.{number}")
        models = train(where, labelled, seed=seed_for(seed, "round", number), n_steps=plan.n_steps)
        pool = Sampled([], [], [], [])
        if number < plan.n_rounds:
            pool = kept(
                folder, f"pool.{number}",
                partial(world.explore, seed, f"explore.{number}", n_md=plan.n_md, n_mc=plan.n_mc),
            )  # fmt: skip
        asked = [
            *pool.frames,
            *(f.without_molecule(f.n_h2 - 1) for f in pool.frames),
            *(gas_molecule(f, f.n_h2 - 1) for f in pool.frames),
            *(f.frame for f in held.frames),
            *frames_of(held.insertions),
        ]
        answer = evaluate_committee(models, asked)
        with_h2 = sum(f.frame.n_host > 0 and f.frame.n_h2 > 0 for f in labelled)
        history.append(judge(answer, held, 3 * len(pool.frames), with_h2))
        if number == plan.n_rounds:
            break
        known = [f.frame for f in labelled if f.frame.n_host]
        verdicts = select_frames(
            explored_frames(pool, answer),
            config=config,
            known_digests={f.digest for f in known},
            bonds=HostBonds(pairs, lengths),
            rng=stream(seed, "select", number),
            surroundings=Surroundings(known, partial(describe_frames, models[0])),
        )
        bands = [v.band for v in verdicts]
        print(
            f"seed {seed} {method} round {number}: {history[-1]}, "
            f"candidates {bands.count('candidate')} of {len(bands)}",
            flush=True,
        )
        labelled += [world.label(v.explored.frame) for v in verdicts if v.picked]
    print(f"seed {seed} {method} end: {history[-1]}", flush=True)
    return history


def labels_needed(curve: np.ndarray, error: float) -> float:
    """Labels at which the line through (log labels, log error) of `curve` (n, 2) reaches `error`; inf: never."""
    slope, offset = np.polyfit(np.log(curve[:, 0]), np.log(curve[:, 1]), 1)
    return float(np.exp((np.log(error) - offset) / slope)) if slope < 0 else np.inf


def ratio(curves: dict[str, np.ndarray], column: int) -> float:
    """Picked labels of "diverse" over those of "random" for the error that "random" ends with.

    curves : of each method (n_seeds, n_points, 3): labels, force error, insertion error
    """
    lines = {}
    for method, values in curves.items():
        points = np.stack([values[:, :, 0].mean(axis=0), np.exp(np.log(values[:, :, column]).mean(axis=0))], axis=1)
        lines[method] = points
    start, end = lines["random"][0, 0], lines["random"][-1, 0]
    slope, offset = np.polyfit(np.log(lines["random"][:, 0]), np.log(lines["random"][:, 1]), 1)
    reached = float(np.exp(slope * np.log(end) + offset))
    return (labels_needed(lines["diverse"], reached) - start) / (end - start)


def with_error(curves: dict[str, np.ndarray], column: int) -> tuple[float, float]:
    """The ratio and its jackknife standard error over seeds."""
    n = len(curves["random"])
    left_out = np.array(
        [ratio({m: np.delete(v, i, axis=0) for m, v in curves.items()}, column) for i in range(n if n > 1 else 0)]
    )
    error = np.nan
    if n > 1 and np.isfinite(left_out).all():
        error = float(np.sqrt((n - 1) / n * np.sum((left_out - left_out.mean()) ** 2)))
    return ratio(curves, column), error


def summary(results: list[dict[str, list[list[float]]]], plan: Plan, wall_s: float) -> dict[str, object]:
    """The JSON line."""
    curves = {method: np.array([result[method] for result in results]) for method in METHODS}
    force, insertion = with_error(curves, 1), with_error(curves, 2)
    worse = max(force, insertion)
    return {
        "benchmark": "label_efficiency",
        "ratio": _number(worse[0]),
        "ratio_error": _number(worse[1]),
        "ratio_force": [_number(x) for x in force],
        "ratio_insertion": [_number(x) for x in insertion],
        "seeds": len(results),
        "labels_start": round(float(curves["random"][:, 0, 0].mean()), 1),
        "labels_end": {m: round(float(curves[m][:, -1, 0].mean()), 1) for m in METHODS},
        "force_rmse_ev_ang": {m: [round(x, 4) for x in curves[m][:, :, 1].mean(axis=0).tolist()] for m in METHODS},
        "insertion_rmse_mev": {
            m: [round(1e3 * x, 2) for x in curves[m][:, :, 2].mean(axis=0).tolist()] for m in METHODS
        },
        "steps": plan.n_steps,
        "wall_s": round(wall_s),
        "required": REQUIRED,
        "passed": bool(worse[0] <= REQUIRED and len(results) >= 5),
    }


def _number(value: float) -> float | None:
    """Three decimals; None for what is not a number of JSON (one seed has no standard error)."""
    return round(value, 3) if np.isfinite(value) else None


def main() -> None:
    """Run what is not there yet and print the line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("label-efficiency"))
    parser.add_argument("--short", action="store_true", help="two seeds, two rounds, short trainings")
    for name in ("seeds", "rounds", "steps"):
        parser.add_argument(f"--{name}", type=int, default=None)
    options = parser.parse_args()
    if any(name not in os.environ for name in THREADS):  # libraries read them when they are imported
        os.execve(sys.executable, [sys.executable, *sys.argv], {**dict.fromkeys(THREADS, "1"), **os.environ})
    plan = SHORT if options.short else Plan()
    for name in ("seeds", "rounds", "steps"):
        plan = replace(plan, **{f"n_{name}": getattr(options, name) or getattr(plan, f"n_{name}")})
    folder = options.folder.resolve() / f"{plan.n_rounds}x{plan.batch}.{plan.n_steps}.{plan.n_md}.{plan.n_mc}"
    folder.mkdir(parents=True, exist_ok=True)
    began, world = time.monotonic(), World()
    held, results = held_out(world, folder), []
    print(f"held out: {len(held.frames)} frames at {LOADINGS} H2, {len(held.insertions)} insertions, whose energies "
          f"spread by {1e3 * held.insertion_ev.std():.1f} meV", flush=True)  # fmt: skip
    for seed in range(1, plan.n_seeds + 1):
        own = folder / f"seed.{seed:03d}"
        file = own / "result.json"
        if not file.exists():
            found = {
                m: [
                    [e.n_labels, e.force_ev_ang, e.insertion_ev]
                    for e in run_method(world, held, own, plan, seed=seed, method=m)
                ]
                for m in METHODS
            }
            atomic_write_json(file, found)
        results.append(read_json(file))
        print(json.dumps(summary(results, plan, time.monotonic() - began)), flush=True)


if __name__ == "__main__":
    main()

"""Twin experiment: campaigns whose electronic structure is an analytic potential, against its exact isotherm.

    python tests/benchmarks/twin.py [--short] [--host small|crystal] [--seeds 1 2 3] [--work FOLDER]

The reference potential plays the quantum code. On the same frozen host, Monte Carlo with the reference itself gives the
exact loading and energy at every pressure, starting empty and starting loaded. Beside it stand

(a) the usual protocol: one loading, molecular dynamics at 77 K, total energies, no loop;
(b) the full loop (`alh2 run`), every model of its interaction committee run, with the interval of the committee.

Everything is kept in FOLDER: the same command goes on where it was stopped. `--short`: the small host, one seed,
shorter runs. The last line is JSON; `passed` is what is asked of (b): the loading within 5 % or its 95 % interval at
every pressure from both starts, energy per molecule within 0.3 kJ/mol, intervals that cover at least 90 % of all points
with half-widths of at most 20 % of the loading; H2 near open Al sites within its interval at 90 % of the points.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from twin_case import BOND_ANG, CRYSTAL, MIN_DISTANCE_ANG, PRESSURES_BAR, SMALL, TEMPERATURE_K, Case, write_inputs
from twin_paper import paper_potential
from twin_rdf import moved, near_sites, peak_ang, shell_counts
from twin_truth import exact_potential

from alh2.assess.errors import load_errors
from alh2.core.atoms import to_atoms
from alh2.core.files import atomic_write_json
from alh2.core.statistics import Estimate
from alh2.core.units import EV_IN_KJ_PER_MOL
from alh2.gcmc import HostEnergyGrid, RigidMolecule, fugacity_bar, host_energy_grid, simulate
from alh2.gcmc.averages import averages
from alh2.gcmc.result import GcmcFrame, GcmcResult
from alh2.potential.frames_npz import load_frames
from alh2.potential.load import load_potential
from alh2.potential.protocol import Potential
from alh2.production.committee_interval import committee_interval, loading_error, systematic_error_ev
from alh2.production.holes import MOST_ALONE, depths_ev, shares_alone, spread_evenly
from alh2.train.members import members

MAX_FRAMES = 400
WITHIN_RELATIVE, WITHIN_KJ_PER_MOL, WANTED_COVERAGE, WIDEST_RELATIVE = 0.05, 0.3, 0.9, 0.2


@dataclass(frozen=True)
class Size:
    """How much is run: pressures, and measured moves of the truth and of each model."""

    pressures_bar: tuple[float, ...]
    truth_moves: int
    model_moves: int


FULL, SHORT = Size(PRESSURES_BAR, 300_000, 40_000), Size(PRESSURES_BAR, 100_000, 25_000)
LARGE = Size(PRESSURES_BAR, 300_000, 100_000)
"""On the crystal, where chains of 40 000 moves scatter by more than their errors. All of the same pressures: of six
points all would have to be covered for the 90 % that are asked, which intervals of 95 % do in 74 of 100 runs; of ten
one may be missed, 91 of 100."""


@dataclass(frozen=True)
class Point:
    """One run: molecules per cell, its variance, and energy per molecule (kJ/mol), with standard errors.

    shells, near : of H2 around an open Al, see `twin_rdf.shell_counts`
    depths_ev : how much deeper (eV) its model holds configurations than the others of the committee do
    """

    n: float
    n_error: float
    n_variance: float
    energy_kj_per_mol: float
    energy_error_kj_per_mol: float
    shells: tuple[float, ...] = ()
    near: tuple[float, ...] = ()
    depths_ev: tuple[float, ...] = ()

    @property
    def loading(self) -> Estimate:
        """The loading as an estimate."""
        return Estimate(self.n, self.n_error, math.nan, 0)


def runs(
    file: Path, host: Atoms, load: Callable[[], Potential], case: Case, size: Size, *, moves: int, seed: int,
    others: Sequence[Callable[[], Potential]] = (),
) -> dict[str, Point]:  # fmt: skip
    """Points of the potential that `load` gives, by "pressure/start"; those in `file` are done, and nothing is loaded
    where it has all of them. others : the models that are asked about its configurations"""
    done: dict[str, Point] = {}
    if file.exists():
        done = {key: Point(**value) for key, value in json.loads(file.read_text()).items()}
    molecule, grid = RigidMolecule.h2(BOND_ANG), None
    asked: list[Potential] = []
    for pressure in size.pressures_bar:
        for start in (0, case.loaded):
            key = f"{pressure:g}/{start}"
            if key in done:
                continue
            if grid is None:
                potential, asked = load(), [other() for other in others]
                grid = grid_of(host, molecule, potential, seed=seed)
            result = simulate(
                host, molecule, potential, temperature_k=TEMPERATURE_K,
                fugacity_bar=fugacity_bar(pressure, TEMPERATURE_K), n_moves=moves, n_equilibration=moves // 4,
                seed=seed + len(done), n_initial=start, energy_grid=grid, min_distance_ang=MIN_DISTANCE_ANG,
                max_molecules=case.max_loading, max_frames=MAX_FRAMES, move_weights=(WEIGHTS),
            )  # fmt: skip
            done[key] = replace(_point(result), depths_ev=tuple(depths(result, asked).tolist()) if asked else ())
            atomic_write_json(file, {name: asdict(point) for name, point in done.items()})
            print(f"{file.parent.name}/{file.stem} {key}: {done[key].n:.2f} ± {done[key].n_error:.2f} H2", flush=True)
    return done


WEIGHTS = {"insertion": 25, "deletion": 25, "translation": 20, "rotation": 20, "reinsertion": 10}


def grid_of(host: Atoms, molecule: RigidMolecule, potential: Potential, *, seed: int) -> HostEnergyGrid:
    """Where molecules are inserted: the grid of every run of the experiment."""
    return host_energy_grid(
        host, molecule, potential, temperature_k=TEMPERATURE_K, seed=seed, spacing_ang=0.7, most_refined=300,
        min_distance_ang=MIN_DISTANCE_ANG,
    )  # fmt: skip


def depths(result: GcmcResult, others: Sequence[Potential]) -> np.ndarray:
    """How much deeper (eV) the model of a run holds its configurations than `others` do, some of them, (n,)."""
    frames = [result.frames[k] for k in spread_evenly(len(result.frames))]
    own = [f.energy_ev - result.host_energy_ev - len(f.guests_ang) * result.molecule_energy_ev for f in frames]
    return depths_ev(np.array([own, *(energies_ev(other, result, frames) for other in others)]), 0)


def energies_ev(potential: Potential, result: GcmcResult, frames: Sequence[GcmcFrame]) -> np.ndarray:
    """Adsorption energies of configurations of a run as `potential` has them, (n,)."""
    symbols = result.adsorbate.symbols
    gas = potential.molecule_energy_ev(symbols, result.adsorbate.sites_ang)
    bare = potential.start(result.framework, symbols, np.empty((0, len(symbols), 3))).energy_ev
    of = [potential.start(result.framework, symbols, f.guests_ang).energy_ev for f in frames]
    return np.array([e - bare - len(f.guests_ang) * gas for e, f in zip(of, frames, strict=True)])


def _point(result: GcmcResult) -> Point:
    n = result.n_adsorbed
    found = averages(n, result.adsorption_energy_ev, temperature_k=TEMPERATURE_K)
    kept = n[found.n_discarded :]
    mean = found.n_adsorbed.mean
    per = EV_IN_KJ_PER_MOL / mean if mean > 0 else math.nan
    energy = found.adsorption_energy_ev
    shells, near = shell_counts(result)
    return Point(
        mean, found.n_adsorbed.standard_error, float(kept.var()), energy.mean * per, energy.standard_error * per,
        tuple(shells), tuple(near),
    )  # fmt: skip


def campaign(folder: Path, param: Path, machine: Path) -> Path:
    """The campaign in `folder`, run until it is over; converged or not is for the comparison to judge."""
    workdir = folder / "campaign"
    command = [str(Path(sys.executable).parent / "alh2"), "run", str(param), str(machine), "--workdir", str(workdir)]
    status = [command[0], "status", str(workdir), "--json"]
    if workdir.exists() and json.loads(subprocess.run(status, capture_output=True, text=True).stdout)["state"] in (
        "done",
        "not-converged",
    ):
        return workdir
    done = subprocess.run(command)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
    return workdir


def last_iteration(workdir: Path) -> int:
    """The last iteration that was assessed."""
    return max(int(p.parent.parent.name[5:]) for p in workdir.glob("iter.*/03.assess/assess.json"))


@dataclass(frozen=True)
class Chains:
    """What `runs` is asked for with one potential."""

    file: Path
    load: Callable[[], Potential]
    moves: int
    seed: int
    others: tuple[Callable[[], Potential], ...] = ()


def loop_chains(workdir: Path, folder: Path, size: Size, seed: int) -> tuple[list[Chains], float]:
    """Chains of every member of the interaction committee, and the error (eV) of its insertion energies."""
    iteration = last_iteration(workdir)
    directory = workdir / f"iter.{iteration:06d}"
    _, insertions = load_errors(directory / "03.assess" / "errors.interaction.npz")
    committee = members(directory / "00.train", "interaction", insertions.models_ev.shape[0])
    loads = [partial(load_potential, m.frozen, pair_baseline=m.pair_baseline) for m in committee]
    chains = []
    for k, load in enumerate(loads):
        file = folder / f"loop.{iteration}.{k}.json"
        chains.append(Chains(file, load, size.model_moves, seed + 1000 * k, (*loads[:k], *loads[k + 1 :])))
    return chains, systematic_error_ev(insertions.errors_ev)


def one_thread() -> None:
    """Chains run side by side: none of them may take the cores of the others."""
    for name in ("OMP_NUM_THREADS", "DP_INTRA_OP_PARALLELISM_THREADS", "DP_INTER_OP_PARALLELISM_THREADS"):
        os.environ[name] = "1"


def side_by_side(asked: list[Chains], host: Atoms, case: Case, size: Size) -> list[dict[str, Point]]:
    """Points of each of `asked`, two potentials at a time."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn"), initializer=one_thread) as pool:
        pending = [
            pool.submit(runs, c.file, host, c.load, case, size, moves=c.moves, seed=c.seed, others=c.others)
            for c in asked
        ]
        return [done.result() for done in pending]


def compare(
    truth: dict[str, Point], paper: dict[str, Point], loop: list[dict[str, Point]], error_ev: float
) -> list[dict[str, Any]]:
    """One row per pressure and start."""
    rows, holes = [], in_holes(loop)
    for key, run in truth.items():
        pressure, start = key.split("/")
        both = [truth[k] for k in truth if k.split("/")[0] == pressure]
        exact = replace(run, n=float(np.mean([p.n for p in both])))
        exact_error = math.sqrt(sum(p.n_error**2 for p in both)) / len(both)
        sound = [points[key] for k, points in enumerate(loop) if (k, key) not in holes]
        mine = sound if len(sound) > 1 else [points[key] for points in loop]
        shift = loading_error(float(np.mean([p.n_variance for p in mine])), error_ev, temperature_k=TEMPERATURE_K)
        interval = committee_interval([p.loading for p in mine], model_error=shift)
        half = math.hypot(interval.half_width_95, 1.96 * exact_error)
        off = interval.mean - exact.n
        energy = float(np.mean([p.energy_kj_per_mol for p in mine]))
        rows.append(
            {
                "pressure_bar": float(pressure),
                "start": int(start),
                "exact": exact.n,
                "exact_error": exact_error,
                "loop": interval.mean,
                "models_in_holes": [k for k in range(len(loop)) if (k, key) in holes],
                "half_width_95": interval.half_width_95,
                "statistical": interval.statistical,
                "committee": interval.committee,
                "model": interval.model,
                "covered": abs(off) <= half,
                "right": abs(off) <= max(half, WITHIN_RELATIVE * exact.n),
                "narrow": interval.half_width_95 <= WIDEST_RELATIVE * interval.mean,
                "energy_off_kj_per_mol": energy - float(np.mean([p.energy_kj_per_mol for p in both])),
                "paper": paper[key].n,
                "paper_right": abs(paper[key].n - exact.n) <= WITHIN_RELATIVE * exact.n + 1.96 * paper[key].n_error,
                **around_sites(both, mine, paper[key]),
            }
        )
    return rows


def in_holes(loop: list[dict[str, Point]]) -> set[tuple[int, str]]:
    """Models and points whose configurations no other model holds so deep: `alh2 produce isotherm` leaves them out."""
    keys = [(k, key) for k, points in enumerate(loop) for key in points]
    shares = shares_alone([np.array(loop[k][key].depths_ev) for k, key in keys])
    return {key for key, share in zip(keys, shares, strict=True) if share > MOST_ALONE}


def around_sites(exact: list[Point], loop: list[Point], paper: Point) -> dict[str, Any]:
    """H2 around an open Al: molecules near it, where its density is highest, and how much of it is elsewhere."""
    if not all(p.shells for p in (*exact, *loop)):
        return {}
    true, mine = (np.mean([p.shells for p in points], axis=0).tolist() for points in (exact, loop))
    near = committee_interval([near_sites(p.near) for p in loop])
    wanted = [near_sites(p.near) for p in exact]
    error = math.sqrt(sum(e.standard_error**2 for e in wanted)) / len(wanted)
    exact_near = float(np.mean([e.mean for e in wanted]))
    return {
        "near_al_exact": exact_near,
        "near_al_exact_error": error,
        "near_al": near.mean,
        "near_al_half_width_95": near.half_width_95,
        "near_al_covered": abs(near.mean - exact_near) <= math.hypot(near.half_width_95, 1.96 * error),
        "near_al_paper": near_sites(paper.near).mean if paper.near else 0.0,
        "peak_ang_exact": peak_ang(true),
        "peak_ang": peak_ang(mine),
        "elsewhere": moved(mine, true),
        "elsewhere_exact_runs": moved(exact[0].shells, exact[1].shells),
        "elsewhere_paper": moved(paper.shells, true) if paper.shells else 1.0,
    }


def one_seed(case: Case, size: Size, seed: int, work: Path) -> list[dict[str, Any]]:
    """Everything of one seed."""
    folder = work / case.name / f"seed.{seed}"
    param, machine = write_inputs(case, seed, folder)
    workdir = campaign(folder, param, machine)
    host = to_atoms(load_frames(workdir / "init" / "hosts.npz")[-1])
    exact, one_loading = (
        partial(exact_potential, case.parameters),
        partial(paper_potential, folder, param, machine, seed),
    )
    of_loop, error_ev = loop_chains(workdir, folder, size, seed)
    asked = [
        Chains(folder / "paper.json", one_loading, size.model_moves, seed),
        Chains(folder / "truth.json", exact, size.truth_moves, seed),
        *of_loop,
    ]
    paper, truth, *loop = side_by_side(asked, host, case, size)
    rows = compare(truth, paper, loop, error_ev)
    for row in rows:
        print(
            f"seed {seed}, {row['pressure_bar']:g} bar from {row['start']}: exact {row['exact']:.2f}, "
            f"loop {row['loop']:.2f} ± {row['half_width_95']:.2f}, one loading without a loop {row['paper']:.2f}"
        )
    return [{"seed": seed, "insertion_error_mev": 1e3 * error_ev, **row} for row in rows]


def verdict(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures asked for."""
    coverage = sum(r["covered"] for r in rows) / len(rows)
    energy = max(abs(r["energy_off_kj_per_mol"]) for r in rows)
    right, narrow = sum(r["right"] for r in rows) / len(rows), sum(r["narrow"] for r in rows) / len(rows)
    shells = _distribution(rows)
    passed = right == 1.0 and coverage >= WANTED_COVERAGE and narrow == 1.0 and energy <= WITHIN_KJ_PER_MOL
    passed = passed and shells.get("near_al_coverage", 1.0) >= WANTED_COVERAGE
    return {
        "passed": passed,
        "right": right,
        "coverage": coverage,
        "narrow": narrow,
        "largest_energy_error_kj_per_mol": energy,
        "largest_half_width_relative": max(r["half_width_95"] / max(r["loop"], 1e-9) for r in rows),
        **shells,
        "one_loading_right": sum(r["paper_right"] for r in rows) / len(rows),
        "seeds": len({r["seed"] for r in rows}),
        "points": rows,
    }


def _distribution(rows: list[dict[str, Any]]) -> dict[str, Any]:
    known = [r for r in rows if "near_al" in r]
    if not known:
        return {}
    return {
        "near_al_coverage": sum(r["near_al_covered"] for r in known) / len(known),
        "largest_peak_shift_ang": max(abs(r["peak_ang"] - r["peak_ang_exact"]) for r in known),
        "largest_share_elsewhere": max(r["elsewhere"] for r in known),
        "largest_share_elsewhere_exact_runs": max(r["elsewhere_exact_runs"] for r in known),
        "largest_share_elsewhere_one_loading": max(r["elsewhere_paper"] for r in known),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="small host, one seed, shorter runs")
    parser.add_argument("--host", choices=("small", "crystal"), default="small")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "alh2-twin")
    options = parser.parse_args()
    case, size, seeds = (SMALL, SHORT, options.seeds[:1]) if options.short else (SMALL, FULL, options.seeds)
    if options.host == "crystal" and not options.short:
        case, size = CRYSTAL, LARGE
    rows = [row for seed in seeds for row in one_seed(case, size, seed, options.work.resolve())]
    print(json.dumps({"host": case.name, **verdict(rows)}))


if __name__ == "__main__":
    main()

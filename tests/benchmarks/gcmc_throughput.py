"""Monte Carlo trials per second: LAMMPS `fix gcmc full_energy`, and this package's ways, on one case in one run.

    python tests/benchmarks/gcmc_throughput.py [--quick] [--cache FOLDER]

A trial is one attempted insertion, deletion, translation or rotation (30 : 30 : 20 : 20) of rigid H2 at 77 K and
0.15 bar, started from the same molecules, with no wall beyond which trials are rejected unseen. Rounds interleave all
ways; ratios are medians over the rounds. `cpu_ratio_*` compares processor time, which other work on the machine
disturbs less. The last line printed is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lammps_gcmc import lammps_rate, write_case
from paper_size import Case, crystal_case, read_case, with_room_for_h2

from alh2.gcmc.molecule import RigidMolecule
from alh2.gcmc.settings import GcmcSettings, MoveWeights
from alh2.gcmc.simulation import simulate
from alh2.gcmc.together import Point, simulate_together
from alh2.potential.convert import to_dp
from alh2.potential.generic import LocalPotential
from alh2.potential.incremental import IncrementalPotential
from alh2.structure.loading import load_h2

TEMPERATURE_K, PRESSURE_BAR = 77.0, 0.15
TRANSLATION_ANG, ROTATION_RAD = 0.5, 0.8
N_WALKERS = 16


@dataclass(frozen=True)
class Size:
    """How much of everything: rounds, and trials per round of each way."""

    rounds: int
    lammps: int
    generic: int
    one: int
    many: int
    growth: int


FULL = Size(rounds=3, lammps=40, generic=30, one=1500, many=250, growth=300)
QUICK = Size(rounds=1, lammps=30, generic=10, one=300, many=60, growth=60)


class Clock:
    """Progress callback that keeps when it was called first and last: wall time, processor time, trials done."""

    def __init__(self) -> None:
        self.first: tuple[float, float, int] | None = None
        self.last = (0.0, 0.0, 0)

    def __call__(self, done: int, total: int, n_molecules: int) -> None:
        """Note the time."""
        self.last = (time.perf_counter(), time.process_time(), done)
        self.first = self.first or self.last


def settings(case: Case, clock: Clock) -> GcmcSettings:
    """The same moves and start for every way; nothing is adapted, nothing kept."""
    return GcmcSettings(
        move_weights=MoveWeights(30, 30, 20, 20),
        n_equilibration=0,
        sample_every=50,
        max_frames=0,
        initial_guests_ang=case.guests_ang,
        translation_ang=TRANSLATION_ANG,
        rotation_rad=ROTATION_RAD,
        self_check_every=0,
        progress=clock,
    )


Rates = tuple[float, float, float]
"""Trials per second, trials per processor second, mean number of molecules."""


def rates(clocks: list[Clock], n_mean: float) -> Rates:
    """Between the first call of any clock and the last of any."""
    firsts = [clock.first for clock in clocks if clock.first is not None]
    trials = sum(clock.last[2] for clock in clocks) - sum(done for _, _, done in firsts)
    wall, used = (max(c.last[k] for c in clocks) - min(f[k] for f in firsts) for k in (0, 1))
    return trials / wall, trials / used, n_mean


def one_walker_rate(case: Case, potential: Any, molecule: RigidMolecule, n: int, seed: int) -> Rates:
    """Of one walker."""
    clock = Clock()
    conditions = {"temperature_k": TEMPERATURE_K, "fugacity_bar": PRESSURE_BAR}
    result = simulate(
        case.framework, molecule, potential, n_moves=n, seed=seed, settings=settings(case, clock), **conditions
    )
    return rates([clock], float(result.n_adsorbed.mean()))


def many_walkers_rate(case: Case, potential: Any, molecule: RigidMolecule, n: int, seed: int) -> Rates:
    """Of N_WALKERS together."""
    clocks = [Clock() for _ in range(N_WALKERS)]
    points = [
        Point(TEMPERATURE_K, PRESSURE_BAR, seed=seed + k, settings=settings(case, clock))
        for k, clock in enumerate(clocks)
    ]
    results = simulate_together(case.framework, molecule, potential, points=points, n_moves=n)
    return rates(clocks, float(np.mean([result.n_adsorbed.mean() for result in results])))


def gemm_rate() -> float:
    """Floating-point operations per second of NumPy's matrix product at the nets' size, all processors."""
    a, w, out = np.ones((1200, 1600)), np.ones((1600, 240)), np.empty((1200, 240))
    best = 0.0
    for _ in range(12):
        started = time.perf_counter()
        np.matmul(a, w, out=out)
        best = max(best, 2.0 * a.size * w.shape[1] / (time.perf_counter() - started))
    return best


def flops_per_atom(potential: IncrementalPotential) -> float:
    """Multiplications and additions of one atom's fitting net."""
    return 2.0 * sum(layer.w.size for layer in potential.model.fittings[0].layers)


def random_trials(case: Case, potential: IncrementalPotential, n: int) -> tuple[float, float, float]:
    """Processor seconds and affected atoms per trial, fraction of overlaps; the trials are never accepted."""
    rng = np.random.default_rng(5)
    session = potential.start(case.framework, ("H", "H"), case.guests_ang)
    cell, guests = np.array(case.framework.cell), case.guests_ang
    asked: list[tuple[int | None, np.ndarray | None]] = []
    for _ in range(n):
        pick, number = rng.random(), int(rng.integers(len(guests)))
        axis = rng.normal(size=3)
        centre = rng.random(3) @ cell
        ends = np.array([centre, centre + 0.77 * axis / np.linalg.norm(axis)])
        moved = guests[number] + rng.uniform(-TRANSLATION_ANG, TRANSLATION_ANG, 3)
        asked.append((None, ends) if pick < 0.3 else (number, None) if pick < 0.6 else (number, moved))
    session.trial(*asked[0])
    affected = overlaps = 0
    spent = []
    for remove, sites in asked:
        started = time.process_time()
        change = session.trial(remove, sites)
        spent.append(time.process_time() - started)
        affected += session.n_affected
        overlaps += math.isinf(change)
    return statistics.median(spent), affected / n, overlaps / n


def growth(case: Case, potential: IncrementalPotential, size: Size, cache: Path) -> list[dict[str, float]]:
    """What a trial costs at higher loadings and in a 2x2x2 supercell."""
    roomy = with_room_for_h2(potential.model.dp_file, 400, cache / "roomy.dp")
    wide = IncrementalPotential(roomy)
    rows = []
    for loading in (24, 48, 96, 192):
        loaded = load_h2(case.framework, loading, rng=np.random.default_rng(3), prefer_open_sites=False)
        guests = np.array(loaded.positions[len(case.framework) :]).reshape(-1, 2, 3)
        rows.append(("one cell", loading, Case(case.framework, guests, case.frozen, case.compressed)))
    shifts = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) @ np.array(case.framework.cell)
    eight = np.concatenate([case.guests_ang + shift for shift in shifts])
    rows.append(("2x2x2 cells", len(eight), Case(case.framework.repeat(2), eight, case.frozen, case.compressed)))
    answer = []
    for what, n_molecules, grown in rows:
        seconds, affected, _ = random_trials(grown, wide, size.growth)
        cost = f"{1e3 * seconds:.3f} ms of processor time per trial, {affected:.1f} atoms affected"
        print(f"{what}, {n_molecules} H2: {cost}")
        answer.append(
            {"cell": what, "n_h2": n_molecules, "cpu_ms_per_trial": 1e3 * seconds, "affected_atoms": affected}
        )
    return answer


def generic_rate(case: Case, n: int) -> float:
    """Trials per second of local energies, in a process of its own (TensorFlow's memory is not the engine's)."""
    command = [sys.executable, str(Path(__file__).resolve()), "--only-generic", str(n), "--model", str(case.compressed)]
    command += ["--structure", str(case_file(case)), "--n-host", str(len(case.framework))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the generic path failed:\n{done.stderr[-2000:]}")
    return float(done.stdout.splitlines()[-1])


def case_file(case: Case) -> Path:
    """The case's structure, for another process."""
    path = case.compressed.parent / "case.extxyz"
    case.whole.write(path, columns=["symbols", "positions"])
    return path


def only_generic(options: argparse.Namespace) -> None:
    """What `generic_rate` runs."""
    case = read_case(options.structure, options.n_host, options.model, options.model)
    molecule = RigidMolecule.h2(float(case.whole.get_distance(options.n_host, options.n_host + 1)))
    potential = LocalPotential(options.model)
    potential.start(case.framework, ("H", "H"), case.guests_ang).trial(0, None)
    print(one_walker_rate(case, potential, molecule, 100 * max(1, options.only_generic // 100), 7)[0])


def lammps_threads(folder: Path, values: dict[str, object]) -> int:
    """The number of threads with which LAMMPS is fastest here."""
    counts = sorted({1, os.cpu_count() or 1})
    found = {n: lammps_rate(folder, values, threads=n)[0] for n in counts}
    return max(found, key=lambda n: found[n])


def measure(case: Case, size: Size, cache: Path) -> dict[str, Any]:
    """All figures."""
    potential = IncrementalPotential(case.frozen)
    bond = float(case.whole.get_distance(len(case.framework), len(case.framework) + 1))
    molecule = RigidMolecule.h2(bond)
    gas = potential.molecule_energy_ev(molecule.symbols, molecule.sites_ang)
    to_dp(case.compressed)
    folder = cache / "lammps"
    folder.mkdir(exist_ok=True)
    write_case(case, potential.model.type_map, folder)
    values: dict[str, object] = {
        **{"model": case.compressed, "elements": " ".join(potential.model.type_map), "gas": gas},
        **{"exchanges": round(0.6 * size.lammps), "moves": size.lammps - round(0.6 * size.lammps), "seed": 4711},
        **{"temperature": TEMPERATURE_K, "translation": TRANSLATION_ANG, "angle": math.degrees(ROTATION_RAD)},
        **{"pressure": PRESSURE_BAR, "guest": len(potential.model.type_map) + 1, "n_host": len(case.framework)},
    }
    threads = lammps_threads(folder, values) if size.rounds > 1 else 1
    one_walker_rate(case, potential, molecule, 100, 1)
    many_walkers_rate(case, potential, molecule, 100, 1)
    table: dict[str, list[float]] = {name: [] for name in ("lammps", "generic", "one", "many", "gemm")}
    numbers: dict[str, list[float]] = {name: [] for name in ("lammps", "one", "many")}
    per_cpu: dict[str, list[float]] = {name: [] for name in ("lammps", "one", "many")}
    for turn in range(size.rounds):
        for name, (rate, cpu_rate, n_mean) in (
            ("lammps", lammps_rate(folder, {**values, "seed": 4711 + turn}, threads=threads)),
            ("one", one_walker_rate(case, potential, molecule, size.one, 10 + turn)),
            ("many", many_walkers_rate(case, potential, molecule, size.many, 100 * (turn + 1))),
        ):
            table[name].append(rate)
            numbers[name].append(n_mean)
            per_cpu[name].append(cpu_rate)
        table["gemm"].append(gemm_rate())
        table["generic"].append(generic_rate(case, size.generic))
        print(f"round {turn + 1}: " + ", ".join(f"{name} {values[-1]:.4g}/s" for name, values in table.items()))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds, affected, overlaps = random_trials(case, potential, size.growth)
    floor_s = affected * flops_per_atom(potential) / statistics.median(table["gemm"])

    def ratio(name: str, of: dict[str, list[float]] = table) -> float:
        return statistics.median(a / b for a, b in zip(of[name], of["lammps"], strict=True))

    print("molecules on average: " + ", ".join(f"{name} {statistics.mean(n):.1f}" for name, n in numbers.items()))
    return {
        "ratio_one_walker": ratio("one"),
        "ratio_16_walkers": ratio("many"),
        "ratio_one_walker_without_overlaps": ratio("one") * (1.0 - overlaps),
        "ratio_16_walkers_without_overlaps": ratio("many") * (1.0 - overlaps),
        "ratio_generic": ratio("generic"),
        "cpu_ratio_one_walker": ratio("one", per_cpu),
        "cpu_ratio_16_walkers": ratio("many", per_cpu),
        **{f"{name}_trials_per_s": statistics.median(table[name]) for name in ("lammps", "generic", "one", "many")},
        "lammps_threads": threads,
        "overlap_fraction": overlaps,
        "affected_atoms": affected,
        "mflop_per_trial": affected * flops_per_atom(potential) / 1e6,
        "gemm_gflops": statistics.median(table["gemm"]) / 1e9,
        "floor_ms_per_trial": 1e3 * floor_s,
        "floor_fraction": floor_s * statistics.median(table["many"]),
        "floor_fraction_one_walker": floor_s * statistics.median(table["one"]),
        "cpu_ms_per_trial_one_walker": 1e3 * seconds,
        "peak_memory_mb": peak_mb,
        "n_atoms": len(case.whole),
        "load_average": os.getloadavg()[0],
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round and no growth with the cell")
    parser.add_argument("--cache", type=Path, help="folder that keeps the trained model (default: temporary)")
    parser.add_argument("--model", type=Path, help="frozen model instead of the paper-size one")
    parser.add_argument("--compressed", type=Path, help="the same model compressed")
    parser.add_argument("--structure", type=Path, help="structure whose atoms from --n-host on are H2")
    parser.add_argument("--n-host", type=int)
    parser.add_argument("--only-generic", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only_generic:
        only_generic(options)
        return
    default = Path(tempfile.gettempdir()) / f"alh2-benchmark-{os.getuid()}"
    cache = (options.cache or default).resolve()
    cache.mkdir(parents=True, exist_ok=True)
    if options.model:
        case = read_case(options.structure, options.n_host, options.model.resolve(), options.compressed.resolve())
    else:
        case = crystal_case(cache)
    print(__doc__.split("\n\n")[2])
    answer = measure(case, QUICK if options.quick else FULL, cache)
    if not options.quick:
        potential = IncrementalPotential(case.frozen)
        answer["growth"] = growth(case, potential, FULL, cache)
        rows = answer["growth"]
        answer["supercell_over_cell"] = rows[-1]["cpu_ms_per_trial"] / rows[0]["cpu_ms_per_trial"]
    print(json.dumps(answer))


if __name__ == "__main__":
    main()

"""Whether error bars of short Monte Carlo runs hold.

    python tests/benchmarks/short_runs.py [--pressure BAR] [--moves N] [--length N ...]

One long run of the exact potential of the twin experiment (small host, 77 K) is cut into runs of `length` moves. Each
is averaged on its own, with three rules for the transient, which none of them has: nothing dropped, ours, and the start
that leaves the most effective samples (pymbar); and with two errors: that of the autocorrelation alone, and ours, which
asks a few long blocks too. The mean of the whole is the truth. The last line is JSON: share of runs off by more than
1.96 of their standard errors (5 % of Gaussian ones), root mean square of deviation over error, root mean square of the
errors over that of the deviations, and share of a run that was dropped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

import numpy as np
from pymbar.timeseries import detect_equilibration
from twin import WEIGHTS
from twin_case import BOND_ANG, MIN_DISTANCE_ANG, SMALL, TEMPERATURE_K
from twin_truth import exact_potential

from alh2.core.statistics import Estimate, cautious_mean_and_error, equilibration_length, mean_and_error
from alh2.gcmc import RigidMolecule, fugacity_bar, host_energy_grid, simulate

SAMPLE_EVERY = 10


def most_effective(series: np.ndarray) -> int:
    """The start that leaves the most effective samples."""
    return int(detect_equilibration(series, fast=True, nskip=max(1, len(series) // 100))[0])


RULES: dict[str, Callable[[np.ndarray], int]] = {
    "nothing": lambda series: 0,
    "ours": equilibration_length,
    "most effective samples": most_effective,
}


ERRORS: dict[str, Callable[[np.ndarray], Estimate]] = {
    "autocorrelation": mean_and_error,
    "ours": cautious_mean_and_error,
}


def judged(
    runs: list[np.ndarray], truth: float, rule: Callable[[np.ndarray], int], error: Callable[[np.ndarray], Estimate]
) -> dict[str, float]:
    """What `rule` and `error` make of the runs."""
    starts = [rule(run) for run in runs]
    found = [error(run[start:]) for run, start in zip(runs, starts, strict=True)]
    off, errors = np.array([e.mean - truth for e in found]), np.array([e.standard_error for e in found])
    return {
        "missed": round(float(np.mean(np.abs(off / errors) > 1.96)), 3),
        "rms_deviation_over_error": round(float(np.sqrt(np.mean((off / errors) ** 2))), 2),
        "error_over_deviation": round(float(np.sqrt(np.mean(errors**2) / np.mean(off**2))), 2),
        "dropped": round(float(np.mean([s / len(run) for s, run in zip(starts, runs, strict=True)])), 3),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=1_000_000)
    parser.add_argument("--length", type=int, nargs="+", default=[30_000])
    parser.add_argument("--pressure", type=float, default=0.2, help="bar")
    options = parser.parse_args()
    host, molecule, potential = SMALL.bare_host(), RigidMolecule.h2(BOND_ANG), exact_potential(SMALL.parameters)
    grid = host_energy_grid(
        host, molecule, potential, temperature_k=TEMPERATURE_K, seed=1, spacing_ang=0.7, most_refined=300,
        min_distance_ang=MIN_DISTANCE_ANG,
    )  # fmt: skip
    series = simulate(
        host, molecule, potential, temperature_k=TEMPERATURE_K,
        fugacity_bar=fugacity_bar(options.pressure, TEMPERATURE_K), n_moves=options.moves, n_equilibration=10_000,
        sample_every=SAMPLE_EVERY, seed=5, n_initial=SMALL.aimd_loading, energy_grid=grid,
        min_distance_ang=MIN_DISTANCE_ANG, max_molecules=SMALL.max_loading, max_frames=0, move_weights=WEIGHTS,
    ).n_adsorbed.astype(float)  # fmt: skip
    answer = []
    for moves in options.length:
        length = moves // SAMPLE_EVERY
        runs = [series[i : i + length] for i in range(0, len(series) - length + 1, length)]
        rules = {
            f"{name}, error of {by}": judged(runs, float(series.mean()), rule, error)
            for name, rule in RULES.items()
            for by, error in ERRORS.items()
        }
        answer.append({"runs": len(runs), "moves": moves, "rules": rules})
    print(json.dumps({"benchmark": "short runs", "pressure_bar": options.pressure, "lengths": answer}))


if __name__ == "__main__":
    main()

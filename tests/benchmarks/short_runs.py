"""Whether error bars of short Monte Carlo runs hold: ``python tests/benchmarks/short_runs.py [--moves N] [--length N]``

One long run of the exact potential of the twin experiment (small host, 77 K, 0.2 bar) is cut into runs of `length`
moves. Each is averaged on its own, with three rules for the transient, which none of them has: nothing dropped, ours,
and the start that leaves the most effective samples (pymbar). The mean of the whole is the truth. The last line is
JSON: share of runs off by more than 1.96 of their standard errors (5 % of Gaussian ones), root mean square of deviation
over error, and share of a run that was dropped.
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

from alh2.core.statistics import equilibration_length, mean_and_error
from alh2.gcmc import RigidMolecule, fugacity_bar, host_energy_grid, simulate

PRESSURE_BAR, SAMPLE_EVERY = 0.2, 10


def most_effective(series: np.ndarray) -> int:
    """The start that leaves the most effective samples."""
    return int(detect_equilibration(series, fast=True, nskip=max(1, len(series) // 100))[0])


RULES: dict[str, Callable[[np.ndarray], int]] = {
    "nothing": lambda series: 0,
    "ours": equilibration_length,
    "most effective samples": most_effective,
}


def judged(runs: list[np.ndarray], truth: float, rule: Callable[[np.ndarray], int]) -> dict[str, float]:
    """What `rule` makes of the runs."""
    starts = [rule(run) for run in runs]
    found = [mean_and_error(run[start:]) for run, start in zip(runs, starts, strict=True)]
    z = np.array([(e.mean - truth) / e.standard_error for e in found])
    return {
        "missed": round(float(np.mean(np.abs(z) > 1.96)), 3),
        "rms_deviation_over_error": round(float(np.sqrt(np.mean(z**2))), 2),
        "dropped": round(float(np.mean([s / len(run) for s, run in zip(starts, runs, strict=True)])), 3),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=1_000_000)
    parser.add_argument("--length", type=int, default=30_000)
    options = parser.parse_args()
    host, molecule, potential = SMALL.bare_host(), RigidMolecule.h2(BOND_ANG), exact_potential(SMALL.parameters)
    grid = host_energy_grid(
        host, molecule, potential, temperature_k=TEMPERATURE_K, seed=1, spacing_ang=0.7, most_refined=300,
        min_distance_ang=MIN_DISTANCE_ANG,
    )  # fmt: skip
    series = simulate(
        host, molecule, potential, temperature_k=TEMPERATURE_K, fugacity_bar=fugacity_bar(PRESSURE_BAR, TEMPERATURE_K),
        n_moves=options.moves, n_equilibration=10_000, sample_every=SAMPLE_EVERY, seed=5, n_initial=SMALL.aimd_loading,
        energy_grid=grid, min_distance_ang=MIN_DISTANCE_ANG, max_molecules=SMALL.max_loading, max_frames=0,
        move_weights=WEIGHTS,
    ).n_adsorbed.astype(float)  # fmt: skip
    length = options.length // SAMPLE_EVERY
    runs = [series[i : i + length] for i in range(0, len(series) - length + 1, length)]
    rules = {name: judged(runs, float(series.mean()), rule) for name, rule in RULES.items()}
    print(json.dumps({"benchmark": "short runs", "runs": len(runs), "moves": options.length, "rules": rules}))


if __name__ == "__main__":
    main()

"""One isotherm point from several runs that began with different loadings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from alh2.core.statistics import Estimate, combine_replicas
from alh2.gcmc.averages import isosteric_heat, known
from alh2.gcmc.result import GcmcResult

HYSTERESIS_SIGMA = 3.0
"""Replicas further apart than this many combined standard errors disagree."""


@dataclass(frozen=True, eq=False)
class ReplicaPoint:
    """Means over replicas of equal weight, each without its transient.

    n_adsorbed : the error is the larger of what the replicas say of themselves and what their scatter says
    adsorption_energy_ev : of the cell, E(host + N) - E(host) - N·E(gas molecule)
    isosteric_heat_kj_per_mol : from the fluctuations within all replicas together (alh2.gcmc.averages); NaN where they
        disagree, whose scatter is no fluctuation of one equilibrium
    largest_difference_sigma : of two replicas' means, in combined standard errors; 0 for one replica, infinite
        between two in which nothing happened
    hysteresis : replicas disagree, so the point depends on where they began
    """

    results: tuple[GcmcResult, ...]
    n_adsorbed: Estimate
    adsorption_energy_ev: Estimate
    isosteric_heat_kj_per_mol: Estimate
    largest_difference_sigma: float
    hysteresis: bool

    def summary(self) -> dict[str, Any]:
        """JSON-able record of the point; unknown values are None."""
        return {
            "mean_n_adsorbed": self.n_adsorbed.mean,
            "n_adsorbed_error": known(self.n_adsorbed.standard_error),
            "mean_adsorption_energy_ev": self.adsorption_energy_ev.mean,
            "adsorption_energy_error_ev": known(self.adsorption_energy_ev.standard_error),
            "isosteric_heat_kj_per_mol": known(self.isosteric_heat_kj_per_mol.mean),
            "isosteric_heat_error_kj_per_mol": known(self.isosteric_heat_kj_per_mol.standard_error),
            "n_initial": [result.n_initial for result in self.results],
            "largest_difference_sigma": known(self.largest_difference_sigma),
            "hysteresis": self.hysteresis,
        }


def combine(results: Sequence[GcmcResult]) -> ReplicaPoint:
    """The point of `results`, all at one temperature and fugacity; ValueError for none."""
    if not results:
        raise ValueError("no results to combine")
    estimates = [result.averages.n_adsorbed for result in results]
    largest, hysteresis = disagreement(estimates)
    heat = Estimate(math.nan, math.nan, 0.0, 0)
    if not hysteresis:
        runs = [_after_transient(result) for result in results]
        heat = isosteric_heat(runs, temperature_k=results[0].temperature_k)
    return ReplicaPoint(
        tuple(results),
        combine_replicas(estimates),
        combine_replicas([result.averages.adsorption_energy_ev for result in results]),
        heat,
        largest,
        hysteresis,
    )


def disagreement(estimates: Sequence[Estimate]) -> tuple[float, bool]:
    """Largest difference of two replicas in combined standard errors, and whether they disagree.

    A replica in which nothing happened, whose error is unknown, is compared as if it had none: where it sits away from
    the others, the start decides.
    """
    largest = max((_sigma(a, b) for i, a in enumerate(estimates) for b in estimates[:i]), default=0.0)
    return largest, largest > HYSTERESIS_SIGMA


def _after_transient(result: GcmcResult) -> tuple[np.ndarray, np.ndarray]:
    start = result.averages.n_discarded
    return result.n_adsorbed[start:].astype(np.float64), result.fluctuation_energy_ev[start:]


def _sigma(a: Estimate, b: Estimate) -> float:
    errors = [0.0 if math.isnan(e.standard_error) else e.standard_error for e in (a, b)]
    error = math.hypot(*errors)
    return abs(a.mean - b.mean) / error if error else (0.0 if a.mean == b.mean else math.inf)

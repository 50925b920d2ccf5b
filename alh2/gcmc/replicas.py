"""One isotherm point from several runs that began with different loadings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from alh2.core.statistics import Estimate, combine_replicas
from alh2.gcmc.result import GcmcResult

HYSTERESIS_SIGMA = 3.0
"""Replicas further apart than this many combined standard errors disagree."""


@dataclass(frozen=True, eq=False)
class ReplicaPoint:
    """Mean loading over replicas of equal weight.

    n_adsorbed : the error is the larger of what the replicas say of themselves and what their scatter says
    largest_difference_sigma : of two replicas' means, in combined standard errors; 0 for one replica, NaN where an
        error is unknown
    hysteresis : replicas disagree, so the point depends on where they began
    """

    results: tuple[GcmcResult, ...]
    n_adsorbed: Estimate
    largest_difference_sigma: float
    hysteresis: bool

    def summary(self) -> dict[str, Any]:
        """JSON-able record of the point; unknown values are None."""
        return {
            "mean_n_adsorbed": self.n_adsorbed.mean,
            "n_adsorbed_error": _known(self.n_adsorbed.standard_error),
            "n_initial": [result.n_initial for result in self.results],
            "largest_difference_sigma": _known(self.largest_difference_sigma),
            "hysteresis": self.hysteresis,
        }


def combine(results: Sequence[GcmcResult]) -> ReplicaPoint:
    """The point of `results`, all at one temperature and fugacity; ValueError for none."""
    estimates = [result.n_adsorbed_estimate for result in results]
    differences = [_sigma(a, b) for i, a in enumerate(estimates) for b in estimates[:i]]
    largest = math.nan if any(math.isnan(d) for d in differences) else max(differences, default=0.0)
    apart = any(d > HYSTERESIS_SIGMA for d in differences if not math.isnan(d))
    stuck = len({e.mean for e in estimates if math.isnan(e.standard_error)}) > 1
    return ReplicaPoint(tuple(results), combine_replicas(estimates), largest, apart or stuck)


def _sigma(a: Estimate, b: Estimate) -> float:
    error = math.hypot(a.standard_error, b.standard_error)
    return abs(a.mean - b.mean) / error if error else (0.0 if a.mean == b.mean else math.inf)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None

"""What series of N and energy say: means without the transient, their errors, and the isosteric heat."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from alh2.core.statistics import (
    Estimate,
    block_error,
    cautious_mean_and_error,
    equilibration_length,
    statistical_inefficiency,
)
from alh2.core.units import EV_IN_KJ_PER_MOL, beta_per_ev

MOST_BLOCKS = 50
LEAST_BLOCKS = 5
BLOCK_LENGTH = 4.0
"""Blocks are at least this many statistical inefficiencies long."""


@dataclass(frozen=True)
class Averages:
    """Averages of one run after its transient.

    n_discarded : samples left out at the start, the later of what N and the energy ask for
    inefficiency : samples worth one independent sample, the larger of those of N and of the energy
    n_adsorbed, adsorption_energy_ev : means per cell, with the errors of `cautious_mean_and_error`
    n_adsorbed_blocks : the same mean of N with the error from blocks; NaN where the run holds too few of them
    isosteric_heat_kj_per_mol : q_st by fluctuations, positive where adsorption is exothermic; NaN where N never changes
    """

    n_discarded: int
    inefficiency: float
    n_adsorbed: Estimate
    adsorption_energy_ev: Estimate
    n_adsorbed_blocks: Estimate
    isosteric_heat_kj_per_mol: Estimate

    def summary(self) -> dict[str, Any]:
        """JSON-able record; unknown values are None."""
        return {
            "n_discarded": self.n_discarded,
            "statistical_inefficiency": self.inefficiency,
            "mean_n_adsorbed": self.n_adsorbed.mean,
            "n_adsorbed_error": known(self.n_adsorbed.standard_error),
            "n_adsorbed_block_error": known(self.n_adsorbed_blocks.standard_error),
            "isosteric_heat_kj_per_mol": known(self.isosteric_heat_kj_per_mol.mean),
            "isosteric_heat_error_kj_per_mol": known(self.isosteric_heat_kj_per_mol.standard_error),
        }


def averages(n_adsorbed: np.ndarray, adsorption_energy_ev: np.ndarray, *, temperature_k: float) -> Averages:
    """Averages of one run from its series (n_samples,) of N and of E(host + N) - E(host) - N·E(gas molecule), eV.

    The transient is that of `equilibration_length`, the inefficiency that of `pymbar.timeseries`. Raises ValueError for
    series that are empty, not finite or of different lengths.
    """
    n, u = np.asarray(n_adsorbed, dtype=np.float64), np.asarray(adsorption_energy_ev, dtype=np.float64)
    if n.shape != u.shape:
        raise ValueError(f"series of {n.size} and {u.size} samples")
    start = max(equilibration_length(n), equilibration_length(u))
    n, u = n[start:], u[start:]
    inefficiency = max(statistical_inefficiency(n), statistical_inefficiency(u))
    n_blocks = min(MOST_BLOCKS, int(n.size / (BLOCK_LENGTH * inefficiency)))
    number = cautious_mean_and_error(n)
    blocks = (
        block_error(n, n_blocks=n_blocks)
        if n_blocks >= LEAST_BLOCKS
        else Estimate(number.mean, math.nan, float(n_blocks), n.size)
    )
    return Averages(
        start,
        inefficiency,
        number,
        cautious_mean_and_error(u),
        blocks,
        isosteric_heat([(n, u)], temperature_k=temperature_k),
    )


def isosteric_heat(
    runs: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    temperature_k: float,
    weights: Sequence[np.ndarray] | None = None,
) -> Estimate:
    """q_st in kJ/mol from the fluctuations of N and U in one or several runs at one temperature and fugacity,

        q_st = RT - (<UN> - <U><N>)/(<N²> - <N>²)

    (Nicholson and Parsonage, Computer Simulation and the Statistical Mechanics of Adsorption, 1982; ideal gas outside,
    molar volume of the adsorbed phase neglected; U without the gas energy of the molecules). Positive where adsorption
    is exothermic. The error is the jackknife over blocks of at least `BLOCK_LENGTH` inefficiencies, NaN for fewer than
    `LEAST_BLOCKS` of them; NaN altogether where N never changes.

    weights : of the samples of each run, where they stand for another ensemble; None: all alike
    """
    weights = [np.ones(n.size) for n, _ in runs] if weights is None else weights
    rt = EV_IN_KJ_PER_MOL / beta_per_ev(temperature_k)
    inefficiency = max(max(statistical_inefficiency(n), statistical_inefficiency(u)) for n, u in runs)
    shortest = min(n.size for n, _ in runs)
    per_run = max(1, min(MOST_BLOCKS, int(shortest / (BLOCK_LENGTH * inefficiency))))
    sums = np.concatenate([_block_sums(n, u, w, per_run) for (n, u), w in zip(runs, weights, strict=True)])
    total = sums.sum(axis=0)
    n_samples = sum(n.size for n, _ in runs)
    slope = _slope(total)
    if math.isnan(slope):
        return Estimate(math.nan, math.nan, float(len(sums)), n_samples)
    error = math.nan
    if len(sums) >= LEAST_BLOCKS:
        left_out = np.array([_slope(total - block) for block in sums])
        error = math.sqrt((len(sums) - 1) * float(left_out.var())) * EV_IN_KJ_PER_MOL
    return Estimate(rt - slope * EV_IN_KJ_PER_MOL, error, float(len(sums)), n_samples)


def _block_sums(n: np.ndarray, u: np.ndarray, weights: np.ndarray, n_blocks: int) -> np.ndarray:
    """(n_blocks, 5) weighted sums of 1, N, U, N² and UN over contiguous blocks of all samples."""
    moments = weights[:, None] * np.stack([np.ones_like(n, dtype=np.float64), n, u, n * n, u * n], axis=1)
    return np.array([part.sum(axis=0) for part in np.array_split(moments, n_blocks)])


def _slope(sums: np.ndarray) -> float:
    """Covariance of U and N over the variance of N, eV; NaN where N does not vary."""
    _, n, u, nn, un = (sums / sums[0]).tolist()
    variance = nn - n * n
    return (un - u * n) / variance if variance > 1e-12 * max(1.0, nn) else math.nan


def known(value: float) -> float | None:
    """`value` for a JSON file: None where it is NaN or infinite."""
    return value if math.isfinite(value) else None

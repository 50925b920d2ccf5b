"""One point of an isotherm from its Monte Carlo chains, and whether it is known well enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from alh2.core.statistics import Estimate, combine_replicas
from alh2.gcmc.averages import Averages, averages, isosteric_heat
from alh2.gcmc.replicas import disagreement


@dataclass(frozen=True, eq=False)
class Chain:
    """All samples of one chain, in order, and what was done for them.

    n_initial : molecules it began with; n_moves : measured moves
    n_adsorbed, adsorption_energy_ev : (n_samples,), the energy as in `alh2.gcmc.result.GcmcResult`
    insertion_acceptance : of the measured moves
    """

    n_initial: int
    n_moves: int
    n_adsorbed: np.ndarray
    adsorption_energy_ev: np.ndarray
    insertion_acceptance: float


@dataclass(frozen=True)
class ChainResult:
    """What one chain says: molecules per cell ± one standard error (NaN where N never changed) after its transient."""

    n_initial: int
    n_moves: int
    n_discarded: int
    n_adsorbed: float
    n_adsorbed_error: float
    insertion_acceptance: float


@dataclass(frozen=True)
class PointAverages:
    """What the chains of one point say together.

    n_adsorbed : mean over chains, with the larger of their own errors and their scatter
    n_variance : variance of the number of molecules within chains, their transients left out
    isosteric_heat_kj_per_mol : by fluctuations; NaN where the chains disagree or N never changes
    largest_difference_sigma, hysteresis : see `alh2.gcmc.replicas`
    at_limit : part of the samples at the largest loading allowed; where it is not small, that limit holds N down
    """

    n_adsorbed: Estimate
    n_variance: float
    isosteric_heat_kj_per_mol: Estimate
    largest_difference_sigma: float
    hysteresis: bool
    chains: tuple[ChainResult, ...]
    at_limit: float = 0.0

    @property
    def n_moves(self) -> int:
        """Measured moves of all chains."""
        return sum(chain.n_moves for chain in self.chains)

    def is_known(self, relative_error: float) -> bool:
        """Whether the chains agree and the standard error is at most `relative_error` of a positive mean."""
        mean, error = self.n_adsorbed.mean, self.n_adsorbed.standard_error
        return not self.hysteresis and math.isfinite(error) and mean > 0.0 and error <= relative_error * mean


def point_averages(chains: Sequence[Chain], *, temperature_k: float, max_loading: int | None = None) -> PointAverages:
    """Averages of `chains` at one temperature and fugacity, each without the transient it shows itself.

    max_loading : the chains' largest loading allowed

    Transient, autocorrelation, heat and the comparison of chains are those of `alh2.gcmc.averages` and
    `alh2.gcmc.replicas`. Raises ValueError without chains.
    """
    if not chains:
        raise ValueError("no chains to average")
    each = [_averages(chain, temperature_k) for chain in chains]
    largest, hysteresis = disagreement([a.n_adsorbed for a in each])
    heat = Estimate(math.nan, math.nan, 0.0, 0)
    if not hysteresis:
        kept = [
            (c.n_adsorbed[a.n_discarded :].astype(np.float64), c.adsorption_energy_ev[a.n_discarded :])
            for c, a in zip(chains, each, strict=True)
        ]
        heat = isosteric_heat(kept, temperature_k=temperature_k)
    results = tuple(
        ChainResult(
            c.n_initial,
            c.n_moves,
            a.n_discarded,
            a.n_adsorbed.mean,
            a.n_adsorbed.standard_error,
            c.insertion_acceptance,
        )
        for c, a in zip(chains, each, strict=True)
    )
    measured = [c.n_adsorbed[a.n_discarded :] for c, a in zip(chains, each, strict=True)]
    variance = float(np.mean([n.var() for n in measured]))
    at_limit = 0.0 if max_loading is None else float(np.mean(np.concatenate(measured) >= max_loading))
    together = _together([a.n_adsorbed for a in each])
    return PointAverages(together, variance, heat, largest, hysteresis, results, at_limit)


def moves_to_add(point: PointAverages, *, relative_error: float, step: int, most: int) -> int:
    """Measured moves each chain of `point` should go on for; 0 where it is known well enough or at its limit.

    The error falls with the square root of the length, so the need follows from the present error; a fifth is added,
    and one extension is at least `step` and at most twice what was done. Where nothing is known of the error yet, as
    much again as was done.

    most : measured moves of one chain at most
    """
    done = min(chain.n_moves for chain in point.chains)
    if point.is_known(relative_error) or done >= most:
        return 0
    mean, error = point.n_adsorbed.mean, point.n_adsorbed.standard_error
    need = float(done)
    if math.isfinite(error) and mean > 0.0 and not point.hysteresis:
        need = 1.2 * done * ((error / (relative_error * mean)) ** 2 - 1.0)
    wanted = min(max(need, step), 2.0 * done, most - done)
    return step * math.ceil(wanted / step - 1e-9)


def _averages(chain: Chain, temperature_k: float) -> Averages:
    found = averages(chain.n_adsorbed, chain.adsorption_energy_ev, temperature_k=temperature_k)
    if np.ptp(chain.n_adsorbed) == 0:  # nothing was seen to happen, so nothing is known of how rarely it does
        return replace(found, n_adsorbed=replace(found.n_adsorbed, standard_error=math.nan))
    return found


def _together(estimates: Sequence[Estimate]) -> Estimate:
    """Mean over chains; without error where no chain has one and they agree by chance."""
    combined = combine_replicas(estimates)
    if all(math.isnan(e.standard_error) for e in estimates):
        return replace(combined, standard_error=math.nan)
    return combined

"""From several models to one number: what statistics, the spread of a committee, and its known errors leave open.

Two ways lead to the answer of another member: running it, and reweighting the samples of one that has run,

    <A>_m = <A exp(-β(U_m - U_0))>_0 / <exp(-β(U_m - U_0))>_0

(Zwanzig, *J. Chem. Phys.* 1954, 22, 1420; for a committee of networks: Imbalzano et al., *J. Chem. Phys.* 2021, 154,
074102), which is trusted only while enough samples carry the weight (Kish, *Survey Sampling*, 1965).

An error δ of the energy per molecule acts as a chemical potential that is off by δ, so that

    d<N>/dδ = -β (<N²> - <N>²).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.stats import t as student_t

from alh2.core.statistics import Estimate, cautious_mean_and_error, statistical_inefficiency
from alh2.core.units import beta_per_ev

NORMAL_95 = 1.959964
LEAST_EFFECTIVE_FRACTION = 0.1
"""Reweighted averages stand on at least this fraction of the independent samples."""


@dataclass(frozen=True)
class CommitteeInterval:
    """A predicted number and what is known of its error, all in its own unit.

    statistical : standard error from the length of the runs
    committee : spread of the members' answers beyond what statistics explains, widened for few members (Student's t)
    model : what the measured error of the insertion energy does to the number
    """

    mean: float
    statistical: float
    committee: float
    model: float

    @property
    def half_width_95(self) -> float:
        """Half the 95 % interval: the three errors taken as independent and normal."""
        return NORMAL_95 * math.hypot(self.statistical, self.committee, self.model)

    def covers(self, truth: float) -> bool:
        """Whether the 95 % interval holds `truth`."""
        return abs(truth - self.mean) <= self.half_width_95


def committee_interval(members: Sequence[Estimate], *, model_error: float = 0.0) -> CommitteeInterval:
    """The members' mean and its errors; ValueError for no members.

    members : the same quantity from each member
    model_error : standard error that all members share, see `loading_error`
    """
    if not members:
        raise ValueError("no members")
    means, errors = np.array([m.mean for m in members]), np.array([m.standard_error for m in members])
    largest = float(np.max(np.abs([means, errors]), initial=0.0, where=np.isfinite([means, errors])))
    unit = largest if largest > 0.0 else 1.0  # Henry constants of cold hosts have squares that no number holds
    means, errors = means / unit, errors / unit
    statistical = float(np.sqrt(np.sum(errors**2)) / len(members))
    spread = 0.0
    if len(members) > 1:
        beyond = max(0.0, float(means.var(ddof=1)) - float(np.mean(errors**2)))
        spread = math.sqrt(beyond) * float(student_t.ppf(0.975, len(members) - 1)) / NORMAL_95
    return CommitteeInterval(unit * float(means.mean()), unit * statistical, unit * spread, abs(model_error))


def loading_error(n_variance: float, insertion_error_ev: float, *, temperature_k: float) -> float:
    """Standard error of <N> for a standard error (eV) of the insertion energy that is alike for all molecules.

    n_variance : variance of N in the run
    """
    return beta_per_ev(temperature_k) * n_variance * abs(insertion_error_ev)


def no_less_than_elsewhere(
    intervals: Sequence[CommitteeInterval], responses: Sequence[float], sound: Sequence[bool]
) -> list[CommitteeInterval]:
    """The loadings of one isotherm, each with a spread of at least what the energies of the models are apart on it.

    Few models agree at some pressure by chance; their spread there would promise what they do not keep elsewhere. A
    spread over its response is one of energies: their root mean square, times the response, is the least at each point.

    responses : (n,) |d<N>/dδ|, molecules per eV (`loading_error` of 1 eV)
    sound : (n,) whether the point counts in the mean
    """
    apart = [
        (i.committee / r) ** 2
        for i, r, counts in zip(intervals, responses, sound, strict=True)
        if counts and r > 0.0 and math.isfinite(i.committee)
    ]
    least = math.sqrt(sum(apart) / len(apart)) if apart else 0.0
    return [replace(i, committee=max(i.committee, least * r)) for i, r in zip(intervals, responses, strict=True)]


def systematic_error_ev(errors_ev: np.ndarray) -> float:
    """Standard error (eV) of the mean insertion energy, from errors (n,) of held-out insertions: mean and its error.

    Infinite for fewer than two.
    """
    if errors_ev.size < 2:
        return math.inf
    return math.hypot(float(errors_ev.mean()), float(errors_ev.std(ddof=1)) / math.sqrt(errors_ev.size))


@dataclass(frozen=True)
class Reweighted:
    """An average under another member.

    weights : (n,) of the samples, sum 1
    estimate : mean and standard error (delta method, on independent samples)
    effective : fraction of the independent samples that carry the weight; trusted : whether that is at least
        `LEAST_EFFECTIVE_FRACTION`
    """

    estimate: Estimate
    effective: float
    weights: np.ndarray = field(repr=False, compare=False)

    @property
    def trusted(self) -> bool:
        """Whether the other member need not be run."""
        return self.effective >= LEAST_EFFECTIVE_FRACTION


def reweighted(values: np.ndarray, change_ev: np.ndarray, *, temperature_k: float) -> Reweighted:
    """Average of `values` (n,) sampled under one member, as another says whose energies differ by `change_ev` (n,)."""
    values, change = np.asarray(values, dtype=np.float64), np.asarray(change_ev, dtype=np.float64)
    if values.shape != change.shape or not values.size:
        raise ValueError(f"series of {values.size} and {change.size} samples")
    exponent = -beta_per_ev(temperature_k) * change
    weights = np.exp(exponent - exponent.max())
    weights /= weights.sum()
    mean = float(weights @ values)
    effective = 1.0 / (float(np.sum(weights**2)) * values.size)
    terms = weights * (values - mean) * values.size
    inefficiency = max(statistical_inefficiency(values), statistical_inefficiency(terms))
    n_independent = values.size / inefficiency
    error = max(float(np.sqrt(np.mean(terms**2) / n_independent)), cautious_mean_and_error(terms).standard_error)
    return Reweighted(Estimate(mean, error, n_independent * effective, values.size), effective, weights)

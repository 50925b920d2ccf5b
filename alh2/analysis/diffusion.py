"""Self-diffusion of guests: mean squared displacement, where it is linear, D_s with a credible interval, Arrhenius.

MSD, its covariance and the Bayesian regression are those of kinisi (McCluskey, Coles and Morgan, J. Chem. Theory
Comput. 21, 79, 2025): overlapping displacements of a random walk are correlated in a known way, so the interval of D
does not come out too small, as that of a least-squares line through the MSD does.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from alh2.core.units import EV_IN_KJ_PER_MOL, KB_EV_PER_K

MOST_LAGS = 50
LONGEST_LAG = 0.5
"""Displacements over more than this part of a trajectory are not used: too few of them are independent."""
SLOPE_TOLERANCE = 0.1
"""A log-log slope of the MSD this close to 1, or within two standard errors, counts as linear."""
MOST_SLOPE_ERROR = 0.25
"""Slopes less certain than this say nothing about linearity."""
LEAST_MSD_ANG2 = 1.0
"""Shorter paths are free flight or motion within a cage."""
ANG2_PER_PS_IN_M2_PER_S = 1e-8
YEH_HUMMER_XI = 2.837297
CREDIBLE = (0.025, 0.975)
_MCMC = {"n_samples": 600, "n_burn": 300, "n_walkers": 16, "n_thin": 5}


@dataclass(frozen=True, eq=False)
class Displacement:
    """Mean squared displacement: time (n,) ps, msd (n,) Å², its standard error (n,), all of one particle on average.

    slope, slope_error : (n,) of ln MSD against ln t between t/√2 and t·√2, NaN where that is outside
    linear_from_ps : start of the diffusive regime, None where there is none
    """

    time_ps: np.ndarray
    msd_ang2: np.ndarray
    error_ang2: np.ndarray
    slope: np.ndarray
    slope_error: np.ndarray
    linear_from_ps: float | None


@dataclass(frozen=True)
class DiffusionCoefficient:
    """D_s in m²/s: posterior mean, standard deviation and 95 % credible interval, from `linear_from_ps` on."""

    mean: float
    standard_deviation: float
    low: float
    high: float
    linear_from_ps: float


@dataclass(frozen=True)
class Arrhenius:
    """ln D = ln D0 - E_a/RT: activation energy (kJ/mol) and ln(D0/(m²/s)), one standard error each."""

    activation_kj_per_mol: float
    activation_error_kj_per_mol: float
    log_prefactor: float
    log_prefactor_error: float


def mean_squared_displacement(replicas: Sequence[np.ndarray], *, dt_ps: float) -> tuple[Displacement, Any]:
    """MSD over molecules, time origins and replicas, and kinisi's data group for `diffusion_coefficient`.

    replicas : unwrapped centres (n_frames, n_molecules, 3) Å, of the same number of frames each, the drift of the
        framework already taken out
    dt_ps : time between frames

    Raises ValueError for fewer than 20 frames, no molecules or replicas of different lengths.
    """
    lengths = {len(r) for r in replicas}
    if len(lengths) != 1 or min(lengths) < 20 or any(r.ndim != 3 or not r.shape[1] for r in replicas):
        shapes = [r.shape for r in replicas]
        raise ValueError(f"trajectories of at least 20 frames, all of one length and with molecules, not {shapes}")
    import scipp as sc
    from kinisi.displacement import calculate_msd

    moved = np.concatenate([r[1:] - r[0] for r in replicas], axis=1)
    n_frames = len(moved)
    lags = np.unique(np.linspace(1, max(2, int(LONGEST_LAG * n_frames)), MOST_LAGS).astype(int))
    steps = sc.array(dims=["time interval"], values=lags)
    parser = SimpleNamespace(
        displacements=sc.array(dims=["obs", "particle", "dimension"], values=moved, unit="angstrom"),
        dt_index=steps,
        dt=steps.to(dtype="float64") * sc.scalar(dt_ps, unit="ps"),
        dimensionality=3 * sc.units.dimensionless,
    )
    group = calculate_msd(parser, progress=False)
    _independent_samples(group, moved.shape[1], n_frames, lags)
    time = np.array(group["da"].coords["time interval"].values)
    msd, error = np.array(group["da"].values), np.sqrt(np.array(group["da"].variances))
    slope, slope_error = _slopes(time, msd, error)
    start = _linear_from(time, msd, slope, slope_error)
    return Displacement(time, msd, error, slope, slope_error, start), group


def diffusion_coefficient(
    displacement: Displacement, group: Any, *, seed: int, from_ps: float | None = None
) -> DiffusionCoefficient | None:
    """D_s by kinisi's Bayesian regression from the diffusive regime on; None where there is none.

    from_ps : its start, in place of the one detected
    """
    start = displacement.linear_from_ps if from_ps is None else from_ps
    if start is None or np.count_nonzero(displacement.time_ps >= start) < 3:
        return None
    import scipp as sc
    from kinisi.diffusion import Diffusion

    fit = Diffusion(group)
    with _global_numpy_seed(seed):  # emcee, which kinisi runs, draws from NumPy's global stream
        fit.bayesian_regression(start_dt=sc.scalar(start * (1 - 1e-9), unit="ps"), progress=False, **_MCMC)
    samples = np.asarray(fit.gradient.values) / 6.0 * ANG2_PER_PS_IN_M2_PER_S
    low, high = np.quantile(samples, CREDIBLE)
    return DiffusionCoefficient(float(samples.mean()), float(samples.std(ddof=1)), float(low), float(high), start)


def arrhenius(
    temperatures_k: Sequence[float], diffusion_m2_s: Sequence[float], errors_m2_s: Sequence[float]
) -> Arrhenius | None:
    """Weighted least squares of ln D against 1/T, errors from those of D; None for fewer than two temperatures."""
    t, d, e = (np.asarray(x, dtype=np.float64) for x in (temperatures_k, diffusion_m2_s, errors_m2_s))
    if len(np.unique(t)) < 2:
        return None
    if not (np.all(d > 0) and np.all(e > 0) and np.all(t > 0)):
        raise ValueError("Arrhenius needs positive temperatures, D and errors")
    weights = (d / e) ** 2
    design = np.stack([-1.0 / (KB_EV_PER_K * EV_IN_KJ_PER_MOL * t), np.ones_like(t)], axis=1)
    covariance = np.linalg.inv(design.T @ (weights[:, None] * design))
    energy, log_prefactor = covariance @ design.T @ (weights * np.log(d))
    errors = np.sqrt(np.diag(covariance))
    return Arrhenius(float(energy), float(errors[0]), float(log_prefactor), float(errors[1]))


def yeh_hummer_m2_s(temperature_k: float, *, viscosity_pa_s: float, edge_ang: float) -> float:
    """What a periodic cubic cell takes from D of a bulk fluid, k T ξ/(6π η L), m²/s.

    Yeh and Hummer, J. Phys. Chem. B 108, 15873 (2004), ξ = 2.837297. For a fluid without walls: in a framework that
    takes up momentum the hydrodynamic interaction between images is screened, and D is reported without it.
    """
    boltzmann_j_per_k = 1.380649e-23
    return boltzmann_j_per_k * temperature_k * YEH_HUMMER_XI / (6 * math.pi * viscosity_pa_s * edge_ang * 1e-10)


def _independent_samples(group: Any, n_particles: int, n_frames: int, lags: np.ndarray) -> None:
    """kinisi counts independent displacements from the longest lag; here the trajectory is longer than that."""
    da = group["da"]
    number = n_particles * n_frames / lags[: da.sizes["time interval"]]
    ratio = np.array(da.coords["n_samples"].values) / number
    da.variances = np.array(da.variances) * ratio
    da.coords["n_samples"].values = number


def _slopes(time: np.ndarray, msd: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    log_t, log_msd = np.log(time), np.log(np.maximum(msd, 1e-300))
    half = 0.5 * math.log(2.0)
    up, down = (np.interp(log_t + s, log_t, log_msd, left=np.nan, right=np.nan) for s in (half, -half))
    relative = error / np.maximum(msd, 1e-300)
    wide = np.interp(log_t + half, log_t, relative, left=np.nan, right=np.nan)
    return (up - down) / (2 * half), wide / (2 * half)


def _linear_from(time: np.ndarray, msd: np.ndarray, slope: np.ndarray, slope_error: np.ndarray) -> float | None:
    """First time from which on every slope is 1 within its tolerance; the noise of one in ten is forgiven.

    Slopes less certain than `MOST_SLOPE_ERROR` say nothing: where none of the rest is better, or they cover less than a
    factor of two in time, there is no regime. Paths shorter than `LEAST_MSD_ANG2` are motion within a cage.
    """
    known = np.isfinite(slope) & (slope_error <= MOST_SLOPE_ERROR)
    good = np.abs(slope - 1.0) <= np.maximum(SLOPE_TOLERANCE, 2.0 * slope_error)
    for index in np.flatnonzero(known & good & (msd >= LEAST_MSD_ANG2)):
        rest = known & (np.arange(time.size) >= index)
        if rest.sum() >= 3 and time[rest].max() >= 2.0 * time[index] and np.mean(good[rest]) >= 0.9:
            return float(time[index])
    return None


@contextlib.contextmanager
def _global_numpy_seed(seed: int) -> Iterator[None]:
    state = np.random.get_state()
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        np.random.set_state(state)

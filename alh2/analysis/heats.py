"""Isosteric heat at constant loading from isotherms at several temperatures (Clausius–Clapeyron)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alh2.core.units import EV_IN_KJ_PER_MOL, KB_EV_PER_K

R_KJ_PER_MOL_K = KB_EV_PER_K * EV_IN_KJ_PER_MOL


@dataclass(frozen=True, eq=False)
class IsothermCurve:
    """One temperature: fugacities (n,) bar, molecules (n,) per cell with standard errors (n,)."""

    temperature_k: float
    fugacity_bar: np.ndarray
    n_molecules: np.ndarray
    n_error: np.ndarray


@dataclass(frozen=True)
class IsostericHeat:
    """q_st in kJ/mol at one loading, positive where adsorption is exothermic, with one standard error."""

    n_molecules: float
    heat_kj_per_mol: float
    error_kj_per_mol: float


def clausius_clapeyron(
    curves: Sequence[IsothermCurve],
    *,
    rng: np.random.Generator,
    loadings: Sequence[float] | None = None,
    n_loadings: int = 8,
    n_draws: int = 300,
) -> list[IsostericHeat]:
    """q_st(N) = -R (∂ ln f / ∂(1/T))_N, a line through ln f against 1/T of all `curves` at each loading.

    With fugacities the gas outside may be real; q_st is then that against the ideal gas at the same temperature (as the
    fluctuation formula gives it), averaged over the temperatures. ln f at a loading is interpolated in ln N (monotone
    cubic: exact in Henry's regime). The error is the scatter over `n_draws` repetitions with loadings drawn from their
    errors; NaN where an error is unknown.

    loadings : default: `n_loadings` of them, evenly over the range that all curves cover
    Returns nothing for fewer than two temperatures or curves that cover no common range; a loading outside is left out.
    """
    usable = [curve for curve in map(_positive, curves) if curve.n_molecules.size >= 2]
    if len({curve.temperature_k for curve in usable}) < 2:
        return []
    low = max(float(curve.n_molecules.min()) for curve in usable)
    high = min(float(curve.n_molecules.max()) for curve in usable)
    if not low < high:
        return []
    wanted = np.linspace(low, high, n_loadings) if loadings is None else np.asarray(loadings, dtype=np.float64)
    wanted = wanted[(wanted >= low * (1 - 1e-12)) & (wanted <= high * (1 + 1e-12))]
    heats = _heats(usable, wanted)
    errors = np.full(wanted.size, math.nan)
    if all(np.isfinite(curve.n_error).all() for curve in usable) and wanted.size:
        draws = np.array([_heats([_drawn(curve, rng) for curve in usable], wanted) for _ in range(n_draws)])
        errors = draws.std(axis=0, ddof=1)
    return [IsostericHeat(float(n), float(q), float(e)) for n, q, e in zip(wanted, heats, errors, strict=True)]


def _positive(curve: IsothermCurve) -> IsothermCurve:
    """Points with molecules, by fugacity."""
    order = np.argsort(curve.fugacity_bar)
    keep = order[curve.n_molecules[order] > 0.0]
    return IsothermCurve(curve.temperature_k, curve.fugacity_bar[keep], curve.n_molecules[keep], curve.n_error[keep])


def _drawn(curve: IsothermCurve, rng: np.random.Generator) -> IsothermCurve:
    """The curve as another measurement might have found it."""
    n = curve.n_molecules + curve.n_error * rng.standard_normal(curve.n_error.size)
    return IsothermCurve(
        curve.temperature_k, curve.fugacity_bar, np.maximum(n, 1e-3 * curve.n_molecules), curve.n_error
    )


def _heats(curves: Sequence[IsothermCurve], loadings: np.ndarray) -> np.ndarray:
    """(n_loadings,) kJ/mol."""
    inverse = np.array([1.0 / curve.temperature_k for curve in curves])
    logs = np.array([_log_fugacity(curve, np.log(loadings)) for curve in curves])
    centred = inverse - inverse.mean()
    slopes = centred @ (logs - logs.mean(axis=0)) / float(centred @ centred)
    result: np.ndarray = -R_KJ_PER_MOL_K * slopes
    return result


def _log_fugacity(curve: IsothermCurve, log_loadings: np.ndarray) -> np.ndarray:
    from scipy.interpolate import PchipInterpolator

    rising = np.maximum.accumulate(np.log(curve.n_molecules))
    rising = rising + 1e-9 * np.arange(rising.size)
    values: np.ndarray = PchipInterpolator(rising, np.log(curve.fugacity_bar), extrapolate=True)(log_loadings)
    return values

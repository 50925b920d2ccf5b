"""Statistics of one trajectory: temperature, energy drift with its error, outliers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MAD_TO_SIGMA = 1.4826
"""Standard deviation of a normal distribution per median absolute deviation."""

_BLOCKS = 10


@dataclass(frozen=True)
class MeanStd:
    """Mean and standard deviation over frames of `n` values."""

    mean: float
    std: float
    n: int


@dataclass(frozen=True)
class Drift:
    """Slope of the energy per atom with its standard error, meV/atom/ps."""

    mev_per_atom_ps: float
    error: float

    @property
    def significant(self) -> bool:
        """Whether the slope is more than three standard errors from zero."""
        return abs(self.mev_per_atom_ps) > 3.0 * self.error


def mean_std(values: np.ndarray) -> MeanStd | None:
    """Mean and standard deviation of the finite `values`, None where there are none."""
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        return None
    return MeanStd(float(finite.mean()), float(finite.std(ddof=1)) if len(finite) > 1 else 0.0, len(finite))


def energy_drift(times_ps: np.ndarray, energies_ev_per_atom: np.ndarray) -> Drift | None:
    """Least-squares slope through the means of ten blocks of time, (n_frames,) each; None below four frames.

    Blocks, because neighbouring frames are correlated: the scatter of block means about the line then carries the
    error (for fewer than 30 frames every frame is its own block).
    """
    n = len(times_ps)
    if n < 4 or times_ps[-1] <= times_ps[0]:
        return None
    n_blocks = _BLOCKS if n >= 3 * _BLOCKS else n
    t = np.array([part.mean() for part in np.array_split(times_ps, n_blocks)])
    e = np.array([part.mean() for part in np.array_split(1000.0 * energies_ev_per_atom, n_blocks)])
    centred = t - t.mean()
    slope = float(centred @ e / (centred @ centred))
    residual = e - e.mean() - slope * centred
    error = float(np.sqrt(residual @ residual / (n_blocks - 2) / (centred @ centred)))
    return Drift(slope, error)


def robust_z(values: np.ndarray) -> np.ndarray:
    """Distance from the median in robust standard deviations (1.4826 MAD), (n,); zeros where the MAD is zero."""
    values = np.asarray(values, dtype=float)
    deviation = values - np.median(values)
    scale = MAD_TO_SIGMA * float(np.median(np.abs(deviation)))
    return deviation / scale if scale > 0 else np.zeros_like(deviation)

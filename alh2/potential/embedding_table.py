"""Embedding networks g(s) as piecewise polynomials whose error is measured, not assumed.

Degree 7 through eight Chebyshev nodes per interval; intervals are halved until the largest difference from the
network at other points is at rounding level. Networks that never get there (those with kinks) are evaluated directly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alh2.potential.networks import Network

DEGREE = 7
TOLERANCE = 3e-14
"""Largest accepted error of g, relative to the largest |g| in the range (about ten roundings)."""
FIRST_INTERVALS, LAST_INTERVALS = 64, 8192


@dataclass(frozen=True, eq=False)
class EmbeddingTables:
    """Tables of several networks, one after the other.

    coefficients : (total intervals, DEGREE + 1, M), rising powers of u in [-1, 1]
    first : (n_networks,) first interval of each; intervals : (n_networks,) how many
    lowest, per_width : (n_networks,) start of the range and 1/width of an interval, in s
    error : largest measured error of g, relative to the largest |g|
    """

    coefficients: np.ndarray
    first: np.ndarray
    intervals: np.ndarray
    lowest: np.ndarray
    per_width: np.ndarray
    error: float


def _polynomials(network: Network, low: float, high: float, n: int) -> np.ndarray:
    """(n, DEGREE + 1, M) coefficients on n equal intervals of [low, high]."""
    nodes = np.cos(np.pi * (np.arange(DEGREE + 1) + 0.5) / (DEGREE + 1))
    inverse = np.linalg.inv(np.vander(nodes, increasing=True))
    width = (high - low) / n
    centres = low + width * (np.arange(n) + 0.5)
    values = network((centres[:, None] + 0.5 * width * nodes).reshape(-1, 1)).reshape(n, DEGREE + 1, -1)
    return np.ascontiguousarray(np.einsum("pk,nkm->npm", inverse, values))


def _error(network: Network, coefficients: np.ndarray, low: float, high: float) -> float:
    """Largest |table - network| at seven other points of every interval, relative to the largest |g|."""
    n = len(coefficients)
    width = (high - low) / n
    u = np.array([-0.999, -0.71, -0.37, 0.03, 0.29, 0.66, 0.997])
    centres = low + width * (np.arange(n) + 0.5)
    exact = network((centres[:, None] + 0.5 * width * u).reshape(-1, 1)).reshape(n, len(u), -1)
    value = np.repeat(coefficients[:, -1:], len(u), axis=1)
    for power in range(DEGREE - 1, -1, -1):
        value = value * u[None, :, None] + coefficients[:, power : power + 1]
    return float(np.abs(value - exact).max() / max(np.abs(exact).max(), 1e-300))


def build_tables(networks: tuple[Network, ...], ranges: np.ndarray) -> EmbeddingTables | None:
    """Tables of `networks` on `ranges` (n_networks, 2) of s; None where one cannot reach the tolerance."""
    parts, errors = [], []
    for network, (low, high) in zip(networks, ranges, strict=True):
        n = FIRST_INTERVALS
        while True:
            coefficients = _polynomials(network, low, high, n)
            error = _error(network, coefficients, low, high)
            if error <= TOLERANCE:
                break
            n *= 2
            if n > LAST_INTERVALS:
                return None
        parts.append(coefficients)
        errors.append(error)
    intervals = np.array([len(part) for part in parts], dtype=np.int64)
    return EmbeddingTables(
        coefficients=np.concatenate(parts),
        first=np.concatenate([[0], np.cumsum(intervals)[:-1]]).astype(np.int64),
        intervals=intervals,
        lowest=np.ascontiguousarray(ranges[:, 0]),
        per_width=intervals / (ranges[:, 1] - ranges[:, 0]),
        error=max(errors),
    )

"""The analytic reference potential as a Monte Carlo potential: what a twin experiment knows exactly.

On a frozen host the reference is a sum over pairs of atoms. Tabulated as splines with knots every 0.01 Å it runs
through the compiled pair energies; `test_twin.py` compares it with `reference_energy_forces`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.linalg import solve_banded

from alh2.label.reference_pes import ReferenceParameters, bond_pair, guest_guest_pair, guest_host_pair
from alh2.potential.nothing import NoPotential
from alh2.potential.pair_baseline import PairBaseline, Spline, n_pair_terms
from alh2.potential.pair_session import PairBaselinePotential

FIRST_ANG, SPACING_ANG = 0.8, 0.01


def exact_potential(params: ReferenceParameters) -> PairBaselinePotential:
    """Interaction energies of H2 with a frozen host and each other, the bond included."""
    return PairBaselinePotential(NoPotential(), exact_pairs(params), "the reference potential")


def exact_pairs(params: ReferenceParameters) -> PairBaseline:
    """Its terms as splines."""
    elements = ("Al", *sorted(entry.element for entry in params.host_lj))
    end = params.cutoff_ang
    zero = _spline(lambda r: (np.zeros(len(r)), np.zeros(len(r))), FIRST_ANG, end)
    pairs = [_spline(partial(guest_host_pair, element, params=params), FIRST_ANG, end) for element in elements]
    pairs.append(_spline(partial(guest_guest_pair, params=params), FIRST_ANG, end))
    pairs += [zero] * (n_pair_terms(len(elements)) - len(pairs))
    bond = _spline(partial(bond_pair, params=params), 0.4, 1.5)
    return PairBaseline(elements, end, tuple(pairs), bond, 1.0)


def _spline(pair: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]], first_ang: float, last_ang: float) -> Spline:
    """Interpolating cubic B-spline of `pair` with its slopes at both ends."""
    n = round((last_ang - first_ang) / SPACING_ANG)
    knots = np.linspace(first_ang, last_ang, n + 1)
    spacing = (last_ang - first_ang) / n
    values, slopes = pair(knots)
    bands = np.zeros((5, n + 3))  # row i: (c[i-1] + 4 c[i] + c[i+1]) / 6; the first and last one slopes
    bands[1, 2:], bands[2, 1:-1], bands[3, :-2] = 1 / 6, 4 / 6, 1 / 6
    bands[2, 0], bands[1, 1], bands[0, 2] = -0.5 / spacing, 0.0, 0.5 / spacing
    bands[2, -1], bands[3, -2], bands[4, -3] = 0.5 / spacing, 0.0, -0.5 / spacing
    right = np.concatenate([[slopes[0]], values, [slopes[-1]]])
    coefficients = solve_banded((2, 2), bands, right)
    return Spline(first_ang, spacing, tuple(coefficients.tolist()))

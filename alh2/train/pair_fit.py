"""Fit of the pair baseline to interaction labels: penalised linear least squares.

P-splines (Eilers and Marx, *Statist. Sci.* 1996, 11, 89): closely spaced knots, and a penalty on second differences of
neighbouring coefficients that decides where the data say nothing, by going on in a straight line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from alh2.config.model import CommitteeConfig
from alh2.core.errors import BadInputError
from alh2.core.frames import LabelledFrame
from alh2.potential.pair_baseline import GUEST, ORDER, PairBaseline, Spline, Terms, load_pair_baseline
from alh2.train.members import Member, reuses

FIRST_ANG, SPACING_ANG = 1.2, 0.3
"""First knot and spacing of the pair terms, Å. Contacts below 1.2 Å do not occur in frames that pass selection."""
BOND_FIRST_ANG, BOND_SPACING_ANG, BOND_KNOTS = 0.55, 0.05, 12

ENERGY_SCALE_EV, GAS_SCALE_EV, FORCE_SCALE_EV_ANG, RELATIVE = 0.02, 0.002, 0.1, 0.1
"""An energy counts with 1/(0.02 eV per molecule (isolated ones: 0.002 eV) + a tenth of its distance from the gas), a
force with 1/(0.1 eV/Å + a tenth of the force): accuracy is wanted where Monte Carlo goes, not on walls of some eV."""

SMOOTHNESS, BOND_SMOOTHNESS = 3.0, 5.0
"""Weights, in 1/eV, of the penalties on second differences (pairs go on in a straight line) and on third ones (the bond
goes on in a parabola)."""


def pair_baseline(
    committee: CommitteeConfig, frames: Sequence[LabelledFrame], *, iteration: int, previous_train_dir: Path | None
) -> PairBaseline | None:
    """The pair potential under `committee` in `iteration`; None where it has none.

    Models that start from the weights of the iteration before learned what its baseline left, so theirs is kept;
    models from scratch get one fitted to `frames`.
    """
    if reuses(committee, iteration, previous_train_dir):
        assert previous_train_dir is not None
        file = Member(previous_train_dir, committee.target, 0).pair_baseline
        return load_pair_baseline(file) if file.exists() else None
    if not committee.pair_baseline:
        return None
    return fit_pair_baseline(frames, cutoff_ang=float(committee.training_param["model"]["descriptor"]["rcut"]))


def empty_baseline(symbols: Sequence[str], cutoff_ang: float) -> PairBaseline:
    """A baseline with the knots that will be fitted and all coefficients zero; `symbols`: the host's elements."""
    n = max(1, math.ceil((cutoff_ang - FIRST_ANG) / SPACING_ANG))
    spline = Spline(FIRST_ANG, (cutoff_ang - FIRST_ANG) / n, (0.0,) * (n + ORDER - 1))
    elements = (*sorted(set(symbols)), GUEST)
    bond = Spline(BOND_FIRST_ANG, BOND_SPACING_ANG, (0.0,) * (BOND_KNOTS + ORDER - 2))
    return PairBaseline(elements, cutoff_ang, (spline,) * len(elements), bond)


def fit_pair_baseline(frames: Sequence[LabelledFrame], *, cutoff_ang: float) -> PairBaseline:
    """The baseline nearest to the interaction energies and forces of `frames` (those that have them).

    Raises BadInputError where no frame with guests has an interaction label.
    """
    usable = [f for f in frames if f.frame.n_h2 and f.has_target("interaction")]
    if not usable:
        raise BadInputError(
            "pair baseline", expected="frames with H2 and a label of their bare host", found=f"none of {len(frames)}"
        )
    shape = empty_baseline([s for f in usable for s in f.frame.symbols[: f.frame.n_host]], cutoff_ang)
    normal = _penalty(shape)
    right = np.zeros(len(normal))
    gas_ev = _gas_energy_ev(usable)
    for labelled in usable:
        terms = Terms.of(labelled.frame, shape)
        energy, n_h2 = labelled.energy_ev("interaction"), labelled.frame.n_h2
        forces = labelled.forces_ev_ang("interaction")
        width = (ENERGY_SCALE_EV if labelled.frame.n_host else GAS_SCALE_EV) * n_h2
        width += RELATIVE * abs(energy - n_h2 * gas_ev)
        row = terms.energy / width
        lengths = np.repeat(np.linalg.norm(forces, axis=1), 3)
        touched = np.flatnonzero(np.any(terms.forces != 0.0, axis=1))
        scale = 1.0 / (FORCE_SCALE_EV_ANG + RELATIVE * lengths[touched])
        rows = terms.forces[touched] * scale[:, None]
        normal = normal + np.outer(row, row) + rows.T @ rows
        right = right + row * (energy / width) + rows.T @ (forces.ravel()[touched] * scale)
    free = _free(shape)
    values = np.zeros(len(normal))
    values[free] = np.linalg.solve(normal[np.ix_(free, free)], right[free])
    return _filled(shape, values)


def _gas_energy_ev(frames: Sequence[LabelledFrame]) -> float:
    """Energy of one molecule far from everything: the lowest isolated one, else the median per molecule."""
    gas = [f.energy_ev() for f in frames if f.frame.n_host == 0 and f.frame.n_h2 == 1]
    return min(gas) if gas else float(np.median([f.energy_ev("interaction") / f.frame.n_h2 for f in frames]))


def _free(shape: PairBaseline) -> np.ndarray:
    """Coefficients that are not held at zero (the last three of every pair term)."""
    n = len(shape.pairs[0].coefficients_ev)
    pair, bond = np.arange(n) < n - ORDER + 1, np.ones(len(shape.bond.coefficients_ev), bool)
    return np.flatnonzero(np.concatenate([*(pair for _ in shape.pairs), bond]))


def _penalty(shape: PairBaseline) -> np.ndarray:
    blocks = [(len(s.coefficients_ev), SMOOTHNESS, 2) for s in shape.pairs]
    blocks.append((len(shape.bond.coefficients_ev), BOND_SMOOTHNESS, 3))
    size = sum(n for n, _, _ in blocks)
    matrix, first = np.zeros((size, size)), 0
    for n, weight, order in blocks:
        difference = np.diff(np.eye(n), order, axis=0)
        matrix[first : first + n, first : first + n] = weight**2 * difference.T @ difference
        first += n
    return matrix


def _filled(shape: PairBaseline, values: np.ndarray) -> PairBaseline:
    splines, first = [], 0
    for spline in (*shape.pairs, shape.bond):
        n = len(spline.coefficients_ev)
        splines.append(Spline(spline.first_ang, spline.spacing_ang, tuple(values[first : first + n].tolist())))
        first += n
    return PairBaseline(shape.elements, shape.cutoff_ang, tuple(splines[:-1]), splines[-1])

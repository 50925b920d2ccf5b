"""Fit of the pair baseline to interaction labels: penalised linear least squares, before and after the networks learn.

P-splines (Eilers and Marx, *Statist. Sci.* 1996, 11, 89): closely spaced knots, and a penalty on second differences of
neighbouring coefficients that decides where the data say nothing, by going on in a straight line. How much it weighs
is found by cross-validation over frames: few frames want smooth terms, many frames tell more.

Networks trained by a noisy gradient leave energies of their own training frames wrong, in part alike in all frames.
What they leave is fitted by the same terms once more (boosting; Friedman, *Ann. Statist.* 2001, 29, 1189), now with an
eye on the energies: a sum that the Monte Carlo exponentiates.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from alh2.config.model import CommitteeConfig
from alh2.core.atoms import to_atoms
from alh2.core.errors import BadInputError
from alh2.core.frames import Label, LabelledFrame
from alh2.core.random_streams import stream
from alh2.potential.pair_baseline import ORDER, PairBaseline, Spline, Terms, load_pair_baseline, n_pair_terms
from alh2.structure.site_kinds import element_of, site_kinds
from alh2.train.members import Member, reuses

FIRST_ANG, SPACING_ANG = 1.2, 0.15
"""First knot and spacing of the pair terms, Å. Contacts below 1.2 Å do not occur in frames that pass selection."""
BOND_FIRST_ANG, BOND_SPACING_ANG, BOND_KNOTS = 0.55, 0.05, 12


@dataclass(frozen=True)
class Widths:
    """What an error is compared with: an energy with `energy_ev` per molecule (isolated ones: `gas_ev`) and a tenth of
    its distance from the gas, a force with `force_ev_ang` and a tenth of the force. Accuracy is wanted where Monte
    Carlo goes, not on walls of some eV.
    """

    energy_ev: float
    gas_ev: float
    force_ev_ang: float


BEFORE, AFTER = Widths(0.02, 0.002, 0.1), Widths(0.01, 0.002, 0.3)
"""Widths of the fit to labels, and of the fit to what the networks leave."""
RELATIVE = 0.1

SMOOTHNESS, BOND_SMOOTHNESS = (30.0, 10.0, 3.0, 1.0, 0.3), 5.0
"""Weights, in 1/eV, of the penalties on second differences (pairs go on in a straight line; the one is taken that
predicts frames left out best) and on third ones (the bond goes on in a parabola)."""
SMALLNESS = 0.1
"""Weight of the penalty on the coefficients of pair terms, in that on their differences: parts that the data do not
tell apart share."""
N_FOLDS, NEIGHBOURS = 5, 4
"""Of the cross-validation, and how many frames that follow one another are left out together."""
LEAST_LEFT_EV_ANG, MOST_LEFT = 0.1, 5.0
"""A first frame is learned where all that is left of its forces is below 0.1 eV/Å or 5 times the force that 95 % of all
components are below, whichever is larger."""
RARE = 0.02
"""Kinds of host atoms with fewer than 0.02 a frame are no kinds of their own."""
COMMON, MOST_SCALE = 0.95, 1000.0
"""Quantile of the forces left that decides their scale, and the largest scale."""


def member_baseline(
    committee: CommitteeConfig, frames: Sequence[LabelledFrame], member: Member, *, iteration: int,
    previous_train_dir: Path | None, root_seed: int,
) -> PairBaseline | None:  # fmt: skip
    """The pair potential under `member` in `iteration`; None where it has none.

    Fitted anew in every iteration: to all `frames` under the first member, which runs the Monte Carlo, and to as many
    frames drawn with replacement under the others (bagging; Breiman, *Mach. Learn.* 1996, 24, 123), so that the spread
    of a committee covers what the data leave open in the fit. Networks that start from older weights keep the older
    scale, and none where the older ones had none. Models on total energies have the same terms, between atoms only, on
    the scale of energies, as LAMMPS adds them up; none where no frame has the label of its bare host.
    """
    if not committee.pair_baseline:
        return None
    scale = 1.0 if committee.target == "total" else None
    if reuses(committee, iteration, previous_train_dir):
        assert previous_train_dir is not None
        older = Member(previous_train_dir, committee.target, member.index).pair_baseline
        if not older.exists():
            return None
        scale = load_pair_baseline(older).scale
    usable = fitted_frames(frames)
    cutoff = float(committee.training_param["model"]["descriptor"]["rcut"])
    if committee.target == "total":
        return fit_pair_baseline(usable, cutoff_ang=cutoff, scale=scale, centres=False) if usable else None
    drawn = [usable[k] for k in drawn_frames(len(usable), member, iteration=iteration, root_seed=root_seed)]
    return fit_pair_baseline(drawn, cutoff_ang=cutoff, scale=scale)


def fitted_frames(frames: Sequence[LabelledFrame]) -> list[LabelledFrame]:
    """Those of `frames` that say something about a pair baseline."""
    return [f for f in frames if f.frame.n_h2 and f.has_target("interaction")]


def drawn_frames(n: int, member: Member, *, iteration: int, root_seed: int) -> np.ndarray:
    """Which of `n` frames the terms of `member` are fitted to, (n,): all for the first, drawn for the others."""
    if member.index == 0 or not n:
        return np.arange(n)
    return np.sort(stream(root_seed, "pair-baseline", iteration, member.index).integers(n, size=n))


def learnable(baseline: PairBaseline, labelled: LabelledFrame) -> bool:
    """Whether networks on `baseline` learn this frame.

    First frames crowd molecules together; some end on walls where the terms are off by much more than anywhere else.
    Networks that have to learn those few at all cost are wrong everywhere else, and the terms repel there in any case.
    Frames that exploration found are always learned, whatever is left.
    """
    judged = labelled.frame.n_h2 and labelled.has_target("interaction")
    if labelled.frame.provenance.iteration >= 0 or not judged:
        return True
    left = np.abs(baseline.rest(labelled).forces_ev_ang("interaction")).max() / baseline.scale
    return bool(left <= max(LEAST_LEFT_EV_ANG, MOST_LEFT / baseline.scale))


def empty_baseline(kinds: Sequence[str], cutoff_ang: float) -> PairBaseline:
    """A baseline with the knots that will be fitted and all coefficients zero."""
    n = max(1, math.ceil((cutoff_ang - FIRST_ANG) / SPACING_ANG))
    spline = Spline(FIRST_ANG, (cutoff_ang - FIRST_ANG) / n, (0.0,) * (n + ORDER - 1))
    bond = Spline(BOND_FIRST_ANG, BOND_SPACING_ANG, (0.0,) * (BOND_KNOTS + ORDER - 2))
    return PairBaseline(tuple(kinds), cutoff_ang, (spline,) * n_pair_terms(len(kinds)), bond, 1.0)


def fit_pair_baseline(
    frames: Sequence[LabelledFrame], *, cutoff_ang: float, scale: float | None = None, centres: bool = True
) -> PairBaseline:
    """The baseline nearest to the interaction energies and forces of `frames` (those that have them).

    scale : of what is left; None: such that 95 % of its force components are below 1 eV/Å, the size of the output of
        networks that have not learned yet, which would take long to learn that it is small
    centres : with terms at the centres of molecules; False: between atoms only

    Raises BadInputError where no frame with guests has an interaction label.
    """
    usable = fitted_frames(frames)
    if not usable:
        raise BadInputError(
            "pair baseline", expected="frames with H2 and a label of their bare host", found=f"none of {len(frames)}"
        )
    shape = empty_baseline(_kinds(usable), cutoff_ang)
    labels = [Label(f.energy_ev("interaction"), f.forces_ev_ang("interaction"), f.label.labeler) for f in usable]
    fitted = _filled(
        shape, least_squares(shape, usable, labels, BEFORE, gas_ev=_gas_energy_ev(usable), centres=centres)
    )
    return replace(fitted, scale=_scale(fitted, usable) if scale is None else scale)


def corrected_baseline(
    baseline: PairBaseline, frames: Sequence[LabelledFrame], predicted: Sequence[Label]
) -> PairBaseline:
    """`baseline` plus the terms nearest to what a model on top of it leaves of the interaction labels of `frames`.

    predicted : interaction energy (eV) and forces (n_atoms, 3) (eV/Å) of each frame by model and baseline together
    """
    left = [
        Label(
            f.energy_ev("interaction") - p.energy_ev, f.forces_ev_ang("interaction") - p.forces_ev_ang, f.label.labeler
        )
        for f, p in zip(frames, predicted, strict=True)
    ]
    more = least_squares(baseline, frames, left, AFTER, gas_ev=_gas_energy_ev(frames))
    return _filled(baseline, baseline.coefficients_ev + more)


def least_squares(
    shape: PairBaseline, frames: Sequence[LabelledFrame], wanted: Sequence[Label], widths: Widths, *, gas_ev: float,
    centres: bool = True,
) -> np.ndarray:  # fmt: skip
    """Coefficients (n,), eV, of the terms of `shape` nearest to the energies and forces `wanted` of the frames.

    gas_ev : energy of one molecule far from everything; centres : False: terms at the centres of molecules stay zero

    On one thread: the equations are badly conditioned, and a last digit that depends on how many processors a driver
    finds would make it train again, when it is resumed, what is trained already.
    """
    numbers = {digest: k for k, digest in enumerate(dict.fromkeys(f.frame.digest for f in frames))}
    free = _free(shape, centres=centres)
    parts = [Equations.empty(shape) for _ in range(N_FOLDS)]
    with threadpool_limits(limits=1, user_api="blas"):
        for labelled, target in zip(frames, wanted, strict=True):
            fold = numbers[labelled.frame.digest] // NEIGHBOURS % N_FOLDS
            parts[fold].add(shape, labelled, target, widths, gas_ev)
        everything = Equations(*(np.sum(arrays, axis=0) for arrays in zip(*(p.arrays for p in parts), strict=True)))
        if not all(part.normal.any() for part in parts):
            return everything.solution(shape, free, SMOOTHNESS[0])
        smoothness = min(SMOOTHNESS, key=partial(_left_out, shape, free, parts, everything))
        return everything.solution(shape, free, smoothness)


def _left_out(
    shape: PairBaseline, free: np.ndarray, parts: Sequence[Equations], everything: Equations, smoothness: float
) -> float:
    """What the fits to all parts but one leave of that one, summed."""
    return sum(part.misfit(everything.without(part).solution(shape, free, smoothness)) for part in parts)


@dataclass(eq=False)
class Equations:
    """Normal equations of a least-squares fit: normal (n, n), right (n,), and () the sum of squares to be fitted."""

    normal: np.ndarray
    right: np.ndarray
    square: np.ndarray

    @classmethod
    def empty(cls, shape: PairBaseline) -> Equations:
        """Of no frame."""
        n = len(shape.coefficients_ev)
        return cls(np.zeros((n, n)), np.zeros(n), np.zeros(()))

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All three."""
        return self.normal, self.right, self.square

    def add(self, shape: PairBaseline, labelled: LabelledFrame, target: Label, widths: Widths, gas_ev: float) -> None:
        """One more frame."""
        terms = Terms.of(labelled.frame, shape)
        energy, n_h2 = labelled.energy_ev("interaction"), labelled.frame.n_h2
        width = (widths.energy_ev if labelled.frame.n_host else widths.gas_ev) * n_h2
        width += RELATIVE * abs(energy - n_h2 * gas_ev)
        lengths = np.repeat(np.linalg.norm(labelled.forces_ev_ang("interaction"), axis=1), 3)
        touched = np.flatnonzero(np.any(terms.forces != 0.0, axis=1))
        weight = 1.0 / (widths.force_ev_ang + RELATIVE * lengths[touched])
        rows = np.vstack([terms.energy / width, terms.forces[touched] * weight[:, None]])
        values = np.concatenate([[target.energy_ev / width], target.forces_ev_ang.ravel()[touched] * weight])
        self.normal += rows.T @ rows
        self.right += rows.T @ values
        self.square += values @ values

    def without(self, part: Equations) -> Equations:
        """Of the frames that are not in `part`."""
        return Equations(*(mine - its for mine, its in zip(self.arrays, part.arrays, strict=True)))

    def solution(self, shape: PairBaseline, free: np.ndarray, smoothness: float) -> np.ndarray:
        """Coefficients that leave least, penalties included; those not in `free` (n_free,) are zero."""
        values = np.zeros(len(self.right))
        matrix = (self.normal + _penalty(shape, smoothness))[np.ix_(free, free)]
        values[free] = np.linalg.solve(matrix, self.right[free])
        return values

    def misfit(self, values: np.ndarray) -> float:
        """Sum of the squares that coefficients `values` leave."""
        return float(self.square - 2.0 * values @ self.right + values @ self.normal @ values)


def _kinds(frames: Sequence[LabelledFrame]) -> list[str]:
    """Kinds of host atoms, the commonest of each element first; without those of bonds that a hot host breaks."""
    counts = Counter(kind for f in frames if f.frame.n_host for kind in site_kinds(to_atoms(f.frame.bare_host())))
    of_element = Counter[str]()
    for kind, count in counts.items():
        of_element[element_of(kind)] += count
    n_frames = sum(f.frame.n_host > 0 for f in frames)
    first = {element_of(kind): kind for kind, _ in reversed(counts.most_common())}
    kept = [k for k, count in counts.items() if count > RARE * n_frames or first[element_of(k)] == k]
    return sorted(kept, key=lambda kind: (element_of(kind), -counts[kind], kind))


def _scale(fitted: PairBaseline, frames: Sequence[LabelledFrame]) -> float:
    left = np.concatenate([fitted.rest(f).forces_ev_ang("interaction").ravel() for f in frames])
    return network_scale(left)


def network_scale(left_ev_ang: np.ndarray) -> float:
    """Scale on which forces (n,) eV/Å that are left for networks to learn are as large as their first output."""
    return float(np.clip(1.0 / max(float(np.quantile(np.abs(left_ev_ang), COMMON)), 1e-12), 1.0, MOST_SCALE))


def _gas_energy_ev(frames: Sequence[LabelledFrame]) -> float:
    """Energy of one molecule far from everything: the lowest isolated one, else the median per molecule."""
    gas = [f.energy_ev() for f in frames if f.frame.n_host == 0 and f.frame.n_h2 == 1]
    return min(gas) if gas else float(np.median([f.energy_ev("interaction") / f.frame.n_h2 for f in frames]))


def _free(shape: PairBaseline, *, centres: bool) -> np.ndarray:
    """Coefficients that are not held at zero (the last three of every pair term, and all those of some terms)."""
    n = len(shape.pairs[0].coefficients_ev)
    inside = np.arange(n) < n - ORDER + 1
    held = () if centres else shape.centre_terms()
    pairs = [inside & (k not in held) for k in range(len(shape.pairs))]
    return np.flatnonzero(np.concatenate([*pairs, np.ones(len(shape.bond.coefficients_ev), bool)]))


def _penalty(shape: PairBaseline, smoothness: float) -> np.ndarray:
    blocks = [(len(s.coefficients_ev), smoothness, 2, SMALLNESS * smoothness) for s in shape.pairs]
    blocks.append((len(shape.bond.coefficients_ev), BOND_SMOOTHNESS, 3, 0.0))
    size = sum(block[0] for block in blocks)
    matrix, first = np.zeros((size, size)), 0
    for n, weight, order, small in blocks:
        difference = np.diff(np.eye(n), order, axis=0)
        matrix[first : first + n, first : first + n] = weight**2 * difference.T @ difference + small**2 * np.eye(n)
        first += n
    return matrix


def _filled(shape: PairBaseline, values: np.ndarray) -> PairBaseline:
    splines, first = [], 0
    for spline in (*shape.pairs, shape.bond):
        n = len(spline.coefficients_ev)
        splines.append(replace(spline, coefficients_ev=tuple(values[first : first + n].tolist())))
        first += n
    return replace(shape, pairs=tuple(splines[:-1]), bond=splines[-1])

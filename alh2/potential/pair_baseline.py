"""A pair potential of the guests that lies under an interaction model, subtracted from its labels and added back.

E = sum_molecules v(d_HH) + sum_(guest atom, host atom) u_X(r) + sum_(guest atoms of different molecules) w(r),

every term a uniform cubic B-spline (de Boor, *A Practical Guide to Splines*, 1978) that ends at the cutoff with
value, slope and curvature zero (v does not end) and goes on in a straight line below its first knot. The steep parts
of the interaction, short-range repulsion and the stiff bond, are nearly pairwise: a network that learns only the rest
is more accurate where Monte Carlo goes, and repels where it saw no data. Host–host terms cancel in an interaction
energy and are left out. Pairs are summed over all periodic images.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_json, from_fields, read_json_as
from alh2.core.frames import ATOMS_PER_H2, Frame, Label, LabelledFrame
from alh2.structure.topology import periodic_images

ORDER = 4
"""Coefficients that act on one interval of a cubic spline, and the number of them that are zero at the cutoff + 1."""
GUEST = "guest"
"""Name of the term between atoms of different molecules, beside the host's elements."""
FILE_NAME = "pair_baseline.json"
"""In the folder a model was trained in: the baseline that belongs to it."""


@dataclass(frozen=True)
class Spline:
    """Uniform cubic B-spline: coefficient k acts from knot k - 3 to knot k + 1 (knot 0 at `first_ang`)."""

    first_ang: float
    spacing_ang: float
    coefficients_ev: tuple[float, ...]

    @property
    def last_ang(self) -> float:
        """Where the last interval ends, Å."""
        return self.first_ang + (len(self.coefficients_ev) - ORDER + 1) * self.spacing_ang


def basis(
    r_ang: np.ndarray, first_ang: float, spacing_ang: float, n_coefficients: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First acting coefficient (n,), their four weights (n, 4) and the weights' derivatives (n, 4) in 1/Å.

    Outside the knots the spline goes on in a straight line.
    """
    n_intervals = n_coefficients - ORDER + 1
    t = (r_ang - first_ang) / spacing_ang
    inside = np.clip(t, 0.0, float(n_intervals))
    start = np.minimum(inside.astype(np.int64), n_intervals - 1)
    u = inside - start
    v = 1.0 - u
    weights = np.stack([v**3, 3 * u**3 - 6 * u**2 + 4, 3 * v**3 - 6 * v**2 + 4, u**3], axis=-1) / 6.0
    slopes = np.stack([-(v**2), 3 * u**2 - 4 * u, 4 * v - 3 * v**2, u**2], axis=-1) / 2.0
    weights = weights + slopes * (t - inside)[..., None]
    return start, weights, slopes / spacing_ang


@dataclass(frozen=True)
class PairBaseline:
    """The fitted terms.

    elements : names of the `pairs`: the host's elements, then GUEST; cutoff_ang : of all of them
    pairs : one spline each, zero beyond the cutoff; bond : v(d)
    """

    elements: tuple[str, ...]
    cutoff_ang: float
    pairs: tuple[Spline, ...]
    bond: Spline

    def label(self, frame: Frame) -> Label:
        """Energy (eV) and forces (n_atoms, 3) (eV/Å) of `frame`; raises BadInputError for an unknown element."""
        terms = Terms.of(frame, self)
        values = np.concatenate([s.coefficients_ev for s in (*self.pairs, self.bond)])
        return Label(float(terms.energy @ values), (terms.forces @ values).reshape(-1, 3), "pair baseline")

    def subtracted(self, labelled: LabelledFrame) -> LabelledFrame:
        """`labelled` with this energy and these forces taken off its label (the bare host has none)."""
        own, label = self.label(labelled.frame), labelled.label
        rest = Label(label.energy_ev - own.energy_ev, label.forces_ev_ang - own.forces_ev_ang, label.labeler)
        return replace(labelled, label=rest)

    def save(self, path: Path) -> None:
        """Write as JSON, in one step."""
        atomic_write_json(path, asdict(self))


def baseline_beside(model_file: Path) -> Path | None:
    """The baseline in the folder of `model_file` (links followed), None where there is none."""
    file = model_file.resolve().parent / FILE_NAME
    return file if file.is_file() else None


def load_pair_baseline(path: Path) -> PairBaseline:
    """What `PairBaseline.save` wrote; raises BadInputError for a file of another kind."""
    read = read_json_as(path, PairBaseline)
    named = [*zip(read.elements, read.pairs, strict=False), ("bond", read.bond)]
    *pairs, bond = (from_fields(content, Spline, where=f"{path}, {name}") for name, content in named)
    shapes = {(s.first_ang, s.spacing_ang, len(s.coefficients_ev)) for s in pairs}
    if len(pairs) != len(read.elements) or len(shapes) != 1 or read.elements[-1:] != (GUEST,):
        raise BadInputError(
            str(path),
            expected=f"one spline of the same knots for each element, '{GUEST}' last",
            found=f"{len(pairs)} splines for {' '.join(read.elements)}",
        )
    return PairBaseline(read.elements, read.cutoff_ang, tuple(pairs), bond)


@dataclass(frozen=True, eq=False)
class Terms:
    """What multiplies the coefficients (pairs in order, then the bond) in a frame.

    energy : (n_coefficients,); forces : (3 n_atoms, n_coefficients) in 1/Å
    """

    energy: np.ndarray
    forces: np.ndarray

    @classmethod
    def of(cls, frame: Frame, shape: PairBaseline) -> Terms:
        """The terms of `frame` for the knots of `shape`."""
        lengths = [len(s.coefficients_ev) for s in (*shape.pairs, shape.bond)]
        terms = cls(np.zeros(sum(lengths)), np.zeros((3 * frame.n_atoms, sum(lengths))))
        if not frame.n_h2:
            return terms
        i, j, kinds, vectors = _pairs(frame, shape)
        spline = shape.pairs[0]
        half = np.where(j >= frame.n_host, 0.5, 1.0)
        terms._add(i, j, vectors, spline, column=kinds * lengths[0], factor=half)
        first = frame.n_host + ATOMS_PER_H2 * np.arange(frame.n_h2)
        step = frame.positions_ang[first + 1] - frame.positions_ang[first]
        step = step - np.round(step @ np.linalg.inv(frame.cell_ang)) @ frame.cell_ang
        column = np.full(len(first), sum(lengths[:-1]))
        terms._add(first, first + 1, step, shape.bond, column=column, factor=np.ones(len(first)))
        return terms

    def _add(
        self, i: np.ndarray, j: np.ndarray, vectors: np.ndarray, spline: Spline, *, column: np.ndarray,
        factor: np.ndarray,
    ) -> None:  # fmt: skip
        r = np.linalg.norm(vectors, axis=1)
        start, weights, slopes = basis(r, spline.first_ang, spline.spacing_ang, len(spline.coefficients_ev))
        columns = (column + start)[:, None] + np.arange(ORDER)
        np.add.at(self.energy, columns, weights * factor[:, None])
        pull = (slopes * factor[:, None])[:, None, :] * (vectors / r[:, None])[:, :, None]
        for atoms, sign in ((i, 1.0), (j, -1.0)):
            rows = (3 * atoms)[:, None] + np.arange(3)
            np.add.at(self.forces, (rows[:, :, None], columns[:, None, :]), sign * pull)


def _pairs(frame: Frame, shape: PairBaseline) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(guest atom i, other atom j, kind of pair, vector from i to j) within the cutoff, the bond left out.

    Pairs of two guest atoms appear from both sides.
    """
    kind_of = {name: k for k, name in enumerate(shape.elements)}
    unknown = sorted(set(frame.symbols[: frame.n_host]) - set(kind_of))
    if unknown:
        raise BadInputError(
            "pair baseline", expected=f"a host of {' '.join(shape.elements[:-1])}", found=f"element {unknown[0]}"
        )
    points, owner = periodic_images(frame.positions_ang, frame.cell_ang, shape.cutoff_ang, pbc=np.ones(3, bool))
    guests = np.arange(frame.n_host, frame.n_atoms)
    near = cKDTree(points).query_ball_point(points[guests], shape.cutoff_ang)
    i = np.repeat(guests, [len(n) for n in near])
    image = np.concatenate([np.array(n, dtype=np.int64) for n in near])
    j, vectors = owner[image], points[image] - points[i]
    molecule = np.where(np.arange(frame.n_atoms) < frame.n_host, -1, (np.arange(frame.n_atoms) - frame.n_host) // 2)
    same = molecule[i] == molecule[j]
    nearest = np.zeros(len(i), dtype=bool)
    fractional = vectors[same] @ np.linalg.inv(frame.cell_ang)
    nearest[same] = (np.abs(np.round(fractional)) < 0.5).all(axis=1)
    keep = ~nearest
    kinds = np.array([kind_of[s] for s in frame.symbols[: frame.n_host]] + [kind_of[GUEST]] * len(guests))
    return i[keep], j[keep], kinds[j[keep]], vectors[keep]

"""A pair potential of the guests that lies under an interaction model, subtracted from its labels and added back.

A guest is its two H atoms and its centre c. With k the kind of a host atom (`alh2.structure.site_kinds`),

    E = sum_molecules v(d_HH) + sum_(H, host atom) u_k(r) + sum_(c, host atom) U_k(r)
        + sum_(pairs of molecules) [ sum_HH w(r) + sum_Hc x(r) + y(r_cc) ],

every term a uniform cubic B-spline (de Boor, *A Practical Guide to Splines*, 1978) that ends at the cutoff with
value, slope and curvature zero (v does not end) and goes on in a straight line below its first knot. The centre gives
the terms an angle, as the centre site of H2 models does. The steep parts of the interaction, short-range repulsion
and the stiff bond, are nearly pairwise: networks that learn only the rest are more accurate where Monte Carlo goes,
and repel where they saw no data. Host–host terms cancel in an interaction energy and are left out. Pairs are summed
over all periodic images.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from alh2.core.atoms import to_atoms
from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_json, from_fields, read_json_as
from alh2.core.frames import ATOMS_PER_H2, Frame, Label, LabelledFrame, Target
from alh2.structure.site_kinds import element_of, site_kinds
from alh2.structure.topology import periodic_images

ORDER = 4
"""Coefficients that act on one interval of a cubic spline; one fewer are zero at the cutoff."""
FILE_NAME = "pair_baseline.json"
"""In the folder a model was trained in: the baseline that belongs to it."""


@dataclass(frozen=True)
class Spline:
    """Uniform cubic B-spline: coefficient k acts from knot k - 3 to knot k + 1 (knot 0 at `first_ang`)."""

    first_ang: float
    spacing_ang: float
    coefficients_ev: tuple[float, ...]


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


def spline_values(spline: Spline, r_ang: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Energy (n,) eV and its slope (n,) eV/Å of one term at distances (n,) Å."""
    coefficients = np.array(spline.coefficients_ev)
    start, weights, slopes = basis(r_ang, spline.first_ang, spline.spacing_ang, len(coefficients))
    used = coefficients[start[:, None] + np.arange(ORDER)]
    return np.sum(weights * used, axis=1), np.sum(slopes * used, axis=1)


@dataclass(frozen=True)
class PairBaseline:
    """The fitted terms.

    kinds : of host atoms, the commonest of each element first; an unknown kind is taken for that one
    cutoff_ang : of all pair terms; bond : v(d)
    pairs : one spline each: H with every kind, H with H, c with every kind, c with H, c with c
    scale : the networks were trained on `scale` times what these terms leave
    """

    kinds: tuple[str, ...]
    cutoff_ang: float
    pairs: tuple[Spline, ...]
    bond: Spline
    scale: float

    def label(self, frame: Frame) -> Label:
        """Energy (eV) and forces (n_atoms, 3) (eV/Å) of `frame`; raises BadInputError for an unknown element."""
        terms, values = Terms.of(frame, self), self.coefficients_ev
        return Label(float(terms.energy @ values), (terms.forces @ values).reshape(-1, 3), "pair baseline")

    @property
    def coefficients_ev(self) -> np.ndarray:
        """(n_coefficients,) of all terms, pairs in order, then the bond."""
        return np.concatenate([s.coefficients_ev for s in (*self.pairs, self.bond)])

    def total_rest(self, labelled: LabelledFrame) -> LabelledFrame:
        """What these terms leave of the label of `labelled`; ValueError for a scale, which LAMMPS does not undo."""
        if self.scale != 1.0:
            raise ValueError(f"pair terms of scale {self.scale} under a model of total energies")
        energy, forces = self._left(labelled, "total")
        return replace(labelled, label=replace(labelled.label, energy_ev=energy, forces_ev_ang=forces))

    def rest(self, labelled: LabelledFrame) -> LabelledFrame:
        """`scale` times what these terms leave of the interaction label of `labelled`, with a host label of zero."""
        energy, forces = self._left(labelled, "interaction")
        nothing = Label(0.0, np.zeros((labelled.frame.n_host, 3)), labelled.label.labeler)
        label = Label(self.scale * energy, self.scale * forces, labelled.label.labeler)
        return replace(labelled, label=label, host_label=nothing)

    def _left(self, labelled: LabelledFrame, target: Target) -> tuple[float, np.ndarray]:
        """Energy (eV) and forces (n_atoms, 3) eV/Å of `labelled` without these terms."""
        own = self.label(labelled.frame)
        return labelled.energy_ev(target) - own.energy_ev, labelled.forces_ev_ang(target) - own.forces_ev_ang

    def numbers(self, host_kinds: list[str]) -> np.ndarray:
        """Index into `kinds` of each host atom, (n,); raises BadInputError for an unknown element."""
        index = {kind: i for i, kind in reversed(list(enumerate(self.kinds)))}
        first = {element_of(kind): i for i, kind in reversed(list(enumerate(self.kinds)))}
        for kind in host_kinds:
            if kind not in index and element_of(kind) not in first:
                raise BadInputError(
                    "pair baseline",
                    expected=f"a host of {' '.join(dict.fromkeys(map(element_of, self.kinds)))}",
                    found=f"element {element_of(kind)}",
                    action="use a model trained with it",
                )
        return np.array([index.get(k, first.get(element_of(k), 0)) for k in host_kinds], dtype=np.int64)

    def centre_terms(self) -> tuple[int, ...]:
        """Numbers of the pair terms that act on the centres of molecules."""
        n = len(self.kinds)
        return (*range(n + 1, 2 * n + 1), 2 * n + 1, 2 * n + 2)

    def table(self) -> np.ndarray:
        """(2, n_kinds + 2): number of the pair term of (H or centre, host kind or H or centre)."""
        n = len(self.kinds)
        atom = [*range(n), n, 2 * n + 1]
        centre = [*range(n + 1, 2 * n + 1), 2 * n + 1, 2 * n + 2]
        return np.array([atom, centre], dtype=np.int64)

    def save(self, path: Path) -> None:
        """Write as JSON, in one step."""
        atomic_write_json(path, asdict(self))


def n_pair_terms(n_kinds: int) -> int:
    """Pair terms of a baseline with so many kinds of host atoms."""
    return 2 * n_kinds + 3


def baseline_beside(model_file: Path) -> Path | None:
    """The baseline in the folder of `model_file` (links followed), None where there is none."""
    file = model_file.resolve().parent / FILE_NAME
    return file if file.is_file() else None


def load_pair_baseline(path: Path) -> PairBaseline:
    """What `PairBaseline.save` wrote; raises BadInputError for a file of another kind."""
    read = read_json_as(path, PairBaseline)
    named = [*((f"pair {k}", spline) for k, spline in enumerate(read.pairs)), ("bond", read.bond)]
    *pairs, bond = (from_fields(content, Spline, where=f"{path}, {name}") for name, content in named)
    shapes = {(s.first_ang, s.spacing_ang, len(s.coefficients_ev)) for s in pairs}
    wanted = n_pair_terms(len(read.kinds))
    if len(pairs) != wanted or len(shapes) != 1 or not read.scale > 0.0:
        raise BadInputError(
            str(path),
            expected=f"{wanted} splines of the same knots for {len(read.kinds)} kinds, and a positive scale",
            found=f"{len(pairs)} splines of {len(shapes)} kinds of knots, scale {read.scale}",
        )
    return PairBaseline(read.kinds, read.cutoff_ang, tuple(pairs), bond, read.scale)


def centres_ang(positions_ang: np.ndarray, cell_ang: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres (n, 3) and bond vectors (n, 3), Å, of molecules (n, 2, 3) that may be split by the cell's faces."""
    step = positions_ang[:, 1] - positions_ang[:, 0]
    step = step - np.round(step @ np.linalg.inv(cell_ang)) @ cell_ang
    return positions_ang[:, 0] + 0.5 * step, step


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
        n_pair, n_bond = len(shape.pairs[0].coefficients_ev), len(shape.bond.coefficients_ev)
        size = n_pair * len(shape.pairs) + n_bond
        terms = cls(np.zeros(size), np.zeros((3 * frame.n_atoms, size)))
        if not frame.n_h2:
            return terms
        first = frame.n_host + ATOMS_PER_H2 * np.arange(frame.n_h2)
        molecules = frame.positions_ang[frame.n_host :].reshape(-1, ATOMS_PER_H2, 3)
        centres, step = centres_ang(molecules, frame.cell_ang)
        points = np.concatenate([frame.positions_ang, centres])
        i, j, vectors = _near(points, frame, shape.cutoff_ang)
        kinds = _point_kinds(frame, shape)
        column = shape.table()[(i >= frame.n_atoms).astype(int), kinds[j]] * n_pair
        pull = terms._add_energy(vectors, shape.pairs[0], column, np.where(j >= frame.n_host, 0.5, 1.0))
        for point, sign in ((i, 1.0), (j, -1.0)):
            is_centre = point >= frame.n_atoms
            terms._add_force(point[~is_centre], sign, pull, ~is_centre)
            for atom in range(ATOMS_PER_H2):
                terms._add_force(first[point[is_centre] - frame.n_atoms] + atom, 0.5 * sign, pull, is_centre)
        pull = terms._add_energy(step, shape.bond, np.full(len(first), size - n_bond), np.ones(len(first)))
        everything = np.ones(len(first), dtype=bool)
        terms._add_force(first, 1.0, pull, everything)
        terms._add_force(first + 1, -1.0, pull, everything)
        return terms

    def _add_energy(
        self, vectors: np.ndarray, spline: Spline, column: np.ndarray, factor: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Columns (n, 4) touched and gradient (n, 3, 4) along the vectors, 1/Å."""
        r = np.linalg.norm(vectors, axis=1)
        start, weights, slopes = basis(r, spline.first_ang, spline.spacing_ang, len(spline.coefficients_ev))
        columns = (column + start)[:, None] + np.arange(ORDER)
        np.add.at(self.energy, columns, weights * factor[:, None])
        return columns, (slopes * factor[:, None])[:, None, :] * (vectors / r[:, None])[:, :, None]

    def _add_force(self, atoms: np.ndarray, sign: float, pull: tuple[np.ndarray, np.ndarray], mask: np.ndarray) -> None:
        columns, gradient = pull
        rows = (3 * atoms)[:, None] + np.arange(3)
        np.add.at(self.forces, (rows[:, :, None], columns[mask][:, None, :]), sign * gradient[mask])


def _point_kinds(frame: Frame, shape: PairBaseline) -> np.ndarray:
    """Host kinds, then n_kinds for guest atoms and n_kinds + 1 for centres."""
    n = len(shape.kinds)
    host = shape.numbers(site_kinds(to_atoms(frame.bare_host()))) if frame.n_host else np.zeros(0, dtype=np.int64)
    return np.concatenate([host, np.full(ATOMS_PER_H2 * frame.n_h2, n), np.full(frame.n_h2, n + 1)])


def _near(points: np.ndarray, frame: Frame, cutoff_ang: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(guest point i, other point j, vector from i to j) within the cutoff, points of one molecule image left out.

    Pairs of two guest points appear from both sides.
    """
    images, owner = periodic_images(points, frame.cell_ang, cutoff_ang, pbc=np.ones(3, bool))
    guests = np.arange(frame.n_host, len(points))
    near = cKDTree(images).query_ball_point(images[guests], cutoff_ang)
    i = np.repeat(guests, [len(n) for n in near])
    image = np.concatenate([np.array(n, dtype=np.int64) for n in near])
    j, vectors = owner[image], images[image] - images[i]
    numbers = np.arange(frame.n_h2)
    molecule = np.concatenate([np.full(frame.n_host, -1), np.repeat(numbers, ATOMS_PER_H2), numbers])
    same = molecule[i] == molecule[j]
    own = np.zeros(len(i), dtype=bool)
    own[same] = (np.abs(np.round(vectors[same] @ np.linalg.inv(frame.cell_ang))) < 0.5).all(axis=1)
    return i[~own], j[~own], vectors[~own]

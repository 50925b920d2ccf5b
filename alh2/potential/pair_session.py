"""Monte Carlo energies of a model that was trained on what a pair baseline leaves: both, one trial at a time."""

from __future__ import annotations

import math

import numba
import numpy as np
from ase import Atoms

from alh2.core.errors import BadInputError
from alh2.potential.full_energy import changed_guests, checked_guests
from alh2.potential.pair_baseline import PairBaseline, centres_ang
from alh2.potential.protocol import EnergySession, Potential
from alh2.potential.together import Seating, seating
from alh2.structure.site_kinds import site_kinds
from alh2.structure.topology import plane_spacings_ang

H2 = ("H", "H")


@numba.njit(cache=True)
def spline_at(r: float, first: float, spacing: float, coefficients: np.ndarray) -> tuple[float, float]:
    """Value and slope of a uniform cubic B-spline, straight beyond its knots."""
    n_intervals = len(coefficients) - 3
    t = (r - first) / spacing
    inside = min(max(t, 0.0), float(n_intervals))
    start = min(int(inside), n_intervals - 1)
    u = inside - start
    v = 1.0 - u
    d = t - inside
    c = coefficients[start : start + 4]
    value = (v * v * v * c[0] + (3 * u * u * u - 6 * u * u + 4) * c[1] + (3 * v * v * v - 6 * v * v + 4) * c[2]) / 6.0
    value += u * u * u * c[3] / 6.0
    slope = (-v * v * c[0] + (3 * u * u - 4 * u) * c[1] + (4 * v - 3 * v * v) * c[2] + u * u * c[3]) / 2.0
    return value + slope * d, slope / spacing


@numba.njit(cache=True)
def _laplacian(r: float, first: float, spacing: float, coefficients: np.ndarray) -> float:
    """f'' + 2 f'/r of a uniform cubic B-spline f, straight beyond its knots."""
    n_intervals = len(coefficients) - 3
    t = (r - first) / spacing
    inside = min(max(t, 0.0), float(n_intervals))
    start = min(int(inside), n_intervals - 1)
    u = inside - start
    v = 1.0 - u
    c = coefficients[start : start + 4]
    slope = (-v * v * c[0] + (3 * u * u - 4 * u) * c[1] + (4 * v - 3 * v * v) * c[2] + u * u * c[3]) / 2.0
    curvature = v * c[0] + (3 * u - 2) * c[1] + (3 * v - 2) * c[2] + u * c[3]
    if t != inside:
        curvature = 0.0
    return curvature / spacing**2 + 2.0 * slope / (spacing * r)


@numba.njit(cache=True)
def _point_sum(
    site: np.ndarray, others: np.ndarray, kinds: np.ndarray, cell: np.ndarray, inverse: np.ndarray, span: np.ndarray,
    knots: np.ndarray, terms: np.ndarray, skip_nearest: bool, laplacian: bool,
) -> float:  # fmt: skip
    """Sum of pair terms, or of their Laplacians, between one point and all images of `others` within the cutoff.

    knots : cutoff, first knot, spacing; terms : (n_kinds, n_coefficients) of this point with each kind
    """
    cutoff, first, spacing = knots[0], knots[1], knots[2]
    total = 0.0
    for j in range(len(others)):
        dx, dy, dz = others[j, 0] - site[0], others[j, 1] - site[1], others[j, 2] - site[2]
        fa = dx * inverse[0, 0] + dy * inverse[1, 0] + dz * inverse[2, 0]
        fb = dx * inverse[0, 1] + dy * inverse[1, 1] + dz * inverse[2, 1]
        fc = dx * inverse[0, 2] + dy * inverse[1, 2] + dz * inverse[2, 2]
        fa -= round(fa)
        fb -= round(fb)
        fc -= round(fc)
        for na in range(-span[0], span[0] + 1):
            for nb in range(-span[1], span[1] + 1):
                for nc in range(-span[2], span[2] + 1):
                    if skip_nearest and na == 0 and nb == 0 and nc == 0:
                        continue
                    x = (fa + na) * cell[0, 0] + (fb + nb) * cell[1, 0] + (fc + nc) * cell[2, 0]
                    y = (fa + na) * cell[0, 1] + (fb + nb) * cell[1, 1] + (fc + nc) * cell[2, 1]
                    z = (fa + na) * cell[0, 2] + (fb + nb) * cell[1, 2] + (fc + nc) * cell[2, 2]
                    r2 = x * x + y * y + z * z
                    if r2 < cutoff * cutoff:
                        if laplacian:
                            total += _laplacian(math.sqrt(r2), first, spacing, terms[kinds[j]])
                        else:
                            total += spline_at(math.sqrt(r2), first, spacing, terms[kinds[j]])[0]
    return total


class PairEnergy:
    """The baseline of one framework: energies of single molecules among others."""

    def __init__(self, baseline: PairBaseline, framework: Atoms) -> None:
        self._baseline = baseline
        self._cell = np.ascontiguousarray(framework.cell.array, dtype=np.float64)
        self._inverse = np.ascontiguousarray(np.linalg.inv(self._cell))
        ratio = baseline.cutoff_ang / plane_spacings_ang(self._cell)
        self._span = np.floor(ratio + 0.5).astype(np.int64)
        self._host = np.ascontiguousarray(framework.positions, dtype=np.float64).reshape(-1, 3)
        self._host_kinds = baseline.numbers(site_kinds(framework))
        n = len(baseline.kinds)
        self._own_kinds = np.array([n] * len(H2) + [n + 1], dtype=np.int64)
        self._table = baseline.table()
        shape = baseline.pairs[0]
        self._knots = np.array([baseline.cutoff_ang, shape.first_ang, shape.spacing_ang])
        self._pairs = np.array([s.coefficients_ev for s in baseline.pairs])
        self._bond_values = np.array(baseline.bond.coefficients_ev)

    def points(self, sites_ang: np.ndarray) -> np.ndarray:
        """Atoms and centre, (3, 3) Å, of a molecule with `sites_ang` (2, 3)."""
        centre, _ = centres_ang(sites_ang[None], self._cell)
        return np.concatenate([sites_ang, centre])

    def molecule_ev(self, sites_ang: np.ndarray, others: np.ndarray) -> float:
        """Energy (eV) that a molecule with `sites_ang` (2, 3) adds to the host and others, given as `points`."""
        points = self.points(sites_ang)
        flat = others.reshape(-1, 3)
        kinds = np.tile(self._own_kinds, len(others))
        total = self.bond_ev(sites_ang)
        for k, point in enumerate(points):
            terms = self._pairs[self._table[int(k >= len(H2))]]
            total += self._sum(point, self._host, self._host_kinds, terms)
            total += self._sum(point, flat, kinds, terms)
            if self._span.any():  # images of the molecule itself, seen once from each of its points
                total += 0.5 * self._sum(point, points, self._own_kinds, terms, skip_nearest=True)
        return total

    def bond_ev(self, sites_ang: np.ndarray) -> float:
        """Energy (eV) of a molecule's own bond."""
        _, step = centres_ang(sites_ang[None], self._cell)
        bond = self._baseline.bond
        value, _ = spline_at(float(np.linalg.norm(step)), bond.first_ang, bond.spacing_ang, self._bond_values)
        return float(value)

    def laplacian_ev_ang2(self, sites_ang: np.ndarray, others_ang: np.ndarray) -> float:
        """Laplacian of the energy of a molecule with others, see `alh2.potential.feynman_hibbs.GuestPairs`."""
        flat = np.concatenate([self.points(other) for other in others_ang])
        kinds = np.tile(self._own_kinds, len(others_ang))
        terms = (self._pairs[self._table[int(k >= len(H2))]] for k in range(len(H2) + 1))
        each = (
            self._sum(point, flat, kinds, own, laplacian=True)
            for point, own in zip(self.points(sites_ang), terms, strict=True)
        )
        return sum(each)

    def _sum(
        self,
        point: np.ndarray,
        others: np.ndarray,
        kinds: np.ndarray,
        terms: np.ndarray,
        *,
        skip_nearest: bool = False,
        laplacian: bool = False,
    ) -> float:
        place = (self._cell, self._inverse, self._span, self._knots)
        return float(_point_sum(point, others, kinds, *place, terms, skip_nearest, laplacian))

    def all_ev(self, guests_ang: np.ndarray) -> float:
        """Energy (eV) of all molecules (n, 2, 3), counted afresh."""
        points = np.array([self.points(guest) for guest in guests_ang]).reshape(-1, len(H2) + 1, 3)
        return sum((self.molecule_ev(guests_ang[k], points[:k]) for k in range(len(guests_ang))), 0.0)


class PairSession:
    """`EnergySession` of a model's session, scaled back, plus the pair baseline."""

    def __init__(self, inner: EnergySession, pairs: PairEnergy, guests_ang: np.ndarray, scale: float) -> None:
        self._inner, self._pairs, self._scale = inner, pairs, scale
        self._guests = checked_guests(guests_ang, len(H2))
        self._refresh()

    def _refresh(self) -> None:
        self._energy = self._pairs.all_ev(self._guests)
        self._points = np.array([self._pairs.points(g) for g in self._guests]).reshape(-1, len(H2) + 1, 3)
        self._change: tuple[int | None, np.ndarray | None, float] | None = None

    @property
    def energy_ev(self) -> float:
        """Energy of the current configuration, eV."""
        return self._inner.energy_ev / self._scale + self._energy

    @property
    def guests_ang(self) -> np.ndarray:
        """Current guests (n_molecules, 2, 3), Å (a copy)."""
        return self._guests.copy()

    def trial(self, remove: int | None, insert_ang: np.ndarray | None) -> float:
        """Energy change (eV) of a trial, see `EnergySession.trial`."""
        self._change = None
        change = self._inner.trial(remove, insert_ang)
        if not math.isfinite(change):
            return change
        others = self._points if remove is None else np.delete(self._points, remove, axis=0)
        own = 0.0
        if remove is not None:
            own -= self._pairs.molecule_ev(self._guests[remove], others)
        if insert_ang is not None:
            insert_ang = np.array(insert_ang, dtype=np.float64)
            own += self._pairs.molecule_ev(insert_ang, others)
        self._change = (remove, insert_ang, own)
        return change / self._scale + own

    def accept(self) -> None:
        """Make the last trial current; raises RuntimeError where there is none or its energy is not finite."""
        if self._change is None:
            raise RuntimeError("no trial with a finite energy to accept")
        self._inner.accept()
        remove, insert, own = self._change
        self._guests = changed_guests(self._guests, remove, insert)
        self._points = changed_guests(self._points, remove, None if insert is None else self._pairs.points(insert))
        self._energy += own
        self._change = None

    def recompute_ev(self) -> float:
        """Fresh energy (eV) of model and pairs."""
        self._refresh()
        return self._inner.recompute_ev() / self._scale + self._energy


class PairBaselinePotential:
    """`Potential` of H2: a model trained on what `baseline` leaves, plus `baseline`."""

    def __init__(self, model: Potential, baseline: PairBaseline, described: str) -> None:
        self._model, self._baseline, self._described = model, baseline, described

    def describe(self) -> str:
        """One line for logs and reports."""
        return self._described

    def together(self, n: int) -> Seating | None:
        """Potentials for `n` threads whose trials are evaluated together, where the model can do that."""
        seats = seating(self._model, n)
        return seats and seats.wrapped(lambda model: PairBaselinePotential(model, self._baseline, self._described))

    def start(self, framework: Atoms, molecule_symbols: tuple[str, ...], guests_ang: np.ndarray) -> PairSession:
        """Session on `framework`; raises BadInputError for another guest than H2 or an element it does not know."""
        _only_h2(molecule_symbols)
        pairs = PairEnergy(self._baseline, framework)
        inner = self._model.start(framework, molecule_symbols, guests_ang)
        return PairSession(inner, pairs, guests_ang, self._baseline.scale)

    def guest_pairs(self, framework: Atoms) -> PairEnergy:
        """Pairs of molecules as the baseline has them, for `alh2.potential.feynman_hibbs`."""
        return PairEnergy(self._baseline, framework)

    def molecule_energy_ev(self, molecule_symbols: tuple[str, ...], sites_ang: np.ndarray) -> float:
        """Energy (eV) of one molecule alone."""
        _only_h2(molecule_symbols)
        alone = PairEnergy(self._baseline, Atoms(cell=np.eye(3) * 100.0, pbc=True))
        energy = self._model.molecule_energy_ev(molecule_symbols, sites_ang) / self._baseline.scale
        return energy + alone.bond_ev(np.asarray(sites_ang, dtype=np.float64))


def _only_h2(symbols: tuple[str, ...]) -> None:
    if tuple(symbols) != H2:
        raise BadInputError("pair baseline", expected="H2 as the guest", found=" ".join(symbols))

"""The moves. Each proposes one change or None, which is a rejected move that counts.

Acceptance for rigid molecules (Frenkel and Smit, Understanding Molecular Simulation, 3rd ed., ch. 6), fugacity f:
insertion min(1, βfV/(N+1)·exp(-βΔU)), deletion min(1, N/(βfV)·exp(-βΔU)), ΔU without the molecule's own gas
energy; times the ratio of the two moves' weights where these differ. A new molecule drawn from a density q instead of
the uniform 1/V divides the first by Vq and multiplies the second by it, q taken where the molecule is (Snurr, Bell and
Theodorou, J. Phys. Chem. 97, 13742, 1993). A move is never picked again because it is impossible: that would change
how often the other moves are tried at N = 0 and break detailed balance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from alh2.gcmc.bias import InsertionBias
from alh2.gcmc.geometry import Contacts, PeriodicCell, Rotation, random_rotation, small_rotation
from alh2.gcmc.settings import MoveWeights
from alh2.gcmc.walker import Walker


@dataclass(frozen=True, eq=False)
class Ensemble:
    """What all walkers of a simulation share.

    body : sites of the molecule about its centre, Å; gas_energy_ev : energy of the isolated molecule
    log_zv : ln(βfV) plus ln(deletion weight / insertion weight)
    bias : where new molecules are drawn; None: uniformly
    """

    cell: PeriodicCell
    body: tuple[tuple[float, float, float], ...]
    beta_per_ev: float
    log_zv: float
    gas_energy_ev: float
    max_molecules: int | None
    contacts: Contacts | None
    bias: InsertionBias | None = None


class Proposal(NamedTuple):
    """A change and its acceptance, min(1, exp(log_weight - β(ΔU + energy_shift_ev)))."""

    remove: int | None
    insert_ang: np.ndarray | None
    log_weight: float
    energy_shift_ev: float


class Move(Protocol):
    """One kind of move."""

    def propose(self, walker: Walker, ensemble: Ensemble) -> Proposal | None:
        """A change of `walker`, or None where this move can do nothing now (rejected, and it counts)."""


class Insertion:
    """A molecule at a uniform position with a uniform orientation, or drawn from the bias."""

    def propose(self, walker: Walker, ensemble: Ensemble) -> Proposal | None:
        """See :class:`Move`; None at the largest number of molecules allowed."""
        n = len(walker.guests)
        if ensemble.max_molecules is not None and n >= ensemble.max_molecules:
            return None
        sites, log_ratio = new_molecule(walker, ensemble)
        return Proposal(None, sites, ensemble.log_zv - math.log(n + 1) - log_ratio, -ensemble.gas_energy_ev)


class Deletion:
    """A molecule picked uniformly is removed."""

    def propose(self, walker: Walker, ensemble: Ensemble) -> Proposal | None:
        """See :class:`Move`; None where there is no molecule."""
        n = len(walker.guests)
        if n == 0:
            return None
        index = int(walker.uniform() * n)
        log_ratio = ensemble.bias.log_ratio(walker.guests[index]) if ensemble.bias is not None else 0.0
        return Proposal(index, None, math.log(n) - ensemble.log_zv + log_ratio, ensemble.gas_energy_ev)


class Translation:
    """A molecule picked uniformly moves by up to `walker.translation_ang` along each axis."""

    def propose(self, walker: Walker, ensemble: Ensemble) -> Proposal | None:
        """See :class:`Move`; None where there is no molecule."""
        n = len(walker.guests)
        if n == 0:
            return None
        u = walker.uniform
        index = int(u() * n)
        width = 2.0 * walker.translation_ang
        dx, dy, dz = width * (u() - 0.5), width * (u() - 0.5), width * (u() - 0.5)
        rows = [[x + dx, y + dy, z + dz] for x, y, z in walker.guests[index].tolist()]
        cx, cy, cz = _centre(rows)
        shift = ensemble.cell.into_cell(cx, cy, cz)
        if shift is not None:
            sx, sy, sz = shift
            rows = [[x + sx, y + sy, z + sz] for x, y, z in rows]
        return Proposal(index, np.array(rows), 0.0, 0.0)


class RotationMove:
    """A molecule picked uniformly turns about its centre; nothing to do for a single site."""

    def propose(self, walker: Walker, ensemble: Ensemble) -> Proposal | None:
        """See :class:`Move`; None where there is no molecule or it has one site."""
        n = len(walker.guests)
        if n == 0 or len(ensemble.body) == 1:
            return None
        u = walker.uniform
        index = int(u() * n)
        rows = walker.guests[index].tolist()
        cx, cy, cz = _centre(rows)
        turn = small_rotation(u(), u(), u(), walker.rotation_rad)
        return Proposal(index, _turned([(x - cx, y - cy, z - cz) for x, y, z in rows], turn, cx, cy, cz), 0.0, 0.0)


class Reinsertion:
    """A molecule picked uniformly vanishes and appears anew, as an insertion would place it."""

    def propose(self, walker: Walker, ensemble: Ensemble) -> Proposal | None:
        """See :class:`Move`; None where there is no molecule."""
        n = len(walker.guests)
        if n == 0:
            return None
        index = int(walker.uniform() * n)
        sites, log_ratio = new_molecule(walker, ensemble)
        if ensemble.bias is not None:
            log_ratio -= ensemble.bias.log_ratio(walker.guests[index])
        return Proposal(index, sites, -log_ratio, 0.0)


def new_molecule(walker: Walker, ensemble: Ensemble) -> tuple[np.ndarray, float]:
    """Sites (n_sites, 3) of a molecule as insertions draw it, and ln(Vq) of that place and orientation."""
    if ensemble.bias is None:
        return random_sites(walker, ensemble), 0.0
    return ensemble.bias.draw(walker.uniform)


def random_sites(walker: Walker, ensemble: Ensemble) -> np.ndarray:
    """Sites (n_sites, 3) of a molecule anywhere in the cell, turned any way."""
    return uniform_sites(walker.uniform, ensemble.cell, ensemble.body)


def uniform_sites(
    u: Callable[[], float], cell: PeriodicCell, body: tuple[tuple[float, float, float], ...]
) -> np.ndarray:
    """Sites (n_sites, 3) of `body` anywhere in `cell`, turned any way; `u` gives uniform numbers in [0, 1)."""
    cx, cy, cz = cell.point(u(), u(), u())
    if len(body) == 1:
        return np.array([[cx, cy, cz]])
    return _turned(body, random_rotation(u(), u(), u()), cx, cy, cz)


def weighted_moves(weights: MoveWeights) -> list[tuple[float, int, Move]]:
    """(upper edge in [0, 1], index into MOVE_NAMES, move) of each move with a weight; the last edge is infinite."""
    kinds: list[tuple[float, Move]] = [
        (weights.insertion, Insertion()),
        (weights.deletion, Deletion()),
        (weights.translation, Translation()),
        (weights.rotation, RotationMove()),
        (weights.reinsertion, Reinsertion()),
    ]
    total = sum(weight for weight, _ in kinds)
    edge = 0.0
    table: list[tuple[float, int, Move]] = []
    for index, (weight, move) in enumerate(kinds):
        edge += weight / total
        if weight > 0.0:
            table.append((edge, index, move))
    table[-1] = (math.inf, *table[-1][1:])
    return table


def _centre(rows: list[list[float]]) -> tuple[float, float, float]:
    n = len(rows)
    return sum(r[0] for r in rows) / n, sum(r[1] for r in rows) / n, sum(r[2] for r in rows) / n


def _turned(
    body: tuple[tuple[float, float, float], ...] | list[tuple[float, float, float]],
    rotation: Rotation,
    cx: float,
    cy: float,
    cz: float,
) -> np.ndarray:
    a, b, c, d, e, f, g, h, i = rotation
    return np.array(
        [(cx + a * x + b * y + c * z, cy + d * x + e * y + f * z, cz + g * x + h * y + i * z) for x, y, z in body]
    )

"""Compiled loops of the incremental `se_e2_a` energy: neighbour pairs, environment rows, sums, descriptors.

A *row* is one neighbour term of one central atom: `slot` (which sum it belongs to), `net`, `pair` (centre type times
n_types plus neighbour type), `sign` (+1 appears, -1 disappears), and R = (s, x, y, z) normalised.
Lengths in Å.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np


class Geometry(NamedTuple):
    """Cell and cutoff.

    cell, inverse : (3, 3), rows are cell vectors, and its inverse; reach : (3,) cutoff over the cell's heights
    rcut, rcut_smth, protection : of the environment matrix
    """

    cell: np.ndarray
    inverse: np.ndarray
    reach: np.ndarray
    rcut: float
    rcut_smth: float
    protection: float


class Tables(NamedTuple):
    """Per pair of types: mean, scale (n_types, n_types, 4) of R and the embedding's number (n_types, n_types)."""

    mean: np.ndarray
    scale: np.ndarray
    net: np.ndarray


class Setting(NamedTuple):
    """What stays the same during a session."""

    geometry: Geometry
    tables: Tables


class Rows(NamedTuple):
    """Buffers of rows: slot, net, pair (capacity,) int64; sign (capacity,); r (capacity, 4)."""

    slot: np.ndarray
    net: np.ndarray
    pair: np.ndarray
    sign: np.ndarray
    r: np.ndarray


class Atoms(NamedTuple):
    """Positions (capacity, 3) and types (capacity,) int64."""

    positions: np.ndarray
    types: np.ndarray


class Change(NamedTuple):
    """One trial.

    sites : (n_insert + removed atoms, 3): the molecule appearing, then the positions of the one disappearing
    types : (n_sites,) int64 of either; n_insert : sites that appear (0 for none)
    first, last : atoms [first, last) disappear (empty range for none)
    """

    sites: np.ndarray
    types: np.ndarray
    n_insert: int
    first: int
    last: int


class Work(NamedTuple):
    """Buffers: rows; affected (capacity,) int64 atoms; scratch (images, 3) displacements."""

    rows: Rows
    affected: np.ndarray
    scratch: np.ndarray


@numba.njit(cache=True)
def images(d: np.ndarray, geometry: Geometry, itself: bool, out: np.ndarray) -> int:
    """Write to `out` every periodic image of displacement `d` within the cutoff; returns how many.

    Each fractional component of an image within rcut is at most rcut over the cell's height, so the loops below miss
    none in any triclinic cell. `itself` leaves out the zero displacement of an atom to itself.
    """
    cell, inverse = geometry.cell, geometry.inverse
    low, high, f = np.empty(3, np.int64), np.empty(3, np.int64), np.empty(3)
    for k in range(3):
        x = d[0] * inverse[0, k] + d[1] * inverse[1, k] + d[2] * inverse[2, k]
        x -= np.rint(x)
        bound = geometry.reach[k] + 1e-9
        low[k] = int(np.ceil(-bound - x))
        high[k] = int(np.floor(bound - x))
        if low[k] > high[k]:
            return 0
        f[k] = x
    n = 0
    limit = geometry.rcut * geometry.rcut
    for i in range(low[0], high[0] + 1):
        for j in range(low[1], high[1] + 1):
            for m in range(low[2], high[2] + 1):
                if itself and i == 0 and j == 0 and m == 0:
                    continue
                a, b, c = f[0] + i, f[1] + j, f[2] + m
                x = a * cell[0, 0] + b * cell[1, 0] + c * cell[2, 0]
                y = a * cell[0, 1] + b * cell[1, 1] + c * cell[2, 1]
                z = a * cell[0, 2] + b * cell[1, 2] + c * cell[2, 2]
                if x * x + y * y + z * z < limit:
                    out[n, 0], out[n, 1], out[n, 2] = x, y, z
                    n += 1
    return n


@numba.njit(cache=True)
def write_row(at: int, key: tuple[int, int, int], sign: float, d: np.ndarray, setting: Setting, rows: Rows) -> None:
    """Row `at` for `key` = (slot, centre type, neighbour type), the neighbour at `d` (3,) from the centre."""
    g, t = setting
    slot, centre, neighbour = key
    r = np.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
    u = (r - g.rcut_smth) / (g.rcut - g.rcut_smth)
    if u <= 0.0:
        w = 1.0
    elif u >= 1.0:
        w = 0.0
    else:
        w = u * u * u * (-6.0 * u * u + 15.0 * u - 10.0) + 1.0
    q = 1.0 / (r + g.protection)
    rows.slot[at] = slot
    rows.net[at] = t.net[centre, neighbour]
    rows.pair[at] = centre * t.net.shape[0] + neighbour
    rows.sign[at] = sign
    rows.r[at, 0] = (w * q - t.mean[centre, neighbour, 0]) / t.scale[centre, neighbour, 0]
    for k in range(3):
        value = w * d[k] * q * q
        rows.r[at, k + 1] = (value - t.mean[centre, neighbour, k + 1]) / t.scale[centre, neighbour, k + 1]


@numba.njit(cache=True)
def squared(v: np.ndarray) -> float:
    """|v|^2 of (3,)."""
    return v[0] * v[0] + v[1] * v[1] + v[2] * v[2]


@numba.njit(cache=True)
def own_rows(n_rows: int, change: Change, setting: Setting, work: Work) -> tuple[int, float]:
    """Rows among the appearing sites and their images, slot -1 - m for site m: (rows or -1, smallest distance^2)."""
    closest = 1e300
    d = np.empty(3)
    for m in range(change.n_insert):
        for other in range(change.n_insert):
            for k in range(3):
                d[k] = change.sites[other, k] - change.sites[m, k]
            found = images(d, setting.geometry, m == other, work.scratch)
            if n_rows + found > len(work.rows.slot):
                return -1, 0.0
            for i in range(found):
                v = work.scratch[i]
                write_row(n_rows, (-1 - m, change.types[m], change.types[other]), 1.0, v, setting, work.rows)
                n_rows += 1
                closest = min(closest, squared(v))
    return n_rows, closest


@numba.njit(cache=True)
def trial_rows(change: Change, atoms: Atoms, n_atoms: int, setting: Setting, work: Work) -> tuple[int, int, float]:
    """Rows of one trial: returns (rows, affected kept atoms, smallest squared distance of an appearing pair).

    Kept atom `affected[k]` owns slot k; appearing site m owns slot n_affected + m. Returns -1 rows where the buffers
    are too small.
    """
    rows, scratch = work.rows, work.scratch
    n_rows, n_affected, closest = 0, 0, 1e300
    d = np.empty(3)
    for j in range(n_atoms):
        if change.first <= j < change.last:
            continue
        own, mine = -1, atoms.types[j]
        for m in range(len(change.sites)):
            for k in range(3):
                d[k] = change.sites[m, k] - atoms.positions[j, k]
            found = images(d, setting.geometry, False, scratch)
            if found == 0:
                continue
            if n_rows + 2 * found > len(rows.slot):
                return -1, 0, 0.0
            if own < 0:
                own = n_affected
                work.affected[own] = j
                n_affected += 1
            appears = m < change.n_insert
            other = change.types[m if appears else m - change.n_insert]
            for i in range(found):
                v = scratch[i]
                write_row(n_rows, (own, mine, other), 1.0 if appears else -1.0, v, setting, rows)
                n_rows += 1
                if appears:
                    closest = min(closest, squared(v))
                    v[0], v[1], v[2] = -v[0], -v[1], -v[2]
                    write_row(n_rows, (-1 - m, other, mine), 1.0, v, setting, rows)
                    n_rows += 1
    n_rows, within = own_rows(n_rows, change, setting, work)
    for row in range(n_rows):
        if rows.slot[row] < 0:
            rows.slot[row] = n_affected - 1 - rows.slot[row]
    return n_rows, n_affected, min(closest, within)


@numba.njit(cache=True)
def centre_rows(first: int, last: int, atoms: Atoms, n_atoms: int, setting: Setting, work: Work) -> tuple[int, float]:
    """All rows of central atoms [first, last), slot counted from `first`: (rows or -1, smallest squared distance)."""
    n_rows, closest = 0, 1e300
    d = np.empty(3)
    for i in range(first, last):
        for j in range(n_atoms):
            for k in range(3):
                d[k] = atoms.positions[j, k] - atoms.positions[i, k]
            found = images(d, setting.geometry, i == j, work.scratch)
            if n_rows + found > len(work.rows.slot):
                return -1, 0.0
            for m in range(found):
                v = work.scratch[m]
                write_row(n_rows, (i - first, atoms.types[i], atoms.types[j]), 1.0, v, setting, work.rows)
                closest = min(closest, squared(v))
                n_rows += 1
    return n_rows, closest


@numba.njit(cache=True)
def table_values(
    n_rows: int,
    rows: Rows,
    coefficients: np.ndarray,
    index: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    g: np.ndarray,
) -> None:
    """g (n_rows, M) of each row from piecewise polynomials; `index` is (first, intervals, lowest, per_width)."""
    first, intervals, lowest, per_width = index
    top = coefficients.shape[1] - 1
    width = coefficients.shape[2]
    for row in range(n_rows):
        net = rows.net[row]
        x = (rows.r[row, 0] - lowest[net]) * per_width[net]
        i = min(max(int(np.floor(x)), 0), intervals[net] - 1)
        u = 2.0 * (x - i) - 1.0
        block = coefficients[first[net] + i]
        for m in range(width):
            g[row, m] = block[top, m]
        for power in range(top - 1, -1, -1):
            for m in range(width):
                g[row, m] = g[row, m] * u + block[power, m]


@numba.njit(cache=True)
def add_rows(n_rows: int, rows: Rows, g: np.ndarray, padding: np.ndarray, sums: np.ndarray, counts: np.ndarray) -> None:
    """Add each row to its slot: sums (slots, 4, M) += sign (g R - padding), counts (slots, n_types) += sign.

    padding : (n_types^2, 4, M), what the empty slot contributed that the neighbour takes (or frees).
    """
    n_types = counts.shape[1]
    width = sums.shape[2]
    for row in range(n_rows):
        slot, pair, sign = rows.slot[row], rows.pair[row], rows.sign[row]
        counts[slot, pair % n_types] += int(sign)
        for c in range(4):
            factor = sign * rows.r[row, c]
            for m in range(width):
                sums[slot, c, m] += factor * g[row, m] - sign * padding[pair, c, m]


@numba.njit(cache=True)
def descriptors(sums: np.ndarray, order: np.ndarray, axis: int, n_neighbours: int, out: np.ndarray) -> None:
    """out (len(order), M * axis): D of slots `order`, D[m, k] = sum_c T[c, m] T[c, k] / n^2."""
    width = sums.shape[2]
    factor = 1.0 / (float(n_neighbours) * float(n_neighbours))
    for i in range(len(order)):
        s = sums[order[i]]
        for m in range(width):
            a, b, c, d = s[0, m] * factor, s[1, m] * factor, s[2, m] * factor, s[3, m] * factor
            for k in range(axis):
                out[i, m * axis + k] = a * s[0, k] + b * s[1, k] + c * s[2, k] + d * s[3, k]

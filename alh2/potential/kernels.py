"""Compiled bookkeeping of trials: which atoms a change touches, and the neighbour terms that appear and disappear.

A *slot* is one atom whose energy a trial changes, or a new atom; slots are sorted by element. A *row* is one neighbour
term of a slot: element of the neighbour, displacement to it (Å), sign (+1 appears, -1 disappears). Arrays of several
walkers have the walker as their first index.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from alh2.potential.neighbours import Geometry, Grid, images, locate

TOO_SMALL = -1
"""Answer of a search whose buffers did not suffice."""


class System(NamedTuple):
    """What all walkers share and no move changes.

    types : (capacity,) int64 of atom i: host, then molecule after molecule; n_host atoms belong to the host
    silent : (n_types, n_types) int64: 1 takes a neighbour's place but adds nothing, 2 is no neighbour at all
    """

    geometry: Geometry
    grid: Grid
    types: np.ndarray
    n_host: int
    silent: np.ndarray


class State(NamedTuple):
    """Present configurations: n_atoms (walkers,); positions, sums (…, 4, M), counts (…, n_types), energies."""

    n_atoms: np.ndarray
    positions: np.ndarray
    sums: np.ndarray
    counts: np.ndarray
    energies: np.ndarray


class Change(NamedTuple):
    """Trials, one per walker.

    sites : (walkers, 2 n_sites, 3): the n_insert (walkers,) appearing atoms, then the n_remove disappearing ones,
    which are atoms [first, first + n_remove)
    """

    sites: np.ndarray
    n_insert: np.ndarray
    n_remove: np.ndarray
    first: np.ndarray


class Slots(NamedTuple):
    """Slots and rows of every walker's trial.

    n : (walkers,) slots; by_type : (walkers, n_types + 1) first slot of each element
    atom : the atom, or -1 - m for appearing site m; rows of slot s are [row[s], row[s + 1])
    other, sign, d : of rows; closest : (walkers,) smallest squared distance of an appearing pair
    sums, counts, energies : what the slots would have
    """

    n: np.ndarray
    by_type: np.ndarray
    atom: np.ndarray
    row: np.ndarray
    other: np.ndarray
    sign: np.ndarray
    d: np.ndarray
    closest: np.ndarray
    sums: np.ndarray
    counts: np.ndarray
    energies: np.ndarray


class Scratch(NamedTuple):
    """Buffers of a search: pairs as found (atom, site, displacement), slot of each atom (-1: none), images."""

    atom: np.ndarray
    site: np.ndarray
    d: np.ndarray
    slot: np.ndarray
    touched: np.ndarray
    images: np.ndarray


class Search(NamedTuple):
    """All that a search reads and writes."""

    system: System
    state: State
    slots: Slots
    scratch: Scratch


@numba.njit(cache=True, nogil=True)
def keep(n: int, key: tuple[int, int], found: int, scratch: Scratch, w: int) -> int:
    """Append the `found` displacements in scratch.images as pairs of (atom, site) `key`; returns the new number."""
    if n < 0 or n + found > scratch.atom.shape[1]:
        return TOO_SMALL
    for s in range(found):
        scratch.atom[w, n], scratch.site[w, n] = key
        for k in range(3):
            scratch.d[w, n, k] = scratch.images[w, s, k]
        n += 1
    return n


@numba.njit(cache=True, nogil=True)
def around(n: int, key: tuple[int, int], point: np.ndarray, search: Search, w: int, gap: tuple[int, int]) -> int:
    """Append all atoms around `point` but those in `gap` = [first, last); `key` = (atom that is not its own, site)."""
    system, state, _, scratch = search
    geometry, grid = system.geometry, system.grid
    limit, (itself, site) = geometry.rcut * geometry.rcut, key
    home, d = np.empty(3), np.empty(3)
    box = locate(point, geometry, grid, home)
    room = scratch.atom.shape[1]
    for i in range(grid.start[box], grid.start[box + 1]):
        x, y, z = grid.place[i, 0] - home[0], grid.place[i, 1] - home[1], grid.place[i, 2] - home[2]
        r2 = x * x + y * y + z * z
        if r2 >= limit or (grid.atom[i] == itself and r2 < 1e-12):
            continue
        if n >= room:
            return TOO_SMALL
        scratch.atom[w, n], scratch.site[w, n] = grid.atom[i], site
        scratch.d[w, n, 0], scratch.d[w, n, 1], scratch.d[w, n, 2] = x, y, z
        n += 1
    for j in range(system.n_host, state.n_atoms[w]):
        if gap[0] <= j < gap[1]:
            continue
        for k in range(3):
            d[k] = state.positions[w, j, k] - point[k]
        found = images(d, geometry, j == itself, scratch.images[w])
        if found:
            n = keep(n, (j, site), found, scratch, w)
            if n < 0:
                return n
    return n


@numba.njit(cache=True, nogil=True)
def _among(n: int, change: Change, search: Search, w: int) -> int:
    """Append the pairs among the appearing sites and their images, as atom -1 - other."""
    d = np.empty(3)
    for m in range(change.n_insert[w]):
        for other in range(change.n_insert[w]):
            for k in range(3):
                d[k] = change.sites[w, other, k] - change.sites[w, m, k]
            found = images(d, search.system.geometry, m == other, search.scratch.images[w])
            n = keep(n, (-1 - other, m), found, search.scratch, w)
    return n


@numba.njit(cache=True, nogil=True)
def _sort_slots(n_touched: int, n_new: int, search: Search, w: int) -> None:
    """Slots of the touched atoms and the new sites, by element; their numbers in scratch.slot (sites after atoms)."""
    system, _, slots, scratch = search
    types, touched, edge = system.types, scratch.touched[w], slots.by_type[w]
    edge[:] = 0
    for i in range(n_touched):
        edge[types[touched[i]] + 1] += 1
    for m in range(n_new):
        edge[types[system.n_host + m] + 1] += 1
    for a in range(len(edge) - 1):
        edge[a + 1] += edge[a]
    at = edge.copy()
    for i in range(n_touched + n_new):
        new = i - n_touched
        a = types[touched[i]] if new < 0 else types[system.n_host + new]
        slots.atom[w, at[a]] = touched[i] if new < 0 else -1 - new
        scratch.slot[w, touched[i] if new < 0 else len(types) + new] = at[a]
        at[a] += 1
    slots.n[w] = n_touched + n_new


@numba.njit(cache=True, nogil=True)
def _rows_of_pairs(n: int, n_new: int, search: Search, w: int, write: bool) -> None:
    """Count (into row[s + 1]) or write (at row[s], advancing it) the rows of pairs; sites >= n_new disappear."""
    system, _, slots, scratch = search
    types, silent, n_host, row = system.types, system.silent, system.n_host, slots.row[w]
    for p in range(n):
        j, m = scratch.atom[w, p], scratch.site[w, p]
        new = m < n_new
        mine = types[n_host + (m if new else m - n_new)]
        other = types[j] if j >= 0 else types[n_host - 1 - j]
        for side in range(2):
            if side == 0 and (j < 0 or silent[other, mine] == 2):
                continue
            if side == 1 and (not new or silent[mine, other] == 2):
                continue
            s = scratch.slot[w, j] if side == 0 else scratch.slot[w, len(types) + m]
            if not write:
                row[s + 1] += 1
                continue
            at = row[s]
            row[s] += 1
            slots.other[w, at] = mine if side == 0 else other
            slots.sign[w, at] = 1.0 if new else -1.0
            for k in range(3):
                slots.d[w, at, k] = scratch.d[w, p, k] if side == 1 else -scratch.d[w, p, k]


@numba.njit(cache=True, nogil=True)
def _index_rows(n: int, n_new: int, search: Search, w: int) -> None:
    """Write the rows of all slots, slot by slot."""
    row, n_slots = search.slots.row[w], search.slots.n[w]
    row[: n_slots + 1] = 0
    _rows_of_pairs(n, n_new, search, w, False)
    for s in range(n_slots):
        row[s + 1] += row[s]
    _rows_of_pairs(n, n_new, search, w, True)
    for s in range(n_slots, 0, -1):
        row[s] = row[s - 1]
    row[0] = 0


@numba.njit(cache=True, nogil=True)
def _count(search: Search, w: int) -> None:
    """Neighbour counts the slots would have."""
    _, state, slots, _ = search
    for s in range(slots.n[w]):
        atom, mine = slots.atom[w, s], slots.counts[w, s]
        for b in range(len(mine)):
            mine[b] = state.counts[w, atom, b] if atom >= 0 else 0
        for at in range(slots.row[w, s], slots.row[w, s + 1]):
            mine[slots.other[w, at]] += int(slots.sign[w, at])


@numba.njit(cache=True, nogil=True)
def find_trial(change: Change, search: Search, w: int) -> bool:
    """Slots and rows of walker w's trial; False where a buffer is too small."""
    _, state, slots, scratch = search
    n_new = change.n_insert[w]
    n_sites = n_new + change.n_remove[w]
    gap = (change.first[w], change.first[w] + change.n_remove[w])
    n, nearest, room = 0, 1e300, slots.atom.shape[1]
    for m in range(n_sites):
        n = around(n, (-1, m), change.sites[w, m], search, w, gap)
        if n < 0:
            return False
    n = _among(n, change, search, w)
    if n < 0 or 2 * n > slots.other.shape[1]:
        return False
    n_touched = 0
    for p in range(n):
        if scratch.site[w, p] < n_new:
            nearest = min(nearest, scratch.d[w, p, 0] ** 2 + scratch.d[w, p, 1] ** 2 + scratch.d[w, p, 2] ** 2)
        j = scratch.atom[w, p]
        if j >= 0 and scratch.slot[w, j] < 0:
            scratch.slot[w, j] = 0
            scratch.touched[w, n_touched] = j
            n_touched += 1
    slots.closest[w] = nearest
    fits = n_touched + n_new <= room
    if fits:
        _sort_slots(n_touched, n_new, search, w)
        _index_rows(n, n_new, search, w)
        _count(search, w)
    for i in range(n_touched):
        scratch.slot[w, scratch.touched[w, i]] = -1
    return fits


@numba.njit(cache=True, nogil=True)
def find_centres(first: int, last: int, search: Search, w: int) -> bool:
    """Atoms [first, last) of walker w as slots that start from nothing; False where a buffer is too small."""
    system, state, slots, scratch = search
    types, n_slots = system.types, last - first
    edge = slots.by_type[w]
    edge[:] = 0
    for i in range(first, last):
        edge[types[i] + 1] += 1
    for a in range(len(edge) - 1):
        edge[a + 1] += edge[a]
    at, rows = edge.copy(), 0
    for i in range(first, last):
        scratch.touched[w, at[types[i]]] = i
        at[types[i]] += 1
    slots.closest[w] = 1e300
    for s in range(n_slots):
        i = scratch.touched[w, s]
        n = around(0, (i, 0), state.positions[w, i], search, w, (0, 0))
        if n < 0 or rows + n > slots.other.shape[1]:
            return False
        slots.atom[w, s], slots.row[w, s] = -1 - i, rows
        for p in range(n):
            other = types[scratch.atom[w, p]]
            if system.silent[types[i], other] == 2:
                continue
            slots.other[w, rows], slots.sign[w, rows] = other, 1.0
            r2 = 0.0
            for k in range(3):
                slots.d[w, rows, k] = scratch.d[w, p, k]
                r2 += scratch.d[w, p, k] ** 2
            slots.closest[w] = min(slots.closest[w], r2)
            rows += 1
    slots.row[w, n_slots] = rows
    slots.n[w] = n_slots
    _count(search, w)
    return True


@numba.njit(cache=True, nogil=True)
def take_slots(search: Search, w: int, whole: bool) -> None:
    """Write the slots of kept atoms into the state; with `whole` (after find_centres) those of all atoms."""
    _, state, slots, _ = search
    for s in range(slots.n[w]):
        i = slots.atom[w, s]
        if i < 0:
            if not whole:
                continue
            i = -1 - i
        state.sums[w, i] = slots.sums[w, s]
        state.counts[w, i] = slots.counts[w, s]
        state.energies[w, i] = slots.energies[w, s]


@numba.njit(cache=True, nogil=True)
def take_trial(change: Change, search: Search, w: int) -> None:
    """Make walker w's trial its state; a removed molecule that is not replaced is overwritten by the last one."""
    system, state, slots, _ = search
    take_slots(search, w, False)
    n_new, n_old, first = change.n_insert[w], change.n_remove[w], change.first[w]
    if n_new:
        if not n_old:
            first = state.n_atoms[w]
            state.n_atoms[w] += n_new
        for s in range(slots.n[w]):
            m = -1 - slots.atom[w, s]
            if m >= 0:
                state.positions[w, first + m] = change.sites[w, m]
                state.sums[w, first + m] = slots.sums[w, s]
                state.counts[w, first + m] = slots.counts[w, s]
                state.energies[w, first + m] = slots.energies[w, s]
        return
    last = state.n_atoms[w] - n_old
    if first != last:
        for k in range(n_old):
            state.positions[w, first + k] = state.positions[w, last + k]
            state.sums[w, first + k] = state.sums[w, last + k]
            state.counts[w, first + k] = state.counts[w, last + k]
            state.energies[w, first + k] = state.energies[w, last + k]
    state.n_atoms[w] = last


@numba.njit(cache=True, nogil=True)
def gain(change: Change, search: Search, w: int) -> float:
    """Energy change of walker w's evaluated trial."""
    _, state, slots, _ = search
    total = 0.0
    for s in range(slots.n[w]):
        i = slots.atom[w, s]
        total += slots.energies[w, s] - (state.energies[w, i] if i >= 0 else 0.0)
    for i in range(change.first[w], change.first[w] + change.n_remove[w]):
        total -= state.energies[w, i]
    return total

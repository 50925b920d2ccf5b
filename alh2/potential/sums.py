"""Compiled evaluation of slots: environment sums, descriptors, and the fitting nets, for many slots at a time.

With u in [-1, 1] the place of s within its interval, an embedding is g(s) = sum_p c_p u^p (see `embedding_table`).
A row changes the sum T of its slot by sign (g (x) R - g_0 (x) R_0): the neighbour takes an empty place, whose
normalised environment R_0 = -mean / scale is not zero.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from alh2.potential.kernels import Search
from alh2.potential.neighbours import Geometry
from alh2.potential.simd import PANEL, add_product, tanh_rows

CHUNK = 128
"""Slots that go through the nets together."""


class Embedding(NamedTuple):
    """Per pair of elements (centre, neighbour), flattened, and tables.

    mean, scale, empty : (pairs, 4) normalisation and R_0; net : (pairs,); empty_g : (pairs, M) g_0
    base : (n_types, 4, M) sums of an atom without neighbours
    coefficients, first, intervals, lowest, per_width : of the tables, see `EmbeddingTables`; of no length without them
    """

    mean: np.ndarray
    scale: np.ndarray
    empty: np.ndarray
    net: np.ndarray
    empty_g: np.ndarray
    base: np.ndarray
    coefficients: np.ndarray
    first: np.ndarray
    intervals: np.ndarray
    lowest: np.ndarray
    per_width: np.ndarray


class Fitting(NamedTuple):
    """Fitting nets of all elements, of one shape, with hidden layers y = idt tanh(x w + b) (+ x, or x twice).

    shape : (layers, 4) int64 n_in, n_out, n_panels, skip; weights, others : flat; at : (n_types, layers, 2) int64 where
    the packed weights and the n_panels * PANEL biases followed by as many time steps begin
    last : (n_types, width + 1): weights of the output and its constant; axis, n_neighbours : of the descriptor
    """

    shape: np.ndarray
    weights: np.ndarray
    others: np.ndarray
    at: np.ndarray
    last: np.ndarray
    axis: int
    n_neighbours: float


class Model(NamedTuple):
    """Everything an evaluation needs of a model."""

    embedding: Embedding
    fitting: Fitting


class Entries(NamedTuple):
    """Slots of all walkers sorted by element: walker, slot, element (n,); edges (threads + 1,) share them out."""

    walker: np.ndarray
    slot: np.ndarray
    element: np.ndarray
    edges: np.ndarray


class Rows(NamedTuple):
    """Buffers of one chunk: descriptors (CHUNK, n_in) and two of hidden values (CHUNK, columns)."""

    d: np.ndarray
    x: np.ndarray
    y: np.ndarray


@numba.njit(cache=True, nogil=True)
def normalised(d: np.ndarray, geometry: Geometry, mean: np.ndarray, scale: np.ndarray, r: np.ndarray) -> None:
    """R (4,) of a neighbour at displacement d (3,) Å."""
    distance = np.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
    u = (distance - geometry.rcut_smth) / (geometry.rcut - geometry.rcut_smth)
    if u <= 0.0:
        w = 1.0
    elif u >= 1.0:
        w = 0.0
    else:
        w = u * u * u * (-6.0 * u * u + 15.0 * u - 10.0) + 1.0
    q = 1.0 / (distance + geometry.protection)
    r[0] = (w * q - mean[0]) / scale[0]
    for k in range(3):
        r[k + 1] = (w * d[k] * q * q - mean[k + 1]) / scale[k + 1]


@numba.njit(cache=True, nogil=True, fastmath={"contract"})
def _table_value(s: float, net: int, embedding: Embedding, g: np.ndarray) -> None:
    """g (M,) of net number `net` at s."""
    x = (s - embedding.lowest[net]) * embedding.per_width[net]
    i = min(max(int(np.floor(x)), 0), embedding.intervals[net] - 1)
    u = 2.0 * (x - i) - 1.0
    p = embedding.coefficients[embedding.first[net] + i]
    for m in range(len(g)):
        high = ((p[7, m] * u + p[6, m]) * u + p[5, m]) * u + p[4, m]
        g[m] = (((high * u + p[3, m]) * u + p[2, m]) * u + p[1, m]) * u + p[0, m]


@numba.njit(cache=True, nogil=True, fastmath={"contract"})
def _add_row(sign: float, r: np.ndarray, g: np.ndarray, empty: np.ndarray, g0: np.ndarray, t: np.ndarray) -> None:
    """t (4, M) += sign (r g - empty g0)."""
    for c in range(4):
        f, f0, row = sign * r[c], sign * empty[c], t[c]
        if f0 == 0.0:
            for m in range(len(g)):
                row[m] += f * g[m]
        else:
            for m in range(len(g)):
                row[m] += f * g[m] - f0 * g0[m]


@numba.njit(cache=True, nogil=True)
def set_sums(w: int, s: int, element: int, search: Search, embedding: Embedding, given: np.ndarray) -> None:
    """Sums of slot s of walker w: those of its atom, or of no neighbours, and its rows.

    given : (rows, M) values of g for this walker's rows, of no length where the tables give them
    """
    system, state, slots, _ = search
    n_types, t, atom = len(system.silent), slots.sums[w, s], slots.atom[w, s]
    if atom >= 0:
        t[:] = state.sums[w, atom]
    else:
        t[:] = embedding.base[element]
    g, r = np.empty(t.shape[1]), np.empty(4)
    for at in range(slots.row[w, s], slots.row[w, s + 1]):
        pair = element * n_types + slots.other[w, at]
        if system.silent[element, slots.other[w, at]]:
            r[:] = 0.0
            g[:] = 0.0
        else:
            normalised(slots.d[w, at], system.geometry, embedding.mean[pair], embedding.scale[pair], r)
            if len(given):
                g[:] = given[at]
            else:
                _table_value(r[0], embedding.net[pair], embedding, g)
        _add_row(slots.sign[w, at], r, g, embedding.empty[pair], embedding.empty_g[pair], t)


@numba.njit(cache=True, nogil=True, fastmath={"contract"})
def set_descriptor(t: np.ndarray, axis: int, n_neighbours: float, folded: bool, d: np.ndarray) -> None:
    """D[m, k] = sum_c T[c, m] T[c, k] / n^2, row after row; `folded` leaves out k > m, which equals [k, m]."""
    factor = 1.0 / (n_neighbours * n_neighbours)
    at = 0
    for m in range(t.shape[1]):
        a, b, c, e = t[0, m] * factor, t[1, m] * factor, t[2, m] * factor, t[3, m] * factor
        n = min(axis, m + 1) if folded else axis
        for k in range(n):
            d[at + k] = a * t[0, k] + b * t[1, k] + c * t[2, k] + e * t[3, k]
        at += n


@numba.njit(cache=True, nogil=True)
def _hidden(key: tuple[int, int], n: int, fitting: Fitting, x: np.ndarray, y: np.ndarray) -> None:
    """y[:n] becomes the hidden layer `key` = (element, layer) of x[:n]."""
    n_in, n_out, n_panels, skip = fitting.shape[key[1]]
    at, at_bias = fitting.at[key[0], key[1], 0], fitting.at[key[0], key[1], 1]
    columns = n_panels * PANEL
    bias = fitting.others[at_bias : at_bias + columns]
    idt = fitting.others[at_bias + columns : at_bias + 2 * columns]
    for i in range(n):
        for j in range(columns):
            y[i, j] = bias[j]
    panels = fitting.weights[at : at + columns * n_in].reshape((n_panels, n_in, PANEL))
    add_product(x, n, panels, y)
    tanh_rows(y, n, columns)
    for i in range(n):
        for j in range(n_out):
            y[i, j] *= idt[j]
        for part in range(skip):
            for j in range(n_in):
                y[i, part * n_in + j] += x[i, j]


@numba.njit(cache=True, nogil=True, fastmath={"contract"})
def _output(x: np.ndarray, n: int, last: np.ndarray, values: np.ndarray) -> None:
    """values[:n] = x[:n] @ last[:-1] + last[-1], in eight sums."""
    width = len(last) - 1
    whole = width - width % 8
    part = np.empty(8)
    for i in range(n):
        part[:] = 0.0
        for j in range(0, whole, 8):
            for k in range(8):
                part[k] += x[i, j + k] * last[j + k]
        for j in range(whole, width):
            part[j - whole] += x[i, j] * last[j]
        values[i] = part.sum() + last[width]


@numba.njit(cache=True, nogil=True)
def _chunk(first: int, last: int, entries: Entries, search: Search, model: Model, rows: Rows) -> None:
    """Sums and energies of entries [first, last), all of one element."""
    element, n, fitting = entries.element[first], last - first, model.fitting
    none = np.empty((0, 0))
    for i in range(n):
        w, s = entries.walker[first + i], entries.slot[first + i]
        set_sums(w, s, element, search, model.embedding, none)
        set_descriptor(search.slots.sums[w, s], fitting.axis, fitting.n_neighbours, True, rows.d[i])
    _hidden((element, 0), n, fitting, rows.d, rows.x)
    x, y = rows.x, rows.y
    for layer in range(1, len(fitting.shape)):
        _hidden((element, layer), n, fitting, x, y)
        x, y = y, x
    values = np.empty(n)
    _output(x, n, fitting.last[element], values)
    for i in range(n):
        search.slots.energies[entries.walker[first + i], entries.slot[first + i]] = values[i]


@numba.njit(cache=True, nogil=True)
def evaluate_share(thread: int, entries: Entries, search: Search, model: Model, rows: Rows) -> None:
    """Sums and energies of the entries of one thread."""
    first, end = entries.edges[thread], entries.edges[thread + 1]
    while first < end:
        last = first + 1
        while last < end and last - first < CHUNK and entries.element[last] == entries.element[first]:
            last += 1
        _chunk(first, last, entries, search, model, rows)
        first = last


@numba.njit(cache=True, nogil=True)
def share_out(active: np.ndarray, search: Search, overhead: float, entries: Entries) -> int:
    """Entries of the `active` walkers' slots by element, cut into shares of equal cost; returns their number.

    overhead : what an element costs beside its slots (its weights have to be read), in slots
    """
    by_type = search.slots.by_type
    n = 0
    cost = 0.0
    for a in range(by_type.shape[1] - 1):
        before = n
        for w in active:
            for s in range(by_type[w, a], by_type[w, a + 1]):
                entries.walker[n], entries.slot[n], entries.element[n] = w, s, a
                n += 1
        if n > before:
            cost += overhead + n - before
    n_shares = len(entries.edges) - 1
    entries.edges[:] = n
    entries.edges[0] = 0
    spent, share = 0.0, 1
    for i in range(n):
        if i == 0 or entries.element[i] != entries.element[i - 1]:
            spent += overhead
        spent += 1.0
        while share < n_shares and spent >= cost * share / n_shares:
            entries.edges[share] = i + 1
            share += 1
    return n

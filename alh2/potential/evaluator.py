"""A `se_e2_a` model made ready for the compiled evaluation, and the evaluation of slots on several threads.

Models whose nets are tanh throughout (DeePMD's default) run compiled from end to end. Other activations take the same
sums and descriptors through NumPy; embeddings with kinks, which no table represents, are evaluated directly.
"""

from __future__ import annotations

import copy
import os
from concurrent.futures import Future, ThreadPoolExecutor

import numba
import numpy as np

from alh2.potential.embedding_table import EmbeddingTables, build_tables
from alh2.potential.kernels import Change, Search
from alh2.potential.neighbours import OVERLAP_ANG
from alh2.potential.networks import Network
from alh2.potential.se_e2_a import SeE2aModel
from alh2.potential.simd import PANEL, pack
from alh2.potential.sums import (
    CHUNK,
    Embedding,
    Entries,
    Fitting,
    Model,
    Rows,
    evaluate_share,
    normalised,
    set_descriptor,
    set_sums,
)


def default_threads() -> int:
    """OMP_NUM_THREADS where it is set, else the processors this process may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    limit = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(int(asked), limit)) if asked.isdigit() else limit


class Evaluator:
    """Sums and atomic energies of slots.

    threads : that share one evaluation (results do not depend on it)
    """

    def __init__(self, model: SeE2aModel, *, threads: int | None = None) -> None:
        self.model = model
        self.threads = threads or default_threads()
        self.tables = self._tables()
        self.compiled = self.tables is not None and all(_is_plain_tanh(net) for net in model.fittings)
        self.data = Model(self._embedding(), _packed(model) if self.compiled else _unpacked(model))
        self._rows = [self._buffers() for _ in range(self.threads)]
        self._pool = ThreadPoolExecutor(self.threads - 1) if self.threads > 1 else None

    def alone(self) -> Evaluator:
        """An evaluator on one thread that shares the weights and may be used beside this one."""
        other = copy.copy(self)
        other.threads, other._pool, other._rows = 1, None, [self._buffers()]
        return other

    def _tables(self) -> EmbeddingTables | None:
        model = self.model
        low = (0.0 - model.mean[..., 0]) / model.scale[..., 0]
        high = (1.0 / (OVERLAP_ANG + model.protection_ang) - model.mean[..., 0]) / model.scale[..., 0]
        index = model.network_index()
        used = [index == k for k in range(len(model.embeddings))]
        ranges = np.array([[low[mask].min(), high[mask].max()] for mask in used])
        return build_tables(model.embeddings, ranges)

    def _embedding(self) -> Embedding:
        model, n, tables = self.model, self.model.n_types, self.tables
        empty = -(model.mean / model.scale).reshape(n * n, 4)
        index = model.network_index().reshape(-1)
        empty_g = np.array([model.embeddings[k](row[:1].reshape(1, 1))[0] for k, row in zip(index, empty, strict=True)])
        padding = (empty[:, :, None] * empty_g[:, None, :]).reshape(n, n, 4, -1)
        parts = (
            (np.zeros((0, 8, 0)), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
            if tables is None
            else (tables.coefficients, tables.first, tables.intervals, tables.lowest, tables.per_width)
        )
        return Embedding(
            np.ascontiguousarray(model.mean.reshape(n * n, 4)),
            np.ascontiguousarray(model.scale.reshape(n * n, 4)),
            np.ascontiguousarray(empty),
            np.ascontiguousarray(index, dtype=np.int64),
            np.ascontiguousarray(empty_g),
            np.ascontiguousarray(np.einsum("b,abcm->acm", model.sel, padding)),
            *(np.ascontiguousarray(part) for part in parts),
        )

    def _buffers(self) -> Rows:
        shape = self.data.fitting.shape
        n_in = int(shape[0, 0]) if len(shape) else 0
        columns = int(shape[:, 2].max(initial=0)) * PANEL
        return Rows(np.zeros((CHUNK, n_in)), np.zeros((CHUNK, columns)), np.zeros((CHUNK, columns)))

    def evaluate(self, n: int, entries: Entries, search: Search, change: Change, whole: bool) -> None:
        """See `SlotEvaluator`; what changes is all in the rows."""
        if not n:
            return
        if not self.compiled:
            self._evaluate_plainly(n, entries, search)
            return
        waiting: list[Future[None]] = []
        for thread in range(1, self.threads):
            if self._pool is not None and entries.edges[thread + 1] > entries.edges[thread]:
                waiting.append(
                    self._pool.submit(evaluate_share, thread, entries, search, self.data, self._rows[thread])
                )
        evaluate_share(0, entries, search, self.data, self._rows[0])
        for future in waiting:
            future.result()

    def _evaluate_plainly(self, n: int, entries: Entries, search: Search) -> None:
        """The same for any activation, through NumPy and walker by walker."""
        model, element, walker, slot = self.model, entries.element[:n], entries.walker[:n], entries.slot[:n]
        for w in np.unique(walker):
            mine = np.flatnonzero(walker == w)
            given = np.empty((0, 0)) if self.tables is not None else self._direct(int(w), search)
            d = np.empty((len(mine), model.width * model.axis))
            part = Entries(walker[mine], slot[mine], element[mine], entries.edges)
            _descriptors(part, search, self.data, given, d)
            for a in np.unique(element[mine]):
                rows = np.flatnonzero(element[mine] == a)
                values = np.full(len(rows), model.bias_ev[a])
                if not model.muted[a]:
                    values += model.fittings[a](d[rows])[:, 0]
                search.slots.energies[w, slot[mine[rows]]] = values

    def _direct(self, w: int, search: Search) -> np.ndarray:
        """g (rows, M) of walker w's rows straight from the embedding nets."""
        n_rows = int(search.slots.row[w, search.slots.n[w]])
        nets, s = np.empty(n_rows, dtype=np.int64), np.empty(n_rows)
        _environments(w, search, self.data.embedding, nets, s)
        g = np.empty((n_rows, self.model.width))
        for k in np.unique(nets):
            mine = np.flatnonzero(nets == k)
            g[mine] = self.model.embeddings[k](np.ascontiguousarray(s[mine, None]))
        return g


def _is_plain_tanh(net: Network) -> bool:
    *hidden, last = net.layers
    first = bool(hidden) and hidden[0].skip == 0
    plain_end = last.act is None and last.skip == 0 and last.idt is None and last.w.shape[1] == 1
    return first and plain_end and all(layer.act is np.tanh for layer in hidden)


def _folded(w: np.ndarray, width: int, axis: int) -> np.ndarray:
    """First weights (width * axis, n) with the equal pairs D[m, k] = D[k, m] in one row."""
    whole = w.reshape(width, axis, -1)
    rows = []
    for m in range(width):
        for k in range(min(axis, m + 1)):
            twice = k < m < axis
            rows.append(whole[m, k] + whole[k, m] if twice else whole[m, k])
    return np.array(rows)


def _packed(model: SeE2aModel) -> Fitting:
    """All fitting nets in the layout of the compiled evaluation."""
    axis = min(model.axis, model.width)
    shape, weights, others, at, last = [], [], [], [], []
    n_weights = n_others = 0
    for a, net in enumerate(model.fittings):
        places = []
        for number, layer in enumerate(net.layers[:-1]):
            w = _folded(layer.w, model.width, axis) if number == 0 else layer.w
            panels = pack(w)
            extra = np.zeros((2, len(panels) * PANEL))
            if layer.b is not None:
                extra[0, : w.shape[1]] = layer.b
            extra[1, : w.shape[1]] = 1.0 if layer.idt is None else layer.idt
            if a == 0:
                shape.append([w.shape[0], w.shape[1], len(panels), layer.skip])
            places.append([n_weights, n_others])
            weights.append(panels.ravel())
            others.append(extra.ravel())
            n_weights, n_others = n_weights + panels.size, n_others + extra.size
        at.append(places)
        end = net.layers[-1]
        constant = model.bias_ev[a] + (0.0 if end.b is None else end.b[0])
        last.append(np.concatenate([end.w[:, 0], [constant]]))
        if model.muted[a]:
            last[-1][:] = 0.0
            last[-1][-1] = model.bias_ev[a]
    return Fitting(
        np.array(shape, dtype=np.int64),
        np.concatenate(weights),
        np.concatenate(others),
        np.array(at, dtype=np.int64),
        np.array(last),
        axis,
        float(model.sel.sum()),
    )


def _unpacked(model: SeE2aModel) -> Fitting:
    """Only what descriptors need."""
    none = np.zeros(0)
    empty = np.zeros((0, 4), dtype=np.int64)
    return Fitting(
        empty, none, none, np.zeros((0, 0, 2), dtype=np.int64), np.zeros((0, 0)), model.axis, float(model.sel.sum())
    )


@numba.njit(cache=True, nogil=True)
def _descriptors(entries: Entries, search: Search, model: Model, given: np.ndarray, out: np.ndarray) -> None:
    """Sums and whole descriptors of all entries; `given` as for `set_sums` (one walker's rows)."""
    fitting = model.fitting
    for i in range(len(entries.walker)):
        w, s = entries.walker[i], entries.slot[i]
        set_sums(w, s, entries.element[i], search, model.embedding, given)
        set_descriptor(search.slots.sums[w, s], fitting.axis, fitting.n_neighbours, False, out[i])


@numba.njit(cache=True, nogil=True)
def _environments(w: int, search: Search, embedding: Embedding, nets: np.ndarray, s: np.ndarray) -> None:
    """Embedding number and s of every row of walker w."""
    system, _, slots, _ = search
    r = np.empty(4)
    for element in range(len(system.silent)):
        for slot in range(slots.by_type[w, element], slots.by_type[w, element + 1]):
            for at in range(slots.row[w, slot], slots.row[w, slot + 1]):
                pair = element * len(system.silent) + slots.other[w, at]
                normalised(slots.d[w, at], system.geometry, embedding.mean[pair], embedding.scale[pair], r)
                nets[at], s[at] = embedding.net[pair], r[0]

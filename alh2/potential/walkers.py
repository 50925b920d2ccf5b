"""Configurations of several walkers on one host, whose trials are evaluated together.

Every walker's energies are the same to the last bit whatever the others do (see `simd`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numba
import numpy as np

from alh2.core.errors import BadInputError
from alh2.potential import kernels
from alh2.potential.full_energy import checked_guests
from alh2.potential.neighbours import OVERLAP_ANG, geometry_of, grid_of, image_room
from alh2.potential.sums import Entries, share_out

CENTRES_AT_ONCE = 64
ELEMENT_OVERHEAD = 8.0
"""What reading an element's weights costs, in slots."""
UNLIMITED = 2**30
"""A `sel` that no atom exceeds."""


class Shape(Protocol):
    """What the search for trials needs of a model; see `SeE2aModel`."""

    @property
    def file(self) -> Path:
        """The file the user named."""

    @property
    def type_map(self) -> tuple[str, ...]:
        """Elements."""

    @property
    def n_types(self) -> int:
        """Number of elements."""

    @property
    def rcut_ang(self) -> float:
        """Cutoff."""

    @property
    def rcut_smth_ang(self) -> float:
        """Where the switch begins."""

    @property
    def protection_ang(self) -> float:
        """Added to distances."""

    @property
    def sel(self) -> np.ndarray:
        """(n_types,) largest number of neighbours of each element."""

    @property
    def total_sel(self) -> int:
        """Largest number of neighbours of all elements together (`UNLIMITED` where each has its own)."""

    @property
    def silent(self) -> np.ndarray:
        """(n_types, n_types), see `kernels.System`."""

    @property
    def width(self) -> int:
        """Columns of the sums kept for every atom."""


class SlotEvaluator(Protocol):
    """Gives slots their energies."""

    @property
    def model(self) -> Shape:
        """The model."""

    @property
    def threads(self) -> int:
        """In how many shares the entries are wanted."""

    def evaluate(self, n: int, entries: Entries, search: kernels.Search, change: kernels.Change, whole: bool) -> None:
        """Write sums and energies of the `n` first entries; `whole`: all present atoms, not trials."""


def check_counts(model: Shape, counts: np.ndarray) -> None:
    """Raise BadInputError where an atom (row of counts) has more neighbours than `sel` or `total_sel`."""
    most = counts.max(axis=0, initial=0)
    total = int(counts.sum(axis=1).max(initial=0))
    names, sel = model.type_map, model.sel
    over = np.flatnonzero(most > sel)
    found = [f"{names[b]} {most[b]} > {sel[b]}" for b in over]
    needed = f"{' '.join(str(n) for n in np.maximum(most, sel))} for {' '.join(names)}"
    if total > model.total_sel:
        found, needed = [f"{total} > {model.total_sel}"], str(total)
    if found:
        raise BadInputError(
            str(model.file),
            expected="no more neighbours than the model's sel (DeePMD would drop the farthest)",
            found=", ".join(found),
            action=f"train with sel of at least {needed}",
        )


@numba.njit(cache=True, nogil=True)
def _prepare(
    active: np.ndarray, change: kernels.Change, search: kernels.Search, entries: Entries, limits: tuple[float, float]
) -> int:
    """Find the active walkers' trials and share their slots out: the number of entries, or -1: buffers too small.

    limits : smallest squared distance (Å^2) below which a trial is left out, overhead of an element (slots)
    """
    n_slots, n = 0, 0
    going = np.empty(len(active), np.int64)
    for w in active:
        if not kernels.find_trial(change, search, w):
            return kernels.TOO_SMALL
        if search.slots.closest[w] >= limits[0]:
            going[n] = w
            n += 1
            n_slots += search.slots.n[w]
    if n_slots > len(entries.walker):
        return kernels.TOO_SMALL
    return share_out(going[:n], search, limits[1], entries)


@numba.njit(cache=True, nogil=True)
def _gains(
    active: np.ndarray, change: kernels.Change, search: kernels.Search, out: np.ndarray, most: np.ndarray
) -> None:
    """Energy change of every active walker's trial (none for an overlap), and its largest counts, the total last."""
    for w in active:
        out[w] = kernels.gain(change, search, w)
        most[w] = 0
        n_types = most.shape[1] - 1
        for s in range(search.slots.n[w]):
            total = 0
            for b in range(n_types):
                count = search.slots.counts[w, s, b]
                total += count
                most[w, b] = max(most[w, b], count)
            most[w, n_types] = max(most[w, n_types], total)


class Walkers:
    """`n_walkers` configurations of rigid molecules on one host; walkers are numbered from 0."""

    def __init__(
        self,
        evaluator: SlotEvaluator,
        host: tuple[np.ndarray, np.ndarray],
        *,
        cell_ang: np.ndarray,
        molecule_types: np.ndarray,
        n_walkers: int = 1,
    ) -> None:
        self._evaluator = evaluator
        model = evaluator.model
        geometry = geometry_of(
            cell_ang,
            rcut_ang=model.rcut_ang,
            rcut_smth_ang=model.rcut_smth_ang,
            protection_ang=model.protection_ang,
        )
        self._host_types, self._host_ang = np.array(host[0], np.int64), np.array(host[1], np.float64).reshape(-1, 3)
        self.n_host, self.n_sites, self.n_walkers = len(self._host_types), len(molecule_types), n_walkers
        self._molecule_types = np.array(molecule_types, dtype=np.int64)
        self._grid, self._geometry = grid_of(self._host_ang, geometry), geometry
        n, sites = n_walkers, 2 * self.n_sites
        whole = [np.zeros(n, dtype=np.int64) for _ in range(3)]
        self._change = kernels.Change(np.zeros((n, sites, 3)), whole[0], whole[1], whole[2])
        self._state = self._new_state(self.n_host + 64 * self.n_sites)
        self._state.n_atoms[:] = self.n_host
        self._room = (256, 1024)
        self._make_buffers()
        self._pending = [False] * n
        self._gain_ev, self._most = np.zeros(n), np.zeros((n, model.n_types + 1), dtype=np.int64)
        self._sel = np.append(model.sel, model.total_sel)
        self._limits = (OVERLAP_ANG**2, ELEMENT_OVERHEAD)

    def _new_state(self, capacity: int) -> kernels.State:
        n, model = self.n_walkers, self._evaluator.model
        return kernels.State(
            np.zeros(n, dtype=np.int64),
            np.zeros((n, capacity, 3)),
            np.zeros((n, capacity, 4, model.width)),
            np.zeros((n, capacity, model.n_types), dtype=np.int64),
            np.zeros((n, capacity)),
        )

    def _make_buffers(self, old: kernels.Slots | None = None) -> None:
        """Everything that a search writes, for the present capacities.

        old : slots to keep: those of trials that were evaluated and may yet be accepted
        """
        n, model = self.n_walkers, self._evaluator.model
        n_slots, n_rows = self._room
        capacity = self._state.positions.shape[1]
        molecules = -(-(capacity - self.n_host) // self.n_sites)
        types = np.concatenate([self._host_types, np.tile(self._molecule_types, molecules)])

        def whole(*shape: int) -> np.ndarray:
            return np.zeros((n, *shape), dtype=np.int64)

        system = kernels.System(self._geometry, self._grid, types, self.n_host, model.silent)
        slots = kernels.Slots(
            np.zeros(n, dtype=np.int64),
            whole(model.n_types + 1),
            whole(n_slots),
            whole(n_slots + 1),
            whole(n_rows),
            np.zeros((n, n_rows)),
            np.zeros((n, n_rows, 3)),
            np.zeros(n),
            np.zeros((n, n_slots, 4, model.width)),
            whole(n_slots, model.n_types),
            np.zeros((n, n_slots)),
        )
        for before, after in zip(old or (), slots, strict=False):
            after[tuple(slice(length) for length in before.shape)] = before
        scratch = kernels.Scratch(
            whole(n_rows),
            whole(n_rows),
            np.zeros((n, n_rows, 3)),
            np.full((n, len(types) + 2 * self.n_sites), -1),
            whole(len(types) + 2 * self.n_sites),
            np.zeros((n, image_room(self._geometry), 3)),
        )
        self._search = kernels.Search(system, self._state, slots, scratch)
        entries = [np.zeros(n * n_slots, dtype=np.int64) for _ in range(3)]
        self._entries = Entries(entries[0], entries[1], entries[2], np.zeros(self._evaluator.threads + 1, np.int64))

    def _more_room(self) -> None:
        self._room = (2 * self._room[0], 2 * self._room[1])
        self._make_buffers(self._search.slots)

    def _reserve(self, n_atoms: int) -> None:
        """Room for configurations of `n_atoms` atoms."""
        old = self._state
        if n_atoms <= old.positions.shape[1]:
            return
        self._state = self._new_state(self.n_host + 2 * (n_atoms - self.n_host) + self.n_sites)
        used = old.positions.shape[1]
        for before, after in zip(old[1:], self._state[1:], strict=True):
            after[:, :used] = before
        self._state.n_atoms[:] = old.n_atoms
        self._make_buffers(self._search.slots)

    def n_molecules(self, w: int) -> int:
        """Molecules of walker w."""
        return (int(self._state.n_atoms[w]) - self.n_host) // self.n_sites

    def energy_ev(self, w: int) -> float:
        """Energy of walker w's configuration, eV."""
        return float(self._state.energies[w, : self._state.n_atoms[w]].sum())

    def atomic_energies_ev(self, w: int) -> np.ndarray:
        """(n_atoms,) eV of walker w, host first (a copy)."""
        return self._state.energies[w, : self._state.n_atoms[w]].copy()

    def guests_ang(self, w: int) -> np.ndarray:
        """Molecules of walker w, (n_molecules, n_sites, 3) Å (a copy)."""
        return self._state.positions[w, self.n_host : self._state.n_atoms[w]].reshape(-1, self.n_sites, 3).copy()

    def n_affected(self, w: int) -> int:
        """Atoms that walker w's last trial touched, new ones included."""
        return int(self._search.slots.n[w])

    def start(self, w: int, guests_ang: np.ndarray) -> None:
        """Walker w's configuration becomes the host with these guests (n_molecules, n_sites, 3) Å."""
        guests = checked_guests(guests_ang, self.n_sites).reshape(-1, 3)
        n_atoms = self.n_host + len(guests)
        self._reserve(n_atoms)
        self._pending[w] = False
        self._state.positions[w, : self.n_host] = self._host_ang
        self._state.positions[w, self.n_host : n_atoms] = guests
        self._state.n_atoms[w] = n_atoms
        self.refresh(w)

    def refresh(self, w: int) -> None:
        """Fresh sums and energies of walker w; raises BadInputError for overlaps and too many neighbours."""
        self._pending[w] = False
        n_atoms, first = int(self._state.n_atoms[w]), 0
        while first < n_atoms:
            last = min(first + CENTRES_AT_ONCE, n_atoms)
            if not kernels.find_centres(first, last, self._search, w):
                self._more_room()
                continue
            slots = self._search.slots
            if slots.closest[w] < OVERLAP_ANG**2:
                raise BadInputError(
                    f"{self.n_host} framework atoms with {self.n_molecules(w)} guests",
                    expected=f"no two atoms closer than {OVERLAP_ANG} Å",
                    found=f"{math.sqrt(slots.closest[w]):.3f} Å",
                    action="look for overlapping atoms",
                )
            check_counts(self._evaluator.model, slots.counts[w, : last - first])
            n = share_out(np.array([w]), self._search, ELEMENT_OVERHEAD, self._entries)
            self._evaluator.evaluate(n, self._entries, self._search, self._change, True)
            kernels.take_slots(self._search, w, True)
            first = last

    def trial(self, w: int, remove: int | None, insert_ang: np.ndarray | None) -> float:
        """Energy change (eV) of one walker's trial, see `EnergySession.trial`: ask, evaluate, answer."""
        self.ask(w, remove, insert_ang)
        self.evaluate((w,))
        return self.answer(w)

    def ask(self, w: int, remove: int | None, insert_ang: np.ndarray | None) -> None:
        """Note walker w's next trial; IndexError for a molecule that is not there, ValueError for what is none."""
        self._pending[w] = False
        change, n_sites = self._change, self.n_sites
        n_insert = n_remove = first = 0
        if insert_ang is not None:
            insert_ang = np.asarray(insert_ang, dtype=np.float64)
            if insert_ang.shape != (n_sites, 3):
                raise ValueError(f"molecule {insert_ang.shape} is not ({n_sites}, 3)")
            n_insert = n_sites
            change.sites[w, :n_sites] = insert_ang
            if remove is None:
                self._reserve(int(self._state.n_atoms[w]) + n_sites)
        elif remove is None:
            raise ValueError("a trial removes a molecule, inserts one, or both")
        if remove is not None:
            if not 0 <= remove < self.n_molecules(w):
                raise IndexError(f"molecule {remove} of {self.n_molecules(w)}")
            n_remove, first = n_sites, self.n_host + remove * n_sites
            change.sites[w, n_insert : n_insert + n_sites] = self._state.positions[w, first : first + n_sites]
        change.n_insert[w], change.n_remove[w], change.first[w] = n_insert, n_remove, first

    def evaluate(self, walkers: Sequence[int]) -> None:
        """Evaluate the noted trials of these walkers together."""
        active = np.array(walkers, dtype=np.int64)
        while (n := _prepare(active, self._change, self._search, self._entries, self._limits)) < 0:
            self._more_room()
        self._evaluator.evaluate(n, self._entries, self._search, self._change, False)
        _gains(active, self._change, self._search, self._gain_ev, self._most)

    def answer(self, w: int) -> float:
        """Energy change (eV) of walker w's evaluated trial, ``inf`` for an overlap.

        Raises BadInputError where an atom would have more neighbours than the model's `sel`: the energy of such a
        configuration is not defined, whether the trial would be accepted or not.
        """
        if self._search.slots.closest[w] < self._limits[0]:
            return math.inf
        if (self._most[w] > self._sel).any():
            n_slots = self._search.slots.n[w]
            check_counts(self._evaluator.model, self._search.slots.counts[w, :n_slots])
        self._pending[w] = True
        return float(self._gain_ev[w])

    def accept(self, w: int) -> None:
        """Make walker w's last trial its configuration; RuntimeError where there is none or it was an overlap."""
        if not self._pending[w]:
            raise RuntimeError("no trial with a finite energy to accept")
        self._pending[w] = False
        kernels.take_trial(self._change, self._search, w)

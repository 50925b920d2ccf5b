"""Configurations of several walkers on one host, whose trials are evaluated together.

Every walker's energies are the same to the last bit whatever the others do (see `simd`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numba
import numpy as np

from alh2.core.errors import BadInputError
from alh2.potential import kernels
from alh2.potential.evaluator import ELEMENT_OVERHEAD, OVERLAP_ANG, Evaluator
from alh2.potential.full_energy import checked_guests
from alh2.potential.neighbours import geometry_of, grid_of, image_room
from alh2.potential.sums import Entries, share_out

CENTRES_AT_ONCE = 64


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
    """Energy change of every active walker's trial (meaningless for an overlap), and its largest counts."""
    for w in active:
        out[w] = kernels.gain(change, search, w)
        most[w] = 0
        for s in range(search.slots.n[w]):
            for b in range(most.shape[1]):
                most[w, b] = max(most[w, b], search.slots.counts[w, s, b])


class Walkers:
    """`n_walkers` configurations of rigid molecules on one host; walkers are numbered from 0."""

    def __init__(
        self,
        evaluator: Evaluator,
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
        self._gain_ev, self._most = np.zeros(n), np.zeros((n, model.n_types), dtype=np.int64)
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

    def _make_buffers(self) -> None:
        """Everything that a search writes, for the present capacities."""
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
        self._make_buffers()

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
        self._make_buffers()

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
            self._evaluator.check_counts(slots.counts[w, : last - first])
            n = share_out(np.array([w]), self._search, ELEMENT_OVERHEAD, self._entries)
            self._evaluator.evaluate(n, self._entries, self._search)
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
        self._evaluator.evaluate(n, self._entries, self._search)
        _gains(active, self._change, self._search, self._gain_ev, self._most)

    def answer(self, w: int) -> float:
        """Energy change (eV) of walker w's evaluated trial, ``inf`` for an overlap.

        Raises BadInputError where an atom would have more neighbours than the model's `sel`: the energy of such a
        configuration is not defined, whether the trial would be accepted or not.
        """
        if self._search.slots.closest[w] < self._limits[0]:
            return math.inf
        if (self._most[w] > self._evaluator.model.sel).any():
            self._evaluator.check_counts(self._most[w : w + 1])
        self._pending[w] = True
        return float(self._gain_ev[w])

    def accept(self, w: int) -> None:
        """Make walker w's last trial its configuration; RuntimeError where there is none or it was an overlap."""
        if not self._pending[w]:
            raise RuntimeError("no trial with a finite energy to accept")
        self._pending[w] = False
        kernels.take_trial(self._change, self._search, w)

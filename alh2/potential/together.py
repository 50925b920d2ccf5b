"""Sessions in several threads whose trials are evaluated together.

Each thread runs its own simulation as if it were alone and blocks in `trial` until every other thread of its group
waits there too or has left; the last to come evaluates all trials at once. Energies are the same to the last bit as
those of a session alone, so every simulation is too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from ase import Atoms

from alh2.core.errors import BadInputError
from alh2.potential.protocol import Potential
from alh2.potential.session import IncrementalSession
from alh2.potential.walkers import Walkers


class GroupClosedError(RuntimeError):
    """The group was closed while this thread was at work: another one failed."""


class Source(Protocol):
    """What a group needs of a potential; only one thread uses it at a time."""

    def walkers(self, framework: Atoms, molecule_symbols: tuple[str, ...], *, n_walkers: int) -> Walkers:
        """Room for configurations."""

    def molecule_energy_ev(self, molecule_symbols: tuple[str, ...], sites_ang: np.ndarray) -> float:
        """Energy of an isolated molecule."""


class Group:
    """`n` seats around one source."""

    def __init__(self, source: Source, n: int) -> None:
        self.lock = threading.RLock()
        self.source = source
        self.seats = tuple(Seat(self, number) for number in range(n))
        self._walkers: Walkers | None = None
        self._host: tuple[bytes, bytes, bytes, tuple[str, ...]] | None = None
        self._present = n
        self._waiting: list[Seat] = []
        self._closed = False

    def walkers(self, framework: Atoms, molecule_symbols: tuple[str, ...]) -> Walkers:
        """The configurations of this group; raises BadInputError for another framework than the first."""
        host = (
            framework.numbers.tobytes(),
            framework.positions.tobytes(),
            np.array(framework.cell).tobytes(),
            tuple(molecule_symbols),
        )
        with self.lock:
            if self._walkers is None:
                self._walkers = self.source.walkers(framework, molecule_symbols, n_walkers=len(self.seats))
                self._host = host
        if host != self._host:
            raise BadInputError(
                "simulations run together",
                expected="the same framework and molecule for all",
                found="another one",
                action="run them one after the other",
            )
        return self._walkers

    def wait(self, seat: Seat) -> None:
        """Return once the trial that `seat` has noted is evaluated."""
        with self.lock:
            self.check_open()
            self._waiting.append(seat)
            if len(self._waiting) == self._present:
                self._evaluate()
        seat.gate.acquire()
        self.check_open()

    def leave(self) -> None:
        """One thread is done."""
        with self.lock:
            self._present -= 1
            if self._waiting and len(self._waiting) == self._present:
                self._evaluate()

    def close(self) -> None:
        """Wake every waiting thread with GroupClosedError, now and from now on."""
        with self.lock:
            self._closed = True
            self._release()

    def check_open(self) -> None:
        """Raise GroupClosedError after `close`."""
        if self._closed:
            raise GroupClosedError("another simulation of the group failed")

    def _evaluate(self) -> None:
        assert self._walkers is not None
        try:
            self._walkers.evaluate(sorted(seat.number for seat in self._waiting))
        except BaseException:
            self._closed = True
            raise
        finally:
            self._release()

    def _release(self) -> None:
        waiting, self._waiting = self._waiting, []
        for seat in waiting:
            seat.gate.release()


@dataclass(frozen=True)
class Seating:
    """One potential per thread, and the seat each belongs to."""

    potentials: tuple[Potential, ...]
    seats: tuple[Seat, ...]

    @contextmanager
    def sitting(self, number: int) -> Iterator[Potential]:
        """Inside, thread `number` takes part with this potential; nobody waits for it once it has left."""
        try:
            yield self.potentials[number]
        finally:
            self.seats[number].group.leave()

    def close(self) -> None:
        """End the work of all threads with GroupClosedError."""
        for seat in self.seats:
            seat.group.close()

    def wrapped(self, wrap: Callable[[Potential], Potential]) -> Seating:
        """The same seats with every potential inside another one."""
        return Seating(tuple(wrap(potential) for potential in self.potentials), self.seats)


def seating(potential: Potential, n: int) -> Seating | None:
    """Potentials for `n` threads whose trials are evaluated together; None where `potential` cannot do that."""
    make: Callable[[int], Seating | None] | None = getattr(potential, "together", None)
    return None if make is None else make(n)


class Seat:
    """`Potential` for one thread of a group."""

    def __init__(self, group: Group, number: int) -> None:
        self.group, self.number = group, number
        self.gate = threading.Lock()
        self.gate.acquire()

    def start(self, framework: Atoms, molecule_symbols: tuple[str, ...], guests_ang: np.ndarray) -> IncrementalSession:
        """See `Potential.start`; a thread's new session ends its earlier one."""
        walkers = self.group.walkers(framework, molecule_symbols)
        with self.group.lock:
            return _SeatSession(self, walkers, guests_ang)

    def molecule_energy_ev(self, molecule_symbols: tuple[str, ...], sites_ang: np.ndarray) -> float:
        """See `Potential.molecule_energy_ev`."""
        with self.group.lock:
            return self.group.source.molecule_energy_ev(molecule_symbols, sites_ang)


class _SeatSession(IncrementalSession):
    """A session whose trials wait for those of the others."""

    def __init__(self, seat: Seat, walkers: Walkers, guests_ang: np.ndarray) -> None:
        self._seat = seat
        super().__init__(walkers, seat.number, guests_ang)

    def trial(self, remove: int | None, insert_ang: np.ndarray | None) -> float:
        """See `EnergySession.trial`."""
        with self._seat.group.lock:
            self._walkers.ask(self._number, remove, insert_ang)
        self._seat.group.wait(self._seat)
        return self._walkers.answer(self._number)

    def accept(self) -> None:
        """See `EnergySession.accept`."""
        with self._seat.group.lock:
            super().accept()

    def recompute_ev(self) -> float:
        """See `EnergySession.recompute_ev`."""
        with self._seat.group.lock:
            return super().recompute_ev()

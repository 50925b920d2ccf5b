"""The state of one simulation: all that a continuation needs, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MOVE_NAMES = ("insertion", "deletion", "translation", "rotation", "reinsertion")
_BLOCK = 4096


class UniformStream:
    """Uniform numbers in [0, 1), drawn in blocks; `state` restores it between any two numbers."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._refill()

    def _refill(self) -> None:
        self._block_state = self._rng.bit_generator.state
        self._numbers = self._rng.random(_BLOCK).tolist()
        self._next = 0

    def __call__(self) -> float:
        """The next number."""
        if self._next == _BLOCK:
            self._refill()
        number: float = self._numbers[self._next]
        self._next += 1
        return number

    @property
    def state(self) -> tuple[Mapping[str, Any], int]:
        """Generator state at the start of the block (JSON-able), and how many numbers of it are used."""
        return self._block_state, self._next

    @classmethod
    def restored(cls, state: tuple[Mapping[str, Any], int]) -> UniformStream:
        """A stream that continues from `state`."""
        block_state, used = state
        bit_generator = getattr(np.random, block_state["bit_generator"])()
        bit_generator.state = block_state
        stream = cls(np.random.Generator(bit_generator))
        stream._next = used
        return stream


@dataclass
class MoveCounts:
    """Of one kind of move: attempted, energy evaluated, accepted."""

    attempted: int = 0
    evaluated: int = 0
    accepted: int = 0


@dataclass
class Walker:
    """State of one simulation.

    guests : sites (n_sites, 3) Å of each molecule, in the order the energy session holds them; never written into
    energy_ev : running energy of the configuration
    translation_ang, rotation_rad : present move sizes
    moves_done : including equilibration
    counts : per move, in the order of MOVE_NAMES
    max_drift_ev : largest difference a self-check has found
    """

    uniform: UniformStream
    guests: list[np.ndarray]
    energy_ev: float
    translation_ang: float
    rotation_rad: float
    moves_done: int = 0
    counts: list[MoveCounts] = field(default_factory=lambda: [MoveCounts() for _ in MOVE_NAMES])
    max_drift_ev: float = 0.0

    def apply(self, remove: int | None, insert_ang: np.ndarray | None) -> None:
        """Change the molecules as an energy session does: append, replace, or last into the freed index."""
        guests = self.guests
        if remove is None:
            if insert_ang is not None:
                guests.append(insert_ang)
        elif insert_ang is not None:
            guests[remove] = insert_ang
        else:
            last = guests.pop()
            if remove < len(guests):
                guests[remove] = last

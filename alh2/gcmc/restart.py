"""Restart files: all that a run needs to go on as if it had never stopped.

Running sums of an incremental potential depend on how they came about, in their last digits. So a run with a restart
file computes its energy afresh every `every` moves, whether or not a file is written there, and stops only at such
points: the continued run has the same numbers as the uninterrupted one, bit for bit.
"""

from __future__ import annotations

import io
import json
import math
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_bytes
from alh2.gcmc.energy_grid import HostEnergyGrid
from alh2.gcmc.errors import InterruptedRunError

VERSION = 1
PATIENCE_S = 10.0
"""A stop on request waits for the next restart point where that is expected within this time."""
_SAFETY = 1.5
_META = ("moves_done", "counts", "seen", "n_initial", "trajectory_bytes", "uniform", "inputs", "extra")
_ARRAYS = (
    "numbers",
    "guests",
    "energies",
    "scalars",
    "frame_moves",
    "frame_numbers",
    "frame_energies",
    "frame_guests",
    "frame_hosts",
    "host_energies",
)


@dataclass(frozen=True, eq=False)
class RestartSettings:
    """Where and how often a run leaves its state, and when it stops to be continued later.

    file : the restart file; where it exists the run continues from it
    every : moves between points from which the run can be continued
    write_every_s : at most one write within this many seconds (0: at every such point)
    deadline_s : value of ``time.monotonic()`` before which the run stops, e.g. a job's end; None: none
    stop : asked between moves; the run stops soon after it returns True
    identity : of what the run cannot see itself, e.g. the digest of the model file
    """

    file: Path
    every: int = 1000
    write_every_s: float = 30.0
    deadline_s: float | None = None
    stop: Callable[[], bool] | None = None
    identity: str = ""

    def __post_init__(self) -> None:
        if self.every < 1 or int(self.every) != self.every:
            raise BadInputError("restart every", expected="a whole number of moves >= 1", found=f"{self.every}")
        if not (math.isfinite(self.write_every_s) and self.write_every_s >= 0.0):
            raise BadInputError("write_every_s", expected="seconds >= 0", found=f"{self.write_every_s}")


@dataclass(frozen=True, eq=False)
class RestartState:
    """Content of a restart file.

    inputs : what the run was started with, name to value; a run continues only where all are the same
    counts : (n_moves, 3) attempted, evaluated, accepted; seen : those the size adaptation has used
    uniform : state of the random stream; scalars : energy_ev, translation_ang, rotation_rad, max_drift_ev
    numbers, energies : samples so far; guests : (n_molecules, n_sites, 3) Å
    frame_moves, frame_numbers, frame_energies, frame_guests : stored frames, their molecules one after the other
    frame_hosts, host_energies : of flexible frameworks, per frame and per sample
    trajectory_bytes : length of the trajectory file at this point; extra : of the kind of run
    """

    inputs: Mapping[str, str]
    moves_done: int
    counts: list[list[int]]
    seen: list[list[int]]
    n_initial: int
    uniform: list[Any]
    trajectory_bytes: int
    scalars: np.ndarray
    guests: np.ndarray
    numbers: np.ndarray
    energies: np.ndarray
    frame_moves: np.ndarray
    frame_numbers: np.ndarray
    frame_energies: np.ndarray
    frame_guests: np.ndarray
    frame_hosts: np.ndarray
    host_energies: np.ndarray
    extra: Mapping[str, Any]


def write_restart(path: Path, state: RestartState) -> None:
    """Replace `path` by `state` in one step."""
    values = {name: getattr(state, name) for name in _META}
    text = json.dumps({"version": VERSION, **values})
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {name: getattr(state, name) for name in _ARRAYS}
    np.savez(buffer, meta=np.frombuffer(text.encode(), dtype=np.uint8), **arrays)
    atomic_write_bytes(path, buffer.getvalue())


def read_restart(path: Path) -> RestartState | None:
    """State in `path`, None where there is no file; raises BadInputError for a file of another kind or version."""
    if not path.exists():
        return None
    try:
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as data:
            meta = json.loads(bytes(data["meta"]).decode())
            arrays = {name: data[name] for name in _ARRAYS}
            version = meta.pop("version")
        if version == VERSION:
            return RestartState(**meta, **arrays)
        found = f"version {version}"
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        found = f"{type(error).__name__}: {error}".splitlines()[0]
    raise BadInputError(
        str(path), expected=f"a restart file of version {VERSION}", found=found, action="remove it to start afresh"
    )


def check_same_inputs(path: Path, before: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Raise BadInputError naming the inputs that differ from those of the restart file `path`."""
    for name in dict.fromkeys((*before, *now)):
        old, new = before.get(name, "not given"), now.get(name, "not given")
        if old != new:
            raise BadInputError(
                str(path),
                expected=f"a run started with the same inputs ({name} was {old or 'empty'})",
                found=f"{name} {new or 'empty'}",
                action="repeat the first command, or remove the file to start afresh",
            )


class Keeper:
    """Decides when a restart file is written and when the run stops."""

    def __init__(self, settings: RestartSettings) -> None:
        self._settings = settings
        self._written = self._point = time.monotonic()
        self._interval_s = self._per_move_s = 0.0
        self._kept_moves = 0

    def at_point(self, done: int, total: int, state: Callable[[], RestartState]) -> None:
        """Call at each restart point after `done` moves; raises InterruptedRunError where the run must stop."""
        settings, now = self._settings, time.monotonic()
        last = now - self._point
        self._point = now
        self._interval_s = max(last, 0.5 * self._interval_s)
        self._per_move_s = last / settings.every
        stops = done < total and (self._asked() or self._no_time(now))
        slow = last > 0.5 * PATIENCE_S
        if stops or slow or done in (0, total) or now - self._written >= settings.write_every_s:
            write_restart(settings.file, state())
            self._written, self._kept_moves = time.monotonic(), done
        if stops:
            raise InterruptedRunError(done, total)

    def between(self, done: int, total: int) -> None:
        """Call between restart points: stops at once where the next one is too far to wait for.

        What was done since the last restart point is then lost, and done again the same way.
        """
        now, deadline = time.monotonic(), self._settings.deadline_s
        gone = done % self._settings.every
        late = deadline is not None and now >= deadline
        if late or (self._asked() and (self._settings.every - gone) * self._per_move_s > PATIENCE_S):
            raise InterruptedRunError(self._kept_moves, total)
        self._per_move_s = max(self._per_move_s, (now - self._point) / gone if gone else 0.0)

    def _asked(self) -> bool:
        return self._settings.stop is not None and self._settings.stop()

    def _no_time(self, now: float) -> bool:
        deadline = self._settings.deadline_s
        return deadline is not None and now + _SAFETY * self._interval_s >= deadline


def describe_settings(settings: Any, *, leave_out: tuple[str, ...]) -> dict[str, str]:
    """Fields of a settings dataclass as text for `RestartState.inputs`, arrays by value."""
    described = {}
    for name, value in ((f, getattr(settings, f)) for f in settings.__dataclass_fields__):
        if name not in leave_out:
            described[name] = repr(value.tolist() if isinstance(value, np.ndarray) else _plain(value))
    return described


def _plain(value: Any) -> Any:
    if isinstance(value, HostEnergyGrid):
        return value.digest
    return asdict(value) if hasattr(value, "__dataclass_fields__") else value

"""One driver per campaign directory.

The kernel's `flock` decides (it is released by any death of the driver); host, pid and heartbeat in the file are
for people and for file systems on which locks do not cross hosts. A thread keeps the heartbeat fresh while a stage
waits for hours, and looks whether the driver is asked to stop.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from alh2.core.errors import BadInputError, NeedsPersonError

STALE_AFTER_S = 600.0
BEAT_EVERY_S = 30.0
LOOK_EVERY_S = 2.0
STOP_REQUEST = "stop.requested"


@dataclass(frozen=True)
class Owner:
    """The driver that a lock file names; age_s : since its last heartbeat."""

    host: str
    pid: int
    age_s: float

    @property
    def here(self) -> bool:
        """Whether it runs on this computer."""
        return self.host == socket.gethostname()

    @property
    def fresh(self) -> bool:
        """Whether its heartbeat is recent; one from the future is a clock that was set back."""
        return abs(self.age_s) < STALE_AFTER_S

    def __str__(self) -> str:
        seen = f"last seen {self.age_s:.0f} s ago" if self.age_s >= -1 else "its clock is ahead of this one"
        return f"host {self.host}, pid {self.pid}, {seen}"


class DriverLock:
    """Context manager that holds the campaign directory; raises NeedsPersonError naming the driver that has it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None
        self._guard = threading.Lock()
        self._ended = threading.Event()
        self._request = path.with_name(STOP_REQUEST)
        self._told = False

    def __enter__(self) -> DriverLock:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise BadInputError(
                str(self._path.parent),
                expected="a folder that can be written",
                found=error.strerror or str(error),
                action="mend that, or choose another --workdir",
            ) from None
        if not _locked(fd):
            owner = _read_owner(fd)
            os.close(fd)
            raise NeedsPersonError(
                f"{self._path.parent}: another driver is at work here ({owner or 'host and pid not recorded yet'}); "
                "wait for it or stop it"
            )
        other = _read_owner(fd)
        if other is not None and other.fresh and not other.here:
            os.close(fd)
            raise NeedsPersonError(
                f"{self._path.parent}: a driver on another host was alive recently ({other}); "
                f"if it is dead, remove {self._path} and run again"
            )
        self._fd = fd
        self._ended.clear()
        self._request.unlink(missing_ok=True)
        self.beat()
        threading.Thread(target=self._keep_beating, name="heartbeat", daemon=True).start()
        return self

    @property
    def asked_to_stop(self) -> bool:
        """Whether ``alh2 stop`` asked for it."""
        return self._request.exists()

    def beat(self) -> None:
        """Refresh the heartbeat."""
        with self._guard:
            if self._fd is None:
                return
            owner = {"host": socket.gethostname(), "pid": os.getpid(), "heartbeat": time.time()}
            os.pwrite(self._fd, (json.dumps(owner) + "\n").ljust(200).encode(), 0)

    def _keep_beating(self) -> None:
        beaten = time.monotonic()
        while not self._ended.wait(min(LOOK_EVERY_S, BEAT_EVERY_S)):
            if time.monotonic() - beaten >= BEAT_EVERY_S:
                beaten = time.monotonic()
                with contextlib.suppress(OSError):
                    self.beat()
            if self.asked_to_stop and not self._told:
                self._told = True
                os.kill(os.getpid(), signal.SIGTERM)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        with self._guard:
            if self._fd is not None:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._fd, 0)
                os.close(self._fd)
                self._fd = None


def _locked(fd: int) -> bool:
    """Take the lock; someone who only looks holds it for a moment, so that it is tried again."""
    for _ in range(5):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(0.1)
    return False


def _read_owner(fd: int) -> Owner | None:
    try:
        owner = json.loads(os.pread(fd, 4096, 0).decode())
        return Owner(str(owner["host"]), int(owner["pid"]), time.time() - owner["heartbeat"])
    except (ValueError, KeyError, TypeError):
        return None


def driver_at(path: Path) -> Owner | None:
    """The driver at work, None where there is none: the lock is held here, or another host's heartbeat is fresh."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        owner = _read_owner(fd)
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return owner or Owner("unknown", 0, 0.0)
    finally:
        os.close(fd)
    return owner if owner is not None and not owner.here and owner.fresh else None


def is_held(path: Path) -> bool:
    """Whether a driver is at work now."""
    return driver_at(path) is not None

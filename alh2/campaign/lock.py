"""One driver per campaign directory.

The kernel's `flock` decides (it is released by any death of the driver); host, pid and heartbeat in the file are
for people and for file systems on which locks do not cross hosts. A thread keeps the heartbeat fresh while a stage
waits for hours.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
from pathlib import Path
from types import TracebackType

from alh2.core.errors import NeedsPersonError

STALE_AFTER_S = 600.0
BEAT_EVERY_S = 30.0


class DriverLock:
    """Context manager that holds the campaign directory; raises NeedsPersonError naming the driver that has it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None
        self._guard = threading.Lock()
        self._ended = threading.Event()

    def __enter__(self) -> DriverLock:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _read_owner(fd)
            os.close(fd)
            raise NeedsPersonError(
                f"{self._path.parent}: another driver is at work here ({owner}); wait for it or stop it"
            ) from None
        other = _fresh_owner_elsewhere(fd)
        if other is not None:
            os.close(fd)
            raise NeedsPersonError(
                f"{self._path.parent}: a driver on another host was alive recently ({other}); "
                f"if it is dead, remove {self._path} and run again"
            )
        self._fd = fd
        self._ended.clear()
        self.beat()
        threading.Thread(target=self._keep_beating, name="heartbeat", daemon=True).start()
        return self

    def beat(self) -> None:
        """Refresh the heartbeat."""
        with self._guard:
            if self._fd is None:
                return
            owner = {"host": socket.gethostname(), "pid": os.getpid(), "heartbeat": time.time()}
            os.pwrite(self._fd, (json.dumps(owner) + "\n").ljust(200).encode(), 0)

    def _keep_beating(self) -> None:
        while not self._ended.wait(BEAT_EVERY_S):
            with contextlib.suppress(OSError):
                self.beat()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        with self._guard:
            if self._fd is not None:
                os.ftruncate(self._fd, 0)
                os.close(self._fd)
                self._fd = None


def _read_owner(fd: int) -> str:
    try:
        owner = json.loads(os.pread(fd, 4096, 0).decode())
        age = time.time() - owner["heartbeat"]
        return f"host {owner['host']}, pid {owner['pid']}, last seen {age:.0f} s ago"
    except (ValueError, KeyError, TypeError):
        return "host and pid not recorded yet"


def _fresh_owner_elsewhere(fd: int) -> str | None:
    """The recorded owner, where it is another host with a heartbeat younger than STALE_AFTER_S."""
    try:
        owner = json.loads(os.pread(fd, 4096, 0).decode())
        fresh = time.time() - owner["heartbeat"] < STALE_AFTER_S
        elsewhere = owner["host"] != socket.gethostname()
    except (ValueError, KeyError, TypeError):
        return None
    return _read_owner(fd) if fresh and elsewhere else None


def is_held(path: Path) -> bool:
    """Whether a driver on this host holds the lock now."""
    if not path.exists():
        return False
    fd = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False

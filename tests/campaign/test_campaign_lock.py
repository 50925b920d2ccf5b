"""One driver per campaign directory; a dead one is no obstacle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from alh2.campaign import lock as lock_module
from alh2.campaign.lock import STALE_AFTER_S, DriverLock, is_held
from alh2.core.errors import NeedsPersonError

HOLDER = """
import sys, time
from pathlib import Path
from alh2.campaign.lock import DriverLock
with DriverLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the lock is."""
    return tmp_path / "driver.lock"


def _holder(path: Path) -> subprocess.Popen[str]:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_second_driver_is_refused_and_told_host_and_pid(path: Path) -> None:
    holder = _holder(path)
    try:
        assert is_held(path)
        with pytest.raises(NeedsPersonError) as refusal, DriverLock(path):
            pass
        assert refusal.value.exit_code == 1
        assert f"host {os.uname().nodename}, pid {holder.pid}, last seen" in str(refusal.value)
    finally:
        holder.kill()
        holder.communicate()


def test_lock_of_a_killed_driver_is_no_obstacle(path: Path) -> None:
    holder = _holder(path)
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert json.loads(path.read_text())["pid"] == holder.pid  # it could not tidy up
    assert not is_held(path)
    with DriverLock(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()
        assert is_held(path)
    assert not is_held(path)


def _from_elsewhere(path: Path, age_s: float) -> None:
    path.write_text(json.dumps({"host": "other.cluster", "pid": 7, "heartbeat": time.time() - age_s}))


def test_fresh_heartbeat_from_another_host_is_respected(path: Path) -> None:
    _from_elsewhere(path, 30.0)
    with pytest.raises(NeedsPersonError, match=r"host other\.cluster, pid 7.*remove .*driver\.lock"), DriverLock(path):
        pass


def test_stale_heartbeat_from_another_host_is_not(path: Path) -> None:
    _from_elsewhere(path, STALE_AFTER_S + 1.0)
    with DriverLock(path):
        assert is_held(path)


def test_torn_lock_file_is_no_obstacle(path: Path) -> None:
    path.write_text('{"host": "oth')
    with DriverLock(path):
        assert is_held(path)


def test_heart_beats_while_nothing_happens(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "BEAT_EVERY_S", 0.05)
    with DriverLock(path):
        first = json.loads(path.read_text())["heartbeat"]
        limit = time.monotonic() + 10
        while json.loads(path.read_text())["heartbeat"] == first:
            assert time.monotonic() < limit
            time.sleep(0.02)


def test_is_held_makes_no_file(path: Path) -> None:
    assert not is_held(path)
    assert not path.exists()

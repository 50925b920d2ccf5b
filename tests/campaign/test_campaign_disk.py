"""A disk that is full or may not be written, a clock that jumps, a task folder that someone deletes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ALH2 = str(Path(sys.executable).parent / "alh2")
QUIET = {"frames_per_loading": 1, "loadings": [0, 1], "gas_frames": 1, "gas_pair_frames": 1, "label_bare_hosts": False}


@pytest.fixture
def few_labels(inputs: Any, param_content: Any) -> Any:
    """A campaign with few first labels, whose trainings fail at once so that it ends there."""
    param_content["alh2"]["bootstrap"] |= QUIET
    inputs.write_param(param_content)
    inputs.command("train", "/bin/false")
    return inputs


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB; only root can make one."""
    mount = tmp_path / "disk"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", str(mount)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"no small file system can be mounted: {done.stderr.strip()}")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


def run(inputs: Any, workdir: Path) -> subprocess.CompletedProcess[str]:
    command = [ALH2, "run", str(inputs.param), str(inputs.machine), "--workdir", str(workdir)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def reached_training(ended: subprocess.CompletedProcess[str]) -> bool:
    return ended.returncode == 1 and "training failed 3 times" in ended.stderr


def test_full_disk_is_one_line_and_the_same_command_goes_on(few_labels: Any, small_disk: Path) -> None:
    filler = small_disk / "filler"
    disk = os.statvfs(small_disk)
    filler.write_bytes(b"x" * (disk.f_bavail * disk.f_bsize - 60_000))  # room for the beginning, not for the labels
    ended = run(few_labels, small_disk / "run")
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("alh2: ") and "No space left on device" in line
    filler.unlink()
    assert reached_training(run(few_labels, small_disk / "run"))
    logs = list((small_disk / "run" / "init").glob("**/runs.log"))
    assert len(logs) >= 4
    for log in logs:
        assert log.read_text().count("end 0") == 1


def test_read_only_directory_is_one_line(few_labels: Any, small_disk: Path) -> None:
    workdir = small_disk / "run"
    workdir.mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    ended = run(few_labels, workdir)
    assert ended.returncode in (1, 2)
    (line,) = ended.stderr.splitlines()
    assert line.startswith("alh2: ") and "Read-only file system" in line


def test_deleted_folders_are_made_again_and_a_clock_that_jumps_holds_nothing_up(
    few_labels: Any, tmp_path: Path
) -> None:
    """Everything of an earlier driver seems to come from next year, its lock included; state and dataset are gone."""
    workdir = tmp_path / "run"
    assert reached_training(run(few_labels, workdir))
    before = {str(p.relative_to(workdir)): p.read_bytes() for p in (workdir / "dataset").rglob("*") if p.is_file()}
    deleted = next((workdir / "init" / "02.fp").glob("task.001.*"))
    shutil.rmtree(deleted)
    shutil.rmtree(workdir / "dataset")
    (workdir / "state.json").unlink()
    future = time.time() + 365 * 86400.0
    for path in workdir.rglob("*"):
        os.utime(path, (future, future), follow_symlinks=False)
    owner = {"host": os.uname().nodename, "pid": 1, "heartbeat": future}
    (workdir / "driver.lock").write_text(json.dumps(owner))
    assert reached_training(run(few_labels, workdir))
    after = {str(p.relative_to(workdir)): p.read_bytes() for p in (workdir / "dataset").rglob("*") if p.is_file()}
    assert after == before
    assert all(log.read_text().count("start") == 1 for log in (workdir / "init").glob("**/runs.log"))
    assert (deleted / "runs.log").exists()

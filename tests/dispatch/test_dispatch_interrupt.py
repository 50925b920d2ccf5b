"""A driver that dies: its job goes on, the next driver attaches, no task ends twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

DRIVER = """
import json, sys
from pathlib import Path
from alh2.config.model import StageMachine
from alh2.dispatch import Task, run_tasks

base, n = Path(sys.argv[1]), int(sys.argv[2])
machine = StageMachine({"batch_type": "Shell", "context_type": "LazyLocalContext"}, {"group_size": 0}, "", 2)
gate = '[ "$(cat in)" = "input 0" ] || until [ -e ../go ]; do sleep 0.05; done; ' if len(sys.argv) > 3 else ""
command = gate + "echo s >> ../events; sleep 0.3; echo e >> ../events; echo $(cat in) >> ../ran; cat in > out"
tasks = []
for i in range(n):
    folder = base / f"task.{i:03d}"
    folder.mkdir(exist_ok=True)
    (folder / "in").write_text(f"input {i}")
    tasks.append(Task(folder, command, ("in",), ("out",), 20.0, f"t{i}"))
outcomes = run_tasks(tasks, machine=machine, base_dir=base, name="label", poll_s=0.05)
print(json.dumps([o.status for o in outcomes]))
"""


def start(base: Path, n_tasks: int, *, gate: bool = False) -> subprocess.Popen[str]:
    """A driver; with `gate` all tasks but the first wait for the file ``go``."""
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(base), str(n_tasks), *(["gate"] if gate else [])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=base,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job of a shell's background ignores it
    )


def wait_for_lines(path: Path, n_lines: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if path.exists() and len(path.read_text().split("\n")) > n_lines:
            return
        time.sleep(0.02)
    raise AssertionError(f"{path} did not reach {n_lines} lines")


def check_all_ran_once(base: Path, n_tasks: int) -> None:
    assert sorted((base / "ran").read_text().splitlines()) == sorted(f"input {i}" for i in range(n_tasks))
    running = most = 0
    for event in (base / "events").read_text().split():
        running += 1 if event == "s" else -1
        most = max(most, running)
    assert most == 2


@pytest.mark.parametrize(
    ("how", "whole_group"),
    [(signal.SIGKILL, False), (signal.SIGKILL, True), (signal.SIGINT, True), (signal.SIGTERM, False)],
)
def test_rerun_attaches_to_the_running_job(tmp_path: Path, how: signal.Signals, whole_group: bool) -> None:
    n_tasks = 6
    driver = start(tmp_path, n_tasks)
    wait_for_lines(tmp_path / "ran", 1)
    (os.killpg if whole_group else os.kill)(driver.pid, how)
    driver.communicate()
    assert driver.returncode == -how
    ids = {p.read_text() for p in (tmp_path / ".dispatch" / "label").glob("*_job_id")}
    assert len(ids) == 1
    again = start(tmp_path, n_tasks)
    stdout, stderr = again.communicate(timeout=60)
    assert (json.loads(stdout), stderr) == (["done"] * n_tasks, "")
    check_all_ran_once(tmp_path, n_tasks)
    assert not (tmp_path / ".dispatch" / "label").exists()
    assert not (tmp_path / "dpdispatcher.log").exists()
    log = tmp_path / ".dispatch" / "dpdispatcher.log"
    if not (whole_group and how in (signal.SIGKILL, signal.SIGTERM)):
        assert not log.exists() or "lost" not in log.read_text()


def test_killed_before_the_state_file_was_written(tmp_path: Path) -> None:
    driver = start(tmp_path, 4, gate=True)
    wait_for_lines(tmp_path / "ran", 1)
    os.kill(driver.pid, signal.SIGKILL)
    driver.communicate()
    control = tmp_path / ".dispatch" / "label"
    for state in control.glob("*.json"):
        if state.name != "submitted.json":
            state.unlink()
    again = start(tmp_path, 4, gate=True)
    log = tmp_path / ".dispatch" / "dpdispatcher.log"
    wait_for_lines(log, 1)
    assert "adopted id" in log.read_text()
    (tmp_path / "go").touch()
    stdout, _ = again.communicate(timeout=60)
    assert json.loads(stdout) == ["done"] * 4
    check_all_ran_once(tmp_path, 4)


@pytest.mark.parametrize("torn", ["", '{"work_base": ', "{}"])
def test_torn_state_file_is_left_out_of_account(tmp_path: Path, torn: str) -> None:
    driver = start(tmp_path, 3)
    wait_for_lines(tmp_path / "ran", 1)
    os.kill(driver.pid, signal.SIGKILL)
    driver.communicate()
    for path in (tmp_path / ".dispatch" / "label").glob("*.json"):
        path.write_text(torn)
    again = start(tmp_path, 3)
    stdout, stderr = again.communicate(timeout=60)
    assert (json.loads(stdout), stderr) == (["done"] * 3, "")
    check_all_ran_once(tmp_path, 3)


def test_more_tasks_after_a_kill_wait_for_the_first_job(tmp_path: Path) -> None:
    driver = start(tmp_path, 4)
    wait_for_lines(tmp_path / "ran", 1)
    os.kill(driver.pid, signal.SIGKILL)
    driver.communicate()
    again = start(tmp_path, 7)
    stdout, _ = again.communicate(timeout=60)
    assert json.loads(stdout) == ["done"] * 7
    check_all_ran_once(tmp_path, 7)

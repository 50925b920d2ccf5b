"""A campaign that is killed again and again ends with the same dataset as one that is not, and repeats nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

STAGES = ("bootstrap", "train", "explore", "select", "label", "assess", "production", "report")

DRIVER = """
import os, signal, sys
from pathlib import Path
from alh2.campaign import loop
from alh2.campaign.open import open_campaign
from alh2.core.errors import NeedsPersonError

param, machine, workdir, when, stage = sys.argv[1:]
save, begun = loop.save_state, []

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def save_or_die(path, state):
    if when == "before" and begun[-1:] == [stage] and state.stage != stage:
        die()
    begun.append(state.stage)
    save(path, state)

loop.save_state = save_or_die
after = {before: name for before, name in zip(loop.ORDER, loop.ORDER[1:])}
following = {"bootstrap": "train", **after, "assess": "production", "production": "report", "report": "done"}
campaign = open_campaign(Path(param), Path(machine), Path(workdir))
with campaign.lock:
    loop.run(campaign, after_stage=lambda state: die() if state.stage == following[stage] else None)
"""
"""Kills itself when `stage` is done: "before" or "after" its state is written."""


@dataclass
class Interrupted:
    """A campaign that was interrupted: where, and the exit codes of all its drivers."""

    workdir: Path
    codes: list[tuple[str, int]] = field(default_factory=list)
    sigint: tuple[int, str, str] = (0, "", "")
    last: tuple[int, str, str] = (0, "", "")


def _start(command: list[str]) -> subprocess.Popen[str]:
    """A driver in a session of its own, to which signals come as to a program started at a prompt."""
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def _end(driver: subprocess.Popen[str], timeout_s: float) -> tuple[int, str, str]:
    """Exit code and output of a driver that must end in time."""
    try:
        out, err = driver.communicate(timeout=timeout_s)
    finally:
        driver.kill()
    return driver.returncode, out, err


def _wait_for(condition: Callable[[], bool], driver: subprocess.Popen[str]) -> None:
    limit = time.monotonic() + 200
    while not condition():
        if driver.poll() is not None or time.monotonic() > limit:
            driver.kill()
            pytest.fail(f"it did not come so far: {driver.communicate()}")
        time.sleep(0.02)


def _n_records(folder: Path) -> int:
    return len(list(folder.glob("*/task.done")))


@pytest.fixture(scope="module")
def interrupted(base_inputs: Any, tmp_path_factory: pytest.TempPathFactory) -> Interrupted:
    """Killed in the middle of both label stages, stopped by Ctrl-C while training, killed twice after every stage."""
    root = tmp_path_factory.mktemp("interrupted")
    run = Interrupted(root / "run")
    script = root / "driver.py"
    script.write_text(DRIVER)
    files = [str(base_inputs.param), str(base_inputs.machine)]
    command = [str(Path(sys.executable).parent / "alh2"), "run", *files, "--workdir", str(run.workdir)]

    def kill_when(condition: Callable[[], bool], name: str) -> None:
        driver = _start(command)
        _wait_for(condition, driver)
        driver.kill()
        run.codes.append((name, _end(driver, 60)[0]))

    def die(when: str, stage: str) -> None:
        done = subprocess.run(
            [sys.executable, str(script), *files, str(run.workdir), when, stage], capture_output=True, text=True
        )
        assert done.returncode == -signal.SIGKILL, (when, stage, done.stdout[-500:], done.stderr[-2000:])
        run.codes.append((f"{when} {stage}", done.returncode))

    iteration = run.workdir / "iter.000000"
    for stage in STAGES:
        if stage == "bootstrap":
            kill_when(lambda: _n_records(run.workdir / "init" / "02.fp") >= 3, "amid bootstrap labels")
        if stage == "train":
            driver = _start(command)
            _wait_for(lambda: bool(list(iteration.glob("00.train/*/runs.log"))), driver)
            os.killpg(driver.pid, signal.SIGINT)  # what Ctrl-C does: the whole foreground group gets it
            run.sigint = _end(driver, 60)
        if stage == "label":
            kill_when(lambda: _n_records(iteration / "02.fp") >= 2, "amid labels")
        die("before", stage)
        die("after", stage)
    driver = _start(command)
    run.last = _end(driver, 300)
    return run


def test_ctrl_c_says_that_jobs_go_on_and_that_the_command_resumes(interrupted: Interrupted) -> None:
    code, out, err = interrupted.sigint
    assert code == 3
    (line,) = err.splitlines()
    assert line.startswith("alh2: interrupted: jobs already started go on")
    assert "the same command resumes" in line
    assert "train" in out.splitlines()[-1]


def test_termination_is_like_ctrl_c(inputs: Any, tmp_path: Path, alh2: Any) -> None:
    command = [str(Path(sys.executable).parent / "alh2"), "run", str(inputs.param), str(inputs.machine)]
    driver = _start([*command, "--workdir", str(tmp_path / "run")])
    _wait_for(lambda: _n_records(tmp_path / "run" / "init" / "02.fp") >= 1, driver)
    second = subprocess.run([*command, "--workdir", str(tmp_path / "run")], capture_output=True, text=True)
    driver.terminate()
    code, _, err = _end(driver, 60)
    assert code == 3
    assert err.startswith("alh2: interrupted: jobs already started go on")
    assert second.returncode == 1
    assert f"another driver is at work here (host {os.uname().nodename}, pid {driver.pid}" in second.stderr
    status = json.loads(alh2("status", tmp_path / "run", "--json").out)
    events = [json.loads(line) for line in (tmp_path / "run" / "journal.jsonl").read_text().splitlines()]
    assert (events[-1]["event"], events[-1]["stage"]) == ("interrupted", status["stage"])
    assert (status["state"], status["driver"]) == ("interrupted", False)
    assert "the same command resumes" in status["message"]
    limit = time.monotonic() + 200
    labels = tmp_path / "run" / "init" / "02.fp"
    while _n_records(labels) < len(list(labels.glob("*/frame.json"))):  # its jobs do go on
        assert time.monotonic() < limit
        time.sleep(0.1)


def test_every_interruption_happened(interrupted: Interrupted) -> None:
    assert len(interrupted.codes) == 2 * len(STAGES) + 2
    assert {code for _, code in interrupted.codes} == {-signal.SIGKILL}
    events = [json.loads(line) for line in (interrupted.workdir / "journal.jsonl").read_text().splitlines()]
    names = [e["event"] for e in events]
    assert names.count("run") == len(interrupted.codes) + 2
    assert [(e["stage"], e["event"]) for e in events if e["event"] == "interrupted"] == [("train", "interrupted")]


def test_the_last_driver_finished_the_campaign(interrupted: Interrupted) -> None:
    code, _, err = interrupted.last
    assert code == 1
    assert err.startswith("alh2: not converged after 1 iterations")  # as the uninterrupted one says
    assert (interrupted.workdir / "report" / "index.html").exists()


def test_dataset_is_that_of_the_uninterrupted_campaign(interrupted: Interrupted, finished: Any) -> None:
    def content(root: Path) -> dict[str, bytes]:
        return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    ours, other = content(interrupted.workdir / "dataset"), content(finished.dataset_after_one)
    assert sorted(ours) == sorted(other)
    assert [name for name in ours if ours[name] != other[name]] == []


def test_no_program_ran_twice(interrupted: Interrupted) -> None:
    logs = list(interrupted.workdir.glob("**/runs.log"))
    assert len(logs) > 30
    for log in logs:
        lines = log.read_text().splitlines()
        started = [line.removeprefix("start ") for line in lines if line.startswith("start")]
        ended = [line.removeprefix("end 0 ") for line in lines if line.startswith("end")]
        assert started == ended, log
        assert len(started) == len(set(started)), log
    attempts = {p.read_text().split()[3] for p in interrupted.workdir.glob("**/task.done")}
    assert attempts == {"1"}

"""Drivers without a terminal: detached, as a Slurm job that follows itself, stopped, watched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from alh2.campaign.notify import Notifier
from alh2.config.policy import NotifyConfig
from alh2.dispatch.run import Progress

ALH2 = str(Path(sys.executable).parent / "alh2")


def wait_for(condition: Callable[[], Any], timeout_s: float = 120.0) -> Any:
    """What `condition` returns as soon as it is true."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come so far")


@pytest.fixture
def slow_labels(inputs: Any, param_content: Any) -> Any:
    """A campaign whose first labels wait for the file ``go`` beside the param file."""
    param_content["alh2"]["bootstrap"] |= {"frames_per_loading": 1, "gas_frames": 1, "label_bare_hosts": False}
    inputs.write_param(param_content)
    program = inputs.folder / "bin" / "slow"
    program.write_text(
        f"#!/bin/sh\necho start >> runs.log\nuntil [ -e {inputs.folder}/go ]; do sleep 0.2; done\n"
        f'exec {sys.executable} "$@"\n'
    )
    program.chmod(0o755)
    inputs.command("fp", program)
    return inputs


@pytest.fixture
def workdir(slow_labels: Any, tmp_path: Path) -> Iterator[Path]:
    """A campaign directory in which nothing is left running."""
    yield tmp_path / "run"
    if (tmp_path / "run" / "state.json").exists():
        subprocess.run([ALH2, "stop", str(tmp_path / "run"), "--cancel-jobs"], capture_output=True, timeout=200)


def started(workdir: Path) -> list[Path]:
    return list(workdir.glob("init/02.fp/*/runs.log"))


def status_of(alh2: Any, workdir: Path) -> dict[str, Any]:
    return json.loads(alh2("status", workdir, "--json").out)


def test_detached_driver_is_seen_refuses_a_second_and_stops_with_its_jobs(
    slow_labels: Any, workdir: Path, alh2: Any
) -> None:
    arguments = ("run", slow_labels.param, slow_labels.machine, "--workdir", workdir)
    first = alh2(*arguments, "--detach")
    assert (first.code, first.err) == (0, "")
    pid = int(first.out.split("pid ")[1].split()[0])
    wait_for(lambda: len(started(workdir)) == 2)
    status = wait_for(lambda: s if ((s := status_of(alh2, workdir))["jobs"] or {}).get("running") else None)
    assert (status["state"], status["stage"], status["driver"]) == ("running", "bootstrap", True)
    assert status["jobs"] == {"waiting": 0, "running": 1}
    assert "tasks of init.label" in status["waits_for"] and status["size_bytes"] > 1000
    assert status["label_budget"] > status["labels_computed"] == 0
    second = alh2(*arguments, "--detach")
    assert second.code == 1
    assert f"another driver is at work here (host {os.uname().nodename}, pid {pid}" in second.err
    watching = subprocess.Popen(
        [ALH2, "status", str(workdir), "--watch", "--every", "0.2", "--json"], stdout=subprocess.PIPE, text=True
    )
    stopped = alh2("stop", workdir, "--cancel-jobs")
    assert (stopped.code, stopped.err) == (0, "")
    assert stopped.out.splitlines() == [
        f"stopped the driver (host {os.uname().nodename}, pid {pid})",
        "cancelled 1 jobs",
    ]
    seen = [json.loads(line)["driver"] for line in watching.communicate(timeout=60)[0].splitlines()]
    assert seen[-1] is False  # watching ends with the driver
    assert "interrupted" in (workdir / "driver.log").read_text()
    everything = psutil.process_iter
    wait_for(lambda: not any(str(p.info["cwd"] or "").startswith(str(workdir)) for p in everything(["cwd"])))
    assert status_of(alh2, workdir)["state"] == "interrupted"
    assert alh2("stop", workdir).out == "no driver is at work\n"


def test_a_driver_that_cannot_start_says_why(slow_labels: Any, workdir: Path, alh2: Any) -> None:
    workdir.mkdir()
    (workdir / "state.json").write_text("{")
    ended = alh2("run", slow_labels.param, slow_labels.machine, "--workdir", workdir, "--detach")
    assert ended.code == 2
    assert ended.err.startswith(f"alh2: {workdir}/state.json: expected an alh2 campaign state")
    (workdir / "state.json").unlink()


@pytest.mark.slurm
@pytest.mark.slow
def test_driver_as_a_job_follows_itself_and_stops_for_good(
    slow_labels: Any, workdir: Path, alh2: Any, slurm: Any
) -> None:
    def drivers() -> list[list[str]]:
        command = ["squeue", "-h", "-o", "%i %j %T %Z"]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        return [line.split() for line in lines if "alh2-driver-" in line and str(workdir) in line]

    options = ("--job-option=--mem=600", "--job-option=--time=10")
    first = alh2("run", slow_labels.param, slow_labels.machine, "--workdir", workdir, "--as-job", *options)
    assert (first.code, first.err) == (0, "")
    job_id = first.out.split("job ")[1].split()[0]
    wait_for(lambda: len(started(workdir)) == 2)
    wait_for(lambda: sorted(state for *_, state, _ in drivers()) == ["PENDING", "RUNNING"])
    refused = alh2("run", slow_labels.param, slow_labels.machine, "--workdir", workdir)
    assert refused.code == 1 and "another driver is at work" in refused.err
    subprocess.run(["scancel", "--signal=USR1", "--batch", job_id], check=True)  # what Slurm does when time runs out
    wait_for(lambda: [row for row in drivers() if row[0] != job_id and row[2] == "RUNNING"])
    wait_for(lambda: status_of(alh2, workdir)["driver"])
    assert alh2("stop", workdir).out.startswith("stopped the driver (host ")
    wait_for(lambda: not drivers())
    events = [json.loads(line)["event"] for line in (workdir / "journal.jsonl").read_text().splitlines()]
    assert events.count("run") == 2 and events[-1] == "interrupted"
    assert sum(path.read_text().count("start") for path in started(workdir)) == 2  # the same two tasks all the time


def test_notification_tells_what_happened_and_does_not_stop_anything(tmp_path: Path) -> None:
    said: list[str] = []
    command = f'echo "$ALH2_EVENT: $ALH2_MESSAGE in $ALH2_DIR" >> {tmp_path}/told'
    notifier = Notifier(NotifyConfig(command, stuck_after_s=0.2), tmp_path, say=said.append)
    notifier.tell("done", "converged")
    progress = Progress("label", 10, 3, 0, 0, 1.0, trouble="the scheduler has not answered for 60 s")
    notifier.watch(progress)
    time.sleep(0.3)
    notifier.watch(progress)
    notifier.watch(progress)
    lines = (tmp_path / "told").read_text().splitlines()
    assert lines[0] == f"done: converged in {tmp_path}"
    assert len(lines) == 2 and lines[1].startswith("stuck: label: no task has ended for 0.0 h (the scheduler has not")
    Notifier(NotifyConfig("exit 3"), tmp_path, say=said.append).tell("done", "x")
    assert said == ["note: the notification command ended with code 3"]

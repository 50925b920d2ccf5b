"""Tasks through a real Slurm: nothing runs twice, and the ways a job can end are told apart."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alh2.config.model import StageMachine
from alh2.config.policy import TaskPolicy
from alh2.core.errors import NeedsPersonError
from alh2.dispatch import Progress, Task, run_tasks
from alh2.dispatch import slurm as slurm_module

pytestmark = pytest.mark.slurm

minutes = pytest.mark.skipif(
    os.environ.get("ALH2_EXHAUSTIVE") != "1", reason="Slurm waits for minutes; ask for it with ALH2_EXHAUSTIVE=1"
)
POLICY = TaskPolicy(job_retry_count=2, job_wait_s=0.2)
DRIVER = """
import json, sys
from pathlib import Path
from alh2.config.model import StageMachine
from alh2.config.policy import TaskPolicy
from alh2.dispatch import Task, run_tasks

base, n = Path(sys.argv[1]), int(sys.argv[2])
machine = StageMachine(json.loads(sys.argv[3]), json.loads(sys.argv[4]), "", 1, policy=TaskPolicy(job_wait_s=0.2))
command = "echo $(cat in) >> ../ran; until [ -e ../go ]; do sleep 0.1; done; cp in out"
tasks = []
for i in range(n):
    folder = base / f"task.{i:03d}"
    folder.mkdir(exist_ok=True)
    (folder / "in").write_text(f"input {i}")
    tasks.append(Task(folder, command, ("in",), ("out",), 60.0, f"t{i}"))
outcomes = run_tasks(tasks, machine=machine, base_dir=base, name="label", poll_s=0.2)
print(json.dumps([o.status for o in outcomes]))
"""
IN_PLACE = {"batch_type": "Slurm", "context_type": "LazyLocalContext"}


def resources(**changes: Any) -> dict[str, Any]:
    """One processor, 50 MB."""
    asked = {"number_node": 1, "cpu_per_node": 1, "group_size": 1, "custom_flags": ["#SBATCH --mem=50"]}
    return {**asked, **changes}


@pytest.fixture
def machine(slurm: Any) -> StageMachine:
    """Jobs in place, one task each."""
    return StageMachine(IN_PLACE, resources(), "", 1, poll_s=0.2, policy=POLICY)


def wait_for(condition: Callable[[], Any], timeout_s: float = 60.0) -> Any:
    """What `condition` returns as soon as it is true."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come so far")


def meanwhile(work: Callable[[], None]) -> threading.Thread:
    """`work` in a thread of its own."""
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def log_of(base: Path) -> str:
    path = base / ".dispatch" / "dpdispatcher.log"
    return path.read_text() if path.exists() else ""


def job_ids(base: Path) -> list[str]:
    return [path.read_text() for path in base.glob(".dispatch/*/*_job_id") if path.read_text()]


@pytest.mark.parametrize("context", ["LazyLocalContext", "LocalContext"])
def test_tasks_run_once_each_in_groups_or_alone(context, tmp_path, machine, make_task, slurm) -> None:
    remote = {"remote_root": str(tmp_path / "remote")} if context == "LocalContext" else {}
    placed = {"batch_type": "Slurm", "context_type": context, **remote}
    grouped = replace(machine, machine=placed, resources=resources(group_size=4, para_deg=2))
    commands = ["cp in out", "echo no >&2; exit 3", "sleep 20", "echo nothing"]
    tasks = [
        *(make_task(i, command, timeout_s=1.5 if i == 2 else 20) for i, command in enumerate(commands)),
        *(make_task(i, "hostname; cp in out") for i in range(4, 10)),
    ]
    seen: list[Progress] = []
    outcomes = run_tasks(tasks, machine=grouped, base_dir=tmp_path, name="g", on_progress=seen.append)
    assert [o.status for o in outcomes] == ["done", "failed", "timeout", "failed", *["done"] * 6]
    assert outcomes[1].message == "no" and "no output out" in outcomes[3].message
    assert max(progress.jobs_running for progress in seen) > 0
    assert (tmp_path / "task.000007" / "out").read_text() == "input 7\n"
    finished = wait_for(lambda: jobs if len(jobs := slurm.finished(tmp_path)) == 3 else None)
    assert {job.state for job in finished} == {"COMPLETED"} and len({job.name for job in finished}) == 3
    assert run_tasks(tasks, machine=grouped, base_dir=tmp_path, name="g") == outcomes
    assert len(slurm.finished(tmp_path)) == 3


def start(base: Path, n_tasks: int, asked: dict[str, Any], **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", DRIVER, str(base), str(n_tasks), json.dumps(IN_PLACE), json.dumps(asked)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=base,
        env={**os.environ, **environment},
    )


def n_ran(base: Path) -> int:
    path = base / "ran"
    return len(path.read_text().splitlines()) if path.exists() else 0


def finish(base: Path, n_tasks: int, asked: dict[str, Any], slurm: Any, *, n_jobs: int) -> None:
    """A driver to the end: every task ran once, in `n_jobs` jobs with different names."""
    driver = start(base, n_tasks, asked)
    wait_for(lambda: n_ran(base) == n_tasks and "adopted id" in log_of(base))
    (base / "go").touch()
    stdout, stderr = driver.communicate(timeout=120)
    assert (json.loads(stdout), stderr) == (["done"] * n_tasks, "")
    assert Counter((base / "ran").read_text().splitlines()) == Counter(f"input {i}" for i in range(n_tasks))
    finished = wait_for(lambda: jobs if len(jobs := slurm.finished(base)) == n_jobs else None)
    assert len({job.name for job in finished}) == n_jobs


def test_a_driver_killed_at_every_submission_starts_no_job_twice(tmp_path, slurm) -> None:
    """Before each of three submissions, and after Slurm took the job but before anything was noted of it."""
    listed = tmp_path / "places"
    for _ in range(6):
        driver = start(tmp_path, 3, resources(), ALH2_FAULTS=str(listed), ALH2_FAULTS_ONLY="^(before|after) submit ")
        assert driver.wait(timeout=60) == -signal.SIGKILL
    places = [line.split()[0] for line in listed.read_text().splitlines()]
    assert places == ["before", "after"] * 3
    finish(tmp_path, 3, resources(), slurm, n_jobs=3)


def test_changed_resources_do_not_double_jobs_in_flight(tmp_path, slurm) -> None:
    driver = start(tmp_path, 2, resources())
    wait_for(lambda: n_ran(tmp_path) == 2)
    driver.kill()
    driver.communicate()
    finish(tmp_path, 2, resources(custom_flags=["#SBATCH --mem=60"]), slurm, n_jobs=2)
    assert "keep the resources" in log_of(tmp_path)


def test_more_tasks_join_those_in_flight(tmp_path, slurm) -> None:
    driver = start(tmp_path, 2, resources())
    wait_for(lambda: n_ran(tmp_path) == 2)
    driver.kill()
    driver.communicate()
    finish(tmp_path, 4, resources(), slurm, n_jobs=4)


def test_jobs_whose_input_has_changed_are_cancelled(tmp_path, machine, make_task, slurm) -> None:
    driver = start(tmp_path, 2, resources())
    wait_for(lambda: n_ran(tmp_path) == 2)
    driver.kill()
    driver.communicate()
    tasks = []
    for i in range(2):
        (tmp_path / f"task.{i:03d}" / "in").write_text(f"new {i}")
        tasks.append(Task(tmp_path / f"task.{i:03d}", "cp in out", ("in",), ("out",), 60.0, f"t{i}"))
    outcomes = run_tasks(tasks, machine=machine, base_dir=tmp_path, name="label")
    assert [o.status for o in outcomes] == ["done", "done"]
    assert (tmp_path / "task.001" / "out").read_text() == "new 1"
    states = wait_for(lambda: found if len(found := slurm.finished(tmp_path)) == 4 else None)
    assert Counter(job.state for job in states) == {"CANCELLED": 2, "COMPLETED": 2}


def test_out_of_memory_gets_more_memory_and_only_the_guilty_task_is_given_up(
    tmp_path, machine, make_task, slurm
) -> None:
    hungry = f"{sys.executable} -c 'import time; x = b\"x\" * {{}}000000; time.sleep(50)' && cp in out"
    thrifty = f"{sys.executable} -c 'import time; x = b\"x\" * 60000000; time.sleep(4)'; cp in out"
    tasks = [
        make_task(0, thrifty, timeout_s=60),
        make_task(1, hungry.format(400), timeout_s=60),
        make_task(2, "cp in out", timeout_s=60),
    ]
    grouped = replace(machine, resources=resources(group_size=3, para_deg=1), policy=replace(POLICY, job_retry_count=1))
    outcomes = run_tasks(tasks, machine=grouped, base_dir=tmp_path, name="m")
    assert [o.status for o in outcomes] == ["done", "failed", "done"]
    assert outcomes[1].message.startswith("given up: its job was killed for its use of memory again and again")
    assert "was lost: its job was killed for its use of memory" in log_of(tmp_path)
    memory = [job.memory for job in slurm.finished(tmp_path)]
    assert memory[0] == "50M" and "100M" in memory


def test_cancelled_by_the_user_is_submitted_again(tmp_path, machine, make_task, slurm) -> None:
    tasks = [make_task(0, "echo x >> ../ran; sleep 2; cp in out")]

    def cancel() -> None:
        wait_for(lambda: n_ran(tmp_path))
        subprocess.run(["scancel", *job_ids(tmp_path)], check=True)

    thread = meanwhile(cancel)
    outcomes = run_tasks(tasks, machine=machine, base_dir=tmp_path, name="c")
    thread.join()
    assert outcomes[0].status == "done"
    assert "was lost: its job was cancelled; Slurm says CANCELLED" in log_of(tmp_path)


def test_preemption_is_not_held_against_the_task(tmp_path, machine, make_task, slurm) -> None:
    low = replace(
        machine,
        resources=resources(queue_name="low", cpu_per_node=slurm.cpus),
        policy=replace(POLICY, job_retry_count=0),
    )
    tasks = [make_task(0, "echo x >> ../ran; sleep 3; cp in out")]

    def preempt() -> None:
        wait_for(lambda: n_ran(tmp_path))
        command = ["sbatch", "-p", "high", f"-n{slurm.cpus}", "--mem=50", "-o", "/dev/null", "-J", "urgent"]
        subprocess.run([*command, "--wrap", "sleep 1"], check=True, stdout=subprocess.DEVNULL)

    thread = meanwhile(preempt)
    outcomes = run_tasks(tasks, machine=low, base_dir=tmp_path, name="p")
    thread.join()
    assert outcomes[0].status == "done"
    assert "had to make way for another one; Slurm says PREEMPTED" in log_of(tmp_path)


@pytest.mark.parametrize("requeued", [False, pytest.param(True, marks=minutes)])
def test_a_node_that_fails_is_not_held_against_the_task(tmp_path, machine, make_task, slurm, requeued: bool) -> None:
    """Slurm itself puts the job back in the queue, or, where the site does not want that, we submit it again."""
    flags = ["#SBATCH --mem=50", "#SBATCH --requeue" if requeued else "#SBATCH --no-requeue"]
    own = replace(machine, resources=resources(custom_flags=flags), policy=replace(POLICY, job_retry_count=0))
    tasks = [make_task(0, "echo x >> ../ran; [ -e again ] || { touch again; sleep 60; }; cp in out", timeout_s=100)]
    node = socket.gethostname().split(".")[0]

    def fail() -> None:
        wait_for(lambda: n_ran(tmp_path))
        down = ["scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test"]
        subprocess.run(down, check=True)
        time.sleep(1.0)
        slurm.control("start")  # waits for the node

    thread = meanwhile(fail)
    outcomes = run_tasks(tasks, machine=own, base_dir=tmp_path, name="n")
    thread.join()
    assert outcomes[0].status == "done" and n_ran(tmp_path) == 2
    words = "the node of its job failed; Slurm says NODE_FAIL"
    assert (words in log_of(tmp_path)) == (not requeued)
    n_jobs = 1 if requeued else 2
    assert wait_for(lambda: len({job.job_id for job in slurm.finished(tmp_path)}) == n_jobs)


@pytest.mark.slow
def test_a_job_at_its_time_limit_goes_on_with_the_rest(tmp_path, machine, make_task, slurm) -> None:
    """The limit of the queue ends a group of tasks half way; what is done stays done."""
    grouped = replace(machine, resources=resources(group_size=2), policy=replace(POLICY, job_retry_count=1))
    tasks = [
        make_task(0, "echo a >> ../ran; cp in out"),
        make_task(1, "echo b >> ../ran; [ -e again ] || { touch again; sleep 90; }; cp in out", timeout_s=100),
    ]

    def shorten() -> None:
        wait_for(lambda: n_ran(tmp_path) == 2)
        (job_id,) = job_ids(tmp_path)
        subprocess.run(["scontrol", "update", f"JobId={job_id}", "EndTime=now"], check=True)

    thread = meanwhile(shorten)
    outcomes = run_tasks(tasks, machine=grouped, base_dir=tmp_path, name="t")
    thread.join()
    assert [o.status for o in outcomes] == ["done", "done"]
    assert "its job reached the time limit of the queue; Slurm says TIMEOUT" in log_of(tmp_path)
    assert (tmp_path / "ran").read_text().split().count("a") == 1


@pytest.mark.slow
def test_a_controller_that_is_gone_is_waited_for(tmp_path, machine, make_task, slurm, monkeypatch) -> None:
    tasks = [make_task(i, "sleep 1; cp in out") for i in range(2)]
    slurm.control("stop", "slurmctld")
    back = threading.Timer(12.0, slurm.control, ("start",))
    back.start()
    seen: list[Progress] = []
    pauses, sleep = [], time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: (pauses.append(seconds), sleep(seconds)))
    try:
        outcomes = run_tasks(tasks, machine=machine, base_dir=tmp_path, name="o", on_progress=seen.append)
    finally:
        back.join()
    assert max(pauses) < 20.0, "a look that waited for the controller is no reason for a long pause"
    assert [o.status for o in outcomes] == ["done", "done"]
    assert any("has not answered" in progress.trouble for progress in seen)
    assert "was lost" not in log_of(tmp_path)


def test_a_queue_that_lags_behind_starts_nothing_twice(tmp_path, machine, make_task, slurm, monkeypatch) -> None:
    """Sites that answer squeue from a copy do not show a job that was just submitted."""
    monkeypatch.setattr(slurm_module, "QUEUE_COMMAND", "true")
    tasks = [make_task(i, "echo x >> ../ran; sleep 2; cp in out") for i in range(2)]
    outcomes = run_tasks(tasks, machine=machine, base_dir=tmp_path, name="q")
    assert [o.status for o in outcomes] == ["done", "done"]
    assert n_ran(tmp_path) == len(wait_for(lambda: jobs if len(jobs := slurm.finished(tmp_path)) == 2 else None)) == 2


def test_what_slurm_refuses_is_for_a_person(tmp_path, machine, make_task, slurm) -> None:
    wrong = replace(machine, resources=resources(queue_name="no-such-partition"))
    with pytest.raises(NeedsPersonError, match="refuses a job: .*invalid partition.*mend the machine file"):
        run_tasks([make_task(0, "cp in out")], machine=wrong, base_dir=tmp_path, name="w")

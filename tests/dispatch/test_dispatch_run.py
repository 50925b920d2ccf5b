"""Real processes through dpdispatcher on this machine."""

from __future__ import annotations

import logging
import os
import random
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from alh2.config.model import StageMachine
from alh2.config.policy import TaskPolicy
from alh2.core.errors import BadInputError
from alh2.dispatch import Progress, Task, run_tasks
from alh2.dispatch.engine import LOG, Engine, log_to
from alh2.dispatch.placement import place


def largest_overlap(events: Path) -> int:
    """Most tasks running at a time, from a file of "s" (started) and "e" (ended) lines."""
    running = most = 0
    for line in events.read_text().split():
        running += 1 if line == "s" else -1
        most = max(most, running)
    return most


def test_outcomes_in_order_failure_is_data(tmp_path, local_machine, make_task, monkeypatch) -> None:
    home, cwd, base = tmp_path / "home", tmp_path / "cwd", tmp_path
    home.mkdir()
    cwd.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(cwd)
    random.seed(7)
    state = random.getstate()
    seen: list[Progress] = []
    tasks = [
        make_task(0, "cat in > out"),
        make_task(1, "echo starting; echo 'SCF not converged' >&2; exit 3"),
        make_task(2, "echo hung; sleep 30", timeout_s=0.5),
        make_task(3, "echo wrote nothing"),
        make_task(4, "kill -9 $$"),
        make_task(5, "sleep 0.2; cat in > out"),
    ]
    outcomes = run_tasks(
        tasks, machine=local_machine, base_dir=base, name="label", on_progress=seen.append, poll_s=0.05
    )
    assert [o.task for o in outcomes] == tasks
    assert [o.status for o in outcomes] == ["done", "failed", "timeout", "failed", "failed", "done"]
    assert [o.exit_code for o in outcomes][:4] == [0, 3, 124, 0]
    assert outcomes[1].message == "SCF not converged"
    assert outcomes[2].message == "ended after its time limit of 0.5 s: hung" and 0.4 < outcomes[2].wall_s < 5
    assert outcomes[3].message == "exit code 0 but no output out: wrote nothing"
    assert "signal 9" in outcomes[4].message
    assert 0.15 < outcomes[5].wall_s < 5
    assert (seen[0].n_total, seen[0].n_done) == (6, 0)
    assert (seen[-1].n_done, seen[-1].n_failed, seen[-1].n_reused) == (2, 4, 0)
    assert random.getstate() == state
    assert list(home.iterdir()) == [] and list(cwd.iterdir()) == []
    assert [p.name for p in (base / ".dispatch").iterdir()] == ["label.lock"]


def test_never_more_than_n_at_a_time_and_no_lock_step(tmp_path, local_machine, make_task) -> None:
    # one long task beside nine short ones: batches of two would let the short ones wait for the long one
    def command(seconds: float) -> str:
        return f"echo s >> ../events; sleep {seconds}; echo e >> ../events; : > out"

    tasks = [make_task(0, command(1.2)), *(make_task(i, command(0.1)) for i in range(1, 10))]
    run_tasks(tasks, machine=local_machine, base_dir=tmp_path, name="n", poll_s=0.05)
    assert largest_overlap(tmp_path / "events") == 2
    events = (tmp_path / "events").read_text().split()
    assert events.count("e") == 10
    # the long task's end comes last or nearly so: the others went through the second slot meanwhile
    ended = {task.work_dir.name: (tmp_path / task.work_dir / "task.done").stat().st_mtime for task in tasks}
    assert sum(t < ended["task.000000"] for t in ended.values()) >= 5


def test_unchanged_never_again_changed_always(tmp_path, local_machine, make_task) -> None:
    command = "echo $(cat in) >> ../ran; cat in > out"
    first = [make_task(i, command) for i in range(4)]
    run_tasks(first, machine=local_machine, base_dir=tmp_path, name="x", poll_s=0.05)
    assert len((tmp_path / "ran").read_text().splitlines()) == 4
    run_tasks(first, machine=local_machine, base_dir=tmp_path, name="other name", poll_s=0.05)
    assert len((tmp_path / "ran").read_text().splitlines()) == 4
    changed = [make_task(i, command, content="new" if i == 2 else None) for i in range(4)]
    outcomes = run_tasks(changed, machine=local_machine, base_dir=tmp_path, name="x", poll_s=0.05)
    assert (tmp_path / "ran").read_text().splitlines()[4:] == ["new"]
    assert (tmp_path / "task.000002" / "out").read_text() == "new"
    (tmp_path / "task.000001" / "out").unlink()
    outcomes = run_tasks(changed, machine=local_machine, base_dir=tmp_path, name="x", poll_s=0.05)
    assert (tmp_path / "ran").read_text().splitlines()[5:] == ["input 1"]
    assert {o.status for o in outcomes} == {"done"}


def test_all_done_needs_no_job(tmp_path, local_machine, make_task) -> None:
    tasks = [make_task(0, ": > out")]
    run_tasks(tasks, machine=local_machine, base_dir=tmp_path, name="x", poll_s=0.05)
    broken = replace(local_machine, machine={"batch_type": "NoSuchSystem", "context_type": "LazyLocalContext"})
    assert run_tasks(tasks, machine=broken, base_dir=tmp_path, name="x")[0].status == "done"


def test_failed_result_of_the_old_input_is_not_returned(tmp_path, local_machine, make_task) -> None:
    command = "grep -q good in && cp in out"
    bad = run_tasks([make_task(0, command)], machine=local_machine, base_dir=tmp_path, name="x", poll_s=0.05)
    good = run_tasks(
        [make_task(0, command, content="good")], machine=local_machine, base_dir=tmp_path, name="x", poll_s=0.05
    )
    assert [bad[0].status, good[0].status] == ["failed", "done"]


def test_retries_run_only_the_failed_ones(tmp_path, local_machine, make_task) -> None:
    patient = replace(local_machine, policy=TaskPolicy(retry_count=2))
    fails_once = "echo x >> runs; test $(wc -l < runs) -ge 2 && : > out"
    tasks = [make_task(0, fails_once), make_task(1, "echo x >> runs; : > out"), make_task(2, "echo x >> runs; exit 1")]
    outcomes = run_tasks(tasks, machine=patient, base_dir=tmp_path, name="r", poll_s=0.05)
    assert [o.status for o in outcomes] == ["done", "done", "failed"]
    runs = [len((tmp_path / t.work_dir / "runs").read_text().split()) for t in tasks]
    assert runs == [2, 1, 3]
    run_tasks(tasks, machine=patient, base_dir=tmp_path, name="r", poll_s=0.05)
    assert [len((tmp_path / t.work_dir / "runs").read_text().split()) for t in tasks] == runs


def test_longer_limit_runs_a_timeout_again(tmp_path, local_machine, make_task) -> None:
    command = "sleep 0.6; : > out"
    short = run_tasks(
        [make_task(0, command, timeout_s=0.3)], machine=local_machine, base_dir=tmp_path, name="t", poll_s=0.05
    )
    long = run_tasks(
        [make_task(0, command, timeout_s=20)], machine=local_machine, base_dir=tmp_path, name="t", poll_s=0.05
    )
    assert [short[0].status, long[0].status] == ["timeout", "done"]


def test_programs_of_this_environment_and_single_threads(tmp_path, local_machine, make_task, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    machine = replace(local_machine, resources={"group_size": 0, "envs": {"OPENBLAS_NUM_THREADS": 3}})
    command = 'command -v python > out; echo "$OMP_NUM_THREADS $OPENBLAS_NUM_THREADS" >> out'
    run_tasks([make_task(0, command)], machine=machine, base_dir=tmp_path, name="e", poll_s=0.05)
    python, threads = (tmp_path / "task.000000" / "out").read_text().splitlines()
    assert python == str(Path(sys.executable).parent / "python")
    assert threads == "1 3"


def test_two_drivers_at_once_run_each_task_once(tmp_path, local_machine, make_task) -> None:
    command = "echo s >> ../events; sleep 0.1; echo e >> ../events; echo $(cat in) >> ../ran; : > out"
    tasks = [make_task(i, command) for i in range(8)]
    results: list[list[str]] = []

    def drive() -> None:
        outcomes = run_tasks(tasks, machine=local_machine, base_dir=tmp_path, name="d", poll_s=0.05)
        results.append([o.status for o in outcomes])

    drivers = [threading.Thread(target=drive) for _ in range(2)]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    assert results == [["done"] * 8] * 2
    assert sorted((tmp_path / "ran").read_text().splitlines()) == [f"input {i}" for i in range(8)]
    assert largest_overlap(tmp_path / "events") == 2


def test_state_of_a_run_that_another_driver_tidied_up(tmp_path: Path) -> None:
    """Its folder is gone: nothing to keep. A folder that is there and takes no file is an error."""

    def fail() -> None:
        raise FileNotFoundError("state")

    def engine(folder: Path) -> Engine:
        context = SimpleNamespace(remote_root=str(folder))
        submission = SimpleNamespace(submission_to_json=fail, machine=SimpleNamespace(context=context))
        return Engine(submission, SimpleNamespace(in_place=True), None)  # type: ignore[arg-type]

    engine(tmp_path / "gone").save()
    with pytest.raises(FileNotFoundError):
        engine(tmp_path).save()


def test_job_that_was_killed_is_started_again(tmp_path, local_machine, make_task) -> None:
    log = tmp_path / ".dispatch" / "dpdispatcher.log"
    # No task ends before the loss was noticed: a slow driver would find all of them done, and nothing lost.
    held = "until [ -e ../noticed ]; do sleep 0.05; done; "
    tasks = [make_task(i, held + "echo $(cat in) >> ../ran; : > out") for i in range(6)]

    def kill_job() -> None:
        control, deadline, killed = tmp_path / ".dispatch" / "k", time.monotonic() + 15, False
        while time.monotonic() < deadline and not (log.exists() and "was lost" in log.read_text()):
            for id_file in () if killed else control.glob("*_job_id"):
                if job_id := id_file.read_text():
                    os.kill(int(job_id), 9)
                    killed = True
            time.sleep(0.02)
        (tmp_path / "noticed").touch()

    killer = threading.Thread(target=kill_job)
    killer.start()
    outcomes = run_tasks(tasks, machine=local_machine, base_dir=tmp_path, name="k", poll_s=0.05)
    killer.join()
    assert [o.status for o in outcomes] == ["done"] * 6
    assert sorted((tmp_path / "ran").read_text().splitlines()) == [f"input {i}" for i in range(6)]
    assert "was lost" in log.read_text()


def test_log_is_written_though_logging_is_disabled(tmp_path: Path) -> None:
    logging.disable(logging.CRITICAL)
    try:
        with log_to(tmp_path / "log"):
            LOG.warning("a job was lost")
        assert logging.root.manager.disable == logging.CRITICAL
    finally:
        logging.disable(logging.NOTSET)
    assert "a job was lost" in (tmp_path / "log").read_text()


def test_lost_job_is_reported_and_its_siblings_kept(tmp_path, local_machine, make_task) -> None:
    impatient = replace(local_machine, policy=TaskPolicy(job_retry_count=1, job_wait_s=0.05))
    folder = tmp_path / "task.000001"
    tasks = [make_task(0, ": > out"), make_task(1, f"rm -rf {folder}; sleep 0.1"), make_task(2, ": > out")]
    outcomes = run_tasks(tasks, machine=impatient, base_dir=tmp_path, name="l", poll_s=0.05)
    assert [o.status for o in outcomes] == ["done", "failed", "done"]
    assert outcomes[1].exit_code is None
    assert outcomes[1].message == f"its folder {folder} was removed while it waited"


def test_a_task_that_brings_its_job_down_is_left_out_and_the_others_go_on(tmp_path, local_machine, make_task) -> None:
    machine = replace(local_machine, parallel=1, policy=TaskPolicy(job_retry_count=1, job_wait_s=0.05))
    up = "parent() { cut -d' ' -f4 /proc/$1/stat; }; script=$(parent $PPID); xargs=$(parent $script); "
    killer = up + "echo x >> ../killer; kill -9 $xargs $script; sleep 60"
    after = "echo x >> ../after; : > out"
    tasks = [make_task(0, ": > out"), make_task(1, killer, timeout_s=3), make_task(2, after)]
    outcomes = run_tasks(tasks, machine=machine, base_dir=tmp_path, name="l", poll_s=0.05)
    assert [o.status for o in outcomes] == ["done", "failed", "done"]
    assert outcomes[1].message == "given up: its job ended without a trace again and again"
    assert (tmp_path / "after").read_text() == "x\n" and (tmp_path / "killer").read_text() == "x\nx\n"


def test_files_travel_where_jobs_are_not_in_place(tmp_path, local_machine, make_task) -> None:
    base, scratch = tmp_path / "base", tmp_path / "scratch"
    for index in range(3):
        (base / f"task.{index}").mkdir(parents=True)
        (base / f"task.{index}" / "in").write_text(str(index))
    (base / "models").mkdir()
    (base / "models" / "graph.pb").write_text("net")
    machine = replace(
        local_machine,
        machine={"batch_type": "Shell", "context_type": "LocalContext", "remote_root": str(scratch)},
    )
    commands = ["pwd > out; cat in ../models/graph.pb >> out", "echo no >&2; exit 1", ": > sub; echo > out"]
    tasks = [
        Task(Path(f"task.{i}"), c, ("in", "models/graph.pb"), ("out",), 10.0, f"t{i}") for i, c in enumerate(commands)
    ]
    outcomes = run_tasks(tasks, machine=machine, base_dir=base, name="s", poll_s=0.05)
    assert [(o.status, o.message) for o in outcomes] == [("done", ""), ("failed", "no"), ("done", "")]
    where, text = (base / "task.0" / "out").read_text().splitlines()
    assert where.startswith(str(scratch)) and text == "0net"
    assert list(scratch.iterdir()) == []
    assert run_tasks(tasks, machine=machine, base_dir=base, name="s")[0].status == "done"


def test_roots_are_filled_in(tmp_path, local_machine) -> None:
    placed = place(local_machine, tmp_path)
    assert placed.in_place and placed.local and placed.machine["local_root"] == str(tmp_path)
    slurm = replace(local_machine, machine={"batch_type": "Slurm", "context_type": "LazyLocalContext"})
    assert place(slurm, tmp_path).in_place and not place(slurm, tmp_path).local
    ssh = replace(local_machine, machine={"batch_type": "Slurm", "context_type": "SSHContext"})
    with pytest.raises(BadInputError, match="remote_root"):
        place(ssh, tmp_path)


def test_tasks_need_their_own_folders(tmp_path, local_machine, make_task) -> None:
    task = make_task(0, ": > out")
    with pytest.raises(ValueError, match="2 tasks in 1 folders"):
        run_tasks([task, replace(task, command="x")], machine=local_machine, base_dir=tmp_path, name="x")
    assert run_tasks([], machine=local_machine, base_dir=tmp_path, name="x") == []


def test_three_hundred_quick_tasks_take_few_looks(tmp_path: Path, local_machine: StageMachine, make_task) -> None:
    tasks = [make_task(i, "echo x >> ../ran; : > out") for i in range(300)]
    seen: list[Progress] = []
    begun = time.monotonic()
    outcomes = run_tasks(tasks, machine=local_machine, base_dir=tmp_path, name="q", on_progress=seen.append)
    elapsed_s = time.monotonic() - begun
    print(f"300 empty tasks, 2 at a time: {elapsed_s:.2f} s, {1000 * elapsed_s / 300:.1f} ms per task")
    assert [o.status for o in outcomes] == ["done"] * 300
    assert len((tmp_path / "ran").read_text().split()) == 300
    assert len(seen) < 300
    log = tmp_path / ".dispatch" / "dpdispatcher.log"
    assert not log.exists() or "lost" not in log.read_text()

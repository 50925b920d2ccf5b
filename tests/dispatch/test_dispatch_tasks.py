"""Digests know contents, not names of time limits; scripts survive any quoting."""

from __future__ import annotations

import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from alh2.core.errors import BadInputError
from alh2.dispatch import Task, task_digest
from alh2.dispatch.script import ScriptContext, script_context, task_script, write_if_changed
from alh2.dispatch.tasks import DigestCache, last_lines, read_record, recorded_outcome


def test_digest_covers_command_inputs_and_shared_inputs(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "in").write_text("1")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "graph.pb").write_bytes(b"\0net")
    task = Task(Path("t"), "run", ("in", "models/graph.pb"), ("out",), 10.0, "a")
    first = task_digest(task, tmp_path)
    assert first == task_digest(replace(task, timeout_s=99.0, label="b"), tmp_path)
    assert first == task_digest(replace(task, work_dir=tmp_path / "t"), tmp_path)
    assert first == task_digest(replace(task, inputs=("models/graph.pb", "in")), tmp_path)
    seen = {first, task_digest(replace(task, command="run 2"), tmp_path)}
    seen.add(task_digest(replace(task, inputs=("in", "models")), tmp_path))
    (tmp_path / "t" / "in").write_text("2")
    seen.add(task_digest(task, tmp_path))
    (tmp_path / "models" / "graph.pb").write_bytes(b"\0other")
    seen.add(task_digest(task, tmp_path))
    seen.add(task_digest(replace(task, inputs=("in", "models")), tmp_path))
    assert len(seen) == 6


def test_shared_inputs_are_read_once_per_cache(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("a")
    cache = DigestCache()
    before = cache.digest(tmp_path / "model")
    (tmp_path / "model").write_text("b")
    assert cache.digest(tmp_path / "model") == before != DigestCache().digest(tmp_path / "model")


def test_absent_input_names_the_task(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    with pytest.raises(BadInputError, match="'label 3'.*input frame.npz.*no such file"):
        task_digest(Task(Path("t"), "x", ("frame.npz",), (), 1.0, "label 3"), tmp_path)


@pytest.mark.parametrize("output", ["../elsewhere", "/etc/passwd", ""])
def test_outputs_outside_the_folder_are_refused(output: str) -> None:
    with pytest.raises(BadInputError, match="outputs inside the work folder"):
        task_script(Task(Path("t"), "x", (), (output,), 1.0, "l"), "d", attempt=1, context=ScriptContext({}, None))


def run_script(
    task: Task, folder: Path, digest: str = "d1", attempt: int = 1, killed_is_lost: bool = False
) -> subprocess.CompletedProcess[str]:
    context = ScriptContext({"GREETING": 'it\'s "$HOME"'}, None, killed_is_lost)
    write_if_changed(folder / "task.sh", task_script(task, digest, attempt=attempt, context=context))
    return subprocess.run(["sh", "task.sh"], cwd=folder, capture_output=True, text=True, check=False)


def test_quoting_survives(tmp_path: Path) -> None:
    name = 'it\'s a "$file" `name`'
    command = """printf '%s\\n' "$GREETING" 'single' "do\\"uble" `echo back` > "it's a \\"\\$file\\" \\`name\\`\""""
    task = Task(tmp_path, command, (), (name,), 10.0, "a label\nwith a line break; rm -rf x")
    ended = run_script(task, tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert (tmp_path / name).read_text() == 'it\'s "$HOME"\nsingle\ndo"uble\nback\n'
    found = recorded_outcome(task, "d1", tmp_path)
    assert found is not None and found[0].status == "done"


def test_record_decides_what_runs_again(tmp_path: Path) -> None:
    task = Task(tmp_path, "echo x >> ../count; : > out", (), ("out",), 10.0, "l")
    folder = tmp_path / "t"
    folder.mkdir()
    count = tmp_path / "count"
    run_script(task, folder)
    run_script(task, folder)
    assert count.read_text() == "x\n"
    run_script(task, folder, digest="d2")
    run_script(task, folder, digest="d2", attempt=2)
    assert count.read_text() == "x\n" * 3
    (folder / "out").unlink()
    assert recorded_outcome(replace(task, work_dir=folder), "d2", tmp_path) is None
    run_script(task, folder, digest="d2", attempt=2)
    assert count.read_text() == "x\n" * 4
    (folder / "task.done").write_text("d2 0")
    assert read_record(folder) is None


def test_left_over_processes_of_a_task_are_ended(tmp_path: Path) -> None:
    task = Task(tmp_path, "sleep 30 & echo $! > pid", (), ("pid",), 10.0, "l")
    run_script(task, tmp_path)
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _alive(pid)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] not in ("Z", "X")
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("end", "is_kept"), [("kill -TERM $$", False), ("kill -KILL $$", False), ("kill -INT $$", True), ("exit 1", True)]
)
def test_a_command_that_a_scheduler_ended_has_not_failed(tmp_path: Path, end: str, is_kept: bool) -> None:
    """The signal of a time limit may end the command before it comes to the script."""
    task = Task(tmp_path, end, (), ("out",), 10.0, "l")
    ended = run_script(task, tmp_path, killed_is_lost=True)
    assert (ended.returncode == 0) == is_kept == (read_record(tmp_path) is not None)
    assert run_script(task, tmp_path, digest="d2").returncode == 0
    here = recorded_outcome(task, "d2", tmp_path)
    assert here is not None and here[0].status == "failed"


def test_message_leaves_out_noise(tmp_path: Path) -> None:
    (tmp_path / "task.out").write_text("fine so far\n")
    (tmp_path / "task.err").write_text("Could not find cuda drivers\n\n  libcudart.so missing\n")
    assert last_lines(tmp_path) == "fine so far"
    (tmp_path / "task.err").write_text("a\nb\nc\nSCF not converged\n")
    assert last_lines(tmp_path) == "b | c | SCF not converged"


def test_machine_file_wins_over_our_environment() -> None:
    ours = script_context(local=True, set_by_machine={"OMP_NUM_THREADS": 2, "PATH": "/x"})
    assert "OMP_NUM_THREADS" not in ours.environment and ours.environment["OPENBLAS_NUM_THREADS"] == "1"
    assert ours.path_prefix is None
    cluster = script_context(local=False, set_by_machine={})
    assert "OMP_NUM_THREADS" not in cluster.environment and cluster.path_prefix is None

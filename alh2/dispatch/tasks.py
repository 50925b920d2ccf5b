"""Tasks: one command in one folder, known by the content of its inputs, and what became of it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from alh2.core.errors import BadInputError
from alh2.core.files import digest_bytes
from alh2.dispatch.endings import WORDS, is_ending

RECORD_NAME = "task.done"
START_NAME = "task.started"
STDOUT_NAME = "task.out"
STDERR_NAME = "task.err"

Status = Literal["done", "failed", "timeout"]
KILLED = (137, 143)
"""Exit codes that a shell gives a command ended by SIGKILL and SIGTERM."""

_NOISE = ("libcudart", "TensorRT", "cuInit", "cuda drivers", "oneDNN", "WARNING:tensorflow", "computation_placer")
_TAIL_BYTES = 16_384
_MESSAGE_CHARS = 400


@dataclass(frozen=True)
class Task:
    """One shell command in one folder.

    work_dir : folder the command runs in; absolute, or relative to the base folder of the run
    command : shell command line, run with `work_dir` as the current folder
    inputs : files or folders the result depends on: names in `work_dir`, else paths relative to the base folder
        (files that tasks share, e.g. models)
    outputs : paths relative to `work_dir` that the command writes; all must exist after exit code 0
    timeout_s : wall time after which the command is ended (SIGTERM, SIGKILL 10 s later)
    label : what a person reads, e.g. "iter.000001 label 17"
    """

    work_dir: Path
    command: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    timeout_s: float
    label: str

    def folder(self, base_dir: Path) -> Path:
        """Absolute `work_dir`."""
        return base_dir / self.work_dir

    def input_paths(self, base_dir: Path) -> dict[str, Path]:
        """Absolute path of each input; raises BadInputError where one exists in neither place."""
        found: dict[str, Path] = {}
        for name in self.inputs:
            for candidate in (self.folder(base_dir) / name, base_dir / name):
                if candidate.exists():
                    found[name] = candidate
                    break
            else:
                raise BadInputError(
                    f"task {self.label!r} in {self.folder(base_dir)}", expected=f"input {name}", found="no such file"
                )
        return found


@dataclass
class DigestCache:
    """Content digests of files already read in this call (shared inputs are read once)."""

    known: dict[Path, str] = field(default_factory=dict)

    def digest(self, path: Path) -> str:
        """Digest of a file's bytes, or of names and bytes of all files below a folder."""
        key = Path(os.path.abspath(path))
        if key not in self.known:
            self.known[key] = self._tree(key) if key.is_dir() else self._file(key)
        return self.known[key]

    @staticmethod
    def _file(path: Path) -> str:
        state = hashlib.blake2b(digest_size=16)
        with open(path, "rb") as handle:
            while chunk := handle.read(1 << 20):
                state.update(chunk)
        return state.hexdigest()

    def _tree(self, folder: Path) -> str:
        chunks: list[bytes] = []
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            chunks += [path.relative_to(folder).as_posix().encode(), self._file(path).encode()]
        return digest_bytes(*chunks)


def task_digest(task: Task, base_dir: Path, *, cache: DigestCache | None = None) -> str:
    """32 hex digits over the command and the names and contents of the inputs (not over the time limit or label).

    Raises BadInputError where an input is absent.
    """
    cache = cache or DigestCache()
    chunks = [b"alh2 task 1", task.command.encode()]
    for name, path in sorted(task.input_paths(base_dir).items()):
        chunks += [name.encode(), cache.digest(path).encode()]
    return digest_bytes(*chunks)


@dataclass(frozen=True)
class Entry:
    """A task with its content digest."""

    task: Task
    digest: str


@dataclass(frozen=True)
class TaskOutcome:
    """What became of a task.

    exit_code : of the command, None where it never ended (its job was lost)
    message : empty for "done", else the last informative lines of stderr or stdout, or why there are none
    wall_s : wall time of the command, s
    """

    task: Task
    status: Status
    exit_code: int | None
    message: str
    wall_s: float


@dataclass(frozen=True)
class TaskRecord:
    """Content of ``task.done``, written by ``task.sh`` when the command has ended, or by the driver for a task whose
    jobs died under it too often.

    wall_cs : wall time, hundredths of a second
    state : "ok", "missing" (exit code 0 but an output was not written), "timeout", "failed", or the ending of the
        last job of a task that was given up
    attempt : 1 for the first try
    """

    digest: str
    exit_code: int
    wall_cs: int
    attempt: int
    state: str

    def line(self) -> str:
        """The record as it is written."""
        return f"{self.digest} {self.exit_code} {self.wall_cs} {self.attempt} {self.state}\n"


@dataclass(frozen=True)
class TaskStart:
    """Content of ``task.started``: what began last in a folder, in which job of the scheduler ("0": none)."""

    digest: str
    attempt: int
    job_id: str


def read_start(folder: Path) -> TaskStart | None:
    """The last start in `folder`; None where nothing began."""
    try:
        digest, attempt, job_id = (folder / START_NAME).read_text().split()
        return TaskStart(digest, int(attempt), job_id)
    except (OSError, ValueError):
        return None


def read_record(folder: Path) -> TaskRecord | None:
    """The record in `folder`; None where there is none or it is torn."""
    try:
        digest, code, wall, attempt, state = (folder / RECORD_NAME).read_text().split()
        return TaskRecord(digest, int(code), int(wall), int(attempt), state)
    except (OSError, ValueError):
        return None


def missing_outputs(task: Task, folder: Path) -> list[str]:
    """Outputs of `task` that do not exist in `folder`."""
    return [name for name in task.outputs if not (folder / name).exists()]


def limit_cs(task: Task) -> int:
    """Recorded wall times from this on mean that the time limit ended the command, hundredths of a second."""
    return int(task.timeout_s * 100) - 2


def recorded_outcome(task: Task, digest: str, base_dir: Path) -> tuple[TaskOutcome, int] | None:
    """Outcome and attempt number of a task that ended with this `digest`; None where it has to run (again).

    A success whose outputs were removed since, and a timeout under a shorter limit, have to run again.
    """
    folder = task.folder(base_dir)
    record = read_record(folder)
    if record is None or record.digest != digest:
        return None
    wall_s = record.wall_cs / 100
    missing = missing_outputs(task, folder)
    if record.state == "ok":
        return None if missing else (TaskOutcome(task, "done", 0, "", wall_s), record.attempt)
    if record.state == "timeout" and record.wall_cs < limit_cs(task):
        return None
    status: Status = "timeout" if record.state == "timeout" else "failed"
    return TaskOutcome(task, status, record.exit_code, _explain(task, record, folder, missing), wall_s), record.attempt


def _explain(task: Task, record: TaskRecord, folder: Path, missing: list[str]) -> str:
    said = last_lines(folder)
    if is_ending(record.state):
        return _join(f"given up: {WORDS[record.state]} again and again", said)  # type: ignore[index]
    if record.state == "timeout":
        return _join(f"ended after its time limit of {task.timeout_s:g} s", said)
    if record.state == "missing":
        return _join(f"exit code 0 but no output {', '.join(missing) or '(written later)'}", said)
    if record.exit_code > 128:
        return _join(f"ended by signal {record.exit_code - 128}", said)
    return said or f"exit code {record.exit_code}, nothing on stdout or stderr"


def _join(reason: str, said: str) -> str:
    return f"{reason}: {said}" if said else reason


def last_lines(folder: Path, *, n_lines: int = 3) -> str:
    """The last informative lines of the task's stderr, or of its stdout where stderr has none, joined by " | "."""
    for name in (STDERR_NAME, STDOUT_NAME):
        try:
            with open(folder / name, "rb") as handle:
                handle.seek(max(0, os.fstat(handle.fileno()).st_size - _TAIL_BYTES))
                text = handle.read().decode(errors="replace")
        except OSError:
            continue
        lines = [line.strip() for line in text.splitlines()]
        lines = [line for line in lines if line and not any(noise in line for noise in _NOISE)]
        if lines:
            return " | ".join(lines[-n_lines:])[-_MESSAGE_CHARS:]
    return ""


def forget_failures(directory: Path, *, only_killed: bool = False) -> int:
    """Remove the records of failed tasks in `directory`, so that they run again; returns how many there were.

    only_killed : those alone whose command was ended from outside, by SIGKILL or SIGTERM
    """
    failed = [
        path
        for path in directory.glob(f"**/{RECORD_NAME}")
        if (record := read_record(path.parent)) is not None
        and record.state != "ok"
        and (not only_killed or record.exit_code in KILLED)
    ]
    for path in failed:
        path.unlink(missing_ok=True)
    return len(failed)

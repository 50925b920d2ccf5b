"""Slurm, asked once per look for all jobs of the user, each known by a unique name that survives a dead driver.

The name is written down before the job is submitted and travels with it, so that whatever dies between submitting
and noting the id, the next driver finds the job in the queue and does not start it again. Ids alone would not do:
a Slurm that lost its state hands them out again.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from alh2.core.faults import fault_point
from alh2.dispatch.endings import Ending, QueueFullError, RefusedError, Seen, TransientError
from alh2.dispatch.scheduler import as_transient, recorded_id, transient_errors

QUEUE_COMMAND = 'squeue -h -t all -u "$(id -un)" -o "%i|%j|%T|%r|%m"'
WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT")
RUNNING = ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "STAGE_OUT", "SIGNALING", "RESIZING")
ENDINGS: dict[str, Ending] = {
    "OUT_OF_MEMORY": "out-of-memory",
    "NODE_FAIL": "node-failure",
    "BOOT_FAIL": "node-failure",
    "PREEMPTED": "preempted",
    "CANCELLED": "cancelled",
    "TIMEOUT": "time-limit",
    "DEADLINE": "time-limit",
    "FAILED": "job-failed",
}
_FULL = ("QOS policy", "temporarily unable to accept job", "job submit limit", "MaxSubmit")
_REFUSED = (
    *("Invalid", "invalid", "not available", "not permitted", "denied", "cannot be satisfied", "can not be satisfied"),
    *("unrecognized option", "More processors requested", "exceeds", "not found", "No such file"),
)
_UNREACHABLE = ("authentication", "Unable to contact", "timed out", "Connection refused", "credential")
_MEMORY = re.compile(r"memory limit|oom[-_ ]kill|out of memory", re.IGNORECASE)
_UNITS_MB = {"K": 1 / 1024, "M": 1.0, "G": 1024.0, "T": 1024.0**2}


@dataclass(frozen=True)
class QueueEntry:
    """One line of the queue: id, name, state and reason in Slurm's words, memory asked for (MB, None: unknown)."""

    job_id: str
    name: str
    state: str
    reason: str
    memory_mb: int | None

    @property
    def alive(self) -> bool:
        """Whether the job waits or runs."""
        return self.state in WAITING or self.state in RUNNING


def parse_queue(text: str) -> list[QueueEntry]:
    """Entries of the queue command's output; lines of another form are left out."""
    entries = []
    for line in text.splitlines():
        fields = line.strip().split("|")
        if len(fields) == 5 and fields[0]:
            job_id, name, state, reason, memory = fields
            entries.append(QueueEntry(job_id, name, state, reason, _memory_mb(memory)))
    return entries


def _memory_mb(text: str) -> int | None:
    found = re.fullmatch(r"([\d.]+)([KMGT]?)c?", text)
    value = float(found[1]) * _UNITS_MB[found[2] or "M"] if found else 0.0
    return round(value) or None


class SlurmScheduler:
    """Slurm of a dpdispatcher machine; `names` gives the unique name of each job by its hash."""

    def __init__(self, machine: Any, names: Mapping[str, str]) -> None:
        self._machine = machine
        self._names = names

    @property
    def _context(self) -> Any:
        return self._machine.context

    def survey(self, jobs: Sequence[Any]) -> dict[str, Seen]:
        """State of `jobs`, from one look at the queue (ended jobs stay in it for some minutes)."""
        if not jobs:
            return {}
        latest = _latest(self.queue())
        return {job.job_hash: self._see(job, latest.get(self._names[job.job_hash])) for job in jobs}

    def queue(self) -> list[QueueEntry]:
        """All jobs of the user, ended ones that Slurm still remembers included."""
        return parse_queue(self._call(QUEUE_COMMAND))

    def _see(self, job: Any, entry: QueueEntry | None) -> Seen:
        if entry is None and (known := recorded_id(self._context, job)):
            entry = self._shown(known, self._names[job.job_hash])
        if entry is not None:
            job.register_job_id(entry.job_id)
            if entry.alive:
                return Seen("waiting" if entry.state in WAITING else "running", entry.job_id, memory_mb=entry.memory_mb)
        if self._machine.check_finish_tag(job) or (entry is not None and entry.state == "COMPLETED"):
            return Seen("finished", "" if entry is None else entry.job_id)
        job_id = entry.job_id if entry else recorded_id(self._context, job)
        if not job_id:
            return Seen("absent")
        state = entry.state if entry else self._remembered(job_id)
        ending = ENDINGS.get(state, "lost")
        if ending == "job-failed" and self._says_memory(job_id):
            ending = "out-of-memory"
        memory = entry.memory_mb if entry else None
        return Seen("ended", job_id, ending, f"Slurm says {state or 'nothing'}", memory)

    def _shown(self, job_id: str, name: str) -> QueueEntry | None:
        """The job as the controller itself knows it: some sites answer squeue from a copy that lags behind."""
        try:
            text = self._call(f"scontrol -o show job {job_id}")
        except TransientError as error:
            if "Invalid job id" in str(error):
                return None
            raise
        fields = dict(re.findall(r"(\w+)=(\S+)", text))
        if fields.get("JobName") != name:
            return None
        return QueueEntry(job_id, name, fields.get("JobState", ""), fields.get("Reason", ""), None)

    def _remembered(self, job_id: str) -> str:
        """State of a job that has left the queue, from the accounting where the site has one; "" without."""
        try:
            text = self._call(f"sacct -n -P -X -j {job_id} -o State")
        except TransientError:
            return ""
        return text.strip().split("\n")[-1].split(" ")[0].strip()

    def _says_memory(self, job_id: str) -> bool:
        """Whether the output of the job speaks of memory: sites without control groups report a plain failure."""
        name = f"slurm-{job_id}.out"
        if not self._context.check_file_exists(name):
            return False
        text = self._context.read_file(name)
        return bool(_MEMORY.search(text.decode(errors="replace") if isinstance(text, bytes) else str(text)))

    def submit(self, job: Any, *, memory_mb: int | None = None) -> str:
        """Write the job script and submit it under its name."""
        name = self._names[job.job_hash]
        memory = "" if memory_mb is None else f"--mem={memory_mb}M "
        try:
            self._context.write_file(job.script_file_name, self._machine.gen_script(job))
            self._context.write_file(f"{job.script_file_name}.run", self._machine.gen_script_command(job))
        except transient_errors() as error:
            raise as_transient(error, "job script") from error
        fault_point(f"before submit {name}")
        root, script = shlex.quote(self._context.remote_root), shlex.quote(job.script_file_name)
        text = self._call(f"cd {root} && sbatch --parsable --job-name={name} {memory}{script}")
        fault_point(f"after submit {name}")
        job_id = text.split(";")[0].strip()
        job.register_job_id(job_id)
        self._context.write_file(f"{job.job_hash}_job_id", job_id)
        return job_id

    def cancel(self, jobs: Sequence[Any]) -> int:
        """Cancel `jobs` by their names."""
        return self.cancel_names(self._names[job.job_hash] for job in jobs)

    def cancel_names(self, names: Iterable[str]) -> int:
        """Cancel the jobs of the user that carry one of `names` and wait or run; returns how many."""
        wanted = set(names)
        alive = [entry.job_id for entry in self.queue() if entry.name in wanted and entry.alive]
        for start in range(0, len(alive), 200):
            self._call("scancel " + " ".join(alive[start : start + 200]))
        return len(alive)

    def _call(self, command: str) -> str:
        """Standard output of a command on the machine; raises TransientError, QueueFullError or RefusedError."""
        try:
            code, _, out, err = self._context.block_call(command)
            said = _text(err.read())
            text = _text(out.read())
        except transient_errors() as error:
            raise as_transient(error, command.split()[0]) from error
        if code == 0:
            return text
        line = " ".join(said.split()) or f"exit code {code}"
        if any(word in said for word in _FULL):
            raise QueueFullError(line)
        if "sbatch" in command and any(w in said for w in _REFUSED) and not any(w in said for w in _UNREACHABLE):
            raise RefusedError(line)
        raise TransientError(line)


def _latest(entries: Iterable[QueueEntry]) -> dict[str, QueueEntry]:
    """The entry that counts for each name: one that is alive, else the one submitted last."""
    latest: dict[str, QueueEntry] = {}
    for entry in entries:
        other = latest.get(entry.name)
        if other is None or (entry.alive, _number(entry.job_id)) > (other.alive, _number(other.job_id)):
            latest[entry.name] = entry
    return latest


def _number(job_id: str) -> int:
    digits = re.match(r"\d+", job_id)
    return int(digits[0]) if digits else 0


def _text(content: Any) -> str:
    return content.decode(errors="replace") if isinstance(content, bytes) else str(content)

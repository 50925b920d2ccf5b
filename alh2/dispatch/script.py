"""Shell scripts that run tasks wherever a POSIX shell, flock, timeout and xargs exist: alh2 is not needed there."""

from __future__ import annotations

import os
import shlex
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from alh2.core.errors import BadInputError
from alh2.core.quiet import QUIET_ENVIRONMENT
from alh2.dispatch.tasks import RECORD_NAME, START_NAME, STDERR_NAME, STDOUT_NAME, Task, limit_cs

SCRIPT_NAME = "task.sh"
LOCK_NAME = "task.lock"

LOCAL_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "DP_INTRA_OP_PARALLELISM_THREADS": "1",
    "DP_INTER_OP_PARALLELISM_THREADS": "1",
}
"""Local jobs run several tasks side by side, so each takes one thread; a cluster's file decides for itself."""

_TASK_SCRIPT = """\
# {label}
exec 9>>{lock}
flock -w {lock_wait} 9 || {{ echo "another process holds {lock}" >&2; exit 1; }}
digest={digest}
attempt={attempt}
if [ -f {record} ] && read -r d rc wall a state < {record} && [ "$d" = "$digest" ] && [ "${{a:-0}}" -ge "$attempt" ]
then
  case "$state" in ok) {if_outputs_exist} exit 0 ;; timeout) [ "$wall" -ge {limit_cs} ] && exit 0 ;; *) exit 0 ;; esac
fi
for name in {remove}; do
  if [ -e "$name" ]; then rm -rf -- {remove}; break; fi
done
echo "$digest $attempt ${{SLURM_JOB_ID:-0}}" > {start}
{exports}
now() {{ if read -r t _ < /proc/uptime; then f=${{t#*.}}; t=${{t%.*}}$f; else t=$(date +%s)00; fi 2>/dev/null; }}
now; start=$t
timeout -k 10 {timeout_s:.2f} sh -c {command} >{out} 2>{err} </dev/null &
child=$!
trap 'kill -s TERM -- "-$child" 2>/dev/null; exit 143' TERM
wait "$child"; rc=$?
kill -s KILL -- "-$child" 2>/dev/null
now; wall=$((t - start))
state=failed
{if_killed}case "$rc" in
  0) state=missing; {if_outputs_exist} state=ok ;;
  124|137) [ "$wall" -ge {limit_cs} ] && state=timeout ;;
esac
echo "$digest $rc $wall $attempt $state" > {record}.tmp && mv -f {record}.tmp {record} || exit 1
exit 0
"""

_IF_KILLED = """\
case "$rc" in 137|143) [ "$wall" -lt {limit_cs} ] && exit 1 ;; esac
"""

_GROUP_SCRIPT = """\
# usage: sh {name} DIGEST BASE_FOLDER; runs the folders of {list_name}, {parallel} at a time
cd "$2" || exit 1
{lock}xargs -0 -r -n 1 -P {parallel} sh -c 'cd "$1" && exec sh ./{script}' _ < {list_path}
"""


@dataclass(frozen=True)
class ScriptContext:
    """What ``task.sh`` depends on besides the task.

    environment : variables exported before the command
    path_prefix : folder put in front of PATH, None to leave PATH alone
    killed_is_lost : a command ended by SIGKILL or SIGTERM leaves no record: on a scheduler that is what running out of
        memory, the queue's time limit or preemption looks like (the signal may reach the command before this script),
        and the driver asks it
    """

    environment: Mapping[str, str]
    path_prefix: Path | None
    killed_is_lost: bool = False


def script_context(*, local: bool, set_by_machine: Mapping[str, object]) -> ScriptContext:
    """Environment for tasks; what the machine's ``resources.envs`` sets is left to it.

    Local tasks find the programs beside the running interpreter (dp, lmp, python) and take one thread each.
    """
    wanted = {**QUIET_ENVIRONMENT, **(LOCAL_ENVIRONMENT if local else {})}
    environment = {name: value for name, value in wanted.items() if name not in set_by_machine}
    prefix = Path(sys.executable).parent if local and "PATH" not in set_by_machine else None
    return ScriptContext(environment, prefix, killed_is_lost=not local)


def task_script(task: Task, digest: str, *, attempt: int, context: ScriptContext) -> str:
    """Text of ``task.sh``: skip if done, else run under the time limit and record the end; exit code 0 either way."""
    for name in task.outputs:
        parts = Path(name).parts
        if not parts or Path(name).is_absolute() or ".." in parts:
            raise BadInputError(f"task {task.label!r}", expected="outputs inside the work folder", found=repr(name))
    removable = [RECORD_NAME, STDOUT_NAME, STDERR_NAME, *(n for n in task.outputs if n not in task.inputs)]
    exports = [f"export {name}={shlex.quote(value)}" for name, value in sorted(context.environment.items())]
    if context.path_prefix is not None:
        exports.append(f'PATH={shlex.quote(str(context.path_prefix))}:"$PATH"; export PATH')
    return _TASK_SCRIPT.format(
        label=" ".join(task.label.split()),
        lock=LOCK_NAME,
        lock_wait=int(task.timeout_s) + 60,
        digest=digest,
        attempt=attempt,
        record=RECORD_NAME,
        start=START_NAME,
        if_killed=_IF_KILLED.format(limit_cs=limit_cs(task)) if context.killed_is_lost else "",
        if_outputs_exist="".join(f"[ -e {shlex.quote(name)} ] && " for name in task.outputs),
        remove=" ".join(shlex.quote(name) for name in removable),
        exports="\n".join(exports),
        timeout_s=task.timeout_s,
        limit_cs=limit_cs(task),
        command=shlex.quote(task.command),
        out=STDOUT_NAME,
        err=STDERR_NAME,
    )


def group_script(list_path: str, *, parallel: int, lock_path: str | None) -> str:
    """Text of a script that runs all folders listed (NUL-separated) in `list_path`, `parallel` at a time.

    Paths are relative to the base folder. With `lock_path` a second start waits until the first and all its
    tasks have ended, so that there are never more than `parallel` tasks on the machine.
    """
    lock = "" if lock_path is None else f"exec 8>>{shlex.quote(lock_path)}\nflock 8 || exit 1\n"
    return _GROUP_SCRIPT.format(
        name=Path(list_path).with_suffix(".sh").name,
        list_name=Path(list_path).name,
        parallel=parallel,
        lock=lock,
        script=SCRIPT_NAME,
        list_path=shlex.quote(list_path),
    )


def write_if_changed(path: Path, text: str) -> None:
    """Replace `path` in one step unless it holds `text` already; not flushed, for it can always be made again."""
    data = text.encode()
    try:
        if path.read_bytes() == data:
            return
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    tmp.write_bytes(data)
    os.replace(tmp, path)


def write_list(path: Path, folders: Sequence[str]) -> None:
    """Write `folders` NUL-separated, as ``xargs -0`` reads them."""
    write_if_changed(path, "".join(f"{folder}\0" for folder in folders))

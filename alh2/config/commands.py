"""Finding the programs that a machine file names.

The folder of the running interpreter comes before PATH: an environment need not be activated, and a ``python`` or
``lmp`` of the system must not take the place of the one installed with alh2.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

_SHELL_WORDS = frozenset(("ulimit", "export", "source", ".", "cd", "module", "set", "exec", "time", "umask", "unset"))
_LAUNCHERS = frozenset(("mpirun", "mpiexec", "mpiexec.hydra", "srun", "ibrun", "aprun"))
_LOCAL_CONTEXTS = frozenset(("lazylocalcontext", "lazylocal", "localcontext", "local"))


def is_local(context_type: str) -> bool:
    """Whether a dpdispatcher context runs on this file system, so that its programs can be looked for."""
    return context_type.lower() in _LOCAL_CONTEXTS


def brings_programs(resources: dict[str, Any]) -> bool:
    """Whether jobs set up their own programs, so that those found here mean nothing."""
    return bool(resources.get("source_list") or resources.get("module_list"))


def find_program(name: str) -> Path | None:
    """Absolute path of a program, None where there is none."""
    beside = Path(sys.executable).parent
    found = shutil.which(name, path=os.pathsep.join([str(beside), os.environ.get("PATH", os.defpath)]))
    return Path(found).absolute() if found else None


def resolve_command(command: str) -> str:
    """`command` with its first word replaced by the program's absolute path.

    Left alone: shell lines with more than one command, programs given with a folder, programs not found.
    """
    word, _, rest = command.strip().partition(" ")
    if not word or re.search(r"[;&|$`(<>]", command) or "/" in word or word in _SHELL_WORDS or "=" in word:
        return command
    found = find_program(word)
    return command if found is None else f"{shlex.quote(str(found))} {rest}".strip()


def has_launcher(command: str) -> bool:
    """Whether `command` begins with an MPI launcher."""
    words = shlex.split(command)
    return bool(words) and Path(words[0]).name in _LAUNCHERS


def _launched(words: list[str]) -> list[str]:
    """The program that an MPI launcher starts; none where it has options other than numbers (``-np 16``)."""
    if Path(words[0]).name not in _LAUNCHERS:
        return []
    rest = words[1:]
    while len(rest) > 1 and rest[0].startswith("-") and rest[1].isdigit():
        rest = rest[2:]
    if rest and rest[0].startswith("-"):
        return []
    return [rest[0]] if rest and not rest[0].startswith("$") else []


def programs_of(command: str) -> tuple[str, ...]:
    """Names of the programs that a shell line starts, in order; those chosen by a variable are left out."""
    names: list[str] = []
    for part in re.split(r"&&|\|\||[;|\n]", command):
        try:
            words = shlex.split(part)
        except ValueError:
            words = part.split()
        words = [w for w in words if not re.match(r"^\w+=", w)]
        if words and words[0] not in _SHELL_WORDS and not words[0].startswith("$"):
            names += [words[0], *_launched(words)]
    return tuple(names)

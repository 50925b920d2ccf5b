"""Which recipe a label task is at: one small file in its folder that lists why earlier ones failed."""

from __future__ import annotations

from pathlib import Path

from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_json, read_json

ATTEMPTS_FILE = "attempts.json"


def failed_attempts(folder: Path) -> tuple[str, ...]:
    """Reasons of the attempts that failed in `folder`, first one first; none where the file is absent or torn."""
    path = folder / ATTEMPTS_FILE
    if not path.exists():
        return ()
    try:
        value = read_json(path)
    except BadInputError:
        return ()
    return tuple(map(str, value)) if isinstance(value, list) else ()


def attempt_number(folder: Path, n_attempts: int) -> int:
    """The attempt that `folder` is at, from 1 to `n_attempts`."""
    return min(len(failed_attempts(folder)) + 1, n_attempts)


def next_attempt(folder: Path, reason: str, n_attempts: int) -> bool:
    """Note that the current attempt failed; False, and nothing is written, where it was the last one."""
    before = failed_attempts(folder)
    if len(before) + 1 >= n_attempts:
        return False
    atomic_write_json(folder / ATTEMPTS_FILE, [*before, reason])
    return True


def forget_attempts(folder: Path) -> None:
    """Begin with the first recipe again."""
    (folder / ATTEMPTS_FILE).unlink(missing_ok=True)


def all_reasons(folder: Path, last: str) -> str:
    """The reason for giving up: that of the last attempt, and those before it."""
    before = failed_attempts(folder)
    if not before:
        return last
    return f"given up after {len(before) + 1} attempts: {'; '.join((*before, last))}"

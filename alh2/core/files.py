"""Durable files: write a temporary, fsync, rename, fsync the folder. A reader never sees a torn file."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from alh2.core.errors import BadInputError
from alh2.core.faults import fault_point

T = TypeVar("T")


def fsync_directory(path: Path) -> None:
    """Flush the folder entry so that a rename survives a power loss."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def atomic_write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data` in one step; raises OSError and leaves the old file on failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    fault_point(f"before write {path}", data)
    try:
        with open(tmp, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        fault_point(f"amid write {path}", data)
        os.replace(tmp, path)
    finally:
        with contextlib.suppress(OSError):
            tmp.unlink(missing_ok=True)
    fsync_directory(path.parent)
    fault_point(f"after write {path}", data)


def append_line(path: Path, line: str) -> None:
    """Append `line` (without its end) and flush it to disk; after a torn last line it starts on a line of its own."""
    fault_point(f"before append {path}")
    with open(path, "ab+") as handle:
        size = handle.seek(0, os.SEEK_END)
        handle.seek(max(0, size - 1))
        torn = size > 0 and handle.read(1) != b"\n"
        data = ("\n" if torn else "").encode() + line.encode() + b"\n"
        half = len(data) // 2
        handle.write(data[:half])
        handle.flush()
        fault_point(f"amid append {path}")
        handle.write(data[half:])
        handle.flush()
        os.fsync(handle.fileno())
    fault_point(f"after append {path}")


def atomic_write_text(path: Path, text: str) -> None:
    """UTF-8 form of :func:`atomic_write_bytes`."""
    atomic_write_bytes(path, text.encode())


def atomic_write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys (same value, same bytes)."""
    atomic_write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def read_json(path: Path) -> Any:
    """Parsed JSON of `path`; raises BadInputError where it is absent, cannot be read or is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInputError(str(path), expected="a JSON file", found="no such file", action="check the path") from None
    except OSError as error:
        raise BadInputError(str(path), expected="a readable file", found=str(error.strerror)) from None
    except ValueError as error:
        raise BadInputError(str(path), expected="valid JSON", found=str(error), action="mend the file") from None


def read_json_as(path: Path, kind: type[T]) -> T:
    """The dataclass `kind` whose fields are the object in `path`, lists as tuples.

    Raises BadInputError where the file is no JSON object with exactly these fields (defaults may be absent).
    """
    return from_fields(read_json(path), kind, where=str(path))


def from_fields(content: Any, kind: type[T], *, where: str) -> T:
    """The dataclass `kind` with the values of `content`, lists as tuples; raises BadInputError as `read_json_as`."""
    if not isinstance(content, dict):
        raise BadInputError(where, expected=f"the fields of {kind.__name__}", found=type(content).__name__)
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in content.items()}
    try:
        return kind(**values)
    except TypeError as error:
        found = str(error).replace(f"{kind.__name__}.__init__() ", "")
        raise BadInputError(where, expected=f"the fields of {kind.__name__}", found=found) from None


def link_file(target: Path, link: Path) -> None:
    """Make `link` a relative symbolic link to `target`, in one step; a link that is right is left alone.

    Raises OSError where `link` is a folder.
    """
    words = os.path.relpath(target, link.parent)
    if link.is_symlink() and os.readlink(link) == words:
        return
    tmp = link.with_name(f".{link.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    os.symlink(words, tmp)
    try:
        os.replace(tmp, link)
    finally:
        tmp.unlink(missing_ok=True)


_LEFTOVER = re.compile(r"\..+\.\d+\.[0-9a-f]{8}\.tmp")


def remove_leftovers(root: Path, *, except_beside: str) -> int:
    """Remove temporary files and folders below `root` that a process left as it died; returns how many.

    Folders that hold a file `except_beside` are left alone: other processes may be writing there.
    """
    removed = 0
    for folder, folders, files in os.walk(root):
        if except_beside in files:
            folders.clear()
            continue
        for name in [name for name in folders if _LEFTOVER.fullmatch(name)]:
            shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
            folders.remove(name)
            removed += 1
        for name in files:
            if _LEFTOVER.fullmatch(name):
                Path(folder, name).unlink(missing_ok=True)
                removed += 1
    return removed


def commit_directory(staged: Path, final: Path) -> None:
    """Rename the finished folder `staged` to `final` after flushing its files and folders.

    Where `final` already exists the staged copy is dropped: the step was done before.
    """
    for path in sorted(staged.rglob("*")):
        if path.is_dir():
            fsync_directory(path)
        elif path.is_file():
            with open(path, "rb") as handle:
                os.fsync(handle.fileno())
    fsync_directory(staged)
    fault_point(f"before commit {final}")
    if final.exists():
        shutil.rmtree(staged)
        return
    os.rename(staged, final)
    fsync_directory(final.parent)
    fault_point(f"after commit {final}")


def digest_bytes(*chunks: bytes) -> str:
    """32 hex digits of BLAKE2b over length-prefixed `chunks` (so that boundaries count)."""
    state = hashlib.blake2b(digest_size=16)
    for chunk in chunks:
        state.update(len(chunk).to_bytes(8, "little"))
        state.update(chunk)
    return state.hexdigest()


def digest_files(paths: Iterable[Path]) -> str:
    """Digest of names and contents of `paths`, in the order given."""
    chunks: list[bytes] = []
    for path in paths:
        chunks += [path.name.encode(), path.read_bytes()]
    return digest_bytes(*chunks)

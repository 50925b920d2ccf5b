"""Checksums of a folder in the form that ``sha256sum -c`` reads."""

from __future__ import annotations

import hashlib
from pathlib import Path

SUMS_FILE = "SHA256SUMS"


def checksums(folder: Path) -> str:
    """One line per file below `folder` but `SUMS_FILE`, sorted by path."""
    lines = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != SUMS_FILE:
            lines.append(f"{_sha256(path)}  {name}")
    return "\n".join(lines) + "\n"


def same_content(one: Path, other: Path) -> bool:
    """Whether two folders hold the same files with the same bytes, checksums as they are now, not as they say."""
    return other.is_dir() and checksums(one) == checksums(other)


def _sha256(path: Path) -> str:
    state = hashlib.sha256()
    with open(path, "rb") as handle:
        while chunk := handle.read(1 << 20):
            state.update(chunk)
    return state.hexdigest()

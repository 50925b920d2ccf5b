"""Frames that got no label, with the reason: one JSON object per line, nothing twice."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from alh2.core.files import atomic_write_text


def now_utc() -> str:
    """Current time, ISO 8601, UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


@dataclass(frozen=True)
class QuarantineEntry:
    """One refused label.

    digest : of the frame; task : labelling task folder; labeler : level of theory; when : ISO 8601 time
    final : the labeler refused the geometry; False for a crash or a time limit, which may go better another time
    """

    digest: str
    task: str
    labeler: str
    reason: str
    when: str
    final: bool = True


def append_quarantine(path: Path, entries: Iterable[QuarantineEntry]) -> int:
    """Add `entries`, or put them in the place of those of the same (digest, task); returns how many were new.

    Repeating is harmless: an entry that is there with the same reason stays as it is.
    """
    known = {(entry.digest, entry.task): entry for entry in read_quarantine(path)}
    before = dict(known)
    for entry in entries:
        key = (entry.digest, entry.task)
        if key not in known or (known[key].reason, known[key].final) != (entry.reason, entry.final):
            known[key] = entry
    if known != before:
        atomic_write_text(path, _text(known.values()))
    return len(known) - len(before)


def release_quarantine(path: Path, digests: set[str]) -> int:
    """Take out the entries of frames that got a label after all; returns how many."""
    known = read_quarantine(path)
    kept = [entry for entry in known if entry.digest not in digests]
    if len(kept) < len(known):
        atomic_write_text(path, _text(kept))
    return len(known) - len(kept)


def read_quarantine(path: Path) -> list[QuarantineEntry]:
    """Entries in the order written; none where the file is absent. A torn line is left out."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return []
    entries = []
    for line in text.splitlines():
        try:
            entries.append(QuarantineEntry(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return entries


def _text(entries: Iterable[QuarantineEntry]) -> str:
    return "".join(json.dumps(asdict(entry), sort_keys=True) + "\n" for entry in entries)

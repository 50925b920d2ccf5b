"""What selection wrote down: a table of every explored frame, and DP-GEN's three lists."""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from alh2.core.errors import BadInputError
from alh2.core.explored import SelectionVerdict
from alh2.core.files import atomic_write_text
from alh2.select.bands import Band

SELECTION_FILE = "selection.csv"

_DPGEN_FILES = {"candidate": "candidate", "accurate": "rest_accurate", "failed": "rest_failed"}
_BANDS: dict[str, Band] = {"accurate": "accurate", "candidate": "candidate", "failed": "failed"}
_DPGEN_TASK = re.compile(r"task\.(\d+)\.\d+$")


@dataclass(frozen=True)
class SelectionRow:
    """One explored frame in ``selection.csv``; field names are the column names.

    devi_insertion_ev is None where it was not measured (molecular dynamics).
    """

    task: str
    step: int
    kind: str
    n_h2: int
    temperature_k: float
    max_devi_f: float
    devi_insertion_ev: float | None
    band: Band
    reason: str
    picked: bool


_COLUMNS = [field.name for field in fields(SelectionRow)]


def write_selection(directory: Path, verdicts: Sequence[SelectionVerdict], *, task_root: str = "") -> None:
    """Write ``selection.csv`` and DP-GEN's ``{candidate,rest_accurate,rest_failed}.shuffled.NNN.out``.

    NNN is the system index in the task's name (``task.NNN.MMMMMM``, 000 for other names); each line of those files is
    the task folder, preceded by ``task_root/`` (e.g. "iter.000000/01.model_devi") where given, and the frame's step.
    Picked candidates come first. Each file is replaced in one step, selection.csv last; the same verdicts give the
    same bytes, and lists of an earlier, different selection are removed.
    """
    lists: dict[str, list[str]] = defaultdict(list)
    prefix = f"{task_root.rstrip('/')}/" if task_root else ""
    for verdict in sorted(verdicts, key=lambda v: not v.picked):
        task = verdict.explored.task
        system = _system_index(task)
        for name in _DPGEN_FILES.values():
            lists[f"{name}.shuffled.{system}.out"]  # all three files exist for every system, as in DP-GEN
        lists[f"{_DPGEN_FILES[verdict.band]}.shuffled.{system}.out"].append(f"{prefix}{task} {verdict.explored.step}\n")
    for name, lines in lists.items():
        atomic_write_text(directory / name, "".join(lines))
    for stale in directory.glob("*.shuffled.*.out"):
        if stale.name not in lists:
            stale.unlink()
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_cells(verdict) for verdict in verdicts)
    atomic_write_text(directory / SELECTION_FILE, text.getvalue())


def read_selection_table(path: Path) -> list[SelectionRow]:
    """Rows of ``selection.csv``; raises BadInputError naming file and line where it is not one."""
    try:
        with open(path, newline="") as handle:
            reader = csv.DictReader(handle)
            if reader.fieldnames != _COLUMNS:
                raise BadInputError(str(path), expected=f"columns {', '.join(_COLUMNS)}", found=str(reader.fieldnames))
            rows = []
            for line, cells in enumerate(reader, start=2):
                try:
                    rows.append(_row(cells))
                except (KeyError, TypeError, ValueError) as error:
                    raise BadInputError(f"{path}, line {line}", expected="a selection row", found=str(error)) from None
    except OSError as error:
        raise BadInputError(str(path), expected="a selection table", found=error.strerror or "no file") from None
    return rows


def _system_index(task: str) -> str:
    """System index in DP-GEN's task name, three digits."""
    match = _DPGEN_TASK.search(task)
    return f"{int(match.group(1)):03d}" if match else "000"


def _cells(verdict: SelectionVerdict) -> dict[str, str | int | float]:
    """One row as written; numbers keep all their digits."""
    explored = verdict.explored
    spread = explored.devi_insertion_ev
    return {
        "task": explored.task,
        "step": explored.step,
        "kind": explored.kind,
        "n_h2": explored.frame.n_h2,
        "temperature_k": repr(float(explored.temperature_k)),
        "max_devi_f": repr(float(explored.max_devi_f_ev_ang)),
        "devi_insertion_ev": "" if spread is None else repr(float(spread)),
        "band": verdict.band,
        "reason": verdict.reason,
        "picked": int(verdict.picked),
    }


def _row(cells: dict[str, str]) -> SelectionRow:
    """Typed form of one row; raises ValueError or TypeError."""
    spread = cells["devi_insertion_ev"]
    return SelectionRow(
        task=cells["task"],
        step=int(cells["step"]),
        kind=cells["kind"],
        n_h2=int(cells["n_h2"]),
        temperature_k=float(cells["temperature_k"]),
        max_devi_f=float(cells["max_devi_f"]),
        devi_insertion_ev=float(spread) if spread else None,
        band=_BANDS[cells["band"]],
        reason=cells["reason"],
        picked=bool(int(cells["picked"])),
    )

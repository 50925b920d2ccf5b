"""The campaign's state: one small file replaced in one step, and a journal of events."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from alh2.core.errors import BadInputError
from alh2.core.files import append_line, atomic_write_json, read_json_as

Stage = Literal["bootstrap", "train", "explore", "select", "label", "assess", "production", "report", "done"]
Status = Literal["running", "interrupted", "needs-person", "done"]


@dataclass(frozen=True)
class CampaignState:
    """What is next.

    stage : the stage to run (or running); iteration : its iteration, 0 during the bootstrap
    converged : verdict of the last assessment; verdict : the same in words
    param_file, machine_file : what the campaign was last run with, see `stored_path`
    label_budget : most labels that it may ask for
    rung_starts : first iteration of each rung of the curriculum begun so far, () without one
    rungs : loadings of all rungs in words, as the param file of the last run has them
    """

    stage: Stage = "bootstrap"
    iteration: int = 0
    status: Status = "running"
    converged: bool = False
    consecutive: int = 0
    verdict: str = "not assessed yet"
    message: str = ""
    param_file: str = ""
    machine_file: str = ""
    label_budget: int | None = None
    rung_starts: tuple[int, ...] = ()
    rungs: tuple[str, ...] = ()

    def advanced(self, stage: Stage, *, iteration: int | None = None) -> CampaignState:
        """The state with `stage` next."""
        return replace(self, stage=stage, iteration=self.iteration if iteration is None else iteration)


def load_state(path: Path) -> CampaignState | None:
    """State in `path`, None before the first write; raises BadInputError where the file is not a state."""
    if not path.exists():
        return None
    try:
        state = read_json_as(path, CampaignState)
    except BadInputError as error:
        raise _not_a_state(path, error.found) from None
    if state.stage not in get_args(Stage) or state.status not in get_args(Status):
        raise _not_a_state(path, f"stage {state.stage!r}, status {state.status!r}")
    if type(state.iteration) is not int or state.iteration < 0:
        raise _not_a_state(path, f"iteration {state.iteration!r}")
    return state


def _not_a_state(path: Path, found: str) -> BadInputError:
    return BadInputError(
        str(path),
        expected="an alh2 campaign state",
        found=found,
        action="remove this file and run again: finished work is recognised, nothing is computed twice",
    )


def stored_path(file: Path, root: Path) -> str:
    """`file` as the state of the campaign in `root` keeps it: relative where it is in `root`, else absolute.

    A campaign with its files in it can be moved and copied.
    """
    file, root = file.resolve(), root.resolve()
    return str(file.relative_to(root)) if file.is_relative_to(root) else str(file)


def stored_file(text: str, root: Path) -> Path:
    """The file that `stored_path` wrote; one that is gone is taken from beside `root`, where both were moved."""
    file = root / text
    beside = root.parent / file.name
    return beside if not file.exists() and beside.exists() else file


def save_state(path: Path, state: CampaignState) -> None:
    """Replace the state in one step."""
    atomic_write_json(path, asdict(state))


@dataclass(frozen=True)
class Event:
    """One line of the journal.

    event : "run" (a driver begins), "started" and "finished" of a stage, "rung" (the next loadings of the curriculum
        follow), "extended" (the target was raised), "interrupted", "needs-person", "done"
    wall_s : of a finished stage, since it was last started
    """

    time_utc: str
    iteration: int
    stage: str
    event: str
    detail: str
    wall_s: float | None = None


class Journal:
    """Append-only events, one JSON object a line; a torn last line is ignored when read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, state: CampaignState, event: str, detail: str = "", *, wall_s: float | None = None) -> None:
        """Append one event and flush it to disk."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        entry = Event(now, state.iteration, state.stage, event, detail, wall_s)
        append_line(self._path, json.dumps(asdict(entry)))

    def read(self) -> list[Event]:
        """All whole events."""
        if not self._path.exists():
            return []
        events = []
        for line in self._path.read_text().splitlines():
            try:
                events.append(Event(**json.loads(line)))
            except (ValueError, TypeError):
                continue
        return events

"""Quarantined frames labelled again: their tasks are opened, and the stages they belong to repeated."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alh2.campaign.bootstrap import bootstrap
from alh2.campaign.context import Campaign
from alh2.campaign.identity import check_identity
from alh2.campaign.open import reopen_campaign
from alh2.campaign.paths import RunPaths
from alh2.campaign.relabelling import label
from alh2.campaign.state import load_state
from alh2.core.errors import BadInputError, NeedsPersonError
from alh2.dispatch.tasks import RECORD_NAME
from alh2.label.attempts import forget_attempts
from alh2.label.quarantine import QuarantineEntry, read_quarantine

_ITERATION = re.compile(r"iter\.(\d{6})/")


@dataclass(frozen=True)
class Retried:
    """What became of quarantined frames that were labelled again; `left` still have no label."""

    n_released: int
    left: tuple[QuarantineEntry, ...]


def quarantined(directory: Path, *, only: Sequence[str] = ()) -> list[QuarantineEntry]:
    """Entries of the campaign in `directory`, those whose task contains one of `only` where any is given.

    Raises BadInputError where there is no campaign, or one of `only` is in no task.
    """
    paths = RunPaths(directory.resolve())
    if not paths.state.exists():
        raise BadInputError(str(directory), expected="a campaign directory (with state.json)", found="none")
    entries = read_quarantine(paths.quarantine)
    for words in only:
        if not any(words in entry.task for entry in entries):
            raise BadInputError(
                "--only", expected=f"part of the name of a quarantined task of {directory}", found=f'"{words}"',
                action="alh2 label --quarantine lists them",
            )  # fmt: skip
    return [entry for entry in entries if not only or any(words in entry.task for words in only)]


def retry(directory: Path, *, only: Sequence[str] = ()) -> Retried:
    """Label the quarantined frames of the campaign in `directory` again, from the first recipe, and store the labels.

    Raises BadInputError as :func:`quarantined`, and where the param file is for another level of theory than the data
    there; NeedsPersonError where a driver is at work in the directory.
    """
    chosen = quarantined(directory, only=only)
    campaign = reopen_campaign(directory)
    try:
        with campaign.lock:
            check_identity(campaign, started=True)
            _open_tasks(campaign, chosen)
            _repeat_stages(campaign, chosen)
            left = {(entry.digest, entry.task): entry for entry in read_quarantine(campaign.paths.quarantine)}
            still = tuple(left[(e.digest, e.task)] for e in chosen if (e.digest, e.task) in left)
            _note(campaign, f"{len(chosen)} quarantined frames labelled again, {len(still)} have no label")
    finally:
        campaign.reporter.close()
    return Retried(len(chosen) - len(still), still)


def _open_tasks(campaign: Campaign, entries: Sequence[QuarantineEntry]) -> None:
    for entry in entries:
        folder = campaign.paths.root / entry.task
        if folder.is_dir():
            forget_attempts(folder)
            (folder / RECORD_NAME).unlink(missing_ok=True)


def _repeat_stages(campaign: Campaign, entries: Sequence[QuarantineEntry]) -> None:
    """The label stages of `entries`: frames with labels are known, so only the others become tasks."""
    matches = [_ITERATION.match(entry.task) for entry in entries]
    try:
        if not all(matches):
            bootstrap(campaign)
        for iteration in sorted({int(match[1]) for match in matches if match}):
            label(campaign, iteration)
    except NeedsPersonError as error:
        campaign.reporter.message(str(error))


def _note(campaign: Campaign, words: str) -> None:
    state = load_state(campaign.paths.state)
    if state is not None:
        campaign.journal.write(state, "retry", words)
    campaign.reporter.message(words)

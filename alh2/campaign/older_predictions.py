"""Predictions by models of an earlier iteration: kept beside those of the new models, never mixed with them."""

from __future__ import annotations

import re
from pathlib import Path

from alh2.campaign.context import Campaign
from alh2.production.made import read_made

_ITERATION = re.compile(r"(?:^|/)iter\.(\d{6})/")


def keep_older(campaign: Campaign, iteration: int) -> None:
    """Rename folders of predictions that models of another iteration than `iteration` made; repeatable.

    ``production/isotherm`` becomes ``production/isotherm.iter.000001``, and a name that is taken gets a number.
    All kinds of predictions at once: what is drawn together is by the same models. Links stay right, tasks are kept.
    """
    for directory in campaign.paths.predictions:
        before = iteration_of(directory)
        if before is None or before == iteration:
            continue
        kept = _free(directory.with_name(f"{directory.name}.iter.{before:06d}"))
        directory.rename(kept)
        campaign.reporter.message(
            f"production/{directory.name}, by the models of iteration {before}, is kept as production/{kept.name}"
        )


def iteration_of(directory: Path) -> int | None:
    """The iteration whose models made the predictions in `directory`, None where there are none."""
    made = read_made(directory)
    numbers = [found for m in made.models for found in _ITERATION.findall(m.target)] if made else []
    return max(map(int, numbers), default=None)


def _free(path: Path) -> Path:
    """`path`, or the first of its names with a number behind it that is not taken."""
    tried, k = path, 2
    while tried.exists():
        tried, k = path.with_name(f"{path.name}.{k}"), k + 1
    return tried

"""Stage *select* by descriptors, on the explored frames of a finished campaign."""

from __future__ import annotations

import io
import json
import shutil
from typing import Any

from alh2.campaign.open import open_campaign
from alh2.campaign.progress import Reporter
from alh2.campaign.selecting import DESCRIPTORS, picked_dir, select, surroundings
from alh2.explore.explored_file import load_explored
from alh2.select.table import SELECTION_FILE, read_selection_table


def test_candidates_are_compared_with_what_the_next_training_has(again: Any) -> None:
    content = json.loads(again.inputs.param.read_text())
    content["alh2"]["select"] |= {"method": "diverse", "max_labels": 4}
    again.inputs.write_param(content)
    said = io.StringIO()
    campaign = open_campaign(again.inputs.param, again.inputs.machine, again.workdir, reporter=Reporter(said))
    shutil.rmtree(campaign.paths.dataset)
    shutil.copytree(again.dataset_after_one, campaign.paths.dataset)
    directory = campaign.paths.label(1)
    shutil.rmtree(picked_dir(directory))

    stored = {f.frame.digest: f.frame for f in campaign.store.load("train")}
    around = {frame.digest for frame in surroundings(campaign, 1).labelled}
    assert {digest for digest, frame in stored.items() if frame.n_host} <= around
    assert not {digest for digest, frame in stored.items() if not frame.n_host} & around

    select(campaign, 1)
    rows = read_selection_table(directory / SELECTION_FILE)
    picked = [row for row in rows if row.picked]
    assert 1 <= len(picked) <= 4 and all("its trust level" in row.reason for row in picked)
    assert [e.step for e in load_explored(picked_dir(directory))] == [row.step for row in picked]
    assert not (directory / DESCRIPTORS).exists()
    written = (directory / SELECTION_FILE).read_bytes()
    select(campaign, 1)
    assert (directory / SELECTION_FILE).read_bytes() == written

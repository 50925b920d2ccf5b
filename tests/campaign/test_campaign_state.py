"""State, journal and DP-GEN's record on disk."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from alh2.campaign.record import record_stage
from alh2.campaign.state import CampaignState, Journal, load_state, save_state, stored_file, stored_path
from alh2.core.errors import BadInputError


def test_state_comes_back_as_written(tmp_path: Path) -> None:
    state = CampaignState("label", 3, "interrupted", True, 2, "words", "message", "/p", "/m")
    save_state(tmp_path / "state.json", state)
    assert load_state(tmp_path / "state.json") == state


def test_no_state_yet(tmp_path: Path) -> None:
    assert load_state(tmp_path / "state.json") is None


def test_a_campaign_moves_with_its_files(tmp_path: Path) -> None:
    """Files in the campaign's folder, beside it, and elsewhere; a copy does not read the original's."""
    here, there = tmp_path / "here" / "run", tmp_path / "there" / "run"
    inside, beside, elsewhere = here / "param.json", here.parent / "machine.json", tmp_path / "lab" / "machine.json"
    for file in (inside, beside, elsewhere):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    kept = [stored_path(file, here) for file in (inside, beside, elsewhere)]
    assert [stored_file(text, here) for text in kept] == [inside, beside, elsewhere]
    shutil.copytree(here, there)
    assert stored_file(kept[0], there) == there / "param.json"
    here.parent.rename(tmp_path / "moved")
    moved = tmp_path / "moved" / "run"
    assert [stored_file(text, moved) for text in kept[:2]] == [moved / "param.json", moved.parent / "machine.json"]
    assert stored_file(kept[2], moved) == elsewhere
    assert stored_file(str(tmp_path / "gone.json"), moved) == tmp_path / "gone.json"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '"train"', '{"stage": "train", "colour": 1}', '{"stage": "trian"}', '{"status": "ok"}',
     '{"iteration": -1}', '{"iteration": "1"}', '{"iteration": true}', '{"stage": ["train"]}'],
)  # fmt: skip
def test_corrupt_state_is_one_line_that_says_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(BadInputError) as error:
        load_state(path)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{path}: expected an alh2 campaign state, found ")
    assert "remove this file and run again" in str(error.value)


def test_journal_survives_a_torn_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.write(CampaignState(), "started")
    with open(tmp_path / "journal.jsonl", "a") as handle:
        handle.write('{"time_utc": "2024-')
    journal.write(CampaignState(), "finished", wall_s=1.5)
    events = journal.read()
    assert [(e.event, e.wall_s) for e in events] == [("started", None), ("finished", 1.5)]


def test_record_lists_each_step_once(tmp_path: Path) -> None:
    path = tmp_path / "record.dpgen"
    for iteration in (0, 1):
        for _ in range(2):  # a stage repeated after an interruption
            for stage in ("train", "explore", "select", "label", "assess"):
                record_stage(path, iteration, stage)  # type: ignore[arg-type]
    assert path.read_text() == "".join(f"{i} {step}\n" for i in (0, 1) for step in range(9))

"""Isotherms beside another one: those of other nuclei are found, what cannot be read is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alh2.core.errors import BadInputError
from alh2.production.isotherm_beside import read_beside, siblings
from alh2.production.isotherm_result import RESULT_FILE, HostFacts, Isotherm, write_isotherm

FACTS = HostFacts("node", "Al", 27.0, 1000.0, "none", 0.75, None)


def test_siblings_are_read_and_older_ones_are_said(tmp_path: Path) -> None:
    quantum = Isotherm(FACTS, None, ())
    for name in ("isotherm", "isotherm-feynman-hibbs", "isotherm-old"):
        (tmp_path / name).mkdir()
        write_isotherm(tmp_path / name, quantum)
    old = tmp_path / "isotherm-old" / RESULT_FILE
    old.write_text(json.dumps(json.loads(old.read_text()) | {"version": 1}))
    said: list[str] = []
    assert siblings(tmp_path / "isotherm", on_message=said.append) == [quantum]
    (line,) = said
    assert str(old) in line and "version 1" in line and "run alh2 produce isotherm again" in line


def test_a_folder_without_one(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="isotherm.json"):
        read_beside(tmp_path)

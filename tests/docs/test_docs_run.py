"""Commands of README and docs that are run here as they are written, and which test runs the others."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from alh2.cli import app
from alh2.cli.errors import run_app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
LINES = [
    line.strip()
    for page in PAGES
    for language, text in FENCED.findall(page.read_text())
    if not language
    for line in text.splitlines()
]
COMMANDS = sorted({line.split("   #")[0].strip() for line in LINES if line.startswith("alh2 ")})
CHECKS = [c for c in COMMANDS if re.fullmatch(r"alh2 check param/\S+ machines/local\.json", c)]

RUN_BY = {
    "init": "tests/docs/test_docs.py",
    "check": "tests/docs/test_docs_run.py",
    "structure": "tests/docs/test_docs.py",
    "label": "tests/docs/test_how_to_another_mof.py",
    "run": "tests/campaign/conftest.py",
    "status": "tests/campaign/test_campaign_whole.py",
    "stop": "tests/campaign/test_campaign_background.py",
    "report": "tests/campaign/test_campaign_produce.py",
    "publish": "tests/campaign/test_campaign_publish.py",
    "ingest": "tests/cli/test_cli_ingest.py",
    "export-dpgen": "tests/campaign/test_campaign_exporting.py",
    "gcmc": "tests/gcmc/test_gcmc_cli.py",
    "produce": "tests/cli/test_cli_produce.py",
}
"""Subcommand of the docs, and a test that runs it for real; options of every line are parsed by test_docs.py."""


def test_every_subcommand_of_the_docs_is_run_by_a_test() -> None:
    assert {command.split()[1] for command in COMMANDS} == set(RUN_BY)
    for name, file in RUN_BY.items():
        assert name in (ROOT / file).read_text(), f"{file} does not speak of {name}"


@pytest.mark.parametrize("command", CHECKS)
def test_checks_of_the_param_files_here_find_everything(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    assert run_app(app) == 0
    assert "all files, programs and data are there" in capsys.readouterr().out


def test_there_are_such_checks() -> None:
    assert len(CHECKS) >= 2


def test_label_as_the_readme_has_it(tmp_path: Path) -> None:
    """On the node that the structure command of the docs makes."""
    for line in ("alh2 structure node node.extxyz --h2 2", "alh2 label node.extxyz --output labelled.extxyz"):
        assert line in COMMANDS, line
        words = [str(Path(sys.executable).parent / "alh2"), *shlex.split(line)[1:]]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "labelled.extxyz").stat().st_size > 1000

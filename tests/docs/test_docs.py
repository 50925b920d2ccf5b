"""Commands, links and paths in README and docs exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import click
import pytest
import typer

from alh2.cli import app
from alh2.config.templates import template_names

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PICTURE_TO_COME = "docs/images/quickstart.png"
"""Made from a quickstart run; may be absent until one has been made."""


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def blocks(page: Path) -> list[str]:
    """Fenced code without a language: shell commands and listings."""
    fenced = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [text for language, text in fenced if not language]


def commands(page: Path) -> list[str]:
    """Each ``alh2 …`` line of the page's code blocks, without its comment."""
    lines = [line.strip().split("   #")[0] for block in blocks(page) for line in block.splitlines()]
    return [line.strip() for line in lines if line.startswith("alh2 ")]


ALL_COMMANDS = [(page, command) for page in PAGES for command in commands(page)]


@cache
def root_command() -> click.Command:
    return typer.main.get_command(app)


def parse(command: str) -> None:
    """Parse as the program would, down to the last option, without running anything."""
    current, words = root_command(), shlex.split(command)[1:]
    context = None
    while hasattr(current, "commands"):
        context = current.make_context(current.name or "alh2", words[:0], parent=context, resilient_parsing=True)
        assert words and words[0] in current.commands, f"no subcommand {words[:1]} in {command!r}"
        current, words = current.commands[words[0]], words[1:]
    current.make_context(current.name or "alh2", list(words), parent=context)


def test_there_are_commands_to_check():
    assert len(ALL_COMMANDS) >= 15
    assert {command.split()[1] for _, command in ALL_COMMANDS} >= {
        *("init", "check", "run", "status", "report", "ingest", "structure", "label", "gcmc"),
    }


@pytest.mark.parametrize(
    ("page", "command"), ALL_COMMANDS, ids=[f"{page.name}: {command}" for page, command in ALL_COMMANDS]
)
def test_command_is_one_that_alh2_understands(page, command):
    parse(command)


def test_a_wrong_command_would_be_noticed():
    for command in ("alh2 ran a b", "alh2 run a b --workdri x", "alh2 check a", "alh2 structure crystals x"):
        with pytest.raises(Exception, match="(?i)no such|missing|no subcommand|unexpected|invalid"):
            parse(command)


def test_files_named_in_commands_exist():
    for page, command in ALL_COMMANDS:
        for word in shlex.split(command)[1:]:
            if re.match(r"(param|machines|examples)/", word):
                assert (ROOT / word).exists(), f"{page.name}: {command}"


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_links_resolve(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(\s*([^)\s]+)\s*\)", text):
        if re.match(r"https?://", target):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        if file and str(path.relative_to(ROOT)) == PICTURE_TO_COME and not path.exists():
            continue
        assert path.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(path), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    """Anchors that Markdown viewers give to the headings of `page`."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_paths_and_modules_in_backticks_exist(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    later = {"alh2/label/soft_spheres.py"}  # the example of the page that tells how to write it
    for word in re.findall(r"`((?:alh2|tests|docs|param|machines|examples|\.ci)/[\w./-]+)`", text):
        assert word in later or (ROOT / word).exists(), f"{page.name}: {word}"
    for script in re.findall(r"python (examples/[\w./-]+\.py)", page.read_text()):
        assert (ROOT / script).exists(), f"{page.name}: {script}"


def test_every_package_stands_in_the_architecture_page():
    text = (ROOT / "docs" / "architecture.md").read_text()
    packages = {path.parent.name for path in (ROOT / "alh2").glob("*/__init__.py")}
    assert packages == set(re.findall(r"\| `alh2/(\w+)`", text))


def test_make_targets_named_in_the_docs_exist():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = re.findall(r"(?:^|`)make (\w+)", page.read_text(), re.MULTILINE)
        assert set(named) <= targets, page.name


def test_templates_named_in_the_docs_exist():
    named = {word for _, c in ALL_COMMANDS for word in re.findall(r"--template (\S+)", c)}
    assert named and named <= set(template_names())


def test_quick_commands_of_the_docs_run(tmp_path):
    """init, check and structure as written, in a scratch folder."""
    for line in (
        "alh2 init runs/mine --template quickstart",
        "alh2 check runs/mine/param.json runs/mine/machine.json",
        "alh2 structure crystal POSCAR --h2 24 --prefer-open-sites",
        "alh2 structure node node.extxyz --h2 2",
    ):
        assert any(line == command for _, command in ALL_COMMANDS), line
        words = [str(Path(sys.executable).parent / "alh2"), *shlex.split(line)[1:]]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), line
    assert len(list(tmp_path.iterdir())) == 3


def test_make_quickstart_runs_what_the_tutorial_says():
    shown = subprocess.run(
        ["make", "-n", "-o", ".venv/.alh2-ready", "quickstart"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "alh2 run param/quickstart.json machines/local.json --workdir" in shown
    tutorial = (ROOT / "docs" / "tutorial-quickstart.md").read_text()
    assert "alh2 run param/quickstart.json machines/local.json --workdir quickstart" in tutorial

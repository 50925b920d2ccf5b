"""The set-up behind make: what it says where Python is missing or old, and how it repairs what was cut short.

The interpreter is a stand-in that makes an environment with a stand-in for pip, so that nothing is installed.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

PYTHON = """#!/bin/sh
case "$*" in
*"%d.%d"*) echo {version} ;;
*version_info*) exit {too_old} ;;
*ensurepip*) exit {no_ensurepip} ;;
*"-m venv --clear"*)
    rm -rf "$4" && mkdir -p "$4/bin" && echo made >> {log}
    cat {standin} > "$4/bin/python"
    chmod +x "$4/bin/python" ;;
esac
"""
IN_ENVIRONMENT = """#!/bin/sh
case "$*" in
*"-m pip"*"-r "*) for last; do :; done; cat "$last" >> {parts}; exit $(cat {pip}) ;;
*"-m pip"*) echo pip says hello; exit $(cat {pip}) ;;
esac
"""
PINS = [f"package-{i}==1.{i} ; python_version >= '3.11'" for i in range(20)]


class Setup:
    """A folder with a stand-in Python, in which .ci/setup is run as make runs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log, self.pip = folder / "made.log", folder / "pip.exit"
        self.pip.write_text("0")
        self.parts, self.standin = folder / "parts.log", folder / "standin"
        self.standin.write_text(IN_ENVIRONMENT.format(parts=self.parts, pip=self.pip))
        (folder / "constraints.txt").write_text("\n".join(["# versions", *PINS, ""]))
        self.stamp, self.marker = folder / ".venv" / ".alh2-ready", folder / ".venv.installing"
        self.tools = folder / "tools"
        self.tools.mkdir()
        for tool in (*("awk", "cat", "chmod", "getconf", "id", "ls", "mkdir"), *("mktemp", "rm", "tail", "xargs")):
            (self.tools / tool).symlink_to(shutil.which(tool))
        self.python()

    def python(self, version: str = "3.11", *, too_old: bool = False, no_ensurepip: bool = False) -> None:
        text = PYTHON.format(
            version=version, too_old=int(too_old), no_ensurepip=int(no_ensurepip), log=self.log, standin=self.standin
        )
        (self.tools / "python3").write_text(text)
        (self.tools / "python3").chmod(0o755)

    def run(self, python: str = "python3") -> tuple[int, str]:
        done = subprocess.run(
            ["/bin/sh", str(ROOT / ".ci" / "setup"), python, ".venv", ".venv/.alh2-ready"],
            cwd=self.folder,
            env={"PATH": str(self.tools)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    @property
    def times_made(self) -> int:
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0


@pytest.fixture
def setup(tmp_path):
    return Setup(tmp_path)


def test_first_time_and_again(setup):
    code, said = setup.run()
    assert code == 0 and "making .venv with Python 3.11" in said
    assert setup.stamp.exists() and not setup.marker.exists()
    assert "pip says hello" in (setup.folder / ".venv" / "setup.log").read_text()
    assert sorted(setup.parts.read_text().splitlines()) == sorted(PINS)  # each pin by one of several pips
    assert setup.run()[0] == 0
    assert setup.times_made == 1  # a healthy environment is kept


def test_an_installation_cut_short_is_made_anew(setup):
    setup.pip.write_text("1")
    code, said = setup.run()
    assert code == 1 and "pip says hello" in said and "pip failed" in said
    assert setup.marker.exists() and not setup.stamp.exists()
    setup.pip.write_text("0")
    assert setup.run()[0] == 0
    assert setup.times_made == 2 and setup.stamp.exists() and not setup.marker.exists()


def test_an_environment_that_does_not_start_is_made_anew(setup):
    setup.run()
    (setup.folder / ".venv" / "bin" / "python").unlink()
    assert setup.run()[0] == 0
    assert setup.times_made == 2


def test_no_python(setup):
    code, said = setup.run("python3.99")
    assert code == 1
    assert said == "setup: no python3.99 here; name a Python >= 3.10: make setup PYTHON=python3.11\n"


def test_old_python(setup):
    setup.python("3.9", too_old=True)
    code, said = setup.run()
    assert code == 1
    assert said == "setup: python3 is Python 3.9, alh2 needs 3.10 or newer: make setup PYTHON=python3.11\n"


def test_debian_without_the_venv_package(setup):
    setup.python("3.12", no_ensurepip=True)
    code, said = setup.run()
    assert code == 1 and said.count("\n") == 1
    assert "sudo apt-get install python3.12-venv, then the same make again" in said
    assert setup.times_made == 0


def test_debian_without_the_venv_package_as_root(setup):
    """Root is not asked: the package is installed, and the set-up goes on."""
    setup.python("3.12", no_ensurepip=True)
    (setup.tools / "id").unlink()
    (setup.tools / "id").write_text("#!/bin/sh\necho 0\n")
    (setup.tools / "apt-get").write_text(f'#!/bin/sh\necho "$*" >> {setup.folder}/apt.log\n')
    for tool in ("id", "apt-get"):
        (setup.tools / tool).chmod(0o755)
    (setup.tools / "true").symlink_to(shutil.which("true"))
    code, said = setup.run()
    assert code == 0 and "installing python3.12-venv" in said
    assert (setup.folder / "apt.log").read_text().splitlines() == ["update -qq", "install -y -qq python3.12-venv"]
    assert setup.stamp.exists()

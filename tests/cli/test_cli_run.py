"""``alh2 run``, ``status`` and ``report`` where something is wrong from the start: one line, the right exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from alh2.campaign.lock import DriverLock

ROOT = Path(__file__).parents[2]
PARAM, MACHINE = ROOT / "param" / "quickstart.json", ROOT / "machines" / "local.json"


def _alh2(*arguments: object, cwd: Path) -> tuple[int, str, str]:
    command = [str(Path(sys.executable).parent / "alh2"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)
    return done.returncode, done.stdout, done.stderr


def _refusal(*arguments: object, cwd: Path, code: int = 2) -> str:
    """The one line on stderr of a command that must end with `code` and print nothing else."""
    found, out, err = _alh2(*arguments, cwd=cwd)
    assert (found, out) == (code, ""), err
    (line,) = err.splitlines()
    assert line.startswith("alh2: ")
    return line


def test_version_and_help_tell_what_this_is(tmp_path: Path) -> None:
    assert _alh2("--version", cwd=tmp_path) == (0, f"alh2 {version('alh2')}\n", "")
    code, out, err = _alh2("--help", cwd=tmp_path)
    assert (code, err) == (0, "")
    assert "Al-soc-MOF" in out and "produce" in out


@pytest.mark.parametrize(
    ("param", "machine", "said"),
    [
        ("none.json", MACHINE, "none.json"),
        (PARAM, "none.json", "none.json"),
        (".", MACHINE, "expected"),
        (MACHINE, PARAM, "local.json"),
        ("text.json", MACHINE, "text.json"),
    ],
)
def test_bad_files_are_one_line(tmp_path: Path, param: object, machine: object, said: str) -> None:
    (tmp_path / "text.json").write_text("not JSON at all")
    line = _refusal("run", param, machine, "--workdir", "run", cwd=tmp_path)
    assert said in line
    assert not (tmp_path / "run").exists()


def test_missing_argument_is_a_usage_error(tmp_path: Path) -> None:
    code, _, err = _alh2("run", PARAM, cwd=tmp_path)
    assert code == 2
    assert "machine" in err.lower()
    assert "Traceback" not in err


def test_workdir_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x")
    for name in ("taken", "taken/below"):
        assert "choose another --workdir" in _refusal("run", PARAM, MACHINE, "--workdir", name, cwd=tmp_path)


def test_second_driver_is_refused_by_host_and_pid(tmp_path: Path) -> None:
    with DriverLock(tmp_path / "run" / "driver.lock"):
        line = _refusal("run", PARAM, MACHINE, "--workdir", "run", cwd=tmp_path, code=1)
    assert f"another driver is at work here (host {os.uname().nodename}, pid {os.getpid()}" in line
    assert not (tmp_path / "run" / "state.json").exists()


@pytest.mark.parametrize("command", ["run", "status", "report"])
def test_corrupt_state_is_one_line_that_says_what_to_do(tmp_path: Path, command: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "state.json").write_text('{"stage": "tra')
    arguments = [PARAM, MACHINE, "--workdir", "run"] if command == "run" else ["run"]
    line = _refusal(command, *arguments, cwd=tmp_path)
    assert "state.json: expected an alh2 campaign state" in line
    assert "remove this file and run again" in line


@pytest.mark.parametrize("command", ["status", "report"])
def test_no_campaign_here(tmp_path: Path, command: str) -> None:
    line = _refusal(command, cwd=tmp_path)
    assert "start with alh2 run" in line
    assert list(tmp_path.iterdir()) == []


def test_report_says_when_the_param_file_is_gone(tmp_path: Path) -> None:
    state = {"param_file": str(tmp_path / "gone.json"), "machine_file": str(MACHINE)}
    (tmp_path / "state.json").write_text(json.dumps(state))
    assert "gone.json" in _refusal("report", cwd=tmp_path)


def test_status_of_a_dead_driver(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text(json.dumps({"stage": "train", "iteration": 1}))
    code, out, err = _alh2("status", "--json", cwd=tmp_path)
    assert (code, err) == (0, "")
    status = json.loads(out)
    assert (status["state"], status["driver"]) == ("running", False)
    assert status["tasks"] == {"finished": 0, "total": 0}
    assert status["n_labels"] == 0
    code, out, err = _alh2("status", cwd=tmp_path)
    assert (code, err) == (0, "")
    assert "no driver is at work" in out

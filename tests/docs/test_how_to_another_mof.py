"""docs/how-to-another-mof-or-gas.md: its commands and its param file, on a node whose metal is gallium."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest

from alh2.config.load import load_param
from alh2.core.errors import BadInputError
from alh2.structure.cluster import carve_node

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "how-to-another-mof-or-gas.md").read_text()
COMMANDS = [line for line in PAGE.splitlines() if line.startswith("alh2 ")]


def changed(tree: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """`tree` with the page's changes: objects merged, ``host`` replaced as a whole."""
    result = dict(tree)
    for key, value in change.items():
        merge = isinstance(value, dict) and isinstance(result.get(key), dict) and key != "host"
        result[key] = changed(result[key], value) if merge else value
    return result


def as_written(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    words = [str(Path(sys.executable).parent / "alh2"), *shlex.split(line)[1:]]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder after the page's first command, with the host's file and the changed param file."""
    folder = tmp_path_factory.mktemp("another")
    done = as_written(COMMANDS[0], folder)
    assert done.returncode == 0, done.stderr
    host = carve_node(lattice_ang=21.67, box_ang=16.0)
    host.symbols[host.symbols == "Al"] = "Ga"
    ase.io.write(folder / "runs/my-mof/host.extxyz", host)
    (change,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    param = folder / "runs/my-mof/param.json"
    param.write_text(json.dumps(changed(json.loads(param.read_text()), json.loads(change))))
    return folder


def test_the_page_has_the_four_commands() -> None:
    assert [line.split()[1] for line in COMMANDS] == ["init", "label", "check", "run"]


def test_electronic_structure_works_for_the_host(prepared: Path) -> None:
    done = as_written(COMMANDS[1], prepared)
    assert done.returncode == 0, done.stderr
    labelled = ase.io.read(prepared / "labelled.extxyz")
    assert labelled.symbols.count("Ga") == 3 and np.isfinite(labelled.get_forces()).all()


def test_check_finds_everything_there(prepared: Path) -> None:
    done = as_written(COMMANDS[2], prepared)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "all files, programs and data are there" in done.stdout
    param = load_param(prepared / "runs/my-mof/param.json")
    assert param.type_map == ("Ga", "O", "C", "H") and param.host is not None and param.host.build is None
    assert param.committees[0].training_param["model"]["descriptor"]["sel"] == [4, 16, 8, 40]


def test_an_element_that_the_type_map_lacks_is_named(prepared: Path) -> None:
    path = prepared / "runs/my-mof/param.json"
    tree = json.loads(path.read_text())
    wrong = prepared / "runs/my-mof/wrong.json"
    wrong.write_text(json.dumps({**tree, "type_map": ["Al", "O", "C", "H"]}))
    done = as_written(f"alh2 check {wrong} {prepared / 'runs/my-mof/machine.json'}", prepared)
    assert done.returncode == 2 and len(done.stderr.splitlines()) >= 1 and "Traceback" not in done.stderr


def test_another_gas_is_what_the_page_says_it_is() -> None:
    """The engine takes any molecule and fluid; frames do not."""
    from alh2.core.frames import Frame
    from alh2.gcmc import RigidMolecule
    from alh2.gcmc.fugacity import fugacity_bar

    assert RigidMolecule.single("Ar").symbols == ("Ar",)
    assert 0.9 < fugacity_bar(1.0, 120.0, "Argon") < 1.0
    with pytest.raises(BadInputError):
        fugacity_bar(1.0, 120.0, "Phlogiston")
    with pytest.raises(ValueError, match="must be H2 molecules"):
        Frame(("Ga", "Ar"), np.zeros((2, 3)), 9 * np.eye(3), 1, "host")

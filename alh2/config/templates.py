"""Param files that come with alh2, and copies of them that work elsewhere."""

from __future__ import annotations

import copy
import json
import os
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alh2.config.files import read_tree
from alh2.config.schema import LABEL_PATHS
from alh2.config.where import nearest
from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_text

MACHINE = "local"
PARAM_NAME, MACHINE_NAME = "param.json", "machine.json"
_LINE = 100


def templates_root() -> Path:
    """Folder that holds ``param/`` and ``machines/``: the source tree, or ``share/alh2`` of an installed package.

    Raises BadInputError where neither is there.
    """
    checkout = Path(__file__).resolve().parents[2]
    for root in (checkout, Path(sysconfig.get_path("data")) / "share" / "alh2"):
        if (root / "param").is_dir() and (root / "machines").is_dir():
            return root
    raise BadInputError("templates", expected="folders param and machines", found="neither", action="reinstall alh2")


def template_names() -> tuple[str, ...]:
    """Names for ``--template``."""
    return tuple(sorted(path.stem for path in (templates_root() / "param").glob("*.json")))


def write_template(name: str, directory: Path) -> tuple[Path, Path]:
    """Write ``param.json`` and ``machine.json`` of template `name` into `directory`; returns their paths.

    Paths inside become absolute, so that the copy works from anywhere. Doing it again is harmless.

    Raises
    ------
    BadInputError
        Unknown template, or one of the files exists with other content (nothing is written then).
    """
    names = template_names()
    if name not in names:
        near = nearest(name, names)
        raise BadInputError(
            "--template",
            expected=f"one of {', '.join(names)}",
            found=name,
            action=f"did you mean {near}?" if near else "",
        )
    root = templates_root()
    source = root / "param" / f"{name}.json"
    texts = {
        directory / PARAM_NAME: pretty(with_absolute_paths(read_tree(source), source.parent)) + "\n",
        directory / MACHINE_NAME: (root / "machines" / f"{MACHINE}.json").read_text(),
    }
    for path, text in texts.items():
        if path.exists() and path.read_text() != text:
            raise BadInputError(
                str(path), expected="no such file yet", found="another one", action="choose another folder or move it"
            )
    for path, text in texts.items():
        if not path.exists():
            atomic_write_text(path, text)
    return directory / PARAM_NAME, directory / MACHINE_NAME


def with_absolute_paths(raw: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A copy of the param tree `raw` whose relative paths are counted from `folder`."""
    tree = copy.deepcopy(raw)

    def absolute(text: str) -> str:
        return os.path.normpath(folder / Path(text).expanduser())

    def each(owner: Any, key: str, change: Callable[[str], str]) -> None:
        if isinstance(owner, dict) and isinstance(owner.get(key), str):
            owner[key] = change(owner[key])
        elif isinstance(owner, dict) and isinstance(owner.get(key), list):
            owner[key] = [change(item) if isinstance(item, str) else item for item in owner[key]]

    for prefix, key in (("init_data_prefix", "init_data_sys"), ("sys_configs_prefix", "sys_configs")):
        if prefix in tree:
            each(tree, prefix, absolute)
        elif key == "init_data_sys":
            each(tree, key, absolute)
        else:
            tree.update({key: [[absolute(item) for item in system] for system in tree[key]]} if key in tree else {})
    own = tree.get("alh2", {})
    each(own.get("host"), "file", absolute)
    for source in own.get("dataset", {}).get("aimd", []):
        each(source, "files", absolute)
    each(tree.get("fp_params"), "host_file", absolute)
    for key in LABEL_PATHS:
        each(tree, key, absolute)
    return tree


def pretty(value: Any, indent: int = 0) -> str:
    """JSON with short lists and objects on one line, as a person would write it."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, (dict, list)) or not value:
        return line
    parts = value.values() if isinstance(value, dict) else value
    if indent and len(line) + indent < _LINE and not any(isinstance(part, dict) for part in parts):
        return line
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        rows = [f"{pad}{json.dumps(k, ensure_ascii=False)}: {pretty(v, indent + 2)}" for k, v in value.items()]
        return "{\n" + ",\n".join(rows) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(pad + pretty(v, indent + 2) for v in value) + "\n" + " " * indent + "]"

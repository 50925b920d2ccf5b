"""Param and machine files as read: JSON or YAML, with the place of a syntax error."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from alh2.core.errors import BadInputError


class _DuplicateKeyError(ValueError):
    """A key given twice in one object."""


def read_tree(path: Path) -> dict[str, Any]:
    """Content of a JSON (``.json``) or YAML (``.yaml``, ``.yml``) file as a dict.

    Raises
    ------
    BadInputError
        No such file, not text, a syntax error (with line and column), a key given twice, or not an object.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        found = "no such file" if isinstance(error, FileNotFoundError) else (error.strerror or str(error)).lower()
        raise BadInputError(str(path), expected="a JSON or YAML file", found=found, action="check the path") from None
    except UnicodeDecodeError:
        raise BadInputError(str(path), expected="UTF-8 text", found="other bytes") from None
    tree = _parse_yaml(text, path) if path.suffix in (".yaml", ".yml") else _parse_json(text, path)
    if not isinstance(tree, dict):
        raise BadInputError(path.name, expected="an object {…}", found=f"{type(tree).__name__}")
    return tree


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result and not key.startswith("_"):
            raise _DuplicateKeyError(key)
        result[key] = value
    return result


def _parse_json(text: str, path: Path) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_no_duplicates)
    except json.JSONDecodeError as error:
        wanted = error.msg.removeprefix("Expecting ") if error.msg.startswith("Expecting ") else "valid JSON"
        rest = text[error.pos :].split("\n", 1)[0].strip()[:30]
        found = f"{rest!r}" if rest else "the end of the line" if text[error.pos :].strip() else "the end of the file"
        if wanted == "valid JSON":
            found = f"{error.msg.lower()} at {found}"
        raise BadInputError(
            f"{path.name}, line {error.lineno}, column {error.colno}", expected=wanted, found=found
        ) from None
    except _DuplicateKeyError as error:
        raise _twice(str(error), text, path) from None


def _twice(key: str, text: str, path: Path) -> BadInputError:
    lines = [i for i, line in enumerate(text.splitlines(), 1) if re.search(rf"[\"']?{re.escape(key)}[\"']?\s*:", line)]
    places = f" (lines {', '.join(map(str, lines))})" if len(lines) > 1 else ""
    return BadInputError(f"{path.name}: {key}", expected="the key once", found=f"it twice{places}", action="keep one")


def _parse_yaml(text: str, path: Path) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML 1.2 numbers (``1e-3`` is one) and no key given twice."""

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"),
        list("-+0123456789."),
    )

    def mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[str, Any]:
        loader.flatten_mapping(node)
        return _no_duplicates([(str(k), v) for k, v in loader.construct_pairs(node, deep=True)])

    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    try:
        return yaml.load(text, Loader=Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise BadInputError(
            f"{path.name}, line {line}, column {column}", expected="valid YAML", found=error.problem or "a syntax error"
        ) from None
    except yaml.YAMLError as error:
        raise BadInputError(path.name, expected="valid YAML", found=str(error).splitlines()[0]) from None
    except _DuplicateKeyError as error:
        raise _twice(str(error), text, path) from None

"""Names of places in a file, for error messages, and the words that describe types and values."""

from __future__ import annotations

import difflib
import json
import types
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from alh2.core.errors import BadInputError

MAX_SHOWN = 40
"""Longest value quoted in a message, characters."""


@dataclass(frozen=True)
class Where:
    """A key in a file: `file` as shown to the user, `path` of keys and list indices."""

    file: str
    path: tuple[str | int, ...] = ()

    def __truediv__(self, part: str | int) -> Where:
        return Where(self.file, (*self.path, part))

    def __str__(self) -> str:
        text = ""
        for part in self.path:
            text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
        return f"{self.file}: {text}" if text else self.file

    def bad(self, expected: str, found: Any, action: str = "") -> BadInputError:
        """The error for the value `found` at this place."""
        return BadInputError(str(self), expected=expected, found=show(found), action=action)


def show(value: Any) -> str:
    """A short JSON form of `value` with its type, e.g. ``"77" (a string)``."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    if len(text) > MAX_SHOWN:
        text = text[: MAX_SHOWN - 1] + "…"
    kinds = {
        bool: "true/false",
        int: "an integer",
        float: "a number",
        str: "a string",
        list: "a list",
        dict: "an object",
    }
    kind = kinds.get(type(value))
    return f"{text} ({kind})" if kind else text


def type_words(dtypes: Iterable[Any]) -> str:
    """English for dargs types, e.g. ``a list of numbers or "null"``."""
    names = sorted({type_word(d) for d in dtypes}, key=lambda name: (name == "null", "list" in name, name))
    return " or ".join(names)


def type_word(dtype: Any, *, plural: bool = False) -> str:
    """English for one type; `plural` for the elements of a list."""
    simple = {
        bool: ("true or false", "true/false values"),
        int: ("an integer", "integers"),
        float: ("a number", "numbers"),
        str: ("a string", "strings"),
        dict: ("an object {…}", "objects"),
        list: ("a list", "lists"),
        type(None): ("null", "nulls"),
        None: ("null", "nulls"),
    }
    if dtype in simple:
        return simple[dtype][plural]
    if get_origin(dtype) is list:
        return ("lists of " if plural else "a list of ") + type_word(get_args(dtype)[0], plural=True)
    if isinstance(dtype, types.UnionType):
        return " or ".join(type_word(d, plural=plural) for d in get_args(dtype))
    if get_origin(dtype) is dict:
        return simple[dict][plural]
    return "values" if plural else "a value"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or that continues it (``dt`` → ``dt_fs``); None where none is near."""
    names = list(known)
    folded: dict[str, str] = {}
    for each in names:
        folded.setdefault(each.lower(), each)
    hits = difflib.get_close_matches(name.lower(), list(folded), n=1, cutoff=0.6)
    if hits:
        return folded[hits[0]]
    longer = [each for each in names if each.startswith(f"{name}_")]
    return longer[0] if longer else None

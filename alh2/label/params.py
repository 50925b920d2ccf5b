"""Checks of labeler parameters: unknown keys and wrong types fail with the key's path and the nearest valid name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from alh2.core.errors import BadInputError


def nearest_hint(name: str, valid: Iterable[str]) -> str:
    """Advice that names the nearest of `valid`, or all of them where none is near."""
    names = sorted(valid)
    close = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    return f'did you mean "{close[0]}"?' if close else f"use one of {', '.join(names)}"


def reject_unknown(params: Mapping[str, Any], valid: Iterable[str], where: str) -> None:
    """Raise BadInputError at the first key of `params` that is not in `valid`."""
    names = sorted(valid)
    for key in params:
        if key not in names:
            raise BadInputError(
                f"{where}.{key}", expected="a known parameter", found=f'"{key}"', action=nearest_hint(key, names)
            )


def number(
    params: Mapping[str, Any], key: str, default: float, *, where: str, low: float, high: float = float("inf")
) -> float:
    """Number `key` of `params`, within [low, high]; raises BadInputError."""
    value = params.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        limit = f"a number ≥ {low:g}" if high == float("inf") else f"a number from {low:g} to {high:g}"
        raise BadInputError(f"{where}.{key}", expected=limit, found=repr(value))
    return float(value)


def integer(params: Mapping[str, Any], key: str, default: int, *, where: str, low: int) -> int:
    """Integer `key` of `params`, at least `low`; raises BadInputError."""
    value = params.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise BadInputError(f"{where}.{key}", expected=f"an integer ≥ {low}", found=repr(value))
    return value


def choice(params: Mapping[str, Any], key: str, default: str, *, where: str, valid: Iterable[str]) -> str:
    """One of the words `valid`; raises BadInputError with the nearest one."""
    value = params.get(key, default)
    names = list(valid)
    if value not in names:
        raise BadInputError(
            f"{where}.{key}",
            expected=f"one of {', '.join(names)}",
            found=repr(value),
            action=nearest_hint(str(value), names),
        )
    return str(value)

"""Strict validation of a parsed file against a tree of `dargs` arguments.

dargs checks types and unknown keys too, but names neither list indices nor the type of the key that was meant,
lets booleans pass as integers, and has no ranges. This walker uses the same trees and reports one line.
"""

from __future__ import annotations

import copy
import math
import types
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from dargs import Argument, Variant
from dargs.dargs import _Flags

from alh2.config.where import Where, nearest, type_word, type_words
from alh2.core.errors import BadInputError

LIMITS_ATTRIBUTE = "alh2_limits"


@dataclass(frozen=True)
class Limits:
    """Range of a number, or of each number of a list; or the allowed words (`also`: allowed, not listed)."""

    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None
    choices: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    not_empty: bool = False

    def words(self) -> str:
        """The limits in words, e.g. ``> 0 and ≤ 1``."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        signs = ((">", self.above), ("≥", self.at_least), ("<", self.below), ("≤", self.at_most))
        return " and ".join(f"{sign} {bound:g}" for sign, bound in signs if bound is not None)

    def allow(self, value: float | str) -> bool:
        """Whether one scalar is within the limits."""
        if isinstance(value, str):
            return not self.choices or value in self.choices or value in self.also
        return (
            (self.above is None or value > self.above)
            and (self.at_least is None or value >= self.at_least)
            and (self.below is None or value < self.below)
            and (self.at_most is None or value <= self.at_most)
        )


def set_limits(argument: Argument, limits: Limits) -> Argument:
    """Attach `limits` to `argument` and return it."""
    setattr(argument, LIMITS_ATTRIBUTE, limits)
    return argument


def limits_of(argument: Argument) -> Limits | None:
    """The limits attached to `argument`, None without."""
    found = getattr(argument, LIMITS_ATTRIBUTE, None)
    return found if isinstance(found, Limits) else None


def strip_comments(value: Any) -> Any:
    """A copy of `value` without keys that start with an underscore, as DP-GEN and DeePMD ignore them.

    A bare ``_`` is no comment: DP-GEN's CP2K settings hold the argument of a section under it.
    """
    if isinstance(value, dict):
        return {k: strip_comments(v) for k, v in value.items() if not (isinstance(k, str) and k[:1] == "_" != k)}
    if isinstance(value, list):
        return [strip_comments(v) for v in value]
    return value


def validate(argument: Argument, value: Any, where: Where, *, lenient: Collection[str] = ()) -> Any:
    """`value` checked against `argument`, with defaults filled in and aliases resolved.

    Parameters
    ----------
    argument : dargs.Argument
        Schema of `value`.
    where : Where
        Place of `value` in the user's file.
    lenient : collection of str
        Keys that may be absent although the schema requires them, or present although it does not know them.

    Raises
    ------
    BadInputError
        Unknown key (with the nearest known one), missing key, wrong type, value out of range.
    """
    dtypes = [dict] if not argument.dtype else list(argument.dtype)
    nested = argument.sub_fields or argument.sub_variants
    if argument.repeat and isinstance(value, list) and _matches_any(value, [list]):
        return [_validate_object(argument, item, where / i, lenient) for i, item in enumerate(value)]
    if nested and not argument.repeat and isinstance(value, dict):
        checked = _validate_object(argument, value, where, lenient)
        _extra_check(argument, checked, where)
        return checked
    if not _matches_any(value, dtypes):
        _raise_type(argument, value, where, dtypes)
    _check_limits(argument, value, where)
    _extra_check(argument, value, where)
    return strip_comments(value)


def _validate_object(argument: Argument, value: Any, where: Where, lenient: Collection[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise where.bad("an object {…}", value)
    value = {k: v for k, v in value.items() if not str(k).startswith("_") and k != "$schema"}
    fields = _fields(argument, value, where)
    aliases = {alias: name for name, field in fields.items() for alias in field.alias}
    for key in value:
        if key not in fields and key not in aliases and key not in lenient and fields:
            raise _unknown_key(str(key), fields, where)
    for key in value:
        if key in aliases and aliases[key] in value and key not in fields:
            raise BadInputError(
                str(where / key),
                expected=f"{aliases[key]} alone",
                found="another name of it as well",
                action="keep one",
            )
    given = {aliases.get(key, key): item for key, item in value.items()}
    spelled = {aliases.get(key, key): key for key in value}
    result: dict[str, Any] = {}
    for key, item in given.items():
        field = fields.get(key)
        place = where / spelled[key]
        result[key] = strip_comments(item) if field is None else validate(field, item, place, lenient=lenient)
    for name, field in fields.items():
        if name in result:
            continue
        if field.optional:
            if field.default is not _Flags.NONE:
                has_parts = bool(field.sub_fields) and isinstance(field.default, dict)
                result[name] = (
                    validate(field, field.default, where / name) if has_parts else copy.deepcopy(field.default)
                )
        elif name not in lenient:
            raise BadInputError(
                str(where / name), expected=_expectation(field), found="no such key", action="this key is required"
            )
    return result


def _fields(argument: Argument, value: dict[str, Any], where: Where) -> dict[str, Argument]:
    """Fields that `value` may have: the plain ones and those of the chosen variants."""
    fields = dict(argument.sub_fields)
    for variant in argument.sub_variants.values():
        choice = _choice(variant, value, where, list(fields))
        flag = variant.dummy_argument()
        fields[variant.flag_name] = set_limits(flag, Limits())
        if choice is not None:
            fields.update(_fields(choice, value, where))
    return fields


def _choice(variant: Variant, value: dict[str, Any], where: Where, known: list[str]) -> Argument | None:
    names = list(variant.choice_dict)
    if variant.flag_name not in value:
        if variant.optional:
            return variant.choice_dict[variant.default_tag]
        typo = next((k for k in value if k not in known and nearest(k, [variant.flag_name])), None)
        raise BadInputError(
            str(where / (typo or variant.flag_name)),
            expected=(f"{variant.flag_name}, " if typo else "") + "one of " + ", ".join(names),
            found="an unknown key" if typo else "no such key",
            action=f"did you mean {variant.flag_name}?" if typo else "this key is required",
        )
    tag = value[variant.flag_name]
    if isinstance(tag, str):
        tag = variant.choice_alias.get(tag, tag)
        if tag in variant.choice_dict:
            return variant.choice_dict[tag]
    near = nearest(str(tag), names)
    raise (where / variant.flag_name).bad(
        "one of " + ", ".join(names), value[variant.flag_name], f"did you mean {near}?" if near else ""
    )


def _unknown_key(key: str, fields: dict[str, Argument], where: Where) -> BadInputError:
    near = nearest(key, fields)
    if near is not None:
        return BadInputError(
            str(where / key),
            expected=f"{near} ({_expectation(fields[near])})",
            found="an unknown key",
            action=f"did you mean {near}?",
        )
    names = ", ".join(sorted(fields)[:12]) + (", …" if len(fields) > 12 else "")
    return BadInputError(str(where / key), expected=f"one of {names}", found="an unknown key", action="remove it")


def _expectation(argument: Argument) -> str:
    limits = limits_of(argument)
    words = limits.words() if limits else ""
    if limits and limits.choices:
        return words
    kind, null, _ = type_words(argument.dtype).partition(" or null")
    return kind + (f" {words}" if words else "") + null


def _matches_any(value: Any, dtypes: list[Any]) -> bool:
    return any(_matches(value, dtype) for dtype in dtypes)


def _matches(value: Any, dtype: Any) -> bool:
    if dtype is None or dtype is type(None):
        return value is None
    if dtype is Any:
        return True
    if isinstance(dtype, types.UnionType):
        return _matches_any(value, list(get_args(dtype)))
    if get_origin(dtype) is list:
        return isinstance(value, list) and all(_matches(v, get_args(dtype)[0]) for v in value)
    if get_origin(dtype) is dict:
        return isinstance(value, dict)
    if dtype is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if dtype is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(dtype, type) and isinstance(value, dtype)


def _raise_type(argument: Argument, value: Any, where: Where, dtypes: list[Any]) -> None:
    """Name the first wrong element where a list has one, else the whole value."""
    lists = [d for d in dtypes if get_origin(d) is list]
    if isinstance(value, list) and len(lists) == 1:
        element = get_args(lists[0])[0]
        for index, item in enumerate(value):
            if not _matches(item, element):
                inner = Argument(
                    argument.name, element if not isinstance(element, types.UnionType) else get_args(element)
                )
                if get_origin(element) is list and isinstance(item, list):
                    _raise_type(inner, item, where / index, [element])
                raise (where / index).bad(type_word(element), item)
    raise where.bad(_expectation(argument), value)


def _check_limits(argument: Argument, value: Any, where: Where) -> None:
    limits = limits_of(argument)
    if limits is None:
        return
    if limits.not_empty and isinstance(value, (list, str)) and not value:
        raise where.bad(f"{_expectation(argument)} with at least one element", value)
    if isinstance(value, list):
        for index, item in enumerate(value):
            _check_scalar(limits, item, where / index, "a number " + limits.words())
    else:
        _check_scalar(limits, value, where, _expectation(argument))


def _check_scalar(limits: Limits, value: Any, where: Where, expected: str) -> None:
    if isinstance(value, (int, float, str)) and not isinstance(value, bool) and not limits.allow(value):
        near = nearest(value, limits.choices) if isinstance(value, str) else None
        words = limits.words() if isinstance(value, str) else expected
        raise where.bad(words, value, f"did you mean {near}?" if near else "")


def _extra_check(argument: Argument, value: Any, where: Where) -> None:
    if argument.extra_check is not None and not argument.extra_check(value):
        raise where.bad(argument.extra_check_errmsg.strip() or "a value the schema accepts", value)

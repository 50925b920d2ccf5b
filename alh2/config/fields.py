"""How a field of the param file is declared: type, unit, default, limits and help in one call."""

from __future__ import annotations

from typing import Any

from dargs import Argument

from alh2.config.strict import Limits, set_limits

REQUIRED = object()
"""Default of a field that must be given."""

UNIT_ATTRIBUTE = "alh2_unit"


def field(
    name: str, dtype: Any, doc: str, *, default: Any = REQUIRED, unit: str = "", limits: Limits | None = None
) -> Argument:
    """A leaf of the schema; `dtype` is a type or a list of types, `unit` as written in the reference ("K", "eV")."""
    if default is REQUIRED:
        argument = Argument(name, dtype, optional=False, doc=doc)
    else:
        argument = Argument(name, dtype, optional=True, default=default, doc=doc)
    setattr(argument, UNIT_ATTRIBUTE, unit)
    return set_limits(argument, limits or Limits())


def section(name: str, doc: str, fields: list[Argument], *, default: Any = REQUIRED, repeat: bool = False) -> Argument:
    """An object with `fields`, or with `repeat` a list of such objects."""
    kind = list if repeat else dict
    if default is REQUIRED:
        return Argument(name, kind, fields, optional=False, repeat=repeat, doc=doc)
    if default is None:
        return Argument(name, kind, fields, optional=True, repeat=repeat, doc=doc)
    return Argument(name, kind, fields, optional=True, default=default, repeat=repeat, doc=doc)


def unit_of(argument: Argument) -> str:
    """Unit of a leaf, "" without."""
    return str(getattr(argument, UNIT_ATTRIBUTE, ""))


POSITIVE = Limits(above=0)
NOT_NEGATIVE = Limits(at_least=0)
AT_LEAST_ONE = Limits(at_least=1)
FRACTION = Limits(above=0, at_most=1)
LIST_NOT_EMPTY = Limits(at_least=0, not_empty=True)
LIST_POSITIVE = Limits(above=0, not_empty=True)

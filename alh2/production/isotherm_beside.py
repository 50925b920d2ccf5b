"""Isotherms that are drawn beside another one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alh2.core.errors import BadInputError
from alh2.production.isotherm_result import Isotherm, read_isotherm


def read_beside(folder: Path) -> Isotherm:
    """The isotherm in `folder`; raises BadInputError where there is none."""
    found = read_isotherm(folder)
    if found is None:
        raise BadInputError("--beside", expected="a folder with isotherm.json", found=str(folder))
    return found


def siblings(directory: Path, *, on_message: Callable[[str], None]) -> list[Isotherm]:
    """Isotherms of the same campaign with other nuclei; those that cannot be read are left out, and said."""
    found = []
    for folder in sorted(directory.parent.glob("isotherm*")):
        try:
            other = read_isotherm(folder) if folder != directory else None
        except BadInputError as error:
            on_message(f"not drawn beside: {error}")
            other = None
        if other is not None:
            found.append(other)
    return found

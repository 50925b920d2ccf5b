"""INCAR files: read, checked as single points, and changed for another attempt where the first did not converge."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from alh2.core.errors import BadInputError

DEFAULT_NELM = 60
"""VASP's own."""

_NO_EFFECT_ON_ENERGY = frozenset(
    (
        *("SYSTEM", "NCORE", "NPAR", "KPAR", "NSIM", "LPLANE", "LSCALU", "LSCALAPACK", "NWRITE", "LWAVE", "LCHARG"),
        *("ISTART", "ICHARG", "NELM", "NELMIN", "NELMDL", "ALGO", "IALGO", "AMIX", "BMIX", "AMIN", "AMIX_MAG"),
        *("BMIX_MAG", "IMIX", "MAXMIX", "WC", "INIMIX", "MIXPRE", "TIME", "LVTOT", "LVHAR", "LELF", "LORBIT"),
        *("NSW", "IBRION", "POTIM", "ISIF", "EDIFFG", "LASYNC"),
    )
)
"""Tags that change how VASP gets to its answer, or what else it writes."""

_K_POINTS = ("KSPACING", "KGAMMA")


@dataclass(frozen=True)
class Recipe:
    """What an attempt changes in the INCAR.

    tags : tags set; nelm_factor : factor on the user's NELM; words : for documentation and messages
    """

    tags: tuple[tuple[str, str], ...]
    nelm_factor: int
    words: str


_FRESH = (("ISTART", "0"), ("ICHARG", "2"))

RECIPES = (
    Recipe((), 1, "the INCAR as given"),
    Recipe(
        (*_FRESH, ("ALGO", "Normal"), ("AMIX", "0.1"), ("BMIX", "0.0001")),
        2,
        "from scratch: blocked Davidson (ALGO = Normal), nearly linear mixing (AMIX = 0.1, BMIX = 0.0001), 2 NELM",
    ),
    Recipe(
        (*_FRESH, ("ALGO", "All")),
        4,
        "from scratch: all bands at once by conjugate gradients, which needs no mixing (ALGO = All), 4 NELM",
    ),
)
"""What is tried, in order. None changes the converged energy."""


def parse_incar(text: str) -> dict[str, str]:
    """Tags of an INCAR, names in capitals; ``;`` separates, ``#`` and ``!`` begin comments, ``\\`` continues."""
    tags: dict[str, str] = {}
    for line in re.sub(r"\\\s*\n", " ", text).splitlines():
        for part in re.split(r"[#!]", line)[0].split(";"):
            name, equals, value = part.partition("=")
            if equals and name.strip():
                tags.setdefault(name.strip().upper(), value.strip())  # VASP takes the first of two
    return tags


def format_incar(tags: Mapping[str, str]) -> str:
    """One tag a line."""
    return "".join(f"{name} = {value}\n" for name, value in tags.items())


def with_recipe(text: str, attempt: int) -> str:
    """INCAR of `attempt` (from 1): the text itself for the first, else with the tags of its recipe."""
    recipe = RECIPES[attempt - 1]
    if not recipe.tags and recipe.nelm_factor == 1:
        return text
    tags = parse_incar(text)
    nelm = int(tags.get("NELM", DEFAULT_NELM)) * recipe.nelm_factor
    for name in ("IALGO", "AMIX", "BMIX"):
        tags.pop(name, None)
    return f"# attempt {attempt}, {recipe.words}\n" + format_incar({**tags, **dict(recipe.tags), "NELM": str(nelm)})


def check_single_point(tags: Mapping[str, str], where: str, *, kspacing_elsewhere: bool) -> None:
    """Raise BadInputError where the INCAR `tags` do not describe one single point with k-points DP-GEN can make.

    kspacing_elsewhere : ``fp_aniso_kspacing`` is given
    """
    if _integer(tags, "NSW", 0, where) > 1:
        raise BadInputError(
            f"{where}, NSW", expected="0: a label is a single point", found=tags["NSW"], action="set NSW = 0"
        )
    if _integer(tags, "NELM", DEFAULT_NELM, where) < 2:
        raise BadInputError(f"{where}, NELM", expected="a number of electronic steps ≥ 2", found=tags["NELM"])
    if _integer(tags, "ICHARG", 2, where) >= 10:
        raise BadInputError(
            f"{where}, ICHARG", expected="a self-consistent calculation (below 10)", found=tags["ICHARG"]
        )
    for name in _K_POINTS:
        if name not in tags and not (name == "KSPACING" and kspacing_elsewhere):
            example = "KSPACING = 0.5" if name == "KSPACING" else "KGAMMA = .TRUE."
            raise BadInputError(
                where, expected=f"{name}, from which KPOINTS is made", found="none", action=f"add {example}"
            )


def _integer(tags: Mapping[str, str], name: str, default: int, where: str) -> int:
    try:
        return int(tags.get(name, default))
    except ValueError:
        raise BadInputError(f"{where}, {name}", expected="an integer", found=tags[name]) from None


def level_of_theory(tags: Mapping[str, str]) -> str:
    """The tags on which the converged energy depends, one line in a fixed order and spelling."""
    kept = sorted((name, " ".join(value.upper().split())) for name, value in tags.items())
    return "; ".join(f"{name}={value}" for name, value in kept if name not in _NO_EFFECT_ON_ENERGY)

"""The labelers by name (`fp_style`). A new one is one module with `make` and `compute`, and one line here.

DP-GEN's first-principles codes are labelers too: VASP in a module of its own, the others in one table.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from alh2.core.errors import BadInputError

if TYPE_CHECKING:
    from alh2.config.model import LabelConfig
    from alh2.label.protocol import Labeler

STYLES = {
    "xtb": "alh2.label.xtb",
    "ase": "alh2.label.ase_calculator",
    "reference": "alh2.label.reference_labeler",
}
"""Name → module with ``make(params, type_map=, where=) -> Labeler`` and ``compute(frame, params) -> EnergyForces``."""

DPGEN_STYLES = tuple("vasp gaussian siesta cp2k abacus amber/diff pwmat pwscf cpx custom".split())
"""DP-GEN's own styles; those that are not run here are refused with the reason."""


def style_module(style: str) -> Any:
    """Module of a registered style; raises KeyError."""
    return importlib.import_module(STYLES[style])


def make_labeler(config: LabelConfig, *, type_map: tuple[str, ...]) -> Labeler:
    """Labeler of a param file; raises BadInputError for an unknown style or wrong parameters.

    type_map : elements of the campaign, checked against what the labeler knows
    """
    from alh2.label.params import nearest_hint

    style = config.style
    if style in DPGEN_STYLES and style not in STYLES:
        return _first_principles(config, type_map)
    if style not in STYLES:
        raise BadInputError(
            "fp_style",
            expected=f"one of {', '.join(STYLES)}",
            found=f'"{style}"',
            action=nearest_hint(style, STYLES),
        )
    labeler: Labeler = style_module(style).make(config.params, type_map=type_map, where="fp_params")
    return labeler


def _first_principles(config: LabelConfig, type_map: tuple[str, ...]) -> Labeler:
    from alh2.label import dpgen_styles, vasp

    where = config.where or f"fp_style {config.style}"
    if config.style == "vasp":
        return vasp.make(config.params, type_map=type_map, where=where, reuse_orbitals=config.reuse_orbitals)
    return dpgen_styles.make(config.style, config.params, type_map=type_map, where=where)

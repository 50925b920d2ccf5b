"""The reference page is what the schema says, and every field has a help text."""

from __future__ import annotations

from pathlib import Path

from dargs import Argument

from alh2.config.reference import reference_page
from alh2.config.schema import ase_params, reference_params, xtb_params
from alh2.config.schema_alh2 import alh2_section

ROOT = Path(__file__).resolve().parents[2]


def test_the_committed_page_is_up_to_date() -> None:
    page = (ROOT / "docs" / "reference-param.md").read_text()
    assert page == reference_page(), "run: python -m alh2.config.reference > docs/reference-param.md"


def _leaves(argument: Argument, path: str) -> list[tuple[str, Argument]]:
    found = [(path, argument)]
    for child in argument.sub_fields.values():
        found += _leaves(child, f"{path}.{child.name}")
    return found


def test_every_field_has_help_and_stands_on_the_page() -> None:
    page = reference_page()
    fields = _leaves(alh2_section(), "alh2")
    fields += [(f"fp_params.{a.name}", a) for a in (*xtb_params(), *ase_params(), *reference_params())]
    assert len(fields) > 70
    for path, argument in fields:
        assert argument.doc.strip(), path
        assert f".{argument.name}" in page or argument.name == "alh2", path


def test_units_are_stated_where_the_name_carries_one() -> None:
    for path, argument in _leaves(alh2_section(), "alh2"):
        for suffix, unit in (("_ev", "eV"), ("_ang", "Å"), ("_k", "K"), ("_ps", "ps"), ("_fs", "fs"), ("_bar", "bar")):
            if argument.name.endswith(suffix) and not argument.name.endswith("_ev_ang"):
                assert getattr(argument, "alh2_unit", "") == unit, path

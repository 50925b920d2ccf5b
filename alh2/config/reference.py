"""The reference page of the param file, generated from the schema: ``python -m alh2.config.reference``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

from dargs import Argument
from dargs.dargs import _Flags

from alh2.config.fields import unit_of
from alh2.config.schema import LABELERS
from alh2.config.schema_alh2 import alh2_section
from alh2.config.strict import limits_of
from alh2.config.where import type_words

_HEAD = """# Param file

Generated from the schema by `python -m alh2.config.reference`; do not edit.

A param file is DP-GEN's `param.json` (JSON or YAML): its keys keep their names and meaning and are described in
[DP-GEN's documentation](https://docs.deepmodeling.com/projects/dpgen/en/latest/run/param.html). What DP-GEN has no
key for stands in one section, `alh2`, and in the further values of `fp_style`. Paths are relative to the folder of the
file. Keys that start with an underscore are comments. An unknown key is an error.

With `alh2.systems`, `sys_configs` is left out; with `alh2.dataset.aimd` or `alh2.bootstrap`, `init_data_sys` is.
Only `model_devi_engine: lammps`, `train_backend: tensorflow`, `ensemble: nvt` and the descriptor `se_e2_a` are run.
"""


def reference_page() -> str:
    """The page as Markdown."""
    lines = [_HEAD, "## `alh2`\n", alh2_section().doc + "\n"]
    lines += _section("alh2", alh2_section())
    lines.append("## Labelers: `fp_style` and `fp_params`\n")
    for style, doc, params in LABELERS:
        lines += [f"### `fp_style: {style}`\n", doc + "\n", *_table("fp_params", params())]
    return "\n".join(lines).rstrip() + "\n"


def _section(path: str, argument: Argument) -> Iterator[str]:
    leaves = [field for field in argument.sub_fields.values() if not field.sub_fields]
    if leaves:
        yield from _table(path, leaves)
    for child in argument.sub_fields.values():
        if child.sub_fields:
            name = f"{path}.{child.name}" + ("[]" if child.repeat else "")
            yield f"### `{name}`\n"
            yield child.doc + _presence(child) + "\n"
            yield from _section(name, child)


def _presence(section: Argument) -> str:
    if section.repeat:
        return " A list of objects."
    if section.optional and section.default is _Flags.NONE:
        return " Optional: left out, there is none of it."
    return ""


def _table(path: str, fields: list[Argument]) -> Iterator[str]:
    yield "| key | type | unit | default | meaning |"
    yield "| --- | --- | --- | --- | --- |"
    for field in fields:
        if not field.optional:
            default = "required"
        elif field.default is _Flags.NONE:
            default = "none"
        else:
            default = f"`{json.dumps(field.default, ensure_ascii=False)}`"
        cells = (f"`{path}.{field.name}`", _type(field), unit_of(field) or "–", default, field.doc)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""


def _type(field: Argument) -> str:
    limits = limits_of(field)
    words = limits.words() if limits else ""
    kind = type_words(field.dtype)
    return f"{kind}, {words}" if words else kind


if __name__ == "__main__":
    sys.stdout.write(reference_page())

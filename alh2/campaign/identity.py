"""What a campaign's stored data were made with: a param file that no longer fits them is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alh2.campaign.context import Campaign
from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_json, digest_bytes, read_json_as

READ_ONCE = ("dataset", "bootstrap")
"""Sections of ``alh2`` that only the first stage reads."""


@dataclass(frozen=True)
class Identity:
    """Content of ``campaign.json``, (key, value) pairs.

    fixed : values that must not change, since frames, labels and random streams depend on them
    read_once : digests of sections whose later changes have no effect
    """

    fixed: tuple[tuple[str, str], ...]
    read_once: tuple[tuple[str, str], ...]


def check_identity(campaign: Campaign, *, started: bool) -> list[str]:
    """Compare the param file with the stored data; returns warnings, one line each.

    started : whether the bootstrap is over. Other keys (exploration, selection, training, convergence, production)
    may change and take effect from the next stage on. Raises BadInputError naming the first key that must not
    change.
    """
    path = campaign.paths.identity
    now = identity_of(campaign)
    if not path.exists():
        atomic_write_json(path, {"fixed": now.fixed, "read_once": now.read_once})
        return []
    before = read_json_as(path, Identity)
    known = {str(key): str(value) for key, value in before.fixed}
    for key, value in now.fixed:
        if known.get(key, value) != value:
            raise BadInputError(
                f"{campaign.param.source.name}: {key}",
                expected=f"{known[key]}, with which the data in {campaign.paths.root} were made",
                found=value,
                action="undo the change, or start a new campaign in another --workdir",
            )
    if not started:
        return []
    digests = {str(key): str(value) for key, value in before.read_once}
    return [
        f"{key} has changed since the first data were made; the change has no effect in this campaign"
        for key, value in now.read_once
        if digests.get(key, value) != value
    ]


def identity_of(campaign: Campaign) -> Identity:
    """Identity of the param file as it is now."""
    param = campaign.param
    fixed = [
        ("alh2.seed", str(param.seed)),
        ("type_map", " ".join(param.type_map)),
        ("fp_style", campaign.labeler.name),
    ]
    if param.host is not None:
        host = param.host
        fixed += [
            ("alh2.host.id", host.id),
            ("alh2.host.file", "none" if host.file is None else f"content {_content(host.file)}"),
            ("alh2.host.build", str(host.build)),
            ("alh2.host.lattice_ang", f"{host.lattice_ang:g}"),
            ("alh2.host.box_ang", f"{host.box_ang:g}"),
        ]
    own: dict[str, Any] = param.raw.get("alh2", {})
    sections = [
        (f"alh2.{name}", digest_bytes(json.dumps(own.get(name), sort_keys=True).encode())) for name in READ_ONCE
    ]
    return Identity(tuple(fixed), tuple(sections))


def _content(path: Path) -> str:
    try:
        return digest_bytes(path.read_bytes())[:12]
    except OSError as error:
        raise BadInputError(
            f"alh2.host.file {path}", expected="a structure file", found=str(error.strerror), action="check the path"
        ) from None

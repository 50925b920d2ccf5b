"""A cheap look into data files: how many frames, of which composition, without parsing every number."""

from __future__ import annotations

import gzip
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from alh2.core.errors import BadInputError

Formula = tuple[tuple[str, int], ...]
"""Sorted (element, count) pairs."""


@dataclass(frozen=True)
class Content:
    """Frames of one file and the compositions among them."""

    n_frames: int
    formulas: frozenset[Formula]


UNREAD = Content(0, frozenset())
"""Stands for a file whose frames nobody has counted."""


def scan(path: Path) -> Content | None:
    """Content of an (ext)xyz file or a deepmd/npy system, None for formats that would need a full read.

    Raises
    ------
    BadInputError
        The file ends within a frame, or a frame does not start with its number of atoms.
    """
    if path.is_dir():
        return _scan_deepmd(path)
    if path.suffix in (".xyz", ".extxyz") or path.name.endswith((".xyz.gz", ".extxyz.gz")):
        return _scan_xyz(path)
    return None


def _scan_xyz(path: Path) -> Content:
    formulas: set[Formula] = set()
    n_frames = 0
    with gzip.open(path, "rt") if path.suffix == ".gz" else open(path) as handle:
        while head := handle.readline():
            if not head.strip():
                continue
            try:
                n_atoms = int(head)
            except ValueError:
                raise BadInputError(
                    f"{path}, frame {n_frames}", expected="the number of atoms", found=repr(head.strip()[:30])
                ) from None
            header = handle.readline()
            column = _species_column(header)
            symbols: Counter[str] = Counter()
            for _ in range(n_atoms):
                words = handle.readline().split()
                if len(words) <= column:
                    raise BadInputError(
                        f"{path}, frame {n_frames}",
                        expected=f"{n_atoms} atoms",
                        found=f"{symbols.total()}",
                        action="the file is cut off; remove the last frame",
                    )
                symbols[words[column]] += 1
            formulas.add(tuple(sorted(symbols.items())))
            n_frames += 1
    return Content(n_frames, frozenset(formulas))


def _species_column(header: str) -> int:
    """Column of the element in the atom lines, from ``Properties=…``; 0 without."""
    _, found, rest = header.partition("Properties=")
    if not found or not rest.split():
        return 0
    column = 0
    parts = rest.split()[0].strip('"').split(":")
    for name, _, width in zip(parts[0::3], parts[1::3], parts[2::3], strict=False):
        if name == "species":
            return column
        column += int(width) if width.isdigit() else 1
    return 0


def _scan_deepmd(path: Path) -> Content | None:
    """Compositions of the systems in a folder; their frames are not counted where that needs reading arrays."""
    import numpy as np

    formulas: set[Formula] = set()
    n_frames = 0
    for types_file in sorted(path.rglob("type.raw")):
        names_file = types_file.with_name("type_map.raw")
        if not names_file.is_file():
            return None
        names = names_file.read_text().split()
        symbols = Counter(names[int(t)] for t in types_file.read_text().split())
        formulas.add(tuple(sorted(symbols.items())))
        for energies in sorted(types_file.parent.glob("set.*/energy.npy")):
            n_frames += np.load(energies, mmap_mode="r").shape[0]
    if not formulas:
        raise BadInputError(str(path), expected="a deepmd/npy system (type.raw)", found="none in this folder")
    return Content(n_frames, frozenset(formulas))

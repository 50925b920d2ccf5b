"""What a host atom is to a guest: its element and what it is bonded to."""

from __future__ import annotations

from collections import Counter

from ase import Atoms

from alh2.structure.topology import bonded_pairs


def site_kinds(host: Atoms) -> list[str]:
    """Kind of each atom of `host`: element and bonded neighbours, e.g. ``Al(O5)``, ``O(AlC)``, ``C(HO2)``.

    An Al atom with a free site and one whose sixth place is taken are different kinds, and so are the H of OH and of
    CH. Guests must not be among the atoms.
    """
    symbols = host.get_chemical_symbols()
    neighbours: list[list[str]] = [[] for _ in symbols]
    for i, j in bonded_pairs(host):
        neighbours[i].append(symbols[j])
        neighbours[j].append(symbols[i])

    def counted(names: list[str]) -> str:
        return "".join(f"{name}{n if n > 1 else ''}" for name, n in sorted(Counter(names).items()))

    return [f"{symbol}({counted(names)})" for symbol, names in zip(symbols, neighbours, strict=True)]


def element_of(kind: str) -> str:
    """The element of a kind."""
    return kind.split("(", 1)[0]

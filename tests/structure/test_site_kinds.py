"""Kinds of host atoms, on the node whose sites are known."""

from __future__ import annotations

from collections import Counter

from alh2.structure.cluster import carve_node
from alh2.structure.site_kinds import element_of, site_kinds


def test_open_and_closed_aluminium_are_told_apart() -> None:
    kinds = Counter(site_kinds(carve_node()))
    assert kinds["Al(O5)"] == 2  # open
    assert kinds["Al(O6)"] == 1  # its sixth place is the OH
    assert kinds["O(Al3)"] == 1
    assert kinds["O(AlH)"] == 1
    assert kinds["O(AlC)"] == 12
    assert kinds["C(HO2)"] == kinds["H(C)"] == 6
    assert kinds["H(O)"] == 1
    assert sum(kinds.values()) == 30


def test_the_element_of_a_kind() -> None:
    assert [element_of(kind) for kind in ("Al(O5)", "H()", "C")] == ["Al", "H", "C"]

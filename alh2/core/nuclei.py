"""How nuclei are treated, and the words for it that results, files and figures carry."""

from __future__ import annotations

from typing import Literal

from alh2.core.errors import BadInputError

Quantum = Literal["classical", "feynman-hibbs"]
"""Nuclei of Monte Carlo."""

CLASSICAL_WORDS = "classical nuclei"


def monte_carlo_nuclei(name: str, *, where: str) -> Quantum:
    """`name` as a treatment of nuclei that Monte Carlo has; raises BadInputError for any other."""
    if name == "classical":
        return "classical"
    if name == "feynman-hibbs":
        return "feynman-hibbs"
    raise BadInputError(where, expected="classical or feynman-hibbs", found=name)

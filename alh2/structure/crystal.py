"""The full Al-soc-MOF crystal: 8 Al3O trimers and 12 linkers per cubic cell, one OH per trimer.

Choices and where they come from
--------------------------------
- Framework: asymmetric unit and P-43n from CoRE MOF 2019, entry JALCAD_clean (`alh2.structure.asymmetric_unit`).
- Lattice parameter: 21.67 Å (Liu et al., Chem. Sci. 2024, 15, 5294; experiment: 21.49 Å). The framework scales
  fractionally, as a cubic crystal does; below the experimental parameter C–H bonds keep their length of 0.95 Å
  (as riding hydrogens do in a refinement), so that none shrinks below it.
- Hydroxide: the cationic [Al3O(RCOO)6]+ needs one anion; one OH per trimer takes the place of the terminal ligand
  trans to µ3-O. Al–O 1.75 Å, O–H 0.96 Å, Al–O–H 125° (terminal Al–OH of GFN1-xTB and PBE: 1.73–1.76 Å, 0.96–0.97 Å)
  at every lattice parameter. The hydrogen lies in the plane of Al, O and the trimer's threefold axis and points
  away from that axis, between two carboxylate oxygens (nearest 2.48 Å).
- OH ordering: the crystal is disordered over the three Al of each trimer. "P-42c", "P-42c:x" and "P-42c:y" are the
  three orderings of highest symmetry (space group 112, the largest subgroup of P-43n that has an ordered OH;
  unique axis z, x or y, inequivalent to one another); "random" draws one Al per trimer.
- Atom order: Al, C, H, N, O as in a sorted POSCAR; within an element symmetry operation by symmetry operation,
  then µ3-O, then OH.
"""

from __future__ import annotations

import math
from numbers import Real

import numpy as np
from ase import Atoms

from alh2.core.errors import BadInputError
from alh2.structure.asymmetric_unit import (
    CARBON_OF_HYDROGEN,
    CIF_LATTICE_ANG,
    GENERAL_SITES,
    OPERATIONS,
    OXO_SITE,
)

DEFAULT_LATTICE_ANG = 21.67
"""Lattice parameter of Liu et al. 2024, Å."""

AL_OH_ANG = 1.75
OH_ANG = 0.96
AL_O_H_DEGREES = 125.0

OH_ORDERINGS = ("P-42c", "P-42c:x", "P-42c:y", "random")
"""Accepted values of `oh_ordering`."""

_ORDERED_OPERATIONS = {
    "P-42c": (0, 1, 2, 3, 12, 13, 14, 15),
    "P-42c:x": (0, 1, 2, 3, 16, 17, 18, 19),
    "P-42c:y": (0, 1, 2, 3, 20, 21, 22, 23),
}
_LATTICE_RANGE_ANG = (18.0, 26.0)
_ELEMENTS = ("Al", "C", "H", "N", "O")
_SITES = {label: np.array(fractional) for label, _, fractional in (*GENERAL_SITES, OXO_SITE)}


def build_al_soc_mof(
    *,
    lattice_ang: float = DEFAULT_LATTICE_ANG,
    hydroxide: bool = True,
    oh_ordering: str = "P-42c",
    rng: np.random.Generator | None = None,
) -> Atoms:
    """Cubic cell of Al-soc-MOF: C192 H80 Al24 N24 O112, or the bare C192 H72 Al24 N24 O104 without `hydroxide`.

    Parameters
    ----------
    lattice_ang : cubic lattice parameter, Å
    hydroxide : add one OH per Al3O trimer (8 per cell)
    oh_ordering : which Al of each trimer carries it, one of `OH_ORDERINGS` (see the module's docstring)
    rng : drawn from by "random" only, which needs it

    Raises BadInputError for a lattice parameter outside 18–26 Å, an unknown ordering, or "random" without `rng`.
    """
    check_lattice(lattice_ang)
    carriers = _hydroxide_operations(oh_ordering, rng) if hydroxide else ()
    hydroxides = [hydroxide_ang(op, lattice_ang) for op in carriers]
    symbols: list[str] = []
    positions: list[np.ndarray] = []
    for element in _ELEMENTS:
        block = [
            site_ang(label, op, lattice_ang)
            for op in range(len(OPERATIONS))
            for label, kind, _ in GENERAL_SITES
            if kind == element
        ]
        if element == "O":
            block += [site_ang("O5", op, lattice_ang) for op in _trimers()]
            block += [oxygen for oxygen, _ in hydroxides]
        if element == "H":
            block += [hydrogen for _, hydrogen in hydroxides]
        symbols += [element] * len(block)
        positions += block
    atoms = Atoms(symbols, positions, cell=[lattice_ang] * 3, pbc=True)
    atoms.wrap(eps=1e-9)
    return atoms


def check_lattice(lattice_ang: float) -> None:
    """Raise BadInputError unless `lattice_ang` is a number in the range this framework can have."""
    low, high = _LATTICE_RANGE_ANG
    if not (isinstance(lattice_ang, Real) and math.isfinite(lattice_ang) and low <= lattice_ang <= high):
        raise BadInputError(
            "lattice parameter",
            expected=f"{low:g} to {high:g} Å",
            found=f"{lattice_ang!r}",
            action=f"use {DEFAULT_LATTICE_ANG} for the published cell",
        )


def site_ang(label: str, operation: int, lattice_ang: float) -> np.ndarray:
    """Position (3,), Å, of framework site `label` under symmetry operation `operation` (0 … 23), not wrapped."""
    op = OPERATIONS[operation]
    position = lattice_ang * op.apply(_SITES[label])
    if label in CARBON_OF_HYDROGEN and lattice_ang < CIF_LATTICE_ANG:
        carbon = lattice_ang * op.apply(_SITES[CARBON_OF_HYDROGEN[label]])
        position = carbon + (position - carbon) * CIF_LATTICE_ANG / lattice_ang
    return position


def hydroxide_ang(operation: int, lattice_ang: float) -> tuple[np.ndarray, np.ndarray]:
    """Positions of O and H, (3,) each, Å, of the OH on the aluminium of symmetry operation `operation`."""
    aluminium = lattice_ang * _SITES["Al1"]
    axis = aluminium - lattice_ang * _SITES["O5"]
    axis /= np.linalg.norm(axis)
    threefold = np.ones(3) / math.sqrt(3.0)
    away = axis * (threefold @ axis) - threefold
    away /= np.linalg.norm(away)
    angle = math.radians(180.0 - AL_O_H_DEGREES)
    oxygen = aluminium + AL_OH_ANG * axis
    hydrogen = oxygen + OH_ANG * (math.cos(angle) * axis + math.sin(angle) * away)
    op = OPERATIONS[operation]
    return lattice_ang * op.apply(oxygen / lattice_ang), lattice_ang * op.apply(hydrogen / lattice_ang)


def _trimers() -> dict[int, list[int]]:
    """First operation of each trimer → the three operations whose aluminium sits on its µ3-oxygen."""
    members: dict[int, list[int]] = {}
    centres: dict[tuple[float, ...], int] = {}
    for index, op in enumerate(OPERATIONS):
        centre = tuple(np.round(op.apply(_SITES["O5"]) % 1.0, 6))
        members.setdefault(centres.setdefault(centre, index), []).append(index)
    return members


def _hydroxide_operations(oh_ordering: str, rng: np.random.Generator | None) -> tuple[int, ...]:
    """The 8 operations whose aluminium carries an OH."""
    if oh_ordering in _ORDERED_OPERATIONS:
        return _ORDERED_OPERATIONS[oh_ordering]
    if oh_ordering != "random":
        raise BadInputError(
            "OH ordering", expected="one of " + ", ".join(OH_ORDERINGS), found=repr(oh_ordering), action=""
        )
    if rng is None:
        raise BadInputError(
            "OH ordering", expected="a random generator for 'random'", found="none", action="pass rng (or --seed)"
        )
    return tuple(members[int(rng.integers(len(members)))] for members in _trimers().values())

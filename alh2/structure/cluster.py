"""The Al3O node carved from the crystal: C6H7Al3O14, 30 atoms, small enough for electronic structure by the thousand.

One trimer with its six carboxylates. Each carboxylate's bond to the linker is cut and capped with a hydrogen on the
line of the removed C–C bond, C–H 1.10 Å (formic acid and formates: 1.09–1.10 Å). One OH, as in the crystal, makes the
cluster neutral; two aluminium atoms stay open.
"""

from __future__ import annotations

import math
from numbers import Real

import numpy as np
from ase import Atoms

from alh2.core.errors import BadInputError
from alh2.structure.crystal import DEFAULT_LATTICE_ANG, check_lattice, hydroxide_ang, site_ang

DEFAULT_BOX_ANG = 16.0
FORMATE_CH_ANG = 1.10

_VACUUM_ANG = 3.0
_HYDROXIDE_OPERATION = 0
# The symmetry operations that bring the sites O1, O2, C7 and O3, O4, C8 onto the trimer at (0.259, 0.259, 0.259).
_ROTATIONS = (0, 4, 8)
_IMAGES = (15, 19, 23)
_CARBOXYLATES = tuple(("C7", "C1", op) for op in _ROTATIONS) + tuple(("C8", "C3", op) for op in _IMAGES)
# Order of the formate hydrogens, as positions in _CARBOXYLATES.
_HYDROGEN_ORDER = (0, 4, 3, 2, 5, 1)


def carve_node(*, lattice_ang: float = DEFAULT_LATTICE_ANG, box_ang: float = DEFAULT_BOX_ANG) -> Atoms:
    """Formate-capped node in a cubic box of edge `box_ang` (Å), µ3-oxygen at its centre, periodic.

    Order: µ3-O, 3 Al (the first carries the OH), 12 carboxylate O, O of OH, 6 C, H of OH, 6 formate H.
    `lattice_ang`: lattice parameter of the crystal it is carved from, Å. Raises BadInputError for a lattice parameter
    the crystal cannot have or a box that leaves less than 3 Å between images.
    """
    check_lattice(lattice_ang)
    oxygen, hydrogen = hydroxide_ang(_HYDROXIDE_OPERATION, lattice_ang)
    carboxyl_oxygens = [
        site_ang(label, op, lattice_ang)
        for labels, operations in ((("O1", "O2"), _ROTATIONS), (("O3", "O4"), _IMAGES))
        for op in operations
        for label in labels
    ]
    positions = np.array(
        [
            site_ang("O5", 0, lattice_ang),
            *(site_ang("Al1", op, lattice_ang) for op in _ROTATIONS),
            *carboxyl_oxygens,
            oxygen,
            *(site_ang(carbon, op, lattice_ang) for carbon, _, op in _CARBOXYLATES),
            hydrogen,
            *(_cap_ang(*_CARBOXYLATES[k], lattice_ang) for k in _HYDROGEN_ORDER),
        ]
    )
    relative = positions - positions[0]
    relative -= lattice_ang * np.round(relative / lattice_ang)
    _check_box(box_ang, relative)
    return Atoms("OAl3O13C6H7", relative + box_ang / 2, cell=[box_ang] * 3, pbc=True)


def _cap_ang(carbon: str, linker_carbon: str, operation: int, lattice_ang: float) -> np.ndarray:
    """Position of the hydrogen that replaces `linker_carbon` on `carbon`, (3,), Å."""
    start = site_ang(carbon, operation, lattice_ang)
    bond = site_ang(linker_carbon, operation, lattice_ang) - start
    return start + FORMATE_CH_ANG * bond / np.linalg.norm(bond)


def _check_box(box_ang: float, relative: np.ndarray) -> None:
    needed = float(np.ptp(relative, axis=0).max()) + _VACUUM_ANG
    if not (isinstance(box_ang, Real) and math.isfinite(box_ang) and box_ang >= needed):
        raise BadInputError(
            "box around the node", expected=f"at least {needed:.1f} Å", found=f"{box_ang!r}", action="enlarge box_ang"
        )

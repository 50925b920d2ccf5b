"""Cells as LAMMPS wants them."""

from __future__ import annotations

import numpy as np

from alh2.core.errors import BadInputError


def lammps_cell(cell_ang: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """LAMMPS's form of a cell, and the orthogonal map to it.

    Returns (box, turn): `box` (3, 3) is lower triangular with a positive diagonal, Å; a position x of `cell_ang` is
    ``x @ turn`` in LAMMPS and ``y @ turn.T`` leads back. `box` spans the lattice of ``cell_ang @ turn`` with its tilt
    factors reduced to half an edge at most, as LAMMPS wants them. Energies and force sizes do not depend on `turn`
    (which is a reflection too for a left-handed cell); it is the identity where the cell has the form already.
    Raises BadInputError for a cell without volume.
    """
    cell = np.asarray(cell_ang, dtype=np.float64)
    if not np.isfinite(cell).all() or abs(np.linalg.det(cell)) < 1e-6:
        raise BadInputError("cell", expected="three vectors that span a volume", found=str(cell.tolist()))
    if np.all(np.triu(cell, 1) == 0.0) and np.all(np.diag(cell) > 0.0):
        turn, box = np.eye(3), cell.copy()
    else:
        turn, upper = np.linalg.qr(cell.T)
        signs = np.sign(np.diag(upper))
        turn, box = turn * signs, np.tril((upper * signs[:, None]).T)
    for row, axis in ((2, 1), (2, 0), (1, 0)):
        box[row] -= np.round(box[row, axis] / box[axis, axis]) * box[axis]
    return box, turn

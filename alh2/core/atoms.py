"""ASE at the border: frames from and to `ase.Atoms`."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from alh2.core.frames import Frame, Provenance


def to_atoms(frame: Frame) -> Atoms:
    """Periodic `ase.Atoms` of `frame`, with `n_host` and `host_id` in ``atoms.info``."""
    atoms = Atoms(frame.symbols, frame.positions_ang, cell=frame.cell_ang, pbc=True)
    atoms.info.update(n_host=frame.n_host, host_id=frame.host_id, n_h2=frame.n_h2)
    return atoms


def from_atoms(atoms: Atoms, *, n_host: int, host_id: str, provenance: Provenance) -> Frame:
    """Frame of `atoms` whose first `n_host` atoms are the host and the rest H2 pairs."""
    return Frame(
        tuple(atoms.get_chemical_symbols()),
        np.array(atoms.positions),
        np.array(atoms.cell),
        n_host,
        host_id if n_host else "",
        provenance,
    )

"""An energy grid of the empty host as a file, so that many chains use one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from alh2.gcmc.energy_grid import HostEnergyGrid
from alh2.gcmc.molecule import RigidMolecule
from alh2.potential.frames_npz import read_npz, write_npz

_ARRAYS = ("cell_ang", "symbols", "sites_ang", "geometry_source", "shape", "fine", "energies_ev")


def save_grid(path: Path, grid: HostEnergyGrid) -> None:
    """Write `grid` to `path` in one step."""
    write_npz(
        path,
        cell_ang=grid.cell_ang,
        symbols=np.array(grid.molecule.symbols, dtype="U3"),
        sites_ang=grid.molecule.sites_ang,
        geometry_source=np.array(grid.molecule.geometry_source),
        shape=np.array([*grid.places, grid.n_cosine, grid.n_phi, grid.n_energies], dtype=np.int64),
        fine=grid.fine,
        energies_ev=grid.energies_ev,
    )


def load_grid(path: Path) -> HostEnergyGrid:
    """The grid written by :func:`save_grid`, equal in every bit; BadInputError where `path` is not such a file."""
    data = read_npz(path, *_ARRAYS)
    na, nb, nc, n_cosine, n_phi, n_energies = (int(value) for value in data["shape"])
    molecule = RigidMolecule(
        tuple(str(s) for s in data["symbols"]), data["sites_ang"], str(data["geometry_source"][()])
    )
    energies_ev = data["energies_ev"]
    energies_ev.setflags(write=False)
    return HostEnergyGrid(
        data["cell_ang"], molecule, (na, nb, nc), n_cosine, n_phi, data["fine"], energies_ev, n_energies
    )

"""An energy grid that was written is the same grid when it is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from alh2.core.errors import BadInputError
from alh2.gcmc import RigidMolecule, host_energy_grid
from alh2.gcmc.grid_file import load_grid, save_grid


def test_every_bit_comes_back(independent, tmp_path: Path) -> None:
    cell = Atoms(cell=[[9.0, 0.0, 0.0], [3.5, 8.0, 0.0], [-2.0, 3.0, 7.0]], pbc=True)
    molecule = RigidMolecule.h2(0.74)
    well = independent(lambda sites: -0.05 if np.linalg.norm(sites.mean(axis=0) - 3.0) < 1.5 else 0.0)
    grid = host_energy_grid(cell, molecule, well, temperature_k=77.0, seed=3, spacing_ang=2.0, refine_kt=1.0)
    assert grid.fine.any() and not grid.fine.all()
    save_grid(tmp_path / "grid.npz", grid)
    read = load_grid(tmp_path / "grid.npz")
    assert read.digest == grid.digest and read.n_energies == grid.n_energies
    assert read.molecule.symbols == ("H", "H") and read.molecule.geometry_source == molecule.geometry_source
    assert not read.energies_ev.flags.writeable


def test_another_file_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "grid.npz", cell_ang=np.eye(3))
    with pytest.raises(BadInputError, match="grid.npz"):
        load_grid(tmp_path / "grid.npz")

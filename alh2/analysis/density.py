"""Where molecules are: densities on a grid of the cell, as Gaussian cube files."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_text


@dataclass(frozen=True, eq=False)
class DensityGrid:
    """Mean number density of centres of mass: values (nx, ny, nz) in 1/Å³ of a cell (3, 3) Å.

    Voxel (i, j, k) reaches from fractional (i/nx, j/ny, k/nz) to the next one.
    """

    values_per_ang3: np.ndarray
    cell_ang: np.ndarray

    @property
    def n_molecules(self) -> float:
        """Mean number of molecules in the cell: the integral."""
        return float(self.values_per_ang3.mean() * abs(np.linalg.det(self.cell_ang)))

    def projected_per_ang2(self, axis: int) -> np.ndarray:
        """Integral along cell vector `axis`, per area of the face spanned by the other two, 1/Å²."""
        others = [self.cell_ang[k] for k in range(3) if k != axis]
        area = float(np.linalg.norm(np.cross(*others)))
        height = abs(float(np.linalg.det(self.cell_ang))) / area
        result: np.ndarray = self.values_per_ang3.mean(axis=axis) * height
        return result


def guest_density(centres_ang: Sequence[np.ndarray], cell_ang: np.ndarray, *, spacing_ang: float = 0.25) -> DensityGrid:
    """Density from centres of mass (n_h2, 3) Å of each frame, anywhere in space, voxels of `spacing_ang` at most.

    Raises ValueError without frames and for a spacing that is not positive.
    """
    if not len(centres_ang) or not spacing_ang > 0.0:
        raise ValueError(f"frames and a positive spacing, not {len(centres_ang)} frames and {spacing_ang} Å")
    cell = np.asarray(cell_ang, dtype=np.float64)
    shape = tuple(int(n) for n in np.maximum(1, np.ceil(np.linalg.norm(cell, axis=1) / spacing_ang - 1e-9)))
    together = np.concatenate([np.reshape(c, (-1, 3)) for c in centres_ang])
    fractional = together @ np.linalg.inv(cell)
    fractional -= np.floor(fractional)
    voxels = np.minimum((fractional * shape).astype(int), np.array(shape) - 1)
    counts = np.bincount(np.ravel_multi_index(tuple(voxels.T), shape), minlength=int(np.prod(shape))).reshape(shape)
    volume = abs(float(np.linalg.det(cell))) / float(np.prod(shape))
    return DensityGrid(counts / (len(centres_ang) * volume), cell)


def write_cube(path: Path, grid: DensityGrid, host: Atoms) -> None:
    """Gaussian cube file through ASE: the host, and the density in 1/Å³ (lengths in the file are in Bohr, as always).

    Values stand for the middle of their voxels, so the origin is half a voxel from the corner of the cell.
    """
    from ase.io.cube import write_cube as ase_write_cube

    half = 0.5 * (grid.cell_ang / np.array(grid.values_per_ang3.shape)[:, None]).sum(axis=0)
    atoms = Atoms(host.numbers, host.positions, cell=grid.cell_ang, pbc=True)
    with tempfile.TemporaryFile("w+") as file:  # NumPy writes to real files only
        ase_write_cube(file, atoms, data=grid.values_per_ang3, origin=half, comment="H2 centres of mass, 1/Angstrom^3")
        file.seek(0)
        atomic_write_text(path, file.read())


def read_cube(path: Path) -> tuple[DensityGrid, Atoms]:
    """Density and host of a file that `write_cube` wrote; raises BadInputError for another kind of file."""
    from ase.io.cube import read_cube as ase_read_cube

    try:
        with open(path) as file:
            found = ase_read_cube(file)
        values = np.asarray(found["datas"][0], dtype=np.float64)
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise BadInputError(str(path), expected="a cube file with a density", found=str(error)[:80]) from None
    atoms: Atoms = found["atoms"]
    return DensityGrid(values, np.array(atoms.cell)), atoms

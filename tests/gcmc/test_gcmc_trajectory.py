"""Trajectories with a varying number of molecules as ASE and MDAnalysis read them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.io import read

from alh2.core.errors import BadInputError
from alh2.core.lammps_cell import lammps_cell
from alh2.core.units import EV_PER_ANG3_IN_BAR, beta_per_ev
from alh2.gcmc import GcmcResult, GcmcSettings, RigidMolecule, TrajectorySettings, simulate

CELLS = {"cubic": np.eye(3) * 10.0, "tilted": np.array([[0.0, 10.0, 1.0], [9.0, 0.0, 3.0], [2.0, -1.0, 11.0]])}


def run(independent, file, cell: np.ndarray) -> GcmcResult:
    """Frames every 50 moves of an ideal gas of 5 molecules at most, and the same configurations in the result."""
    host = Atoms("C2", np.array([[0.1, 0.1, 0.1], [0.98, 0.5, 0.5]]) @ cell, cell=cell, pbc=True)
    settings = GcmcSettings(
        sample_every=50, n_equilibration=0, max_molecules=5, trajectory=TrajectorySettings(file, every=50)
    )
    fugacity = 3.0 / beta_per_ev(77.0) / abs(np.linalg.det(cell)) * EV_PER_ANG3_IN_BAR
    conditions = {"temperature_k": 77.0, "fugacity_bar": fugacity, "n_moves": 2000, "seed": 1}
    return simulate(host, RigidMolecule.h2(0.74), independent(), settings=settings, **conditions)


def distances(positions: np.ndarray, cell: np.ndarray) -> np.ndarray:
    return Atoms("H" * len(positions), positions, cell=cell, pbc=True).get_all_distances(mic=True)


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_extxyz_has_the_atoms_of_every_frame(independent, tmp_path, cell):
    file = tmp_path / "new" / "t.extxyz"
    result = run(independent, file, cell)
    images = read(file, index=":")
    assert len(images) == 40 and {len(i) for i in images} >= {4, 6, 8}
    for image, expected, frame in zip(images, result.frames_atoms(), result.frames, strict=True):
        assert image.get_chemical_symbols() == expected.get_chemical_symbols()
        assert image.positions == pytest.approx(expected.positions, abs=1e-7)
        assert np.array(image.cell) == pytest.approx(cell) and image.pbc.all()
        assert image.info == {"move": frame.move, "energy_ev": 0.0, "n_host": 2, "n_adsorbed": len(frame.guests_ang)}


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_dump_has_room_for_the_largest_number(independent, tmp_path, cell):
    file = tmp_path / "t.lammpstrj"
    result = run(independent, file, cell)
    most = 2 + 2 * max(len(f.guests_ang) for f in result.frames)
    images = read(file, index=":", format="lammps-dump-text")
    assert len(images) == 40 and {len(i) for i in images} == {most}
    box, turn = lammps_cell(cell)
    for image, expected in zip(images, result.frames_atoms(), strict=True):
        n = len(expected)
        assert image.get_chemical_symbols() == expected.get_chemical_symbols() + ["X"] * (most - n)
        assert np.array(image.cell) == pytest.approx(box, abs=1e-6)
        assert distances(image.positions[:n], box) == pytest.approx(distances(expected.positions, cell), abs=1e-6)
        assert image.positions[:n] == pytest.approx(expected.positions @ turn, abs=1e-6)


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_mdanalysis_reads_the_dump(independent, tmp_path, cell):
    file = tmp_path / "t.lammpstrj"
    result = run(independent, file, cell)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import MDAnalysis

        universe = MDAnalysis.Universe(str(file), format="LAMMPSDUMP", additional_columns=["present"])
    assert len(universe.trajectory) == 40
    box, _ = lammps_cell(cell)
    for step, expected in zip(universe.trajectory, result.frames_atoms(), strict=True):
        present = step.data["present"] == 1
        assert present.sum() == len(expected) == 2 + 2 * expected.info["n_adsorbed"]
        assert step.data["step"] == expected.info["move"]
        lengths = distances(step.positions[present].astype(float), box)
        assert lengths == pytest.approx(distances(expected.positions, cell), abs=2e-5)
        assert step.dimensions[:3] == pytest.approx(np.linalg.norm(box, axis=1), abs=1e-4)


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(BadInputError, match=r"expected a name ending in \.extxyz or \.lammpstrj"):
        TrajectorySettings(tmp_path / "t.xtc")

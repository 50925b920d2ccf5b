"""Densities on a grid: where a molecule is, how many there are, and cube files that ASE reads back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io.cube import read_cube

from alh2.analysis.density import guest_density, write_cube

CELL = np.array([[8.0, 0.0, 0.0], [2.0, 6.0, 0.0], [-1.0, 1.0, 10.0]])


def test_a_molecule_is_in_its_voxel_and_images_are_one() -> None:
    """Fractional (0.30, 0.60, 0.10) of 8 x 7 x 11 voxels is voxel (2, 4, 1), and so is an image of it."""
    place = np.array([0.30, 0.60, 0.10]) @ CELL
    grid = guest_density([place[None], (place + CELL[0] - 2 * CELL[2])[None]], CELL, spacing_ang=1.0)
    assert grid.values_per_ang3.shape == (8, 7, 11)
    assert np.argwhere(grid.values_per_ang3).tolist() == [[2, 4, 1]]
    assert grid.values_per_ang3[2, 4, 1] == pytest.approx(8 * 7 * 11 / 480.0)
    assert grid.n_molecules == pytest.approx(1.0)


@pytest.mark.physics
def test_uniform_gas_has_its_density_everywhere_and_in_projection() -> None:
    rng = np.random.default_rng(3)
    frames = [rng.random((5, 3)) @ CELL for _ in range(4000)]
    grid = guest_density(frames, CELL, spacing_ang=2.5)
    expected = 5 / 480.0
    per_voxel = 20_000 / grid.values_per_ang3.size
    assert np.abs(grid.values_per_ang3 / expected - 1).max() < 5 / np.sqrt(per_voxel)
    projected = grid.projected_per_ang2(2)
    area = np.linalg.norm(np.cross(CELL[0], CELL[1]))
    assert projected.shape == grid.values_per_ang3.shape[:2] and projected.mean() * area == pytest.approx(5.0)


def test_cube_reads_back_by_ase(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    grid = guest_density([rng.random((3, 3)) @ CELL for _ in range(5)], CELL, spacing_ang=1.5)
    write_cube(tmp_path / "density.cube", grid, Atoms("AlO", [[1.0, 2.0, 3.0], [2.5, 2.0, 3.0]]))
    with open(tmp_path / "density.cube") as handle:
        read = read_cube(handle)
    np.testing.assert_allclose(read["data"], grid.values_per_ang3, atol=1e-5)
    np.testing.assert_allclose(read["atoms"].cell, CELL, atol=1e-4)
    np.testing.assert_allclose(read["atoms"].positions, [[1.0, 2.0, 3.0], [2.5, 2.0, 3.0]], atol=1e-4)
    half = 0.5 * (CELL / np.array(grid.values_per_ang3.shape)[:, None]).sum(axis=0)
    np.testing.assert_allclose(read["origin"], half, atol=1e-4)


def test_no_frames_and_no_spacing_are_refused() -> None:
    for frames, spacing in (([], 1.0), ([np.zeros((1, 3))], 0.0)):
        with pytest.raises(ValueError, match="frames and a positive spacing"):
            guest_density(frames, CELL, spacing_ang=spacing)

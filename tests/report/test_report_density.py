"""Isosurfaces against known answers, their picture, and the traces of the view in three dimensions."""

from __future__ import annotations

import base64
import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from alh2.analysis.density import DensityGrid, guest_density, read_cube, write_cube
from alh2.analysis.isosurface import isosurface, level_holding, smoothed
from alh2.core.errors import BadInputError
from alh2.report.figures_common import png_bytes
from alh2.report.figures_density import isosurface_figure
from alh2.report.model import ReportData
from alh2.report.scene import density_scene
from alh2.report.view3d import traces, view3d

WIDTH_ANG, EDGE_ANG, N = 1.2, 12.0, 60
CHI_90, CHI_50 = 2.5003, 1.5382
"""Radii, in standard deviations, of the spheres that hold 90 and 50 % of a Gaussian in three dimensions."""


def gaussian() -> DensityGrid:
    """Three molecules spread as one Gaussian about the middle of a cube."""
    axis = (np.arange(N) + 0.5) * EDGE_ANG / N - EDGE_ANG / 2
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    values = np.exp(-(x**2 + y**2 + z**2) / (2 * WIDTH_ANG**2))
    return DensityGrid(3.0 * values / (values.sum() * (EDGE_ANG / N) ** 3), EDGE_ANG * np.eye(3))


@pytest.mark.parametrize(("fraction", "chi"), [(0.9, CHI_90), (0.5, CHI_50)])
def test_surface_of_a_gaussian_is_the_sphere_that_holds_the_fraction(fraction: float, chi: float) -> None:
    surface = isosurface(gaussian(), fraction)
    radii = np.linalg.norm(surface.vertices_ang - EDGE_ANG / 2, axis=1)
    assert radii.mean() == pytest.approx(chi * WIDTH_ANG, abs=0.05)
    assert np.ptp(radii) < 0.1
    peak = 3.0 / ((2 * math.pi) ** 1.5 * WIDTH_ANG**3)
    assert surface.level_per_ang3 == pytest.approx(peak * math.exp(-(chi**2) / 2), rel=0.04)
    assert surface.volume_ang3 == pytest.approx(4 / 3 * math.pi * (chi * WIDTH_ANG) ** 3, rel=0.04)


def test_a_surface_across_the_faces_stays_inside_the_cell() -> None:
    moved = DensityGrid(np.roll(gaussian().values_per_ang3, N // 2, axis=0), gaussian().cell_ang)
    surface = isosurface(moved, 0.5)
    assert surface.vertices_ang.min() >= 0.0 and surface.vertices_ang.max() <= EDGE_ANG
    near = np.minimum(surface.vertices_ang[:, 0], EDGE_ANG - surface.vertices_ang[:, 0])
    assert near.max() == pytest.approx(CHI_50 * WIDTH_ANG, abs=0.1)


def test_smoothing_keeps_the_number_of_molecules_and_widens_a_point() -> None:
    one = guest_density([np.array([[0.05, 6.0, 6.0]])], EDGE_ANG * np.eye(3), spacing_ang=0.1)
    smooth = smoothed(one, width_ang=0.5)
    assert smooth.n_molecules == pytest.approx(1.0, rel=1e-9)
    assert smooth.values_per_ang3.max() == pytest.approx(1 / ((2 * math.pi) ** 1.5 * 0.5**3), rel=0.02)


def test_levels_and_grids_that_make_no_sense() -> None:
    for fraction in (0.0, 1.0):
        with pytest.raises(ValueError, match="between 0 and 1"):
            level_holding(gaussian(), fraction)
    empty = DensityGrid(np.zeros((4, 4, 4)), np.eye(3))
    with pytest.raises(ValueError, match="empty"):
        level_holding(empty, 0.5)
    flat = isosurface(DensityGrid(np.ones((4, 4, 4)), np.eye(3)), 0.5)
    assert flat.triangles.shape == (0, 3)
    assert density_scene(empty, Atoms("H", cell=np.eye(3)), name="x", words="w", source="s") is None


def test_cube_files_read_back(tmp_path: Path) -> None:
    host = Atoms("AlO", [[1.0, 2.0, 3.0], [2.8, 2.0, 3.0]], cell=EDGE_ANG * np.eye(3), pbc=True)
    write_cube(tmp_path / "d.cube", gaussian(), host)
    grid, read = read_cube(tmp_path / "d.cube")
    np.testing.assert_allclose(grid.values_per_ang3, gaussian().values_per_ang3, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(grid.cell_ang, EDGE_ANG * np.eye(3), atol=1e-4)
    np.testing.assert_allclose(read.positions, host.positions, atol=1e-4)
    (tmp_path / "bad.cube").write_text("no cube\n")
    with pytest.raises(BadInputError, match="a cube file"):
        read_cube(tmp_path / "bad.cube")


def test_picture_shows_surfaces_over_the_framework(report_data: ReportData) -> None:
    scene = report_data.predictions.densities[0]
    figure = isosurface_figure(scene)
    assert "hold 80 % (light) and 50 % (dark)" in figure.caption and scene.source in figure.caption
    assert [len(table.rows) > 0 for table in figure.tables] == [True, True]
    assert {row[0] for row in figure.tables[0].rows} == {0.8, 0.5}
    inside = figure.tables[1].rows
    assert min(row[3] for row in inside) >= 0.999 * scene.surfaces[0].level_per_ang3  # type: ignore[type-var, operator]
    assert len(png_bytes(figure.figure, dpi=60)) > 5000


def test_traces_are_plotlys_and_nothing_in_them_ends_the_script(report_data: ReportData) -> None:
    import plotly.graph_objects as go

    scene = report_data.predictions.densities[0]
    made = traces(scene)
    figure = go.Figure(made)  # refuses what Plotly does not know
    meshes = [trace for trace in figure.data if trace.type == "mesh3d"]
    assert [len(mesh.i) for mesh in meshes] == [len(s.triangles) for s in scene.surfaces]
    assert max(max(mesh.i) for mesh in meshes) < len(scene.surfaces[0].vertices_ang) + len(
        scene.surfaces[1].vertices_ang
    )
    view = view3d(report_data.predictions.densities)
    assert view is not None and not set("<>&") & set(view.scenes)
    assert json.loads(view.scenes)[0]["words"] == scene.words
    assert b"plotly.js" in gzip.decompress(base64.b64decode(view.library))[:200]
    assert view3d([]) is None

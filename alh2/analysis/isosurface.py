"""Isosurfaces of a density in a periodic cell: which level holds which part of the molecules, and its triangles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alh2.analysis.density import DensityGrid

SMOOTHING_ANG = 0.4
"""Standard deviation of the Gaussian that a counted density is smoothed with before a surface is drawn."""

MOST_TRIANGLES = 12_000
COARSEST = 3
"""Surfaces with more triangles are drawn through every second or third voxel."""


@dataclass(frozen=True, eq=False)
class Surface:
    """One isosurface: triangles (m, 3) of vertices (n, 3) Å; open where it crosses a face of the cell.

    fraction : part of the molecules that is inside, where the density is at least `level_per_ang3`
    volume_ang3 : of that region in one cell
    """

    fraction: float
    level_per_ang3: float
    volume_ang3: float
    vertices_ang: np.ndarray
    triangles: np.ndarray


def smoothed(grid: DensityGrid, *, width_ang: float = SMOOTHING_ANG) -> DensityGrid:
    """The density convolved with a periodic Gaussian of standard deviation `width_ang`; the integral stays."""
    from scipy.ndimage import gaussian_filter

    lengths = np.linalg.norm(grid.cell_ang, axis=1)
    widths = width_ang * np.array(grid.values_per_ang3.shape) / lengths
    return DensityGrid(gaussian_filter(grid.values_per_ang3, widths, mode="wrap"), grid.cell_ang)


def level_holding(grid: DensityGrid, fraction: float) -> float:
    """The density (1/Å³) above which `fraction` of the molecules are; ValueError outside 0 to 1 or without any."""
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"a fraction between 0 and 1, not {fraction}")
    values = np.sort(grid.values_per_ang3, axis=None)[::-1]
    inside = np.cumsum(values)
    if not inside[-1] > 0.0:
        raise ValueError("an empty density")
    return float(values[int(np.searchsorted(inside, fraction * inside[-1]))])


def isosurface(grid: DensityGrid, fraction: float) -> Surface:
    """The surface that holds `fraction` of the molecules of `grid` (marching cubes; Lewiner et al. 2003).

    Raises ValueError as `level_holding`.
    """
    level = level_holding(grid, fraction)
    volume = float((grid.values_per_ang3 >= level).mean() * abs(np.linalg.det(grid.cell_ang)))
    vertices, triangles = np.empty((0, 3)), np.empty((0, 3), dtype=np.int64)
    for coarseness in range(1, COARSEST + 1):
        vertices, triangles = _surface(_coarser(grid.values_per_ang3, coarseness), level)
        if len(triangles) <= MOST_TRIANGLES:
            break
    return Surface(fraction, level, volume, vertices @ grid.cell_ang, triangles)


def _surface(values: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Fractional vertices (n, 3) and triangles (m, 3) of one cell; values stand for the middle of their voxels."""
    from skimage.measure import marching_cubes

    around = np.pad(values, 1, mode="wrap")
    if not around.min() < level < around.max():  # a uniform density has no surface
        return np.empty((0, 3)), np.empty((0, 3), dtype=np.int64)
    vertices, triangles, _, _ = marching_cubes(around, level, allow_degenerate=False)
    return np.clip((vertices - 0.5) / np.array(values.shape), 0.0, 1.0), triangles.astype(np.int64)


def _coarser(values: np.ndarray, coarseness: int) -> np.ndarray:
    """Values at the middles of voxels that are `coarseness` times as wide, or a little less."""
    if coarseness == 1:
        return values
    from scipy.ndimage import map_coordinates

    shape = [max(1, round(n / coarseness)) for n in values.shape]
    middles = [(np.arange(m) + 0.5) * n / m - 0.5 for m, n in zip(shape, values.shape, strict=True)]
    found: np.ndarray = map_coordinates(values, np.meshgrid(*middles, indexing="ij"), order=1, mode="grid-wrap")
    return found

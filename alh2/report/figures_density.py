"""Static pictures of densities: framework and isosurfaces, projected and painted from back to front."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alh2.analysis.isosurface import SMOOTHING_ANG
from alh2.report.figures_common import PAGE_IN, Cell, NumberTable, ReportFigure, new_figure, style
from alh2.report.rasteriser import Camera, Canvas
from alh2.report.scene import (
    SURFACE_COLOURS,
    SURFACE_OPACITIES,
    DensityScene,
    colour_of,
    share,
    surface_words,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VIEWS = (("from the side", (1.0, 0.55, 0.4)), ("along the third cell vector", (0.0, 0.0, 1.0)))
PIXELS = 1000
"""Of the longer side of one view: enough for 300 dpi at half the width of a page."""

MARGIN_ANG, BOND_ANG, EDGE_ANG = 0.6, 0.16, 0.09
EDGE_COLOUR = (0.45, 0.45, 0.45)


def isosurface_figure(scene: DensityScene) -> ReportFigure:
    """The cell from two sides with the surfaces inside which half and nine tenths of the molecules are."""
    with style():
        figure, axes = new_figure(PAGE_IN, 3.9, columns=len(VIEWS))
        for ax, (title, direction) in zip(axes[0], VIEWS, strict=True):
            draw_scene(ax, scene, direction)
            ax.set_title(title)
        figure.legend(handles=_legend(scene), loc="outside lower center", ncols=8, handlelength=1.0)
    levels: list[tuple[Cell, ...]] = [
        (s.fraction, s.level_per_ang3, s.volume_ang3, len(s.triangles)) for s in scene.surfaces
    ]
    outer, inner = scene.surfaces
    caption = (
        f"{scene.words} Surfaces hold {share(outer)} (light) and {share(inner)} (dark) of the molecules; the dark one "
        f"is {inner.volume_ang3:.3g} Å³ of {abs(np.linalg.det(scene.cell_ang)):.4g} Å³, where the density is at least "
        f"{inner.level_per_ang3:.3g} per Å³. The counted density is smoothed by {SMOOTHING_ANG:g} Å; surfaces end at "
        f"the faces of the cell. From {scene.source}."
    )
    alt = (
        f"The unit cell from two sides with its framework and two nested isosurfaces of the density of H₂ centres: "
        f"{scene.words}"
    )
    tables = (
        NumberTable(f"{scene.name}_levels", ("fraction", "level_per_ang3", "volume_ang3", "n_triangles"), levels),
        NumberTable(scene.name, ("x_ang", "y_ang", "z_ang", "h2_per_ang3"), _voxels(scene)),
    )
    return ReportFigure(scene.name, caption, alt, figure, tables, wide=True)


def draw_scene(ax: Axes, scene: DensityScene, direction: tuple[float, float, float]) -> None:
    """The scene as seen from `direction` on axes of equal scale, without their frame."""
    camera = Camera.towards(direction)
    seen = camera(np.concatenate([scene.edges_ang.reshape(-1, 3), scene.positions_ang]))[:, :2]
    low, high = seen.min(axis=0) - MARGIN_ANG, seen.max(axis=0) + MARGIN_ANG
    canvas = Canvas(low, high, pixels_per_ang=PIXELS / float((high - low).max()))
    for (start, end), atom in zip(scene.bond_ends_ang, scene.bond_atoms, strict=True):
        canvas.bar(camera(start), camera(end), BOND_ANG, _rgb(colour_of(scene.symbols[atom])))
    for start, end in scene.edges_ang:
        canvas.bar(camera(start), camera(end), EDGE_ANG, EDGE_COLOUR)
    for symbol, position in zip(scene.symbols, scene.positions_ang, strict=True):
        canvas.sphere(camera(position), scene.radius_ang(symbol), _rgb(colour_of(symbol)))
    kinds = list(zip(scene.surfaces, SURFACE_COLOURS, SURFACE_OPACITIES, strict=True))
    canvas.triangles(
        np.concatenate([camera(surface.vertices_ang)[surface.triangles] for surface, _, _ in kinds]),
        np.concatenate([np.tile(_rgb(colour), (len(surface.triangles), 1)) for surface, colour, _ in kinds]),
        np.concatenate([np.full(len(surface.triangles), opacity) for surface, _, opacity in kinds]),
    )
    ax.imshow(canvas.image(), origin="lower", extent=(low[0], high[0], low[1], high[1]), interpolation="none")
    ax.set_aspect("equal")
    ax.set_axis_off()


def _rgb(colour: str) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(colour)
    return red, green, blue


def _legend(scene: DensityScene) -> list[object]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    atoms: list[object] = [
        Line2D([], [], marker="o", linestyle="none", color=colour_of(s), markeredgecolor="0.15", label=s)
        for s in scene.elements()
    ]
    surfaces = [
        Patch(color=SURFACE_COLOURS[k], alpha=max(0.35, SURFACE_OPACITIES[k]), label=surface_words(surface))
        for k, surface in enumerate(scene.surfaces)
    ]
    return [*atoms, *surfaces]


def _voxels(scene: DensityScene) -> list[tuple[Cell, ...]]:
    """Middle and density of every voxel inside the outer surface."""
    values = scene.grid.values_per_ang3
    chosen = np.argwhere(values >= scene.surfaces[0].level_per_ang3)
    places = ((chosen + 0.5) / np.array(values.shape)) @ scene.cell_ang
    return [
        (*(round(float(x), 3) for x in place), float(f"{values[tuple(voxel)]:.5g}"))
        for place, voxel in zip(places, chosen, strict=True)
    ]

"""The same scenes to turn in a browser: traces for Plotly, and Plotly itself, packed into the page."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from alh2.report.scene import (
    SURFACE_COLOURS,
    SURFACE_OPACITIES,
    DensityScene,
    colour_of,
    surface_words,
)

MOST_TRIANGLES = 40_000
"""Surfaces with more are left out of the view (they stay in the static picture)."""

PIXELS_PER_ANG = 13.0


@dataclass(frozen=True)
class View3d:
    """What the page needs: Plotly packed by gzip in base64, the scenes as JSON that no markup can end, our script."""

    library: str
    scenes: str
    script: str


def view3d(scenes: Sequence[DensityScene]) -> View3d | None:
    """The view of `scenes`, None where there are none."""
    if not scenes:
        return None
    content = [{"name": s.name, "words": s.words, "traces": traces(s)} for s in scenes]
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return View3d(_library(), text, _script())


def traces(scene: DensityScene) -> list[dict[str, Any]]:
    """Plotly's traces: cell, bonds and atoms of the framework, surfaces."""
    found = [_lines(scene.edges_ang, colour="#737373", width=2.0, name="cell")]
    for symbol in scene.elements():
        chosen = np.array([scene.symbols[k] == symbol for k in scene.bond_atoms], dtype=bool)
        if chosen.any():
            found.append(
                _lines(scene.bond_ends_ang[chosen], colour=colour_of(symbol), width=5.0, name=f"bonds {symbol}")
            )
        found.append(_atoms(scene, symbol))
    for number, surface in enumerate(scene.surfaces):
        if 0 < len(surface.triangles) <= MOST_TRIANGLES:
            x, y, z = np.round(surface.vertices_ang.T, 2).tolist()
            i, j, k = surface.triangles.T.tolist()
            found.append(
                {
                    "type": "mesh3d", "name": surface_words(surface), "showlegend": True, "hoverinfo": "name",
                    "x": x, "y": y, "z": z, "i": i, "j": j, "k": k, "color": SURFACE_COLOURS[number],
                    "opacity": SURFACE_OPACITIES[number],
                }
            )  # fmt: skip
    return found


def _lines(ends_ang: np.ndarray, *, colour: str, width: float, name: str) -> dict[str, Any]:
    """Segments (n, 2, 3) as one trace, with gaps between them."""
    axes: list[list[float | None]] = [[], [], []]
    for start, end in np.round(ends_ang, 2).tolist():
        for axis in range(3):
            axes[axis] += [start[axis], end[axis], None]
    return {
        "type": "scatter3d", "mode": "lines", "name": name, "hoverinfo": "skip", "showlegend": False,
        "x": axes[0], "y": axes[1], "z": axes[2], "line": {"color": colour, "width": width},
    }  # fmt: skip


def _atoms(scene: DensityScene, symbol: str) -> dict[str, Any]:
    places = np.array([p for p, s in zip(scene.positions_ang, scene.symbols, strict=True) if s == symbol])
    x, y, z = np.round(places.T, 2).tolist()
    size = round(PIXELS_PER_ANG * 2 * scene.radius_ang(symbol), 1)
    return {
        "type": "scatter3d", "mode": "markers", "name": symbol, "x": x, "y": y, "z": z, "hoverinfo": "name",
        "marker": {"size": size, "color": colour_of(symbol), "line": {"color": "#262626", "width": 1}},
    }  # fmt: skip


@cache
def _library() -> str:
    """Plotly of the installed wheel, packed; the same wheel gives the same text."""
    source = (files("plotly") / "package_data" / "plotly.min.js").read_bytes()
    return base64.b64encode(gzip.compress(source, 9, mtime=0)).decode()


def _script() -> str:
    return (files("alh2.report") / "templates" / "view3d.js").read_text(encoding="utf-8")

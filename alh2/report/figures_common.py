"""What every figure shares: style, colours, rendering and the numbers behind it."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alh2.core.units import KB_EV_PER_K

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLACK, ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE, GREY = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
    "#8C8C8C",
)
"""Okabe and Ito's palette (without its yellow, which is lost on white) and a grey."""

CYCLE = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

COLUMN_IN = 3.4
"""Width of one journal column, inches; text in figures is 7-8 pt at this width."""

PAGE_IN = 7.0
"""Width of a figure across both columns, inches."""

MOST_POINTS = 4000
"""More points than this per series are thinned evenly in scatter plots and their tables; statistics use all."""

Cell = str | int | float | None


@dataclass(frozen=True)
class NumberTable:
    """Numbers behind a figure, written as ``figures/<name>.csv``."""

    name: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]

    def csv(self) -> str:
        """Comma-separated text with a header; floats in full precision, None empty."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([["" if cell is None else cell for cell in row] for row in self.rows])
        return buffer.getvalue()


@dataclass(frozen=True, eq=False)
class ReportFigure:
    """A figure of the page.

    name : file stem; caption, alt : shown under it, and read out in its place
    tables : the numbers behind it; wide : spans both columns
    """

    name: str
    caption: str
    alt: str
    figure: Figure
    tables: tuple[NumberTable, ...]
    wide: bool = False


@contextmanager
def style(scale: float = 1.0) -> Iterator[None]:
    """Matplotlib settings of the report inside the block only; `scale` enlarges text and lines (README picture)."""
    import matplotlib

    settings: dict[str, Any] = {
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 7.5 * scale,
        "axes.labelsize": 8 * scale,
        "axes.titlesize": 8 * scale,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.7 * scale,
        "axes.labelpad": 3 * scale,
        "xtick.labelsize": 7 * scale,
        "ytick.labelsize": 7 * scale,
        "legend.fontsize": 6.8 * scale,
        "legend.frameon": False,
        "legend.handlelength": 1.4,
        "lines.linewidth": 1.2 * scale,
        "lines.markersize": 4 * scale,
        "errorbar.capsize": 2 * scale,
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
        "svg.fonttype": "path",
        "svg.hashsalt": "alh2",
        "text.parse_math": False,
    }
    with matplotlib.rc_context(settings):  # type: ignore[arg-type]
        yield


def new_figure(
    width_in: float, height_in: float, *, rows: int = 1, columns: int = 1, share_x: bool = False, share_y: bool = False
) -> tuple[Figure, np.ndarray]:
    """An Agg figure (no pyplot state) with its (rows, columns) array of axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=share_x, sharey=share_y)
    return figure, axes


def svg_bytes(figure: Figure) -> bytes:
    """SVG of `figure`: same figure, same bytes; points marked as rasterised become an inline picture of 220 dpi."""
    return _saved(figure, format="svg", dpi=220, metadata={"Date": None, "Creator": None})


def png_bytes(figure: Figure, *, dpi: float) -> bytes:
    """PNG of `figure`."""
    return _saved(figure, format="png", dpi=dpi, metadata={"Software": None})


def _saved(figure: Figure, **how: Any) -> bytes:
    """Bytes of `figure`; a character that the font lacks is drawn as a box, without a warning to the user."""
    buffer = io.BytesIO()
    with style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, **how)
    return buffer.getvalue()


def kt_ev(temperature_k: float) -> float:
    """Thermal energy, eV."""
    return KB_EV_PER_K * temperature_k


def shades(n: int) -> list[str]:
    """`n` colours from dark to light that stay apart for colour-blind readers and in grey print (cividis/viridis)."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps["viridis"](x)) for x in np.linspace(0.0, 0.86, max(n, 2))[:n]]


def thin(values: np.ndarray, most: int = MOST_POINTS) -> np.ndarray:
    """Indices of at most `most` evenly spaced entries of `values`."""
    n = len(values)
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).astype(int)


def identity_line(ax: Axes, values: Sequence[np.ndarray]) -> tuple[float, float]:
    """Square axes over all `values` with the line y = x; returns the limits."""
    finite = np.concatenate([np.ravel(v) for v in values])
    finite = finite[np.isfinite(finite)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    margin = 0.05 * (high - low) or 1.0
    limits = (low - margin, high + margin)
    ax.plot(limits, limits, color=GREY, linewidth=0.8, zorder=0)
    ax.set_xlim(limits)
    ax.set_ylim(limits)
    ax.set_aspect("equal", adjustable="box")
    return limits


def short(label: str, most: int = 40) -> str:
    """`label` short enough for a legend; a leading underscore would hide it there, so it is set off by a space."""
    text = label if len(label) <= most else label[: most - 1] + "…"
    return " " + text if text.startswith("_") else text


def integer_ticks(ax: Axes, which: str) -> None:
    """Only whole numbers on axis `which`, "x" or "y"."""
    from matplotlib.ticker import MaxNLocator

    getattr(ax, which + "axis").set_major_locator(MaxNLocator(nbins="auto", integer=True, steps=[1, 2, 5, 10]))


def h2(n: int | str) -> str:
    """Loading as a label, e.g. ``6 H₂``."""
    return f"{n} H₂"


def rmse(difference: np.ndarray) -> float:
    """Root mean square of `difference`; NaN when empty."""
    return float(np.sqrt(np.mean(np.square(difference)))) if difference.size else float("nan")

"""What has been explored, how far it is known, and where a curriculum stands: loading × temperature × deviation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alh2.core.explored import SelectionVerdict
from alh2.report.figures_common import PAGE_IN, Cell, NumberTable, ReportFigure, new_figure
from alh2.report.figures_selection import KIND_WORDS, Kind, Selections
from alh2.report.model import Rung
from alh2.report.tables import PageTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

KINDS: tuple[Kind, ...] = ("md", "gcmc")
MOST_TEXT = 12
"""More loadings or temperatures than this are drawn without numbers in the fields."""


@dataclass(frozen=True)
class CoverageField:
    """One loading at one temperature, in the last iteration that explored it.

    median_ev_ang, p95_ev_ang : of the largest force deviation of a frame, frames without one left out (NaN for none)
    accurate : fraction of frames that were accurate
    """

    kind: Kind
    n_h2: int
    temperature_k: float
    iteration: int
    n_frames: int
    median_ev_ang: float
    p95_ev_ang: float
    accurate: float


def coverage(selections: Selections) -> list[CoverageField]:
    """Every field that was ever explored, by kind, loading and temperature."""
    newest: dict[tuple[Kind, int, float], tuple[int, list[SelectionVerdict]]] = {}
    for iteration, verdicts in sorted(selections.items()):
        found: dict[tuple[Kind, int, float], list[SelectionVerdict]] = {}
        for v in verdicts:
            found.setdefault((v.explored.kind, v.explored.frame.n_h2, v.explored.temperature_k), []).append(v)
        newest.update({key: (iteration, listed) for key, listed in found.items()})
    return [_field(key, *newest[key]) for key in sorted(newest)]


def _field(key: tuple[Kind, int, float], iteration: int, verdicts: Sequence[SelectionVerdict]) -> CoverageField:
    deviations = np.array([v.explored.max_devi_f_ev_ang for v in verdicts], dtype=float)
    known = deviations[np.isfinite(deviations)]
    median, p95 = np.quantile(known, [0.5, 0.95]) if known.size else (np.nan, np.nan)
    accurate = sum(v.band == "accurate" for v in verdicts) / len(verdicts)
    return CoverageField(*key, iteration, len(verdicts), float(median), float(p95), accurate)


def coverage_figure(fields: Sequence[CoverageField], trust_lo_ev_ang: float) -> ReportFigure:
    """Maps of the median deviation over loading and temperature, with the accurate share of frames in each field."""
    kinds = [kind for kind in KINDS if any(f.kind == kind for f in fields)]
    height = 1.3 + 0.3 * len({f.n_h2 for f in fields})
    figure, axes = new_figure(PAGE_IN, min(6.0, height), columns=len(kinds))
    highest = max([f.median_ev_ang for f in fields if np.isfinite(f.median_ev_ang)], default=1.0)
    shown = None
    for ax, kind in zip(axes[0], kinds, strict=True):
        shown = _draw(ax, [f for f in fields if f.kind == kind], highest)
        ax.set_title(KIND_WORDS[kind])
    assert shown is not None
    bar = figure.colorbar(shown, ax=list(axes[0]), label="median of the largest force deviation (eV/Å)", shrink=0.9)
    if trust_lo_ev_ang < highest:
        bar.ax.axhline(trust_lo_ev_ang, color="white", linewidth=1.2)
    columns = (
        "explored_by",
        "n_h2",
        "temperature_k",
        "iteration",
        "n_frames",
        "median_ev_ang",
        "p95_ev_ang",
        "accurate",
    )
    rows: list[tuple[Cell, ...]] = [
        (
            f.kind,
            f.n_h2,
            f.temperature_k,
            f.iteration,
            f.n_frames,
            _cell(f.median_ev_ang),
            _cell(f.p95_ev_ang),
            f.accurate,
        )
        for f in fields
    ]
    return ReportFigure(
        "coverage",
        "Coverage: for each loading and temperature the median of the largest force deviation of a frame in the last "
        "iteration that explored it, and in the field the share of accurate frames. White fields were never explored. "
        f"White line beside: the lower trust level, {trust_lo_ev_ang:g} eV/Å.",
        f"Maps of the deviation over {len({f.n_h2 for f in fields})} loadings and "
        f"{len({f.temperature_k for f in fields})} temperatures, by molecular dynamics and Monte Carlo.",
        figure,
        (NumberTable("coverage", columns, rows),),
        wide=True,
    )


def coverage_words(fields: Sequence[CoverageField], rungs: Sequence[Rung]) -> list[str]:
    """How wide the coverage is, where it is thinnest, and how far a curriculum has come."""
    text = []
    if rungs:
        done = sum(r.converged for r in rungs)
        text.append(f"The curriculum has {len(rungs)} rungs of loadings, {done} of them converged.")
    if not fields:
        return [*text, "Not yet reached. No frames have been explored."]
    worst = min(fields, key=lambda f: (f.accurate, -f.n_frames))
    loadings, temperatures = {f.n_h2 for f in fields}, {f.temperature_k for f in fields}
    text.append(
        f"Explored: loadings {min(loadings)} to {max(loadings)} H₂ at {min(temperatures):g} to {max(temperatures):g} "
        f"K. Least known: {worst.n_h2} H₂ at {worst.temperature_k:g} K ({KIND_WORDS[worst.kind]}, iteration "
        f"{worst.iteration}), where {100 * worst.accurate:.0f} % of {worst.n_frames} frames were accurate. Beyond "
        "these loadings and temperatures nothing has been tested."
    )
    return text


def rung_table(rungs: Sequence[Rung]) -> PageTable:
    """State of each rung of the curriculum."""
    rows = [(str(r.number), r.loadings, r.words) for r in rungs]
    return PageTable("Rungs of the curriculum.", ("rung", "loadings", "state"), rows, n_text=3)


def _draw(ax: Axes, fields: Sequence[CoverageField], highest: float) -> AxesImage:
    loadings, temperatures = sorted({f.n_h2 for f in fields}), sorted({f.temperature_k for f in fields})
    values = np.full((len(loadings), len(temperatures)), np.nan)
    for f in fields:
        row, column = loadings.index(f.n_h2), temperatures.index(f.temperature_k)
        values[row, column] = f.median_ev_ang
        if max(values.shape) <= MOST_TEXT:
            dark = np.isfinite(f.median_ev_ang) and f.median_ev_ang < 0.55 * highest
            ax.text(
                column, row, f"{100 * f.accurate:.0f} %", ha="center", va="center", fontsize=6.5,
                color="white" if dark else "black",
            )  # fmt: skip
    shown = ax.imshow(values, cmap="viridis", vmin=0.0, vmax=highest, aspect="auto", origin="lower")
    ax.set_xticks(range(len(temperatures)), [f"{t:g}" for t in temperatures])
    ax.set_yticks(range(len(loadings)), [str(n) for n in loadings])
    ax.set_xlabel("temperature (K)")
    ax.set_ylabel("H₂ in the cell")
    return shown


def _cell(value: float) -> float | None:
    return value if np.isfinite(value) else None

"""Figures of exploration and selection: deviation histograms with the trust band, and what was chosen."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from alh2.core.explored import SelectionVerdict
from alh2.report.figures_common import (
    BLUE,
    GREY,
    ORANGE,
    PAGE_IN,
    VERMILLION,
    NumberTable,
    ReportFigure,
    h2,
    new_figure,
    shades,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Kind = Literal["md", "gcmc"]
Selections = Mapping[int, Sequence[SelectionVerdict]]

MOST_PANELS = 9
"""Iterations drawn in one deviation figure: the first and the newest; the table has all."""

MOST_GROUPS = 5
"""Histograms per panel; more loadings than this are drawn in groups."""

KIND_WORDS = {"md": "molecular dynamics", "gcmc": "grand-canonical Monte Carlo"}


@dataclass(frozen=True)
class SelectionCount:
    """How many explored frames of one iteration, kind and loading fell into each band, and were picked."""

    iteration: int
    kind: str
    n_h2: int
    accurate: int
    candidate: int
    failed: int
    picked: int


def selection_counts(selections: Selections) -> list[SelectionCount]:
    """Counts per iteration × kind × loading, in that order."""
    keys = sorted({(i, v.explored.kind, v.explored.frame.n_h2) for i, verdicts in selections.items() for v in verdicts})
    bands = Counter((i, v.explored.kind, v.explored.frame.n_h2, v.band) for i, vs in selections.items() for v in vs)
    picks = Counter((i, v.explored.kind, v.explored.frame.n_h2) for i, vs in selections.items() for v in vs if v.picked)
    return [
        SelectionCount(*key, bands[(*key, "accurate")], bands[(*key, "candidate")], bands[(*key, "failed")], picks[key])
        for key in keys
    ]


def has_kind(selections: Selections, kind: Kind) -> bool:
    """Whether any explored frame is of `kind`."""
    return any(v.explored.kind == kind for verdicts in selections.values() for v in verdicts)


def loading_groups(loadings: Sequence[int], most: int = MOST_GROUPS) -> list[list[int]]:
    """Distinct loadings, ascending, in at most `most` neighbouring groups."""
    distinct = sorted(set(loadings))
    if not distinct:
        return []
    return [[int(n) for n in part] for part in np.array_split(distinct, min(most, len(distinct)))]


def group_label(group: Sequence[int]) -> str:
    """``6 H₂`` or ``4–7 H₂``."""
    return h2(group[0]) if len(group) == 1 else h2(f"{group[0]}–{group[-1]}")


def deviation_figure(
    selections: Selections,
    kind: Kind,
    *,
    trust_ev_ang: tuple[float, float],
    levels: Mapping[int, tuple[float, float]] | None = None,
) -> ReportFigure:
    """Histograms of max_devi_f of one kind of exploration: a panel per iteration, a line per loading.

    trust_ev_ang : the fixed trust band; levels : the band that each iteration used, where it was derived
    """
    levels = levels or {}
    data = {i: [v for v in verdicts if v.explored.kind == kind] for i, verdicts in sorted(selections.items())}
    data = {i: verdicts for i, verdicts in data.items() if verdicts}
    shown = list(data) if len(data) <= MOST_PANELS else [list(data)[0], *list(data)[-(MOST_PANELS - 1) :]]
    n_columns = min(3, len(shown))
    n_rows = math.ceil(len(shown) / n_columns)
    figure, axes = new_figure(
        PAGE_IN if n_columns > 1 else PAGE_IN / 2,
        0.5 + 1.9 * n_rows,
        rows=n_rows,
        columns=n_columns,
        share_x=True,
        share_y=True,
    )
    everything = [v for verdicts in data.values() for v in verdicts]
    groups = loading_groups([v.explored.frame.n_h2 for v in everything])
    edges = _edges([v.explored.max_devi_f_ev_ang for v in everything], trust_ev_ang)
    for ax, iteration in zip(axes.flat, shown, strict=False):
        _draw_deviation(ax, data[iteration], groups, edges, levels.get(iteration, trust_ev_ang))
        ax.set_title(f"iteration {iteration}" + _nan_note(data[iteration]))
    for ax in list(axes.flat)[len(shown) :]:
        ax.set_axis_off()
    for column in range(n_columns):
        bottom = max(row for row in range(n_rows) if row * n_columns + column < len(shown))
        axes[bottom, column].set_xlabel("largest force deviation (eV/Å)")
        axes[bottom, column].tick_params(labelbottom=True)
    lo, hi = trust_ev_ang
    derived = {level for i, level in levels.items() if i in data} - {trust_ev_ang}
    band = "of each iteration" if derived else f"{lo:g}–{hi:g} eV/Å"
    omitted = f" Iterations {shown[0]} and {shown[1]} to {shown[-1]} of {len(data)}." if len(shown) < len(data) else ""
    return ReportFigure(
        f"deviation_{kind}",
        f"Committee force deviation of the frames visited by {KIND_WORDS[kind]}, per iteration and loading; shaded: "
        f"trust band, {band} (left of it accurate, inside candidate, right of it failed). Each histogram "
        f"is scaled to its own maximum; at the left the number of frames.{omitted}",
        f"Histograms of the largest force deviation in {len(shown)} iterations for loadings "
        f"{groups[0][0]} to {groups[-1][-1]} H₂, with the trust band {lo:g} to {hi:g} eV/Å shaded.",
        figure,
        (_verdict_table(f"deviation_{kind}", data),),
        wide=n_columns > 1,
    )


def _edges(values: Sequence[float], trust: tuple[float, float]) -> np.ndarray:
    """24 logarithmic bins over the finite positive `values` and the trust band, at most four decades."""
    finite = np.array([v for v in values if math.isfinite(v) and v > 0] + list(trust))
    finite = finite[finite > 0]
    if finite.size == 0:
        finite = np.array([0.01, 1.0])
    high = min(float(finite.max()), 30 * max(trust[1], 1e-3)) * 1.1
    low = max(float(finite.min()) / 1.1, high * 1e-4)
    return np.geomspace(low, high, 25)


def _draw_deviation(
    ax: Axes,
    verdicts: Sequence[SelectionVerdict],
    groups: Sequence[Sequence[int]],
    edges: np.ndarray,
    trust: tuple[float, float],
) -> None:
    ax.axvspan(*trust, color=ORANGE, alpha=0.2, linewidth=0)
    for row, (group, colour) in enumerate(zip(groups, shades(len(groups)), strict=True)):
        values = np.array([v.explored.max_devi_f_ev_ang for v in verdicts if v.explored.frame.n_h2 in group])
        values = values[np.isfinite(values)]
        counts = np.histogram(np.clip(values, edges[0], edges[-1]), bins=edges)[0]
        heights = row + 0.9 * counts / max(1, counts.max())
        ax.stairs(heights, edges, baseline=row, fill=True, color=colour, alpha=0.55, linewidth=0)
        ax.stairs(heights, edges, baseline=row, color=colour, linewidth=0.8)
        ax.text(edges[0] * 1.05, row + 0.06, f"{values.size}", ha="left", va="bottom", fontsize="x-small", color="0.35")
    ax.set_yticks(np.arange(len(groups)) + 0.05, [group_label(group) for group in groups])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(0, len(groups) + 0.05)
    ax.set_xscale("log")
    ax.set_xlim(edges[0], edges[-1])
    plain_log_x(ax)


def plain_log_x(ax: Axes) -> None:
    """Decades (and 2, 5 on a short range) of a logarithmic x axis as plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = ax.get_xlim()
    decades = math.log10(high / low)
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 1.6 else (1.0,)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _nan_note(verdicts: Sequence[SelectionVerdict]) -> str:
    broken = sum(not math.isfinite(v.explored.max_devi_f_ev_ang) for v in verdicts)
    return f" ({broken} not a number)" if broken else ""


def _verdict_table(name: str, data: Mapping[int, Sequence[SelectionVerdict]]) -> NumberTable:
    columns = (
        "iteration",
        "task",
        "step",
        "temperature_k",
        "n_h2",
        "max_devi_f_ev_ang",
        "devi_insertion_ev",
        "band",
        "picked",
        "reason",
    )
    rows = [
        (
            iteration,
            v.explored.task,
            v.explored.step,
            v.explored.temperature_k,
            v.explored.frame.n_h2,
            v.explored.max_devi_f_ev_ang,
            v.explored.devi_insertion_ev,
            v.band,
            int(v.picked),
            v.reason,
        )
        for iteration, verdicts in data.items()
        for v in verdicts
    ]
    return NumberTable(name, columns, rows)


def selection_figure(counts: Sequence[SelectionCount]) -> ReportFigure:
    """Share of accurate, candidate and failed frames per iteration, for each kind of exploration."""
    kinds = [kind for kind in ("md", "gcmc") if any(c.kind == kind for c in counts)]
    iterations = sorted({c.iteration for c in counts})
    figure, axes = new_figure(PAGE_IN, 1.0 + 0.22 * max(3, len(iterations)), columns=len(kinds), share_y=True)
    for ax, kind in zip(axes[0], kinds, strict=True):
        _draw_shares(ax, [c for c in counts if c.kind == kind], iterations)
        ax.set_title(KIND_WORDS[kind])
    axes[0, 0].set_ylabel("iteration")
    axes[0, 0].set_yticks(iterations)
    axes[0, 0].invert_yaxis()
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    columns = ("iteration", "kind", "n_h2", "accurate", "candidate", "failed", "picked")
    rows = [(c.iteration, c.kind, c.n_h2, c.accurate, c.candidate, c.failed, c.picked) for c in counts]
    return ReportFigure(
        "selection",
        "Share of explored frames in each trust band, all loadings together; at the right the number explored and "
        "the number picked for labelling.",
        f"Stacked bars per iteration ({len(iterations)}) with the shares of accurate, candidate and failed frames.",
        figure,
        (NumberTable("selection", columns, rows),),
        wide=True,
    )


def _draw_shares(ax: Axes, counts: Sequence[SelectionCount], iterations: Sequence[int]) -> None:
    left = np.zeros(len(iterations))
    totals = np.array(
        [sum(c.accurate + c.candidate + c.failed for c in counts if c.iteration == i) for i in iterations], dtype=float
    )
    for band, colour in (("accurate", BLUE), ("candidate", ORANGE), ("failed", VERMILLION)):
        numbers = np.array([sum(getattr(c, band) for c in counts if c.iteration == i) for i in iterations])
        share = 100 * numbers / np.maximum(totals, 1)
        ax.barh(iterations, share, left=left, color=colour, height=0.7, label=band)
        left = left + share
    for iteration, total in zip(iterations, totals, strict=True):
        picked = sum(c.picked for c in counts if c.iteration == iteration)
        text = f"{int(total)} / {picked}" if total else "none"
        ax.text(101, iteration, text, va="center", ha="left", fontsize="small", color=GREY if not total else "black")
    ax.set_xlim(0, 100)
    ax.set_xlabel("share of explored frames (%)  ·  explored / picked", x=0.0, ha="left")

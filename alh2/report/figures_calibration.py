"""Figures of calibration: reliability diagrams, deviation against error, drift over the iterations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alh2.assess.calibration import Calibration, calibrate_folds
from alh2.assess.groups import GROUPS
from alh2.assess.reliability import Coverage, miscalibration_area, reliability_curve
from alh2.assess.samples import ALL, NamedSample, Quantity
from alh2.core.frames import Target
from alh2.report.figures_common import (
    BLACK,
    BLUE,
    CYCLE,
    GREY,
    MARKERS,
    PAGE_IN,
    VERMILLION,
    Cell,
    NumberTable,
    ReportFigure,
    integer_ticks,
    new_figure,
    shades,
    thin,
)
from alh2.report.figures_selection import group_label, loading_groups, plain_log_x
from alh2.report.figures_training import plain_log_ticks
from alh2.report.model import IterationCalibration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_SHOWN = 1500
"""Points of one panel."""

BINS = 8


@dataclass(frozen=True)
class Shown:
    """How a quantity is written: its unit, and by what values of the files are multiplied."""

    name: str
    unit: str
    scale: float


SHOWN: dict[Quantity, Shown] = {
    "force": Shown("force component", "eV/Å", 1.0),
    "largest force": Shown("largest force error of a frame", "eV/Å", 1.0),
    "energy": Shown("energy per atom", "meV", 1e3),
    "insertion": Shown("insertion energy", "meV", 1e3),
}

GAUSSIAN: tuple[Quantity, ...] = ("force", "energy", "insertion")


def figures_of(data: IterationCalibration) -> list[ReportFigure]:
    """Both figures of one committee in one iteration; none without samples."""
    return [reliability_figure(data), deviation_error_figure(data)] if data.samples else []


def reliability_figure(data: IterationCalibration) -> ReportFigure:
    """Observed against expected fraction, of deviations as they are and calibrated on other frames."""
    samples = [s for s in pooled_samples(data) if s.quantity in GAUSSIAN]
    figure, axes = new_figure(PAGE_IN, 2.6, columns=max(1, len(samples)))
    rows: list[tuple[Cell, ...]] = []
    areas = []
    for ax, named in zip(axes[0], samples, strict=False):
        ax.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, zorder=0)
        sample = named.sample.finite()
        stated = {"as it is": sample.deviation}
        if data.calibration.calibration(named.quantity) is not None:
            stated["calibrated"] = calibrate_folds(sample).predict(sample).sigma
        for (kind, sigma), colour, line in zip(stated.items(), (VERMILLION, BLUE), ("--", "-"), strict=False):
            curve = reliability_curve(sample.error, sigma)
            area = miscalibration_area(sample.error, sigma)
            areas.append(f"{named.quantity} {kind} {area:.2f}")
            ax.plot(curve.expected, curve.observed, line, color=colour, label=f"{kind}: area {area:.2f}")
            rows += [
                (data.iteration, data.target, named.quantity, kind, float(p), float(f))
                for p, f in zip(curve.expected, curve.observed, strict=True)
            ]
        ax.set_title(f"{SHOWN[named.quantity].name}, {sample.n_frames} frames")
        ax.set_xlim(0, 1)
        ax.set_ylim(0, 1)
        ax.set_aspect("equal", adjustable="box")
        ax.set_xlabel("expected fraction")
        ax.legend(loc="best")
    axes[0, 0].set_ylabel("observed fraction")
    name = f"reliability_{data.target}"
    return ReportFigure(
        name,
        f"Reliability of the {data.target}-energy committee, iteration {data.iteration}: the fraction of held-out "
        "errors inside central Gaussian intervals of a given probability. Below the diagonal the committee is "
        "overconfident. Dashed: its standard deviation as it is; solid: calibrated, each value on other frames.",
        f"Reliability diagrams against the diagonal; miscalibration areas: {', '.join(areas) or 'none'}.",
        figure,
        (NumberTable(name, ("iteration", "target", "quantity", "sigma", "expected", "observed"), rows),),
        wide=True,
    )


def deviation_error_figure(data: IterationCalibration) -> ReportFigure:
    """Absolute error against deviation with the calibrated RMS error and the 90 % band, per quantity."""
    samples = [s for s in pooled_samples(data) if s.quantity != "energy"]
    figure, axes = new_figure(PAGE_IN, 3.9, columns=max(1, len(samples)))
    points: list[tuple[Cell, ...]] = []
    lines: list[tuple[Cell, ...]] = []
    for ax, named in zip(axes[0], samples, strict=False):
        head = (data.iteration, data.target, named.quantity)
        calibration = data.calibration.calibration(named.quantity)
        x_limits = _draw_points(ax, named, data, points, head)
        if calibration is not None:
            lines += [(*head, *row) for row in _draw_line(ax, calibration, SHOWN[named.quantity], x_limits)]
        shown = SHOWN[named.quantity]
        ax.set_title(shown.name)
        ax.set_xlabel(f"committee deviation ({shown.unit})")
        ax.legend(loc="upper left", bbox_to_anchor=(0.0, -0.18), borderaxespad=0, handletextpad=0.3)
    axes[0, 0].set_ylabel("absolute error")
    name = f"deviation_error_{data.target}"
    of = ("iteration", "target", "quantity")
    return ReportFigure(
        name,
        f"Error against committee deviation on held-out labels, {data.target}-energy committee, iteration "
        f"{data.iteration}. Black squares: RMS error of points of like deviation; line: calibrated RMS error; shaded: "
        "90 % interval; dotted: error equal to deviation. Points left of an axis are drawn at its edge.",
        f"Scatter plots with logarithmic axes of absolute error against committee deviation for {len(samples)} "
        "quantities, with the calibrated line and band.",
        figure,
        (
            NumberTable(name, (*of, "group", "n_h2", "deviation", "error"), points),
            NumberTable(f"{name}_line", (*of, "deviation", "rms_error", "half_width"), lines),
        ),
        wide=True,
    )


def drift_figure(calibrations: Sequence[IterationCalibration]) -> ReportFigure:
    """Factor and coverage of forces and insertion energies over the iterations."""
    figure, axes = new_figure(PAGE_IN, 2.5, columns=2)
    factor_ax, coverage_ax = axes[0]
    series: list[tuple[Target, Quantity]] = [
        ("total", "force"), ("total", "insertion"), ("interaction", "force"), ("interaction", "insertion")
    ]  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    lowest = 0.75
    for number, (target, quantity) in enumerate(series):
        of = [(c.iteration, r) for c in calibrations if c.target == target and (r := c.calibration.row(quantity))]
        if not of:
            continue
        iterations = np.array([iteration for iteration, _ in of])
        factors = [(r.factor, r.calibration.factor_error if r.calibration else None) for _, r in of]
        inside, before = [_pair(r.coverage) for _, r in of], [_pair(r.coverage_before) for _, r in of]
        how = {"color": CYCLE[number], "marker": MARKERS[number]}
        aside = iterations + 0.04 * (number - 1.5)
        _errorbar(factor_ax, iterations, factors, label=f"{quantity}, {target}", **how)
        _errorbar(coverage_ax, aside, inside, linestyle="none", **how)
        _errorbar(coverage_ax, aside, before, linestyle="none", fillstyle="none", **how)
        lowest = min([lowest, *(value for value, _ in (*inside, *before) if value is not None)])
        rows += [
            (i, target, quantity, r.n_frames, *f, *c, *b)
            for (i, r), f, c, b in zip(of, factors, inside, before, strict=True)
        ]
    factor_ax.axhline(1.0, color=GREY, linewidth=0.8, zorder=0)
    factor_ax.set_ylabel("RMS error / RMS deviation")
    factor_ax.set_ylim(bottom=0)
    coverage_ax.axhline(0.9, color=GREY, linewidth=0.8, zorder=0)
    coverage_ax.set_ylabel("coverage of 90 % intervals")
    coverage_ax.set_ylim(max(0.0, lowest - 0.08), 1.03)
    for ax in axes[0]:
        ax.set_xlabel("iteration")
        ax.margins(x=0.08)
        integer_ticks(ax, "x")
    factor_ax.legend(loc="upper right")
    columns = (
        *("iteration", "target", "quantity", "n_frames", "factor", "factor_error", "coverage", "coverage_error"),
        *("coverage_before", "coverage_before_error"),
    )
    return ReportFigure(
        "calibration_drift",
        "Calibration over the iterations. Left: the factor by which errors exceed deviations. Right: coverage of the "
        "stated 90 % intervals; filled: calibrated on other frames of the same iteration, open: calibrated in the "
        "iteration before.",
        f"Two line charts over {len({c.iteration for c in calibrations})} iterations: calibration factor, and coverage "
        "of 90 % intervals.",
        figure,
        (NumberTable("calibration_drift", columns, rows),),
        wide=True,
    )


def pooled_samples(data: IterationCalibration) -> list[NamedSample]:
    """Samples of all groups and loadings together, one per quantity."""
    return [s for s in data.samples if s.group == ALL and s.n_h2 is None]


def _draw_points(
    ax: Axes, named: NamedSample, data: IterationCalibration, points: list[tuple[Cell, ...]], head: tuple[Cell, ...]
) -> tuple[float, float]:
    """Scatter the parts of one quantity and the RMS of bins; returns the limits of the deviations, as in the files."""
    shown = SHOWN[named.quantity]
    pooled = named.sample.finite()
    x_low, x_high = _limits(pooled.deviation)
    y_low, y_high = _limits(np.abs(pooled.error))
    parts = _parts(named, data)
    for (label, members), colour, marker in zip(parts, shades(len(parts)), MARKERS * 3, strict=False):
        for part in members:
            sample = part.sample.finite()
            keep = thin(sample.error, max(1, MOST_SHOWN * sample.error.size // max(1, pooled.error.size)))
            x = np.clip(sample.deviation[keep], x_low, x_high)
            y = np.clip(np.abs(sample.error[keep]), y_low, y_high)
            first = label if part is members[0] else None
            ax.plot(
                shown.scale * x, shown.scale * y, marker, color=colour, label=first, alpha=0.5, markersize=2.5, mew=0,
                rasterized=True,
            )  # fmt: skip
            points += [(*head, part.group, part.n_h2, float(sample.deviation[i]), float(sample.error[i])) for i in keep]
    deviations, errors = _bins(pooled.deviation, pooled.error)
    ax.plot(
        shown.scale * deviations, shown.scale * errors, "s", color=BLACK, markersize=3.5, label="RMS of like points"
    )
    ax.plot(shown.scale * np.array([x_low, x_high]), shown.scale * np.array([x_low, x_high]), ":", color=GREY)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(shown.scale * x_low, shown.scale * x_high)
    ax.set_ylim(shown.scale * y_low, shown.scale * y_high)
    plain_log_x(ax)
    plain_log_ticks(ax)
    return x_low, x_high


def _parts(named: NamedSample, data: IterationCalibration) -> list[tuple[str, list[NamedSample]]]:
    """What is coloured apart: groups of atoms for forces, loadings for insertions, all as one for the largest force."""
    if named.quantity == "force":
        groups = [s for s in data.samples if s.quantity == "force" and s.group in GROUPS[:-1]]
        return [(s.group, [s]) for s in groups] or [("all", [named])]
    loadings = [s for s in data.samples if s.quantity == named.quantity and s.n_h2 is not None]
    if not loadings:
        return [("frames", [named])]
    sets = loading_groups([s.n_h2 for s in loadings if s.n_h2 is not None])
    return [(group_label(group), [s for s in loadings if s.n_h2 in group]) for group in sets]


def _draw_line(
    ax: Axes, calibration: Calibration, shown: Shown, limits: tuple[float, float]
) -> list[tuple[float, float, float | None]]:
    x = np.geomspace(*limits, 60)
    sigma, half_width = calibration.sigma(x), calibration.half_width(x)
    known = np.isfinite(half_width).all()
    if known:
        ax.fill_between(shown.scale * x, 1e-12, shown.scale * half_width, color=BLUE, alpha=0.1, linewidth=0, zorder=0)
    ax.plot(shown.scale * x, shown.scale * sigma, color=BLUE, label="calibrated RMS error")
    return [(float(a), float(s), float(h) if known else None) for a, s, h in zip(x, sigma, half_width, strict=True)]


def _bins(deviation: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """RMS deviation and RMS error of bins of equal counts."""
    order = np.argsort(deviation, kind="stable")
    parts = np.array_split(order, min(BINS, max(1, order.size // 5)))
    rms = [(np.sqrt(np.mean(deviation[p] ** 2)), np.sqrt(np.mean(error[p] ** 2))) for p in parts]
    return np.array([x for x, _ in rms]), np.array([y for _, y in rms])


def _limits(values: np.ndarray) -> tuple[float, float]:
    """Limits of a logarithmic axis: two and a half decades below the largest value at most."""
    high = float(values.max()) if values.size and values.max() > 0 else 1.0
    positive = values[values > 0]
    low = float(np.quantile(positive, 0.02)) if positive.size else high / 10
    return max(min(low, high / 10) / 1.3, high / 300), 1.5 * high


def _pair(coverage: Coverage | None) -> tuple[float | None, float | None]:
    return (None, None) if coverage is None else (coverage.fraction, coverage.error)


def _errorbar(
    ax: Axes, x: np.ndarray, values: Sequence[tuple[float | None, float | None]], *, linestyle: str = "-", **how: object
) -> None:
    y = np.array([np.nan if v is None else v for v, _ in values], dtype=float)
    error = np.array([np.nan if e is None else e for _, e in values], dtype=float)
    if np.isfinite(y).any():
        ax.errorbar(x, y, yerr=error, linestyle=linestyle, **how)  # type: ignore[arg-type]

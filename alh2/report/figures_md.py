"""Figures of production MD: radial distributions, MSD and Arrhenius, deviation over time; projected densities."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from alh2.analysis.density import DensityGrid
from alh2.core.files import read_json
from alh2.core.nuclei import CLASSICAL_WORDS
from alh2.production.md_analysis import RESULT_FILE, MdAnalysis
from alh2.production.md_plan import MdPlan
from alh2.report.figures_common import (
    COLUMN_IN,
    CYCLE,
    GREY,
    PAGE_IN,
    Cell,
    NumberTable,
    ReportFigure,
    new_figure,
    style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def rdf_figures(analysis: MdAnalysis, beside: Sequence[Path] = ()) -> list[ReportFigure]:
    """One figure per kind of pair, a curve per temperature with one standard error.

    beside : folders of other runs, whose curves of the same pairs (tables of their figures) are drawn dashed; the
        legend then says how nuclei were treated
    """
    figures = []
    for kind in dict.fromkeys(name for result in analysis.temperatures for name in result.rdfs):
        rows: list[tuple[Cell, ...]] = []
        name = "rdf_" + "".join(c if c.isalnum() else "_" for c in kind.replace("–", "_"))
        nuclei = f", {analysis.nuclei}" if beside or analysis.nuclei != CLASSICAL_WORDS else ""
        with style():
            figure, axes = new_figure(COLUMN_IN, 2.6)
            ax = axes[0, 0]
            for result, colour in zip(analysis.temperatures, _colours(len(analysis.temperatures)), strict=True):
                rdf = result.rdfs[kind]
                error = np.nan_to_num(rdf.g_error)
                ax.fill_between(rdf.r_ang, rdf.g - error, rdf.g + error, color=colour, alpha=0.25, linewidth=0)
                ax.plot(rdf.r_ang, rdf.g, color=colour, label=f"{result.temperature_k:g} K{nuclei}")
                for r, g, e in zip(rdf.r_ang, rdf.g, rdf.g_error, strict=True):
                    rows.append((result.temperature_k, float(r), float(g), None if math.isnan(e) else float(e)))
            for folder in beside:
                _draw_beside(ax, folder, name)
            ax.set_xlabel(f"{kind.replace('H2', 'H₂')} distance (Å)")
            ax.set_ylabel("g(r)")
            ax.set_ylim(bottom=0)
            ax.legend(loc="best")
        words = f"Radial distribution {kind} (centres of mass); bands: one standard error over replicas or blocks."
        table = NumberTable(name, ("temperature_k", "r_ang", "g", "error"), rows)
        figures.append(ReportFigure(name, words, f"g(r) of {kind} against distance.", figure, (table,)))
    return figures


def _draw_beside(ax: Axes, folder: Path, name: str) -> None:
    """Dashed curves of the table `name` in `folder`, none where there is no such table."""
    table = folder / f"{name}.figure.csv"
    if not table.exists():
        return
    known = read_json(folder / RESULT_FILE)
    nuclei = known.get("nuclei", CLASSICAL_WORDS) if isinstance(known, dict) else CLASSICAL_WORDS
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    temperatures = list(dict.fromkeys(row["temperature_k"] for row in rows))
    for temperature, colour in zip(temperatures, _colours(len(temperatures)), strict=True):
        points = [(float(row["r_ang"]), float(row["g"])) for row in rows if row["temperature_k"] == temperature]
        r, g = np.array(points).T
        ax.plot(r, g, color=colour, linestyle="--", linewidth=0.9, label=f"{float(temperature):g} K, {nuclei}")


def diffusion_figure(analysis: MdAnalysis) -> ReportFigure | None:
    """MSD against time on logarithmic axes, and D_s against 1/T with the line; None where there is no MSD."""
    moved = [result for result in analysis.temperatures if result.displacement is not None]
    if not moved:
        return None
    msd_rows: list[tuple[Cell, ...]] = []
    with style():
        figure, axes = new_figure(PAGE_IN, 2.7, columns=2)
        left, right = axes[0]
        for result, colour in zip(moved, _colours(len(moved)), strict=True):
            d = result.displacement
            assert d is not None
            left.errorbar(d.time_ps, d.msd_ang2, yerr=d.error_ang2, color=colour, label=f"{result.temperature_k:g} K")
            if d.linear_from_ps is not None:
                left.axvline(d.linear_from_ps, color=colour, linestyle=":", linewidth=0.8)
            msd_rows += [
                (result.temperature_k, float(t), float(m), float(e))
                for t, m, e in zip(d.time_ps, d.msd_ang2, d.error_ang2, strict=True)
            ]
        left.set_xscale("log")
        left.set_yscale("log")
        for axis in (left.xaxis, left.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:g}")
            axis.set_minor_formatter(lambda value, _: "")
        left.set_xlabel("time (ps)")
        left.set_ylabel("MSD (Å²)")
        left.legend(loc="best")
        rows = _arrhenius(right, analysis)
    tables = (
        NumberTable("msd", ("temperature_k", "time_ps", "msd_ang2", "error"), msd_rows),
        NumberTable("diffusion", ("temperature_k", "d_m2_s", "standard_deviation", "low_95", "high_95"), rows),
    )
    words = "Left: mean squared displacement of H₂; dotted: from where it is linear. Right: D_s, 95 % intervals."
    alt = "MSD against time on logarithmic axes, and the logarithm of D_s against 1000/T."
    return ReportFigure("diffusion", words, alt, figure, tables, wide=True)


def _arrhenius(ax: Axes, analysis: MdAnalysis) -> list[tuple[Cell, ...]]:
    found = [(r.temperature_k, r.diffusion) for r in analysis.temperatures if r.diffusion is not None]
    if not found:
        ax.text(0.5, 0.5, "no diffusive regime", transform=ax.transAxes, ha="center", va="center")
        ax.set_axis_off()
        return []
    t = np.array([temperature for temperature, _ in found])
    mean = np.array([d.mean for _, d in found])
    bars = np.array([(d.mean - d.low, d.high - d.mean) for _, d in found]).T
    ax.errorbar(1000.0 / t, mean, yerr=np.maximum(bars, 0.0), fmt="o", color=CYCLE[0])
    line = analysis.arrhenius
    if line is not None:
        label = f"E = {line.activation_kj_per_mol:.2f} ± {line.activation_error_kj_per_mol:.2g} kJ/mol"
        values = np.exp(line.log_prefactor - line.activation_kj_per_mol / (8.31446261815324e-3 * t))
        order = np.argsort(t)
        ax.plot(1000.0 / t[order], values[order], color=GREY, label=label)
        ax.legend(loc="best")
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:.1e}")
    ax.yaxis.set_minor_formatter(lambda value, _: "")
    ax.set_xlabel("1000 K / T")
    ax.set_ylabel("D_s (m²/s)")
    return [(temperature, d.mean, d.standard_deviation, d.low, d.high) for temperature, d in found]


def deviation_figure(plan: MdPlan, analysis: MdAnalysis) -> ReportFigure | None:
    """Largest force deviation of the committee over time; None where none was asked."""
    rows: list[tuple[Cell, ...]] = []
    runs = [run for result in analysis.temperatures for run in result.runs]
    if not any(np.isfinite(run.deviations_ev_ang).any() for run in runs if run.deviations_ev_ang):
        return None
    with style():
        figure, axes = new_figure(COLUMN_IN, 2.4)
        ax = axes[0, 0]
        for run, colour in zip(runs, _colours(len(runs)), strict=True):
            time_ps = plan.dt_ps * np.array(run.steps)
            ax.plot(time_ps, run.deviations_ev_ang, color=colour, linewidth=0.8, label=run.name)
            rows += [(run.name, float(t), v) for t, v in zip(time_ps, run.deviations_ev_ang, strict=True)]
        if plan.trusted_ev_ang is not None:
            ax.axhline(plan.trusted_ev_ang, color="black", linestyle="--", linewidth=0.8, label="trusted below")
        ax.set_xlabel("time (ps)")
        ax.set_ylabel("largest force deviation (eV/Å)")
        ax.set_ylim(bottom=0)
        ax.legend(loc="best")
    words = "Committee force deviation during production MD, of the atom on which it is largest."
    table = NumberTable("deviation", ("run", "time_ps", "max_devi_f_ev_ang"), rows)
    return ReportFigure("deviation", words, "Force deviation against time.", figure, (table,))


def density_figure(grid: DensityGrid, name: str, words: str) -> ReportFigure:
    """The density integrated along each cell vector, side by side on one scale."""
    projected = [grid.projected_per_ang2(axis) for axis in range(3)]
    highest = max(float(p.max()) for p in projected) or 1.0
    rows: list[tuple[Cell, ...]] = []
    with style():
        figure, axes = new_figure(PAGE_IN, 2.5, columns=3)
        for axis, values in enumerate(projected):
            ax = axes[0, axis]
            across, up = (k for k in range(3) if k != axis)
            lengths = np.linalg.norm(grid.cell_ang, axis=1)
            extent = (0.0, float(lengths[across]), 0.0, float(lengths[up]))
            shown = ax.imshow(values.T, origin="lower", extent=extent, cmap="viridis", vmin=0.0, vmax=highest)
            ax.set_xlabel(f"along {'abc'[across]} (Å)")
            ax.set_ylabel(f"along {'abc'[up]} (Å)")
            rows += [("abc"[axis], int(i), int(j), float(v)) for (i, j), v in np.ndenumerate(values) if v]
        figure.colorbar(shown, ax=list(axes[0]), label="H₂ (1/Å²)", shrink=0.8)
    table = NumberTable(name, ("along", "i", "j", "h2_per_ang2"), rows)
    alt = f"Three maps of the density of H₂ centres, highest {highest:.3g} per Å²."
    return ReportFigure(name, words, alt, figure, (table,), wide=True)


def _colours(n: int) -> list[str]:
    return [CYCLE[i % len(CYCLE)] for i in range(n)]

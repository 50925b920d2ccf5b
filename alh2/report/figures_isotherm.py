"""Isotherms of one calculation beside measured ones, and isosteric heats."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from alh2.core.nuclei import CLASSICAL_WORDS
from alh2.production.isotherm_result import Isotherm, interval_words
from alh2.production.measured import MeasuredIsotherm
from alh2.report.figures_common import (
    COLUMN_IN,
    CYCLE,
    GREY,
    MARKERS,
    Cell,
    NumberTable,
    ReportFigure,
    new_figure,
    style,
)
from alh2.report.figures_selection import plain_log_x

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WRAP = 62
"""Characters in a line of the legend."""
_LINE_IN = 0.13
"""Height of one line of a legend below a figure."""


def comparison_figure(
    isotherm: Isotherm,
    measured: Sequence[MeasuredIsotherm] = (),
    *,
    unit: str = "wt%",
    beside: Sequence[Isotherm] = (),
) -> ReportFigure:
    """Loading against pressure in `unit`: computed points with 95 % intervals, measured ones with their origin.

    The legend, below the axes, names material, temperature, kind of amount and source of every curve.
    beside : other computed isotherms, drawn with open symbols; all names then say how nuclei were treated
    """
    labels = [textwrap.fill(curve.label, WRAP) for curve in measured]
    computed = [isotherm, *beside]
    n_curves = sum(len(each.temperatures_k) * (1 if each.void is None else 2) for each in computed) + len(measured)
    n_lines = n_curves - len(measured) + sum(label.count("\n") + 1 for label in labels)
    if len(computed) > 1 or isotherm.host.nuclei != CLASSICAL_WORDS:
        n_lines += n_curves - len(measured)  # their names take two lines
    with style():
        figure, axes = new_figure(COLUMN_IN, 2.7 + _LINE_IN * n_lines)
        ax = axes[0, 0]
        rows = [row for k in range(len(computed)) for row in _computed(ax, computed, k, unit)]
        rows += _measured(ax, isotherm, measured, unit)
        ax.set_xscale("log")
        plain_log_x(ax)
        ax.set_ylim(bottom=0)
        ax.set_xlabel("pressure (bar)")
        ax.set_ylabel(f"H₂ loading ({unit})")
        figure.legend(loc="outside lower left", ncols=1)
    columns = ("curve", "source", "temperature_k", "pressure_bar", f"loading_{unit}", "half_width_95")
    words = f"Adsorption isotherm of H₂ in {isotherm.host.host_id or isotherm.host.formula}, bars: 95 % intervals."
    words += " " + interval_words(isotherm)
    if measured:
        words += " Open symbols: from the literature, as named in the legend; wt% of files as the table says."
    alt = f"Loading in {unit} against pressure on a logarithmic axis, {n_curves} curves."
    return ReportFigure("isotherm", words, alt, figure, (NumberTable("isotherm", columns, rows),))


def heat_figure(isotherm: Isotherm, beside: Sequence[Isotherm] = ()) -> ReportFigure | None:
    """Isosteric heat against loading: fluctuations, Clausius–Clapeyron, infinite dilution; None where none is known.

    beside : other computed isotherms; all names then say how nuclei were treated
    """
    series: list[tuple[str, list[tuple[float, float, float]]]] = []
    for each in (isotherm, *beside):
        nuclei = f", {each.host.nuclei}" if beside or each.host.nuclei != CLASSICAL_WORDS else ""
        series += [(textwrap.fill(name + nuclei, WRAP), values) for name, values in _heats(each)]
    drawn = [(name, np.array(values)) for name, values in series if values]
    if not drawn:
        return None
    with style():
        figure, axes = new_figure(COLUMN_IN, 2.6)
        ax = axes[0, 0]
        for number, (name, table) in enumerate(drawn):
            ax.errorbar(
                table[:, 0],
                table[:, 1],
                yerr=np.nan_to_num(table[:, 2]),
                marker=MARKERS[number % len(MARKERS)],
                color=CYCLE[number % len(CYCLE)],
                linestyle="none",
                label=name,
            )
        ax.set_xlabel("H₂ per cell")
        ax.set_ylabel("isosteric heat (kJ/mol)")
        ax.legend(loc="best")
    rows: list[tuple[Cell, ...]] = [(name, *map(float, row)) for name, table in drawn for row in table]
    numbers = NumberTable("isosteric_heat", ("method", "n_h2", "heat_kj_per_mol", "error"), rows)
    words = "Isosteric heat of adsorption against loading; bars: one standard error."
    alt = f"Isosteric heat in kJ/mol against molecules per cell by {len(drawn)} methods and temperatures."
    return ReportFigure("isosteric_heat", words, alt, figure, (numbers,))


def _heats(isotherm: Isotherm) -> list[tuple[str, list[tuple[float, float, float]]]]:
    """Name, and (loading, heat, error) of each series."""
    series: list[tuple[str, list[tuple[float, float, float]]]] = []
    for temperature_k in isotherm.temperatures_k:
        known = [p for p in isotherm.at(temperature_k) if math.isfinite(p.heat_kj_per_mol)]
        values = [(p.n_absolute, p.heat_kj_per_mol, p.heat_error_kj_per_mol) for p in known]
        series.append((f"fluctuations, {temperature_k:g} K", values))
    for h in isotherm.henry:
        series.append((f"Widom, {h.temperature_k:g} K", [(0.0, h.heat_kj_per_mol, h.heat_error_kj_per_mol)]))
    clapeyron = [(c.n_molecules, c.heat_kj_per_mol, c.error_kj_per_mol) for c in isotherm.clausius_clapeyron]
    return [*series, ("Clausius–Clapeyron", clapeyron)]


def _computed(ax: Axes, computed: Sequence[Isotherm], which: int, unit: str) -> list[tuple[Cell, ...]]:
    """Draw number `which` of all computed isotherms; those after the first with open symbols."""
    rows: list[tuple[Cell, ...]] = []
    isotherm = computed[which]
    says_nuclei = len(computed) > 1 or isotherm.host.nuclei != CLASSICAL_WORDS
    nuclei = f", {isotherm.host.nuclei}" if says_nuclei else ""
    for number, temperature_k in enumerate(isotherm.temperatures_k):
        points = isotherm.at(temperature_k)
        pressures = [p.pressure_bar for p in points]
        for amount in ("absolute", "excess"):
            pairs = [
                (p.n_absolute, p.half_width_95) if amount == "absolute" else (p.n_excess, p.excess_half_width_95)
                for p in points
            ]
            if all(math.isnan(n) for n, _ in pairs):
                continue
            loadings = [isotherm.loading(n, unit) for n, _ in pairs]
            errors = [isotherm.loading_error(n, e, unit) for n, e in pairs]
            name = f"computed here, {isotherm.host.host_id}, {temperature_k:g} K, {amount}{nuclei}"
            colour = CYCLE[number % len(CYCLE)]
            ax.errorbar(
                pressures,
                loadings,
                yerr=np.nan_to_num(errors),
                color=colour,
                marker=MARKERS[(number + which) % len(MARKERS)],
                mfc="white" if which else colour,
                linestyle="-" if amount == "absolute" else ":",
                linewidth=0.9,
                label=textwrap.fill(name, WRAP),
            )
            source = isotherm.host.potential
            rows += [
                (name, source, temperature_k, p, n, None if math.isnan(e) else e)
                for p, n, e in zip(pressures, loadings, errors, strict=True)
            ]
    return rows


def _measured(ax: Axes, isotherm: Isotherm, measured: Sequence[MeasuredIsotherm], unit: str) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    for number, curve in enumerate(measured):
        per_cell = curve.loading_mol_per_kg * isotherm.host.mass_amu / 1000.0
        loadings = [isotherm.loading(float(n), unit) for n in per_cell]
        ax.plot(
            curve.pressure_bar,
            loadings,
            linestyle="none",
            marker=MARKERS[number % len(MARKERS)],
            markerfacecolor="none",
            color=GREY if number == 0 else CYCLE[-1 - number % len(CYCLE)],
            label=textwrap.fill(curve.label, WRAP),
        )
        source = f"{curve.source} ({curve.path.name}: {curve.units})"
        rows += [
            (curve.label, source, curve.temperature_k, float(p), n, None)
            for p, n in zip(curve.pressure_bar, loadings, strict=True)
        ]
    return rows

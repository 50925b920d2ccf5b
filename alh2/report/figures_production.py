"""Figures of what decides and what is predicted: insertion energies, Al(open)–H2 distribution, isotherm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from alh2.core.frames import Target
from alh2.report.figures_common import (
    BLUE,
    COLUMN_IN,
    CYCLE,
    GREEN,
    GREY,
    MARKERS,
    VERMILLION,
    NumberTable,
    ReportFigure,
    h2,
    identity_line,
    integer_ticks,
    kt_ev,
    new_figure,
    rmse,
    shades,
    short,
)
from alh2.report.figures_selection import group_label, loading_groups, plain_log_x
from alh2.report.model import InsertionErrors, IsothermPoint, Rdf

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAPER_PEAK_ANG = 2.73
"""First Al–H2 peak of MD with the DP of Liu et al., Chem. Sci. 2024, 15, 5294."""

GFN1_PEAK_ANG = 2.69
"""Al–H2 distance of GFN1-xTB on the relaxed node (0 K)."""

ERROR_BAR: dict[str, Any] = {"linestyle": "none", "markersize": 3.5, "elinewidth": 0.6, "capsize": 0, "mew": 0}


def latest_insertions(insertions: Sequence[InsertionErrors], target: Target) -> InsertionErrors | None:
    """The newest held-out insertions of `target`, None where there are none."""
    chosen = [e for e in insertions if e.target == target and e.label_ev.size]
    return max(chosen, key=lambda e: e.iteration, default=None)


def insertion_parity_figure(errors: InsertionErrors, temperature_k: float) -> ReportFigure:
    """Predicted against labelled insertion energies of one iteration, with committee spread as error bars."""
    figure, axes = new_figure(COLUMN_IN, 3.4)
    draw_insertion_parity(axes[0, 0], errors, temperature_k)
    columns = ("iteration", "target", "n_h2", "label_ev", "model_ev", "spread_ev")
    rows = [
        (errors.iteration, errors.target, int(n), float(label), float(model), float(spread))
        for n, label, model, spread in zip(errors.n_h2, errors.label_ev, errors.model_ev, errors.spread_ev, strict=True)
    ]
    name = f"insertion_parity_{errors.target}"
    return ReportFigure(
        name,
        f"Insertion energies E(N+1) − E(N) − E(H₂ gas) of the {errors.target}-energy committee on held-out frames, "
        f"iteration {errors.iteration}. Bars: committee standard deviation; grey: ± kT at {temperature_k:g} K.",
        f"Scatter plot of {errors.label_ev.size} predicted against labelled insertion energies in meV with the "
        f"diagonal; RMSE {1000 * rmse(errors.model_ev - errors.label_ev):.3g} meV.",
        figure,
        (NumberTable(name, columns, rows),),
    )


def draw_insertion_parity(ax: Axes, errors: InsertionErrors, temperature_k: float) -> None:
    """Parity of insertion energies in meV, coloured by loading, with a band of ± kT."""
    from matplotlib.ticker import MaxNLocator

    label, model, spread = 1000 * errors.label_ev, 1000 * errors.model_ev, 1000 * errors.spread_ev
    groups = loading_groups([int(n) for n in errors.n_h2])
    for number, (group, colour) in enumerate(zip(groups, shades(len(groups)), strict=True)):
        of = np.isin(errors.n_h2, group)
        ax.errorbar(
            label[of],
            model[of],
            yerr=spread[of],
            marker=MARKERS[number % len(MARKERS)],
            color=colour,
            alpha=0.8,
            label=group_label(group),
            **ERROR_BAR,
        )
    limits = np.array(identity_line(ax, [label, model]))
    kt = 1000 * kt_ev(temperature_k)
    ax.fill_between(limits, limits - kt, limits + kt, color="0.85", zorder=0, linewidth=0)
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.set_xlabel("labelled insertion energy (meV)")
    ax.set_ylabel("predicted insertion energy (meV)")
    difference = model - label
    ax.text(
        0.97,
        0.03,
        f"RMSE {rmse(difference):.1f} meV\nmean {np.mean(difference):+.1f} meV".replace("-", "−"),
        transform=ax.transAxes,
        ha="right",
        va="bottom",
    )
    ax.legend(loc="upper left", title="loading before", title_fontsize="small")


def insertion_loading_figure(errors: InsertionErrors, temperature_k: float) -> ReportFigure:
    """RMSE, mean error and committee spread of the insertion energy against loading, with the band of ± kT."""
    figure, axes = new_figure(COLUMN_IN, 2.6)
    ax = axes[0, 0]
    rows = insertion_by_loading(errors)
    loadings = np.array([row[0] for row in rows], dtype=float)
    values = 1000 * np.array([row[2:] for row in rows], dtype=float)
    kt = 1000 * kt_ev(temperature_k)
    ax.axhspan(-kt, kt, color="0.88", zorder=0, linewidth=0)
    ax.axhline(0, color=GREY, linewidth=0.7, zorder=0)
    ax.plot(loadings, values[:, 0], "o-", color=BLUE, label="RMSE")
    ax.plot(loadings, values[:, 3], "s-", color=GREEN, label="committee spread (mean)")
    ax.errorbar(loadings, values[:, 1], yerr=values[:, 2], fmt="^-", color=VERMILLION, label="mean error ± s.e.")
    ax.set_xlabel("H₂ in the cell before insertion")
    ax.set_ylabel("insertion-energy error (meV)")
    integer_ticks(ax, "x")
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.35 * (high - low))
    ax.legend(loc="upper left", ncols=2, columnspacing=1.0, title=f"grey: ± kT = {kt:.1f} meV", title_fontsize="small")
    name = f"insertion_loading_{errors.target}"
    columns = ("n_h2", "n", "rmse_ev", "mean_ev", "mean_error_ev", "spread_ev")
    return ReportFigure(
        name,
        f"Insertion-energy error of the {errors.target}-energy committee per loading, iteration {errors.iteration}. "
        f"Grey: ± kT at {temperature_k:g} K ({kt:.1f} meV).",
        f"Line chart of RMSE, mean error and committee spread in meV against {len(rows)} loadings; RMSE between "
        f"{values[:, 0].min():.3g} and {values[:, 0].max():.3g} meV.",
        figure,
        (NumberTable(name, columns, rows),),
    )


def insertion_by_loading(errors: InsertionErrors) -> list[tuple[int, int, float, float, float | None, float]]:
    """Per loading: N, count, RMSE, mean error, its standard error (None for one value), mean spread; eV."""
    rows: list[tuple[int, int, float, float, float | None, float]] = []
    for n in np.unique(errors.n_h2):
        of = errors.n_h2 == n
        difference = errors.model_ev[of] - errors.label_ev[of]
        count = difference.size
        error = float(difference.std(ddof=1) / np.sqrt(count)) if count > 1 else None
        spread = float(np.mean(errors.spread_ev[of]))
        rows.append((int(n), count, rmse(difference), float(difference.mean()), error, spread))
    return rows


def rdf_figure(rdfs: Sequence[Rdf]) -> ReportFigure:
    """Al(open)–H2 centre-of-mass distributions with one standard error."""
    figure, axes = new_figure(COLUMN_IN, 2.6)
    draw_rdf(axes[0, 0], rdfs)
    columns = ("label", "temperature_k", "r_ang", "g", "g_error")
    rows = [
        (rdf.label, rdf.temperature_k, float(r), float(g), float(error))
        for rdf in rdfs
        for r, g, error in zip(rdf.r_ang, rdf.g, rdf.g_error, strict=True)
    ]
    tops = ", ".join(f"{float(rdf.r_ang[np.argmax(rdf.g)]):.2f} Å ({rdf.label})" for rdf in rdfs if rdf.g.size)
    return ReportFigure(
        "rdf",
        "Radial distribution of H₂ centres of mass around open Al sites, relative to the mean H₂ density of the "
        f"cell; bands: ± one standard error. Dashed: {PAPER_PEAK_ANG} Å (first peak in Liu et al. 2024, DFT-based); "
        f"dotted: {GFN1_PEAK_ANG} Å (GFN1-xTB minimum).",
        f"Line chart of the Al–H₂ radial distribution function against distance; highest point at {tops}.",
        figure,
        (NumberTable("rdf", columns, rows),),
    )


def draw_rdf(ax: Axes, rdfs: Sequence[Rdf]) -> None:
    """Distributions with error bands and the two reference distances."""
    for rdf, colour in zip(rdfs, CYCLE * (1 + len(rdfs) // len(CYCLE)), strict=False):
        error = np.nan_to_num(rdf.g_error)
        ax.fill_between(rdf.r_ang, rdf.g - error, rdf.g + error, color=colour, alpha=0.25, linewidth=0)
        ax.plot(rdf.r_ang, rdf.g, color=colour, label=f"{short(rdf.label)}, {rdf.temperature_k:g} K")
    ax.axvline(PAPER_PEAK_ANG, color="black", linestyle="--", linewidth=0.8, label=f"{PAPER_PEAK_ANG} Å, Liu 2024")
    ax.axvline(GFN1_PEAK_ANG, color="black", linestyle=":", linewidth=0.8, label=f"{GFN1_PEAK_ANG} Å, GFN1-xTB")
    ax.set_xlabel("Al(open)–H₂ distance (Å)")
    ax.set_ylabel("g(r)")
    ax.set_ylim(bottom=0)
    ax.set_xlim(left=0)
    ax.legend(loc="upper right")


def isotherm_series(points: Sequence[IsothermPoint]) -> list[tuple[float, int, list[IsothermPoint]]]:
    """Points grouped as (temperature, initial loading, points by pressure), classical nuclei first."""
    groups: dict[tuple[float, str, int], list[IsothermPoint]] = {}
    for p in sorted(points, key=lambda p: p.pressure_bar):
        groups.setdefault((p.temperature_k, p.nuclei, p.n_initial), []).append(p)
    return [(t, n, group) for (t, _, n), group in sorted(groups.items(), key=lambda item: item[0])]


def start_words(n_initial: int) -> str:
    """How a run began."""
    return "started empty" if n_initial == 0 else f"started with {h2(n_initial)}"


def isotherm_figure(points: Sequence[IsothermPoint]) -> ReportFigure:
    """Adsorbed molecules against pressure, one series per temperature and start."""
    figure, axes = new_figure(COLUMN_IN, 2.6)
    draw_isotherm(axes[0, 0], points)
    columns = (
        "temperature_k",
        "pressure_bar",
        "fugacity_bar",
        "n_initial",
        "n_adsorbed",
        "n_adsorbed_error",
        "insertion_acceptance",
        "nuclei",
    )
    rows = [
        (
            p.temperature_k,
            p.pressure_bar,
            p.fugacity_bar,
            p.n_initial,
            p.n_adsorbed,
            p.n_adsorbed_error,
            p.insertion_acceptance,
            p.nuclei,
        )
        for p in points
    ]
    pressures = [p.pressure_bar for p in points]
    return ReportFigure(
        "isotherm",
        "Adsorption isotherm from grand-canonical Monte Carlo with the final committee. Bars: one standard error. "
        "Runs started empty and started loaded must agree; where they do not, neither has reached equilibrium.",
        f"Adsorbed H₂ per cell against pressure from {min(pressures):g} to {max(pressures):g} bar on a logarithmic "
        f"axis, {len(isotherm_series(points))} series.",
        figure,
        (NumberTable("isotherm", columns, rows),),
    )


def draw_isotherm(ax: Axes, points: Sequence[IsothermPoint]) -> None:
    """Series with error bars on a logarithmic pressure axis; open markers for runs started loaded."""
    series = isotherm_series(points)
    temperatures = sorted({t for t, _, _ in series})
    nuclei = {p.nuclei for p in points}
    for number, (temperature, n_initial, chosen) in enumerate(series):
        head = f"{temperature:g} K, " if len(temperatures) > 1 else ""
        colour = CYCLE[number % len(CYCLE)]
        ax.errorbar(
            [p.pressure_bar for p in chosen],
            [p.n_adsorbed for p in chosen],
            yerr=[np.nan_to_num(p.n_adsorbed_error) for p in chosen],
            marker=MARKERS[number % len(MARKERS)],
            color=colour,
            mfc=colour if n_initial == 0 else "white",
            linestyle="-" if n_initial == 0 else "--",
            linewidth=0.8,
            label=head + start_words(n_initial) + (f", {chosen[0].nuclei.split(' (')[0]}" if len(nuclei) > 1 else ""),
        )
    ax.set_xscale("log")
    plain_log_x(ax)
    where = f" at {temperatures[0]:g} K" if len(temperatures) == 1 else ""
    ax.set_xlabel(f"pressure{where} (bar)")
    ax.set_ylabel("adsorbed H₂ per cell")
    ax.set_ylim(bottom=0)
    ax.legend(loc="best")

"""Figures of training and accuracy: learning curves, parity on held-out frames, history over iterations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from alh2.core.frames import Target
from alh2.report.figures_common import (
    BLUE,
    MARKERS,
    PAGE_IN,
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
    thin,
)
from alh2.report.model import IterationSummary, LearningCurve, Parity

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def targets(items: Sequence[LearningCurve] | Sequence[Parity]) -> list[Target]:
    """Targets present, "total" first."""
    present: list[Target] = ["total", "interaction"]
    return [target for target in present if any(item.target == target for item in items)]


def learning_figure(curves: Sequence[LearningCurve], target: Target) -> ReportFigure:
    """Training force and energy RMSE against step, one line per model, shaded by iteration."""
    chosen = [curve for curve in curves if curve.target == target]
    figure, axes = new_figure(PAGE_IN, 2.5, columns=2)
    draw_learning(axes[0, 0], chosen, quantity="force")
    draw_learning(axes[0, 1], chosen, quantity="energy")
    iterations = sorted({curve.iteration for curve in chosen})
    columns = ("iteration", "target", "model", "step", "rmse_force_ev_ang", "rmse_energy_ev_atom")
    rows = [
        (c.iteration, c.target, c.model, int(step), float(force), float(energy))
        for c in chosen
        for step, force, energy in zip(c.steps, c.rmse_force_ev_ang, c.rmse_energy_ev_atom, strict=True)
    ]
    last = [c for c in chosen if c.iteration == iterations[-1]]
    end = float(np.mean([tail_median(c.rmse_force_ev_ang) for c in last])) if last else float("nan")
    return ReportFigure(
        f"learning_{target}",
        f"Learning curves of the {target}-energy committee: RMSE on training batches (DeePMD lcurve.out). "
        "Bold: root mean square over all models and an eighth of the steps; faint: batches as recorded.",
        f"Two line charts with logarithmic axes, force and energy RMSE against training step, iterations "
        f"{iterations[0]} to {iterations[-1]}; the last iteration ends near {end:.3g} eV/Å.",
        figure,
        (NumberTable(f"learning_{target}", columns, rows),),
        wide=True,
    )


def draw_learning(ax: Axes, curves: Sequence[LearningCurve], *, quantity: str) -> None:
    """Curves of one target on `ax`; `quantity` is "force" (eV/Å) or "energy" (meV/atom)."""
    iterations = sorted({curve.iteration for curve in curves})
    colours = dict(zip(iterations, shades(len(iterations)), strict=True))
    shown: list[float] = []
    for iteration in iterations:
        steps, values = [], []
        for curve in curves:
            if curve.iteration == iteration:
                found = curve.rmse_force_ev_ang if quantity == "force" else 1000 * curve.rmse_energy_ev_atom
                steps.append(np.asarray(curve.steps, dtype=float))
                values.append(np.asarray(found, dtype=float))
                ax.plot(steps[-1] / 1000.0, values[-1], color=colours[iteration], linewidth=0.5, alpha=0.22)
        at, level = running_rms(np.concatenate(steps), np.concatenate(values))
        ax.plot(at / 1000.0, level, color=colours[iteration], label=f"iteration {iteration}")
        shown += [value for value in level.tolist() if value > 0.0 and np.isfinite(value)]
    ax.set_yscale("log")
    if shown:  # single batches go far below and above
        ax.set_ylim(min(shown) / 5.0, max(shown) * 5.0)
    ax.set_xlabel("training step (thousands)")
    ax.set_ylabel("force RMSE (eV/Å)" if quantity == "force" else "energy RMSE (meV/atom)")
    ax.margins(x=0.02)
    plain_log_ticks(ax)
    if quantity == "force":
        handles, labels = ax.get_legend_handles_labels()
        keep = range(len(handles)) if len(handles) <= 6 else (0, len(handles) // 2, len(handles) - 1)
        ax.legend([handles[i] for i in keep], [labels[i] for i in keep], loc="upper right")


def plain_log_ticks(ax: Axes) -> None:
    """Ticks 1, 2, 5 × 10^n of a logarithmic y axis as plain numbers: a short range keeps its labels."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def running_rms(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct `steps` (n,) and the root mean square of `values` (m,), at `steps` (m,), within an eighth of all around.

    A batch of one frame says little, and RMSEs of batches add up in squares.
    """
    at = np.unique(steps)
    half = float(np.ptp(at)) / 16.0 if at.size else 0.0
    level = [float(np.sqrt(np.mean(values[np.abs(steps - s) <= half] ** 2))) for s in at]
    return at, np.array(level)


def tail_median(values: np.ndarray) -> float:
    """Median of the last tenth of a curve: its final level without the noise of one batch."""
    return float(np.median(values[-max(1, len(values) // 10) :])) if len(values) else float("nan")


def latest(parities: Sequence[Parity], target: Target) -> list[Parity]:
    """Parities of the newest iteration of `target`, by loading."""
    chosen = [p for p in parities if p.target == target]
    newest = max((p.iteration for p in chosen), default=None)
    return sorted((p for p in chosen if p.iteration == newest), key=lambda p: (p.n_h2, p.system))


def parity_figure(parities: Sequence[Parity], target: Target) -> ReportFigure:
    """Energies (relative to the labels' mean of each composition) and forces of the newest iteration."""
    chosen = latest(parities, target)
    figure, axes = new_figure(PAGE_IN, 3.6, columns=2)
    energy_rows, force_rows = _draw_parity(axes[0, 0], axes[0, 1], chosen)
    for ax in axes[0]:
        ax.legend(loc="upper left", bbox_to_anchor=(0.0, -0.2), ncols=2, borderaxespad=0, handletextpad=0.3)
    columns = ("iteration", "target", "system", "n_h2")
    return ReportFigure(
        f"parity_{target}",
        f"Committee mean against labels on held-out frames, {target} energies, iteration {chosen[0].iteration}. "
        "Energies per cell, relative to the mean label of each composition; RMSE in the legend.",
        f"Two scatter plots of model against label with the diagonal, for {len(chosen)} compositions: relative "
        "energies in eV per cell and force components in eV/Å.",
        figure,
        (
            NumberTable(f"parity_{target}_energy", (*columns, "energy_label_ev", "energy_model_ev"), energy_rows),
            NumberTable(f"parity_{target}_force", (*columns, "force_label_ev_ang", "force_model_ev_ang"), force_rows),
        ),
        wide=True,
    )


Rows = list[tuple[str | int | float | None, ...]]


def _draw_parity(energy_ax: Axes, force_ax: Axes, chosen: Sequence[Parity]) -> tuple[Rows, Rows]:
    """Draw both panels; returns the rows of both tables."""
    energies, forces, points = [], [], []
    energy_rows: Rows = []
    force_rows: Rows = []
    for number, (parity, colour) in enumerate(zip(chosen, shades(len(chosen)), strict=True)):
        marker = MARKERS[number % len(MARKERS)]
        head = (parity.iteration, parity.target, parity.system, parity.n_h2)
        keep = thin(parity.energy_label_ev)
        label, model = parity.energy_label_ev, parity.energy_model_ev
        centre = float(np.mean(label)) if label.size else 0.0
        mev = 1000 * rmse(model - label)
        name = f"{h2(parity.n_h2)}: {mev:.0f} meV" if mev >= 10 else f"{h2(parity.n_h2)}: {mev:.1f} meV"
        energy_ax.plot(
            label[keep] - centre, model[keep] - centre, marker, color=colour, label=name, alpha=0.8, markersize=3, mew=0
        )
        energies += [label - centre, model - centre]
        energy_rows += [(*head, float(label[i]), float(model[i])) for i in keep]
        label, model = parity.force_label_ev_ang, parity.force_model_ev_ang
        keep = thin(label)
        name = f"{h2(parity.n_h2)}: {rmse(model - label):.3f} eV/Å"
        force_ax.plot([], [], "o", color=colour, label=name, markersize=3)
        points.append((label[keep], model[keep], colour))
        forces += [label, model]
        force_rows += [(*head, float(label[i]), float(model[i])) for i in keep]
    _scatter_mixed(force_ax, points)
    identity_line(energy_ax, energies)
    identity_line(force_ax, forces)
    energy_ax.set_xlabel("label energy, relative (eV/cell)")
    energy_ax.set_ylabel("model energy, relative (eV/cell)")
    force_ax.set_xlabel("label force component (eV/Å)")
    force_ax.set_ylabel("model force component (eV/Å)")
    return energy_rows, force_rows


def _scatter_mixed(ax: Axes, series: Sequence[tuple[np.ndarray, np.ndarray, str]]) -> None:
    """Points of all series in interleaved order, so that the last series does not cover the others."""
    order = np.argsort(np.concatenate([np.linspace(0, 1, len(x)) for x, _, _ in series]), kind="stable")
    x = np.concatenate([x for x, _, _ in series])[order]
    y = np.concatenate([y for _, y, _ in series])[order]
    colours = np.concatenate([np.full(len(x), colour) for x, _, colour in series])[order]
    ax.scatter(x, y, c=list(colours), s=2.5, alpha=0.6, linewidths=0, rasterized=True)


def zero_based(ax: Axes, series: Sequence[np.ndarray], *, headroom: float) -> None:
    """y axis from 0 to `headroom` times the largest finite value."""
    values = np.concatenate(series)
    values = values[np.isfinite(values)]
    ax.set_ylim(0, headroom * float(values.max()) if values.size and values.max() > 0 else 1.0)


def history_figure(iterations: Sequence[IterationSummary], temperature_k: float) -> ReportFigure:
    """Held-out force RMSE and insertion-energy errors against iteration."""
    figure, axes = new_figure(PAGE_IN, 2.3, columns=2)
    numbers = np.array([s.iteration for s in iterations])
    force_ax, insertion_ax = axes[0]
    force = np.array([np.nan if s.force_rmse_ev_ang is None else s.force_rmse_ev_ang for s in iterations], dtype=float)
    force_ax.plot(numbers, force, "o-", color=BLUE)
    force_ax.set_ylabel("held-out force RMSE (eV/Å)")
    zero_based(force_ax, [force], headroom=1.12)
    shown: list[np.ndarray] = []
    for name, colour, marker, values in (
        ("RMSE", BLUE, "o", [s.insertion_rmse_ev for s in iterations]),
        ("committee spread", VERMILLION, "s", [s.insertion_spread_ev for s in iterations]),
        (
            "|mean error|",
            "black",
            "^",
            [None if s.insertion_mean_ev is None else abs(s.insertion_mean_ev) for s in iterations],
        ),
    ):
        mev = np.array([np.nan if v is None else 1000 * v for v in values], dtype=float)
        shown.append(mev)
        insertion_ax.plot(numbers, mev, marker + "-", color=colour, label=name)
    kt = 1000 * kt_ev(temperature_k)
    insertion_ax.axhspan(0, kt, color="0.9", zorder=0)
    zero_based(insertion_ax, [*shown, np.array([kt])], headroom=1.35)
    insertion_ax.set_ylabel("insertion energy (meV)")
    insertion_ax.legend(
        loc="upper right", ncols=3, columnspacing=1.0, title=f"grey: below kT = {kt:.1f} meV", title_fontsize="small"
    )
    for ax in axes[0]:
        ax.set_xlabel("iteration")
        integer_ticks(ax, "x")
    columns = ("iteration", "force_rmse_ev_ang", "insertion_rmse_ev", "insertion_mean_ev", "insertion_spread_ev")
    rows = [
        (s.iteration, s.force_rmse_ev_ang, s.insertion_rmse_ev, s.insertion_mean_ev, s.insertion_spread_ev)
        for s in iterations
    ]
    return ReportFigure(
        "history",
        "Held-out errors over the iterations. Left: forces. Right: insertion energies, with kT in grey.",
        f"Two line charts over {len(iterations)} iterations: force RMSE, and RMSE, spread and mean error of the "
        "insertion energy.",
        figure,
        (NumberTable("history", columns, rows),),
        wide=True,
    )

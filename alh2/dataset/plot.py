"""Energy, largest force and temperature over time, as a PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from alh2.core.files import atomic_write_bytes
from alh2.dataset.systems import hill_formula
from alh2.dataset.timeline import Timeline

MAX_PLOTTED = 8


def plot_timelines(timelines: Sequence[Timeline], path: Path) -> None:
    """Write the plot of up to `MAX_PLOTTED` trajectories to `path`; held-out stretches are shaded."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = list(timelines)[:MAX_PLOTTED]
    figure = Figure(figsize=(4.2 * max(1, len(shown)), 6.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3, len(shown), sharex="col", squeeze=False)
    for column, timeline in enumerate(shown):
        times = timeline.times_ps
        x = np.arange(len(timeline.steps)) if times is None else times
        rows = (
            (1000.0 * (timeline.energies_ev_per_atom - timeline.energies_ev_per_atom.mean()), "E − mean, meV/atom"),
            (timeline.max_forces_ev_ang, "largest force, eV/Å"),
            (timeline.temperatures_k, "temperature, K"),
        )
        for axis, (values, label) in zip(axes[:, column], rows, strict=True):
            if np.all(np.isnan(values)):
                axis.text(0.5, 0.5, "no velocities in the file", ha="center", va="center", transform=axis.transAxes)
                axis.set_yticks([])
            else:
                axis.plot(x, values, lw=0.8, marker="." if len(x) < 60 else "", color="tab:blue")
            axis.set_ylabel(label)
            for start, stop in _stretches(sorted(timeline.held_out)):
                axis.axvspan(x[start], x[stop], color="tab:orange", alpha=0.25, lw=0)
        formula = hill_formula(timeline.steps[0].step.symbols)
        axes[0, column].set_title(f"{formula}\n{len(timeline.steps)} frames, held out shaded", fontsize=9)
        axes[-1, column].set_xlabel("kept frame" if times is None else "time, ps")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    atomic_write_bytes(path, buffer.getvalue())


def _stretches(indices: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of consecutive integers as (first, last)."""
    runs: list[tuple[int, int]] = []
    for index in indices:
        if runs and index == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], index)
        else:
            runs.append((index, index))
    return runs

"""Everything that lies beside ``md_runs.json``: figures, and densities where they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alh2.production.md_analysis import MdAnalysis
from alh2.production.md_density import md_density
from alh2.production.md_plan import MdPlan, MdRunsSetting
from alh2.report.figures_md import density_figure, deviation_figure, diffusion_figure, rdf_figures
from alh2.report.stored import save_figure


def save_md_files(
    plan: MdPlan, setting: MdRunsSetting, analysis: MdAnalysis, *, beside: Sequence[Path] = (), density: bool = False
) -> None:
    """Write them into the folder of `setting`; each file is replaced in one step.

    beside : folders of other runs whose distributions are drawn too; density : cube files and maps of the molecules
    """
    for figure in (*rdf_figures(analysis, beside), diffusion_figure(analysis), deviation_figure(plan, analysis)):
        if figure is not None:
            save_figure(figure, setting.directory)
    if not density or not setting.start.n_h2:
        return
    for result in analysis.temperatures:
        name = f"density.{result.temperature_k:g}K"
        grid = md_density(setting, result.runs, setting.directory / f"{name}.cube")
        words = f"Density of H₂ centres at {result.temperature_k:g} K, integrated along each cell vector."
        save_figure(density_figure(grid, name, words), setting.directory)

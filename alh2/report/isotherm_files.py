"""Everything that lies beside ``isotherm.json``: tables and files for other programs, and figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alh2.production.isotherm_export import export_isotherm
from alh2.production.isotherm_result import Isotherm
from alh2.production.measured import MeasuredIsotherm
from alh2.report.figures_isotherm import comparison_figure, heat_figure
from alh2.report.stored import save_figure


def save_isotherm_files(
    directory: Path, isotherm: Isotherm, measured: Sequence[MeasuredIsotherm] = (), *, unit: str = "wt%"
) -> None:
    """Write them into `directory`; each file is replaced in one step.

    measured : isotherms of others, shown beside the computed one; unit : of the loading in the figure
    """
    export_isotherm(directory, isotherm)
    for figure in (comparison_figure(isotherm, measured, unit=unit), heat_figure(isotherm)):
        if figure is not None:
            save_figure(figure, directory)

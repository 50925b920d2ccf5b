"""Everything that lies beside ``isotherm.json``: tables and files for other programs, and figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from alh2.production.isotherm_export import export_isotherm
from alh2.production.isotherm_places import Places, save_places
from alh2.production.isotherm_result import Isotherm
from alh2.production.measured import MeasuredIsotherm
from alh2.report.figures_isotherm import comparison_figure, heat_figure
from alh2.report.figures_production import rdf_figure
from alh2.report.model import Rdf
from alh2.report.stored import save_figure


def save_isotherm_files(
    directory: Path,
    isotherm: Isotherm,
    measured: Sequence[MeasuredIsotherm] = (),
    *,
    unit: str = "wt%",
    beside: Sequence[Isotherm] = (),
) -> None:
    """Write them into `directory`; each file is replaced in one step.

    measured : isotherms of others, shown beside the computed one; unit : of the loading in the figure
    beside : other computed isotherms, shown too
    """
    export_isotherm(directory, isotherm)
    loadings = comparison_figure(isotherm, measured, unit=unit, beside=beside)
    places = [rdf_of(place) for place in save_places(directory, isotherm)]
    around = rdf_figure(places) if places else None
    for figure in (loadings, heat_figure(isotherm, beside), around):
        if figure is not None:
            save_figure(figure, directory)


def rdf_of(place: Places) -> Rdf:
    """The distribution at one point, as figures take it."""
    label = f"MC, {place.pressure_bar:g} bar"
    return Rdf(place.temperature_k, label, np.array(place.r_ang), np.array(place.g), np.array(place.g_error))

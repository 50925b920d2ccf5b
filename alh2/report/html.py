"""The report page: one self-contained file, with its figures and their numbers beside it."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alh2.core.files import atomic_write_bytes, atomic_write_text
from alh2.report.figures_common import ReportFigure, png_bytes, style
from alh2.report.model import ReportData
from alh2.report.sections import Section, build_sections, deciding_insertions, key_numbers
from alh2.report.stored import DrawnFigure, drawn

if TYPE_CHECKING:
    from jinja2 import Template
    from matplotlib.axes import Axes


def write_report(data: ReportData, directory: Path, *, for_paper: bool = False) -> Path:
    """Render `data` into `directory`; returns the path of the page.

    Writes ``index.html`` (nothing in it is loaded from elsewhere: styles and figures are inside), ``figures/*.svg``
    and ``figures/*.csv`` with the numbers behind each figure, and with `for_paper` ``figures/*.png`` of 300 dpi. Each
    file is replaced in one step, the page last, so a reader never sees half a report and writing again is harmless.
    Raises OSError where `directory` is not writable.
    """
    folder = directory / "figures"
    with style():
        sections = build_sections(data)
        figures = [f if isinstance(f, DrawnFigure) else drawn(f, for_paper=for_paper) for f in _figures(sections)]
    for figure in figures:
        atomic_write_bytes(folder / f"{figure.name}.svg", figure.svg)
        if for_paper:
            atomic_write_bytes(folder / f"{figure.name}.png", figure.png)
        for table in figure.tables:
            atomic_write_text(folder / f"{table.name}.csv", table.text)
    uris = {f.name: "data:image/svg+xml;base64," + base64.b64encode(f.svg).decode() for f in figures}
    has_view = any(section.view is not None for section in sections)
    page = _template().render(
        data=data,
        sections=sections,
        key_numbers=key_numbers(data),
        uris=uris,
        has_view=has_view,
        for_paper=for_paper,
    )
    path = directory / "index.html"
    atomic_write_text(path, page)
    return path


def summary_picture(data: ReportData, path: Path) -> Path:
    """One PNG of 1600 × 900 pixels: learning curves, insertion parity, Al–H₂ distribution and isotherm.

    A panel whose stage has not happened says so. Raises OSError where `path` is not writable.
    """
    from alh2.report.figures_common import new_figure

    with style(scale=1.55):
        figure, axes = new_figure(16.0 * 0.8, 9.0 * 0.8, rows=2, columns=2)
        _summary_learning(axes[0, 0], data)
        _summary_production(axes[0, 1], axes[1, 0], axes[1, 1], data)
        figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12, hspace=0.03, wspace=0.02)
        png = png_bytes(figure, dpi=125)
    atomic_write_bytes(path, png)
    return path


def _summary_learning(ax: Axes, data: ReportData) -> None:
    from alh2.report import figures_training as training

    present = training.targets(data.learning_curves)
    ax.set_title("Training the committee")
    if not present:
        return _not_yet(ax)
    target = present[-1]
    training.draw_learning(ax, [c for c in data.learning_curves if c.target == target], quantity="force")


def _summary_production(insertion_ax: Axes, rdf_ax: Axes, isotherm_ax: Axes, data: ReportData) -> None:
    from alh2.report import figures_production as production

    insertion_ax.set_title("Held-out insertion energies")
    errors = deciding_insertions(data)
    if errors is None:
        _not_yet(insertion_ax)
    else:
        production.draw_insertion_parity(insertion_ax, errors, data.temperature_k)
        insertion_ax.set_aspect("auto")
    rdf_ax.set_title("Where H₂ sits")
    if data.rdfs:
        production.draw_rdf(rdf_ax, [r for r in data.rdfs if r.temperature_k == data.temperature_k] or data.rdfs)
    else:
        _not_yet(rdf_ax)
    isotherm_ax.set_title("How much adsorbs")
    if data.isotherm:
        production.draw_isotherm(isotherm_ax, data.isotherm)
    else:
        _not_yet(isotherm_ax)


def _not_yet(ax: Axes) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    ax.text(0.5, 0.5, "not yet reached", transform=ax.transAxes, ha="center", va="center", color="0.4")


def _figures(sections: list[Section]) -> list[ReportFigure | DrawnFigure]:
    return [figure for section in sections for figure in section.figures]


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    settings: dict[str, Any] = {"trim_blocks": True, "lstrip_blocks": True}
    environment = Environment(
        loader=PackageLoader("alh2.report"), autoescape=True, undefined=StrictUndefined, **settings
    )
    return environment.get_template("report.html.j2")

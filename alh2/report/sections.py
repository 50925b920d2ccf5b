"""The page as data: sections with their paragraphs, figures and tables, before any HTML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from alh2.core.frames import Target
from alh2.report import figures_calibration as calibration
from alh2.report import figures_coverage as covered
from alh2.report import figures_density as density
from alh2.report import figures_production as production
from alh2.report import figures_selection as selection
from alh2.report import figures_training as training
from alh2.report import tables, tables_predicted, words, words_calibration
from alh2.report.figures_common import ReportFigure
from alh2.report.model import ReportData
from alh2.report.stored import DrawnFigure
from alh2.report.view3d import View3d, view3d

TARGETS: tuple[Target, ...] = ("interaction", "total")

SOURCES = {
    "campaign": "iter.NNNNNN/03.assess/assess.json, iter.NNNNNN/02.fp/selection.csv",
    "learning": "lcurve.out of each model below iter.NNNNNN/00.train",
    "accuracy": "iter.NNNNNN/03.assess/errors.total.npz and errors.interaction.npz",
    "insertion": "iter.NNNNNN/03.assess/errors.total.npz and errors.interaction.npz",
    "calibration": "iter.NNNNNN/03.assess/calibration.*.json, iter.NNNNNN/02.fp/trust.json",
    "selection": "iter.NNNNNN/02.fp/selection.csv, iter.NNNNNN/01.model_devi/explored.npz",
    "coverage": "iter.NNNNNN/02.fp/selection.csv, iter.NNNNNN/01.model_devi/explored.npz, state.json",
    "rdf": "production/isotherm/places.json, production/md/md_runs.json, made.json beside them",
    "density": "the cube files named under the figures",
    "isotherm": "production/isotherm/isotherm.json, production/isotherm/made.json",
    "dynamics": "production/md/md_runs.json, production/md/made.json",
    "quarantine": "quarantine.jsonl",
    "provenance": "journal.jsonl, campaign.json, iter.NNNNNN/00.train/*/input.json",
}
"""Files of the campaign directory that the numbers of each section are read from."""


@dataclass(frozen=True)
class KeyNumber:
    """One number of the head of the page; section : where it comes from."""

    name: str
    value: str
    note: str = ""
    section: str = "summary"


@dataclass(frozen=True)
class Section:
    """One section of the page; `code` is shown folded and preformatted, `view` below the figures."""

    id: str
    title: str
    paragraphs: Sequence[str] = ()
    figures: Sequence[ReportFigure | DrawnFigure] = ()
    tables: Sequence[tables.PageTable] = ()
    code: str = ""
    code_title: str = ""
    view: View3d | None = None

    @property
    def source(self) -> str:
        """Files that the numbers of this section are read from, "" for none."""
        return SOURCES.get(self.id, "")


def build_sections(data: ReportData) -> list[Section]:
    """All sections, always all of them: a stage not reached says so."""
    return [
        Section("summary", "In words", _summary(data)),
        _campaign(data),
        _learning(data),
        _accuracy(data),
        _insertion(data),
        _calibration(data),
        _selection(data),
        _coverage(data),
        Section("rdf", "Where H₂ sits", words.rdf_words(data), [production.rdf_figure(data.rdfs)] if data.rdfs else []),
        _density(data),
        _isotherm(data),
        _dynamics(data),
        _quarantine(data),
        Section("limits", "What these numbers do not say", words.limits_words(data, labels_from_xtb=from_xtb(data))),
        _provenance(data),
    ]


def from_xtb(data: ReportData) -> bool:
    """Whether the labels are GFN-xTB: ``fp_style`` of the param file, or a provenance line that names it."""
    try:
        param = json.loads(data.param_json)
    except ValueError:
        param = None
    if isinstance(param, dict) and "fp_style" in param:
        return str(param["fp_style"]).lower() == "xtb"
    return any("label" in item.name.lower() and "xtb" in item.value.lower() for item in data.provenance)


def deciding_insertions(data: ReportData) -> production.InsertionErrors | None:
    """The insertions of the committee that Monte Carlo uses: interaction where there is one, else total."""
    for target in TARGETS:
        errors = production.latest_insertions(data.insertions, target)
        if errors is not None:
            return errors
    return None


def key_numbers(data: ReportData) -> list[KeyNumber]:
    """The head of the page."""
    numbers = [KeyNumber("converged", "yes" if data.converged else "no", data.state, "campaign")]
    if data.iterations:
        last = data.iterations[-1]
        numbers.append(
            KeyNumber("training labels", str(last.n_labels_total), f"{len(data.iterations)} iterations", "campaign")
        )
        if last.force_rmse_ev_ang is not None:
            numbers.append(KeyNumber("force RMSE", f"{last.force_rmse_ev_ang:.3f} eV/Å", "held-out", "accuracy"))
    errors = deciding_insertions(data)
    if errors is not None:
        s = words.insertion_statistics(errors, data.temperature_k)
        held_out = f"{s.n} held-out, kT {1000 * s.kt_ev:.1f} meV"
        numbers.append(KeyNumber("insertion RMSE", f"{1000 * s.rmse_ev:.1f} meV", held_out, "insertion"))
        mean = tables.worst_mean_words(1000 * s.mean_ev, 1000 * s.mean_error_ev)
        numbers.append(KeyNumber("insertion mean error", f"{mean} meV", "model − label", "insertion"))
        low, high = words.factor(s.ln_henry - s.ln_henry_error), words.factor(s.ln_henry + s.ln_henry_error)
        note = f"by the mean error at {data.temperature_k:g} K; {low} to {high} within its standard error"
        numbers.append(KeyNumber("Henry constant", f"× {words.factor(s.ln_henry)}", note, "insertion"))
    return numbers


def _summary(data: ReportData) -> list[str]:
    errors = deciding_insertions(data)
    text = [f"Host: {data.host_description}"] if data.host_description else []
    return text + words.verdict_words(data) + words.insertion_words(errors, data.temperature_k)[:3]


def _campaign(data: ReportData) -> Section:
    if not data.iterations:
        return Section("campaign", "The campaign", [words.NOT_YET])
    history = training.history_figure(data.iterations, data.temperature_k)
    shown = [tables.campaign_table(data.iterations), tables.verdict_table(data.iterations)]
    return Section("campaign", "The campaign", [], [history], shown)


def _learning(data: ReportData) -> Section:
    figures = [training.learning_figure(data.learning_curves, t) for t in training.targets(data.learning_curves)]
    return Section("learning", "Training", [] if figures else [words.NOT_YET], figures)


def _accuracy(data: ReportData) -> Section:
    present = training.targets(data.parities)
    return Section(
        "accuracy",
        "Accuracy on held-out frames",
        words.parity_words(data.parities),
        [training.parity_figure(data.parities, target) for target in present],
        [tables.parity_table(training.latest(data.parities, target)) for target in present],
    )


def _insertion(data: ReportData) -> Section:
    paragraphs: list[str] = []
    figures: list[ReportFigure] = []
    shown: list[tables.PageTable] = []
    for target in TARGETS:
        errors = production.latest_insertions(data.insertions, target)
        if errors is None:
            continue
        paragraphs += words.insertion_words(errors, data.temperature_k)
        figures.append(production.insertion_parity_figure(errors, data.temperature_k))
        figures.append(production.insertion_loading_figure(errors, data.temperature_k))
        shown.append(tables.insertion_table(errors))
    paragraphs = paragraphs or words.insertion_words(None, data.temperature_k)
    return Section("insertion", "Insertion energies: what decides the isotherm", paragraphs, figures, shown)


def _calibration(data: ReportData) -> Section:
    paragraphs = words_calibration.calibration_words(data.calibrations)
    shown = [words_calibration.trust_table(data.trust)] if data.trust else []
    if not data.calibrations:
        return Section("calibration", "Calibration: what a deviation says of an error", paragraphs, [], shown)
    figures = [figure for c in words_calibration.newest(data.calibrations) for figure in calibration.figures_of(c)]
    shown += [words_calibration.calibration_table(c) for c in words_calibration.newest(data.calibrations)]
    return Section(
        "calibration",
        "Calibration: what a deviation says of an error",
        paragraphs,
        [*figures, calibration.drift_figure(data.calibrations)],
        shown,
    )


def _selection(data: ReportData) -> Section:
    counts = selection.selection_counts(data.selections)
    paragraphs = words.selection_words(counts)
    if not counts:
        return Section("selection", "Exploration and selection", paragraphs)
    trust = (data.f_trust_lo_ev_ang, data.f_trust_hi_ev_ang)
    kinds: tuple[selection.Kind, ...] = ("md", "gcmc")
    levels = {i: (decision.force.used, decision.f_trust_hi_ev_ang) for i, decision in data.trust.items()}
    figures = [
        selection.deviation_figure(data.selections, kind, trust_ev_ang=trust, levels=levels)
        for kind in kinds
        if selection.has_kind(data.selections, kind)
    ]
    shown = [tables.selection_table(counts)]
    failures = tables.failure_table(data.selections)
    return Section(
        "selection",
        "Exploration and selection",
        paragraphs,
        [*figures, selection.selection_figure(counts)],
        [*shown, failures] if failures.rows else shown,
    )


def _coverage(data: ReportData) -> Section:
    fields = covered.coverage(data.selections)
    figures = [covered.coverage_figure(fields, data.f_trust_lo_ev_ang)] if fields else []
    shown = [covered.rung_table(data.rungs)] if data.rungs else []
    paragraphs = covered.coverage_words(fields, data.rungs)
    return Section("coverage", "Coverage and curriculum", paragraphs, figures, shown)


def _density(data: ReportData) -> Section:
    title = "The density of H₂ in the cell"
    scenes = data.predictions.densities
    figures = [density.isosurface_figure(scene) for scene in scenes]
    return Section("density", title, words.density_words(scenes), figures, view=view3d(scenes))


def _isotherm(data: ReportData) -> Section:
    paragraphs = words.isotherm_words(data.isotherm)
    if not data.isotherm:
        return Section("isotherm", "Isotherm", paragraphs)
    figures: list[ReportFigure | DrawnFigure] = [production.isotherm_figure(data.isotherm)]
    shown = [tables.isotherm_table(data.isotherm)]
    found = data.predictions.isotherm
    if found is not None:
        figures += data.predictions.isotherm_figures
        shown.insert(0, tables_predicted.points_table(found))
        shown += [tables_predicted.henry_table(found)] if found.henry else []
        made = data.predictions.isotherm_made
        paragraphs.append(tables_predicted.made_words("production/isotherm", "isotherm.json", made))
    return Section("isotherm", "Isotherm", paragraphs, figures, shown)


def _dynamics(data: ReportData) -> Section:
    title, found = "Molecular dynamics", data.predictions.md
    if found is None:
        return Section("dynamics", title, [f"{words.NOT_YET} It comes from alh2 produce md."])
    paragraphs = tables_predicted.md_words(found)
    made = data.predictions.md_made
    paragraphs.append(tables_predicted.made_words("production/md", "md_runs.json", made))
    return Section("dynamics", title, paragraphs, data.predictions.md_figures, [tables_predicted.md_table(found)])


def _quarantine(data: ReportData) -> Section:
    if not data.quarantine:
        return Section("quarantine", "Quarantined labels", ["None."])
    return Section("quarantine", "Quarantined labels", [], [], [tables.quarantine_table(data.quarantine)])


def _provenance(data: ReportData) -> Section:
    shown = [tables.provenance_table(data.provenance)] if data.provenance else []
    paragraphs = [] if shown or data.param_json else ["Nothing recorded."]
    return Section("provenance", "Provenance", paragraphs, [], shown, data.param_json, "Param file")

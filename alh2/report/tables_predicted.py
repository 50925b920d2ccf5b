"""Tables of predictions, and where they come from."""

from __future__ import annotations

import math

from alh2.production.isotherm_result import Isotherm, IsothermPoint, interval_words
from alh2.production.made import Made
from alh2.production.md_summary import Known, MdSummary, TemperatureSummary
from alh2.report.figures_common import h2
from alh2.report.tables import ABSENT, PageTable, number


def points_table(isotherm: Isotherm) -> PageTable:
    """Every temperature and pressure, its chains together, in the usual units."""
    columns = (
        "pressure (bar)", "temperature (K)", "H₂ per cell", "± (95 %)", "± (one s.e.)", "wt%", "mol/kg",
        "excess (H₂ per cell)", "isosteric heat (kJ/mol)", "chains",
    )  # fmt: skip
    rows = [
        (
            f"{p.pressure_bar:g}",
            f"{p.temperature_k:g}",
            number(p.n_absolute, 3),
            number(p.half_width_95, 3),
            number(p.n_absolute_error, 3),
            number(isotherm.loading(p.n_absolute, "wt%"), 3),
            number(isotherm.loading(p.n_absolute, "mol/kg"), 3),
            with_error(p.n_excess, p.n_excess_error, 3),
            with_error(p.heat_kj_per_mol, p.heat_error_kj_per_mol, 2),
            _chains(p),
        )
        for temperature_k in isotherm.temperatures_k
        for p in isotherm.at(temperature_k)
    ]
    caption = f"Loadings, all chains of a point together (isotherm.json, isotherm.csv). {interval_words(isotherm)}"
    return PageTable(caption, columns, rows, n_text=2)


def _chains(point: IsothermPoint) -> str:
    words = "disagree" if point.hysteresis else "agree"
    words += "" if point.reached else ", not as exact as asked for"
    words += ", held down by the largest loading explored" if point.is_limited else ""
    return words + (f", hole in model {', '.join(map(str, point.holes))}" if point.holes else "")


def henry_table(isotherm: Isotherm) -> PageTable:
    """Infinite dilution by Widom insertions."""
    columns = (
        "temperature (K)",
        "Henry constant (H₂ per cell and bar)",
        "± (95 %)",
        "(mol/kg/Pa)",
        "heat (kJ/mol)",
        "insertions",
        "trust",
    )
    rows = [
        (
            f"{h.temperature_k:g}",
            f"{h.per_cell_bar:.4g} ± {h.per_cell_bar_error:.2g}",
            ABSENT if h.committee is None else f"{h.committee.half_width_95:.2g}",
            f"{h.mol_per_kg_pa:.4g} ± {h.mol_per_kg_pa_error:.2g}",
            with_error(h.heat_kj_per_mol, h.heat_error_kj_per_mol, 2),
            str(h.n_insertions),
            "trusted" if h.trusted else "too few insertions count",
        )
        for h in isotherm.henry
    ]
    return PageTable("Infinite dilution, by Widom insertions (isotherm.json).", columns, rows)


def md_table(summary: MdSummary) -> PageTable:
    """What MD says at each temperature."""
    columns = (
        "temperature (K)", "H₂", "runs", "frames", "frames not trusted", "largest deviation (eV/Å)",
        "H₂ near an open site", "occupancy of a site", "stay (ps)", "D_s (m²/s)", "95 % interval",
    )  # fmt: skip
    rows = [
        (
            f"{t.temperature_k:g}",
            h2(t.n_h2),
            str(t.n_runs),
            str(t.n_frames),
            str(t.n_untrusted),
            number(t.max_devi_f_ev_ang, 3),
            _known(t.coordination),
            _known(t.occupancy),
            _known(t.residence_ps),
            ABSENT if math.isnan(t.d_m2_s) else f"{t.d_m2_s:.3g}",
            _interval(t),
        )
        for t in summary.temperatures
    ]
    return PageTable("Molecular dynamics by temperature (md_runs.json).", columns, rows)


def md_words(summary: MdSummary) -> list[str]:
    """How long, what ended early, and the activation energy."""
    n = len(summary.temperatures)
    text = [
        f"{summary.ensemble.upper()}, {summary.length_ps:g} ps per replica at {n} temperature{'s' if n != 1 else ''}, "
        f"{', '.join(filter(None, (summary.nuclei, summary.movers)))}. "
        "Errors come from the scatter over replicas, or over blocks of a single one."
    ]
    untrusted = sum(t.n_untrusted for t in summary.temperatures)
    if untrusted:
        text.append(f"{untrusted} frames have a committee deviation beyond the trusted one: read them with care.")
    text += [f"Ended early: {words}." for t in summary.temperatures for words in t.ended]
    if summary.arrhenius is not None:
        a = summary.arrhenius
        energy = with_error(a.activation_kj_per_mol, a.activation_error_kj_per_mol, 2)
        text.append(f"Activation energy of diffusion {energy} kJ/mol (one standard error of the Arrhenius line).")
    elif summary.temperatures and all(math.isnan(t.d_m2_s) for t in summary.temperatures):
        text.append("No D_s: the runs are too short for a diffusive regime, or nothing diffuses.")
    return text


def made_words(folder: str, numbers: str, made: Made | None) -> str:
    """Where the numbers of a section are from."""
    text = f"Where these numbers are from: {folder}/{numbers}"
    if made is None:
        return f"{text}; how it was made was not recorded."
    models = ", ".join(model.target.lstrip("./") or model.link for model in made.models)
    return (
        f"{text}, made by “{made.command}” with root seed {made.seed} and the models in {folder}/made.json: {models}."
    )


def with_error(value: float, error: float, digits: int) -> str:
    """`value` ± `error`, a dash where unknown."""
    if math.isnan(value):
        return ABSENT
    return number(value, digits) + (f" ± {error:.2g}" if math.isfinite(error) else "")


def _known(value: Known) -> str:
    return ABSENT if math.isnan(value.mean) else with_error(value.mean, value.error, 3)


def _interval(t: TemperatureSummary) -> str:
    if math.isnan(t.d_m2_s):
        return ABSENT
    if t.committee is not None:
        half = t.committee.half_width_95
        return f"{max(0.0, t.committee.mean - half):.3g} to {t.committee.mean + half:.3g}, models included"
    return f"{t.d_low:.3g} to {t.d_high:.3g}"

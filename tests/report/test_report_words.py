"""The sentences follow from the numbers: hand-checked cases."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from alh2.production.md_plan import MOVED_BY_LAMMPS
from alh2.report import words
from alh2.report.figures_selection import SelectionCount, loading_groups
from alh2.report.model import InsertionErrors, IsothermPoint, Rdf, ReportData
from alh2.report.sections import build_sections, deciding_insertions, from_xtb, key_numbers
from alh2.report.tables import failure_table

KT_77 = 0.0066353466


def errors(differences: list[float], spread: float = 0.01, n_h2: int = 4) -> InsertionErrors:
    """Insertions with the given errors (eV) on labels of -0.1 eV."""
    label = np.full(len(differences), -0.1)
    return InsertionErrors(
        2, "interaction", np.full(len(differences), n_h2), label, label + differences, np.full(len(differences), spread)
    )


@pytest.mark.parametrize(("mean_ev", "expected"), [(0.001, 0.860), (-0.001, 1.163), (0.005, 0.4707), (-0.005, 2.1245)])
def test_henry_factor_of_a_pure_shift(mean_ev: float, expected: float) -> None:
    """A systematic 1 meV changes the Henry constant by 16 % at 77 K, 5 meV by a factor 2.1."""
    s = words.insertion_statistics(errors([mean_ev] * 4), 77.0)
    assert math.exp(s.ln_henry) == pytest.approx(expected, abs=5e-4)
    assert s.kt_ev == pytest.approx(KT_77, rel=1e-6)
    assert s.sigma_ev == pytest.approx(0.0, abs=1e-12) and s.ln_widening == pytest.approx(0.0, abs=1e-12)


def test_statistics_by_hand() -> None:
    s = words.insertion_statistics(errors([0.002, 0.004, 0.006, 0.008]), 77.0)
    assert s.mean_ev == pytest.approx(0.005)
    assert s.rmse_ev == pytest.approx(math.sqrt(30e-6))
    assert s.sigma_ev == pytest.approx(math.sqrt(20e-6 / 3))
    assert s.mean_error_ev == pytest.approx(s.sigma_ev / 2)
    assert s.ln_henry == pytest.approx(-0.75354, abs=1e-4)
    assert s.ln_widening == pytest.approx((20e-6 / 3) / (2 * KT_77**2), rel=1e-6)


@pytest.mark.physics
def test_widening_formula_equals_a_sampled_gaussian_average() -> None:
    sample = np.random.default_rng(0).normal(0.0, KT_77, 400_000)
    direct = np.exp(-sample / KT_77)
    s = words.insertion_statistics(errors(sample.tolist()), 77.0)
    predicted = math.exp(s.ln_henry + s.ln_widening)
    assert abs(direct.mean() - predicted) < 4 * direct.std() / math.sqrt(direct.size) + 0.01


def test_insertion_words_carry_the_numbers() -> None:
    text = " ".join(words.insertion_words(errors([0.002, 0.004, 0.006, 0.008]), 77.0))
    for piece in (
        "4 held-out insertions (loadings 4–4)",
        "RMSE of 5.5 meV",
        "mean error of +5.0 ± 1.3 meV",
        "kT at 77 K is 6.6 meV",
        "H₂ held too weakly",
        "exp(−mean/kT) = 0.47, between 0.39 and 0.57",
        "2.12 times the pressure",
        "σ = 2.6 meV = 0.4 kT",
        "exp(σ²/2kT²) = 1.08",
        "small correction",
        "the committee overstates its error",
    ):
        assert piece in text, piece


def test_words_turn_with_the_numbers() -> None:
    wide = " ".join(words.insertion_words(errors([-0.03, 0.04, -0.05, 0.036], spread=0.002), 77.0))
    assert "qualitative" in wide and "overconfident" in wide and "no systematic shift is resolved" in wide
    strong = " ".join(words.insertion_words(errors([-0.01, -0.012, -0.011, -0.009]), 77.0))
    assert "H₂ held too strongly" in strong and "4 H₂ (−10.5 meV): the isotherm is bent there" in strong
    middle = " ".join(words.insertion_words(errors([0.006, -0.006, 0.007, -0.007]), 77.0))
    assert "as part of its systematic uncertainty" in middle
    single = " ".join(words.insertion_words(errors([0.001]), 77.0))
    assert "One insertion says nothing" in single and "nan" not in single
    assert words.insertion_words(None, 77.0)[0].startswith(words.NOT_YET)
    assert "kT at 300 K is 25.9 meV" in words.insertion_words(errors([0.001, 0.002]), 300.0)[0]


def test_factor_is_readable_at_every_size() -> None:
    assert words.factor(0.0) == "1.00"
    assert words.factor(math.log(15.54)) == "15.5"
    assert words.factor(math.log(718)) == "720"
    assert words.factor(11 * math.log(10)) == "10¹¹"
    assert words.factor(-5 * math.log(10)) == "10⁻⁵"
    assert words.factor(1e5) == "10⁴³⁴²⁹"
    assert words.factor(math.nan) == "an unknown factor"


def points(pairs: list[tuple[float, float]], error: float) -> list[IsothermPoint]:
    """Pairs (started empty, started with 12) at 0.1, 0.2 … bar."""
    return [
        IsothermPoint(77.0, 0.1 * (i + 1), 0.1, start, value, error, 0.02)
        for i, pair in enumerate(pairs)
        for start, value in zip((0, 12), pair, strict=True)
    ]


def test_isotherm_agreement_is_counted() -> None:
    text = words.isotherm_words(points([(1.0, 1.2), (3.0, 3.1), (5.0, 9.0)], 0.1))[0]
    assert "at 2 of 3 pressures" in text and "28.3 combined standard errors, at 0.3 bar" in text
    assert "still remembers its start" in text
    good = words.isotherm_words(points([(1.0, 1.2), (3.0, 3.1)], 0.1))[0]
    assert "at 2 of 2 pressures" in good and "remembers" not in good
    frozen = words.isotherm_words(points([(0.0, 4.0)], 0.0))
    assert (
        "0 of 1" in frozen[0] and "beyond any stated error" in frozen[0] and "2 of 2 points never changed" in frozen[-1]
    )
    assert "Only one kind of start" in words.isotherm_words(points([(1.0, 1.0)], 0.1)[:1])[0]
    assert words.isotherm_words([])[0].startswith(words.NOT_YET)


def test_first_peak_is_the_first_and_not_the_noise(empty_data: ReportData) -> None:
    r = np.arange(0.05, 8, 0.1)
    g = 10 * np.exp(-(((r - 2.75) / 0.2) ** 2)) + 12 * np.exp(-(((r - 4.15) / 0.3) ** 2))
    g[3] = 1.0
    assert words.first_peak_ang(Rdf(77.0, "x", r, g, g)) == pytest.approx(2.75)
    assert words.first_peak_ang(Rdf(77.0, "x", r, 0 * g, g)) is None
    (text,) = words.rdf_words(replace(empty_data, rdfs=[Rdf(77.0, "run", r, g, g)]))
    assert "2.75 ± 0.05 Å" in text and "+0.02 Å from 2.73 Å" in text and "+0.06 Å from 2.69 Å" in text
    assert "no peak" in words.rdf_words(replace(empty_data, rdfs=[Rdf(77.0, "run", r, 0 * g, g)]))[0]


def test_places_by_models_that_do_not_know_them(report_data: ReportData) -> None:
    """Molecular dynamics by models of total energies beside Monte Carlo by others: which of the two to believe."""
    dynamics = report_data.predictions.md
    assert dynamics is not None
    (told, *_) = words.rdf_words(report_data)
    assert f"In molecular dynamics (MD): {dynamics.nuclei}, {MOVED_BY_LAMMPS}." in told
    assert told.endswith("believe Monte Carlo.")
    good = [replace(e, model_ev=e.label_ev + 0.001) for e in report_data.insertions]
    (told, *_) = words.rdf_words(replace(report_data, insertions=good))
    assert "RMSE of 1.0 meV; kT is 6.6 meV." in told and "believe" not in told
    same = replace(report_data.predictions, md=replace(dynamics, movers="H2 moved by models of interaction energies"))
    (told, *_) = words.rdf_words(replace(report_data, predictions=same))
    assert told.endswith(f"(MD): {dynamics.nuclei}, H2 moved by models of interaction energies.")
    alone = [e for e in report_data.insertions if e.target == "total"]
    assert "Monte Carlo" not in words.rdf_words(replace(report_data, insertions=alone))[0]


def test_verdict_reports_convergence_and_its_absence(report_data: ReportData, empty_data: ReportData) -> None:
    text = " ".join(words.verdict_words(report_data))
    assert "has converged after 3 iterations: " in text and "88 % of them were accurate" in text
    assert "fell from 55.0 meV (iteration 0) to 31.0 meV (iteration 2)" in text and "3 were quarantined" in text
    not_converged = " ".join(words.verdict_words(replace(report_data, converged=False, state="stopped")))
    assert "has not converged (state: stopped)" in not_converged
    assert "made with a committee that has not converged" in not_converged
    assert "No iteration has finished" in words.verdict_words(empty_data)[0]


def test_limits_name_the_electronic_structure_and_the_nuclei(report_data: ReportData) -> None:
    assert from_xtb(report_data)
    text = " ".join(words.limits_words(report_data, labels_from_xtb=True))
    for piece in (
        "−28 kJ/mol",
        "about −6 kJ/mol",
        "Nuclei are classical",
        "1.40 Å",
        "90 held-out insertions",
        "about 7 %",
    ):
        assert piece in text, piece
    vasp = replace(report_data, param_json='{"fp_style": "vasp"}')
    assert not from_xtb(vasp)
    assert "GFN1" not in " ".join(words.limits_words(vasp, labels_from_xtb=from_xtb(vasp)))
    assert not from_xtb(replace(report_data, param_json="not json", provenance=[]))


def test_selection_words_name_the_weakest_loading() -> None:
    counts = [
        SelectionCount(0, "md", 2, 0, 9, 1, 1),
        SelectionCount(1, "md", 2, 8, 2, 0, 1),
        SelectionCount(1, "md", 6, 3, 6, 1, 2),
    ]
    text = words.selection_words(counts)
    assert text == ["Iteration 1, molecular dynamics: 11 of 20 frames (55 %) accurate; least at 6 H₂, with 30 %."]


def test_key_numbers_use_the_committee_that_monte_carlo_uses(report_data: ReportData) -> None:
    chosen = deciding_insertions(report_data)
    assert chosen is not None and (chosen.target, chosen.iteration) == ("interaction", 2)
    only_total = replace(report_data, insertions=[e for e in report_data.insertions if e.target == "total"])
    fallback = deciding_insertions(only_total)
    assert fallback is not None and fallback.target == "total"
    difference = 1000 * (chosen.model_ev - chosen.label_ev)
    values = {number.name: number.value for number in key_numbers(report_data)}
    assert values["insertion RMSE"] == f"{math.sqrt(np.mean(difference**2)):.1f} meV"
    assert values["Henry constant"] == f"× {math.exp(-difference.mean() / (1000 * KT_77)):.2f}"


def test_failure_reasons_count_together(report_data: ReportData) -> None:
    table = failure_table(report_data.selections)
    assert {row[1] for row in table.rows} == {"H2 bond … Å > … Å"}
    verdicts = [v for vs in report_data.selections.values() for v in vs if v.band == "failed"]
    failed, verdict = len(verdicts), verdicts[0]
    assert sum(int(row[2]) for row in table.rows) == failed
    crowded = [replace(verdict, reason=f"overlap: H23–Al{k} 0.9{k} Å < 1 Å") for k in range(3)]
    broken = replace(verdict, reason="framework bond Al0–O14 3.10 Å, 1.60 × its length > 1.50")
    table = failure_table({0: [*crowded, broken]})
    assert table.rows == [
        ("0", "overlap: H–Al … Å < … Å", "3"),
        ("0", "framework bond Al–O … Å, … × its length > …", "1"),
    ]


def test_loadings_are_grouped_without_loss() -> None:
    assert loading_groups([3, 1, 3]) == [[1], [3]]
    groups = loading_groups(list(range(17)))
    assert len(groups) == 5 and sum(groups, []) == list(range(17))
    assert loading_groups([]) == []


def test_long_tables_are_folded(report_data: ReportData) -> None:
    quarantine = report_data.quarantine * 31
    section = next(s for s in build_sections(replace(report_data, quarantine=quarantine)) if s.id == "quarantine")
    assert section.tables[0].folded


def test_points_at_the_explored_limit_are_lower_bounds() -> None:
    def point(n: float, limit: int | None) -> IsothermPoint:
        return IsothermPoint(77.0, 0.1, 0.1, 0, n, 0.1, 0.02, limit)

    text = " ".join(words.isotherm_words([point(15.6, 16), point(14.9, 16), point(15.6, None)]))
    assert "1 of 3 points lie at the largest loading that was explored (16 H₂)" in text
    assert "lower bounds" not in " ".join(words.isotherm_words([point(14.9, 16), point(40.0, None)]))

"""What the page says of calibration: hand-checked cases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alh2.assess.calibration import DeviationSample
from alh2.assess.samples import NamedSample
from alh2.assess.uncertainty import calibrate_committee
from alh2.report.figures_calibration import deviation_error_figure, drift_figure, reliability_figure
from alh2.report.model import IterationCalibration, ReportData
from alh2.report.sections import build_sections
from alh2.report.words_calibration import NOT_CALIBRATED, calibration_table, calibration_words, newest, trust_table


def of(error: np.ndarray, deviation: np.ndarray, iteration: int = 0) -> IterationCalibration:
    sample = DeviationSample(deviation, error, np.arange(error.size))
    named = (NamedSample("insertion", "all", None, sample),)
    return IterationCalibration(iteration, "interaction", calibrate_committee("interaction", named), named)


def test_a_deviation_that_says_nothing_is_told_from_one_that_tracks() -> None:
    rng = np.random.default_rng(1)
    deviation = 0.005 * rng.lognormal(0, 0.7, 400)
    blind = calibration_words([of(0.03 * rng.standard_normal(400), deviation)])[0]
    assert "it does not tell good predictions from bad ones" in blind and "400 held-out insertions" in blind
    tracks = calibration_words([of(3 * deviation * rng.standard_normal(400), deviation)])[0]
    assert "The error grows with the deviation: 3" in tracks and "meV" in tracks
    assert "is known to" not in tracks  # 400 are no small sample


def test_small_samples_say_so() -> None:
    rng = np.random.default_rng(2)
    text = calibration_words([of(0.03 * rng.standard_normal(25), 0.01 * rng.lognormal(0, 0.5, 25))])[0]
    assert text.endswith("An RMS error of 25 frames is known to 14 %.")
    few = calibration_words([of(0.03 * rng.standard_normal(6), 0.01 * rng.lognormal(0, 0.5, 6))])[0]
    assert few.endswith("6 frames, 20 are asked for: not calibrated (90 % intervals need 9).")
    assert calibration_words([]) == [NOT_CALIBRATED]


def test_drift_is_told_in_numbers() -> None:
    deviation = np.full(40, 0.01)
    series = [of(size * np.tile([1.0, -1.0], 20), deviation, i) for i, size in enumerate((0.08, 0.04, 0.02))]
    text = calibration_words(series)[0]
    assert "The factor was 8, 4, 2 in iterations 0 to 2." in text
    assert [c.iteration for c in newest(series)] == [2]


def test_tables_carry_every_row_and_decision(report_data: ReportData) -> None:
    data = newest(report_data.calibrations)[0]
    table = calibration_table(data)
    assert len(table.rows) == len(data.calibration.rows) and all(len(r) == len(table.columns) for r in table.rows)
    small = next(r for r in table.rows if r[:3] == ("insertion energy (meV)", "all", "0 H₂"))
    assert small[-1] == "5 frames, 20 are asked for: judged by the calibration of all together"
    assert small[8:10] == ("–", "–") and small[15] != "–"  # no slope of its own, but judged
    trust = trust_table(report_data.trust)
    assert len(trust.rows) == 6 and "no committee has been assessed yet" in trust.rows[0][2]
    assert "held-out frames of iteration 1" in trust.rows[4][2]
    level = report_data.trust[2].force
    assert trust.rows[4][3] == f"{level.used:.3f} eV/Å" and level.used != level.fixed


def test_impossible_likelihoods_are_not_printed_in_full() -> None:
    rng = np.random.default_rng(3)
    deviation = np.full(40, 0.01)
    deviation[0] = 1e-14
    row = calibration_table(of(0.03 * rng.standard_normal(40), deviation)).rows[0]
    assert row[13] == "> 1000"


def test_deviation_histograms_show_the_levels_that_were_used(report_data: ReportData) -> None:
    light = replace(report_data, learning_curves=[], parities=[], insertions=[], calibrations=[], rdfs=[], isotherm=[])
    section = next(s for s in build_sections(light) if s.id == "selection")
    assert "trust band, of each iteration (left" in section.figures[0].caption
    fixed = next(s for s in build_sections(replace(light, trust={})) if s.id == "selection")
    assert "trust band, 0.15–0.45 eV/Å (left" in fixed.figures[0].caption


@pytest.mark.parametrize("draw", [reliability_figure, deviation_error_figure])
def test_captions_name_committee_and_iteration(report_data: ReportData, draw) -> None:
    figure = draw(newest(report_data.calibrations)[0])
    assert "interaction-energy committee, iteration 2" in figure.caption and len(figure.alt) > 60
    assert drift_figure(report_data.calibrations).tables[0].rows

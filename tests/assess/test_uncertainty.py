"""Rows of a committee's calibration: what is stated, from which sample, and what is said of small ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from alh2.assess.calibration import DeviationSample, calibrate
from alh2.assess.samples import NamedSample
from alh2.assess.uncertainty import calibrate_committee, load_calibration, save_calibration
from alh2.core.errors import BadInputError


@pytest.fixture
def insertions(synthetic):
    """``insertions(n_per_loading, common, seed)``: samples of all and of loadings 0 and 4, in order."""

    def make(n: int, common: float = 0.0, seed: int = 0) -> list[NamedSample]:
        sample = synthetic(4, common).draw(np.random.default_rng(seed), 2 * n)
        n_h2 = np.repeat([0, 4], n)
        parts = [NamedSample("insertion", "all", int(k), sample.part(n_h2 == k)) for k in (0, 4)]
        return [NamedSample("insertion", "all", None, sample), *parts]

    return make


def test_rows_state_what_was_measured(insertions):
    samples = insertions(150, 2.0)
    found = calibrate_committee("interaction", samples)
    row = found.row("insertion")
    sample = samples[0].sample
    assert row.n == row.n_frames == 300 and row.own and row.words == ""
    assert row.rms_error == pytest.approx(np.sqrt(np.mean(sample.error**2)))
    assert row.mean_error == pytest.approx(sample.error.mean())
    assert row.factor == pytest.approx(row.calibration.factor) == pytest.approx(row.rms_error / row.rms_deviation)
    assert row.calibration == calibrate(sample)
    assert abs(row.coverage.fraction - 0.9) < 4 * row.coverage.error
    assert row.coverage_before is None
    assert found.row("insertion", n_h2=4).own and found.row("insertion", n_h2=3) is None
    assert found.calibration("insertion", n_h2=3) == row.calibration and found.calibration("force") is None


def test_a_miscalibrated_committee_is_seen_as_such(insertions):
    right = calibrate_committee("interaction", insertions(200, np.sqrt(0.75))).row("insertion")  # factor exactly 1
    wrong = calibrate_committee("interaction", insertions(200, 5.0)).row("insertion")
    assert right.factor == pytest.approx(1.0, abs=0.15) and wrong.factor == pytest.approx(5.0, rel=0.15)
    assert right.raw.area < 0.09 < 0.3 < wrong.raw.area
    assert wrong.calibrated.area < 0.06
    assert wrong.raw.nll > wrong.calibrated.nll + 1
    assert wrong.raw.ence > 2 and wrong.calibrated.ence < 0.4
    assert right.rank_correlation > 0.2


def test_small_groups_are_judged_by_all_and_say_so(insertions):
    found = calibrate_committee("interaction", insertions(12))
    pooled, part = found.row("insertion"), found.row("insertion", n_h2=4)
    assert pooled.own and "24 frames is known to 14 %" in pooled.words
    assert not part.own and part.calibration == pooled.calibration
    assert part.words == "12 frames, 20 are asked for: judged by the calibration of all together"
    assert part.coverage is not None and part.n == 12


def test_too_small_samples_have_no_calibration(insertions):
    found = calibrate_committee("total", insertions(4))
    row = found.row("insertion")
    assert row.calibration is None and row.coverage is None and row.calibrated is None
    assert row.words == "8 frames, 20 are asked for: not calibrated (90 % intervals need 9)"
    assert row.factor is not None and found.calibration("insertion") is None
    assert calibrate_committee("total", []).rows == ()


def test_frames_outside_the_pooled_sample_are_not_judged_by_it(synthetic):
    sample = synthetic(3, 1.0).draw(np.random.default_rng(1), 60)
    apart = DeviationSample(sample.deviation[:3], sample.error[:3], np.array([100, 101, 102]))
    found = calibrate_committee(
        "total", [NamedSample("energy", "all", None, sample), NamedSample("energy", "isolated H2", None, apart)]
    )
    assert found.row("energy", "isolated H2").calibration is None
    assert found.calibration("energy", "isolated H2") is None and found.calibration("energy", n_h2=9) is not None


def test_intervals_of_the_iteration_before_are_tested_on_new_labels(insertions):
    before = calibrate_committee("interaction", insertions(200, 2.0, seed=1))
    same = calibrate_committee("interaction", insertions(200, 2.0, seed=2), before).row("insertion")
    assert abs(same.coverage_before.fraction - 0.9) < 0.06
    worse = calibrate_committee("interaction", insertions(200, 6.0, seed=2), before).row("insertion")
    assert worse.coverage_before.fraction < 0.6  # the committee drifted, and its old intervals fail
    assert abs(worse.coverage.fraction - 0.9) < 0.06


def test_a_length_has_no_gaussian_measures(synthetic):
    sample = synthetic(3, 1.0).draw(np.random.default_rng(1), 60)
    length = DeviationSample(sample.deviation, np.abs(sample.error), sample.frame)
    row = calibrate_committee("total", [NamedSample("largest force", "all", None, length)]).row("largest force")
    assert row.raw.area is None and row.calibrated.nll is None and row.coverage is not None


def test_round_trip_and_refusal_of_other_files(insertions, tmp_path: Path):
    before = calibrate_committee("interaction", insertions(30, seed=1))
    path = tmp_path / "calibration.json"
    assert load_calibration(path) is None
    for found in (before, calibrate_committee("interaction", insertions(12), before)):
        save_calibration(path, found)
        assert load_calibration(path) == found
    json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    for text in ("[]", "{}", '{"target": "total", "rows": [1]}', '{"target": "total", "rows": [{"n": 1}]}', "{"):
        path.write_text(text)
        with pytest.raises(BadInputError, match=r"calibration\.json"):
            load_calibration(path)

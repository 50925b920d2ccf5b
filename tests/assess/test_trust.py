"""Trust levels: fixed ones, and those at which the calibrated error reaches a target."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alh2.assess.calibration import DeviationSample
from alh2.assess.samples import NamedSample
from alh2.assess.trust import LEAST_LEVEL, decide, load_decision, save_decision
from alh2.assess.uncertainty import CommitteeCalibration, calibrate_committee
from alh2.config.model import SelectConfig
from alh2.core.errors import BadInputError
from alh2.core.explored import ExploredFrame
from alh2.core.frames import Frame
from alh2.select.bands import trust_band

FIXED = SelectConfig(0.15, 0.60, 0.02, 20, 1, 1.3, 1.1, 1.35, f_trust_per_system=((0.1, 0.6), (0.2, 0.5)))
ASKED = replace(FIXED, target_force_error_ev_ang=0.4, target_insertion_error_ev=0.03)


def draw(slope: float, floor: float, scale: float, seed: int, n: int = 4000) -> DeviationSample:
    """Errors with sigma² = floor² + (slope × deviation)²."""
    rng = np.random.default_rng(seed)
    deviation = scale * rng.lognormal(0, 0.6, n)
    return DeviationSample(
        deviation, np.sqrt(floor**2 + (slope * deviation) ** 2) * rng.standard_normal(n), np.arange(n)
    )


def calibrated(force: DeviationSample, insertion: DeviationSample) -> CommitteeCalibration:
    samples = [NamedSample("largest force", "all", None, force), NamedSample("insertion", "all", None, insertion)]
    return calibrate_committee("total", samples)


FORCE, INSERTION = draw(2.2, 0.05, 0.12, 1), draw(4.0, 0.015, 0.004, 2)


@pytest.fixture(scope="module")
def known() -> CommitteeCalibration:
    return calibrated(FORCE, INSERTION)


def test_without_targets_the_levels_of_the_file_are_used(known):
    trust = decide(FIXED, 3, known, known)
    assert trust.applied(FIXED) == FIXED
    assert trust.force.calibrated_in is None and trust.force.words == "fixed level 0.15 eV/Å"
    assert trust.insertion.words == "fixed level 20 meV"


def test_first_iteration_and_small_samples_fall_back_and_say_why(known):
    first = decide(ASKED, 0, None, None)
    assert (first.force.used, first.insertion.used) == (0.15, 0.02)
    assert first.force.words == "fixed level 0.15 eV/Å: no committee has been assessed yet"
    few = calibrated(draw(2, 0, 0.1, 1, n=10), draw(2, 0, 0.1, 1, n=10))
    later = decide(ASKED, 2, few, few)
    assert later.insertion.words == "fixed level 20 meV: too few labels were held out in the iteration before"
    assert later.applied(ASKED).insertion_trust_lo_ev == 0.02


@pytest.mark.physics
def test_frames_at_the_level_have_the_target_error(known):
    """New frames of the same kind whose deviation is near the level: their RMS error is the target."""
    trust = decide(ASKED, 2, known, known)
    assert trust.force.calibrated_in == trust.insertion.calibrated_in == 1
    for level, make, target in (
        (trust.force.used, lambda s: draw(2.2, 0.05, 0.12, s, 400_000), 0.4),
        (trust.insertion.used, lambda s: draw(4.0, 0.015, 0.004, s, 400_000), 0.03),
    ):
        new = make(99)
        near = np.abs(new.deviation / level - 1) < 0.02
        assert near.sum() > 2000
        assert np.sqrt(np.mean(new.error[near] ** 2)) == pytest.approx(target, rel=0.05)
        below = new.error[new.deviation < level]
        assert np.sqrt(np.mean(below**2)) < target
    assert "where the RMS error on 4000 held-out frames of iteration 1 reaches the target 0.4 eV/Å" in trust.force.words
    assert "4000 held-out insertions" in trust.insertion.words and "target 30 meV" in trust.insertion.words


def test_derived_levels_decide_the_bands(known):
    trust = decide(ASKED, 2, known, known)
    config = trust.applied(ASKED)
    assert config.f_trust_per_system == () and config.f_trust_hi_ev_ang == 0.60
    frame = Frame(("O",), np.zeros((1, 3)), np.eye(3), 1, "x")

    def band(devi: float, spread: float) -> str:
        return trust_band(ExploredFrame(frame, "gcmc", "t", 0, 77.0, devi, spread), config)[0]

    force, insertion = trust.force.used, trust.insertion.used
    assert 0.15 < force < 0.2 and 0.005 < insertion < 0.008
    assert band(0.99 * force, 0.99 * insertion) == "accurate"
    assert band(1.01 * force, 0.0) == band(0.0, 1.01 * insertion) == "candidate"


def test_a_floor_above_the_target_makes_every_frame_a_candidate(known):
    strict = replace(ASKED, target_insertion_error_ev=0.01)
    level = decide(strict, 1, known, known).insertion
    assert level.used == LEAST_LEVEL
    assert level.words.startswith(
        "every frame is a candidate: the RMS error on 4000 held-out insertions of iteration 0"
    )
    assert level.words.endswith("even at no deviation, above the target 10 meV")


def test_nothing_is_trusted_beyond_the_largest_deviation_seen():
    flat = calibrated(draw(0.0, 0.1, 0.05, 3), draw(0.0, 0.01, 0.004, 4))
    trust = decide(ASKED, 1, flat, flat)
    assert trust.insertion.used == flat.row("insertion").calibration.largest_deviation
    assert "the largest deviation among 4000 held-out insertions" in trust.insertion.words


def test_the_force_level_stays_below_hi():
    easy = calibrated(draw(0.2, 0.0, 0.8, 5), INSERTION)
    force = decide(ASKED, 1, easy, easy).force
    assert force.used == 0.60 and force.words.endswith("; at most f_trust_hi, 0.6 eV/Å")


def test_round_trip_and_refusal_of_other_files(known, tmp_path: Path):
    assert load_decision(tmp_path) is None
    for trust in (decide(ASKED, 2, known, known), decide(ASKED, 0, None, None), decide(FIXED, 1, known, None)):
        save_decision(tmp_path, trust)
        assert load_decision(tmp_path) == trust
    for text in ("[]", "{}", '{"force": {"of": "force"}, "insertion": {}}'):
        (tmp_path / "trust.json").write_text(text)
        with pytest.raises(BadInputError, match=r"trust\.json"):
            load_decision(tmp_path)

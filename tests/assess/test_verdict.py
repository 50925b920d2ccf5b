"""Convergence limits from both sides."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from alh2.assess.verdict import Measured, judge
from alh2.config.model import ConvergeConfig

GOOD = Measured(0.95, 0.02, 0.10, 0.03, -0.01)
LIMITS = ConvergeConfig(0.95, 0.02, 0.10, 0.03, 0.01, 2, 10)
NONE = ConvergeConfig(None, None, None, None, None, 2, 10)
NAMES = {
    "accurate_fraction": ("accurate fraction", -1),
    "insertion_spread_ev": ("insertion spread", 1),
    "force_rmse_ev_ang": ("held-out force RMSE", 1),
    "insertion_rmse_ev": ("insertion RMSE", 1),
    "insertion_mean_ev": ("insertion mean error", 1),
}


def test_all_limits_met_exactly_at_the_limit() -> None:
    verdict = judge(LIMITS, GOOD)
    assert verdict.met and verdict.words.startswith("all limits met: ")
    assert all(words in verdict.words for words, _ in NAMES.values())
    assert "insertion spread 20 ≤ 20 meV" in verdict.words and "accurate fraction 0.95 ≥ 0.95" in verdict.words


@pytest.mark.parametrize("field", NAMES)
def test_each_limit_alone_misses_just_beyond_it(field: str) -> None:
    words, direction = NAMES[field]
    limit = getattr(LIMITS, field)
    for limits in (LIMITS, replace(NONE, **{field: limit})):
        missed = judge(limits, replace(GOOD, **{field: math.nextafter(limit, direction * math.inf)}))
        assert not missed.met and missed.words.startswith(f"not met: {words}") and ";" not in missed.words
        within = judge(limits, replace(GOOD, **{field: math.nextafter(limit, -direction * math.inf)}))
        assert within.met
    assert judge(replace(LIMITS, **{field: None}), replace(GOOD, **{field: direction * 9e9})).met


@pytest.mark.parametrize("field", NAMES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_was_not_measured_is_never_met(field: str, value: float) -> None:
    verdict = judge(LIMITS, replace(GOOD, **{field: value}))
    assert not verdict.met and f"{NAMES[field][0]}" in verdict.words and "not measured" in verdict.words
    assert judge(replace(LIMITS, **{field: None}), replace(GOOD, **{field: value})).met


def test_mean_error_counts_with_either_sign() -> None:
    for sign in (-1, 1):
        assert judge(LIMITS, replace(GOOD, insertion_mean_ev=sign * 0.01)).met
        assert not judge(LIMITS, replace(GOOD, insertion_mean_ev=sign * 0.011)).met


def test_without_limits_nothing_converges() -> None:
    verdict = judge(NONE, GOOD)
    assert not verdict.met and "no convergence limits" in verdict.words


def test_all_misses_are_told() -> None:
    verdict = judge(LIMITS, Measured(0.5, 1.0, 1.0, 1.0, 1.0))
    assert verdict.words.count(";") == 4 and "accurate fraction 0.5 < 0.95" in verdict.words

"""Edges of the trust bands."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from alh2.select.bands import trust_band

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("devi", "band"),
    [
        (0.0, "accurate"),
        (math.nextafter(0.15, 0.0), "accurate"),
        (0.15, "candidate"),
        (math.nextafter(0.60, 0.0), "candidate"),
        (0.60, "failed"),
        (1e3, "failed"),
        (INF, "failed"),
        (-INF, "failed"),
        (NAN, "failed"),
    ],
)
def test_force_levels_are_those_of_dpgen(devi, band, config, node_frames, explored_as):
    found, reason = trust_band(explored_as(node_frames[0], devi), config)
    assert found == band and "max_devi_f" in reason


@pytest.mark.parametrize(
    ("devi", "spread", "band", "words"),
    [
        (0.05, 0.02, "accurate", "max_devi_f 0.05 < 0.15"),
        (0.05, 0.021, "candidate", "insertion spread 0.021 eV > 0.02 eV"),
        (0.20, 0.30, "candidate", "max_devi_f 0.2 in [0.15, 0.6)"),
        (0.60, 0.30, "failed", "max_devi_f 0.6 ≥ 0.6"),
        (0.05, NAN, "failed", "insertion spread is nan"),
        (0.05, INF, "failed", "insertion spread is inf"),
        (NAN, 0.30, "failed", "max_devi_f is nan"),
    ],
)
def test_insertion_spread_makes_candidates_below_hi(devi, spread, band, words, config, node_frames, explored_as):
    frame = explored_as(node_frames[0], devi, kind="gcmc", devi_insertion_ev=spread)
    assert trust_band(frame, config) == (band, words)


def test_equal_levels_leave_no_candidates(config, node_frames, explored_as):
    same = replace(config, f_trust_lo_ev_ang=0.3, f_trust_hi_ev_ang=0.3)
    assert [trust_band(explored_as(node_frames[0], d), same)[0] for d in (0.29, 0.3)] == ["accurate", "failed"]


def test_every_system_has_levels_of_its_own(config, node_frames, explored_as):
    levels = ((0.05, 0.2), (0.3, 0.9))
    own = replace(config, f_trust_lo_ev_ang=0.05, f_trust_hi_ev_ang=0.9, f_trust_per_system=levels)
    first, second = (explored_as(node_frames[0], 0.25, task=f"task.{k:03d}.000004") for k in (0, 1))
    assert [trust_band(frame, own)[0] for frame in (first, second)] == ["failed", "accurate"]
    monte_carlo = explored_as(node_frames[0], 0.25, kind="gcmc", task="gcmc.000000", devi_insertion_ev=0.0)
    assert trust_band(monte_carlo, own)[0] == "candidate"

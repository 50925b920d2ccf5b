"""Occupancies and residence times of processes whose rates are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from alh2.analysis.sites import at_sites, residence_time, site_statistics
from alh2.core.frames import Frame


def two_states(rng: np.random.Generator, *, stay_ps: float, away_ps: float, dt_ps: float, n: int) -> np.ndarray:
    """(n, 1, 1) states of a two-state Markov process seen every `dt_ps`; exact for any step."""
    rate = 1 / stay_ps + 1 / away_ps
    share = stay_ps / (stay_ps + away_ps)
    mixed = 1 - math.exp(-rate * dt_ps)
    here = np.empty(n, dtype=bool)
    here[0] = rng.random() < share
    draws = rng.random(n)
    for i in range(1, n):
        here[i] = draws[i] < (share * mixed + (1 - mixed) * here[i - 1])
    return here[:, None, None]


@pytest.mark.physics
def test_two_state_process_has_its_residence_time() -> None:
    """Stays of 5 ps, absences of 20 ps, seen every 0.1 ps in 10 runs of 600 ps."""
    rng = np.random.default_rng(1)
    states = [two_states(rng, stay_ps=5.0, away_ps=20.0, dt_ps=0.1, n=6000) for _ in range(10)]
    found = residence_time(states, dt_ps=0.1)
    assert found.n_departures > 200 and found.error_ps == pytest.approx(found.mean_ps / math.sqrt(found.n_departures))
    assert abs(found.mean_ps - 5.0) < 4 * found.error_ps
    assert found.occupied_ps == pytest.approx(10 * 600 * 5 / 25, rel=0.3)


@pytest.mark.physics
def test_errors_are_the_scatter_of_repeated_runs() -> None:
    rng = np.random.default_rng(2)
    found = [
        residence_time([two_states(rng, stay_ps=2.0, away_ps=4.0, dt_ps=0.05, n=3000)], dt_ps=0.05) for _ in range(30)
    ]
    scatter = np.std([r.mean_ps for r in found], ddof=1)
    assert 0.6 < scatter / np.mean([r.error_ps for r in found]) < 1.5


def test_stays_that_never_end_have_no_time() -> None:
    found = residence_time([np.ones((100, 2, 3), dtype=bool)], dt_ps=0.1)
    assert math.isnan(found.mean_ps) and found.n_departures == 0
    assert found.occupied_ps == pytest.approx(99 * 6 * 0.1)


def frame_at(distance_ang: float) -> Frame:
    """One Al at the cell's corner and one H2 whose centre is that far away, across the boundary."""
    middle = np.array([10.0 - distance_ang, 0.0, 0.0])
    bond = np.array([0.0, 0.37, 0.0])
    return Frame(("Al", "H", "H"), np.array([[0.0, 0.0, 0.0], middle - bond, middle + bond]), 10.0 * np.eye(3), 1, "x")


def test_flickering_across_one_limit_is_one_stay() -> None:
    """3.0 enters, 3.8 and 4.1 are still at the site, 4.3 is away, 3.8 stays away, 3.3 enters again."""
    frames = [frame_at(r) for r in (4.0, 3.0, 3.8, 4.1, 4.3, 3.8, 3.3, 2.7)]
    states = at_sites(frames, [0])[:, 0, 0]
    assert states.tolist() == [False, True, True, True, False, False, True, True]
    found = site_statistics([frames, frames], [0], dt_ps=1.0)
    assert found.occupancy[0].mean == found.mean_occupancy.mean == 5 / 8
    assert found.residence.n_departures == 2 and found.residence.occupied_ps == 8.0
    still = site_statistics([frames[1:4]], [0], dt_ps=1.0)
    assert still.mean_occupancy.mean == 1.0 and math.isnan(still.mean_occupancy.standard_error)
    with pytest.raises(ValueError, match="enter <= leave"):
        at_sites(frames, [0], enter_ang=3.0, leave_ang=2.0)

"""Quotas, duplicates and what the diverse choice prefers, on points whose answer is known."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from alh2.select.diverse import Candidates, Limits, choose_diverse, even_shares

ONE_GROUP = ("node", 6, 77.0)


def candidates(points, *, excess=None, groups=None) -> Candidates:
    points = np.atleast_2d(np.asarray(points, dtype=float))
    n = len(points)
    return Candidates(points, np.ones(n) if excess is None else np.asarray(excess), groups or [ONE_GROUP] * n)


def picks(found: Candidates, labelled, n, *, total=None, duplicate=0.0) -> list[int]:
    labelled = np.asarray(labelled, dtype=float).reshape(-1, found.points.shape[1])
    return [p.index for p in choose_diverse(found, labelled, Limits(n, total, duplicate)).picks]


@pytest.mark.parametrize(
    ("total", "sizes", "shares"),
    [
        (10, [5, 5, 5], [4, 3, 3]),
        (10, [1, 20, 20], [1, 5, 4]),
        (7, [1, 1, 1], [1, 1, 1]),
        (0, [3, 3], [0, 0]),
        (2, [3, 3, 3], [1, 1, 0]),
        (5, [], []),
    ],
)
def test_even_shares(total, sizes, shares):
    assert even_shares(total, sizes) == shares


def test_even_shares_are_even_and_use_all():
    rng = np.random.default_rng(1)
    for _ in range(200):
        sizes = rng.integers(0, 30, 6).tolist()
        total = int(rng.integers(0, 120))
        shares = even_shares(total, sizes)
        assert sum(shares) == min(total, sum(sizes))
        assert all(0 <= share <= size for share, size in zip(shares, sizes, strict=True))
        unfilled = [share for share, size in zip(shares, sizes, strict=True) if share < size]
        assert not unfilled or max(shares) - min(unfilled) <= 1


def test_every_cluster_has_its_turn_and_the_labelled_one_comes_last():
    rng = np.random.default_rng(2)
    centres = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    points = np.concatenate([c + 0.1 * rng.standard_normal((20, 2)) for c in centres])
    chosen = picks(candidates(points), centres[:1], 3)
    assert sorted(i // 20 for i in chosen) == [1, 2, 3]


def test_a_crowd_comes_before_a_single_outlier_of_the_same_distance():
    rng = np.random.default_rng(3)
    crowd = np.array([6.0, 0.0]) + 0.3 * rng.standard_normal((30, 2))
    found = candidates(np.concatenate([[[-7.0, 0.0]], crowd]))
    labelled = [[-1.0, 0.0], [1.0, 0.0]]
    assert picks(found, labelled, 1)[0] > 0
    assert 0 in picks(found, labelled, 2)


def test_twice_the_uncertainty_outweighs_less_than_twice_the_distance():
    found = candidates([[1.0], [-1.9]], excess=[2.0, 1.0])
    assert picks(found, [[0.0]], 1) == [0]
    assert picks(candidates([[1.0], [-2.1]], excess=[2.0, 1.0]), [[0.0]], 1) == [1]


def test_duplicates_of_labelled_and_picked_frames_are_named():
    found = candidates([[0.01], [5.0], [5.01], [9.0]])
    choice = choose_diverse(found, np.array([[0.0]]), Limits(9, None, 0.1))
    assert sorted(p.index for p in choice.picks) == [1, 3] or sorted(p.index for p in choice.picks) == [2, 3]
    by_index = {d.index: d for d in choice.duplicates}
    assert by_index[0].of is None and by_index[0].distance == pytest.approx(0.01)
    other = ({1, 2} - {p.index for p in choice.picks}).pop()
    assert by_index[other].of == 3 - other and by_index[other].distance == pytest.approx(0.01)
    assert len(picks(found, [[0.0]], 9)) == 4  # a threshold of zero keeps all


def test_temperatures_share_evenly_and_what_one_lacks_goes_to_the_others():
    rng = np.random.default_rng(4)
    groups = [("node", 6, 77.0)] * 40 + [("node", 6, 10.0)] * 40 + [("node", 6, 300.0)] * 2
    points = np.concatenate([rng.standard_normal((40, 3)), 0.1 * rng.standard_normal((40, 3)), np.zeros((2, 3))])
    chosen = picks(candidates(points, groups=groups), [[0.0, 0.0, 9.0]], 12)
    assert Counter(groups[i][2] for i in chosen) == {77.0: 5, 10.0: 5, 300.0: 2}
    starved = candidates(points[:41], groups=groups[:40] + [("node", 6, 10.0)])
    assert len(picks(starved, [[0.0, 0.0, 9.0]], 12)) == 12


def test_systems_share_the_total_and_keep_their_cap():
    rng = np.random.default_rng(5)
    groups = [("node", n, 77.0) for n in (1, 2, 3) for _ in range(20)]
    found = candidates(rng.standard_normal((60, 3)), groups=groups)
    assert Counter(groups[i][1] for i in picks(found, [[0.0] * 3], 8, total=9)) == {1: 3, 2: 3, 3: 3}
    assert Counter(groups[i][1] for i in picks(found, [[0.0] * 3], 2, total=9)) == {1: 2, 2: 2, 3: 2}
    assert len(picks(found, [[0.0] * 3], 8, total=9)) == 9


def test_what_duplicates_leave_free_goes_to_other_systems():
    rng = np.random.default_rng(6)
    groups = [("node", 1, 77.0)] * 20 + [("node", 2, 77.0)] * 20
    points = np.concatenate([0.001 * rng.standard_normal((20, 2)) + 5.0, rng.standard_normal((20, 2))])
    chosen = picks(candidates(points, groups=groups), [[9.0, 9.0]], 10, total=10, duplicate=0.05)
    assert Counter(groups[i][1] for i in chosen) == {1: 1, 2: 9}


def test_without_labelled_frames_and_without_candidates():
    found = candidates([[0.0], [0.1], [4.0]])
    assert picks(found, [], 1) == [2]
    assert picks(candidates(np.empty((0, 1)), groups=[]), [[0.0]], 3) == []


def test_covers_the_candidates_better_than_chance():
    """Mean distance to the nearest labelled or picked frame, on points of very different density."""
    rng = np.random.default_rng(7)
    spread = np.exp(rng.normal(0.0, 1.0, (400, 1)))
    points = spread * rng.standard_normal((400, 4))
    labelled = 0.3 * rng.standard_normal((20, 4))

    def left(chosen):
        centres = np.concatenate([labelled, points[list(chosen)]])
        return np.linalg.norm(points[:, None] - centres[None], axis=2).min(axis=1).mean()

    by_chance = [left(rng.choice(400, 30, replace=False)) for _ in range(50)]
    assert left(picks(candidates(points), labelled, 30)) < np.mean(by_chance) - 3 * np.std(by_chance)

"""Seeds by name: stable over versions, different for every task of a long campaign."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alh2.core.random_streams import seed_for, stream

part = st.one_of(st.integers(-3, 200), st.text(max_size=4))


def campaign_paths() -> list[tuple[str | int, ...]]:
    """Names of the streams of 60 iterations."""
    paths: list[tuple[str | int, ...]] = [("bootstrap",), ("split",), ("structure", "oh"), ("structure", "h2")]
    for i in range(60):
        paths += [("select", i), ("heldout-pick", i)]
        paths += [("train", i, t, m, a) for t in ("total", "interaction") for m in range(4) for a in range(3)]
        paths += [(kind, i, s, k) for kind in ("md", "md-start") for s in range(4) for k in range(5)]
        paths += [(kind, i, k) for kind in ("gcmc", "gcmc-start", "heldout", "heldout-start") for k in range(12)]
    paths += [("isotherm", k) for k in range(30)] + [("production-start", n) for n in range(30)]
    return paths


def test_no_two_streams_of_a_campaign_share_a_seed() -> None:
    paths = campaign_paths()
    for root in (1, 7, 2024):
        seeds = [seed_for(root, *path) for path in paths]
        assert len(set(paths)) == len(paths) and len(set(seeds)) == len(seeds)
        assert min(seeds) > 0 and max(seeds) < 2**31


def test_values_are_those_of_the_first_version() -> None:
    assert [seed_for(7, "train", 0, "total", 2, 0), seed_for(1, "md", 3, 0, 1)] == [225435518, 1315872036]
    assert stream(7, "select", 0).integers(10**9, size=3).tolist() == [962588588, 892942322, 561715684]


def test_streams_repeat_and_do_not_touch_each_other() -> None:
    first = stream(3, "a", 1).random(5)
    stream(3, "a", 2).random(5)
    assert stream(3, "a", 1).random(5).tolist() == first.tolist()
    assert abs(first - stream(3, "a", 2).random(5)).min() > 0


@given(st.lists(part, max_size=4), st.lists(part, max_size=4))
def test_only_equal_names_share_a_seed(a: list[str | int], b: list[str | int]) -> None:
    assert (seed_for(5, *a) == seed_for(5, *b)) == ([str(x) for x in a] == [str(x) for x in b])

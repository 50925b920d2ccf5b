"""Choice of candidates that tell most: uncertain, far from what is labelled, and many others near them.

Largest cluster, maximum distance (LCMD; Holzmüller, Zaverkin, Kästner & Steinwart, J. Mach. Learn. Res. 2023, 24,
164): every candidate belongs to the nearest frame that is labelled or picked already. The next pick comes from the
cluster whose candidates are worst described, Σ d² u² largest, and is the one in it with the largest d² u². d is the
distance in descriptor space, u how many times a candidate exceeds its trust level: by its force deviation or by its
spread of insertion energies, whichever is more. Unlike plain farthest-point selection this does not spend labels on
outliers that represent nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Group = tuple[str, int, float]
"""Host id, number of H2, temperature (K): candidates that share a quota."""
System = tuple[str, int]

ROWS_PER_CALL = 500
"""Candidates compared with all labelled frames at once (500 x 4000 distances: 16 MB)."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """What the choice knows of the candidates, one entry each.

    points : (n, k) in descriptor space; excess : (n,) ≥ 1, how many times the trust level is exceeded
    groups : host, loading and temperature of each
    """

    points: np.ndarray
    excess: np.ndarray
    groups: Sequence[Group]


@dataclass(frozen=True)
class Limits:
    """How many may be picked.

    per_system : most of one host and loading; total : most in all, None for no limit
    duplicate_distance : candidates closer than this to a labelled or picked frame are not picked
    """

    per_system: int
    total: int | None
    duplicate_distance: float


@dataclass(frozen=True)
class Pick:
    """A picked candidate: its index, and its distance from the nearest labelled or picked frame when it was picked."""

    index: int
    distance: float


@dataclass(frozen=True)
class Duplicate:
    """A candidate left out as a duplicate; `of` is the picked candidate that it resembles, None: a labelled frame."""

    index: int
    distance: float
    of: int | None


@dataclass(frozen=True)
class Choice:
    """Picks in the order they were made, and duplicates."""

    picks: tuple[Pick, ...]
    duplicates: tuple[Duplicate, ...]


def choose_diverse(candidates: Candidates, labelled: np.ndarray, limits: Limits) -> Choice:
    """Pick candidates given the points `labelled` (m, k) of frames that have a label; no chance is involved.

    Quotas: systems share `limits.total` evenly, temperatures share what their system has; what one cannot use goes to
    the others of its system, then to other systems. Without labelled frames the middle of all candidates stands in.
    """
    n = len(candidates.points)
    if not n:
        return Choice((), ())
    centres = labelled if len(labelled) else candidates.points.mean(axis=0, keepdims=True)
    state = _State(candidates, centres)
    least = limits.duplicate_distance
    duplicates = []
    if len(labelled):
        duplicates = [Duplicate(int(i), float(state.distance[i]), None) for i in np.flatnonzero(state.distance < least)]
        state.alive[[d.index for d in duplicates]] = False
    systems: list[System] = [group[:2] for group in candidates.groups]
    picks: list[Pick] = []
    taken: Counter[Group | System] = Counter()
    most = n if limits.total is None else limits.total
    for quotas in _phases(candidates.groups, systems, state.alive, limits):
        while len(picks) < most:
            open_ = [
                taken[g] < quotas.get(g, n) and taken[s] < quotas.get(s, n)
                for g, s in zip(candidates.groups, systems, strict=True)
            ]
            chosen = state.next(np.array(open_) & state.alive)
            if chosen is None:
                break
            picks.append(Pick(chosen, float(state.distance[chosen])))
            taken[candidates.groups[chosen]] += 1
            taken[systems[chosen]] += 1
            state.add(chosen)
            near = np.flatnonzero(state.alive & (state.distance < least))
            duplicates += [Duplicate(int(i), float(state.distance[i]), chosen) for i in near]
            state.alive[near] = False
    return Choice(tuple(picks), tuple(duplicates))


def even_shares(total: int, sizes: Sequence[int]) -> list[int]:
    """Parts of `total`, none above its size, as even as that allows; the first ones take what is left over."""
    shares = [0] * len(sizes)
    left = min(total, sum(sizes))
    while left:
        hungry = [i for i, size in enumerate(sizes) if shares[i] < size]
        each = max(1, left // len(hungry))
        for i in hungry:
            given = min(each, sizes[i] - shares[i], left)
            shares[i] += given
            left -= given
    return shares


class _State:
    """Distances to the nearest centre while picks become centres."""

    def __init__(self, candidates: Candidates, centres: np.ndarray) -> None:
        self._points = candidates.points
        self._weight = candidates.excess**2
        self.owner, self.distance = _nearest(candidates.points, centres)
        self.alive = np.ones(len(candidates.points), dtype=bool)
        self._n_centres = len(centres)

    def next(self, open_: np.ndarray) -> int | None:
        """The candidate to pick among `open_`, None where there is none."""
        if not open_.any():
            return None
        score = np.where(open_, self.distance**2 * self._weight, -1.0)
        sums = np.bincount(self.owner, np.maximum(score, 0.0), minlength=self._n_centres)
        present = np.bincount(self.owner[open_], minlength=self._n_centres) > 0
        worst = int(np.argmax(np.where(present, sums, -1.0)))
        return int(np.argmax(np.where(self.owner == worst, score, -2.0)))

    def add(self, index: int) -> None:
        """Make candidate `index` a centre."""
        self.alive[index] = False
        distance = np.linalg.norm(self._points - self._points[index], axis=1)
        closer = distance < self.distance
        self.distance[closer] = distance[closer]
        self.owner[closer] = self._n_centres
        self._n_centres += 1


def _nearest(points: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the nearest of `centres` and its distance, for each of `points`."""
    from scipy.spatial.distance import cdist

    owner = np.empty(len(points), dtype=np.int64)
    distance = np.empty(len(points))
    for first in range(0, len(points), ROWS_PER_CALL):
        part = slice(first, first + ROWS_PER_CALL)
        between = cdist(points[part], centres)
        owner[part] = between.argmin(axis=1)
        distance[part] = between.min(axis=1)
    return owner, distance


def _phases(
    groups: Sequence[Group], systems: Sequence[System], alive: np.ndarray, limits: Limits
) -> list[dict[Group | System, int]]:
    """Quotas of each round: temperatures and systems; systems alone; the cap per system alone."""
    group_sizes = Counter(g for g, there in zip(groups, alive, strict=True) if there)
    system_sizes = Counter(s for s, there in zip(systems, alive, strict=True) if there)
    names = sorted(system_sizes)
    capped = [min(limits.per_system, system_sizes[s]) for s in names]
    shares = even_shares(sum(capped) if limits.total is None else limits.total, capped)
    per_system: dict[Group | System, int] = dict.fromkeys(systems, 0)
    per_system.update(zip(names, shares, strict=True))
    per_group: dict[Group | System, int] = dict(per_system)
    for system, share in zip(names, shares, strict=True):
        own = sorted(g for g in group_sizes if g[:2] == system)
        per_group.update(zip(own, even_shares(share, [group_sizes[g] for g in own]), strict=True))
    return [per_group, per_system, dict.fromkeys(systems, limits.per_system)]

"""Which explored frames go to labelling, and why each other one does not."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from alh2.config.model import SelectConfig
from alh2.core.explored import ExploredFrame, SelectionVerdict
from alh2.core.frames import Frame
from alh2.potential.descriptors import FrameFeatures
from alh2.select.bands import Band, trust_band
from alh2.select.diverse import Candidates, Group, Limits, System, choose_diverse, even_shares
from alh2.select.sanity import HostBonds, find_insane

LEAST_TRUST_EV_ANG = 1e-3
"""Trust levels below it, zero included, count as this one where deviations are compared with them."""


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What the diverse choice compares candidates with.

    labelled : frames that have a label, or will have one in any case
    describe : features of frames, in order (a task of the campaign; called once, with candidates and labelled frames)
    """

    labelled: Sequence[Frame]
    describe: Callable[[Sequence[Frame]], FrameFeatures]


@dataclass(eq=False)
class _Judged:
    """Bands and reasons of all explored frames, and the candidates that may be picked, by system."""

    bands: list[Band] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    eligible: dict[System, list[int]] = field(default_factory=lambda: defaultdict(list))


def select_frames(
    explored: Sequence[ExploredFrame],
    *,
    config: SelectConfig,
    known_digests: set[str],
    bonds: HostBonds,
    rng: np.random.Generator,
    surroundings: Surroundings | None = None,
) -> list[SelectionVerdict]:
    """One verdict per explored frame, in their order.

    Candidates that are sane, not labelled yet and not seen before compete within their system (host and loading): at
    most ``fp_task_max`` are picked, and at most ``max_labels`` in all; where there are fewer than ``fp_task_min`` of
    them none is (DP-GEN's rule). ``method`` says how: at random but evenly over exploration tasks, or by what they add
    to `surroundings` (see :func:`alh2.select.diverse.choose_diverse`). The same `explored` and the same state of `rng`
    give the same picks.

    Parameters
    ----------
    known_digests : digests of frames that have a label or are in quarantine
    bonds : of the host
    surroundings : needed by the method "diverse"

    Raises
    ------
    BadInputError
        where the bonds do not belong to the host of a frame.
    """
    judged = _judge(explored, config, known_digests, bonds)
    _drop_small(judged, config)
    if config.method == "diverse" and surroundings is not None:
        picked = _pick_diverse(explored, judged, config, rng, surroundings)
    else:
        picked = _pick_random(explored, judged, config, rng)
    return [
        SelectionVerdict(item, band, reason, index in picked)
        for index, (item, band, reason) in enumerate(zip(explored, judged.bands, judged.reasons, strict=True))
    ]


def _judge(explored: Sequence[ExploredFrame], config: SelectConfig, known: set[str], bonds: HostBonds) -> _Judged:
    insane = find_insane([item.frame for item in explored], config, bonds)
    judged = _Judged()
    first_seen: dict[str, ExploredFrame] = {}
    for index, item in enumerate(explored):
        band, reason = trust_band(item, config)
        problem = insane[index]
        if problem is not None:
            band, reason = "failed", problem
        elif band == "candidate":
            digest = item.frame.digest
            if digest in known:
                reason = "already labelled"
            elif digest in first_seen:
                reason = f"duplicate of {first_seen[digest].task} step {first_seen[digest].step}"
            else:
                first_seen[digest] = item
                judged.eligible[(item.frame.host_id, item.frame.n_h2)].append(index)
        judged.bands.append(band)
        judged.reasons.append(reason)
    return judged


def _drop_small(judged: _Judged, config: SelectConfig) -> None:
    """Systems with too few candidates get none."""
    for system in list(judged.eligible):
        members = judged.eligible[system]
        number = min(config.fp_task_max, len(members))
        if number < config.fp_task_min:
            for index in members:
                judged.reasons[index] += f"; {number} candidates, fewer than fp_task_min {config.fp_task_min}"
            del judged.eligible[system]


def _pick_random(
    explored: Sequence[ExploredFrame], judged: _Judged, config: SelectConfig, rng: np.random.Generator
) -> set[int]:
    """Indices picked; completes the reasons of the candidates that were left out."""
    picked: set[int] = set()
    systems = sorted(judged.eligible)
    sizes = [min(config.fp_task_max, len(judged.eligible[s])) for s in systems]
    shares = even_shares(sum(sizes) if config.max_labels is None else config.max_labels, sizes)
    for system, share, size in zip(systems, shares, sizes, strict=True):
        members = judged.eligible[system]
        chosen = set(_spread_over_tasks(explored, members, rng)[:share])
        beyond = f"fp_task_max {config.fp_task_max}"
        if share < size:
            beyond = f"{share}, the share of {system[1]} H2 in max_labels {config.max_labels}"
        for index in members:
            if index not in chosen:
                judged.reasons[index] += f"; beyond {beyond}"
        picked |= chosen
    return picked


def _spread_over_tasks(explored: Sequence[ExploredFrame], members: list[int], rng: np.random.Generator) -> list[int]:
    """`members` in random order such that every task has had its turn before any has the next."""
    by_task: dict[str, list[int]] = defaultdict(list)
    for index in members:
        by_task[explored[index].task].append(index)
    turns: list[tuple[int, float, int]] = []
    for task in sorted(by_task):
        for turn, position in enumerate(rng.permutation(len(by_task[task]))):
            turns.append((turn, float(rng.random()), by_task[task][position]))
    return [index for *_, index in sorted(turns)]


def _pick_diverse(
    explored: Sequence[ExploredFrame],
    judged: _Judged,
    config: SelectConfig,
    rng: np.random.Generator,
    surroundings: Surroundings,
) -> set[int]:
    """Indices picked; completes the reasons of all candidates that competed."""
    pool = _pool(explored, judged, config, rng)
    compared = set(pool)
    for index in (i for members in judged.eligible.values() for i in members if i not in compared):
        judged.reasons[index] += f"; not among the {len(pool)} candidates that were compared"
    if not pool:
        return set()
    points = surroundings.describe([*(explored[i].frame for i in pool), *surroundings.labelled]).points()
    excess = np.array([excess_over_trust(explored[i], config) for i in pool])
    candidates = Candidates(points[: len(pool)], excess, [_group(explored[i]) for i in pool])
    limits = Limits(config.fp_task_max, config.max_labels, config.duplicate_distance)
    choice = choose_diverse(candidates, points[len(pool) :], limits)
    told: dict[int, str] = {}
    for order, pick in enumerate(choice.picks, start=1):
        told[pick.index] = (
            f"pick {order}, {excess[pick.index]:.3g} × its trust level, {pick.distance:.3g} from what has a label"
        )
    for copy in choice.duplicates:
        other = "a labelled frame" if copy.of is None else f"{_named(explored[pool[copy.of]])}, which is picked"
        told[copy.index] = f"{copy.distance:.3g} from {other}, less than {config.duplicate_distance:g}"
    for position, index in enumerate(pool):
        judged.reasons[index] += f"; {told.get(position, 'adds less than those picked')}"
    return {pool[pick.index] for pick in choice.picks}


def excess_over_trust(item: ExploredFrame, config: SelectConfig) -> float:
    """How many times `item` exceeds its trust level: the larger of force deviation and insertion spread."""
    spread = item.devi_insertion_ev
    found = [item.max_devi_f_ev_ang / max(config.f_trust(item.system)[0], LEAST_TRUST_EV_ANG)]
    if spread is not None and math.isfinite(spread):
        found.append(spread / config.insertion_trust_lo_ev)
    return max(found)


def _pool(
    explored: Sequence[ExploredFrame], judged: _Judged, config: SelectConfig, rng: np.random.Generator
) -> list[int]:
    """Candidates to compare, at most ``pool`` of them, evenly over loadings and temperatures.

    Where a group has more than its share, half of it are those that exceed their trust level most, half are spread
    over the exploration tasks.
    """
    groups: dict[Group, list[int]] = defaultdict(list)
    for members in judged.eligible.values():
        for index in members:
            groups[_group(explored[index])].append(index)
    names = sorted(groups)
    pool: list[int] = []
    for name, share in zip(names, even_shares(config.pool, [len(groups[g]) for g in names]), strict=True):
        members = groups[name]
        if share < len(members):
            worst = sorted(members, key=lambda i: (-excess_over_trust(explored[i], config), i))[: share // 2]
            taken = set(worst)
            others = _spread_over_tasks(explored, [i for i in members if i not in taken], rng)
            members = worst + others[: share - len(worst)]
        pool += sorted(members)
    return pool


def _group(item: ExploredFrame) -> Group:
    return item.frame.host_id, item.frame.n_h2, item.temperature_k


def _named(item: ExploredFrame) -> str:
    return f"{item.task} step {item.step}"

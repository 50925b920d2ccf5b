"""Which explored frames go to labelling, and why each other one does not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from alh2.config.model import SelectConfig
from alh2.core.explored import ExploredFrame, SelectionVerdict
from alh2.select.bands import Band, trust_band
from alh2.select.sanity import HostBonds, find_insane

System = tuple[str, int]
"""Host id and number of H2: frames of one composition on one host."""


def select_frames(
    explored: Sequence[ExploredFrame],
    *,
    config: SelectConfig,
    known_digests: set[str],
    host_bonds: np.ndarray,
    host_bond_lengths_ang: np.ndarray,
    rng: np.random.Generator,
) -> list[SelectionVerdict]:
    """One verdict per explored frame, in their order.

    Candidates that are sane, not labelled yet and not seen before compete within their system (host and loading): at
    most ``fp_task_max`` are picked, at random but evenly over exploration tasks; where there are fewer than
    ``fp_task_min`` of them none is (DP-GEN's rule). The same `explored` and the same state of `rng` give the same
    picks.

    Parameters
    ----------
    known_digests : digests of frames that have a label or are in quarantine
    host_bonds, host_bond_lengths_ang : (n_bonds, 2) host atom indices and (n_bonds,) lengths in the reference geometry

    Raises
    ------
    BadInputError
        where the bonds do not belong to the host of a frame.
    """
    bonds = HostBonds(host_bonds, host_bond_lengths_ang)
    insane = find_insane([item.frame for item in explored], config, bonds)
    bands: list[Band] = []
    reasons: list[str] = []
    eligible: dict[System, list[int]] = defaultdict(list)
    first_seen: dict[str, ExploredFrame] = {}
    for index, item in enumerate(explored):
        band, reason = trust_band(item, config)
        problem = insane[index]
        if problem is not None:
            band, reason = "failed", problem
        elif band == "candidate":
            digest = item.frame.digest
            if digest in known_digests:
                reason = "already labelled"
            elif digest in first_seen:
                reason = f"duplicate of {first_seen[digest].task} step {first_seen[digest].step}"
            else:
                first_seen[digest] = item
                eligible[(item.frame.host_id, item.frame.n_h2)].append(index)
        bands.append(band)
        reasons.append(reason)
    picked = _pick(explored, eligible, reasons, config, rng)
    return [
        SelectionVerdict(item, band, reason, index in picked)
        for index, (item, band, reason) in enumerate(zip(explored, bands, reasons, strict=True))
    ]


def _pick(
    explored: Sequence[ExploredFrame],
    eligible: dict[System, list[int]],
    reasons: list[str],
    config: SelectConfig,
    rng: np.random.Generator,
) -> set[int]:
    """Indices picked; completes `reasons` of the candidates that were left out."""
    picked: set[int] = set()
    for system in sorted(eligible):
        members = eligible[system]
        number = min(config.fp_task_max, len(members))
        if number < config.fp_task_min:
            for index in members:
                reasons[index] += f"; {number} candidates, fewer than fp_task_min {config.fp_task_min}"
            continue
        chosen = set(_spread_over_tasks(explored, members, rng)[:number])
        for index in members:
            if index not in chosen:
                reasons[index] += f"; beyond fp_task_max {config.fp_task_max}"
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

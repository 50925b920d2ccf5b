"""The curriculum over loadings: what each rung explores, where it starts from, and how a target is extended.

The state names the first iteration of every rung begun so far. An iteration works with the param file as its rung
changes it (`at_iteration`); the order of stages stays in the loop.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from alh2.campaign.context import Campaign
from alh2.campaign.state import CampaignState
from alh2.config.curriculum import CurriculumConfig
from alh2.config.model import GcmcJob, ParamConfig
from alh2.core.atoms import from_atoms, to_atoms
from alh2.core.errors import BadInputError
from alh2.core.frames import Frame, Provenance
from alh2.explore.explored_file import TABLE_FILE, load_explored
from alh2.gcmc.fugacity import fugacity_bar
from alh2.select.sanity import HostBonds, find_insane
from alh2.structure.loading import load_h2

ALWAYS_GAS_K = 33.2
"""Above the critical temperature of hydrogen (33.145 K, Leachman et al. 2009) there is no condensation: grand-canonical
exploration. Below, Monte Carlo at fixed loadings alone."""


def rung_of(rung_starts: Sequence[int], iteration: int) -> int | None:
    """Rung that `iteration` belongs to; None before the first, and without a curriculum."""
    number = bisect_right(rung_starts, iteration) - 1
    return number if number >= 0 else None


def at_iteration(campaign: Campaign, state: CampaignState) -> Campaign:
    """The campaign as the state's iteration sees it: jobs and held-out loadings of its rung.

    Exploration starts from Monte Carlo of the rung before.
    """
    target, rung = campaign.param.curriculum, rung_of(state.rung_starts, state.iteration)
    if target is None or rung is None:
        return campaign
    first = state.rung_starts[rung]
    param = param_of_rung(campaign.param, target, rung, state.iteration - first)
    before = range(state.rung_starts[rung - 1], first) if rung and state.stage == "explore" else range(0)
    return replace(campaign, param=param, seeds=_sampled(campaign, before))


def rungs_in_words(param: ParamConfig) -> tuple[str, ...]:
    """Loadings of all rungs; () without a curriculum."""
    target = param.curriculum
    return () if target is None else tuple(target.words(rung) for rung in range(len(target.rungs)))


def has_next(param: ParamConfig, state: CampaignState) -> bool:
    """Whether a rung follows the one of the state's iteration."""
    return param.curriculum is not None and len(state.rung_starts) < len(param.curriculum.rungs)


def check_extension(param: ParamConfig, state: CampaignState) -> None:
    """Raise BadInputError where the param file takes back what the campaign has reached.

    A higher `max_loading` adds rungs at the end; nothing before them changes, so no finished task is run again.
    """
    begun = state.rungs[: len(state.rung_starts)]
    if rungs_in_words(param)[: len(begun)] != begun:
        raise BadInputError(
            f"{param.source.name}: alh2.curriculum",
            expected=f"loadings that begin with {'; '.join(begun)}, which this campaign has explored",
            found="; ".join(rungs_in_words(param)) or "no curriculum",
            action="only a higher max_loading extends a campaign; undo the change, or start anew in another --workdir",
        )


def param_of_rung(param: ParamConfig, target: CurriculumConfig, rung: int, position: int) -> ParamConfig:
    """The param file with what iteration `position` (from 0) of `rung` explores; it has no curriculum any more.

    Held-out insertions are those that end at a loading of the rung, N to N + 1 with N + 1 in it, and the first one
    into an empty host. Production asks about no more than what has been explored. The systems are those of the rung, so
    trust levels of the file's own systems do not count.
    """
    loadings, top = target.rungs[rung], target.top(rung)
    explore = param.explore
    template = explore.md_jobs[min(position, len(explore.md_jobs) - 1)]
    md = replace(template, sys_idx=tuple(range(len(loadings))), temperatures_k=target.temperatures_k)
    gcmc: tuple[GcmcJob, ...] = ()
    if explore.gcmc_jobs:
        jobs = explore.gcmc_jobs[min(position, len(explore.gcmc_jobs) - 1)]
        gcmc = tuple(_gcmc_job(jobs[0], target, loadings, top, kelvin) for kelvin in target.temperatures_k)
    assess = param.assess
    if assess is not None:
        assess = replace(assess, loadings=tuple(sorted({max(n - 1, 0) for n in loadings})))
    production = param.production
    if production is not None:  # a campaign may end before its highest rung
        starts = tuple(n for n in production.n_initial if n <= top) or (top,)
        production = replace(production, md_loading=min(production.md_loading, top), n_initial=starts)
    return replace(
        param,
        explore=replace(explore, md_jobs=(md,), gcmc_jobs=(gcmc,) if gcmc else (), loadings=loadings),
        select=replace(param.select, f_trust_per_system=()),
        assess=assess,
        production=production,
        curriculum=None,
    )


def _gcmc_job(
    template: GcmcJob, target: CurriculumConfig, loadings: Sequence[int], top: int, temperature_k: float
) -> GcmcJob:
    """Monte Carlo at one temperature: between the lowest pressure asked about and beyond the highest."""
    fixed = tuple(n for n in loadings if n)
    common = replace(template, temperatures_k=(temperature_k,), max_loading=top, canonical_loadings=fixed)
    if temperature_k < ALWAYS_GAS_K:
        return replace(common, fugacities_bar=(target.pressures_bar[0],), n_initial=())
    low = fugacity_bar(min(target.pressures_bar), temperature_k)
    high = target.fugacity_factor * fugacity_bar(max(target.pressures_bar), temperature_k)
    return replace(common, fugacities_bar=(low, high), n_initial=tuple(loadings))


def _sampled(campaign: Campaign, iterations: range) -> tuple[Frame, ...]:
    """Sane Monte Carlo frames of the last of `iterations` that has any."""
    for iteration in reversed(iterations):
        directory = campaign.paths.explore(iteration)
        if not (directory / TABLE_FILE).exists():
            continue
        frames = [e.frame for e in load_explored(directory) if e.kind == "gcmc"]
        no_bonds = HostBonds(np.empty((0, 2)), np.empty(0))  # hosts of Monte Carlo do not move
        insane = find_insane(frames, campaign.param.select, no_bonds)
        sane = tuple(f for f, problem in zip(frames, insane, strict=True) if problem is None)
        if sane:
            return sane
    return ()


def seeded_start(seeds: Sequence[Frame], n_h2: int, *, rng: np.random.Generator, min_distance_ang: float) -> Frame:
    """One of `seeds` nearest in loading, brought to `n_h2` molecules: removed, or added where there is room.

    Raises BadInputError where there is no room.
    """
    nearest = min(abs(f.n_h2 - n_h2) for f in seeds)
    alike = [f for f in seeds if abs(f.n_h2 - n_h2) == nearest]
    frame = alike[int(rng.integers(len(alike)))]
    while frame.n_h2 > n_h2:
        frame = frame.without_molecule(int(rng.integers(frame.n_h2)))
    atoms = load_h2(to_atoms(frame), n_h2 - frame.n_h2, rng=rng, min_distance_ang=min_distance_ang)
    return from_atoms(atoms, n_host=frame.n_host, host_id=frame.host_id, provenance=Provenance("bootstrap"))

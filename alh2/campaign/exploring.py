"""Stage *explore*: MD, GCMC and held-out Monte Carlo tasks of an iteration, and the frames they visited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from alh2.assess.heldout import pick_molecules, save_heldout
from alh2.campaign.context import Campaign
from alh2.campaign.curriculum import seeded_start
from alh2.config.model import GcmcJob
from alh2.core.atoms import from_atoms, to_atoms
from alh2.core.errors import NeedsPersonError
from alh2.core.explored import ExploredFrame
from alh2.core.files import link_file
from alh2.core.frames import Frame, Provenance
from alh2.core.gas import BOND_DECIMALS
from alh2.core.random_streams import seed_for, stream
from alh2.dataset.checks import require_insertion_energy_determined
from alh2.dispatch.run import run_tasks
from alh2.dispatch.tolerance import check_failures
from alh2.explore.deviation_worker import read_deviations
from alh2.explore.explored_file import TABLE_FILE, save_explored
from alh2.explore.gcmc import (
    DEVIATIONS_FILE,
    GcmcModels,
    GcmcTask,
    collect_gcmc,
    deviation_tasks,
    prepare_gcmc,
    sampled_frames,
)
from alh2.explore.gcmc_job import GcmcSpec
from alh2.explore.md import MdSetting, MdTask, collect_md, prepare_md
from alh2.potential.lammps_forces import FORCE_PAIRS_FILE, LammpsForces, forces_of
from alh2.structure.loading import load_h2

MAX_GCMC_SAMPLES = 200
MIN_GAS_LABELS = 6


def explore(campaign: Campaign, iteration: int) -> None:
    """Run all exploration tasks of `iteration` and write what they visited; repeatable."""
    directory = campaign.paths.explore(iteration)
    directory.mkdir(parents=True, exist_ok=True)
    if (directory / TABLE_FILE).exists():
        return
    models = link_models(campaign, iteration, directory)
    explored = _explore_md(campaign, iteration, directory, models)
    explored += _sample(campaign, iteration, directory, models)
    save_explored(directory, explored)


def link_models(campaign: Campaign, iteration: int, directory: Path) -> GcmcModels:
    """Link the models of `iteration` into `directory` (as DP-GEN does), so that tasks find them below their base."""
    force = campaign.force_committee
    engine = campaign.engine_committee
    graphs = {
        m.graph.name: m.graph
        for c in {force.target: force, engine.target: engine}.values()
        for m in campaign.members(c, iteration)
    }
    first = campaign.members(engine, iteration)[0]
    engines = {f"engine.{engine.target}.dp": first.engine}
    engines |= {f"engine.{m.target}.{m.index:03d}.pb": m.frozen for m in campaign.members(engine, iteration)[1:]}
    graphs.update(engines)
    under = {
        f"pair_baseline.{m.index:03d}.json": m.pair_baseline
        for m in campaign.members(engine, iteration)
        if m.pair_baseline.exists()
    }
    graphs.update(under)
    terms = campaign.members(force, iteration)[0].pair_baseline
    on_pairs = force.target == "total" and terms.exists()
    if on_pairs:
        graphs[FORCE_PAIRS_FILE] = terms
    for name, target in graphs.items():
        link_file(target, directory / name)
    interaction = campaign.param.committee("interaction")
    return GcmcModels(
        engine=directory / f"engine.{engine.target}.dp",
        force=tuple(directory / m.graph.name for m in campaign.members(force, iteration)),
        insertion=tuple(directory / m.graph.name for m in campaign.members(interaction or force, iteration)),
        pair_baselines=tuple(directory / name for name in under),
        force_pairs=directory / FORCE_PAIRS_FILE if on_pairs else None,
        engines=tuple(directory / name for name in engines),
    )


def gas_bond_length_ang(campaign: Campaign) -> float | None:
    """Bond length (Å) of isolated H2 at the labelled energy minimum; None where too few such labels exist.

    From a cubic through the labels nearest the lowest one. The rigid molecule of exploration and production has the
    labeler's geometry, not that of a model in training.
    """
    gas = [f for f in campaign.store.load("train") if f.frame.n_host == 0 and f.frame.n_h2 == 1]
    bonds = np.array([np.linalg.norm(f.frame.positions_ang[1] - f.frame.positions_ang[0]) for f in gas])
    energies = np.array([f.energy_ev() for f in gas])
    near = np.argsort(energies)[:MIN_GAS_LABELS]
    if len(near) < MIN_GAS_LABELS or not bonds.min() < bonds[near[0]] < bonds.max():
        return None
    cubic = np.polynomial.Polynomial.fit(bonds[near], energies[near], 3)
    stationary = [float(r.real) for r in cubic.deriv().roots() if abs(r.imag) < 1e-9 and cubic.deriv(2)(r.real) > 0]
    inside = [r for r in stationary if bonds[near].min() <= r <= bonds[near].max()]
    return round(inside[0], BOND_DECIMALS) if inside else None


def loaded_host(campaign: Campaign, n_h2: int, path: Sequence[str | int], *, prefer_open_sites: bool = False) -> Frame:
    """`n_h2` molecules in a host: a sampled frame brought to that loading where the campaign has any, else placed at
    random on a host snapshot; `path` names the random stream."""
    rng = stream(campaign.param.seed, *path)
    if campaign.seeds:
        return seeded_start(campaign.seeds, n_h2, rng=rng, min_distance_ang=campaign.param.bootstrap.min_distance_ang)
    hosts = campaign.hosts()
    host = hosts[int(rng.integers(len(hosts)))]
    atoms = load_h2(
        to_atoms(host),
        n_h2,
        rng=rng,
        min_distance_ang=campaign.param.bootstrap.min_distance_ang,
        prefer_open_sites=prefer_open_sites,
    )
    return from_atoms(atoms, n_host=host.n_host, host_id=host.host_id, provenance=Provenance("bootstrap"))


def md_setting(campaign: Campaign, iteration: int, directory: Path, *, models: GcmcModels) -> MdSetting:
    """What MD runs of this campaign share, below `directory` with the force committee of `models`."""
    return MdSetting(
        directory=directory,
        iteration=iteration,
        graphs=models.force,
        forces=campaign_forces(campaign, models),
        masses_amu=campaign.param.explore.mass_amu,
        root_seed=campaign.param.seed,
        command=campaign.machine.model_devi.command,
    )


def campaign_forces(campaign: Campaign, models: GcmcModels) -> LammpsForces:
    """Atom types and pair terms of LAMMPS runs with the force committee of `models`."""
    under = [] if models.force_pairs is None else [models.force_pairs]
    return forces_of(campaign.param.type_map, under)


def _explore_md(campaign: Campaign, iteration: int, directory: Path, models: GcmcModels) -> list[ExploredFrame]:
    jobs = campaign.param.explore.md_jobs
    if not jobs:
        return []
    job = jobs[min(iteration, len(jobs) - 1)]
    setting = md_setting(campaign, iteration, directory, models=models)
    runs: list[MdTask] = []
    for system in job.sys_idx:
        for index, temperature_k in enumerate(job.temperatures_k):
            start = _md_start(campaign, iteration, system, index)
            runs.append(prepare_md(setting, job, system, temperature_k, start, index=index))
    outcomes = run_tasks(
        [run.task for run in runs],
        machine=campaign.machine.model_devi,
        base_dir=directory,
        name=f"md.{iteration:06d}",
        on_progress=campaign.on_progress,
    )
    explored = collect_md(setting, runs, outcomes)
    failed = [outcome.message for outcome in outcomes if outcome.status != "done"]
    check_failures(failed, len(runs), campaign.machine.model_devi.policy, what="MD runs")
    return explored


def _md_start(campaign: Campaign, iteration: int, system: int, index: int) -> Frame:
    n_h2 = campaign.param.explore.loadings[system]
    return loaded_host(campaign, n_h2, ("md-start", iteration, system, index), prefer_open_sites=index % 2 == 0)


def _sample(campaign: Campaign, iteration: int, directory: Path, models: GcmcModels) -> list[ExploredFrame]:
    """Grand-canonical exploration and the held-out sampling, side by side; returns the explored frames."""
    runs = _gcmc_runs(campaign, iteration, directory, models)
    heldout = _heldout_runs(campaign, iteration, directory, models)
    outcomes = run_tasks(
        [run.task for run in (*runs, *heldout)],
        machine=campaign.machine.gcmc,
        base_dir=directory,
        name=f"gcmc.{iteration:06d}",
        on_progress=campaign.on_progress,
    )
    failed = [outcome.message for outcome in outcomes if outcome.status != "done"]
    check_failures(failed, len(outcomes), campaign.machine.gcmc.policy, what="Monte Carlo runs")
    done = [(run, end) for run, end in zip(heldout, outcomes[len(runs) :], strict=True) if end.status == "done"]
    if heldout and len(done) < len(heldout):
        campaign.reporter.message(f"{len(heldout) - len(done)} of {len(heldout)} held-out samplings failed")
    sampled = collect_gcmc([r for r, _ in done], [end for _, end in done], iteration=iteration, source="heldout")
    frames = [entry.frame for entry in sampled]
    save_heldout(directory, frames, pick_molecules(frames, stream(campaign.param.seed, "heldout-pick", iteration)))
    explored = sampled_frames(runs, outcomes[: len(runs)])
    deviations = _deviations(campaign, iteration, directory, models, explored)
    return collect_gcmc(runs, outcomes[: len(runs)], iteration=iteration, deviations=deviations)


def _deviations(
    campaign: Campaign, iteration: int, directory: Path, models: GcmcModels, frames: Sequence[Frame]
) -> tuple[np.ndarray, np.ndarray]:
    """What the committees say of `frames`: largest force deviation (eV/Å), spread of the insertion energy (eV)."""
    asked = deviation_tasks(directory, frames, models=models, command=campaign.machine.gcmc.command)
    outcomes = run_tasks(
        [task for task, _ in asked],
        machine=campaign.machine.gcmc,
        base_dir=directory,
        name=f"deviation.{iteration:06d}",
        on_progress=campaign.on_progress,
    )
    found = [(np.empty(0), np.empty(0))]
    for (task, n_frames), outcome in zip(asked, outcomes, strict=True):
        if outcome.status != "done":
            raise NeedsPersonError(f"{task.work_dir}: the committees could not be asked: {outcome.message}")
        found.append(read_deviations(task.work_dir / DEVIATIONS_FILE))
        if len(found[-1][0]) != n_frames:
            raise NeedsPersonError(f"{task.work_dir}: {len(found[-1][0])} answers for {n_frames} frames; remove it")
    force, insertion = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return force, insertion


def _gcmc_runs(campaign: Campaign, iteration: int, directory: Path, models: GcmcModels) -> list[GcmcTask]:
    jobs = campaign.param.explore.gcmc_jobs
    if not jobs:
        return []
    require_insertion_energy_determined(
        campaign.store.counts(), target=campaign.engine_committee.target, where=str(campaign.paths.dataset)
    )
    return [
        _gcmc_run(campaign, iteration, directory, models.in_turn(iteration + index), job, index)
        for job, index in _numbered(jobs[min(iteration, len(jobs) - 1)])
    ]


def _numbered(jobs: Sequence[GcmcJob]) -> list[tuple[GcmcSpec, int]]:
    """One spec per temperature and (fugacity and initial loading, or fixed loading); models and seed come later."""
    specs = []
    for job in jobs:
        for temperature_k in job.temperatures_k:
            common = GcmcSpec(
                ensemble="grand-canonical",
                temperature_k=temperature_k,
                fugacity_bar=job.fugacities_bar[0],
                n_initial=0,
                n_moves=job.n_moves,
                n_equilibration=job.n_equilibration,
                sample_every=job.sample_every,
                max_samples=MAX_GCMC_SAMPLES,
                max_loading=job.max_loading,
                min_distance_ang=0.0,
                seed=0,
            )
            specs += [
                replace(common, fugacity_bar=fugacity_bar, n_initial=n_initial)
                for fugacity_bar in job.fugacities_bar
                for n_initial in job.n_initial
            ]
            specs += [replace(common, ensemble="canonical", n_initial=n) for n in job.canonical_loadings]
    return [(spec, index) for index, spec in enumerate(specs)]


def _gcmc_run(
    campaign: Campaign, iteration: int, directory: Path, models: GcmcModels, spec: GcmcSpec, index: int
) -> GcmcTask:
    start = loaded_host(campaign, spec.n_initial, ("gcmc-start", iteration, index), prefer_open_sites=index % 2 == 0)
    seed = seed_for(campaign.param.seed, "gcmc", iteration, index)
    spec = replace(
        spec,
        seed=seed,
        min_distance_ang=campaign.param.select.min_distance_ang,
        bond_length_ang=gas_bond_length_ang(campaign),
    )
    return prepare_gcmc(
        directory / f"gcmc.{index:06d}",
        spec,
        start,
        models=models,
        base_dir=directory,
        command=campaign.machine.gcmc.command,
    )


def _heldout_runs(campaign: Campaign, iteration: int, directory: Path, models: GcmcModels) -> list[GcmcTask]:
    """Monte Carlo at fixed loadings N+1 with the new model: fresh insertions nobody trained on."""
    config = campaign.param.assess
    if config is None:
        return []
    runs = []
    for index, n_h2 in enumerate(config.loadings):
        spec = GcmcSpec(
            ensemble="canonical",
            temperature_k=config.temperature_k,
            fugacity_bar=1.0,
            n_initial=n_h2 + 1,
            n_moves=config.per_loading * config.n_moves_between,
            n_equilibration=2 * config.n_moves_between,
            sample_every=config.n_moves_between,
            max_samples=config.per_loading,
            max_loading=None,
            min_distance_ang=campaign.param.select.min_distance_ang,
            seed=seed_for(campaign.param.seed, "heldout", iteration, index),
            bond_length_ang=gas_bond_length_ang(campaign),
        )
        start = loaded_host(campaign, n_h2 + 1, ("heldout-start", iteration, index), prefer_open_sites=True)
        runs.append(
            prepare_gcmc(
                directory / f"heldout.{index:06d}",
                spec,
                start,
                models=models,
                base_dir=directory,
                command=campaign.machine.gcmc.command,
            )
        )
    return runs

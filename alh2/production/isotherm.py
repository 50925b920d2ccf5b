"""Adsorption isotherms by GCMC on a frozen host: every temperature and pressure from each initial loading.

Each chain is a row of tasks: a first run, then, while its point is not known well enough, runs that go on where the
last one ended. A task is known by its inputs, so repeating the call repeats nothing, and another list of pressures or a
smaller error reuses what was done before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from alh2.analysis.adsorption import framework_mass_amu
from alh2.analysis.heats import IsothermCurve, clausius_clapeyron
from alh2.analysis.void import VoidFraction, excess, gas_density_per_ang3
from alh2.config.model import StageMachine
from alh2.core.atoms import to_atoms
from alh2.core.errors import NeedsPersonError
from alh2.core.frames import Frame
from alh2.core.random_streams import seed_for, stream
from alh2.dispatch.run import Progress, run_tasks
from alh2.explore.gcmc import GcmcTask, prepare_gcmc
from alh2.explore.gcmc_job import END_FILE, JOB_FILE, GcmcSpec, read_job, read_series, read_summary
from alh2.gcmc.fugacity import fugacity_bar
from alh2.production.henry import run_henry
from alh2.production.isotherm_plan import IsothermPlan, IsothermSetting
from alh2.production.isotherm_points import Chain, PointAverages, moves_to_add, point_averages
from alh2.production.isotherm_result import (
    CoverageHeat,
    HostFacts,
    Isotherm,
    IsothermPoint,
    VoidFacts,
    write_isotherm,
)

SAMPLES_PER_RUN = 1000
FRAMES_PER_RUN = 200
RESTART_EVERY = 1000
MOST_ROUNDS = 50


@dataclass(eq=False)
class _ChainRuns:
    """The runs of one chain so far, finished or not."""

    temperature_k: float
    pressure_bar: float
    start: Frame
    runs: list[GcmcTask]

    @property
    def folder(self) -> str:
        return f"{self.temperature_k:g}K.{self.pressure_bar:g}bar.{self.start.n_h2}h2"

    def chain(self) -> Chain:
        """All its samples; the acceptance weighted by moves."""
        folders = [run.task.work_dir for run in self.runs]
        series = [read_series(folder) for folder in folders]
        moves = [run.spec.n_moves for run in self.runs]
        ratios = [read_summary(folder).acceptance_insertion for folder in folders]
        return Chain(
            self.start.n_h2,
            sum(moves),
            np.concatenate([s.n_adsorbed for s in series]),
            np.concatenate([s.adsorption_energy_ev for s in series]),
            float(np.average(ratios, weights=moves)),
        )


def run_isotherm(
    plan: IsothermPlan,
    setting: IsothermSetting,
    *,
    machine: StageMachine,
    on_progress: Callable[[Progress], None] | None = None,
    on_message: Callable[[str], None] | None = None,
) -> Isotherm:
    """All points, finished runs reused; written to `setting.directory` as well.

    Raises NeedsPersonError naming a run that failed.
    """
    setting.directory.mkdir(parents=True, exist_ok=True)
    points = [
        [_ChainRuns(t, p, start, []) for start in setting.starts]
        for t in plan.temperatures_k
        for p in plan.pressures_bar
    ]
    wanted = {id(chain): plan.n_moves for point in points for chain in point}
    for number in range(MOST_ROUNDS):
        prepared = [
            _prepare(plan, setting, chain, wanted[id(chain)])
            for point in points
            for chain in point
            if wanted[id(chain)]
        ]
        _run(prepared, machine, setting.directory, f"isotherm.{number:02d}", on_progress)
        known = [point_averages([c.chain() for c in point], temperature_k=point[0].temperature_k) for point in points]
        for point, found in zip(points, known, strict=True):
            wanted.update({id(chain): _more(plan, found) for chain in point})
        left = sum(any(wanted[id(c)] for c in point) for point in points)
        if not left:
            break
        if on_message is not None:
            on_message(
                f"{left} of {len(points)} points are not known to {plan.relative_error:g} yet: going on with them"
            )
    henry = run_henry(plan, setting, machine=machine, on_progress=on_progress) if plan.widom_insertions else ()
    isotherm = _isotherm(plan, setting, points, known)
    isotherm = replace(isotherm, henry=henry, clausius_clapeyron=_heats(isotherm, setting.root_seed))
    write_isotherm(setting.directory, isotherm)
    return isotherm


def _more(plan: IsothermPlan, point: PointAverages) -> int:
    if plan.relative_error is None:
        return 0
    most = plan.max_moves if plan.max_moves is not None else 100 * plan.n_moves
    return moves_to_add(point, relative_error=plan.relative_error, step=plan.n_moves, most=most)


def _prepare(plan: IsothermPlan, setting: IsothermSetting, chain: _ChainRuns, n_moves: int) -> GcmcTask:
    """The next run of `chain`, appended to it."""
    number = len(chain.runs)
    temperature_k, pressure_bar = chain.temperature_k, chain.pressure_bar
    folder = setting.directory / chain.folder
    spec = GcmcSpec(
        ensemble="grand-canonical",
        temperature_k=temperature_k,
        fugacity_bar=fugacity_bar(pressure_bar, temperature_k),
        n_initial=chain.start.n_h2,
        n_moves=n_moves,
        n_equilibration=0 if number else plan.n_equilibration,
        sample_every=max(1, plan.n_moves // SAMPLES_PER_RUN),
        max_samples=FRAMES_PER_RUN,
        max_loading=setting.max_loading,
        min_distance_ang=setting.min_distance_ang,
        seed=seed_for(setting.root_seed, "isotherm", chain.folder, number),
        bond_length_ang=setting.bond_length_ang,
        biased=plan.biased,
        restart_every=RESTART_EVERY,
        continues=f"../run.{number - 1:02d}/{END_FILE}" if number else "",
    )
    run = prepare_gcmc(
        folder / f"run.{number:02d}",
        _as_begun(folder / f"run.{number:02d}", spec) if number else spec,
        chain.start,
        models=setting.models,
        base_dir=setting.directory,
        command=setting.command,
    )
    chain.runs.append(run)
    return run


def _as_begun(folder: Path, spec: GcmcSpec) -> GcmcSpec:
    """`spec` with the length of the extension that lies in `folder` where it is the same but for that."""
    if not (folder / JOB_FILE).exists():
        return spec
    before, _ = read_job(folder)
    like_before = replace(
        spec,
        n_moves=before.n_moves,
        engine_model=before.engine_model,
        pair_baselines=before.pair_baselines,
        force_models=before.force_models,
        insertion_models=before.insertion_models,
    )
    return replace(spec, n_moves=before.n_moves) if like_before == before else spec


def _run(
    runs: Sequence[GcmcTask],
    machine: StageMachine,
    base_dir: Path,
    name: str,
    on_progress: Callable[[Progress], None] | None,
) -> None:
    outcomes = run_tasks(
        [run.task for run in runs], machine=machine, base_dir=base_dir, name=name, on_progress=on_progress
    )
    failed = [f"{o.task.work_dir}: {o.message}" for o in outcomes if o.status != "done"]
    if failed:
        raise NeedsPersonError(f"{len(failed)} of {len(runs)} isotherm runs failed, first {failed[0]}")


def _isotherm(
    plan: IsothermPlan,
    setting: IsothermSetting,
    points: Sequence[Sequence[_ChainRuns]],
    known: Sequence[PointAverages],
) -> Isotherm:
    host = setting.starts[0].bare_host()
    summary = read_summary(points[0][0].runs[0].task.work_dir)
    facts = HostFacts(
        host_id=host.host_id,
        formula=str(to_atoms(host).get_chemical_formula(mode="hill")) or "empty box",
        mass_amu=framework_mass_amu(host.symbols),
        volume_ang3=abs(float(np.linalg.det(host.cell_ang))),
        potential=summary.potential,
        bond_length_ang=summary.bond_length_ang,
        max_loading=setting.max_loading,
    )
    void = setting.void
    told = None
    if void is not None:
        told = VoidFacts(void.method, void.words, void.fraction.mean, void.fraction.standard_error)
    return Isotherm(
        facts, told, tuple(_point(plan, facts, void, point[0], a) for point, a in zip(points, known, strict=True))
    )


def _point(
    plan: IsothermPlan, host: HostFacts, void: VoidFraction | None, chain: _ChainRuns, found: PointAverages
) -> IsothermPoint:
    temperature_k, pressure_bar = chain.temperature_k, chain.pressure_bar
    density = gas_density_per_ang3(pressure_bar, temperature_k)
    above = (math.nan, math.nan)
    if void is not None:
        above = excess(found.n_adsorbed, gas_density_per_ang3=density, volume_ang3=host.volume_ang3, void=void)
    return IsothermPoint(
        temperature_k=temperature_k,
        pressure_bar=pressure_bar,
        fugacity_bar=fugacity_bar(pressure_bar, temperature_k),
        gas_density_per_ang3=density,
        n_absolute=found.n_adsorbed.mean,
        n_absolute_error=found.n_adsorbed.standard_error,
        n_excess=above[0],
        n_excess_error=above[1],
        heat_kj_per_mol=found.isosteric_heat_kj_per_mol.mean,
        heat_error_kj_per_mol=found.isosteric_heat_kj_per_mol.standard_error,
        largest_difference_sigma=found.largest_difference_sigma,
        hysteresis=found.hysteresis,
        n_moves=found.n_moves,
        reached=plan.relative_error is None or found.is_known(plan.relative_error),
        chains=found.chains,
    )


def _heats(isotherm: Isotherm, seed: int) -> tuple[CoverageHeat, ...]:
    curves = []
    for temperature_k in isotherm.temperatures_k:
        points = isotherm.at(temperature_k)
        columns = [(p.fugacity_bar, p.n_absolute, p.n_absolute_error) for p in points]
        curves.append(IsothermCurve(temperature_k, *np.array(columns, dtype=np.float64).T))
    return tuple(
        CoverageHeat(h.n_molecules, h.heat_kj_per_mol, h.error_kj_per_mol, isotherm.temperatures_k)
        for h in clausius_clapeyron(curves, rng=stream(seed, "clausius-clapeyron"))
    )

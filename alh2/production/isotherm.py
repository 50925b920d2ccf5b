"""Adsorption isotherms by GCMC on a frozen host: every temperature and pressure from each initial loading.

The first member of the committee is asked at every point; the others for its interval. Another list of pressures or a
smaller error reuses the runs that were done before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from alh2.analysis.adsorption import framework_mass_amu
from alh2.analysis.heats import IsothermCurve, clausius_clapeyron
from alh2.analysis.void import VoidFraction, excess, gas_density_per_ang3
from alh2.config.model import StageMachine
from alh2.core.atoms import to_atoms
from alh2.core.random_streams import stream
from alh2.dispatch.run import Progress
from alh2.explore.gcmc_job import read_summary
from alh2.gcmc.fugacity import fugacity_bar
from alh2.production.henry import run_henry
from alh2.production.isotherm_chains import PointRuns, new_point, run_points
from alh2.production.isotherm_committee import ask_committee
from alh2.production.isotherm_plan import IsothermPlan, IsothermSetting
from alh2.production.isotherm_result import (
    CommitteePoint,
    CoverageHeat,
    HenryPoint,
    HostFacts,
    Isotherm,
    IsothermPoint,
    VoidFacts,
    write_isotherm,
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
    points = [new_point(setting, t, p) for t in plan.temperatures_k for p in plan.pressures_bar]
    run_points(plan, setting, points, machine=machine, name="isotherm", on_progress=on_progress, on_message=on_message)
    asked = ask_committee(plan, setting, points, machine=machine, on_progress=on_progress, on_message=on_message)
    henry: tuple[HenryPoint, ...] = ()
    if plan.widom_insertions:
        henry = run_henry(plan, setting, machine=machine, on_progress=on_progress, on_message=on_message)
    isotherm = _isotherm(plan, setting, points, asked)
    isotherm = replace(isotherm, henry=henry, clausius_clapeyron=_heats(isotherm, setting.root_seed))
    write_isotherm(setting.directory, isotherm)
    return isotherm


def _isotherm(
    plan: IsothermPlan,
    setting: IsothermSetting,
    points: Sequence[PointRuns],
    asked: Sequence[CommitteePoint | None],
) -> Isotherm:
    host = setting.starts[0].bare_host()
    summary = read_summary(points[0].chains[0].folders[0])
    facts = HostFacts(
        host_id=host.host_id,
        formula=str(to_atoms(host).get_chemical_formula(mode="hill")) or "empty box",
        mass_amu=framework_mass_amu(host.symbols),
        volume_ang3=abs(float(np.linalg.det(host.cell_ang))),
        potential=summary.potential,
        bond_length_ang=summary.bond_length_ang,
        max_loading=setting.max_loading,
        nuclei=summary.nuclei,
    )
    void = setting.void
    told = None
    if void is not None:
        told = VoidFacts(void.method, void.words, void.fraction.mean, void.fraction.standard_error)
    return Isotherm(
        facts, told, tuple(_point(plan, facts, void, p, committee) for p, committee in zip(points, asked, strict=True))
    )


def _point(
    plan: IsothermPlan, host: HostFacts, void: VoidFraction | None, point: PointRuns, committee: CommitteePoint | None
) -> IsothermPoint:
    found = point.averages
    loading, heat = found.n_adsorbed, found.isosteric_heat_kj_per_mol
    if committee is not None:
        loading, heat = (
            replace(own, mean=asked.mean, standard_error=asked.statistical)
            for own, asked in ((loading, committee.n_absolute), (heat, committee.heat_kj_per_mol))
        )
    wanted = plan.relative_error
    disagree = found.hysteresis or (committee is not None and any(m.hysteresis for m in committee.members))
    density = gas_density_per_ang3(point.pressure_bar, point.temperature_k)
    above = (math.nan, math.nan)
    if void is not None:
        above = excess(loading, gas_density_per_ang3=density, volume_ang3=host.volume_ang3, void=void)
    return IsothermPoint(
        temperature_k=point.temperature_k,
        pressure_bar=point.pressure_bar,
        fugacity_bar=fugacity_bar(point.pressure_bar, point.temperature_k),
        gas_density_per_ang3=density,
        n_absolute=loading.mean,
        n_absolute_error=loading.standard_error,
        n_excess=above[0],
        n_excess_error=above[1],
        heat_kj_per_mol=heat.mean,
        heat_error_kj_per_mol=heat.standard_error,
        largest_difference_sigma=found.largest_difference_sigma,
        hysteresis=disagree,
        n_moves=found.n_moves,
        reached=wanted is None
        or (not disagree and found.is_known(wanted) and loading.standard_error <= wanted * loading.mean),
        chains=found.chains,
        committee=committee,
        at_limit=found.at_limit,
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

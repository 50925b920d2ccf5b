"""What replicas of production MD say together, temperature by temperature."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_masses, atomic_numbers

from alh2.analysis.adsorption import coordination_number
from alh2.analysis.diffusion import (
    Arrhenius,
    DiffusionCoefficient,
    Displacement,
    arrhenius,
    diffusion_coefficient,
    mean_squared_displacement,
)
from alh2.analysis.path_integral import H2_QUANTUM_EV, extent_ang, free_extent_ang, oscillator_energy_ev
from alh2.analysis.rdf import RadialDistribution, guest_pair_distribution, radial_distribution_of_replicas
from alh2.analysis.sites import ENTER_ANG, Residence, SiteStatistics, site_statistics
from alh2.core.atoms import to_atoms
from alh2.core.files import atomic_write_json
from alh2.core.frames import Frame
from alh2.core.random_streams import seed_for
from alh2.core.statistics import Estimate, combine_replicas, mean_and_error
from alh2.core.units import H2_MASS_AMU, KB_EV_PER_K
from alh2.production.committee_interval import CommitteeInterval, committee_interval
from alh2.production.md_plan import MdPlan, MdRunsSetting, movers_words
from alh2.production.md_runs import MdTrajectory, guest_paths_ang
from alh2.structure.sites import al_open_indices

RESULT_FILE = "md_runs.json"
N_BLOCKS = 5
LEAST_FRAMES = 20
OPEN_SITES = "Al(open)–H2"
"""Name of the distribution of molecules around open sites."""


@dataclass(frozen=True)
class QuantumResult:
    """What path integrals say besides, energies of the cell in eV with one standard error.

    kinetic_virial_ev, kinetic_primitive_ev : the estimators of `alh2.production.pimd`; they must agree
    kinetic_classical_ev : 3NkT/2, which classical nuclei would have
    extent_ang : of H2 (root mean square distance of its centre of mass, bead by bead, from the centroid); None without
    free_extent_ang : the same of free H2
    bond_share : energy of an H2 bond of 4161 cm⁻¹ with these beads over the exact one: what stiff bonds still lack
    """

    kinetic_virial_ev: Estimate
    kinetic_primitive_ev: Estimate
    kinetic_classical_ev: float
    potential_ev: Estimate
    extent_ang: Estimate | None
    free_extent_ang: float
    bond_share: float


@dataclass(frozen=True, eq=False)
class TemperatureResult:
    """One temperature: what its replicas say together.

    rdfs : `OPEN_SITES`, "host H–H2", "H2–H2" where there are such pairs; errors over replicas, over blocks of one
    coordination, coordination_error : H2 within `ENTER_ANG` of an open Al; NaN without open sites
    diffusion_interval : of D_s (m²/s) over the models of the committee that moved replicas, None for fewer than two
    displacement, diffusion : None where the replicas are too short, or nothing diffuses, and of path integrals
    quantum : None of classical nuclei. Distributions are over beads; sites are occupied by centroids, for no known time
    """

    temperature_k: float
    n_h2: int
    n_frames: int
    runs: tuple[MdTrajectory, ...]
    rdfs: dict[str, RadialDistribution]
    coordination: float
    coordination_error: float
    sites: SiteStatistics | None
    displacement: Displacement | None
    diffusion: DiffusionCoefficient | None
    diffusion_interval: CommitteeInterval | None
    quantum: QuantumResult | None


@dataclass(frozen=True, eq=False)
class MdAnalysis:
    """All temperatures, the Arrhenius line through their D_s (None for fewer than two); nuclei and movers in words."""

    temperatures: tuple[TemperatureResult, ...]
    arrhenius: Arrhenius | None
    nuclei: str
    movers: str = ""


def analyse(plan: MdPlan, setting: MdRunsSetting, runs: Sequence[MdTrajectory]) -> MdAnalysis:
    """Analyse what the runs kept; temperatures of which nothing is left are absent. Written to `RESULT_FILE`."""
    by_temperature = {t: [r for r in runs if r.temperature_k == t and r.frames] for t in plan.temperatures_k}
    results = tuple(_one(plan, setting, t, kept) for t, kept in by_temperature.items() if kept)
    known = [(r.temperature_k, r.diffusion) for r in results if r.diffusion is not None]
    line = arrhenius([t for t, _ in known], [d.mean for _, d in known], [d.standard_deviation for _, d in known])
    analysis = MdAnalysis(results, line, plan.nuclei, movers_words(plan, setting))
    write_analysis(setting.directory, plan, analysis)
    return analysis


def _one(plan: MdPlan, setting: MdRunsSetting, temperature_k: float, runs: list[MdTrajectory]) -> TemperatureResult:
    host = setting.start.bare_host()
    open_sites = al_open_indices(to_atoms(host))
    blocks = _blocks(runs)
    rdfs: dict[str, RadialDistribution] = {}
    n_h2 = setting.start.n_h2
    hydrogens = [i for i, symbol in enumerate(host.symbols) if symbol == "H"]
    if n_h2 and len(open_sites):
        rdfs[OPEN_SITES] = radial_distribution_of_replicas(blocks, open_sites)
    if n_h2 and hydrogens:
        rdfs["host H–H2"] = radial_distribution_of_replicas(blocks, hydrogens)
    if n_h2 > 1:
        rdfs["H2–H2"] = guest_pair_distribution(blocks)
    around = rdfs.get(OPEN_SITES)
    number = coordination_number(around, r_ang=ENTER_ANG) if around is not None else None
    sites = None
    if n_h2 and len(open_sites):
        sites = site_statistics([run.frames for run in runs], open_sites, dt_ps=plan.frame_ps)
    quantum = _quantum(plan, setting, temperature_k, runs) if plan.n_beads > 1 else None
    if quantum is None:
        displacement, diffusion = _diffusion(plan, setting, temperature_k, runs)
    else:
        displacement, diffusion = None, None
        sites = None if sites is None else replace(sites, residence=Residence(math.nan, math.nan, 0, 0.0))
    return TemperatureResult(
        temperature_k=temperature_k,
        n_h2=n_h2,
        n_frames=sum(len(run.frames) for run in runs),
        runs=tuple(runs),
        rdfs=rdfs,
        coordination=math.nan if number is None else number.mean,
        coordination_error=math.nan if number is None else number.standard_error,
        sites=sites,
        displacement=displacement,
        diffusion=diffusion,
        diffusion_interval=None if diffusion is None else _interval(plan, setting, runs, diffusion),
        quantum=quantum,
    )


def _interval(
    plan: MdPlan, setting: MdRunsSetting, runs: list[MdTrajectory], together: DiffusionCoefficient
) -> CommitteeInterval | None:
    """D_s of the replicas of each model apart, and its spread; None where there is none of one of them.

    The regime is that of all replicas `together`: one found for each alone would leave out those that diffuse least.
    """
    kelvin, answers = runs[0].temperature_k, []
    for member in sorted({run.member for run in runs}):
        own = [run for run in runs if run.member == member]
        _, found = _diffusion(plan, setting, kelvin, own, from_ps=together.linear_from_ps)
        if found is None:
            return None
        answers.append(Estimate(found.mean, found.standard_deviation, math.nan, 0))
    return committee_interval(answers) if len(answers) > 1 else None


def _blocks(runs: Sequence[MdTrajectory]) -> list[Sequence[Frame]]:
    """The replicas, or of one replica contiguous blocks; of path integrals all beads."""
    if len(runs) > 1:
        return [[frame for one in run.slices() for frame in one] for run in runs]
    slices = runs[0].slices()
    parts = np.array_split(np.arange(len(slices[0])), min(N_BLOCKS, len(slices[0])))
    return [[one[i] for one in slices for i in part] for part in parts]


def _quantum(plan: MdPlan, setting: MdRunsSetting, temperature_k: float, runs: Sequence[MdTrajectory]) -> QuantumResult:
    def mean(name: str) -> Estimate:
        series = [[getattr(e, name) for e in run.energies if e is not None] for run in runs]
        return combine_replicas([mean_and_error(one) for one in series if one])

    def centres(frame: Frame) -> np.ndarray:
        return frame.positions_ang[frame.n_host :].reshape(-1, 2, 3).mean(axis=1)

    exact, held = (oscillator_energy_ev(H2_QUANTUM_EV, temperature_k, n) for n in (None, plan.n_beads))
    return QuantumResult(
        kinetic_virial_ev=mean("kinetic_virial_ev"),
        kinetic_primitive_ev=mean("kinetic_primitive_ev"),
        kinetic_classical_ev=1.5 * setting.start.n_atoms * KB_EV_PER_K * temperature_k,
        potential_ev=mean("potential_ev"),
        extent_ang=extent_ang([np.array([[centres(b) for b in beads] for beads in run.beads]) for run in runs])
        if setting.start.n_h2
        else None,
        free_extent_ang=free_extent_ang(H2_MASS_AMU, temperature_k, plan.n_beads),
        bond_share=held / exact,
    )


def _diffusion(
    plan: MdPlan,
    setting: MdRunsSetting,
    temperature_k: float,
    runs: Sequence[MdTrajectory],
    *,
    from_ps: float | None = None,
) -> tuple[Displacement | None, DiffusionCoefficient | None]:
    """From the replicas that are whole, or if none is from the longest one; from_ps : start of the regime, if known."""
    if not setting.start.n_h2:
        return None, None
    longest = max(len(run.frames) for run in runs)
    if longest < LEAST_FRAMES:
        return None, None
    host = setting.start.symbols[: setting.start.n_host]
    masses = np.array([atomic_masses[atomic_numbers[s]] for s in host])
    paths = [guest_paths_ang(run.frames, masses) for run in runs if len(run.frames) == longest]
    displacement, group = mean_squared_displacement(paths, dt_ps=plan.frame_ps)
    seed = seed_for(setting.root_seed, "diffusion", f"{temperature_k:g}")
    return displacement, diffusion_coefficient(displacement, group, seed=seed, from_ps=from_ps)


def write_analysis(directory: Path, plan: MdPlan, analysis: MdAnalysis) -> None:
    """Write numbers of `analysis` as JSON, unknown ones as null."""
    content = {
        "plan": asdict(plan),
        "nuclei": analysis.nuclei,
        "movers": analysis.movers,
        "temperatures": [_summary(result) for result in analysis.temperatures],
        "arrhenius": None if analysis.arrhenius is None else asdict(analysis.arrhenius),
    }
    atomic_write_json(directory / RESULT_FILE, _known(content))


def _summary(result: TemperatureResult) -> dict[str, Any]:
    sites = result.sites
    return {
        "temperature_k": result.temperature_k,
        "n_h2": result.n_h2,
        "n_frames": result.n_frames,
        "replicas": [
            {
                "name": run.name,
                "model": run.member,
                "n_frames": len(run.frames),
                "n_untrusted": run.n_untrusted,
                "max_devi_f_ev_ang": max(run.deviations_ev_ang, default=math.nan),
                "ended": run.ended,
            }
            for run in result.runs
        ],
        "rdfs": {
            name: {"r_ang": r.r_ang.tolist(), "g": r.g.tolist(), "g_error": r.g_error.tolist()}
            for name, r in result.rdfs.items()
        },
        "first_peak_ang": {name: float(r.r_ang[np.argmax(r.g)]) for name, r in result.rdfs.items()},
        "coordination": result.coordination,
        "coordination_error": result.coordination_error,
        "occupancy": None if sites is None else [asdict(one) for one in sites.occupancy],
        "mean_occupancy": None if sites is None else asdict(sites.mean_occupancy),
        "residence": None if sites is None else asdict(sites.residence),
        "diffusion_m2_s": None if result.diffusion is None else asdict(result.diffusion),
        "diffusion_interval_m2_s": None if result.diffusion_interval is None else asdict(result.diffusion_interval),
        "quantum": None if result.quantum is None else asdict(result.quantum),
    }


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _known(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_known(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

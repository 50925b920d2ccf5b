"""The one function most users need."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from ase import Atoms

from alh2.core.errors import BadInputError
from alh2.core.units import BAR_IN_EV_PER_ANG3, beta_per_ev
from alh2.gcmc.bias import InsertionBias, check_grid, insertion_bias
from alh2.gcmc.geometry import Contacts, PeriodicCell
from alh2.gcmc.hybrid import FlexibleSettings, Hybrid
from alh2.gcmc.molecule import RigidMolecule
from alh2.gcmc.moves import Ensemble
from alh2.gcmc.restart import describe_settings
from alh2.gcmc.result import GcmcResult, MoveAcceptance
from alh2.gcmc.run import Run, finite_energy_ev, run_inputs
from alh2.gcmc.schedule import Schedule
from alh2.gcmc.settings import GcmcSettings
from alh2.gcmc.walker import MOVE_NAMES
from alh2.potential.feynman_hibbs import FeynmanHibbsPotential
from alh2.potential.protocol import Potential

_VANISHING_BAR = 1e-12


def simulate(
    framework: Atoms,
    adsorbate: RigidMolecule,
    potential: Potential,
    *,
    temperature_k: float,
    fugacity_bar: float,
    n_moves: int,
    seed: int,
    n_initial: int = 0,
    settings: GcmcSettings | None = None,
    **options: Any,
) -> GcmcResult:
    """Grand-canonical Monte Carlo of rigid `adsorbate` molecules in a fixed `framework`.

    Parameters
    ----------
    framework : ase.Atoms
        Host and cell, taken as periodic in all directions; may have no atoms (an empty box).
    potential : Potential
        Anything that follows `alh2.potential.protocol`; wrap an ASE calculator in `AsePotential`.
    temperature_k, fugacity_bar : float
        Of the gas outside; `alh2.gcmc.fugacity_bar` gives the fugacity at a pressure.
    n_moves : int
        Measured moves, after `n_equilibration` others (by default a fifth as many).
    seed : int
        The same seed and inputs give the same result.
    n_initial : int
        Molecules placed at random before the first move (besides `initial_guests_ang`).
    settings : GcmcSettings
        Everything else.
    **options
        Fields of GcmcSettings, e.g. ``move_weights={"insertion": 50, "deletion": 50}``, ``n_equilibration=1000``,
        ``sample_every=5``; they take precedence over `settings`.

    Raises BadInputError for inputs that make no sense, UntrustworthyEnergyError where the potential's energies
    are NaN or do not add up, and InterruptedRunError where a run with a restart file was asked to stop.
    """
    return run_simulation(
        System(framework, adsorbate, potential),
        Conditions(temperature_k, fugacity_bar, n_moves, seed, n_initial),
        chosen_settings(settings, options),
        flexible=None,
    )


@dataclass(frozen=True, eq=False)
class System:
    """What is simulated, see `simulate`."""

    framework: Atoms
    adsorbate: RigidMolecule
    potential: Potential


@dataclass(frozen=True)
class Conditions:
    """Under which conditions and for how long, see `simulate`."""

    temperature_k: float
    fugacity_bar: float
    n_moves: int
    seed: int
    n_initial: int


def chosen_settings(settings: GcmcSettings | None, options: Mapping[str, Any]) -> GcmcSettings:
    """`settings` with the fields named in `options` changed; raises BadInputError for an unknown one."""
    unknown = sorted(set(options) - {field.name for field in fields(GcmcSettings)})
    if unknown:
        known = ", ".join(field.name for field in fields(GcmcSettings))
        raise BadInputError("simulate", expected=f"options out of {known}", found=", ".join(unknown))
    return replace(settings or GcmcSettings(), **options)


def run_simulation(
    system: System, conditions: Conditions, chosen: GcmcSettings, *, flexible: FlexibleSettings | None
) -> GcmcResult:
    """Check everything, run, and collect the result."""
    n_moves, seed, n_initial = conditions.n_moves, conditions.seed, conditions.n_initial
    temperature_k, fugacity_bar = conditions.temperature_k, conditions.fugacity_bar
    framework, adsorbate, potential = system.framework, system.adsorbate, system.potential
    if flexible is not None and isinstance(potential, FeynmanHibbsPotential):
        raise BadInputError("a flexible framework", expected="classical nuclei", found=potential.nuclei)
    n_equilibration = n_moves // 5 if chosen.n_equilibration is None else chosen.n_equilibration
    _check_system(framework, adsorbate, potential)
    _check_conditions(chosen, temperature_k=temperature_k, fugacity_bar=fugacity_bar)
    _check_counts(chosen, n_moves=n_moves, n_initial=n_initial, seed=seed)
    molecule = adsorbate.resolve(potential)
    gas_ev = finite_energy_ev(
        potential.molecule_energy_ev(molecule.symbols, molecule.sites_ang), "the isolated molecule"
    )
    ensemble = _ensemble(framework, molecule, chosen, temperature_k, fugacity_bar, gas_ev)
    schedule = _schedule(chosen, n_equilibration, n_moves, flexible)
    hybrid = Hybrid(flexible, framework, molecule, temperature_k, seed) if flexible else None
    try:
        run = Run(framework, molecule, potential, ensemble, chosen, seed, hybrid)
        run.begin(schedule, n_initial, _inputs(framework, molecule, chosen, schedule, conditions, flexible))
        run.go()
    finally:
        if hybrid is not None:
            hybrid.close()
    return _result(run, framework, conditions)


def _schedule(options: GcmcSettings, n_equilibration: int, n_moves: int, flexible: FlexibleSettings | None) -> Schedule:
    return Schedule(
        n_equilibration=int(n_equilibration),
        n_measured=int(n_moves),
        sample_every=options.sample_every,
        trajectory_every=options.trajectory.every if options.trajectory else 0,
        self_check_every=options.self_check_every,
        restart_every=options.restart.every if options.restart else 0,
        segment_every=flexible.moves_per_block if flexible else 0,
        reports=options.progress is not None,
    )


def _inputs(
    framework: Atoms,
    molecule: RigidMolecule,
    options: GcmcSettings,
    schedule: Schedule,
    conditions: Conditions,
    flexible: FlexibleSettings | None,
) -> dict[str, str]:
    """All that decides the numbers of a run, as text."""
    if options.restart is None:
        return {}
    told = describe_settings(options, leave_out=("progress", "restart", "trajectory", "n_equilibration"))
    lengths = describe_settings(schedule, leave_out=("reports",))
    dynamics = describe_settings(flexible, leave_out=("model_file",)) if flexible else {}
    wanted = describe_settings(conditions, leave_out=("n_moves",))
    identity = {"framework_is": "flexible" if flexible else "rigid", "identity": options.restart.identity}
    return run_inputs(framework, molecule, **{**identity, **wanted, **lengths, **told, **dynamics})


def _result(run: Run, framework: Atoms, conditions: Conditions) -> GcmcResult:
    walker, options = run.walker, run.options
    return GcmcResult(
        framework=framework.copy(),
        adsorbate=run.molecule,
        temperature_k=float(conditions.temperature_k),
        fugacity_bar=float(conditions.fugacity_bar),
        seed=int(conditions.seed),
        n_initial=run.n_initial,
        n_moves=run.schedule.n_measured,
        n_equilibration=run.schedule.n_equilibration,
        sample_every=options.sample_every,
        move_weights=options.move_weights,
        max_molecules=options.max_molecules,
        min_distance_ang=options.min_distance_ang,
        host_energy_ev=run.host_ev,
        molecule_energy_ev=run.ensemble.gas_energy_ev,
        n_adsorbed=np.array(run.numbers, dtype=np.int64),
        energy_ev=np.array(run.energies_ev, dtype=np.float64),
        acceptance=MappingProxyType(
            {name: MoveAcceptance(c.attempted, c.accepted) for name, c in zip(MOVE_NAMES, walker.counts, strict=True)}
        ),
        frames=tuple(run.frames),
        final_guests_ang=run.guests_array(),
        translation_ang=walker.translation_ang,
        rotation_rad=walker.rotation_rad,
        max_energy_drift_ev=walker.max_drift_ev if options.self_check_every else None,
        host_energies_ev=None if run.hybrid is None else np.array(run.host_energies_ev, dtype=np.float64),
        corrections_ev=None if run.corrections_ev is None else np.array(run.corrections_ev, dtype=np.float64),
        nuclei=run.nuclei,
        hybrid=None if run.hybrid is None else run.hybrid.result(),
    )


def _check_system(framework: Any, adsorbate: Any, potential: Any) -> None:
    if not isinstance(framework, Atoms):
        raise BadInputError("framework", expected="ase.Atoms", found=type(framework).__name__)
    if not isinstance(adsorbate, RigidMolecule):
        raise BadInputError("adsorbate", expected="RigidMolecule", found=type(adsorbate).__name__)
    if not hasattr(potential, "start") or not hasattr(potential, "molecule_energy_ev"):
        wrap = hasattr(potential, "get_potential_energy")
        raise BadInputError(
            "potential",
            expected="a potential with start() and molecule_energy_ev()",
            found=f"{'the ASE calculator ' if wrap else ''}{type(potential).__name__}",
            action="wrap it: AsePotential(calculator)" if wrap else "see alh2.potential.protocol",
        )
    if not np.isfinite(framework.positions).all():
        raise BadInputError("framework", expected="finite positions", found="NaN or infinity")


def _check_conditions(options: GcmcSettings, *, temperature_k: float, fugacity_bar: float) -> None:
    if not (math.isfinite(temperature_k) and temperature_k > 0.0):
        raise BadInputError("temperature", expected="a positive number of K", found=f"{temperature_k} K")
    exchanges = options.move_weights.insertion > 0.0
    if not math.isfinite(fugacity_bar) or fugacity_bar < 0.0 or (exchanges and fugacity_bar == 0.0):
        raise BadInputError("fugacity", expected="a positive number of bar", found=f"{fugacity_bar} bar")


def _check_counts(options: GcmcSettings, *, n_moves: int, n_initial: int, seed: int) -> None:
    for name, number, least in (
        ("n_moves", n_moves, options.sample_every),
        ("n_initial", n_initial, 0),
        ("seed", seed, 0),
    ):
        if int(number) != number or number < least:
            raise BadInputError(name, expected=f"a whole number >= {least}", found=f"{number}")


def _ensemble(
    framework: Atoms,
    molecule: RigidMolecule,
    options: GcmcSettings,
    temperature_k: float,
    fugacity_bar: float,
    gas_ev: float,
) -> Ensemble:
    cell = PeriodicCell(np.array(framework.cell))
    beta = beta_per_ev(temperature_k)
    weights = options.move_weights
    log_zv = 0.0
    if weights.insertion > 0.0:
        zv = beta * fugacity_bar * BAR_IN_EV_PER_ANG3 * cell.volume_ang3
        log_zv = math.log(zv) + math.log(weights.deletion / weights.insertion)
    return Ensemble(
        cell=cell,
        body=tuple((x, y, z) for x, y, z in molecule.sites_ang.tolist()),
        beta_per_ev=beta,
        log_zv=log_zv,
        gas_energy_ev=gas_ev,
        max_molecules=options.max_molecules,
        contacts=Contacts(framework, cell, options.min_distance_ang) if options.min_distance_ang else None,
        bias=_bias(cell, molecule, options, temperature_k, fugacity_bar),
    )


def _bias(
    cell: PeriodicCell, molecule: RigidMolecule, options: GcmcSettings, temperature_k: float, fugacity_bar: float
) -> InsertionBias | None:
    """The bias of `energy_grid`; at fugacity 0 (no exchange) that of vanishing density."""
    grid = options.energy_grid
    if grid is None:
        return None
    check_grid(grid, cell, molecule)
    return insertion_bias(grid, temperature_k=temperature_k, fugacity_bar=fugacity_bar or _VANISHING_BAR)

"""Hybrid molecular dynamics and Monte Carlo: `simulate` with a framework that moves."""

from __future__ import annotations

from typing import Any

from ase import Atoms

from alh2.gcmc.hybrid import FlexibleSettings
from alh2.gcmc.molecule import RigidMolecule
from alh2.gcmc.result import GcmcResult
from alh2.gcmc.settings import GcmcSettings
from alh2.gcmc.simulation import Conditions, System, chosen_settings, run_simulation
from alh2.potential.protocol import Potential


def simulate_flexible(
    framework: Atoms,
    adsorbate: RigidMolecule,
    potential: Potential,
    *,
    flexible: FlexibleSettings,
    temperature_k: float,
    fugacity_bar: float,
    n_moves: int,
    seed: int,
    n_initial: int = 0,
    settings: GcmcSettings | None = None,
    **options: Any,
) -> GcmcResult:
    """Grand-canonical Monte Carlo of rigid `adsorbate` molecules in a `framework` that moves at `temperature_k`.

    After every ``flexible.moves_per_block`` moves on the frozen framework all atoms move for ``flexible.steps`` steps
    of NVT molecular dynamics in LAMMPS, the molecules as rigid bodies, by the same model as the moves (`potential` of
    ``flexible.model_file``; their energies are compared at every hand-over). Everything else as in `simulate`. The
    adsorption energy of a sample is relative to the bare framework as it was at that moment.
    """
    return run_simulation(
        System(framework, adsorbate, potential),
        Conditions(temperature_k, fugacity_bar, n_moves, seed, n_initial),
        chosen_settings(settings, options),
        flexible=flexible,
    )

"""What production runs are asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from alh2.config.model import ProductionConfig, SelectConfig
from alh2.core.atoms import to_atoms
from alh2.core.frames import Frame
from alh2.potential.lammps_forces import LammpsForces
from alh2.production.md_plan import MdRunsSetting
from alh2.select.sanity import HostBonds
from alh2.structure.topology import bonded_pairs

ANYTHING = SelectConfig(0.0, 10.0, 1.0, 0, 0, min_distance_ang=0.2, h2_bond_max_ang=9.0, framework_bond_stretch=9.0)


@pytest.fixture(scope="session")
def config() -> ProductionConfig:
    """50 steps of MD, and an isotherm of two pressures from two loadings."""
    return ProductionConfig(
        md_temperature_k=77.0,
        md_loading=2,
        md_steps=50,
        md_dt_ps=0.00025,
        md_sample_every=5,
        isotherm_temperature_k=77.0,
        pressures_bar=(0.5, 5.0),
        n_moves=300,
        n_equilibration=50,
        n_initial=(0, 2),
    )


@pytest.fixture(scope="session")
def setting_in() -> Callable[..., MdRunsSetting]:
    """``setting_in(folder, committee, start)``: MD in `folder` for which any geometry is sound."""

    def make(folder: Path, committee, start: Frame) -> MdRunsSetting:
        folder.mkdir(parents=True, exist_ok=True)
        host = to_atoms(start.bare_host())
        pairs = bonded_pairs(host)
        bonds = HostBonds(pairs, np.array([host.get_distance(int(i), int(j), mic=True) for i, j in pairs]))
        forces = LammpsForces(committee.plan.type_map)
        return MdRunsSetting(folder, committee.graphs, forces, (), start, 7, "lmp", sys.executable, ANYTHING, bonds)

    return make

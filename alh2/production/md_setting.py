"""Settings of production MD: of models and a start, with or without a campaign."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from alh2.config.model import MachineConfig, SelectConfig
from alh2.core.errors import BadInputError
from alh2.core.files import link_file
from alh2.core.frames import Frame
from alh2.potential.lammps_forces import FORCE_PAIRS_FILE, LammpsForces, forces_of
from alh2.potential.pair_baseline import baseline_beside
from alh2.production.md_plan import MdRunsSetting
from alh2.select.sanity import bonds_of

SOUND = SelectConfig(
    f_trust_lo_ev_ang=0.0,
    f_trust_hi_ev_ang=math.inf,
    insertion_trust_lo_ev=math.inf,
    fp_task_max=0,
    fp_task_min=0,
    min_distance_ang=1.2,
    h2_bond_max_ang=1.1,
    framework_bond_stretch=1.4,
)
"""Sound geometries of runs without a campaign; a campaign has its own in ``alh2.select``."""


def runs_setting(
    directory: Path,
    graphs: tuple[Path, ...],
    forces: LammpsForces,
    start: Frame,
    *,
    seed: int,
    select: SelectConfig,
) -> MdRunsSetting:
    """Setting of `graphs`, moved with `forces` from `start`, by ``lmp`` and ``python``."""
    return MdRunsSetting(
        directory=directory,
        graphs=graphs,
        forces=forces,
        masses_amu=(),
        start=start,
        root_seed=seed,
        command="lmp",
        python="python",
        sanity=select,
        bonds=bonds_of(start.bare_host()),
    )


def sound_setting(
    directory: Path, graphs: tuple[Path, ...], start: Frame, machines: MachineConfig, *, seed: int = 1
) -> MdRunsSetting:
    """Setting of runs without a campaign; the pair terms of a model are read where they lie beside it.

    Raises BadInputError for pair terms beside some of the models.
    """
    under = [found for found in map(baseline_beside, graphs) if found is not None]
    if under and len(under) < len(graphs):
        raise BadInputError(
            str(under[0]), expected="pair terms beside every model or none", found=f"{len(under)} of {len(graphs)}"
        )
    if under:
        link_file(under[0], directory / FORCE_PAIRS_FILE)
    forces = forces_of(tuple(dict.fromkeys(start.symbols)), under)
    made = runs_setting(directory, graphs, forces, start, seed=seed, select=SOUND)
    return replace(made, command=machines.model_devi.command, python=machines.gcmc.command)

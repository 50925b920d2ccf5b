"""Density of the molecules of production MD as a cube file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase.data import atomic_masses, atomic_numbers

from alh2.analysis.density import DensityGrid, guest_density, write_cube
from alh2.core.atoms import to_atoms
from alh2.production.md_plan import MdRunsSetting
from alh2.production.md_runs import MdTrajectory, guest_paths_ang


def md_density(setting: MdRunsSetting, runs: Sequence[MdTrajectory], path: Path) -> DensityGrid:
    """Mean density over all frames of `runs` (all beads), the framework's drift taken out, written with the host.

    The host in the file is that of the start; in MD it moves about it.
    """
    host = setting.start.bare_host()
    masses = np.array([atomic_masses[atomic_numbers[s]] for s in host.symbols])
    centres = [frame for run in runs for one in run.slices() for frame in guest_paths_ang(one, masses)]
    grid = guest_density(centres, host.cell_ang)
    write_cube(path, grid, to_atoms(host))
    return grid

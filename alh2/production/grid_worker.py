"""Worker of one energy grid: ``python -m alh2.production.grid_worker`` in the task folder.

One line on stderr and exit code 2 for bad input, 4 for untrustworthy energies.
"""

from __future__ import annotations

import sys
from pathlib import Path

from alh2.core.atoms import to_atoms
from alh2.explore.worker_end import run_worker
from alh2.gcmc import RigidMolecule, host_energy_grid
from alh2.gcmc.grid_file import save_grid
from alh2.production.grids import GRID_FILE, read_grid_job

SPACING_ANG, MOST_REFINED = 0.8, 400
"""Voxels of the grid, and how many of them, the strongest, are cut again."""


def run(directory: Path) -> None:
    """Run the task of `directory`; raises Alh2Error for bad input and untrustworthy energies."""
    from alh2.potential.load import load_potential

    spec, host = read_grid_job(directory)
    under = directory / spec.pair_baseline if spec.pair_baseline else None
    grid = host_energy_grid(
        to_atoms(host),
        RigidMolecule.h2(bond_length_ang=spec.bond_length_ang),
        load_potential(directory / spec.engine_model, pair_baseline=under),
        temperature_k=spec.temperature_k,
        seed=spec.seed,
        spacing_ang=SPACING_ANG,
        most_refined=MOST_REFINED,
        min_distance_ang=spec.min_distance_ang,
    )
    save_grid(directory / GRID_FILE, grid)


if __name__ == "__main__":
    sys.exit(run_worker(run))

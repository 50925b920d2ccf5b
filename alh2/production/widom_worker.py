"""Worker of one task of Widom insertions: ``python -m alh2.production.widom_worker`` in the task folder.

One line on stderr and exit code 2 for bad input, 4 for untrustworthy energies.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

from alh2.core.atoms import to_atoms
from alh2.core.files import atomic_write_json
from alh2.explore.worker_end import run_worker
from alh2.gcmc import RigidMolecule, WidomResult, widom
from alh2.gcmc.grid_file import load_grid
from alh2.production.henry import RESULT_FILE, WidomAnswer, read_widom_job


def run(directory: Path) -> None:
    """Run the task of `directory`; raises Alh2Error for bad input and untrustworthy energies."""
    from alh2.potential.feynman_hibbs import with_nuclei
    from alh2.potential.load import load_potential

    spec, host = read_widom_job(directory)
    under = directory / spec.pair_baseline if spec.pair_baseline else None
    potential = load_potential(directory / spec.engine_model, pair_baseline=under)
    framework, molecule = to_atoms(host), RigidMolecule.h2(bond_length_ang=spec.bond_length_ang)
    moving = with_nuclei(potential, spec.quantum, temperature_k=spec.temperature_k)
    result = widom(
        framework, molecule, moving, temperature_k=spec.temperature_k, n_insertions=spec.n_insertions,
        seed=spec.seed, energy_grid=load_grid(directory / spec.grid), min_distance_ang=spec.min_distance_ang,
    )  # fmt: skip
    atomic_write_json(directory / RESULT_FILE, asdict(_answer(result)))


def _answer(result: WidomResult) -> WidomAnswer:
    per_mass = result.henry_mol_per_kg_pa
    return WidomAnswer(
        henry_per_cell_bar=result.henry_per_cell_bar.mean,
        henry_per_cell_bar_error=result.henry_per_cell_bar.standard_error,
        henry_mol_per_kg_pa=None if per_mass is None else per_mass.mean,
        henry_mol_per_kg_pa_error=None if per_mass is None else per_mass.standard_error,
        adsorption_enthalpy_kj_per_mol=result.adsorption_enthalpy_kj_per_mol.mean,
        adsorption_enthalpy_error_kj_per_mol=result.adsorption_enthalpy_kj_per_mol.standard_error,
        n_insertions=result.n_insertions,
        n_effective=result.n_effective,
        trusted=result.trusted,
    )


if __name__ == "__main__":
    sys.exit(run_worker(run))

"""Worker of one Monte Carlo task: ``python -m alh2.explore.gcmc_worker`` in the task folder.

Runs the engine on the frozen host of ``start.npz`` with the settings of ``job.json`` and writes the answer. One line on
stderr and exit code 2 for bad input, 4 for untrustworthy energies.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_bytes, digest_bytes
from alh2.core.frames import Frame, Provenance
from alh2.explore.gcmc_job import (
    END_FILE,
    JOB_FILE,
    RESTART_FILE,
    START_FILE,
    GcmcSamples,
    GcmcSeries,
    GcmcSpec,
    GcmcSummary,
    read_job,
    write_answer,
)
from alh2.explore.worker_end import run_worker
from alh2.gcmc import (
    GcmcResult,
    GcmcSettings,
    MoveWeights,
    RestartSettings,
    RigidMolecule,
    simulate,
)
from alh2.gcmc.grid_file import load_grid
from alh2.gcmc.restart import RestartState, read_restart

CANONICAL_WEIGHTS = MoveWeights(insertion=0.0, deletion=0.0, translation=50.0, rotation=50.0)


def run(directory: Path) -> None:
    """Run the task of `directory`; raises Alh2Error for bad input and untrustworthy energies."""
    started = time.monotonic()
    spec, start = read_job(directory)
    result, described = _simulate(directory, spec, start)
    frames, steps = _frames(result, start, spec)
    samples = GcmcSamples(frames, steps)
    summary = _summary(result, described, time.monotonic() - started)
    if spec.restart_every:
        atomic_write_bytes(directory / END_FILE, (directory / RESTART_FILE).read_bytes())
    write_answer(directory, summary, samples, GcmcSeries(result.n_adsorbed, result.adsorption_energy_ev))
    (directory / RESTART_FILE).unlink(missing_ok=True)


def _simulate(directory: Path, spec: GcmcSpec, start: Frame) -> tuple[GcmcResult, str]:
    from ase import Atoms

    from alh2.potential.feynman_hibbs import with_nuclei
    from alh2.potential.load import load_potential

    under = directory / spec.pair_baselines[0] if spec.pair_baselines else None
    potential = load_potential(directory / spec.engine_model, pair_baseline=under)
    framework = Atoms(start.symbols[: start.n_host], start.positions_ang[: start.n_host], cell=start.cell_ang, pbc=True)
    guests = start.positions_ang[start.n_host :].reshape(-1, 2, 3)
    missing = max(0, spec.n_initial - len(guests))
    before = _chain_before(directory / spec.continues) if spec.continues else None
    if before is not None:
        guests, missing = before.guests, 0
    molecule = RigidMolecule.h2(bond_length_ang=spec.bond_length_ang)
    settings = GcmcSettings(
        move_weights=MoveWeights() if spec.ensemble == "grand-canonical" else CANONICAL_WEIGHTS,
        n_equilibration=spec.n_equilibration,
        sample_every=spec.sample_every,
        max_frames=spec.max_samples,
        max_molecules=spec.max_loading,
        initial_guests_ang=guests if len(guests) else None,
        min_distance_ang=spec.min_distance_ang,
        energy_grid=load_grid(directory / spec.grid) if spec.grid else None,
        restart=_restart(directory, spec),
    )
    if before is not None:
        sizes = before.scalars.tolist()
        settings = replace(settings, translation_ang=sizes[1], rotation_rad=sizes[2])
    moving = with_nuclei(potential, spec.quantum, temperature_k=spec.temperature_k)
    result = simulate(
        framework,
        molecule,
        moving,
        temperature_k=spec.temperature_k,
        fugacity_bar=spec.fugacity_bar,
        n_moves=spec.n_moves,
        seed=spec.seed,
        n_initial=missing,
        settings=settings,
    )
    return result, potential.describe()


def _chain_before(path: Path) -> RestartState:
    """The end of the run that is continued."""
    state = read_restart(path)
    if state is None:
        raise BadInputError(str(path), expected="the restart file of a finished run", found="no such file")
    return state


def _restart(directory: Path, spec: GcmcSpec) -> RestartSettings | None:
    """Where this run leaves its state; a restart file that other inputs left in the folder is removed."""
    if not spec.restart_every:
        return None
    inputs = (JOB_FILE, START_FILE, spec.engine_model, *spec.pair_baselines, *filter(None, [spec.continues, spec.grid]))
    identity = digest_bytes(*((directory / name).read_bytes() for name in inputs))
    path = directory / RESTART_FILE
    try:
        before = read_restart(path)
        foreign = before is not None and before.inputs.get("identity") != identity
    except BadInputError:
        foreign = True
    if foreign:
        path.unlink()
    return RestartSettings(path, every=spec.restart_every, identity=identity)


def _frames(result: GcmcResult, start: Frame, spec: GcmcSpec) -> tuple[list[Frame], np.ndarray]:
    host = start.bare_host()
    frames = []
    for sample in result.frames:
        guests = np.asarray(sample.guests_ang).reshape(-1, 3)
        frames.append(
            Frame(
                host.symbols + ("H",) * len(guests),
                np.concatenate([host.positions_ang, guests]),
                host.cell_ang,
                host.n_host,
                host.host_id,
                Provenance("gcmc", -1, f"move {sample.move}", spec.temperature_k),
            )
        )
    return frames, np.array([sample.move for sample in result.frames], dtype=np.int64)


def _summary(result: GcmcResult, described: str, wall_s: float) -> GcmcSummary:
    from alh2.core.statistics import cautious_mean_and_error

    n = result.n_adsorbed_estimate
    energy = cautious_mean_and_error(result.adsorption_energy_ev)
    return GcmcSummary(
        n_adsorbed=n.mean,
        n_adsorbed_error=n.standard_error,
        n_effective=n.n_effective,
        energy_ev=energy.mean,
        energy_error_ev=energy.standard_error,
        acceptance_insertion=result.acceptance["insertion"].ratio,
        acceptance_deletion=result.acceptance["deletion"].ratio,
        acceptance_translation=result.acceptance["translation"].ratio,
        acceptance_rotation=result.acceptance["rotation"].ratio,
        bond_length_ang=float(result.adsorbate.bond_length_ang or 0.0),
        potential=described,
        wall_s=wall_s,
        self_check_drift_ev=float(result.max_energy_drift_ev or 0.0),
        nuclei=result.nuclei,
    )


if __name__ == "__main__":
    sys.exit(run_worker(run))

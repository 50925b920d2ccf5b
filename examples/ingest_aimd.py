"""AIMD with energies and forces into a dataset: drop equilibration, hold out blocks of time, see what is missing.

python examples/ingest_aimd.py [FILE ...] [--output DIR]     (a few seconds; without files, a made-up gas run)
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.morse import MorsePotential
from ase.io import write

from alh2.dataset.checks import composition_check, neighbour_counts
from alh2.dataset.ingest import IngestOptions, TrajectorySource, ingest
from alh2.dataset.store import DatasetStore

TYPE_MAP = ("Al", "O", "C", "N", "H")


def made_up_run(path: Path, n_frames: int = 60) -> Path:
    """One H2 in a box with a Morse bond, as extxyz with energies and forces."""
    rng = np.random.default_rng(1)
    images = []
    for _ in range(n_frames):
        atoms = Atoms("H2", [[5, 5, 5], [5, 5, 5.74 + 0.02 * rng.standard_normal()]], cell=[10] * 3, pbc=True)
        atoms.calc = MorsePotential(epsilon=4.75, rho0=1.44, r0=0.741)
        atoms.get_forces()
        images.append(atoms)
    write(path, images)
    return path


def main(files: list[Path], output: Path, dt_fs: float) -> None:
    """Ingest `files`, print what became of them and what the dataset determines."""
    sources = [TrajectorySource((path,), dt_fs=dt_fs, drop_ps=0.015, temperature_k=77.0) for path in files]
    report = ingest(sources, output, type_map=TYPE_MAP, options=IngestOptions(host_id="node", name=None))
    for t in report.trajectories:
        print(f"{t.composition}: {t.n_read} read, {t.n_equilibration} dropped, {t.n_train} train, {t.n_valid} held out")
        if t.drift is not None:
            print(f"  energy drift {t.drift.mev_per_atom_ps:.2f} ± {t.drift.error:.2f} meV/atom/ps")
    store = DatasetStore.open(output)
    verdict = composition_check(store.counts())
    print(verdict.explanation)
    if verdict.warning:
        print("but:", verdict.warning)
    counts = neighbour_counts(store.load(), 6.0, TYPE_MAP)
    print("neighbours within 6 Å:", dict(zip(TYPE_MAP, counts.per_type, strict=True)))
    print("dataset", output, "plot", report.plot)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--output", type=Path, default=Path("dataset"))
    parser.add_argument("--dt-fs", type=float, default=0.5, help="time between frames")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        main(arguments.files or [made_up_run(Path(folder) / "run.extxyz")], arguments.output, arguments.dt_fs)

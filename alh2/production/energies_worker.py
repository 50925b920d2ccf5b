"""Worker: adsorption energies of frames on one frozen host by several models.

``python -m alh2.production.energies_worker --models m0.dp m1.dp --frames frames.npz --output out.npz``. The output
exists only when complete. Exit code 2 and one line on stderr for bad input.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from alh2.core.atoms import to_atoms
from alh2.core.errors import Alh2Error
from alh2.core.frames import ATOMS_PER_H2, Frame
from alh2.dispatch.tasks import Task
from alh2.potential.frames_npz import load_frames, read_npz, save_frames, write_npz

WORKER_MODULE = "alh2.production.energies_worker"
FRAMES_FILE, OUTPUT_FILE = "frames.npz", "energies.npz"
TIMEOUT_S = 24 * 3600.0


def energies_task(
    work_dir: Path, frames: Sequence[Frame], *, models: Sequence[Path], pairs: Sequence[Path], command: str, label: str
) -> Task:
    """Write `frames` into `work_dir` and return the task that computes their energies there.

    models, pairs : uncompressed models, and the pair baseline under each where they have one
    command : the Python interpreter of the machine file
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    save_frames(work_dir / FRAMES_FILE, frames)
    names, baselines = ([os.path.relpath(path, work_dir) for path in paths] for paths in (models, pairs))
    option = f"--pair-baselines {' '.join(baselines)} " if baselines else ""
    return Task(
        work_dir=work_dir,
        command=f"{command} -m {WORKER_MODULE} --models {' '.join(names)} {option}--frames {FRAMES_FILE} "
        f"--output {OUTPUT_FILE}",
        inputs=(FRAMES_FILE, *names, *baselines),
        outputs=(OUTPUT_FILE,),
        timeout_s=TIMEOUT_S,
        label=label,
    )


def read_energies(work_dir: Path) -> np.ndarray:
    """(n_models, n_frames) eV of a finished task."""
    return read_npz(work_dir / OUTPUT_FILE, "energies_ev")["energies_ev"]


def adsorption_energies(models: Sequence[Path], pairs: Sequence[Path], frames: Sequence[Frame]) -> np.ndarray:
    """E(host + N) - E(host) - N E(molecule) of `frames` (n_models, n_frames), eV, each molecule as it is.

    All frames have the host of the first. Raises BadInputError as `load_potential` does.
    """
    from alh2.potential.load import load_potential

    energies = np.empty((len(models), len(frames)))
    framework = to_atoms(frames[0].bare_host())
    symbols = ("H",) * ATOMS_PER_H2
    for m, model in enumerate(models):
        potential = load_potential(model, pair_baseline=pairs[m] if pairs else None)
        bare = potential.start(framework, symbols, np.empty((0, ATOMS_PER_H2, 3))).energy_ev
        for i, frame in enumerate(frames):
            guests = frame.positions_ang[frame.n_host :].reshape(-1, ATOMS_PER_H2, 3)
            gas = potential.molecule_energy_ev(symbols, guests[0]) if len(guests) else 0.0
            energies[m, i] = potential.start(framework, symbols, guests).energy_ev - bare - len(guests) * gas
    return energies


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line of the worker; returns the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m {WORKER_MODULE}", description=__doc__)
    parser.add_argument("--models", nargs="+", type=Path, required=True, help="uncompressed DeePMD models")
    parser.add_argument(
        "--pair-baselines", nargs="+", type=Path, default=[], help="pair potential under each of the models"
    )
    parser.add_argument("--frames", type=Path, required=True, help="frames.npz written by save_frames")
    parser.add_argument("--output", type=Path, required=True, help="npz to write")
    options = parser.parse_args(arguments)
    try:
        energies = adsorption_energies(options.models, options.pair_baselines, load_frames(options.frames))
    except Alh2Error as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    write_npz(options.output, energies_ev=energies)
    return 0


if __name__ == "__main__":
    sys.exit(main())

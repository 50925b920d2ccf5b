"""Worker: ``python -m alh2.explore.deviation_worker --frames F --output O …``: what the committees say of samples.

One process for many runs: loading the models takes longer than asking them about one run. The output exists only when
complete. Exit code 2 and one line on stderr for bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from alh2.core.errors import BadInputError
from alh2.explore.deviation import insertion_spreads, max_force_deviations
from alh2.potential.frames_npz import load_frames, read_npz, write_npz

WORKER_MODULE = "alh2.explore.deviation_worker"


def read_deviations(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Largest force deviation (eV/Å) and spread of the insertion energy (eV) of each frame, (n_frames,) both."""
    data = read_npz(path, "max_devi_f_ev_ang", "devi_insertion_ev")
    return data["max_devi_f_ev_ang"], data["devi_insertion_ev"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line of the worker; returns the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m {WORKER_MODULE}", description=__doc__)
    parser.add_argument("--force", nargs="+", type=Path, required=True, help="models of the force deviation")
    parser.add_argument("--insertion", nargs="+", type=Path, required=True, help="models of the insertion energy")
    parser.add_argument("--pair-baselines", nargs="+", type=Path, default=[], help="under each model of --insertion")
    parser.add_argument("--frames", type=Path, required=True, help="frames.npz written by save_frames")
    parser.add_argument("--output", type=Path, required=True, help="npz to write")
    options = parser.parse_args(arguments)
    try:
        frames = load_frames(options.frames)
        write_npz(
            options.output,
            max_devi_f_ev_ang=max_force_deviations(options.force, frames),
            devi_insertion_ev=insertion_spreads(options.insertion, frames, pair_baselines=options.pair_baselines),
        )
    except BadInputError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

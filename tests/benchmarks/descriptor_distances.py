"""Distances in descriptor space: ``python tests/benchmarks/descriptor_distances.py MODEL`` prints a JSON line.

Median distance (`FrameFeatures.points`) between frames of the stored dynamics of the node with 6 H2 at 77 K, some time
apart, and between frames and copies of them whose atoms are displaced at random. MODEL is a trained model of the node,
for example ``quickstart/iter.000002/00.train/graph.000.pb``.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from ase.io import read

from alh2.core.atoms import from_atoms
from alh2.core.frames import Provenance
from alh2.potential.descriptors import describe_frames

DATA = Path(__file__).parents[2] / "examples" / "data" / "node-gfn1" / "aimd77-6h2.extxyz"
FRAME_FS = 3
N_FRAMES = 300
LAGS = (1, 2, 5, 10, 20, 50, 100)
WIDTHS_ANG = (0.002, 0.005, 0.01, 0.02, 0.05)


def main() -> None:
    """Describe frames and displaced copies together, print medians."""
    atoms = read(DATA, index=f":{N_FRAMES}")
    frames = [from_atoms(a, n_host=30, host_id="node", provenance=Provenance("aimd")) for a in atoms]
    rng, every = np.random.default_rng(0), range(0, N_FRAMES, 30)
    moved = [
        replace(frames[i], positions_ang=frames[i].positions_ang + width * rng.standard_normal((frames[i].n_atoms, 3)))
        for width in WIDTHS_ANG
        for i in every
    ]
    points = describe_frames(Path(sys.argv[1]), [*frames, *moved]).points()
    own, copies = points[:N_FRAMES], points[N_FRAMES:].reshape(len(WIDTHS_ANG), len(every), -1)
    apart = {lag * FRAME_FS: np.median(np.linalg.norm(own[lag:] - own[:-lag], axis=1)) for lag in LAGS}
    displaced = np.median(np.linalg.norm(copies - own[list(every)], axis=2), axis=1)
    print(
        json.dumps(
            {
                "fs_apart": {str(fs): round(float(d), 3) for fs, d in apart.items()},
                "displaced_ang": {f"{w:g}": round(float(d), 3) for w, d in zip(WIDTHS_ANG, displaced, strict=True)},
            }
        )
    )


if __name__ == "__main__":
    main()

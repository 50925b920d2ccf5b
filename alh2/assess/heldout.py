"""Held-out insertions: E(N+1) - E(N) - E(H2 gas) for molecules of sampled frames.

They judge the models of the iteration that drew them, which never saw them; later iterations draw new ones and train on
these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alh2.core.frames import Frame
from alh2.core.gas import gas_molecule
from alh2.potential.frames_npz import load_frames, read_npz, save_frames, write_npz


@dataclass(frozen=True, eq=False)
class HeldoutInsertion:
    """One insertion: `loaded` has N+1 guests, `less` is the same without the molecule, `gas` the molecule alone."""

    loaded: Frame
    less: Frame
    gas: Frame

    @property
    def n_h2(self) -> int:
        """N, the loading before the insertion."""
        return self.less.n_h2


def heldout_insertion(loaded: Frame, molecule: int) -> HeldoutInsertion:
    """The insertion of guest `molecule` into the rest of `loaded`."""
    return HeldoutInsertion(loaded, loaded.without_molecule(molecule), gas_molecule(loaded, molecule))


def pick_molecules(frames: Sequence[Frame], rng: np.random.Generator) -> list[int]:
    """A random guest of each frame (all have at least one)."""
    return [int(rng.integers(frame.n_h2)) for frame in frames]


def save_heldout(directory: Path, frames: Sequence[Frame], molecules: Sequence[int]) -> None:
    """Write the sampled frames and the molecules chosen."""
    save_frames(directory / "heldout_frames.npz", list(frames))
    write_npz(directory / "heldout.npz", molecules=np.array(molecules, dtype=np.int64))


def load_heldout(directory: Path) -> list[HeldoutInsertion]:
    """Insertions written by `save_heldout`; none where there is no such file."""
    if not (directory / "heldout.npz").exists():
        return []
    molecules = read_npz(directory / "heldout.npz", "molecules")["molecules"]
    frames = load_frames(directory / "heldout_frames.npz")
    return [heldout_insertion(frame, int(k)) for frame, k in zip(frames, molecules, strict=True)]

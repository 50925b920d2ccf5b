"""Worker: energies and forces of a committee on frames.

``python -m alh2.potential.evaluate --models m0.pb m1.pb --frames frames.npz --output out.npz``. The output exists
only when complete. Exit code 2 and one line on stderr for bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alh2.core.errors import BadInputError
from alh2.core.frames import Frame
from alh2.potential.deeppot import DeepPotEvaluator
from alh2.potential.frames_npz import load_frames, offsets_of, read_npz, write_npz
from alh2.potential.pair_baseline import load_pair_baseline


@dataclass(frozen=True, eq=False)
class CommitteeEvaluation:
    """What a committee says of some frames.

    energies_ev : (n_models, n_frames) eV
    forces_ev_ang : (n_models, total atoms, 3) eV/Å; frame i owns atoms offsets[i]:offsets[i+1]
    offsets : (n_frames + 1,) int64
    digests : content digest of each frame, so that an answer cannot be taken for another frame's
    """

    energies_ev: np.ndarray
    forces_ev_ang: np.ndarray
    offsets: np.ndarray
    digests: tuple[str, ...]

    def frame_forces_ev_ang(self, index: int) -> np.ndarray:
        """Forces of frame `index`, (n_models, n_atoms, 3), eV/Å."""
        return self.forces_ev_ang[:, self.offsets[index] : self.offsets[index + 1]]

    def part(self, first: int, last: int) -> CommitteeEvaluation:
        """Frames `first` to `last` (exclusive) alone."""
        offsets = self.offsets[first : last + 1]
        atoms = slice(int(offsets[0]), int(offsets[-1]))
        return CommitteeEvaluation(
            self.energies_ev[:, first:last],
            self.forces_ev_ang[:, atoms],
            offsets - offsets[0],
            self.digests[first:last],
        )


def evaluate_committee(
    model_files: Sequence[Path], frames: Sequence[Frame], *, pair_baselines: Sequence[Path] = ()
) -> CommitteeEvaluation:
    """Energies and forces of `frames` by each model, in this process.

    pair_baselines : the pair potential each model was trained on top of, where they have one; added back

    Raises BadInputError as the evaluator does, and where models and baselines are not as many.
    """
    if pair_baselines and len(pair_baselines) != len(model_files):
        found = f"{len(pair_baselines)} for {len(model_files)} models"
        raise BadInputError("pair baselines", expected="one for each model, or none", found=found)
    energies = np.empty((len(model_files), len(frames)))
    offsets = offsets_of(frames)
    forces = np.empty((len(model_files), int(offsets[-1]), 3))
    for m, model_file in enumerate(model_files):
        labels = DeepPotEvaluator(model_file).evaluate(frames)
        energies[m] = [label.energy_ev for label in labels]
        forces[m] = np.concatenate([np.empty((0, 3)), *(label.forces_ev_ang for label in labels)])
    for m, file in enumerate(pair_baselines):
        under = load_pair_baseline(file)
        energies[m] /= under.scale
        forces[m] /= under.scale
        for i, frame in enumerate(frames):
            label = under.label(frame)
            energies[m, i] += label.energy_ev
            forces[m, offsets[i] : offsets[i + 1]] += label.forces_ev_ang
    return CommitteeEvaluation(energies, forces, offsets, tuple(frame.digest for frame in frames))


def save_evaluation(path: Path, evaluation: CommitteeEvaluation) -> None:
    """Write `evaluation` to `path` in one step."""
    write_npz(
        path,
        energies_ev=evaluation.energies_ev,
        forces_ev_ang=evaluation.forces_ev_ang,
        offsets=evaluation.offsets,
        digests=np.array(evaluation.digests, dtype="U32"),
    )


def load_evaluation(path: Path) -> CommitteeEvaluation:
    """Evaluation written by the worker; raises BadInputError where `path` is absent or not such a file."""
    data = read_npz(path, "energies_ev", "forces_ev_ang", "offsets", "digests")
    digests = tuple(str(digest) for digest in data["digests"])
    return CommitteeEvaluation(data["energies_ev"], data["forces_ev_ang"], data["offsets"], digests)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line of the worker; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m alh2.potential.evaluate", description=__doc__)
    parser.add_argument("--models", nargs="+", type=Path, required=True, help="DeePMD model files (.pb)")
    parser.add_argument(
        "--pair-baselines", nargs="+", type=Path, default=[], help="pair potential under each of the models"
    )
    parser.add_argument("--frames", type=Path, required=True, help="frames.npz written by save_frames")
    parser.add_argument("--output", type=Path, required=True, help="npz to write")
    options = parser.parse_args(arguments)
    try:
        answer = evaluate_committee(options.models, load_frames(options.frames), pair_baselines=options.pair_baselines)
        save_evaluation(options.output, answer)
    except BadInputError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

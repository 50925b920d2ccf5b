"""Worker: what frames look like to a model, a few numbers per frame.

``python -m alh2.potential.descriptors --model graph.pb --frames frames.npz --output features.npz``. The output exists
only when complete. Exit code 2 and one line on stderr for bad input.

Atoms are put into classes: the host atoms of each element, and the H of the guests. Within a class the model's own
descriptors are centred, turned into their leading principal components and divided by the spread over the environments
of the class; a frame is the mean and the standard deviation of those components over its atoms of each class.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alh2.core.errors import BadInputError
from alh2.core.frames import Frame
from alh2.potential.deeppot import DeepPotEvaluator
from alh2.potential.frames_npz import load_frames, read_npz, write_npz

N_COMPONENTS = 16
"""Principal components kept of each class."""

BASIS_FRAMES = 200
"""Frames, evenly over those given, whose environments define the components and their scale."""

ATOMS_PER_CALL = 4096
"""Atoms described at once: 50 MB for a paper-size descriptor of 1600 numbers."""

LEAST_SPREAD = 1e-3
"""Least scale of a class, as a fraction of the length of its mean descriptor: noise is not made large."""


@dataclass(frozen=True, eq=False)
class FrameFeatures:
    """Features of frames in the order given.

    values : (n_frames, n_classes, 2 * n_components), mean then standard deviation over atoms, in units of the spread
        over environments of the class; zero where a frame has no atom of the class
    counts : (n_frames, n_classes) atoms of each class; the last class is the guests
    """

    values: np.ndarray
    counts: np.ndarray

    def points(self) -> np.ndarray:
        """Frames as points (n_frames, n) whose Euclidean distance compares them.

        Squared distance = ½ |Δ guests|² + ½ Σ_elements (n_element / n_host) |Δ element|²: half of it for the guests,
        half for the host, whatever the loading and the size of the cell. By Jensen's inequality it is at most the mean
        over atoms of the squared change of their environments.
        """
        host = self.counts[:, :-1].astype(np.float64)
        share = host / np.maximum(host.sum(axis=1, keepdims=True), 1.0)
        weights = 0.5 * np.concatenate([share, np.ones((len(host), 1))], axis=1)
        return np.asarray((np.sqrt(weights)[:, :, None] * self.values).reshape(len(self.values), -1))


@dataclass(frozen=True, eq=False)
class _Basis:
    """Components (width, n_components) of a class, divided by its spread, and the mean (width,) they start from."""

    mean: np.ndarray
    components: np.ndarray


def describe_frames(model_file: Path, frames: Sequence[Frame]) -> FrameFeatures:
    """Features of `frames` by the descriptor of `model_file`, in this process.

    Raises BadInputError as the evaluator does. The same frames in the same order give the same features.
    """
    evaluator = DeepPotEvaluator(model_file)
    classes = (*evaluator.type_map, "guest")
    chosen = np.unique(np.linspace(0, max(len(frames) - 1, 0), BASIS_FRAMES).round().astype(int))
    bases = _bases(evaluator, [frames[i] for i in chosen] if frames else [], classes)
    values = np.zeros((len(frames), len(classes), 2 * N_COMPONENTS))
    counts = np.zeros((len(frames), len(classes)), dtype=np.int64)
    for members, owner, descriptors in _described(evaluator, frames):
        for c, basis in bases.items():
            mine = np.flatnonzero(owner == c)
            if not len(mine):
                continue
            reduced = (descriptors[:, mine] - basis.mean) @ basis.components
            n = basis.components.shape[1]
            values[members, c, :n] = reduced.mean(axis=1)
            values[members, c, N_COMPONENTS : N_COMPONENTS + n] = reduced.std(axis=1)
            counts[members, c] = len(mine)
    return FrameFeatures(values, counts)


def _described(
    evaluator: DeepPotEvaluator, frames: Sequence[Frame]
) -> Iterator[tuple[list[int], np.ndarray, np.ndarray]]:
    """Frames of one composition at a time: their indices, the class of each atom, descriptors (n, n_atoms, width)."""
    groups: dict[tuple[tuple[str, ...], int], list[int]] = {}
    for i, frame in enumerate(frames):
        groups.setdefault((frame.symbols, frame.n_host), []).append(i)
    index = {symbol: c for c, symbol in enumerate(evaluator.type_map)}
    for (symbols, n_host), members in groups.items():
        if not symbols:
            continue
        owner = np.array([index.get(s, -1) for s in symbols])
        owner[n_host:] = len(index)
        step = max(1, ATOMS_PER_CALL // len(symbols))
        for first in range(0, len(members), step):
            part = members[first : first + step]
            positions = np.array([frames[i].positions_ang for i in part])
            cells = np.array([frames[i].cell_ang for i in part])
            yield part, owner, evaluator.descriptors(symbols, positions, cells)


def _bases(evaluator: DeepPotEvaluator, frames: Sequence[Frame], classes: Sequence[str]) -> dict[int, _Basis]:
    """Basis of each class that occurs in `frames`."""
    sums: dict[int, tuple[int, np.ndarray, np.ndarray]] = {}
    for _, owner, descriptors in _described(evaluator, frames):
        for c in range(len(classes)):
            rows = descriptors[:, owner == c].reshape(-1, descriptors.shape[-1])
            if not len(rows):
                continue
            n, total, square = sums.get(c, (0, np.zeros(rows.shape[1]), np.zeros((rows.shape[1],) * 2)))
            sums[c] = (n + len(rows), total + rows.sum(axis=0), square + rows.T @ rows)
    return {c: _basis(*each) for c, each in sums.items()}


def _basis(n: int, total: np.ndarray, square: np.ndarray) -> _Basis:
    """Leading components from the number of rows, their sum and their sum of products."""
    mean = total / n
    variances, vectors = np.linalg.eigh(square / n - np.outer(mean, mean))
    spread = np.sqrt(max(float(variances.sum()), 0.0))
    scale = max(spread, LEAST_SPREAD * float(np.linalg.norm(mean)), 1e-12)
    return _Basis(mean, vectors[:, ::-1][:, :N_COMPONENTS] / scale)


def load_features(path: Path) -> FrameFeatures:
    """Features written by the worker; raises BadInputError where `path` is absent or not such a file."""
    data = read_npz(path, "values", "counts")
    return FrameFeatures(data["values"], data["counts"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line of the worker; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m alh2.potential.descriptors", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="DeePMD model file (.pb)")
    parser.add_argument("--frames", type=Path, required=True, help="frames.npz written by save_frames")
    parser.add_argument("--output", type=Path, required=True, help="npz to write")
    options = parser.parse_args(arguments)
    try:
        found = describe_frames(options.model, load_frames(options.frames))
        write_npz(options.output, values=found.values, counts=found.counts)
    except BadInputError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

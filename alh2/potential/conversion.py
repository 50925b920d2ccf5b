"""Worker: convert a model to `.dp` and measure what the conversion does to its energies.

``python -m alh2.potential.conversion model.pb model.dp shift.json``. DeePMD's conversion is not exact to rounding; the
shift of atomic energies is measured on a probe and kept beside the `.dp`, so that whoever uses it can say it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_json, read_json_as
from alh2.potential.libraries import silenced

CLOSEST_ANG = 1.2
PER_ELEMENT = 8


@dataclass(frozen=True)
class ConversionShift:
    """Atomic energies of the `.dp` less those of the original, on a probe of `n_atoms` atoms, eV."""

    n_atoms: int
    largest_ev: float
    mean_ev: float


def shift_file(dp_file: Path) -> Path:
    """Where the shift of a converted model is kept."""
    return dp_file.with_suffix(".shift.json")


def known_shift(dp_file: Path) -> ConversionShift | None:
    """What was measured when `dp_file` was made; None where that is not known."""
    path = shift_file(dp_file)
    return read_json_as(path, ConversionShift) if path.is_file() else None


def probe(type_map: Sequence[str], sel: np.ndarray, rcut_ang: float) -> Atoms:
    """Up to eight atoms of each element at random in a cube of 8 Å, never more than `sel`, without images in reach."""
    rng = np.random.default_rng(20)
    symbols = [name for name, most in zip(type_map, sel, strict=True) for _ in range(min(PER_ELEMENT, int(most)))]
    points: list[np.ndarray] = []
    while len(points) < len(symbols):
        point = 8.0 * rng.random(3)
        if all(np.linalg.norm(point - other) > CLOSEST_ANG for other in points):
            points.append(point)
    edge = 8.0 + 2.0 * rcut_ang + 1.0
    return Atoms(symbols, points, cell=edge * np.eye(3), pbc=True)


def measure_shift(model_file: Path, dp_file: Path) -> ConversionShift:
    """Evaluate the probe with both files; raises BadInputError where the `.dp` has no incremental energies."""
    from alh2.potential.incremental import IncrementalPotential

    potential = IncrementalPotential(dp_file, threads=1)
    model = potential.model
    atoms = probe(model.type_map, model.sel, model.rcut_ang)
    converted = potential.start(atoms, (model.type_map[0],), np.empty((0, 1, 3))).atomic_energies_ev
    types = [model.type_map.index(symbol) for symbol in atoms.symbols]
    with silenced():
        from deepmd.infer import DeepPot

        answer = DeepPot(str(model_file)).eval(
            atoms.positions.reshape(1, -1), np.array(atoms.cell).reshape(1, 9), types, atomic=True
        )
    difference = converted - np.ravel(answer[3])
    return ConversionShift(len(atoms), float(np.abs(difference).max()), float(difference.mean()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line of the worker; returns the exit code."""
    model_file, dp_file, shift = map(Path, sys.argv[1:] if arguments is None else arguments)
    from deepmd.entrypoints.convert_backend import convert_backend

    convert_backend(INPUT=str(model_file), OUTPUT=str(dp_file))
    try:
        measured = measure_shift(model_file, dp_file)
    except BadInputError:
        return 0
    atomic_write_json(shift, asdict(measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())

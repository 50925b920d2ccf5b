"""Full energies and forces of DeePMD model files through `deepmd.infer.DeepPot`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from alh2.core.errors import BadInputError
from alh2.core.frames import Frame, Label
from alh2.potential.ase_potential import GAS_BOX_ANG
from alh2.potential.full_energy import FullEnergySession
from alh2.potential.libraries import silence_exit, silenced

MODEL_SUFFIXES = (".pb", ".pth", ".pt2", ".dp", ".yaml", ".yml")
FIRST_BYTES = {".pb": b"\n", ".dp": b"\x89HDF", ".pth": b"PK", ".pt2": b"PK"}
"""How files of a kind begin (a frozen graph is a protobuf whose first field is a node)."""
ATOMS_PER_CALL = 16384
"""Frames are handed to DeepPot in chunks of at most this many atoms (DeepPot itself works on 1024 at a time)."""


def check_model_file(path: Path) -> None:
    """Raise BadInputError where `path` is not an existing, non-empty model file by suffix and first bytes."""
    if path.suffix not in MODEL_SUFFIXES:
        raise BadInputError(
            str(path), expected=f"a DeePMD model ({', '.join(MODEL_SUFFIXES)})", found=f"suffix '{path.suffix}'"
        )
    if not path.is_file():
        raise BadInputError(str(path), expected="a DeePMD model file", found="no such file", action="check the path")
    if path.stat().st_size == 0:
        raise BadInputError(str(path), expected="a DeePMD model file", found="an empty file", action="freeze it again")
    begins = FIRST_BYTES.get(path.suffix, b"")
    with open(path, "rb") as handle:
        found = handle.read(len(begins))
    if found != begins:
        raise BadInputError(
            str(path),
            expected=f"a readable DeePMD {path.suffix} model",
            found="another kind of file",
            action="freeze it again",
        )


def types_in(type_map: Sequence[str], symbols: Sequence[str], *, where: str) -> np.ndarray:
    """Type numbers (int32) of `symbols`; raises BadInputError naming file and symbol for one not in `type_map`."""
    index = {symbol: i for i, symbol in enumerate(type_map)}
    for symbol in symbols:
        if symbol not in index:
            raise BadInputError(
                where,
                expected=f"only the model's elements ({' '.join(type_map)})",
                found=f"element {symbol}",
                action="use a model trained with it",
            )
    return np.array([index[symbol] for symbol in symbols], dtype=np.int32)


def right_handed(cells_ang: np.ndarray) -> np.ndarray:
    """Cells (n, 3, 3) of the same lattices with a positive volume: DeepPot's images of others are wrong, silently."""
    signs = np.where(np.linalg.det(cells_ang) < 0.0, -1.0, 1.0)
    turned = np.array(cells_ang, dtype=np.float64)
    turned[:, 2] *= signs[:, None]
    return turned


class DeepPotEvaluator:
    """One DeePMD model file, evaluated in this process.

    Library noise on stdout and stderr is suppressed. Raises BadInputError where the file is absent, not a model, or
    needs frame or atom parameters.
    """

    def __init__(self, model_file: Path) -> None:
        self.model_file = Path(model_file)
        check_model_file(self.model_file)
        self._model = self._load()
        self.type_map: tuple[str, ...] = tuple(self._model.get_type_map())
        self.rcut_ang = float(self._model.get_rcut())
        if self._model.get_dim_fparam() or self._model.get_dim_aparam():
            raise BadInputError(str(self.model_file), expected="a model of positions only", found="fparam or aparam")

    def _load(self) -> Any:
        silence_exit()
        try:
            with silenced():
                from deepmd.infer import DeepPot

                return DeepPot(str(self.model_file))
        except ImportError:
            raise
        except Exception as error:
            raise BadInputError(
                str(self.model_file),
                expected="a readable DeePMD energy model",
                found=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}",
                action="freeze it again",
            ) from error

    def raw(
        self, symbols: tuple[str, ...], positions_ang: np.ndarray, cells_ang: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Energies (n_frames,) eV and forces (n_frames, n_atoms, 3) eV/Å of frames of one composition and order.

        positions_ang : (n_frames, n_atoms, 3); cells_ang : (n_frames, 3, 3). Forces of `.dp` files are NaN (the
        NumPy backend has none).
        """
        n_frames, n_atoms = len(positions_ang), len(symbols)
        if n_atoms == 0 or n_frames == 0:
            return np.zeros(n_frames), np.zeros((n_frames, n_atoms, 3))
        types = types_in(self.type_map, symbols, where=str(self.model_file))
        cells_ang = right_handed(cells_ang)
        energies, forces = np.empty(n_frames), np.empty((n_frames, n_atoms, 3))
        chunk = max(1, ATOMS_PER_CALL // n_atoms)
        with silenced():
            for first in range(0, n_frames, chunk):
                part = slice(first, first + chunk)
                answer = self._model.eval(
                    positions_ang[part].reshape(-1, 3 * n_atoms), cells_ang[part].reshape(-1, 9), types
                )
                energies[part], forces[part] = answer[0].reshape(-1), answer[1].reshape(-1, n_atoms, 3)
        return energies, forces

    def descriptors(self, symbols: tuple[str, ...], positions_ang: np.ndarray, cells_ang: np.ndarray) -> np.ndarray:
        """Descriptors (n_frames, n_atoms, width) of frames of one composition and order; shapes as in `raw`.

        All frames are evaluated at once: the caller bounds their number.
        """
        types = types_in(self.type_map, symbols, where=str(self.model_file))
        flat = positions_ang.reshape(len(positions_ang), -1)
        with silenced():
            found = self._model.eval_descriptor(flat, right_handed(cells_ang).reshape(-1, 9), types)
        return np.asarray(found, dtype=np.float64).reshape(len(positions_ang), len(symbols), -1)

    def evaluate(self, frames: Sequence[Frame]) -> list[Label]:
        """Energy and forces of each frame, in order; frames of equal symbols are evaluated together.

        Raises BadInputError for elements the model does not know, and for `.dp` and `.yaml` files, which have no
        forces. Values that are not finite are returned as they are.
        """
        if self.model_file.suffix in (".dp", ".yaml", ".yml"):
            raise BadInputError(
                str(self.model_file), expected="a model with forces (.pb)", found="the force-free .dp format"
            )
        groups: dict[tuple[str, ...], list[int]] = {}
        for i, frame in enumerate(frames):
            groups.setdefault(frame.symbols, []).append(i)
        labels: dict[int, Label] = {}
        for symbols, members in groups.items():
            energies, forces = self.raw(
                symbols,
                np.array([frames[i].positions_ang for i in members]),
                np.array([frames[i].cell_ang for i in members]),
            )
            for k, i in enumerate(members):
                labels[i] = Label(float(energies[k]), forces[k], f"deepmd:{self.model_file.name}")
        return [labels[i] for i in range(len(frames))]

    def energy_ev(self, symbols: tuple[str, ...], positions_ang: np.ndarray, cell_ang: np.ndarray) -> float:
        """Energy of one periodic configuration, eV."""
        return float(self.raw(symbols, positions_ang[None], cell_ang[None])[0][0])


class DeepPotPotential:
    """`Potential` by full energies of any DeePMD model, in process."""

    def __init__(self, model_file: Path) -> None:
        self._evaluator = DeepPotEvaluator(model_file)

    def describe(self) -> str:
        """One line for logs and reports."""
        return f"full energies by DeepPot of {self._evaluator.model_file}"

    def start(self, framework: Atoms, molecule_symbols: tuple[str, ...], guests_ang: np.ndarray) -> FullEnergySession:
        """Session on `framework`; raises BadInputError for unknown elements or a start that is not finite."""
        symbols = tuple(framework.get_chemical_symbols())
        types_in(self._evaluator.type_map, symbols + tuple(molecule_symbols), where=str(self._evaluator.model_file))
        cell = np.array(framework.cell)
        return FullEnergySession(
            lambda elements, positions: self._evaluator.energy_ev(elements, positions, cell),
            (symbols, framework.positions),
            molecule_symbols=molecule_symbols,
            guests_ang=guests_ang,
        )

    def molecule_energy_ev(self, molecule_symbols: tuple[str, ...], sites_ang: np.ndarray) -> float:
        """Energy (eV) of one molecule centred in a periodic cube of `GAS_BOX_ANG`; BadInputError if not finite."""
        sites = np.asarray(sites_ang, dtype=np.float64)
        centred = sites - sites.mean(axis=0) + 0.5 * GAS_BOX_ANG
        energy = self._evaluator.energy_ev(tuple(molecule_symbols), centred, GAS_BOX_ANG * np.eye(3))
        if not math.isfinite(energy):
            raise BadInputError(f"isolated {''.join(molecule_symbols)}", expected="a finite energy", found=str(energy))
        return energy

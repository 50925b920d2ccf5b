"""DeePMD's C library of the installed wheel: energies of chosen atoms with their neighbours given."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alh2.core.errors import BadInputError
from alh2.potential.libraries import silence_exit, silenced

_TEXT, _POINTER, _INT, _DOUBLE = ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_double
_SIGNATURES: dict[str, tuple[object, list[object]]] = {
    "DP_NewDeepPot": (_POINTER, [_TEXT]),
    "DP_DeleteDeepPot": (None, [_POINTER]),
    "DP_DeepPotCheckOK": (_TEXT, [_POINTER]),
    "DP_DeepPotGetTypeMap": (_TEXT, [_POINTER]),
    "DP_DeepPotGetCutoff": (_DOUBLE, [_POINTER]),
    "DP_DeepPotGetDimFParam": (_INT, [_POINTER]),
    "DP_DeepPotGetDimAParam": (_INT, [_POINTER]),
    "DP_NewNlist": (_POINTER, [_INT, _POINTER, _POINTER, _POINTER]),
    "DP_DeleteNlist": (None, [_POINTER]),
    "DP_DeepPotCompute2": (None, [_POINTER, _INT, _INT, *[_POINTER] * 10]),
    "DP_DeepPotComputeNList2": (None, [_POINTER, _INT, _INT, *[_POINTER] * 3, _INT, _POINTER, _INT, *[_POINTER] * 7]),
}
"""As declared in DeePMD-kit's `c_api.h` (API version 25); every pointer to numbers is an address."""


@functools.cache
def _library() -> ctypes.CDLL:
    """The library, with the TensorFlow it was built against loaded before it; BadInputError where it is missing."""
    places = {}
    for package in ("deepmd", "tensorflow"):
        found = importlib.util.find_spec(package)
        if found is None or found.origin is None:
            raise BadInputError(
                "DeePMD's C library", expected="the packages deepmd and tensorflow", found=f"no {package}"
            )
        places[package] = Path(found.origin).parent
    try:
        for name in ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2"):
            ctypes.CDLL(str(places["tensorflow"] / name), mode=ctypes.RTLD_GLOBAL)
        library = ctypes.CDLL(str(places["deepmd"] / "lib" / "libdeepmd_c.so"))
    except OSError as error:
        raise BadInputError("DeePMD's C library", expected="a loadable library", found=str(error)) from None
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Atoms whose energy is asked, and everything within the cutoff of each.

    types, positions_ang : (n,) int32 and (n, 3) of all atoms, those asked for first
    n_neighbours : (n_asked,) int32; neighbours : int32 indices, one asked atom after the other
    """

    types: np.ndarray
    positions_ang: np.ndarray
    n_neighbours: np.ndarray
    neighbours: np.ndarray


class DeepPotC:
    """One model file; raises BadInputError where it cannot be read or needs more than positions."""

    def __init__(self, model_file: Path) -> None:
        self.model_file = model_file
        silence_exit()
        with silenced():
            self._library = _library()
            self._model = self._library.DP_NewDeepPot(str(model_file).encode())
        self._check("a model that DeePMD's C library reads")
        self.type_map = tuple(self._library.DP_DeepPotGetTypeMap(self._model).decode().split())
        self.rcut_ang = float(self._library.DP_DeepPotGetCutoff(self._model))
        if self._library.DP_DeepPotGetDimFParam(self._model) or self._library.DP_DeepPotGetDimAParam(self._model):
            raise BadInputError(str(model_file), expected="a model of positions only", found="fparam or aparam")

    def __del__(self) -> None:
        if getattr(self, "_model", None):
            self._library.DP_DeleteDeepPot(self._model)
            self._model = None

    def _check(self, expected: str) -> None:
        message = self._library.DP_DeepPotCheckOK(self._model).decode(errors="replace")
        if message:
            lines = message.splitlines()
            raise BadInputError(str(self.model_file), expected=expected, found=lines[-1].strip())

    def energies_ev(self, atoms: Surroundings, cell_ang: np.ndarray) -> np.ndarray:
        """(n_asked,) eV; the cell is passed on but not used, positions are taken as they are."""
        n, n_asked = len(atoms.types), len(atoms.n_neighbours)
        ends = np.cumsum(atoms.n_neighbours, dtype=np.int64)
        lists = atoms.neighbours.ctypes.data + 4 * (ends - atoms.n_neighbours)
        order = np.arange(n_asked, dtype=np.int32)
        out = _Answer(n)
        library = self._library
        around = library.DP_NewNlist(n_asked, order.ctypes.data, atoms.n_neighbours.ctypes.data, lists.ctypes.data)
        try:
            library.DP_DeepPotComputeNList2(
                self._model,
                1,
                n,
                atoms.positions_ang.ctypes.data,
                atoms.types.ctypes.data,
                np.ascontiguousarray(cell_ang).ctypes.data,
                n - n_asked,
                around,
                0,
                None,
                None,
                *out.addresses,
            )
        finally:
            library.DP_DeleteNlist(around)
        self._check("an energy")
        return out.atomic_ev[:n_asked]

    def periodic_energy_ev(self, types: np.ndarray, positions_ang: np.ndarray, cell_ang: np.ndarray) -> float:
        """Energy (eV) of a whole periodic configuration with DeePMD's own neighbour search; types (n,) int32."""
        n = len(types)
        out = _Answer(n)
        positions, cell = np.ascontiguousarray(positions_ang), np.ascontiguousarray(cell_ang)
        kinds = np.ascontiguousarray(types, dtype=np.int32)
        self._library.DP_DeepPotCompute2(
            self._model,
            1,
            n,
            positions.ctypes.data,
            kinds.ctypes.data,
            cell.ctypes.data,
            None,
            None,
            *out.addresses,
        )
        self._check("an energy")
        return float(out.energy_ev[0])


class _Answer:
    """Output arrays of one evaluation."""

    def __init__(self, n: int) -> None:
        self.energy_ev, self.atomic_ev = np.zeros(1), np.zeros(n)
        self._rest = (np.zeros(3 * n), np.zeros(9))
        force, virial = self._rest
        arrays = (self.energy_ev, force, virial, self.atomic_ev)
        self.addresses = (*(array.ctypes.data for array in arrays), None)

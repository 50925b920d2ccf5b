"""Whatever dpdata reads, as steps: one call, its errors as one line, its chatter kept out."""

from __future__ import annotations

import contextlib
import io
import logging
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np

from alh2.core.errors import BadInputError
from alh2.formats.trajectory import Step, Trajectory

READ_ERRORS = (
    OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError, RuntimeError, EOFError,
    StopIteration, SyntaxError, ImportError, Warning, struct.error, zlib.error,
)  # fmt: skip
"""What readers of other libraries raise on damaged or foreign files."""


def read_dpdata(path: Path, file_format: str) -> Trajectory:
    """All frames of `path` in dpdata's `file_format`; raises BadInputError where they are not whole.

    dpdata turns cells so that they are lower triangular, and positions and forces with them.
    """
    noise = logging.getLogger().manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import dpdata

            data = dpdata.LabeledSystem(str(path), fmt=file_format).data
            symbols = tuple(data["atom_names"][t] for t in data["atom_types"])
            arrays = [np.asarray(data[key], dtype=np.float64) for key in ("coords", "cells", "energies", "forces")]
            periodic = not data.get("nopbc", False)
    except READ_ERRORS as error:
        raise BadInputError(
            str(path), expected=f"{file_format} with energies and forces", found=one_line(error),
            action="the data are incomplete, damaged or of another format (--format)",
        ) from None  # fmt: skip
    finally:
        logging.disable(noise)
    coords, cells, energies, forces = arrays
    shape = (len(energies), len(symbols), 3)
    if coords.shape != shape or forces.shape != shape or cells.shape != (shape[0], 3, 3):
        raise BadInputError(
            str(path), expected=f"positions and forces of shape {shape}", found=f"{coords.shape} and {forces.shape}"
        )
    steps = (Step(i + 1, symbols, coords[i], cells[i], float(energies[i]), forces[i]) for i in range(shape[0]))
    return Trajectory(str(path), tuple(steps), periodic=periodic)


def one_line(error: BaseException) -> str:
    """Type and message of `error` on one line, at most 160 characters of it."""
    text = " ".join(str(error).split())[:160]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

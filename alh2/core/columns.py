"""Text tables of numbers that programs append to while they run (``lcurve.out``, ``model_devi.out``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alh2.core.errors import BadInputError


@dataclass(frozen=True, eq=False)
class Columns:
    """Named columns: `names` as in the header, `values` (n_rows, n_names) float64, NaN where the file says so."""

    path: Path
    names: tuple[str, ...]
    values: np.ndarray

    def column(self, *names: str) -> np.ndarray:
        """The first of `names` that the table has, (n_rows,); raises BadInputError where it has none."""
        for name in names:
            if name in self.names:
                return np.asarray(self.values[:, self.names.index(name)])
        raise BadInputError(str(self.path), expected=f"column {' or '.join(names)}", found=", ".join(self.names))


def read_columns(path: Path, *, what: str) -> Columns:
    """The table in `path`: a line ``# step name …``, then rows of numbers.

    A last line without its end (a program killed while writing) and rows of another length are left out: a number
    cut short is still a number. `what` names the expected file, e.g. "a DeePMD lcurve.out". Raises BadInputError
    where the file is absent, has no such header, or a whole row is not numbers.
    """
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        raise BadInputError(str(path), expected=what, found="no such file") from None
    lines = text.split("\n")[:-1]
    header = next((line.lstrip("# ").split() for line in lines if line.startswith("#") and "step" in line), None)
    if header is None:
        raise BadInputError(str(path), expected=what, found="no line '# step …'")
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    try:
        values = [[float(field) for field in row] for row in rows if len(row) == len(header)]
    except ValueError as error:
        raise BadInputError(str(path), expected=what, found=str(error)) from None
    return Columns(path, tuple(header), np.array(values, dtype=np.float64).reshape(-1, len(header)))

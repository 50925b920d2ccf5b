"""DeePMD's ``lcurve.out``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alh2.core.errors import BadInputError


@dataclass(frozen=True, eq=False)
class Lcurve:
    """Training errors over steps, all (n,): energy RMSE in eV/atom, force RMSE in eV/Å, learning rate."""

    steps: np.ndarray
    rmse_energy_ev_atom: np.ndarray
    rmse_force_ev_ang: np.ndarray
    learning_rate: np.ndarray

    @property
    def finite(self) -> bool:
        """Whether every error is a finite number."""
        return bool(np.isfinite(self.rmse_energy_ev_atom).all() and np.isfinite(self.rmse_force_ev_ang).all())


def read_lcurve(path: Path) -> Lcurve:
    """Parse ``lcurve.out``; columns are found by their names (``rmse_e_trn`` or ``rmse_e``, …).

    Raises BadInputError where the file is missing, empty or lacks a column.
    """
    expected = "a DeePMD lcurve.out with rmse_e and rmse_f columns"
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        raise BadInputError(str(path), expected=expected, found="no such file") from None
    header = next((line.lstrip("# ").split() for line in lines if line.startswith("#") and "step" in line), None)
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    if header is None or not rows:
        raise BadInputError(str(path), expected=expected, found="no header or no rows")

    def column(*names: str) -> np.ndarray:
        for name in names:
            if name in header:
                index = header.index(name)
                return np.array([float(row[index]) for row in rows if len(row) == len(header)])
        raise BadInputError(str(path), expected=f"column {' or '.join(names)}", found=", ".join(header))

    return Lcurve(
        column("step").astype(int),
        column("rmse_e_trn", "rmse_e"),
        column("rmse_f_trn", "rmse_f"),
        column("lr"),
    )

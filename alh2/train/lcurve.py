"""DeePMD's ``lcurve.out``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alh2.core.columns import read_columns
from alh2.core.errors import BadInputError

DIVERGED_FACTOR = 10.0
"""A training whose later force errors are this many times its first ones has diverged, …"""

DIVERGED_EV_ANG = 10.0
"""… if they are this large too: growth below it can be the luck of which frames the first batches had."""

MIN_ROWS = 6
"""Fewer rows, each of a single batch, tell no trend."""


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

    @property
    def diverged(self) -> bool:
        """Whether the force errors of the last third (median) are ten times the largest of the first third, and large.

        Rows are errors of single batches, and those of nearly force-free frames (gas) are small.
        """
        third = len(self.steps) // 3
        if len(self.steps) < MIN_ROWS:
            return False
        first = float(np.max(self.rmse_force_ev_ang[:third]))
        return float(np.median(self.rmse_force_ev_ang[-third:])) > max(DIVERGED_FACTOR * first, DIVERGED_EV_ANG)


def read_lcurve(path: Path) -> Lcurve:
    """Parse ``lcurve.out``; columns are found by their names (``rmse_e_trn`` or ``rmse_e``, …).

    Raises BadInputError where the file is missing, empty or lacks a column.
    """
    expected = "a DeePMD lcurve.out with rmse_e and rmse_f columns"
    table = read_columns(path, what=expected)
    if not len(table.values):
        raise BadInputError(str(path), expected=expected, found="no rows")
    return Lcurve(
        table.column("step").astype(int),
        table.column("rmse_e_trn", "rmse_e"),
        table.column("rmse_f_trn", "rmse_f"),
        table.column("lr"),
    )

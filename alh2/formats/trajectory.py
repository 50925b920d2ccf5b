"""What readers return: the steps of one file as they stand there, with what is known of time and convergence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Step:
    """One ionic step.

    number : position in the file, from 1; positions_ang, forces_ev_ang : (n_atoms, 3); cell_ang : (3, 3)
    converged : electronic steps fewer than NELM (True where the format does not say)
    temperature_k : instantaneous, from velocities or the code's own print, None where unknown
    """

    number: int
    symbols: tuple[str, ...]
    positions_ang: np.ndarray
    cell_ang: np.ndarray
    energy_ev: float
    forces_ev_ang: np.ndarray
    converged: bool = True
    temperature_k: float | None = None


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The steps of one file.

    dt_fs : time between steps where the file says so (VASP MD: POTIM), else None
    truncated : what is missing at the end of the file, "" where it is whole
    periodic : False for molecules in no cell (the cell is then a reader's invention)
    """

    file: str
    steps: tuple[Step, ...]
    dt_fs: float | None = None
    truncated: str = ""
    periodic: bool = True

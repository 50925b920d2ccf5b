"""What a simulation can be told beyond temperature, fugacity and length."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, fields

import numpy as np

from alh2.core.errors import BadInputError
from alh2.gcmc.energy_grid import HostEnergyGrid
from alh2.gcmc.restart import RestartSettings
from alh2.gcmc.trajectory import TrajectorySettings

Progress = Callable[[int, int, int], None]
"""Called with (moves done, moves in all with equilibration, molecules now)."""


@dataclass(frozen=True)
class MoveWeights:
    """Relative frequency of each move; they need not add up to anything.

    Re-insertion deletes a molecule and places it anew in one move: N stays, a molecule changes its site.
    Insertion and deletion may differ (the acceptance corrects for it) but are both zero or both positive.
    """

    insertion: float = 30.0
    deletion: float = 30.0
    translation: float = 20.0
    rotation: float = 20.0
    reinsertion: float = 0.0

    def __post_init__(self) -> None:
        values = astuple(self)
        if not all(math.isfinite(v) and v >= 0.0 for v in values) or sum(values) <= 0.0:
            raise BadInputError("move_weights", expected="numbers >= 0, at least one above 0", found=f"{values}")
        if (self.insertion > 0.0) != (self.deletion > 0.0):
            raise BadInputError(
                "move_weights",
                expected="insertion and deletion both positive or both zero",
                found=f"insertion {self.insertion:g}, deletion {self.deletion:g}",
            )

    @classmethod
    def of(cls, weights: MoveWeights | Mapping[str, float]) -> MoveWeights:
        """From a mapping of move names to weights; moves not named get weight 0."""
        if isinstance(weights, MoveWeights):
            return weights
        names = [f.name for f in fields(cls)]
        unknown = sorted(set(weights) - set(names))
        if unknown:
            raise BadInputError("move_weights", expected=f"moves out of {', '.join(names)}", found=", ".join(unknown))
        return cls(**{name: float(weights.get(name, 0.0)) for name in names})


@dataclass(frozen=True, eq=False)
class GcmcSettings:
    """Options of a simulation.

    move_weights : relative frequency of the moves; a mapping of names to weights becomes MoveWeights
    n_equilibration : moves before the `n_moves` that are measured, None: a fifth of them
    sample_every : moves between samples of N and energy
    max_frames : samples whose configuration is kept, spread evenly over the run (0: none)
    max_molecules : insertions beyond are rejected; None: no limit
    initial_guests_ang : (n_molecules, n_sites, 3) Å molecules to start with; the rigid molecule is laid over each.
        `n_initial` more are placed at random
    translation_ang, rotation_rad : largest displacement per axis and largest angle at the start; adapted during
        equilibration towards half of the moves being accepted, then fixed
    min_distance_ang : closest approach of sites of different molecules and of guests to host atoms; part of the
        model (a hard wall), checked before the potential is asked. 0: off
    energy_grid : draw new molecules where the empty host binds them (`alh2.gcmc.host_energy_grid`), the bias undone in
        the acceptance; None: uniformly over the cell
    self_check_every : moves between comparisons of the running energy with a fresh one, also done at the end; 0: off
    self_check_tolerance_ev : largest difference allowed there, eV
    progress : called about a hundred times in a run
    restart : restart file, from which a stopped run continues; None: none
    trajectory : file to which configurations are written as the run goes on; None: none
    """

    move_weights: MoveWeights = MoveWeights()
    n_equilibration: int | None = None
    sample_every: int = 10
    max_frames: int = 1000
    max_molecules: int | None = None
    initial_guests_ang: np.ndarray | None = None
    translation_ang: float = 0.5
    rotation_rad: float = 0.8
    min_distance_ang: float = 0.0
    energy_grid: HostEnergyGrid | None = None
    self_check_every: int = 10_000
    self_check_tolerance_ev: float = 1e-6
    progress: Progress | None = None
    restart: RestartSettings | None = None
    trajectory: TrajectorySettings | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "move_weights", MoveWeights.of(self.move_weights))
        for name, least in (
            ("n_equilibration", 0),
            ("sample_every", 1),
            ("max_frames", 0),
            ("max_molecules", 0),
            ("self_check_every", 0),
        ):
            value = getattr(self, name)
            if value is not None and (value < least or int(value) != value):
                raise BadInputError(name, expected=f"a whole number >= {least}", found=f"{value}")
        for name in ("translation_ang", "rotation_rad", "self_check_tolerance_ev"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise BadInputError(name, expected="a positive number", found=f"{value}")
        if not (math.isfinite(self.min_distance_ang) and self.min_distance_ang >= 0.0):
            raise BadInputError(
                "min_distance_ang", expected="0 or a positive length in Å", found=f"{self.min_distance_ang}"
            )

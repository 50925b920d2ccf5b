"""What an isotherm calculation is asked for, and where and with what it is done."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from alh2.analysis.void import VoidFraction
from alh2.config.model import CommitteeBy
from alh2.core.errors import BadInputError
from alh2.core.frames import Frame
from alh2.core.nuclei import Quantum


@dataclass(frozen=True)
class IsothermPlan:
    """What is computed.

    temperatures_k, pressures_bar : every pair of them is a point
    n_initial : loadings the chains of a point begin with
    n_moves, n_equilibration : of the first run of a chain; n_moves is also the least extension
    relative_error : chains go on until the standard error of <N> is at most this part of it and they agree; None: never
    max_moves : measured moves of one chain at most
    biased : new molecules are drawn where the empty host binds them
    quantum : nuclei of Monte Carlo and of Widom insertions
    widom_insertions : for Henry constant and heat at infinite dilution, per temperature; 0: none
    committee_by : how the other members of the committee are asked: "reweight": by the samples of the first where those
        carry enough weight and nuclei are classical, else by runs of their own; "run": always by runs; "none": never
    """

    temperatures_k: tuple[float, ...]
    pressures_bar: tuple[float, ...]
    n_initial: tuple[int, ...]
    n_moves: int
    n_equilibration: int
    relative_error: float | None = None
    max_moves: int | None = None
    biased: bool = True
    widom_insertions: int = 0
    committee_by: CommitteeBy = "reweight"
    quantum: Quantum = "classical"

    def __post_init__(self) -> None:
        for name, values in (("temperature", self.temperatures_k), ("pressure", self.pressures_bar)):
            if not values or not all(math.isfinite(v) and v > 0.0 for v in values):
                raise BadInputError(name, expected="positive numbers, at least one", found=f"{list(values)}")
            if len({f"{v:g}" for v in values}) < len(values):
                raise BadInputError(name, expected="numbers that differ in six digits", found=f"{list(values)}")
        if not self.n_initial or min(self.n_initial) < 0 or len(set(self.n_initial)) < len(self.n_initial):
            expected = "whole numbers >= 0, each once"
            raise BadInputError("initial loading", expected=expected, found=f"{list(self.n_initial)}")
        if self.n_moves < 1 or self.n_equilibration < 0 or self.widom_insertions < 0:
            raise BadInputError(
                "moves",
                expected="a positive number of moves, and 0 or more of equilibration and insertions",
                found=f"{self.n_moves}, {self.n_equilibration} and {self.widom_insertions}",
            )
        if self.relative_error is not None and not 0.0 < self.relative_error < 1.0:
            raise BadInputError("relative error", expected="a number between 0 and 1", found=f"{self.relative_error}")


@dataclass(frozen=True)
class CommitteeMember:
    """One model of the committee that predicts.

    engine : uncompressed; pair_baseline : under it, None for none
    """

    engine: Path
    pair_baseline: Path | None = None


def member_folder(member: int) -> str:
    """Where the runs of a member are below the folder of an isotherm, with a slash at the end; "" for the first."""
    return f"member.{member:03d}/" if member else ""


@dataclass(frozen=True, eq=False)
class IsothermSetting:
    """Where and with what the points are computed.

    max_loading : largest loading that was explored; insertions beyond it are refused, the model knows nothing there
    starts : a start frame per entry of ``plan.n_initial`` (same frozen host, that many guests)
    committee : models, the first of which is asked everything; the others for its interval
    insertion_error_ev : standard error of the mean insertion energy on held-out labels (eV), NaN where none is known
    void : void fraction for the excess; None: no excess
    """

    directory: Path
    committee: tuple[CommitteeMember, ...]
    starts: tuple[Frame, ...]
    min_distance_ang: float
    max_loading: int | None
    bond_length_ang: float | None
    root_seed: int
    command: str
    void: VoidFraction | None = None
    insertion_error_ev: float = math.nan

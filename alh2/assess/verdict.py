"""The convergence verdict: measured figures against the limits of the param file, in numbers and in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

from alh2.config.model import ConvergeConfig


@dataclass(frozen=True)
class Measured:
    """Figures of one iteration; NaN where not measured.

    accurate_fraction : of all explored frames; insertion_spread_ev : mean committee spread on explored GCMC frames
    force_rmse_ev_ang, insertion_rmse_ev, insertion_mean_ev : held out, committee mean
    """

    accurate_fraction: float
    insertion_spread_ev: float
    force_rmse_ev_ang: float
    insertion_rmse_ev: float
    insertion_mean_ev: float


@dataclass(frozen=True)
class Verdict:
    """Whether all limits were met, and each one in words."""

    met: bool
    words: str


def judge(limits: ConvergeConfig, measured: Measured) -> Verdict:
    """Compare; a figure that was asked for but not measured (NaN) is not met."""
    parts: list[tuple[bool, str]] = []

    def limit(name: str, value: float, bound: float | None, *, unit: str, scale: float, at_least: bool) -> None:
        if bound is None:
            return
        wanted = "≥" if at_least else "≤"
        if not math.isfinite(value):
            parts.append((False, f"{name} not measured (asked for {wanted} {bound * scale:.3g}{unit})"))
            return
        met = value >= bound if at_least else value <= bound
        relation = wanted if met else ("<" if at_least else ">")
        parts.append((met, f"{name} {value * scale:.3g} {relation} {bound * scale:.3g}{unit}"))

    limit("accurate fraction", measured.accurate_fraction, limits.accurate_fraction, unit="", scale=1, at_least=True)
    limit(
        "insertion spread",
        measured.insertion_spread_ev,
        limits.insertion_spread_ev,
        unit=" meV",
        scale=1e3,
        at_least=False,
    )
    limit(
        "held-out force RMSE",
        measured.force_rmse_ev_ang,
        limits.force_rmse_ev_ang,
        unit=" eV/Å",
        scale=1,
        at_least=False,
    )
    limit(
        "insertion RMSE", measured.insertion_rmse_ev, limits.insertion_rmse_ev, unit=" meV", scale=1e3, at_least=False
    )
    limit(
        "insertion mean error (absolute)",
        abs(measured.insertion_mean_ev),
        limits.insertion_mean_ev,
        unit=" meV",
        scale=1e3,
        at_least=False,
    )
    if not parts:
        return Verdict(False, "no convergence limits in the param file: the loop ends with its last job")
    missed = [text for met, text in parts if not met]
    words = "all limits met: " + "; ".join(text for _, text in parts) if not missed else "not met: " + "; ".join(missed)
    return Verdict(not missed, words)

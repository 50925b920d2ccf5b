"""``md_runs.json`` read back: what production MD says, temperature by temperature, without its trajectories."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alh2.analysis.diffusion import Arrhenius
from alh2.core.errors import BadInputError
from alh2.core.files import from_fields, read_json
from alh2.core.nuclei import CLASSICAL_WORDS
from alh2.production.committee_interval import CommitteeInterval
from alh2.production.md_analysis import OPEN_SITES, RESULT_FILE


@dataclass(frozen=True)
class Known:
    """A number with one standard error, NaN where unknown."""

    mean: float
    error: float


@dataclass(frozen=True, eq=False)
class Curve:
    """g(r) of H2 around open sites, each (n,): r Å, g, one standard error (NaN where unknown)."""

    r_ang: np.ndarray
    g: np.ndarray
    g_error: np.ndarray


@dataclass(frozen=True)
class TemperatureSummary:
    """One temperature.

    n_untrusted : frames beyond the trusted deviation; max_devi_f_ev_ang : the largest one that was kept
    ended : why replicas ended early, in words
    coordination : H2 near an open site; occupancy : mean over open sites; residence : of a molecule at a site, ps
    d_m2_s, d_low, d_high : D_s with its 95 % credible interval, NaN where nothing diffuses
    committee : interval of D_s over the models, None where there is none; around_open_sites : None without such sites
    """

    temperature_k: float
    n_h2: int
    n_runs: int
    n_frames: int
    n_untrusted: int
    max_devi_f_ev_ang: float
    ended: tuple[str, ...]
    coordination: Known
    occupancy: Known
    residence_ps: Known
    n_departures: int
    d_m2_s: float
    d_low: float
    d_high: float
    committee: CommitteeInterval | None
    around_open_sites: Curve | None = None


@dataclass(frozen=True)
class MdSummary:
    """All temperatures and the Arrhenius line; ensemble and length as asked for, nuclei, host and movers in words."""

    ensemble: str
    length_ps: float
    temperatures: tuple[TemperatureSummary, ...]
    arrhenius: Arrhenius | None
    nuclei: str = CLASSICAL_WORDS
    movers: str = ""


def read_md_summary(directory: Path) -> MdSummary | None:
    """The summary in `directory`, None where there is none; raises BadInputError for a file of another kind."""
    path = directory / RESULT_FILE
    if not path.exists():
        return None
    tree = read_json(path)
    try:
        plan = tree["plan"]
        line = tree["arrhenius"]
        return MdSummary(
            str(plan["ensemble"]),
            float(plan["n_steps"]) * float(plan["dt_ps"]),
            tuple(_temperature(entry, path) for entry in tree["temperatures"]),
            None if line is None else from_fields(_numbers(line), Arrhenius, where=f"{path}, arrhenius"),
            str(tree.get("nuclei", CLASSICAL_WORDS)),
            str(tree.get("movers", "")),
        )
    except (KeyError, TypeError) as error:
        raise BadInputError(str(path), expected="the results of alh2 produce md", found=f"no {error}") from None


def _temperature(tree: Mapping[str, Any], path: Path) -> TemperatureSummary:
    runs = tree["replicas"]
    stay = _numbers(tree["residence"] or {})
    diffusion = _numbers(tree["diffusion_m2_s"] or {})
    interval = tree.get("diffusion_interval_m2_s")
    occupancy = _numbers(tree["mean_occupancy"] or {})
    around = tree.get("rdfs", {}).get(OPEN_SITES)
    return TemperatureSummary(
        temperature_k=float(tree["temperature_k"]),
        n_h2=int(tree["n_h2"]),
        n_runs=len(runs),
        n_frames=int(tree["n_frames"]),
        n_untrusted=sum(int(run["n_untrusted"]) for run in runs),
        max_devi_f_ev_ang=max((_number(run["max_devi_f_ev_ang"]) for run in runs), default=math.nan),
        ended=tuple(f"{run['name']}: {run['ended']}" for run in runs if run["ended"]),
        coordination=Known(_number(tree["coordination"]), _number(tree["coordination_error"])),
        occupancy=Known(occupancy.get("mean", math.nan), occupancy.get("standard_error", math.nan)),
        residence_ps=Known(stay.get("mean_ps", math.nan), stay.get("error_ps", math.nan)),
        n_departures=int(stay.get("n_departures", 0)),
        d_m2_s=diffusion.get("mean", math.nan),
        d_low=diffusion.get("low", math.nan),
        d_high=diffusion.get("high", math.nan),
        committee=None
        if interval is None
        else from_fields(_numbers(interval), CommitteeInterval, where=f"{path}, interval of D_s"),
        around_open_sites=None
        if around is None
        else Curve(*(np.array(around[name], dtype=float) for name in ("r_ang", "g", "g_error"))),
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _numbers(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {name: math.nan if value is None else value for name, value in tree.items()}

"""The result of an isotherm calculation, as typed data and as a file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from alh2.analysis.adsorption import cm3_stp_per_g, moles_per_kg, weight_percent
from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_json, from_fields, read_json
from alh2.core.nuclei import CLASSICAL_WORDS
from alh2.production.committee_interval import NORMAL_95, CommitteeInterval
from alh2.production.holes import MOST_ALONE
from alh2.production.isotherm_points import ChainResult

RESULT_FILE = "isotherm.json"
VERSION = 3
MOST_AT_LIMIT = 0.01
"""A point with more of its samples than this at the largest loading allowed is no equilibrium of the open system."""
UNITS = ("molecules/cell", "mol/kg", "wt%", "cm3(STP)/g")
"""Units of loading: per kilogram or gram of bare framework, but wt% of framework and guest together."""


@dataclass(frozen=True)
class HostFacts:
    """The framework: its name, formula, mass of one cell (amu) and volume (Å³); potential and nuclei in words."""

    host_id: str
    formula: str
    mass_amu: float
    volume_ang3: float
    potential: str
    bond_length_ang: float
    max_loading: int | None
    nuclei: str = CLASSICAL_WORDS


@dataclass(frozen=True)
class VoidFacts:
    """Void fraction used for the excess, with one standard error; see `alh2.analysis.void`."""

    method: str
    words: str
    fraction: float
    error: float


@dataclass(frozen=True)
class MemberAnswer:
    """What one member of the committee says of a point, with standard errors.

    method : "run", or "reweighted" samples of the first member; effective : fraction of the independent samples that
        carry the weight, 1 for a run
    hysteresis : its own chains disagree
    alone : part of the configurations of its run that it alone holds deep (`alh2.production.holes`)
    """

    member: int
    method: str
    n_absolute: float
    n_absolute_error: float
    heat_kj_per_mol: float
    heat_error_kj_per_mol: float
    effective: float
    hysteresis: bool = False
    alone: float = 0.0

    @property
    def in_hole(self) -> bool:
        """Whether too many of its configurations are such that the answer says nothing."""
        return self.alone > MOST_ALONE


@dataclass(frozen=True)
class CommitteePoint:
    """The committee's interval of the loading (molecules per cell) and of the isosteric heat (kJ/mol)."""

    n_absolute: CommitteeInterval
    heat_kj_per_mol: CommitteeInterval
    members: tuple[MemberAnswer, ...]


@dataclass(frozen=True)
class IsothermPoint:
    """One temperature and pressure; amounts in molecules per cell, each with one standard error.

    gas_density_per_ang3 : of the gas outside
    n_excess, n_excess_error : NaN without a void fraction
    heat_kj_per_mol : isosteric heat by fluctuations, NaN where unknown
    hysteresis : the chains of a member disagree; largest_difference_sigma : those of the first, by how many combined
        standard errors
    committee : with it the absolute loading and the heat are means over its members; None: of the one model; chains,
        differences and moves are the first member's
    n_moves : measured moves of all chains; reached : whether the relative error asked for was reached by the first
        member and by the mean, and no member's chains disagree (True where none was asked for)
    at_limit : part of the samples at the largest loading allowed, by which the loading is held down
    """

    temperature_k: float
    pressure_bar: float
    fugacity_bar: float
    gas_density_per_ang3: float
    n_absolute: float
    n_absolute_error: float
    n_excess: float
    n_excess_error: float
    heat_kj_per_mol: float
    heat_error_kj_per_mol: float
    largest_difference_sigma: float
    hysteresis: bool
    n_moves: int
    reached: bool
    chains: tuple[ChainResult, ...]
    committee: CommitteePoint | None = None
    at_limit: float = 0.0

    @property
    def holes(self) -> tuple[int, ...]:
        """Members of the committee whose runs ended in a hole of their own."""
        return () if self.committee is None else tuple(m.member for m in self.committee.members if m.in_hole)

    @property
    def is_limited(self) -> bool:
        """Whether the largest loading allowed holds the loading down (`MOST_AT_LIMIT`)."""
        return self.at_limit > MOST_AT_LIMIT

    @property
    def half_width_95(self) -> float:
        """Half the 95 % interval of the absolute loading: with the committee's errors where it has been asked."""
        if self.committee is not None:
            return self.committee.n_absolute.half_width_95
        return NORMAL_95 * self.n_absolute_error

    @property
    def excess_half_width_95(self) -> float:
        """The same of the excess loading, with the error of the void fraction; NaN without one."""
        of_void = self.n_excess_error**2 - self.n_absolute_error**2
        return math.sqrt(self.half_width_95**2 + NORMAL_95**2 * max(0.0, of_void)) if of_void == of_void else math.nan


@dataclass(frozen=True)
class HenryPoint:
    """Infinite dilution at one temperature by Widom insertion, errors one standard deviation.

    per_cell_bar : dN/df at f → 0; mol_per_kg_pa : the same per kilogram and pascal
    heat_kj_per_mol : isosteric heat at infinite dilution; trusted : see `alh2.gcmc.widom`
    committee : of the constant per cell and bar, None with one model; the other numbers are the first member's
    """

    temperature_k: float
    per_cell_bar: float
    per_cell_bar_error: float
    mol_per_kg_pa: float
    mol_per_kg_pa_error: float
    heat_kj_per_mol: float
    heat_error_kj_per_mol: float
    n_insertions: int
    n_effective: float
    trusted: bool
    committee: CommitteeInterval | None = None


@dataclass(frozen=True)
class CoverageHeat:
    """Isosteric heat at one loading by Clausius–Clapeyron from several temperatures, one standard error."""

    n_molecules: float
    heat_kj_per_mol: float
    error_kj_per_mol: float
    temperatures_k: tuple[float, ...]


@dataclass(frozen=True)
class Isotherm:
    """Everything an isotherm calculation found."""

    host: HostFacts
    void: VoidFacts | None
    points: tuple[IsothermPoint, ...]
    henry: tuple[HenryPoint, ...] = ()
    clausius_clapeyron: tuple[CoverageHeat, ...] = ()

    @property
    def temperatures_k(self) -> tuple[float, ...]:
        """Its temperatures, ascending."""
        return tuple(sorted({point.temperature_k for point in self.points}))

    def at(self, temperature_k: float) -> tuple[IsothermPoint, ...]:
        """Points of one temperature by pressure."""
        return tuple(sorted((p for p in self.points if p.temperature_k == temperature_k), key=lambda p: p.pressure_bar))

    def loading(self, molecules_per_cell: float, unit: str) -> float:
        """Molecules per cell in one of `UNITS`; raises BadInputError for another."""
        mass = self.host.mass_amu
        if unit == "molecules/cell":
            return molecules_per_cell
        if unit == "mol/kg":
            return moles_per_kg(molecules_per_cell, framework_mass_amu=mass)
        if unit == "wt%":
            return weight_percent(molecules_per_cell, framework_mass_amu=mass)
        if unit == "cm3(STP)/g":
            return cm3_stp_per_g(molecules_per_cell, framework_mass_amu=mass)
        raise BadInputError("unit of loading", expected=f"one of {', '.join(UNITS)}", found=unit)

    def loading_error(self, molecules_per_cell: float, error: float, unit: str) -> float:
        """One standard error in `unit`, by the slope of the conversion at `molecules_per_cell`."""
        step = 1e-4 * max(abs(molecules_per_cell), 1.0)
        up, down = (self.loading(molecules_per_cell + s, unit) for s in (step, -step))
        return abs(error * (up - down) / (2.0 * step))


def point_words(point: IsothermPoint) -> str:
    """One line for logs."""
    n, error = point.n_absolute, point.n_absolute_error
    known = f"{n:.4g} ± {error:.2g}" if math.isfinite(error) else f"{n:.4g}, error unknown"
    words = f"{point.temperature_k:g} K, {point.pressure_bar:g} bar: {known} H2 per cell"
    if point.hysteresis:
        words += f"; chains from {' and '.join(str(c.n_initial) for c in point.chains)} H2 disagree"
    if point.committee is not None:
        words += f"; 95 % interval of the committee ± {point.half_width_95:.2g}"
    if point.is_limited:
        words += f"; {point.at_limit:.0%} of the samples are at the largest loading explored, which holds it down"
    words += hole_words(point)
    return words if point.reached else f"{words}; not as exact as asked for"


def hole_words(point: IsothermPoint) -> str:
    """What is wrong with models whose runs ended in holes, "" where none did."""
    if not point.holes or point.committee is None:
        return ""
    which = ", ".join(f"{m.member} ({m.alone:.0%})" for m in point.committee.members if m.in_hole)
    left_out = "left out" if len(point.committee.members) - len(point.holes) > 1 else "not left out, too few are left"
    return (
        f"; configurations that no other model holds so deep in the runs of model {which}: {left_out}; label such "
        "configurations and train on"
    )


def interval_words(isotherm: Isotherm) -> str:
    """What the 95 % intervals contain, in one sentence."""
    asked = [p.committee for p in isotherm.points if p.committee is not None]
    if not asked:
        return "95 % intervals: statistics of the one model alone, nothing of its errors."
    answers = [m for c in asked for m in c.members]
    other = sum(m.method != "run" for m in answers)
    model = max(abs(e) for c in asked for e in (c.n_absolute.model, c.heat_kj_per_mol.model) if math.isfinite(e))
    known = (
        "and by the error of the insertion energy on held-out labels"
        if model > 0
        else "(no error of held-out labels is known)"
    )
    return (
        f"95 % intervals: statistics, widened by the spread of {len(asked[0].members)} models {known}; "
        f"{other} of {len(answers)} answers by reweighting."
    )


def write_isotherm(directory: Path, isotherm: Isotherm) -> None:
    """Write `RESULT_FILE` in `directory`, replaced in one step; NaN becomes null."""
    atomic_write_json(directory / RESULT_FILE, {"version": VERSION, **_finite(asdict(isotherm))})


def read_isotherm(directory: Path) -> Isotherm | None:
    """The isotherm in `directory`, None where there is none; raises BadInputError for a file of another kind."""
    path = directory / RESULT_FILE
    if not path.exists():
        return None
    tree = read_json(path)
    if not isinstance(tree, dict) or tree.get("version") != VERSION:
        found = (
            "a list" if isinstance(tree, list) else f"version {tree.get('version') if isinstance(tree, dict) else '?'}"
        )
        raise BadInputError(
            str(path),
            expected=f"an isotherm of version {VERSION}",
            found=found,
            action="run alh2 produce isotherm again",
        )
    try:
        void = tree["void"]
        return Isotherm(
            from_fields(tree["host"], HostFacts, where=f"{path}, host"),
            None if void is None else from_fields(void, VoidFacts, where=f"{path}, void"),
            tuple(_point(p, f"{path}, point {i}") for i, p in enumerate(tree["points"])),
            tuple(_henry(h, f"{path}, henry") for h in tree["henry"]),
            tuple(from_fields(_known(c), CoverageHeat, where=f"{path}, heat") for c in tree["clausius_clapeyron"]),
        )
    except (KeyError, TypeError) as error:
        raise BadInputError(str(path), expected="the parts of an isotherm", found=f"no {error}") from None


def _point(tree: Any, where: str) -> IsothermPoint:
    if not isinstance(tree, dict) or not isinstance(tree.get("chains"), list):
        raise BadInputError(where, expected="a point with its chains", found=type(tree).__name__)
    chains = tuple(from_fields(_known(c), ChainResult, where=f"{where}, chain") for c in tree["chains"])
    asked = _committee(tree.get("committee"), f"{where}, committee")
    return from_fields({**_known(tree), "chains": chains, "committee": asked}, IsothermPoint, where=where)


def _committee(tree: Any, where: str) -> CommitteePoint | None:
    if tree is None:
        return None
    loading, heat = (_interval(tree[name], f"{where}, {name}") for name in ("n_absolute", "heat_kj_per_mol"))
    answers = tuple(from_fields(_known(m), MemberAnswer, where=f"{where}, members") for m in tree["members"])
    return CommitteePoint(loading, heat, answers)


def _interval(tree: Any, where: str) -> CommitteeInterval:
    return from_fields(_known(tree), CommitteeInterval, where=where)


def _henry(tree: Any, where: str) -> HenryPoint:
    inner = None if tree["committee"] is None else _interval(tree["committee"], f"{where}, committee")
    return from_fields({**_known(tree), "committee": inner}, HenryPoint, where=where)


def _known(tree: Mapping[str, Any]) -> dict[str, Any]:
    """null back to NaN."""
    return {name: math.nan if value is None else value for name, value in tree.items()}


def _finite(value: Any) -> Any:
    """`value` with None for every number that JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

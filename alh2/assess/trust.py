"""Trust levels of one iteration: those of the param file, or derived from the calibration for a target error."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from alh2.assess.calibration import Calibration
from alh2.assess.uncertainty import CommitteeCalibration
from alh2.config.model import SelectConfig
from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_json, from_fields, read_json

TRUST_FILE = "trust.json"

Kind = Literal["force", "insertion"]

LEAST_LEVEL = 1e-6
"""Level (eV/Å, eV) where the error exceeds the target at any deviation: all frames above it are candidates."""


@dataclass(frozen=True)
class TrustLevel:
    """The level above which a frame is a candidate, and how it came about.

    of : "force", the largest force deviation of a frame (eV/Å), or "insertion", the spread of its insertion energy (eV)
    used : the level; fixed : that of the param file
    target : RMS error asked for, None: the fixed level was asked for
    calibrated_in : iteration whose held-out labels gave the `calibration`; None, as the latter, where the fixed level
        is used
    words : the decision
    """

    of: Kind
    used: float
    fixed: float
    target: float | None
    calibrated_in: int | None
    calibration: Calibration | None
    words: str


@dataclass(frozen=True)
class TrustDecision:
    """Both levels of one iteration; f_trust_hi is never derived: it tells broken frames, not uncertain ones."""

    force: TrustLevel
    insertion: TrustLevel
    f_trust_hi_ev_ang: float

    def applied(self, config: SelectConfig) -> SelectConfig:
        """`config` with the levels used; a derived force level is the same for all systems."""
        per_system = config.f_trust_per_system if self.force.calibration is None else ()
        return replace(
            config,
            f_trust_lo_ev_ang=self.force.used,
            insertion_trust_lo_ev=self.insertion.used,
            f_trust_per_system=per_system,
        )


def decide(
    config: SelectConfig, iteration: int, force: CommitteeCalibration | None, insertion: CommitteeCalibration | None
) -> TrustDecision:
    """Levels for selection in `iteration`.

    force, insertion : calibrations of the committees that give the two deviations, of the iteration before: the labels
        held out from the present committees do not exist when it selects. None where there are none.
    """
    high = config.f_trust_hi_ev_ang
    found = None if force is None else force.calibration("largest force")
    level = _level("force", config.f_trust_lo_ev_ang, config.target_force_error_ev_ang, found, iteration)
    if level.used > high:
        level = replace(level, used=high, words=f"{level.words}; at most f_trust_hi, {_shown('force', high)}")
    known = None if insertion is None else insertion.calibration("insertion")
    inserted = _level("insertion", config.insertion_trust_lo_ev, config.target_insertion_error_ev, known, iteration)
    return TrustDecision(level, inserted, high)


def _level(of: Kind, fixed: float, target: float | None, calibration: Calibration | None, iteration: int) -> TrustLevel:
    if target is None:
        return TrustLevel(of, fixed, fixed, None, None, None, f"fixed level {_shown(of, fixed)}")
    if calibration is None:
        few = "too few labels were held out in the iteration before"
        why = "no committee has been assessed yet" if iteration == 0 else few
        return TrustLevel(of, fixed, fixed, target, None, None, f"fixed level {_shown(of, fixed)}: {why}")
    used = calibration.deviation_at(target)
    words = _words(of, used, target, calibration, iteration - 1)
    return TrustLevel(of, max(used, LEAST_LEVEL), fixed, target, iteration - 1, calibration, words)


def _words(of: Kind, used: float, target: float, calibration: Calibration, iteration: int) -> str:
    things = "frames" if of == "force" else "insertions"
    sample = f"{calibration.n_frames} held-out {things} of iteration {iteration}"
    aim = f"the target {_shown(of, target)}"
    if used == 0.0:
        floor = _shown(of, calibration.floor)
        return f"every frame is a candidate: the RMS error on {sample} is {floor} even at no deviation, above {aim}"
    if used == calibration.largest_deviation:
        return (
            f"level {_shown(of, used)}, the largest deviation among {sample}: up to there the RMS error is below {aim}"
        )
    return f"level {_shown(of, used)}, where the RMS error on {sample} reaches {aim}"


def _shown(of: Kind, value: float) -> str:
    return f"{value:.3g} eV/Å" if of == "force" else f"{1e3 * value:.3g} meV"


def save_decision(directory: Path, decision: TrustDecision) -> None:
    """Write ``trust.json`` in one step."""
    atomic_write_json(directory / TRUST_FILE, asdict(decision))


def load_decision(directory: Path) -> TrustDecision | None:
    """The decision in an iteration's ``02.fp``, None where there is none; raises BadInputError for another file."""
    path = directory / TRUST_FILE
    if not path.exists():
        return None
    content = read_json(path)
    if not isinstance(content, dict):
        raise BadInputError(str(path), expected="trust levels", found=type(content).__name__, action="remove it")
    levels = {name: _read_level(content.get(name), str(path)) for name in ("force", "insertion")}
    return from_fields({**content, **levels}, TrustDecision, where=str(path))


def _read_level(content: Any, where: str) -> TrustLevel:
    found = content.get("calibration") if isinstance(content, dict) else None
    if found is not None:
        content = {**content, "calibration": from_fields(found, Calibration, where=where)}
    return from_fields(content, TrustLevel, where=where)

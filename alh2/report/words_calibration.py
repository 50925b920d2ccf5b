"""Calibration in words and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alh2.assess.reliability import Coverage
from alh2.assess.samples import ALL, Quantity
from alh2.assess.trust import TrustDecision, TrustLevel
from alh2.assess.uncertainty import CalibrationRow, Quality
from alh2.report.figures_calibration import SHOWN
from alh2.report.figures_common import h2
from alh2.report.model import IterationCalibration
from alh2.report.tables import PageTable, number

NOT_CALIBRATED = "Not yet reached. No committee has been calibrated."

IMPOSSIBLE_NLL = 1000.0
"""Larger ones come from deviations of nearly zero; their size says nothing more."""


def newest(calibrations: Sequence[IterationCalibration]) -> list[IterationCalibration]:
    """Calibrations of the newest iteration, one per committee."""
    last = max((c.iteration for c in calibrations), default=None)
    return sorted((c for c in calibrations if c.iteration == last), key=lambda c: c.target)


def calibration_words(calibrations: Sequence[IterationCalibration]) -> list[str]:
    """What the deviations are worth, and what intervals made of them cover."""
    if not calibrations:
        return [NOT_CALIBRATED]
    text = []
    for data in newest(calibrations):
        for quantity in ("insertion", "force"):
            row = data.calibration.row(quantity)  # type: ignore[arg-type]
            if row is not None:
                text.append(_row_words(data, row) + _drift_words(calibrations, data, quantity))  # type: ignore[arg-type]
    return text


def _row_words(data: IterationCalibration, row: CalibrationRow) -> str:
    shown = SHOWN[row.quantity]
    frames = "insertions" if row.quantity == "insertion" else "frames"
    text = (
        f"{data.target.capitalize()}-energy committee, {shown.name}, {row.n_frames} held-out {frames} of iteration "
        f"{data.iteration}: RMS error {_value(row, row.rms_error)} at an RMS deviation of "
        f"{_value(row, row.rms_deviation)}"
    )
    calibration = row.calibration
    if calibration is None:
        return f"{text}; {row.words}."
    if row.factor is None:
        return f"{text}: the models agree exactly and say nothing of their error."
    error = f" ± {calibration.factor_error:.2g}" if calibration.factor_error is not None else ""
    text += f", {row.factor:.2g}{error} times as much. "
    if calibration.floor > 0.7 * row.rms_error:
        text += f"Of the error, {_value(row, calibration.floor)} is there whatever the deviation"
        weak = row.rank_correlation is None or abs(row.rank_correlation) < 0.3
        text += ": it does not tell good predictions from bad ones. " if weak else ". "
    else:
        text += f"The error grows with the deviation: {calibration.slope:.2g} times it, and in quadrature "
        text += f"{_value(row, calibration.floor)} that it does not see. "
    text += f"90 % intervals calibrated on other frames cover {_percent(row.coverage)} %"
    if row.coverage_before is not None:
        text += f"; those calibrated in the iteration before, {_percent(row.coverage_before)} %"
    return text + (f". {row.words[:1].upper()}{row.words[1:]}." if row.words else ".")


def _drift_words(calibrations: Sequence[IterationCalibration], data: IterationCalibration, quantity: Quantity) -> str:
    of = [c for c in calibrations if c.target == data.target and c.iteration >= data.iteration - 4]
    factors = [(c.iteration, r.factor) for c in of if (r := c.calibration.row(quantity)) and r.factor is not None]
    if len(factors) < 2:
        return ""
    listed = ", ".join(f"{factor:.2g}" for _, factor in factors)
    return f" The factor was {listed} in iterations {factors[0][0]} to {factors[-1][0]}."


def calibration_table(data: IterationCalibration) -> PageTable:
    """Every row of one committee in one iteration."""
    columns = (
        "of", "atoms", "loading", "frames", "RMS error", "mean error", "RMS deviation", "factor", "slope", "floor",
        "rank correlation", "area", "area calibrated", "NLL", "NLL calibrated", "cover (%)", "cover, before (%)",
        "sample",
    )  # fmt: skip
    return PageTable(
        f"{data.target.capitalize()}-energy committee, iteration {data.iteration}: deviation against error; calibrated "
        "numbers and coverage of 90 % intervals from calibrations on other frames.",
        columns,
        [_table_row(row) for row in data.calibration.rows],
        n_text=3,
    )


def _table_row(row: CalibrationRow) -> tuple[str, ...]:
    shown, calibration = SHOWN[row.quantity], row.calibration if row.own else None
    digits = 3 if shown.scale == 1.0 else 2
    calibrated = row.calibrated or Quality(None, None, None)
    loading = "all" if row.n_h2 is None else h2(row.n_h2)
    return (
        f"{shown.name} ({shown.unit})",
        "all" if row.group == ALL else row.group,
        loading,
        str(row.n_frames),
        number(row.rms_error, digits, shown.scale),
        "–" if row.quantity == "largest force" else number(row.mean_error, digits, shown.scale),
        number(row.rms_deviation, digits, shown.scale),
        number(row.factor, 2),
        number(calibration.slope if calibration else None, 2),
        number(calibration.floor if calibration else None, digits, shown.scale),
        number(row.rank_correlation, 2),
        number(row.raw.area, 2),
        number(calibrated.area, 2),
        _nll(row.raw.nll),
        _nll(calibrated.nll),
        _percent(row.coverage),
        _percent(row.coverage_before),
        row.words or "–",
    )


def trust_table(decisions: Mapping[int, TrustDecision]) -> PageTable:
    """Levels of each iteration and how they came about."""
    rows = []
    for iteration, decision in sorted(decisions.items()):
        for level in (decision.force, decision.insertion):
            scale, digits, unit = (1.0, 3, "eV/Å") if level.of == "force" else (1e3, 2, "meV")
            name = "largest force" if level.of == "force" else "insertion energy"
            used, fixed = (f"{number(v, digits, scale)} {unit}" for v in (level.used, level.fixed))
            target = "–" if level.target is None else f"{number(level.target, digits, scale)} {unit}"
            rows.append((str(iteration), name, _sentence(level), used, fixed, target))
    columns = ("iteration", "deviation of", "decision", "level used", "fixed level", "target RMS error")
    return PageTable("Lower trust levels: above them a frame is a candidate.", columns, rows, n_text=3)


def _sentence(level: TrustLevel) -> str:
    return level.words[:1].upper() + level.words[1:]


def _value(row: CalibrationRow, value: float) -> str:
    shown = SHOWN[row.quantity]
    return f"{shown.scale * value:.3g} {shown.unit}"


def _percent(coverage: Coverage | None) -> str:
    if coverage is None:
        return "–"
    digits = 0 if coverage.error is None or coverage.error >= 0.01 else 1
    error = f" ± {100 * coverage.error:.{digits}f}" if coverage.error is not None else ""
    return f"{100 * coverage.fraction:.{digits}f}{error}"


def _nll(value: float | None) -> str:
    return f"> {IMPOSSIBLE_NLL:.0f}" if value is not None and value > IMPOSSIBLE_NLL else number(value, 2)

"""Calibration of one committee in one iteration: a row per quantity, group of atoms and loading, kept as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alh2.assess.calibration import (
    CONFIDENCE,
    Calibration,
    DeviationSample,
    FoldedCalibration,
    OutOfFold,
    calibrate,
    calibrate_folds,
    frames_needed,
)
from alh2.assess.groups import GROUPS, ISOLATED
from alh2.assess.reliability import (
    Coverage,
    coverage,
    miscalibration_area,
    negative_log_likelihood,
    normalised_calibration_error,
)
from alh2.assess.samples import ALL, NamedSample, Quantity
from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_json, from_fields, read_json
from alh2.core.frames import Target

FRAMES_FOR_OWN = 20
"""With fewer frames a group or loading has no calibration of its own: that of all together is used for it."""


@dataclass(frozen=True)
class Quality:
    """How well standard deviations fit the errors; None where there is no (finite) number.

    None also for the largest force, a length and so no Gaussian about zero.
    area : miscalibration area; nll : negative log-likelihood per value; ence : expected normalised calibration error
    """

    area: float | None
    nll: float | None
    ence: float | None


@dataclass(frozen=True)
class CalibrationRow:
    """Deviation against error for one quantity, group and loading, in eV or eV/Å as `Quantity` says.

    mean_error : committee mean minus label; rank_correlation : Spearman's, of deviation and absolute error
    own : whether `calibration` is of this group or loading alone, and not of all together
    raw : of the deviations as they are; calibrated, coverage : of sigma and intervals from other frames only
    coverage_before : of the intervals calibrated in the iteration before, on the labels of this one
    words : what the size of the sample allows
    """

    quantity: Quantity
    group: str
    n_h2: int | None
    n: int
    n_frames: int
    rms_error: float
    mean_error: float
    rms_deviation: float
    rank_correlation: float | None
    own: bool
    calibration: Calibration | None
    raw: Quality
    calibrated: Quality | None
    coverage: Coverage | None
    coverage_before: Coverage | None
    words: str

    @property
    def factor(self) -> float | None:
        """RMS error over RMS deviation of this row, None where nothing deviates."""
        return self.rms_error / self.rms_deviation if self.rms_deviation > 0 else None


@dataclass(frozen=True)
class CommitteeCalibration:
    """All rows of one committee in one iteration."""

    target: Target
    rows: tuple[CalibrationRow, ...]

    def row(self, quantity: Quantity, group: str = ALL, n_h2: int | None = None) -> CalibrationRow | None:
        """The row of that name, None where nothing was measured."""
        return next((r for r in self.rows if (r.quantity, r.group, r.n_h2) == (quantity, group, n_h2)), None)

    def calibration(self, quantity: Quantity, group: str = ALL, n_h2: int | None = None) -> Calibration | None:
        """What to widen a prediction with: of the group or loading where it has one, else of all together.

        None where there is neither; isolated H2 has no part in all together.
        """
        for row in (self.row(quantity, group, n_h2), None if group == GROUPS[ISOLATED] else self.row(quantity)):
            if row is not None and row.calibration is not None:
                return row.calibration
        return None


@dataclass(frozen=True, eq=False)
class _Pooled:
    """Calibration of all values of a quantity together."""

    whole: Calibration
    folded: FoldedCalibration


def calibrate_committee(
    target: Target, samples: Sequence[NamedSample], before: CommitteeCalibration | None = None
) -> CommitteeCalibration:
    """Rows for `samples`, of which the pooled one of a quantity comes before its parts (`named_samples`).

    before : of the iteration before, whose intervals are tested on these labels
    """
    pooled: dict[Quantity, _Pooled] = {}
    rows = []
    for entry in samples:
        sample = entry.sample.finite()
        own = _pooled(sample) if sample.n_frames >= FRAMES_FOR_OWN else None
        if own is not None and entry.group == ALL and entry.n_h2 is None:
            pooled[entry.quantity] = own
        used = own or _covering(pooled.get(entry.quantity), sample)
        rows.append(_row(entry, sample, used, own=own is not None, before=before))
    return CommitteeCalibration(target, tuple(rows))


def _pooled(sample: DeviationSample) -> _Pooled | None:
    whole = calibrate(sample)
    return None if whole is None else _Pooled(whole, calibrate_folds(sample))


def _covering(pooled: _Pooled | None, sample: DeviationSample) -> _Pooled | None:
    """`pooled` where it was made with the frames of `sample`, else None."""
    return pooled if pooled is not None and np.isin(sample.frame, pooled.folded.frames).all() else None


def _row(
    entry: NamedSample, sample: DeviationSample, used: _Pooled | None, *, own: bool, before: CommitteeCalibration | None
) -> CalibrationRow:
    error, deviation = sample.error, sample.deviation
    predicted = None if used is None else used.folded.predict(sample)
    earlier = None if before is None else before.calibration(entry.quantity, entry.group, entry.n_h2)
    return CalibrationRow(
        quantity=entry.quantity,
        group=entry.group,
        n_h2=entry.n_h2,
        n=error.size,
        n_frames=sample.n_frames,
        rms_error=_rms(error),
        mean_error=float(error.mean()),
        rms_deviation=_rms(deviation),
        rank_correlation=_rank_correlation(deviation, np.abs(error)),
        own=own,
        calibration=None if used is None else used.whole,
        raw=_quality(entry, sample, deviation),
        calibrated=None if predicted is None else _quality(entry, sample, predicted.sigma),
        coverage=_coverage(sample, predicted),
        coverage_before=None if earlier is None else coverage(error, earlier.half_width(deviation), sample.frame),
        words=_words(sample.n_frames, own=own, pooled=used is not None),
    )


def _coverage(sample: DeviationSample, predicted: OutOfFold | None) -> Coverage | None:
    return None if predicted is None else coverage(sample.error, predicted.half_width, sample.frame)


def _quality(entry: NamedSample, sample: DeviationSample, sigma: np.ndarray) -> Quality:
    if entry.quantity == "largest force":  # a length has no Gaussian about zero
        return Quality(None, None, None)
    error, known = sample.error, np.isfinite(sigma)
    values = [f(error[known], sigma[known]) for f in (miscalibration_area, negative_log_likelihood)]
    finite = [value if math.isfinite(value) else None for value in values]
    return Quality(finite[0], finite[1], normalised_calibration_error(error[known], sigma[known]))


def _words(n_frames: int, *, own: bool, pooled: bool) -> str:
    if own:
        known = f"an RMS error of {n_frames} frames is known to {100 / math.sqrt(2 * n_frames):.0f} %"
        return known if n_frames < 100 else ""
    judged = "judged by the calibration of all together" if pooled else "not calibrated"
    text = f"{n_frames} frame{'s' * (n_frames != 1)}, {FRAMES_FOR_OWN} are asked for: {judged}"
    least = frames_needed()
    return text if pooled or n_frames >= least else text + f" ({100 * CONFIDENCE:.0f} % intervals need {least})"


def _rank_correlation(deviation: np.ndarray, size: np.ndarray) -> float | None:
    from scipy.stats import spearmanr

    if size.size < 3 or np.ptp(deviation) == 0 or np.ptp(size) == 0:
        return None
    return float(spearmanr(deviation, size)[0])


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def save_calibration(path: Path, calibration: CommitteeCalibration) -> None:
    """Write `calibration` in one step."""
    atomic_write_json(path, asdict(calibration))


def load_calibration(path: Path) -> CommitteeCalibration | None:
    """What `save_calibration` wrote, None where there is no file; raises BadInputError where it is another one."""
    if not path.exists():
        return None
    content = read_json(path)
    if not isinstance(content, dict) or content.get("target") not in ("total", "interaction"):
        raise BadInputError(str(path), expected="a calibration", found="another file", action="remove it")
    rows = [_read_row(row, str(path)) for row in content.get("rows", [])]
    return CommitteeCalibration(content["target"], tuple(rows))


def _read_row(content: Any, where: str) -> CalibrationRow:
    if not isinstance(content, dict):
        raise BadInputError(where, expected="rows of a calibration", found=type(content).__name__)
    kinds: dict[str, type] = {
        "calibration": Calibration, "raw": Quality, "calibrated": Quality, "coverage": Coverage,
        "coverage_before": Coverage,
    }  # fmt: skip
    parts = {
        name: None if content.get(name) is None else from_fields(content[name], kind, where=where)
        for name, kind in kinds.items()
    }
    return from_fields({**content, **parts}, CalibrationRow, where=where)

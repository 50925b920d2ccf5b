"""The coverage map: the last visit of each field, its deviation and accurate share."""

from __future__ import annotations

import math

import numpy as np

from alh2.core.explored import ExploredFrame, SelectionVerdict
from alh2.core.frames import Frame
from alh2.report.figures_coverage import coverage, coverage_figure, coverage_words
from alh2.report.model import Rung


def verdict(n_h2: int, temperature_k: float, deviation: float, band: str, kind: str = "md") -> SelectionVerdict:
    frame = Frame(("Al", *["H"] * 2 * n_h2), np.zeros((1 + 2 * n_h2, 3)), 9 * np.eye(3), 1, "host")
    explored = ExploredFrame(frame, kind, "task", 0, temperature_k, deviation)  # type: ignore[arg-type]
    return SelectionVerdict(explored, band, "", False)  # type: ignore[arg-type]


SELECTIONS = {
    0: [verdict(2, 77.0, 9.0, "failed"), verdict(4, 77.0, 0.5, "candidate")],
    1: [verdict(2, 77.0, d, "accurate" if d < 0.15 else "candidate") for d in (0.1, 0.1, 0.2, 0.3)]
    + [verdict(2, 10.0, math.nan, "failed"), verdict(4, 77.0, 0.1, "accurate", "gcmc")],
}


def test_each_field_is_that_of_its_last_visit() -> None:
    fields = {(f.kind, f.n_h2, f.temperature_k): f for f in coverage(SELECTIONS)}
    assert set(fields) == {("md", 2, 77.0), ("md", 4, 77.0), ("md", 2, 10.0), ("gcmc", 4, 77.0)}
    seen = fields["md", 2, 77.0]
    assert (seen.iteration, seen.n_frames, seen.accurate) == (1, 4, 0.5)
    assert (round(seen.median_ev_ang, 9), round(seen.p95_ev_ang, 9)) == (0.15, 0.285)
    assert fields["md", 4, 77.0].iteration == 0
    assert math.isnan(fields["md", 2, 10.0].median_ev_ang) and fields["md", 2, 10.0].accurate == 0.0


def test_figure_and_words_name_what_is_least_known() -> None:
    fields = coverage(SELECTIONS)
    table = coverage_figure(fields, 0.15).tables[0]
    assert len(table.rows) == 4 and table.rows[-1][5] is not None
    assert [row[5] for row in table.rows if row[2] == 10.0] == [None]
    rungs = [Rung(1, "4", "iteration 0, converged", True), Rung(2, "2", "iteration 1, not converged", False)]
    text = " ".join(coverage_words(fields, rungs))
    assert "2 rungs of loadings, 1 of them converged" in text and "loadings 2 to 4 H₂ at 10 to 77 K" in text
    assert "where 0 % of 1 frames were accurate" in text
    assert coverage_words([], [])[0].startswith("Not yet reached")

"""Quarantine file and labelling on the spot."""

from __future__ import annotations

import numpy as np

from alh2.core.frames import Frame, Label
from alh2.label.local import LocalRun, label_frames
from alh2.label.protocol import LabelFailure
from alh2.label.quarantine import QuarantineEntry, append_quarantine, now_utc, read_quarantine
from alh2.label.reference_labeler import for_host
from alh2.label.xtb import make as make_xtb


def entry(digest: str, task: str = "task.000.000000", reason: str = "SCF not converged") -> QuarantineEntry:
    return QuarantineEntry(digest, task, "GFN1-xTB/tblite", reason, now_utc())


def test_repeating_an_entry_adds_nothing(tmp_path):
    path = tmp_path / "quarantine.jsonl"
    assert read_quarantine(path) == []
    first = [entry("a"), entry("b"), entry("a")]
    assert append_quarantine(path, first) == 2
    before = path.read_bytes()
    assert append_quarantine(path, [entry("a"), entry("b")]) == 0
    assert path.read_bytes() == before
    assert append_quarantine(path, [entry("a", task="task.000.000001"), entry("c")]) == 2
    assert [(e.digest, e.task[-1]) for e in read_quarantine(path)] == [("a", "0"), ("b", "0"), ("a", "1"), ("c", "0")]
    assert read_quarantine(path)[0] == first[0]


def test_another_reason_takes_the_place_of_the_first(tmp_path):
    path = tmp_path / "quarantine.jsonl"
    append_quarantine(path, [entry("a"), entry("b")])
    assert append_quarantine(path, [entry("a", reason="atoms too close")]) == 0
    assert [(e.digest, e.reason) for e in read_quarantine(path)] == [
        ("a", "atoms too close"),
        ("b", "SCF not converged"),
    ]


def test_torn_last_line_is_left_out_and_mended(tmp_path):
    path = tmp_path / "quarantine.jsonl"
    append_quarantine(path, [entry("a"), entry("b")])
    path.write_text(path.read_text()[:-20])
    assert [e.digest for e in read_quarantine(path)] == ["a"]
    assert append_quarantine(path, [entry("b")]) == 1
    assert [e.digest for e in read_quarantine(path)] == ["a", "b"]


def test_frames_are_labelled_in_order_and_not_twice(tmp_path, h2_frame):
    frames = []
    for bond in (0.70, 0.74, 0.80):
        positions = h2_frame.positions_ang.copy()
        positions[1, 2] = positions[0, 2] + bond
        frames.append(Frame(h2_frame.symbols, positions, h2_frame.cell_ang, 0))
    labeler = for_host(None)
    labels = label_frames(labeler, frames, LocalRun(tmp_path))
    assert all(isinstance(label, Label) for label in labels)
    assert labels[1].energy_ev < min(labels[0].energy_ev, labels[2].energy_ev)
    stamps = [path.stat().st_mtime_ns for path in sorted(tmp_path.glob("*/label.json"))]
    again = label_frames(labeler, frames, LocalRun(tmp_path))
    assert [path.stat().st_mtime_ns for path in sorted(tmp_path.glob("*/label.json"))] == stamps
    assert [label.energy_ev for label in again] == [label.energy_ev for label in labels]


def test_failures_and_timeouts_are_answers(tmp_path, h2_frame):
    flat = Frame(("H", "H"), np.zeros((2, 3)), h2_frame.cell_ang, 0)
    labeler = make_xtb({}, type_map=("H",), where="fp_params")
    answers = label_frames(labeler, [flat, h2_frame], LocalRun(tmp_path / "a"))
    assert answers[0] == LabelFailure("atoms 0 and 1 are 0.000 Å apart")
    assert isinstance(answers[1], Label)
    slow = label_frames(labeler, [h2_frame], LocalRun(tmp_path / "b", timeout_s=0.01))
    assert slow == [LabelFailure("no answer after 0.01 s")]

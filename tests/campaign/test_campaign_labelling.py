"""Labels: refusals are for good, crashes are not, and nothing is computed or stored twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alh2.campaign.labelling import (
    NOTHING_KNOWN,
    Known,
    LabelBench,
    LabelRequest,
    host_requests,
    label_frames,
    store_frames,
)
from alh2.config.load import load_machine
from alh2.config.model import LabelConfig
from alh2.config.policy import TaskPolicy
from alh2.core.frames import Frame, Label, LabelledFrame, Provenance
from alh2.dataset.store import DatasetStore
from alh2.dispatch.tasks import forget_failures
from alh2.label.quarantine import read_quarantine
from alh2.label.reference_labeler import for_host
from alh2.label.registry import make_labeler

Bench = Callable[..., LabelBench]


def _frames(node: Frame, count: int) -> list[Frame]:
    rng = np.random.default_rng(1)
    return [replace(node, positions_ang=node.positions_ang + 0.01 * rng.standard_normal((30, 3))) for _ in range(count)]


def _requests(frames: list[Frame]) -> list[LabelRequest]:
    return [LabelRequest(f"task.000.{i:06d}", frame) for i, frame in enumerate(frames)]


@pytest.fixture
def bench(node: Frame, inputs: Any, tmp_path: Path) -> Bench:
    """``bench(first_line, timeout_s=…)``: a labeler run by a program with `first_line` put before its work."""

    def make(first_line: str = "", timeout_s: float = 60.0) -> LabelBench:
        program = inputs.folder / "bin" / "python"
        text = program.read_text().split("\n", 1)[1]
        program.write_text(f"#!/bin/sh\n{first_line}\n{text}")
        inputs.command("fp", program)
        machine = replace(load_machine(inputs.machine).fp, policy=TaskPolicy(retry_count=1, retry_wait_s=0.1))
        return LabelBench(for_host(node), machine, timeout_s, tmp_path / "quarantine.jsonl")

    return make


def _runs(directory: Path, name: str) -> int:
    return (directory / name / "runs.log").read_text().count("start")


def test_equal_and_known_frames_are_not_computed(bench: Bench, node: Frame, tmp_path: Path) -> None:
    first, second, known = _frames(node, 3)
    label = Label(-1.0, np.zeros((30, 3)), "reference-pes")
    requests = [*_requests([first, second, known]), LabelRequest("host.again", first)]
    answers = label_frames(
        requests, bench(), directory=tmp_path / "fp", known=Known({known.digest: label}, {}), name="x"
    )
    assert set(answers.labels) == {first.digest, second.digest, known.digest}
    assert answers.labels[known.digest] is label
    assert answers.reasons == ()
    assert sorted(p.name for p in (tmp_path / "fp").glob("*.*")) == [".dispatch", "task.000.000000", "task.000.000001"]


def test_a_refused_geometry_is_quarantined_for_good_and_the_rest_goes_on(
    bench: Bench, node: Frame, tmp_path: Path
) -> None:
    good, bad = _frames(node, 2)
    foreign = replace(bad, symbols=(*bad.symbols[1:], bad.symbols[0]))  # the springs belong to another host
    place = bench()
    for _ in range(2):
        answers = label_frames(
            _requests([good, foreign]), place, directory=tmp_path / "fp", known=NOTHING_KNOWN, name="x"
        )
        assert set(answers.labels) == {good.digest}
        (entry,) = read_quarantine(place.quarantine)
        assert entry.final
        assert entry.digest == foreign.digest
        assert entry.task.endswith("fp/task.000.000001")
        assert "another host" in entry.reason
        assert answers.common_reason == entry.reason
    assert _runs(tmp_path / "fp", "task.000.000001") == 1


def test_a_task_that_crashes_once_is_run_again(bench: Bench, node: Frame, tmp_path: Path) -> None:
    place = bench("[ -e tried ] || { touch tried; exit 1; }")
    (frame,) = _frames(node, 1)
    answers = label_frames(_requests([frame]), place, directory=tmp_path / "fp", known=NOTHING_KNOWN, name="x")
    assert set(answers.labels) == {frame.digest}
    assert read_quarantine(place.quarantine) == []


def test_a_task_out_of_time_is_quarantined_until_it_goes_well(bench: Bench, node: Frame, tmp_path: Path) -> None:
    place = bench("[ -e patience ] || exec sleep 60", timeout_s=1.0)
    (frame,) = _frames(node, 1)
    directory = tmp_path / "fp"
    answers = label_frames(_requests([frame]), place, directory=directory, known=NOTHING_KNOWN, name="x")
    assert answers.labels == {}
    (entry,) = read_quarantine(place.quarantine)
    assert not entry.final
    assert entry.reason.startswith("timeout: ended after its time limit of 1 s")
    (directory / "task.000.000000" / "patience").touch()
    again = label_frames(_requests([frame]), place, directory=directory, known=NOTHING_KNOWN, name="x")
    assert again.labels == {}  # a repeat alone changes nothing …
    assert forget_failures(directory) == 1
    longer = replace(place, timeout_s=60.0)
    third = label_frames(_requests([frame]), longer, directory=directory, known=NOTHING_KNOWN, name="x")
    assert set(third.labels) == {frame.digest}  # … after a stop for a person it does
    assert read_quarantine(place.quarantine) == []


def test_host_folders_are_named_by_content(node: Frame) -> None:
    hosts = _frames(node, 3)
    names = [request.name for request in host_requests([*hosts, hosts[0]], set())]
    assert len(names) == len(set(names)) == 3
    assert [r.name for r in host_requests(hosts[::-1], {hosts[1].digest})] == [names[2], names[0]]


def _labelled(frames: list[Frame]) -> list[LabelledFrame]:
    return [LabelledFrame(frame, Label(float(i), np.zeros((30, 3)), "x")) for i, frame in enumerate(frames)]


def test_frames_labelled_later_are_stored_though_their_step_was_begun(node: Frame, tmp_path: Path) -> None:
    frames = _labelled([replace(f, provenance=Provenance("md", 0)) for f in _frames(node, 6)])
    store = DatasetStore(tmp_path / "dataset", ("Al", "O", "C", "H"))
    assert store_frames(store, frames[:3], split="train", name="iter.000000") == 3
    assert store_frames(store, frames[:3], split="train", name="iter.000000") == 0
    assert store_frames(store, frames[:5], split="train", name="iter.000000") == 2
    assert store_frames(store, [*frames, frames[0]], split="train", name="iter.000000") == 1
    assert sorted(f.label.energy_ev for f in store.load()) == [0, 1, 2, 3, 4, 5]


def test_an_energy_far_from_its_likes_is_tried_again_and_then_refused(
    node: Frame, inputs: Any, vasp_kit: Any, tmp_path: Path
) -> None:
    types = ("Al", "O", "C", "H")
    labeler = make_labeler(LabelConfig("vasp", vasp_kit.keys(types), 60.0), type_map=types)
    config = vasp_kit.configure(node, faults=["energy"], fraction=0.2, stubborn=1.0, seed=1)
    inputs.command("fp", vasp_kit.program)
    quarantine = tmp_path / "quarantine.jsonl"
    bench = LabelBench(labeler, load_machine(inputs.machine).fp, 600.0, quarantine, energy_window_ev_per_atom=0.5)
    frames = _frames(node, 7)
    answers = label_frames(_requests(frames), bench, directory=tmp_path / "fp", known=NOTHING_KNOWN, name="x")
    entries = read_quarantine(quarantine)
    assert len(answers.labels) + len(entries) == 7 and 0 < len(entries) < 4, config
    for entry in entries:
        assert entry.final
        assert entry.reason.startswith("given up after 3 attempts: energy ")
        assert entry.reason.count("from the median of this composition, more than 15.000 eV") == 3
    energies = [label.energy_ev for label in answers.labels.values()]
    assert max(energies) - min(energies) < 30.0

"""Caps, spread over tasks, determinism, repeats, and the files written."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from alh2.core.errors import BadInputError
from alh2.core.random_streams import stream
from alh2.select.choose import select_frames
from alh2.select.table import read_selection_table, write_selection


@pytest.fixture
def choose(node_bonds, config):
    """`select_frames` with the node's bonds; keyword arguments replace fields of the configuration."""

    def call(explored, *, seed=1, known=frozenset(), **changes):
        return select_frames(
            explored,
            config=replace(config, **changes),
            known_digests=set(known),
            host_bonds=node_bonds.pairs,
            host_bond_lengths_ang=node_bonds.lengths_ang,
            rng=stream(seed, "select", 0),
        )

    return call


@pytest.fixture
def many(node_frames, explored_as):
    """300 frames of 6 tasks with deviations on both sides of the levels; task 5 has nearly all the candidates."""
    rng = np.random.default_rng(0)
    explored = []
    for index, frame in enumerate(node_frames[:300]):
        task = f"task.{index % 2:03d}.{min(index % 12, 5):06d}"
        explored.append(explored_as(frame, float(rng.uniform(0.0, 0.8)), task=task, step=index))
    return explored


def test_one_verdict_per_frame_in_order_and_all_numbers_add_up(choose, many):
    verdicts = choose(many)
    assert [v.explored for v in verdicts] == many
    assert Counter(v.band for v in verdicts) == Counter(
        "failed" if e.max_devi_f_ev_ang >= 0.6 else "candidate" if e.max_devi_f_ev_ang >= 0.15 else "accurate"
        for e in many
    )
    picked = [v for v in verdicts if v.picked]
    assert len(picked) == 20 and all(v.band == "candidate" for v in picked)
    assert all(v.reason for v in verdicts)
    left_out = [v for v in verdicts if v.band == "candidate" and not v.picked]
    assert all("beyond fp_task_max 20" in v.reason for v in left_out)


def test_picks_are_spread_over_tasks(choose, many):
    per_task = Counter(v.explored.task for v in choose(many, fp_task_max=18) if v.picked)
    assert len(per_task) == len({e.task for e in many})
    assert max(per_task.values()) - min(per_task.values()) <= 1


def test_same_seed_same_picks_and_other_seed_others(choose, many):
    def picks(seed):
        return [v.explored.step for v in choose(many, seed=seed) if v.picked]

    assert picks(3) == picks(3)
    assert picks(3) != picks(4)


def test_every_candidate_can_be_picked(choose, node_frames, explored_as):
    explored = [explored_as(frame, 0.3, step=i) for i, frame in enumerate(node_frames[:8])]
    seen = Counter()
    for seed in range(200):
        seen.update(v.explored.step for v in choose(explored, seed=seed, fp_task_max=2) if v.picked)
    # 400 picks over 8 frames: 50 each, standard deviation √(200 · ¼ · ¾) = 6.1
    assert all(abs(seen[i] - 50) < 5 * 6.2 for i in range(8))


def test_caps_hold_per_host_and_loading(choose, node_frames, explored_as):
    five = [frame.without_molecule(0) for frame in node_frames[:6]]
    explored = [explored_as(frame, 0.3, step=i) for i, frame in enumerate((*node_frames[:6], *five))]
    verdicts = choose(explored, fp_task_max=4)
    assert Counter(v.explored.frame.n_h2 for v in verdicts if v.picked) == {6: 4, 5: 4}


@pytest.mark.parametrize(("minimum", "picked"), [(1, 3), (3, 3), (4, 0)])
def test_fewer_candidates_than_fp_task_min_are_not_labelled(choose, node_frames, explored_as, minimum, picked):
    explored = [explored_as(frame, 0.3 if i < 3 else 0.1, step=i) for i, frame in enumerate(node_frames[:9])]
    verdicts = choose(explored, fp_task_min=minimum)
    assert sum(v.picked for v in verdicts) == picked
    if not picked:
        assert all("fewer than fp_task_min 4" in v.reason for v in verdicts[:3])


def test_fp_task_max_zero_picks_nothing(choose, many):
    assert not any(v.picked for v in choose(many, fp_task_max=0, fp_task_min=0))


def test_nothing_explored_gives_no_verdicts(choose):
    assert choose([]) == []


def test_nan_and_insane_frames_are_failed_and_never_picked(choose, node_frames, explored_as):
    frame = node_frames[3]
    positions = frame.positions_ang.copy()
    positions[31] = positions[30] + [1.5, 0.0, 0.0]
    torn = replace(frame, positions_ang=positions)
    verdicts = choose(
        [
            explored_as(frame, math.nan),
            explored_as(torn, 0.3, step=1),
            explored_as(torn, 0.01, step=2, kind="gcmc", devi_insertion_ev=0.5),
            explored_as(frame, 0.9, step=3),
            explored_as(frame, 0.3, step=4),
        ]
    )
    assert [v.band for v in verdicts] == ["failed"] * 4 + ["candidate"]
    assert [v.picked for v in verdicts] == [False] * 4 + [True]
    assert verdicts[1].reason == verdicts[2].reason == "H2 bond 1.50 Å > 1.10 Å"
    assert verdicts[3].reason == "max_devi_f 0.9 ≥ 0.6"


def test_labelled_frames_and_duplicates_are_not_picked_again(choose, node_frames, explored_as):
    a, b = node_frames[0], node_frames[1]
    explored = [
        explored_as(a, 0.3, step=10),
        explored_as(b, 0.3, step=20),
        explored_as(b, 0.3, task="task.000.000001", step=30),
    ]
    verdicts = choose(explored, known={a.digest})
    assert [v.reason for v in verdicts[::2]] == ["already labelled", "duplicate of task.000.000000 step 20"]
    assert [v.picked for v in verdicts] == [False, True, False]
    assert all(v.band == "candidate" for v in verdicts)
    assert [v.picked for v in choose(explored, known={a.digest}, fp_task_min=2)] == [False] * 3


def test_written_table_reads_back_and_repeats(choose, many, node_frames, explored_as, tmp_path):
    gcmc = explored_as(node_frames[310], 0.01, kind="gcmc", task="task.002.000000", step=7, devi_insertion_ev=0.1 / 3)
    verdicts = choose([*many, gcmc, explored_as(node_frames[311], math.nan, step=8)])
    write_selection(tmp_path, verdicts)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_selection(tmp_path, verdicts)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

    rows = read_selection_table(tmp_path / "selection.csv")
    assert len(rows) == len(verdicts)
    for row, verdict in zip(rows[:-1], verdicts[:-1], strict=True):
        explored = verdict.explored
        assert (row.task, row.step, row.kind, row.n_h2) == (explored.task, explored.step, explored.kind, 6)
        assert (row.max_devi_f, row.devi_insertion_ev) == (explored.max_devi_f_ev_ang, explored.devi_insertion_ev)
        assert (row.band, row.reason, row.picked) == (verdict.band, verdict.reason, verdict.picked)
    assert math.isnan(rows[-1].max_devi_f) and rows[-1].band == "failed"

    names = {f"{kind}.shuffled.{n:03d}.out" for n in range(3) for kind in ("candidate", "rest_accurate", "rest_failed")}
    assert set(before) == {"selection.csv", *names}
    lines = (tmp_path / "candidate.shuffled.001.out").read_text().splitlines()
    picked = [v for v in verdicts if v.picked and v.explored.task.startswith("task.001")]
    assert lines[: len(picked)] == [f"{v.explored.task} {v.explored.step}" for v in picked]
    total = sum(len((tmp_path / name).read_text().splitlines()) for name in names)
    assert total == len(verdicts)


def test_task_root_precedes_the_task_and_stale_lists_go(choose, node_frames, explored_as, tmp_path):
    write_selection(tmp_path, choose([explored_as(node_frames[0], 0.3, task="task.004.000001", step=50)]))
    assert (tmp_path / "candidate.shuffled.004.out").exists()
    verdicts = choose([explored_as(node_frames[0], 0.3, task="task.001.000002", step=50)])
    write_selection(tmp_path, verdicts, task_root="iter.000003/01.model_devi")
    line = (tmp_path / "candidate.shuffled.001.out").read_text()
    assert line == "iter.000003/01.model_devi/task.001.000002 50\n"
    assert not (tmp_path / "candidate.shuffled.004.out").exists()


def test_wrong_tables_are_refused_with_file_and_line(choose, many, tmp_path):
    with pytest.raises(BadInputError, match="selection table"):
        read_selection_table(tmp_path / "selection.csv")
    write_selection(tmp_path, choose(many[:3]))
    path = tmp_path / "selection.csv"
    path.write_text(path.read_text().replace(",md,6,77.0,", ",md,6,cold,", 2))
    with pytest.raises(BadInputError, match="selection.csv, line 2"):
        read_selection_table(path)
    path.write_text("task,step\n")
    with pytest.raises(BadInputError, match="columns"):
        read_selection_table(path)

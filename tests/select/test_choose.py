"""Caps, spread over tasks, determinism, repeats, and the files written."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from alh2.core.errors import BadInputError
from alh2.core.random_streams import stream
from alh2.potential.descriptors import describe_frames
from alh2.select.choose import Surroundings, select_frames
from alh2.select.table import read_selection_table, write_selection


@pytest.fixture
def choose(node_bonds, config):
    """`select_frames` with the node's bonds; keyword arguments replace fields of the configuration."""

    def call(explored, *, seed=1, known=frozenset(), surroundings=None, **changes):
        return select_frames(
            explored,
            config=replace(config, **changes),
            known_digests=set(known),
            bonds=node_bonds,
            rng=stream(seed, "select", 0),
            surroundings=surroundings,
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


@pytest.fixture
def by_descriptors(trained_committee):
    """``by_descriptors(frames)``: the surroundings in which `frames` are labelled, seen by a trained model."""

    def make(frames):
        return Surroundings(frames, partial(describe_frames, trained_committee.members[0].graph))

    return make


def test_diverse_choice_reports_why_and_repeats(choose, many, node_frames, by_descriptors):
    near = replace(node_frames[310], positions_ang=node_frames[310].positions_ang + 0.1)  # the same, moved as a whole
    explored = [*many, replace(many[0], frame=near, step=999, max_devi_f_ev_ang=0.5)]
    labelled = [node_frames[i] for i in range(300, 320)]
    found = choose(explored, method="diverse", surroundings=by_descriptors(labelled))
    again = choose(explored, method="diverse", surroundings=by_descriptors(labelled))
    assert [(v.reason, v.picked) for v in found] == [(v.reason, v.picked) for v in again]
    assert [v.explored for v in found] == explored
    picked = [v for v in found if v.picked]
    assert 15 <= len(picked) <= 20 and all(v.band == "candidate" for v in picked)
    assert all("its trust level" in v.reason and "from what has a label" in v.reason for v in picked)
    assert not found[-1].picked and "from a labelled frame, less than 0.05" in found[-1].reason
    left_out = [v for v in found if v.band == "candidate" and not v.picked]
    assert all("adds less" in v.reason or "less than 0.05" in v.reason for v in left_out)


def test_diverse_choice_leaves_less_undescribed_than_chance(choose, many, node_frames, by_descriptors):
    """Mean distance of candidates to the nearest labelled or picked frame, for the same number of labels."""
    around = by_descriptors(node_frames[300:320])
    points = around.describe([*(e.frame for e in many), *around.labelled]).points()
    n = 12

    def left(verdicts):
        taken = [i for i, v in enumerate(verdicts) if v.picked]
        assert len(taken) == n
        centres = np.concatenate([points[300:], points[taken]])
        candidates = points[[i for i, v in enumerate(verdicts) if v.band == "candidate"]]
        return np.linalg.norm(candidates[:, None] - centres[None], axis=2).min(axis=1).mean()

    diverse = left(choose(many, method="diverse", surroundings=around, fp_task_max=n, duplicate_distance=0.0))
    chance = [left(choose(many, seed=seed, fp_task_max=n)) for seed in range(40)]
    assert diverse < np.mean(chance) - 2 * np.std(chance)


def test_frames_whose_insertion_energies_disagree_come_first(choose, node_frames, explored_as, by_descriptors):
    explored = [explored_as(f, 0.16, kind="gcmc", devi_insertion_ev=0.021, step=i) for i, f in enumerate(node_frames)]
    explored = explored[:60]
    doubted = {7, 23, 41}
    explored = [replace(e, devi_insertion_ev=0.8) if e.step in doubted else e for e in explored]
    verdicts = choose(explored, method="diverse", fp_task_max=6, surroundings=by_descriptors(node_frames[100:120]))
    assert doubted <= {v.explored.step for v in verdicts if v.picked}
    assert "pick 1, 40 ×" in next(v.reason for v in verdicts if "pick 1," in v.reason)


def test_only_the_pool_is_described(choose, many, node_frames, by_descriptors):
    asked = []
    around = by_descriptors(node_frames[300:305])
    watched = Surroundings(around.labelled, lambda frames: asked.append(len(frames)) or around.describe(frames))
    verdicts = choose(many, method="diverse", pool=40, surroundings=watched)
    assert asked == [45]
    outside = [v for v in verdicts if "not among the 40 candidates" in v.reason]
    assert len(outside) == sum(v.band == "candidate" for v in verdicts) - 40 and not any(v.picked for v in outside)


def test_max_labels_is_shared_by_the_loadings(choose, node_frames, explored_as, by_descriptors):
    five = [frame.without_molecule(0) for frame in node_frames[:30]]
    explored = [explored_as(frame, 0.3, step=i) for i, frame in enumerate((*node_frames[:30], *five))]
    for method, around in (("random", None), ("diverse", by_descriptors(node_frames[300:305]))):
        verdicts = choose(explored, method=method, max_labels=8, surroundings=around, duplicate_distance=0.0)
        assert Counter(v.explored.frame.n_h2 for v in verdicts if v.picked) == {6: 4, 5: 4}
        if method == "random":
            assert any("the share of 5 H2 in max_labels 8" in v.reason for v in verdicts)

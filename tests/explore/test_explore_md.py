"""MD exploration by ``lmp`` with a truly trained committee."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from alh2.config.model import MdJob
from alh2.core.errors import NeedsPersonError
from alh2.dispatch.tasks import TaskOutcome
from alh2.explore.deviation import max_force_deviations
from alh2.explore.explored_file import load_explored, save_explored
from alh2.explore.lammps import TRAJECTORY_FILE
from alh2.explore.md import collect_md, prepare_md


def test_sound_run_is_read_back_frame_by_frame(md_runs) -> None:
    assert md_runs.outcomes[0].status == "done", md_runs.outcomes[0].message
    run = md_runs.runs[0]
    explored = collect_md(md_runs.setting, [run], md_runs.outcomes[:1])
    assert [e.step for e in explored] == [0, 20, 40, 60, 80, 100]
    for entry in explored:
        assert (entry.kind, entry.task, entry.temperature_k) == ("md", "task.000.000000", 77.0)
        assert (entry.frame.symbols, entry.frame.n_host, entry.frame.n_h2) == (run.start.symbols, 30, 2)
        origin = entry.frame.provenance
        assert (origin.source, origin.iteration, origin.temperature_k) == ("md", 2, 77.0)
        assert origin.detail == f"iter.000002/01.model_devi/task.000.000000 step {entry.step}"
        assert np.array_equal(entry.frame.cell_ang, run.start.cell_ang)
        assert math.isfinite(entry.max_devi_f_ev_ang)
    assert np.allclose(explored[0].frame.positions_ang, run.start.positions_ang, atol=1e-7)
    moved = np.linalg.norm(explored[1].frame.positions_ang - run.start.positions_ang, axis=1)
    assert 0.01 < np.median(moved) < 0.3  # 10 fs at 77 K: 0.02 Å for C, 0.08 Å for H


def test_deviation_of_lammps_is_the_committee_s_on_the_same_frames(md_runs, trained_committee) -> None:
    explored = collect_md(md_runs.setting, md_runs.runs[:1], md_runs.outcomes[:1])
    ours = max_force_deviations(trained_committee.graphs, [entry.frame for entry in explored])
    theirs = np.array([entry.max_devi_f_ev_ang for entry in explored])
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    assert theirs.min() > 1e-3


def test_exploded_run_is_an_answer(md_runs) -> None:
    outcome = md_runs.outcomes[1]
    assert outcome.status == "failed" and outcome.exit_code not in (0, None, 127)
    explored = collect_md(md_runs.setting, md_runs.runs, md_runs.outcomes)
    wild = [entry for entry in explored if entry.task == "task.000.000001"]
    assert len(explored) == len(wild) + 6
    assert wild[0].step == 0 and np.allclose(
        wild[0].frame.positions_ang, md_runs.runs[1].start.positions_ang, atol=1e-7
    )
    end = wild[-1]
    assert math.isnan(end.max_devi_f_ev_ang) and end.frame.digest == wild[-2].frame.digest
    assert f"task.000.000001 failed after step {end.step}: ERROR: Lost atoms" in end.frame.provenance.detail


def test_explored_frames_come_back_from_disk(md_runs, tmp_path) -> None:
    explored = collect_md(md_runs.setting, md_runs.runs, md_runs.outcomes)
    explored[0] = replace(explored[0], kind="gcmc", devi_insertion_ev=0.25)
    save_explored(tmp_path, explored)
    back = load_explored(tmp_path)
    assert [e.frame.digest for e in back] == [e.frame.digest for e in explored]
    assert [e.frame.provenance for e in back] == [e.frame.provenance for e in explored]
    for a, b in zip(back, explored, strict=True):
        assert (a.kind, a.task, a.step, a.temperature_k) == (b.kind, b.task, b.step, b.temperature_k)
        assert a.devi_insertion_ev == b.devi_insertion_ev
        np.testing.assert_equal(a.max_devi_f_ev_ang, b.max_devi_f_ev_ang)
    save_explored(tmp_path / "none", [])
    assert load_explored(tmp_path / "none") == []


def test_runs_without_any_frame_are_for_a_person(md_runs, tmp_path, node_start) -> None:
    setting = replace(md_runs.setting, directory=tmp_path)
    job = MdJob((0,), (77.0,), 10, 0.0005, 5, 0.1)
    runs = [prepare_md(setting, job, 0, 77.0, node_start, index=k) for k in range(2)]
    outcomes = [TaskOutcome(run.task, "failed", 127, "lmp: not found", 0.1) for run in runs]
    with pytest.raises(NeedsPersonError, match=r"task.000.000000: lmp: not found"):
        collect_md(setting, runs, outcomes)
    assert collect_md(setting, [], []) == []


def test_run_without_a_frame_beside_others_counts_its_start_as_failed(md_runs, tmp_path, node_start, dump_text) -> None:
    setting = replace(md_runs.setting, directory=tmp_path)
    job = MdJob((0,), (77.0,), 10, 0.0005, 5, 0.1)
    runs = [prepare_md(setting, job, 0, 77.0, node_start, index=k) for k in range(3)]
    (runs[0].task.work_dir / TRAJECTORY_FILE).write_text(dump_text([(0, node_start.positions_ang)]))
    states = ("timeout", "timeout", "failed")
    outcomes = [TaskOutcome(run.task, state, 1, "x", 0.1) for run, state in zip(runs, states, strict=True)]
    explored = collect_md(setting, runs, outcomes)
    assert [e.task[-1] for e in explored] == ["0", "1", "2"]
    assert all(math.isnan(e.max_devi_f_ev_ang) for e in explored)
    assert explored[1].frame.digest == explored[2].frame.digest == node_start.digest


def test_one_model_has_no_deviation(md_runs, tmp_path, node_start, dump_text) -> None:
    setting = replace(md_runs.setting, directory=tmp_path, graphs=md_runs.setting.graphs[:1])
    job = MdJob((0,), (77.0,), 10, 0.0005, 5, 0.1)
    run = prepare_md(setting, job, 0, 77.0, node_start, index=0)
    assert run.task.outputs == (TRAJECTORY_FILE,)
    (run.task.work_dir / TRAJECTORY_FILE).write_text(dump_text([(0, node_start.positions_ang)]))
    (entry,) = collect_md(setting, [run], [TaskOutcome(run.task, "done", 0, "", 1.0)])
    assert math.isnan(entry.max_devi_f_ev_ang)


def test_preparing_twice_gives_the_same_bytes_and_each_task_its_seed(md_runs, tmp_path, node_start) -> None:
    setting = replace(md_runs.setting, directory=tmp_path)
    job = MdJob((0,), (77.0,), 10, 0.0005, 5, 0.1)
    first = prepare_md(setting, job, 0, 77.0, node_start, index=0)
    files = {p.name: p.read_bytes() for p in first.task.work_dir.iterdir()}
    assert set(files) == {"conf.lmp", "input.lammps", "job.json"}
    again = prepare_md(setting, job, 0, 77.0, node_start, index=0)
    assert again.task == first.task
    assert {p.name: p.read_bytes() for p in first.task.work_dir.iterdir()} == files
    job_file = json.loads(files["job.json"])
    assert job_file == {"kind": "md", "temps": 77.0, "n_h2": 2, "host": "node", "n_steps": 10}
    seeds = set()
    for iteration, system, index in ((2, 0, 0), (3, 0, 0), (2, 1, 0), (2, 0, 1)):
        other = prepare_md(replace(setting, iteration=iteration), job, system, 77.0, node_start, index=index)
        text = (other.task.work_dir / "input.lammps").read_text()
        seeds.add(next(line.split()[4] for line in text.splitlines() if line.startswith("velocity")))
    assert len(seeds) == 4

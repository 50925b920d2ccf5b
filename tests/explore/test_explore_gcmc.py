"""Monte Carlo exploration by the real worker in a subprocess."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alh2.core.errors import BadInputError, NeedsPersonError
from alh2.core.statistics import mean_and_error
from alh2.dispatch.run import run_tasks
from alh2.dispatch.tasks import TaskOutcome
from alh2.explore import gcmc
from alh2.explore.deviation import insertion_spreads, max_force_deviations
from alh2.explore.deviation_worker import read_deviations
from alh2.explore.gcmc import (
    DEVIATIONS_FILE,
    GcmcModels,
    GcmcTask,
    collect_gcmc,
    deviation_tasks,
    prepare_gcmc,
    sampled_frames,
)
from alh2.explore.gcmc_job import EXIT_UNTRUSTWORTHY, SERIES_FILE, GcmcSpec, read_job, read_samples, read_summary
from alh2.potential.frames_npz import read_npz

SPEC = GcmcSpec(
    ensemble="grand-canonical",
    temperature_k=77.0,
    fugacity_bar=5.0,
    n_initial=2,
    n_moves=120,
    n_equilibration=30,
    sample_every=10,
    max_samples=6,
    max_loading=5,
    min_distance_ang=1.2,
    seed=11,
    bond_length_ang=0.75,
)


@pytest.fixture(scope="session")
def gcmc_runs(tmp_path_factory, trained_committee, node_start, local) -> tuple[list[GcmcTask], list[TaskOutcome]]:
    """A grand-canonical run and a canonical one."""
    directory = tmp_path_factory.mktemp("gcmc") / "01.model_devi"
    first = trained_committee.members[0]
    models, command = GcmcModels(first.engine, (), ()), sys.executable
    runs = [
        prepare_gcmc(directory / "gcmc.000000", SPEC, node_start, models=models, base_dir=directory, command=command),
        prepare_gcmc(
            directory / "heldout.000000",
            replace(SPEC, ensemble="canonical", n_initial=3, fugacity_bar=1.0, max_loading=None),
            node_start,
            models=models,
            base_dir=directory,
            command=command,
        ),
    ]
    outcomes = run_tasks([run.task for run in runs], machine=local(command), base_dir=directory, name="gcmc")
    return runs, outcomes


def test_samples_come_back_with_both_deviations(
    gcmc_runs, trained_committee, node_start, local, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, outcomes = gcmc_runs
    assert [o.status for o in outcomes] == ["done", "done"], [o.message for o in outcomes]
    monkeypatch.setattr(gcmc, "FRAMES_PER_TASK", 2)
    directory = runs[0].task.work_dir.parent
    models = GcmcModels(Path("x"), trained_committee.graphs, tuple(m.frozen for m in trained_committee.members))
    sampled = sampled_frames(runs[:1], outcomes[:1])
    asked = deviation_tasks(directory, sampled, models=models, command=sys.executable)
    assert [n for _, n in asked] == [2] * (len(sampled) // 2) + [1] * (len(sampled) % 2)
    ends = run_tasks([task for task, _ in asked], machine=local(sys.executable), base_dir=directory, name="deviation")
    assert {end.status for end in ends} == {"done"}, ends[0].message
    answers = [read_deviations(task.work_dir / DEVIATIONS_FILE) for task, _ in asked]
    force_of, insertion_of = (np.concatenate(parts) for parts in zip(*answers, strict=True))
    explored = collect_gcmc(runs[:1], outcomes[:1], iteration=3, deviations=(force_of, insertion_of))
    assert 3 <= len(explored) <= 6
    frames = [entry.frame for entry in explored]
    for entry in explored:
        assert (entry.kind, entry.task, entry.temperature_k) == ("gcmc", "gcmc.000000", 77.0)
        assert entry.frame.symbols[:30] == node_start.symbols[:30] and entry.frame.n_h2 <= 5
        assert np.array_equal(entry.frame.positions_ang[:30], node_start.positions_ang[:30])
        assert entry.frame.provenance.detail == f"iter.000003/01.model_devi/gcmc.000000 move {entry.step}"
        sites = entry.frame.positions_ang[30:].reshape(-1, 2, 3)
        assert np.allclose(np.linalg.norm(sites[:, 1] - sites[:, 0], axis=1), 0.75, atol=1e-9)
    force = max_force_deviations(trained_committee.graphs, frames)
    np.testing.assert_allclose([e.max_devi_f_ev_ang for e in explored], force, rtol=1e-9)
    spread = insertion_spreads([m.frozen for m in trained_committee.members], frames)
    ours = [math.nan if e.devi_insertion_ev is None else e.devi_insertion_ev for e in explored]
    np.testing.assert_allclose(ours, spread, rtol=1e-6)
    assert [e.devi_insertion_ev is None for e in explored] == [f.n_h2 == 0 for f in frames]


def test_summary_belongs_to_the_series(gcmc_runs) -> None:
    runs, _ = gcmc_runs
    for run in runs:
        folder = run.task.work_dir
        summary = read_summary(folder)
        series = read_npz(folder / SERIES_FILE, "n_adsorbed")["n_adsorbed"]
        estimate = mean_and_error(series)
        assert len(series) == 12 and summary.n_adsorbed == estimate.mean
        assert summary.bond_length_ang == pytest.approx(0.75)
        assert summary.self_check_drift_ev < 1e-6 and summary.wall_s > 0


def test_canonical_run_keeps_the_loading_and_fills_up_to_it(gcmc_runs) -> None:
    runs, outcomes = gcmc_runs
    explored = collect_gcmc(runs[1:], outcomes[1:], iteration=3, source="heldout")
    assert {e.frame.n_h2 for e in explored} == {3} and {e.frame.provenance.source for e in explored} == {"heldout"}
    assert all(math.isnan(e.max_devi_f_ev_ang) and e.devi_insertion_ev is None for e in explored)
    assert read_samples(runs[1].task.work_dir).steps.tolist() == [e.step for e in explored]


def test_failed_run_beside_a_good_one_counts_its_start(gcmc_runs) -> None:
    runs, outcomes = gcmc_runs
    broken = replace(outcomes[1], status="failed", exit_code=1, message="killed")
    n_good = len(sampled_frames(runs, [outcomes[0], broken]))
    deviations = (np.arange(n_good, dtype=float), np.full(n_good, 0.5))
    explored = collect_gcmc(runs, [outcomes[0], broken], iteration=3, deviations=deviations)
    assert [e.max_devi_f_ev_ang for e in explored[:-1]] == deviations[0].tolist()
    mixed = collect_gcmc(runs[::-1], [broken, outcomes[0]], iteration=3, deviations=deviations)
    assert [e.max_devi_f_ev_ang for e in mixed[1:]] == deviations[0].tolist() and math.isnan(mixed[0].max_devi_f_ev_ang)
    end = explored[-1]
    assert end.frame.digest == runs[1].start.digest and math.isnan(end.max_devi_f_ev_ang)
    assert end.frame.provenance.detail.endswith("heldout.000000 failed: killed")


def test_all_failed_is_for_a_person_unless_the_model_is_to_blame(gcmc_runs) -> None:
    runs, outcomes = gcmc_runs
    lost = [replace(o, status="failed", exit_code=127, message="python: not found") for o in outcomes]
    with pytest.raises(NeedsPersonError, match="gcmc.000000: python: not found"):
        collect_gcmc(runs, lost, iteration=0)
    lost[1] = replace(lost[1], exit_code=EXIT_UNTRUSTWORTHY)
    assert len(collect_gcmc(runs, lost, iteration=0)) == 2
    assert collect_gcmc([], [], iteration=0) == []


def run_worker(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "alh2.explore.gcmc_worker"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def test_worker_says_what_is_wrong_in_one_line(tmp_path: Path, node_start) -> None:
    done = run_worker(tmp_path)
    assert (done.returncode, done.stdout) == (2, "") and len(done.stderr.splitlines()) == 1
    assert "job.json" in done.stderr
    models = GcmcModels(tmp_path / "absent.dp", (), ())
    prepare_gcmc(tmp_path, SPEC, node_start, models=models, base_dir=tmp_path, command="python")
    done = run_worker(tmp_path)
    assert done.returncode == 2 and "absent.dp" in done.stderr and len(done.stderr.splitlines()) == 1


def test_models_take_turns(tmp_path: Path) -> None:
    engines, pairs = (tuple(tmp_path / f"{name}{k}" for k in range(3)) for name in ("m", "p"))
    models = GcmcModels(tmp_path / "m0", (), (tmp_path / "c",), pairs, engines=engines)
    seen = [models.in_turn(k) for k in range(4)]
    assert [m.engine.name for m in seen] == ["m0", "m1", "m2", "m0"]
    assert [[p.name for p in m.pair_baselines] for m in seen] == [["p0"], ["p1"], ["p2"], ["p0"]]
    alone = GcmcModels(tmp_path / "m0", (), ())
    assert alone.in_turn(5) == alone
    without = GcmcModels(tmp_path / "m0", (), (), engines=(tmp_path / "m0", tmp_path / "m1")).in_turn(1)
    assert (without.engine.name, without.pair_baselines) == ("m1", ())


def test_job_files_read_back_and_foreign_ones_are_refused(tmp_path: Path, node_start) -> None:
    pairs = (tmp_path / "p.json", tmp_path / "q.json")
    models = GcmcModels(tmp_path / "m.dp", (tmp_path / "a.pb", tmp_path / "b.pb"), (tmp_path / "c.pb",), pairs)
    run = prepare_gcmc(tmp_path / "t", SPEC, node_start, models=models, base_dir=tmp_path, command="py")
    spec, start = read_job(tmp_path / "t")
    assert spec == run.spec and start.digest == node_start.digest
    assert (spec.engine_model, spec.pair_baselines) == ("../m.dp", ("../p.json",))
    assert run.task.inputs == ("job.json", "start.npz", "m.dp", "p.json")
    content = json.loads((tmp_path / "t" / "job.json").read_text())
    without = {name: value for name, value in content.items() if name != "seed"}
    for changed, found in (({**content, "n_move": 3}, "n_move"), (without, "seed"), ([], "list")):
        (tmp_path / "t" / "job.json").write_text(json.dumps(changed))
        with pytest.raises(BadInputError, match=found):
            read_job(tmp_path / "t")

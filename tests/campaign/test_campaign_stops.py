"""Where a campaign stops for a person: one line that says what to do, and the same command goes on when it is done."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from alh2.dispatch.tasks import forget_failures

pytestmark = pytest.mark.slow


def _state(workdir: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((workdir / "state.json").read_text())
    return state


def _go_back(workdir: Path, stage: str, iteration: int) -> None:
    (workdir / "state.json").write_text(json.dumps({**_state(workdir), "stage": stage, "iteration": iteration}))


def _remove_work(folder: Path, pattern: str) -> None:
    for task in folder.glob(pattern):
        (task / "task.done").unlink()


def _content(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_lost_state_is_found_again_without_computing_anything(again: Any, run_campaign: Any) -> None:
    dataset = _content(again.workdir / "dataset")
    logs = {p: p.read_bytes() for p in again.workdir.glob("**/runs.log")}
    (again.workdir / "state.json").unlink()
    ended = run_campaign(again.inputs, again.workdir, fail_in="/")  # whatever would run, would fail
    assert (ended.code, ended.err) == (0, "")
    assert _content(again.workdir / "dataset") == dataset
    assert {p: p.read_bytes() for p in again.workdir.glob("**/runs.log")} == logs
    assert _state(again.workdir)["converged"] is True


def test_training_that_fails_with_every_seed_is_asked_about_and_tried_again(again: Any, run_campaign: Any) -> None:
    content = json.loads(again.inputs.param.read_text())
    content["alh2"]["converge"] |= {"insertion_rmse_ev": 1e-6, "max_iterations": 4}  # tightened: it goes on
    again.inputs.write_param(content)
    for _ in range(2):
        ended = run_campaign(again.inputs, again.workdir, fail_in="/00.train/")
        assert ended.code == 1
        (line,) = ended.err.splitlines()
        assert line.startswith("alh2: training failed 3 times with different seeds")
        assert "made to fail" in line
        state = _state(again.workdir)
        assert (state["stage"], state["iteration"], state["status"]) == ("train", 2, "needs-person")
        assert not list((again.workdir / "iter.000002").glob("00.train/*/task.done"))  # nothing holds it back


def test_labels_that_all_fail_are_asked_about_and_tried_again(again: Any, run_campaign: Any) -> None:
    _go_back(again.workdir, "label", 1)
    shutil.rmtree(again.workdir / "dataset")
    shutil.copytree(again.dataset_after_one, again.workdir / "dataset")
    folder = again.workdir / "iter.000001" / "02.fp"
    _remove_work(folder, "task.*")
    _remove_work(folder, "host.*")
    _remove_work(folder, "heldout.*")
    ended = run_campaign(again.inputs, again.workdir, fail_in="/02.fp/")
    assert ended.code == 1
    (line,) = ended.err.splitlines()
    assert "frames could be labelled, most often because of: failed: made to fail" in line
    reasons = [json.loads(text) for text in (again.workdir / "quarantine.jsonl").read_text().splitlines()]
    assert len(reasons) == len(list(folder.glob("*/frame.json")))
    assert not any(entry["final"] for entry in reasons)
    assert run_campaign(again.inputs, again.workdir).code == 0
    assert (again.workdir / "quarantine.jsonl").read_text() == ""
    sets = (again.workdir / "dataset").glob("*/*/set.*/frames.jsonl")
    stored = [(f.parents[1], json.loads(line)["digest"]) for f in sets for line in f.read_text().splitlines()]
    assert len(stored) > 20 and len(stored) == len(set(stored))


def test_md_that_never_starts_is_asked_about(again: Any, run_campaign: Any) -> None:
    _go_back(again.workdir, "explore", 1)
    folder = again.workdir / "iter.000001" / "01.model_devi"
    _remove_work(folder, "task.*")
    (folder / "explored.npz").unlink()
    for path in folder.glob("task.*/all.lammpstrj"):
        path.unlink()
    ended = run_campaign(again.inputs, again.workdir, fail_in="/task.")
    assert ended.code == 1
    (line,) = ended.err.splitlines()
    assert "no MD run wrote a frame" in line
    assert "made to fail" in line


def test_held_out_sampling_that_fails_is_data(again: Any, run_campaign: Any) -> None:
    content = json.loads(again.inputs.param.read_text())
    content["alh2"]["converge"]["max_iterations"] = 2
    again.inputs.write_param(content)
    _go_back(again.workdir, "explore", 1)
    folder = again.workdir / "iter.000001" / "01.model_devi"
    _remove_work(folder, "heldout.0*")
    (folder / "explored.npz").unlink()
    shutil.rmtree(again.workdir / "iter.000001" / "03.assess")
    ended = run_campaign(again.inputs, again.workdir, fail_in="/heldout.")
    assert "2 of 2 held-out samplings failed" in ended.out
    assert "insertion RMSE not measured" in ended.out
    assert "insertion RMSE not measured" in _state(again.workdir)["verdict"]


def test_bootstrap_without_labels_stops_and_the_report_of_so_little_works(
    inputs: Any, tmp_path: Path, run_campaign: Any, alh2: Any
) -> None:
    run = tmp_path / "run"
    ended = run_campaign(inputs, run, fail_in="/02.fp/")
    assert ended.code == 1
    (line,) = ended.err.splitlines()
    assert line.startswith("alh2: 22 of 22 labels of initial frames (")
    assert "failed, more than the 50 % tolerated (ratio_failed); 22 of them: failed: made to fail; mend" in line
    status = json.loads(alh2("status", run, "--json").out)
    assert (status["state"], status["stage"], status["iteration"]) == ("needs-person", "bootstrap", 0)
    assert status["message"] == line.removeprefix("alh2: ")
    page = alh2("report", run)
    assert (page.code, page.err) == (0, "")
    assert (run / "report" / "index.html").stat().st_size > 10_000


def test_forget_failures_leaves_what_went_well(tmp_path: Path) -> None:
    for name, state in (("a", "ok"), ("b", "failed"), ("c", "timeout"), ("d", "missing")):
        (tmp_path / "00.train" / name).mkdir(parents=True)
        (tmp_path / "00.train" / name / "task.done").write_text(f"digest 1 10 1 {state}\n")
    assert forget_failures(tmp_path) == 3
    assert [p.parent.name for p in tmp_path.glob("**/task.done")] == ["a"]
    assert forget_failures(tmp_path / "absent") == 0


def test_what_was_killed_alone_is_forgotten(tmp_path: Path) -> None:
    """A command that failed by itself would fail again."""
    for name, code in (("itself", 1), ("crashed", 139), ("killed", 137), ("ended", 143)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "task.done").write_text(f"digest {code} 10 1 failed\n")
    assert forget_failures(tmp_path, only_killed=True) == 2
    assert sorted(p.parent.name for p in tmp_path.glob("*/task.done")) == ["crashed", "itself"]

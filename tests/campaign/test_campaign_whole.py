"""The whole loop from one command: what it leaves on disk, what it says, and how it goes on."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alh2.potential.lammps_forces import acts_on_atoms, tables
from alh2.potential.pair_baseline import FILE_NAME, load_pair_baseline

pytestmark = pytest.mark.slow

STAGES = ("train", "explore", "select", "label", "assess")


def _records(workdir: Path) -> list[dict[str, Any]]:
    files = sorted((workdir / "dataset").glob("*/*/set.*/frames.jsonl"))
    return [{"file": file, **json.loads(line)} for file in files for line in file.read_text().splitlines()]


def _events(workdir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (workdir / "journal.jsonl").read_text().splitlines()]


def _status(workdir: Path) -> dict[str, Any]:
    alh2 = Path(sys.executable).parent / "alh2"
    done = subprocess.run([alh2, "status", workdir, "--json"], capture_output=True, text=True, check=True)
    status: dict[str, Any] = json.loads(done.stdout, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    return status


def test_first_command_stops_where_iterations_are_used_up(finished: Any) -> None:
    assert finished.first.code == 1
    (line,) = finished.first.err.splitlines()
    assert line.startswith("alh2: not converged after 1 iterations")
    assert "alh2.converge.max_iterations" in line


def test_more_iterations_allowed_continue_the_finished_campaign_until_converged(finished: Any) -> None:
    assert finished.second.code == 0, finished.second.err
    assert finished.second.err == ""
    assert "bootstrap" not in finished.second.out
    assert "iteration 1 (2 of at most 3) · train" in finished.second.out
    assert not (finished.workdir / "iter.000002").exists()  # two met in a row are enough


def test_only_lines_of_the_campaign_are_printed(finished: Any) -> None:
    ours = re.compile(r"\[\d+:\d\d(:\d\d)?\] |done: |report: ")
    for ended in (finished.first, finished.second):
        assert "\r" not in ended.out
        assert [line for line in ended.out.splitlines() if not ours.match(line)] == []


def test_layout_is_dp_gens(finished: Any) -> None:
    run = finished.workdir
    for iteration in (0, 1):
        folder = run / f"iter.{iteration:06d}"
        for name in ("00.train/000/input.json", "00.train/graph.000.pb", "00.train/graph.001.pb",
                     "00.train/000/lcurve.out", "01.model_devi/task.000.000000/model_devi.out",
                     "01.model_devi/task.000.000000/input.lammps", "02.fp/candidate.shuffled.000.out"):  # fmt: skip
            assert (folder / name).exists(), name
        assert list((folder / "02.fp").glob("task.*.000000"))
    steps = (run / "record.dpgen").read_text().split("\n")
    assert steps[:-1] == [f"{iteration} {step}" for iteration in (0, 1) for step in range(9)]


def test_nothing_is_left_in_the_folder_of_the_param_file(finished: Any, base_inputs: Any) -> None:
    assert sorted(p.name for p in finished.inputs.folder.iterdir()) == sorted(
        p.name for p in base_inputs.folder.iterdir()
    )


def test_status_says_done_and_converged(finished: Any) -> None:
    status = _status(finished.workdir)
    assert status["state"] == "done"
    assert status["stage"] == "done"
    assert status["iteration"] == 1
    assert status["converged"] is True
    assert status["driver"] is False
    assert status["tasks"]["finished"] == status["tasks"]["total"] > 0
    frames = [r for r in _records(finished.workdir) if r["file"].parts[-4] != "hosts"]
    assert status["n_labels"] == len(frames)
    assert [row["iteration"] for row in status["iterations"]] == [0, 1]


def test_report_is_there(finished: Any) -> None:
    page = (finished.workdir / "report" / "index.html").read_text()
    assert "iter.000001" in page
    assert f"report: {finished.workdir}/report/index.html" in finished.second.out


def test_no_frame_is_stored_or_labelled_twice(finished: Any) -> None:
    frames = [r["digest"] for r in _records(finished.workdir) if r["file"].parts[-4] != "hosts"]
    assert len(frames) == len(set(frames)) > 30
    tasks = [json.loads(p.read_text())["digest"] for p in finished.workdir.glob("*/02.fp/*/frame.json")]
    assert len(tasks) == len(set(tasks)) > 30


def test_every_program_ran_once(finished: Any) -> None:
    logs = list(finished.workdir.glob("**/runs.log"))
    assert len(logs) > 50
    for log in logs:
        started = [line.removeprefix("start ") for line in log.read_text().splitlines() if line.startswith("start")]
        ended = [line.removeprefix("end 0 ") for line in log.read_text().splitlines() if line.startswith("end")]
        assert started == ended, log
        assert len(started) == len(set(started)), log


def test_seeds_never_repeat(finished: Any) -> None:
    run = finished.workdir
    trained = [*run.glob("iter.*/00.train/*/input.json"), *run.glob("production/host-models/*/*/input.json")]
    training = [json.loads(p.read_text())["training"]["seed"] for p in trained]
    assert len(training) == len(set(training)) == 10
    velocities = [
        re.search(r"velocity all create \S+ (\d+)", p.read_text()).group(1)  # type: ignore[union-attr]
        for p in run.glob("**/input.lammps")
    ]
    dynamics = list(run.glob("production/md/77K.r*/seg.000/job.json"))
    velocities += [str(json.loads(p.read_text())["seed"]) for p in dynamics]
    assert len(dynamics) == 2 and len(velocities) == len(set(velocities)) == 4
    jobs = {p: json.loads(p.read_text()) for p in run.glob("**/job.json") if "seed" in p.read_text()}
    sampling = [job["seed"] for job in jobs.values()]
    of_others = sum("member." in str(p) for p in jobs)  # the second model's chain, where reweighting could not answer
    assert len(sampling) == len(set(sampling)) == 9 + of_others and of_others <= 1


def test_models_take_turns_in_exploration(finished: Any) -> None:
    """Each with the pair terms of its own: a hole of any of them is found and labelled."""
    used = set()
    for path in sorted(finished.workdir.glob("iter.*/01.model_devi/gcmc.0*/job.json")):
        job = json.loads(path.read_text())
        iteration, number = int(path.parts[-4][5:]), int(path.parent.name[5:])
        turn = (iteration + number) % 2
        model, (under,) = (path.parent / job["engine_model"]).resolve(), job["pair_baselines"]
        assert model.parent.name == f"interaction.{turn:03d}" and under.endswith(f"pair_baseline.{turn:03d}.json")
        used.add(turn)
    assert used == {0, 1}


def test_training_of_an_iteration_uses_what_earlier_ones_found(finished: Any) -> None:
    counts = [
        json.loads((finished.workdir / f"iter.{i:06d}/00.train/data.total/export.json").read_text())["n_frames"]
        for i in (0, 1)
    ]
    found = [r for r in _records(finished.workdir) if r["append"] == "iter.000000" and r["file"].parts[-4] == "train"]
    held = [
        r
        for r in _records(finished.workdir)
        if r["append"] == "iter.000000.heldout" and r["provenance"]["source"] == "heldout"
    ]
    assert found and held
    assert counts[1] - counts[0] == len(found) + len(held)


def test_pair_baselines_are_corrected_after_training(finished: Any) -> None:
    """What was taken off the labels stays beside what belongs to the models, and they differ in their terms only."""
    folders = sorted(finished.workdir.glob("iter.*/00.train/interaction.0*"))
    assert len(folders) >= 2
    for folder in folders:
        start, final = (load_pair_baseline(folder / name) for name in ("pair_baseline_start.json", FILE_NAME))
        assert (start.kinds, start.scale) == (final.kinds, final.scale)
        assert np.abs(final.coefficients_ev - start.coefficients_ev).max() > 1e-4


def test_models_on_total_energies_share_pair_terms_that_lammps_adds(finished: Any) -> None:
    """The same terms between atoms under all of them, in the runs of exploration and production, and in evaluations."""
    for iteration in (0, 1):
        train_dir = finished.workdir / f"iter.{iteration:06d}" / "00.train"
        terms = [load_pair_baseline(train_dir / name / FILE_NAME) for name in ("000", "001")]
        assert terms[0] == terms[1] and terms[0].scale == 1.0 and acts_on_atoms(terms[0])
        assert any(any(pair.coefficients_ev) for pair in terms[0].pairs)
        explore = train_dir.parent / "01.model_devi"
        text = (explore / "task.000.000000" / "input.lammps").read_text()
        assert "pair_style hybrid/overlay deepmd ../graph.000.pb" in text and "../pair_terms.table GUEST_1" in text
        assert (explore / "pair_terms.table").read_text() == tables(terms[0])
        command = (train_dir.parent / "03.assess" / "evaluate.total" / "task.sh").read_text()
        assert "--pair-baselines ../../00.train/000/pair_baseline.json" in command


def test_deviations_are_calibrated_and_levels_recorded(finished: Any) -> None:
    for iteration in (0, 1):
        folder = finished.workdir / f"iter.{iteration:06d}"
        for target in ("total", "interaction"):
            rows = json.loads((folder / "03.assess" / f"calibration.{target}.json").read_text())["rows"]
            found = {(row["quantity"], row["group"], row["n_h2"]): row for row in rows}
            assert found["insertion", "all", None]["n"] == 4
            assert found["insertion", "all", 2]["words"].startswith("2 frames, 20 are asked for: not calibrated")
            for group in ("all", "H2", "open Al", "framework"):
                row = found["force", group, None]
                assert row["n"] > 0 and row["rms_error"] > 0 and row["rms_deviation"] > 0
        trust = json.loads((folder / "02.fp" / "trust.json").read_text())
        assert (trust["force"]["used"], trust["insertion"]["used"]) == (0.01, 0.03)
        assert trust["force"]["words"] == "fixed level 0.01 eV/Å"


def test_journal_has_start_and_end_of_every_stage(finished: Any) -> None:
    events = _events(finished.workdir)
    assert [e["event"] for e in events].count("run") == 2
    assert [e["event"] for e in events].count("done") == 2
    expected = [("bootstrap", 0)] + [(stage, i) for i in (0, 1) for stage in STAGES]
    for what in ("started", "finished"):
        loop = [(e["stage"], e["iteration"]) for e in events if e["event"] == what]
        assert [entry for entry in loop if entry[0] in (*STAGES, "bootstrap")] == expected
        assert loop[-2:] == [("production", 1), ("report", 1)]
    assert all(e["wall_s"] > 0 for e in events if e["event"] == "finished")

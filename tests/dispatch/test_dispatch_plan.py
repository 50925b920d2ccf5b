"""Grouping of tasks into jobs, and the job scripts that a scheduler would get (nothing is submitted)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from alh2.core.errors import BadInputError
from alh2.dispatch import Task
from alh2.dispatch.engine import open_engine
from alh2.dispatch.placement import place
from alh2.dispatch.plan import Layout, Wanted, make_plan, recall, remember
from alh2.dispatch.tasks import Entry


@pytest.fixture
def slurm(local_machine):
    return replace(
        local_machine,
        machine={"batch_type": "Slurm", "context_type": "LazyLocalContext"},
        resources={"group_size": 4, "para_deg": 2, "queue_name": "cpu", "cpu_per_node": 8, "envs": {"A": "1"}},
    )


def entries_of(make_task, n_tasks: int) -> list[Entry]:
    return [Entry(make_task(i, ": > out"), f"digest{i}") for i in range(n_tasks)]


def test_local_tasks_share_one_job(tmp_path, local_machine, make_task) -> None:
    entries = entries_of(make_task, 9)
    layout = Layout(tmp_path, "x")
    plan = make_plan(entries, Wanted(layout, place(local_machine, tmp_path), parallel=3, attempt=1))
    assert len(plan.jobs) == 1 and plan.members[0] == tuple(entries)
    (script,) = [path.read_text() for path in layout.control.glob("group.*.sh")]
    assert "xargs -0 -r -n 1 -P 3 " in script and "flock 8" in script
    folders = next(layout.control.glob("group.*.list")).read_bytes().split(b"\0")
    assert folders == [f"task.{i:06d}".encode() for i in range(9)] + [b""]


def test_scheduler_gets_groups_and_its_own_header(tmp_path, slurm, make_task) -> None:
    entries = entries_of(make_task, 10)
    layout = Layout(tmp_path, "fp")
    plan = make_plan(entries, Wanted(layout, place(slurm, tmp_path), parallel=2, attempt=1))
    assert [len(group) for group in plan.members] == [4, 3, 3]
    assert {e.digest for group in plan.members for e in group} == {e.digest for e in entries}
    engine = open_engine(plan.placement, plan.jobs, plan.work_base)
    assert len(engine.submission.belonging_jobs) == 3
    job = engine.submission.belonging_jobs[0]
    header = engine.submission.machine.gen_script(job)
    assert "#SBATCH --partition cpu" in header and "export A=1" in header
    command = engine.submission.machine.gen_script_command(job)
    assert "sh group." in command and str(tmp_path) in command and "setsid" not in command
    script = sorted(layout.control.glob("group.*.sh"))[1].read_text()
    assert "-P 2 " in script and "flock" not in script
    task_script = (tmp_path / "task.000000" / "task.sh").read_text()
    assert "OMP_NUM_THREADS" not in task_script and "PATH=" not in task_script


def test_job_identity_follows_the_inputs(tmp_path, slurm, make_task) -> None:
    layout, placement = Layout(tmp_path, "fp"), place(slurm, tmp_path)

    def submission_hash(entries: list[Entry], attempt: int = 1) -> str:
        plan = make_plan(entries, Wanted(layout, placement, parallel=2, attempt=attempt))
        return open_engine(plan.placement, plan.jobs, plan.work_base).submission.submission_hash

    entries = entries_of(make_task, 3)
    first = submission_hash(entries)
    assert submission_hash(entries) == first
    changed = [entries[0], replace(entries[1], digest="other"), entries[2]]
    assert len({first, submission_hash(changed), submission_hash(entries, attempt=2)}) == 3


def test_last_submission_is_recalled_only_for_the_same_inputs(tmp_path, slurm, make_task) -> None:
    layout, entries, placement = Layout(tmp_path, "fp"), entries_of(make_task, 6), place(slurm, tmp_path)
    assert recall(layout, entries) is None
    plan = make_plan(entries[:5], Wanted(layout, placement, parallel=2, attempt=2))
    remember(layout, plan, 2)
    last = recall(layout, entries)
    assert last is not None and last.attempt == 2 and last.groups == plan.members
    assert last.names == tuple(job.name for job in plan.jobs) and len(set(last.names)) == 2
    assert last.resources == placement.resources
    again = make_plan(entries[:5], Wanted(layout, placement, parallel=2, attempt=2, groups=last.groups))
    assert again == plan
    for changed in (entries[:4], [replace(entries[0], digest="other"), *entries[1:]]):
        stale = recall(layout, changed)
        assert stale is not None and stale.groups is None and stale.names == last.names
    (layout.control / "submitted.json").write_text("{")
    assert recall(layout, entries) is None


def test_job_names_tell_run_folders_and_tasks_apart(tmp_path, slurm, make_task) -> None:
    entries, other = entries_of(make_task, 2), tmp_path / "other"
    other.mkdir()
    names = [
        make_plan(chosen, Wanted(Layout(tmp_path, name), place(slurm, tmp_path), 2, attempt)).jobs[0].name
        for chosen, name, attempt in (
            (entries, "fp", 1),
            (entries[:1], "fp", 1),
            (entries, "md", 1),
            (entries, "fp", 2),
            (entries, "fp", 1),
        )
    ]
    assert len(set(names)) == 4 and names[0] == names[4]
    assert all(name.startswith("alh2-") for name in names)


def test_files_that_cannot_travel_are_refused(tmp_path, local_machine, make_task) -> None:
    base = tmp_path / "base"
    base.mkdir()
    staged = replace(local_machine, machine={"batch_type": "Shell", "context_type": "LocalContext"})
    task = make_task(0, "x")
    entry = Entry(replace(task, work_dir=tmp_path / task.work_dir), "d")
    with pytest.raises(BadInputError, match="a folder below"):
        make_plan([entry], Wanted(Layout(base, "x"), place(staged, base), parallel=1, attempt=1))
    (base / "t").mkdir()
    (tmp_path / "model.pb").write_text("m")
    outside = Entry(Task(Path("t"), "x", ("../model.pb",), (), 1.0, "l"), "d")
    with pytest.raises(BadInputError, match="inputs below"):
        make_plan([outside], Wanted(Layout(base, "x"), place(staged, base), parallel=1, attempt=1))

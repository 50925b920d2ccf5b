"""The machine files that come with alh2: read without a word, taken by dpdispatcher, turned into job scripts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alh2.config.check import check
from alh2.config.load import load_machine, load_param
from alh2.core.quiet import import_dpdispatcher
from alh2.dispatch.placement import place

MACHINES = sorted((Path(__file__).resolve().parents[2] / "machines").glob("*.json"))
PARAM = MACHINES[0].parents[1] / "param" / "quickstart.json"
MARKS = {"Slurm": "#SBATCH", "PBS": "#PBS", "LSF": "#BSUB", "Shell": "#!/bin/bash"}


@pytest.mark.parametrize("path", MACHINES, ids=lambda p: p.stem)
def test_machine_file_passes_the_check_and_makes_a_job_script(path: Path, tmp_path: Path) -> None:
    machine = load_machine(path)
    assert check(load_param(PARAM), machine).problems == ()
    dpdispatcher = import_dpdispatcher()
    for stage in (machine.train, machine.model_devi, machine.fp, machine.gcmc):
        placement = place(stage, tmp_path)
        if placement.machine["context_type"] == "SSHContext":
            continue  # would connect
        context = dpdispatcher.Machine.load_from_dict(placement.machine)
        submission = dpdispatcher.Submission(
            work_base=str(tmp_path),
            machine=context,
            resources=dpdispatcher.Resources.load_from_dict({**placement.resources, "group_size": 1, "para_deg": 1}),
            task_list=[dpdispatcher.Task(command="true", task_work_path=".")],
        )
        submission.generate_jobs()
        script = context.gen_script(submission.belonging_jobs[0])
        assert MARKS[type(context).__name__] in script
        for line in stage.resources.get("custom_flags", []):
            assert line in script


def test_every_file_says_what_to_change_and_names_all_programs() -> None:
    assert {path.stem for path in MACHINES} >= {
        "local",
        "slurm-cpu",
        "slurm-gpu",
        "slurm-many",
        "pbs",
        "lsf",
        "ssh-slurm",
    }
    for path in MACHINES:
        tree = json.loads(path.read_text())
        assert len(tree["_comment"]) > 40
        assert {"train", "model_devi", "gcmc", "fp"} <= set(tree)
        assert (tree["train"]["command"], tree["model_devi"]["command"]) == ("dp", "lmp")
    commands = {path.stem: json.loads(path.read_text())["fp"]["command"] for path in MACHINES}
    assert sum("vasp" in command for command in commands.values()) >= 5

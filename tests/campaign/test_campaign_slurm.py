"""A campaign through a real Slurm, undisturbed and with everything going wrong: same dataset, no job doubled.

Up to the first training in every run; to the end, with a controller that is away for a minute, with
``ALH2_EXHAUSTIVE=1 make test ARGS=tests/campaign/test_campaign_slurm.py``.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from disturbed_slurm import disturb, doubled, job_spans, kill_drivers

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

ALH2 = str(Path(sys.executable).parent / "alh2")
KILLS = 5
whole_only = pytest.mark.skipif(
    os.environ.get("ALH2_EXHAUSTIVE") != "1", reason="two whole campaigns; ask for it with ALH2_EXHAUSTIVE=1"
)
THREADS = {"OMP_NUM_THREADS": "1", "DP_INTRA_OP_PARALLELISM_THREADS": "1", "DP_INTER_OP_PARALLELISM_THREADS": "1"}
HUNGRY = """
case "$PWD" in */init/02.fp/*) if mkdir {folder}/hungry 2>/dev/null; then
  {python} -c 'import time; x = b"x" * 2000000000; time.sleep(30)'; exit 1
fi;; esac
"""
"""The first label of all asks for more memory than its job has."""


def slurm_machine(inputs: Any, *, hungry: bool) -> None:
    """Every stage through Slurm: two tasks per job."""
    machine = json.loads(inputs.machine.read_text())
    for name, memory in (("train", 3000), ("model_devi", 3000), ("gcmc", 3000), ("fp", 800)):
        machine[name]["machine"] = {"batch_type": "Slurm", "context_type": "LazyLocalContext"}
        machine[name]["resources"] = {
            "group_size": 2,
            "cpu_per_node": 1,
            "custom_flags": [f"#SBATCH --mem={memory}"],
            "envs": THREADS,
        }
        machine[name]["poll_s"] = 0.5
        machine[name]["command"] = str(inputs.folder / "bin" / Path(machine[name]["command"]).name)
    inputs.machine.write_text(json.dumps(machine))
    if hungry:
        program = inputs.folder / "bin" / "python"
        first, rest = program.read_text().split("\n", 1)
        program.write_text(f"{first}\n{HUNGRY.format(folder=inputs.folder, python=sys.executable)}{rest}")


def inputs_at(base_inputs: Any, folder: Path, *, hungry: bool, whole: bool) -> Any:
    """A copy of the input files for Slurm; unless `whole`, trainings fail at once."""
    shutil.copytree(base_inputs.folder, folder)
    inputs = type(base_inputs)(folder)
    param = json.loads(inputs.param.read_text())
    param["alh2"]["dataset"]["aimd"][0]["files"] = [str(base_inputs.folder / "aimd.extxyz")]  # its path is recorded
    param["alh2"]["failures"] = {name: {"job_wait_s": 1.0} for name in ("train", "model_devi", "gcmc", "fp")}
    inputs.write_param(param)
    slurm_machine(inputs, hungry=hungry)
    if not whole:
        inputs.command("train", "/bin/false")
    return inputs


def drive(inputs: Any, workdir: Path) -> subprocess.Popen[str]:
    log = open(workdir.with_suffix(".log"), "a")
    command = [ALH2, "run", str(inputs.param), str(inputs.machine), "--workdir", str(workdir)]
    return subprocess.Popen(command, stdout=log, stderr=log, text=True)


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=whole_only)], ids=["first labels", "whole"])
def test_same_dataset_whatever_goes_wrong_and_no_job_doubled(
    base_inputs: Any, tmp_path: Path, slurm: Any, whole: bool
) -> None:
    calm = inputs_at(base_inputs, tmp_path / "calm-inputs", hungry=False, whole=whole)
    assert drive(calm, tmp_path / "calm").wait(timeout=3000) == 1  # the training fails, or the limits are not met
    rough = inputs_at(base_inputs, tmp_path / "rough-inputs", hungry=True, whole=whole)
    workdir, rng = tmp_path / "rough", random.Random(4)
    told: list[str] = []
    labels, iteration = workdir / "init" / "02.fp", workdir / "iter.000000"
    folders = (iteration / "00.train", iteration / "01.model_devi") if whole else (labels, labels)
    arguments = (folders, 60.0 if whole else 10.0, told)
    disturber = threading.Thread(target=disturb, args=arguments, daemon=True)
    disturber.start()
    within_s = 20.0 if whole else 2.0
    kill_drivers(lambda: drive(rough, workdir), workdir, kills=KILLS, within_s=within_s, rng=rng)
    assert drive(rough, workdir).wait(timeout=3000) == 1
    disturber.join(timeout=120)
    assert sorted(told) == ["outage", "scancel"]
    finished = slurm.finished(workdir)
    assert {job.state for job in finished} >= {"COMPLETED", "CANCELLED"} and len(finished) > 10
    killed = [path.read_text() for path in workdir.glob("**/dpdispatcher.log")]
    assert any("was lost: its job was killed for its use of memory" in log for log in killed)
    spans = job_spans(slurm.folder / "log" / "jobcomp.txt", workdir, without="00.train")
    assert len(spans) > 5 and doubled(spans) == []
    last = [each[-1][2] for each in spans.values()]
    assert last.count("COMPLETED") >= len(last) - 1 and set(last) <= {"COMPLETED", "CANCELLED"}  # its work was done
    other = tmp_path / "calm"
    ours = {str(p.relative_to(workdir)): p.read_bytes() for p in (workdir / "dataset").rglob("*") if p.is_file()}
    assert ours == {str(p.relative_to(other)): p.read_bytes() for p in (other / "dataset").rglob("*") if p.is_file()}
    for log in workdir.glob("**/runs.log"):
        ended = [line for line in log.read_text().splitlines() if line.startswith("end 0")]
        assert len(ended) == len(set(ended)), log

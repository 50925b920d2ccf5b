"""A whole campaign through a real Slurm while everything goes wrong: the same dataset as undisturbed, no job doubled.

    bash .ci/slurm start
    make quickstart
    python tests/benchmarks/disturbed_slurm.py --param param/quickstart.json --calm quickstart --workdir /tmp/disturbed

One label asks for more memory than its job has, one job is cancelled, the controller is away for a minute, and the
driver is killed five times at random. `--calm` is the finished campaign of the same param file. Prints one JSON line;
exit code 1 where the campaign did not converge, the dataset differs in one byte, a job ran twice, or a disturbance did
not happen.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ALH2 = str(Path(sys.executable).parent / "alh2")
JOB_LOG = Path("/tmp/alh2-slurm/log/jobcomp.txt")
MEMORY_MB = {"train": 4000, "model_devi": 4000, "gcmc": 4000, "fp": 800}
TASKS_PER_JOB = {"train": 1, "model_devi": 2, "gcmc": 2, "fp": 20}
PROCESSORS = 4
"""Of a job; `.ci/slurm` advertises eight, so two jobs run side by side."""
HUNGRY = """#!/bin/sh
case "$PWD" in */02.fp/*) if mkdir {mark} 2>/dev/null; then
  {python} -c 'import time; x = b"x" * 2000000000; time.sleep(30)'; exit 1
fi;; esac
exec {python} "$@"
"""
"""Python of the labels; the first of all asks for more memory than its job has."""

Spans = dict[str, list[tuple[str, str, str]]]


def running(below: Path) -> list[str]:
    """Numbers of the jobs that run in folders below `below`."""
    command = ["squeue", "-h", "-t", "R", "-o", "%i %Z"]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return [line.split()[0] for line in lines if str(below) in line]


def control(*arguments: str) -> None:
    """``.ci/slurm`` with these arguments."""
    subprocess.run(["bash", str(ROOT / ".ci" / "slurm"), *arguments], check=True, capture_output=True, timeout=180)


def disturb(folders: tuple[Path, Path], outage_s: float, told: list[str]) -> None:
    """Cancel the youngest job below the first folder, then take the controller away as jobs run below the second."""
    while not (found := running(folders[0])):
        time.sleep(0.3)
    subprocess.run(["scancel", max(found, key=int)], check=True)
    told.append("scancel")
    while not running(folders[1]):
        time.sleep(0.3)
    control("stop", "slurmctld")
    time.sleep(outage_s)
    control("start")
    told.append("outage")


def kill_drivers(
    drive: Callable[[], subprocess.Popen[str]], workdir: Path, *, kills: int, within_s: float, rng: random.Random
) -> int:
    """Start the driver and kill it, `kills` times, within `within_s` of its first job; how many were still alive."""
    alive = 0
    for _ in range(kills):
        driver = drive()
        until = time.monotonic() + 120.0
        while driver.poll() is None and time.monotonic() < until and not running(workdir):
            time.sleep(0.1)
        time.sleep(rng.uniform(0.0, within_s))
        alive += driver.poll() is None
        driver.kill()
        driver.wait()
    return alive


def job_spans(log: Path, below: Path, *, without: str = "") -> Spans:
    """Start, end and state of the finished jobs below a folder, by job name and in order; `without` a part of paths."""
    spans: Spans = {}
    for line in log.read_text().splitlines():
        if str(below) in line and not (without and without in line):
            field = dict(re.findall(r"(\w+)=(\S*)", line))
            spans.setdefault(field["Name"], []).append((field["StartTime"], field["EndTime"], field["JobState"]))
    return {name: sorted(each) for name, each in spans.items()}


def doubled(spans: Spans) -> list[str]:
    """Names under which two jobs ran at the same time, or one ran after another had completed."""
    wrong = []
    for name, each in spans.items():
        overlap = any(before[1] > after[0] for before, after in zip(each, each[1:], strict=False))
        states = [state for *_, state in each]
        if overlap or "COMPLETED" in states[:-1]:
            wrong.append(name)
    return wrong


def files_of(root: Path) -> dict[str, bytes]:
    """Content of the files of a dataset by their place in it; pictures, which carry no data, left out."""
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file() and p.suffix != ".png"}


def slurm_machine(local: Path, folder: Path) -> Path:
    """`local` (a machine file) with every stage through Slurm and a hungry first label, written to `folder`."""
    machine: dict[str, Any] = json.loads(local.read_text())
    for name, memory in MEMORY_MB.items():
        machine[name]["machine"] = {"batch_type": "Slurm", "context_type": "LazyLocalContext"}
        machine[name]["resources"] |= {
            "group_size": TASKS_PER_JOB[name],
            "para_deg": 1,
            "cpu_per_node": PROCESSORS,
            "custom_flags": [f"#SBATCH --mem={memory}"],
        }
        machine[name]["poll_s"] = 1.0
        machine[name]["command"] = str(Path(sys.executable).with_name(machine[name]["command"]))
    program = folder / "python"
    program.write_text(HUNGRY.format(mark=folder / "hungry", python=sys.executable))
    program.chmod(0o755)
    machine["fp"]["command"] = str(program)
    path = folder / "machine.json"
    path.write_text(json.dumps(machine, indent=1))
    return path


def main() -> int:
    """Run the disturbed campaign and print the verdict; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--param", type=Path, default=ROOT / "param" / "quickstart.json")
    parser.add_argument("--calm", type=Path, required=True, help="finished campaign of the same param file")
    parser.add_argument("--workdir", type=Path, required=True, help="new folder of the disturbed campaign")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--within", type=float, default=180.0, help="seconds after a driver's first job to kill it in")
    parser.add_argument("--outage", type=float, default=60.0, help="seconds without a controller")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    inputs = options.workdir.with_name(options.workdir.name + "-inputs").resolve()
    inputs.mkdir(parents=True)
    machine, workdir = slurm_machine(ROOT / "machines" / "local.json", inputs), options.workdir.resolve()

    def drive() -> subprocess.Popen[str]:
        command = [ALH2, "run", str(options.param.resolve()), str(machine), "--workdir", str(workdir)]
        with open(inputs / "driver.log", "a") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, text=True)

    begun, told = time.monotonic(), []
    folders = (workdir / "iter.000000" / "00.train", workdir / "iter.000000" / "01.model_devi")
    disturber = threading.Thread(target=disturb, args=(folders, options.outage, told), daemon=True)
    disturber.start()
    alive = kill_drivers(drive, workdir, kills=options.kills, within_s=options.within, rng=random.Random(options.seed))
    code = drive().wait()
    disturber.join(timeout=120)
    spans = job_spans(JOB_LOG, workdir)
    ours, other = files_of(workdir / "dataset"), files_of(options.calm.resolve() / "dataset")
    logs = "".join(path.read_text() for path in workdir.rglob("dpdispatcher.log"))
    answer: dict[str, Any] = {
        "exit_code": code,
        "wall_s": round(time.monotonic() - begun),
        "drivers_killed": alive,
        "disturbances": [*told, *(["out of memory"] if "killed for its use of memory" in logs else [])],
        "n_jobs": sum(map(len, spans.values())),
        "states": Counter(state for each in spans.values() for *_, state in each),
        "doubled": doubled(spans),
        "n_files": len(ours),
        "different_files": sorted(name for name in {*ours, *other} if ours.get(name) != other.get(name)),
    }
    answer["passed"] = (
        code == 0
        and alive == options.kills
        and len(answer["disturbances"]) == 3
        and not answer["doubled"]
        and not answer["different_files"]
    )
    print(json.dumps(answer))
    return 0 if answer["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())

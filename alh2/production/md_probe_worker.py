"""Worker: ``python -m alh2.production.md_probe_worker --lammps lmp --side-by-side N`` in the folder of a probe.

Runs the input with each launch in turn, twice, and writes the rates of the faster of the two. One line on stderr and
exit code 2 where LAMMPS fails with every launch.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from alh2.core.files import atomic_write_json
from alh2.explore.lammps import INPUT_FILE
from alh2.production.md_probe import RESULT_FILE, Launch, Probe, candidates

ROUNDS = 2
RUN_TIMEOUT_S = 600.0
_LOOP = re.compile(r"^Loop time of (\S+) on \d+ procs for (\d+) steps", re.MULTILINE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run in the current folder; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m alh2.production.md_probe_worker", description=__doc__)
    parser.add_argument("--lammps", required=True, help="program")
    parser.add_argument("--side-by-side", type=int, required=True, help="runs that share the cores")
    options = parser.parse_args(arguments)
    cores = max(1, cores_here() // options.side_by_side)
    launches = candidates(cores, mpi=(Path(options.lammps).parent / "mpiexec").exists())
    if len(launches) == 1:
        only = launches[0]
        atomic_write_json(Path(RESULT_FILE), asdict(Probe(cores, (only,), only)))
        return 0
    for _ in range(ROUNDS):
        launches = [replace(it, steps_per_s=max(it.steps_per_s, rate(it, options.lammps))) for it in launches]
    best = max(launches, key=lambda it: it.steps_per_s)
    if best.steps_per_s == 0.0:
        print(f"error: {options.lammps} runs with none of {len(launches)} ways to start it", file=sys.stderr)
        return 2
    atomic_write_json(Path(RESULT_FILE), asdict(Probe(cores, tuple(launches), best)))
    return 0


def cores_here() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def rate(launch: Launch, lammps: str) -> float:
    """Steps per second of the input in the current folder; 0 where it does not run."""
    name = f"log.{launch.ranks}x{launch.threads}"
    try:
        done = subprocess.run(
            f"{launch.command(lammps)} -i {INPUT_FILE} -log {name} -screen none",
            shell=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=RUN_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return 0.0
    found = _LOOP.findall(Path(name).read_text(errors="replace")) if Path(name).exists() else []
    if done.returncode or not found:
        return 0.0
    seconds, steps = found[-1]
    return int(steps) / max(float(seconds), 1e-9)


if __name__ == "__main__":
    sys.exit(main())

"""``alh2 gcmc`` as a job: killed, stopped, continued, with replicas and trajectories."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import read, write

from alh2.gcmc.restart import read_restart


@pytest.fixture(scope="module")
def words(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command up to its output folder: some thousand moves in a small structure."""
    structure = tmp_path_factory.mktemp("structure") / "host.extxyz"
    write(structure, Atoms("AlO", [[2.0, 2.0, 2.0], [3.8, 2.0, 2.0]], cell=[9.0] * 3, pbc=True))
    options = "--temperature 300 --fugacity 400 --bond-length 0.74 --initial 3 --seed 4 --restart-every 50"
    return ["gcmc", "--model", str(random_model), "--structure", str(structure), *options.split()]


def start(words: list[str], *more: str) -> subprocess.Popen:
    code = "from alh2.cli import main; main()"
    command = [sys.executable, "-c", code, *words, *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    out, error = process.communicate(timeout=600)
    return process.returncode, out, error


def wait_for(path: Path, process: subprocess.Popen) -> None:
    while not path.exists() and process.poll() is None:
        time.sleep(0.02)


@pytest.mark.slow
def test_killed_at_any_time_and_repeated(words, tmp_path):
    """SIGKILL at random moments: the repeated command ends with the bytes of a run that nobody disturbed."""
    more = ("--moves", "6000", "--trajectory", "extxyz", "--trajectory-every", "100", "--output")
    assert finish(start(words, *more, str(tmp_path / "whole")))[0] == 0
    out, dice, kills = tmp_path / "killed", random.Random(3), 0
    while not (out / "result.json").exists():
        process = start(words, *more, str(out))
        wait_for(out / "restart.npz", process)
        if kills < 3:
            time.sleep(dice.uniform(0.05, 0.6))
            process.send_signal(signal.SIGKILL)
        code, _, error = finish(process)
        assert code in (0, -signal.SIGKILL), error
        kills += code == -signal.SIGKILL
    assert kills >= 2
    for name in ("result.json", "frames.extxyz", "trajectory.extxyz"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert sorted(p.name for p in out.iterdir()) == ["frames.extxyz", "result.json", "trajectory.extxyz"]


@pytest.mark.slow
def test_signals_and_wall_time_end_with_exit_code_3(words, tmp_path):
    more = ("--moves", "1000000", "--output", str(tmp_path))
    done = []
    for number in (signal.SIGTERM, signal.SIGINT):
        process = start(words, *more)
        while done and not process.stdout.readline().startswith("going on"):
            assert process.poll() is None
        wait_for(tmp_path / "restart.npz", process)
        time.sleep(1.0)
        process.send_signal(number)
        code, out, error = finish(process)
        assert code == 3 and error.count("\n") == 1 and "the same command resumes" in error
        done.append(read_restart(tmp_path / "restart.npz").moves_done)
        assert f"stopped after {done[-1]} of 1200000 moves" in error
    code, out, error = finish(start(words, *more, "--max-wall-s", "6"))
    assert code == 3 and f"{done[-1]} moves done" in out and "the same command resumes" in error
    done.append(read_restart(tmp_path / "restart.npz").moves_done)
    assert 0 < done[0] < done[1] <= done[2]
    code, _, error = finish(start(words, "--moves", "1000001", "--output", str(tmp_path)))
    assert code == 2 and "n_measured was 1000000), found n_measured 1000001" in error and error.count("\n") == 1


@pytest.mark.slow
def test_without_output_a_signal_ends_the_run_at_once(words):
    process = start(words, "--moves", "100000000")
    while "H2 in the file" not in process.stdout.readline():
        assert process.poll() is None
    time.sleep(3.0)
    process.send_signal(signal.SIGTERM)
    code, _, error = finish(process)
    assert (code, error) == (1, "alh2: interrupted; without --output nothing is kept\n")


@pytest.mark.slow
def test_replicas_from_empty_and_loaded(words, tmp_path):
    """``--initial`` twice: two runs, one point above them, and the flag where they disagree."""
    few = ("--initial", "0", "--moves", "3000", "--trajectory", "lammpstrj", "--output", str(tmp_path))
    code, out, error = finish(start(words, *few))
    assert (code, error) == (0, "")
    record = json.loads((tmp_path / "result.json").read_text())
    parts = [json.loads((tmp_path / f"replica.{k}" / "result.json").read_text()) for k in (0, 1)]
    assert record["n_initial"] == [part["n_initial"] for part in parts] == [3, 0]
    means, slack = [part["mean_n_adsorbed"] for part in parts], 3.0 * record["n_adsorbed_error"]
    assert min(means) - slack < record["mean_n_adsorbed"] < max(means) + slack
    assert parts[0]["seed"] != parts[1]["seed"]
    assert f"all replicas: <N> = {record['mean_n_adsorbed']:.4g} ± {record['n_adsorbed_error']:.2g}" in out
    assert "replica 1, from 0 H2" in out and record["framework"] == "rigid" and "rigid framework" in out
    assert record["hysteresis"] is ("hysteresis" in out)
    for k in (0, 1):
        images = read(tmp_path / f"replica.{k}" / "trajectory.lammpstrj", index=":", format="lammps-dump-text")
        assert len(images) == 3
    code, _, error = finish(start(words, *few))
    assert code == 2 and "expected a new folder or one with an unfinished run, found a finished run" in error


@pytest.mark.slow
def test_flexible_says_so(repulsive_model, tmp_path):
    structure = tmp_path / "host.extxyz"
    write(structure, Atoms("O2", [[2.0, 2.0, 2.0], [6.0, 6.0, 6.0]], cell=[9.0] * 3, pbc=True))
    command = ["gcmc", "--model", str(repulsive_model((0.0, 0.0))), "--structure", str(structure)]
    options = (
        "--temperature 300 --fugacity 400 --bond-length 0.74 --initial 3 --moves 200 --min-distance 0.9 --flexible"
    )
    more = f"--moves-per-block 50 --md-steps 20 --output {tmp_path / 'out'}"
    code, out, error = finish(start([*command, *options.split()], *more.split()))
    assert (code, error) == (0, "")
    assert "flexible framework (hybrid MD/MC: 20 steps of 0.5 fs NVT after every 50 moves, rigid molecules)" in out
    assert "kinetic temperature of the molecules" in out
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    assert record["framework"] == "flexible" and record["hybrid"]["n_segments"] == 4
    frames = read(tmp_path / "out" / "frames.extxyz", index=":")
    assert not np.allclose(frames[0].positions[:2], frames[-1].positions[:2], atol=1e-4)

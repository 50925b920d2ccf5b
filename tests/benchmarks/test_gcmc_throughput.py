"""The throughput benchmark runs, says what it counts, and finds the incremental path far ahead."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import ase.io
import pytest

from alh2.core.atoms import to_atoms
from alh2.core.frames import LabelledFrame

SCRIPT = Path(__file__).parent / "gcmc_throughput.py"
KEYS = {
    *("ratio_one_walker", "ratio_16_walkers", "ratio_one_walker_without_overlaps", "ratio_16_walkers_without_overlaps"),
    *("ratio_generic", "lammps_trials_per_s", "generic_trials_per_s", "one_trials_per_s", "many_trials_per_s"),
    *("floor_fraction", "floor_fraction_one_walker", "floor_ms_per_trial", "mflop_per_trial", "gemm_gflops"),
    *(
        "cpu_ratio_one_walker",
        "cpu_ratio_16_walkers",
        "peak_memory_mb",
        "overlap_fraction",
        "affected_atoms",
        "n_atoms",
        "lammps_threads",
    ),
}


@pytest.mark.slow
def test_quick_benchmark(trained_committee, loaded_frames: list[LabelledFrame], tmp_path: Path) -> None:
    """On the node with a small model, where a trial touches most atoms: the gain is smaller than on the crystal."""
    member = trained_committee.members[0]
    shutil.copyfile(member.frozen, tmp_path / "frozen.pb")
    shutil.copyfile(member.graph, tmp_path / "compressed.pb")
    frame = loaded_frames[0].frame
    ase.io.write(tmp_path / "node.extxyz", to_atoms(frame))
    command = [sys.executable, str(SCRIPT), "--quick", "--cache", str(tmp_path / "cache")]
    command += ["--model", str(tmp_path / "frozen.pb"), "--compressed", str(tmp_path / "compressed.pb")]
    command += ["--structure", str(tmp_path / "node.extxyz"), "--n-host", str(frame.n_host)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    *head, last = done.stdout.splitlines()
    answer = json.loads(last)
    assert KEYS <= set(answer)
    assert any("A trial is one attempted insertion" in line for line in head)
    assert answer["ratio_one_walker"] > 3 and answer["ratio_16_walkers"] > 3
    assert 0 < answer["floor_fraction"] < 1.5 and 0 < answer["peak_memory_mb"] < 1500
    assert answer["n_atoms"] == frame.n_atoms and 0 <= answer["overlap_fraction"] < 0.5

"""The labelling example runs and prints one line per frame."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "label_with_any_ase_calculator.py"


def test_example_prints_an_energy_per_distance(tmp_path):
    done = subprocess.run(
        [sys.executable, EXAMPLE, "--frames", "2"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    rows = [tuple(float(word) for word in line.split()) for line in done.stdout.splitlines()[2:]]
    assert [row[0] for row in rows] == [2.5, 4.5]
    assert abs(rows[1][1]) < abs(rows[0][1]) < 20.0  # fades with distance
    assert list(tmp_path.iterdir()) == []

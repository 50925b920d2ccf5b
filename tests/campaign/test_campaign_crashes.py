"""A driver that dies at every durable write and every submission: nothing is lost, doubled, or read torn."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

EXHAUSTIVE = os.environ.get("ALH2_EXHAUSTIVE") == "1"


def sweep(inputs: Any, workdir: Path, last: str, *, stride: int, listed: Path | None) -> int:
    """Run to `last`, dying at about every `stride`-th place (None: nowhere); returns the number of deaths."""
    environment = {**os.environ, "ALH2_FAULTS_STRIDE": str(stride), "FAIL_IN": "nowhere"}
    if listed is not None:
        environment["ALH2_FAULTS"] = str(listed)
    command = [sys.executable, str(Path(__file__).parent / "sweep.py"), str(inputs.param), str(inputs.machine)]
    done = subprocess.run(
        [*command, str(workdir), last], env=environment, capture_output=True, text=True, timeout=3600, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return int(done.stdout.rsplit("deaths", 1)[1])


def content(root: Path) -> dict[str, bytes]:
    """Every file below `root`."""
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def same(ours: Path, other: Path) -> None:
    """Both folders hold the same files with the same bytes."""
    left, right = content(ours), content(other)
    assert sorted(left) == sorted(right)
    assert [name for name in left if left[name] != right[name]] == []


def nothing_ran_twice(workdir: Path) -> int:
    """Every program ended as often as it started, never twice with the same arguments; returns how many ran."""
    logs = list(workdir.glob("**/runs.log"))
    for log in logs:
        lines = log.read_text().splitlines()
        started = [line.removeprefix("start ") for line in lines if line.startswith("start")]
        ended = [line.removeprefix("end 0 ") for line in lines if line.startswith("end")]
        assert started == ended and len(started) == len(set(started)), log
    return len(logs)


def test_first_labels_with_a_death_at_every_place(inputs: Any, param_content: Any, tmp_path: Path) -> None:
    param_content["alh2"]["bootstrap"] |= {
        "loadings": [0, 1], "frames_per_loading": 1, "host_snapshots": 1, "gas_frames": 1, "gas_pair_frames": 1,
        "label_bare_hosts": False,
    }  # fmt: skip
    inputs.write_param(param_content)
    assert sweep(inputs, tmp_path / "undisturbed", "train", stride=1, listed=None) == 0
    listed = tmp_path / "places"
    deaths = sweep(inputs, tmp_path / "run", "train", stride=1 if EXHAUSTIVE else 5, listed=listed)
    places = listed.read_text().splitlines()
    assert deaths == len(places) > (60 if EXHAUSTIVE else 8)
    assert len({place.split()[1] for place in places}) >= (3 if EXHAUSTIVE else 1)  # write, append, commit
    same(tmp_path / "run" / "dataset", tmp_path / "undisturbed" / "dataset")
    left = [path for path in (tmp_path / "run").glob("**/.*.tmp") if not (path.parent / "task.sh").exists()]
    assert left == []
    assert nothing_ran_twice(tmp_path / "run") == nothing_ran_twice(tmp_path / "undisturbed") > 3


@pytest.mark.skipif(not EXHAUSTIVE, reason="hundreds of deaths; ask for it with ALH2_EXHAUSTIVE=1")
def test_whole_campaign_with_a_death_at_every_place(base_inputs: Any, finished: Any, tmp_path: Path) -> None:
    listed = tmp_path / "places"
    deaths = sweep(base_inputs, tmp_path / "run", "done", stride=1, listed=listed)
    assert deaths == len(listed.read_text().splitlines()) > 300
    same(tmp_path / "run" / "dataset", finished.dataset_after_one)
    assert nothing_ran_twice(tmp_path / "run") > 30

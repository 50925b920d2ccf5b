"""What is removed once an iteration is over, and what must stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from alh2.campaign.paths import RunPaths
from alh2.campaign.tidy import tidy

STAYS = (
    "00.train/data.total/export.json",
    "00.train/000/frozen_model.pb",
    "00.train/000/model.ckpt-200.index",
    "00.train/000/lcurve.out",
    "00.train/000/input.json",
    "01.model_devi/explored.npz",
    "01.model_devi/task.000.000000/model_devi.out",
    "01.model_devi/gcmc.000000/series.npz",
    "01.model_devi/deviation.000000/deviations.npz",
    "02.fp/task.002.000000/OUTCAR",
)
TRAJECTORIES = (
    "01.model_devi/task.000.000000/all.lammpstrj",
    "01.model_devi/gcmc.000000/samples.npz",
    "01.model_devi/deviation.000000/frames.npz",
)
GOES = (
    "00.train/000/model.ckpt-100.index",
    "00.train/000/old/model.ckpt.index",
    "00.train/data.total/sys/set.000/coord.npy",
    "02.fp/task.002.000000/WAVECAR",
)


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    """Three iterations with 10 kB in each file."""
    paths = RunPaths(tmp_path)
    for iteration in range(3):
        for name in (*STAYS, *TRAJECTORIES, *GOES):
            path = paths.iteration(iteration) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * 10_000)
        (paths.train(iteration) / "000" / "model.ckpt.index").symlink_to("model.ckpt-200.index")
    return paths


def left(paths: RunPaths, iteration: int) -> set[str]:
    folder = paths.iteration(iteration)
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and not p.is_symlink()}


@pytest.mark.parametrize(("clean", "kept_in"), [(True, ()), (False, (0, 1, 2)), (0, ()), (1, (1, 2)), (2, (0, 1, 2))])
def test_only_what_nothing_needs_goes(paths: RunPaths, clean: bool | int, kept_in: tuple[int, ...]) -> None:
    freed = tidy(paths, 1, clean_trajectories=clean)
    for iteration in (0, 1):
        assert left(paths, iteration) == {*STAYS, *(TRAJECTORIES if iteration in kept_in else ())}
        assert (paths.train(iteration) / "000" / "model.ckpt.index").exists()
    assert left(paths, 2) == {*STAYS, *TRAJECTORIES, *GOES}  # not over yet
    assert freed == 10_000 * (2 * len(GOES) + len(TRAJECTORIES) * (2 - len({0, 1} & set(kept_in))))
    assert tidy(paths, 1, clean_trajectories=clean) == 0


def test_trajectories_stay_until_the_explored_frames_are_stored(paths: RunPaths) -> None:
    (paths.explore(0) / "explored.npz").unlink()
    tidy(paths, 0, clean_trajectories=True)
    assert set(TRAJECTORIES) <= left(paths, 0)

"""A run that was stopped and continued is the run that was never stopped, bit for bit."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from alh2.core.errors import BadInputError
from alh2.core.units import EV_PER_ANG3_IN_BAR, beta_per_ev
from alh2.gcmc import (
    GcmcResult,
    GcmcSettings,
    InterruptedRunError,
    RestartSettings,
    RigidMolecule,
    TrajectorySettings,
    simulate,
)
from alh2.gcmc.restart import read_restart
from alh2.potential.load import load_potential

T = 300.0
HOST = Atoms("AlO", [[2.0, 2.0, 2.0], [3.8, 2.0, 2.0]], cell=[[9, 0, 0], [1, 9, 0], [0, 2, 9]], pbc=True)
FUGACITY_BAR = 8.0 / beta_per_ev(T) / abs(np.linalg.det(np.array(HOST.cell))) * EV_PER_ANG3_IN_BAR
"""An ideal gas would hold 8 molecules."""


@pytest.fixture(scope="module")
def potential(random_model: Path):
    """Incremental energies of a small model with random weights."""
    found = load_potential(random_model)
    assert "incremental" in found.describe()
    return found


def run(potential, folder: Path | None, suffix: str = ".extxyz", **changes) -> GcmcResult:
    keywords = {"temperature_k": T, "fugacity_bar": FUGACITY_BAR, "n_moves": 2400, "seed": 3, "n_initial": 4}
    settings = GcmcSettings(min_distance_ang=1.2, n_equilibration=850, sample_every=7, max_frames=50)
    if folder is not None:
        settings = replace(
            settings,
            restart=RestartSettings(folder / "restart.npz", every=100, write_every_s=0.0),
            trajectory=TrajectorySettings(folder / f"t{suffix}", every=70),
        )
    return simulate(HOST, RigidMolecule.h2(0.74), potential, settings=settings, **{**keywords, **changes})


def stopping_after(calls: int):
    """A stop request that comes at the `calls`-th question."""
    left = iter(range(calls))
    return lambda: next(left, None) is None


def everything(result: GcmcResult) -> tuple:
    frames = [(f.move, f.energy_ev, f.guests_ang.tobytes()) for f in result.frames]
    return (
        result.n_adsorbed.tolist(),
        result.energy_ev.tobytes(),
        frames,
        result.final_guests_ang.tobytes(),
        json.dumps(result.summary()),
    )


@pytest.mark.parametrize("suffix", [".extxyz", ".lammpstrj"])
def test_stopped_at_many_points_and_continued(potential, tmp_path, suffix):
    whole = run(potential, tmp_path / "whole", suffix)
    assert whole.n_adsorbed.min() != whole.n_adsorbed.max()
    folder, stops, points = tmp_path / "parts", 0, []
    restart = RestartSettings(folder / "restart.npz", every=100, write_every_s=0.0)
    while True:
        now = replace(restart, stop=stopping_after(30 + 40 * stops))
        try:
            parts = run(potential, folder, suffix, restart=now)
            break
        except InterruptedRunError as stopped:
            stops += 1
            points.append(stopped.done)
            assert f"stopped after {stopped.done} of 3250 moves" in str(stopped) and stopped.exit_code == 3
            assert not (folder / f"t{suffix}").exists()
    assert stops >= 4 and points == sorted(set(points)) and points[0] < 850 < points[-1]
    assert everything(parts) == everything(whole)
    assert (folder / f"t{suffix}").read_bytes() == (tmp_path / "whole" / f"t{suffix}").read_bytes()
    assert [p.name for p in folder.iterdir() if p.name.startswith(".")] == []


def test_a_run_without_restart_file_is_the_same_within_rounding(potential, tmp_path):
    with_file, without = run(potential, tmp_path), run(potential, None)
    assert np.array_equal(with_file.n_adsorbed, without.n_adsorbed)
    assert with_file.energy_ev == pytest.approx(without.energy_ev, abs=1e-9)


def test_a_finished_run_is_not_run_again(potential, tmp_path):
    first = run(potential, tmp_path)
    stored = (tmp_path / "t.extxyz").read_bytes()
    seen = []
    again = run(potential, tmp_path, progress=lambda *args: seen.append(args))
    assert everything(again) == everything(first) and seen == []
    assert (tmp_path / "t.extxyz").read_bytes() == stored


def test_killed_between_the_last_move_and_the_last_rename(potential, tmp_path):
    first = run(potential, tmp_path)
    stored = (tmp_path / "t.extxyz").read_bytes()
    (tmp_path / "t.extxyz").rename(tmp_path / ".t.extxyz.part")
    assert everything(run(potential, tmp_path)) == everything(first)
    assert (tmp_path / "t.extxyz").read_bytes() == stored


def test_stops_before_the_deadline(potential, tmp_path):
    """A run of minutes given two seconds stops within them, at a point it can go on from."""
    restart = RestartSettings(tmp_path / "restart.npz", every=50, deadline_s=time.monotonic() + 2.0)
    started = time.monotonic()
    with pytest.raises(InterruptedRunError) as stopped:
        run(potential, tmp_path, restart=restart, n_moves=1_000_000)
    assert 0.5 < time.monotonic() - started < 4.0
    state = read_restart(tmp_path / "restart.npz")
    assert state.moves_done == stopped.value.done > 0 and state.moves_done % 50 == 0


def test_a_slow_potential_stops_without_waiting_for_the_next_point(independent, tmp_path):
    """At a tenth of a second per move nobody waits for the 1000th."""

    def slow(sites: np.ndarray) -> float:
        time.sleep(0.01)
        return 0.0

    started = time.monotonic()
    restart = RestartSettings(tmp_path / "restart.npz", every=5000, stop=lambda: time.monotonic() > started + 1.0)
    with pytest.raises(InterruptedRunError, match="stopped after 0 of"):
        run(independent(slow), None, restart=restart)
    assert time.monotonic() - started < 10.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 4}, "(seed was 3), found seed 4"),
        ({"fugacity_bar": 2.0}, "found fugacity_bar 2.0"),
        ({"n_moves": 2500}, "n_measured was 2400"),
        ({"min_distance_ang": 1.3}, "min_distance_ang was 1.2"),
        ({"n_initial": 3}, "n_initial was 4"),
        ({"move_weights": {"translation": 1.0}}, "move_weights was"),
    ],
)
def test_changed_inputs_are_refused(potential, tmp_path, changes, words):
    restart = RestartSettings(tmp_path / "restart.npz", every=100, stop=lambda: True)
    with pytest.raises(InterruptedRunError):
        run(potential, tmp_path, restart=restart)
    with pytest.raises(BadInputError) as refused:
        run(potential, tmp_path, **changes)
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_another_potential_is_refused(potential, independent, tmp_path):
    restart = RestartSettings(tmp_path / "restart.npz", every=100, stop=lambda: True)
    with pytest.raises(InterruptedRunError):
        run(potential, tmp_path, restart=restart)
    with pytest.raises(BadInputError, match="use the model the run was started with"):
        run(independent(lambda sites: 1.0), tmp_path)
    named = RestartSettings(tmp_path / "restart.npz", every=100, identity="model 2")
    with pytest.raises(BadInputError, match=r"identity was empty\), found identity model 2"):
        run(potential, tmp_path, restart=named)


def test_files_that_are_no_restart_files(potential, tmp_path):
    for content in (b"", b"PK\x03\x04 torn", b"something else"):
        (tmp_path / "restart.npz").write_bytes(content)
        with pytest.raises(BadInputError, match="expected a restart file of version 1") as refused:
            run(potential, tmp_path)
        assert "remove it to start afresh" in str(refused.value)


def test_a_lost_trajectory_is_noticed(potential, tmp_path):
    restart = RestartSettings(tmp_path / "restart.npz", every=100, stop=stopping_after(200))
    with pytest.raises(InterruptedRunError):
        run(potential, tmp_path, restart=restart)
    (tmp_path / ".t.extxyz.part").unlink()
    with pytest.raises(BadInputError, match="written before the restart point, found no such file"):
        run(potential, tmp_path)


@pytest.mark.parametrize("bad", [0, 2.5, -3])
def test_nonsense_intervals(tmp_path, bad):
    with pytest.raises(BadInputError, match="restart every"):
        RestartSettings(tmp_path / "r.npz", every=bad)
    with pytest.raises(BadInputError, match="trajectory every"):
        TrajectorySettings(tmp_path / "t.extxyz", every=bad)
    with pytest.raises(BadInputError, match="write_every_s"):
        RestartSettings(tmp_path / "r.npz", write_every_s=-math.inf)

"""The probe of MPI ranks and threads: what is tried, what wins, and that production runs with it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from alh2.config.commands import resolve_command
from alh2.core.errors import BadInputError, NeedsPersonError
from alh2.core.files import atomic_write_json
from alh2.production import md_probe_worker
from alh2.production.md_plan import MdPlan
from alh2.production.md_probe import FOLDER, RESULT_FILE, Launch, candidates, probed_command, read_probe

PLAN = MdPlan((77.0,), 1, n_steps=20, n_equilibration=0, segment_steps=20, dt_ps=0.00025, sample_every=10)


def pairs(cores: int, *, mpi: bool = True) -> list[tuple[int, int]]:
    return [(launch.ranks, launch.threads) for launch in candidates(cores, mpi=mpi)]


def test_launches_fill_the_cores() -> None:
    assert pairs(1) == [(1, 1)]
    assert pairs(2) == [(1, 1), (1, 2), (2, 1)]
    assert pairs(4) == [(1, 1), (1, 4), (2, 2), (4, 1)]
    assert pairs(6) == [(1, 1), (1, 4), (1, 6), (2, 2), (4, 1), (6, 1)]
    assert pairs(4, mpi=False) == [(1, 1), (1, 4)]


def test_launch_as_a_shell_line() -> None:
    line = Launch(2, 3).command("/opt/bin/lmp")
    assert line == "env OMP_NUM_THREADS=3 DP_INTRA_OP_PARALLELISM_THREADS=3 /opt/bin/mpiexec -n 2 /opt/bin/lmp"
    assert "mpiexec" not in Launch(1, 3).command("lmp")


def test_every_launch_is_measured_by_lammps_itself(
    tmp_path: Path, setting_in, trained_committee, node_start, local, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run may have two cores: all three ways run, the fastest is what production is started with; once."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    setting = replace(setting_in(tmp_path / "md", trained_committee, node_start), command=resolve_command("lmp"))
    said: list[str] = []
    machine = local(setting.command)
    command = probed_command(PLAN, setting, machine=machine, n_runs=1, on_message=said.append)
    probe = read_probe(setting.directory / FOLDER)
    assert all(launch.steps_per_s > 0 for launch in probe.tried)
    assert probe.best == max(probe.tried, key=lambda launch: launch.steps_per_s)
    assert command == probe.best.command(setting.command)
    assert len(said) == (len(probe.tried) > 1)
    stamp = (setting.directory / FOLDER / RESULT_FILE).stat().st_mtime_ns
    assert probed_command(PLAN, setting, machine=machine, n_runs=1) == command
    assert (setting.directory / FOLDER / RESULT_FILE).stat().st_mtime_ns == stamp
    own = replace(setting, command="mpirun -np 2 lmp")
    assert probed_command(PLAN, own, machine=machine, n_runs=1) == own.command
    assert probed_command(replace(PLAN, probe=False), setting, machine=machine, n_runs=1) == setting.command


def test_program_that_does_not_run_is_for_a_person(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(md_probe_worker, "cores_here", lambda: 2)
    assert md_probe_worker.main(["--lammps", "false", "--side-by-side", "1"]) == 2
    assert capsys.readouterr().err.startswith("error: false runs with none of 2 ways")
    assert not (tmp_path / RESULT_FILE).exists()
    assert md_probe_worker.main(["--lammps", "false", "--side-by-side", "2"]) == 0, "one way, nothing to measure"
    assert read_probe(tmp_path).best == Launch(1, 1)
    atomic_write_json(tmp_path / RESULT_FILE, [])
    with pytest.raises(BadInputError, match="a probe"):
        read_probe(tmp_path)


def test_probe_that_fails_names_its_folder(tmp_path: Path, setting_in, trained_committee, node_start, local) -> None:
    setting = replace(setting_in(tmp_path / "md", trained_committee, node_start), command="lmp", python="false")
    with pytest.raises(NeedsPersonError, match=f"the probe of LAMMPS failed; .*{FOLDER}"):
        probed_command(PLAN, setting, machine=local(sys.executable), n_runs=1)

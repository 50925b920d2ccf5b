"""Molecules moved by models of interaction energies, on a host that stands still or moves by models of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import units

from alh2.core.atoms import to_atoms
from alh2.core.frames import Frame
from alh2.core.units import AMU_ANG2_PER_PS2_IN_EV, H2_MASS_AMU, KB_EV_PER_K
from alh2.potential.evaluate import evaluate_committee
from alh2.potential.frames_npz import read_npz, save_frames
from alh2.potential.host_springs import HostSprings, near_pairs
from alh2.production.md_by_ase import (
    START_FILE,
    AseJob,
    HostModel,
    Interaction,
    MovedBy,
    chain,
    equilibrate,
    moving_atoms,
)
from alh2.production.md_by_ase import run as run_segment
from alh2.production.md_plan import END_FILE, MdPlan, MdRunsSetting, movers
from alh2.production.md_runs import MdTrajectory, run_md_plan

T = 77.0
PLAN = MdPlan(
    (T,), 2, n_steps=120, n_equilibration=40, segment_steps=80, dt_ps=0.0005, sample_every=4, ensemble="nve",
    frozen_host=True,
)  # fmt: skip
SCALE = 1000.0
"""The networks of these tests know nothing; on this scale they hardly matter, but differ."""


@pytest.fixture(scope="module")
def setting(
    tmp_path_factory: pytest.TempPathFactory, setting_in, trained_committee, on_atoms, node_start: Frame
) -> MdRunsSetting:
    folder = tmp_path_factory.mktemp("guests") / "runs"
    made = setting_in(folder, trained_committee, node_start)
    under = []
    for k in range(len(trained_committee.graphs)):
        under.append(folder / f"pair_baseline.{k:03d}.json")
        replace(on_atoms(to_atoms(node_start.bare_host()), centres=True), scale=SCALE).save(under[-1])
    return replace(made, interaction=trained_committee.graphs, under=tuple(under))


@pytest.fixture(scope="module")
def runs(setting: MdRunsSetting, local) -> list[MdTrajectory]:
    return run_md_plan(PLAN, setting, machine=local("lmp"))


def energy_ev(setting: MdRunsSetting, run: MdTrajectory, segment: int) -> tuple[float, float]:
    """Potential and kinetic energy at the end of a segment."""
    end = read_npz(setting.directory / run.name / f"seg.{segment:03d}" / END_FILE, "positions_ang", "velocities")
    model = Interaction(setting.interaction[run.member], setting.under[run.member], setting.start)
    potential, _ = model.evaluate(end["positions_ang"])
    return potential, kinetic_ev(end["velocities"])


def kinetic_ev(velocities: np.ndarray) -> float:
    """Of H atoms with velocities in ASE's units."""
    per_ps = velocities * 1e3 * units.fs
    return 0.5 * 0.5 * H2_MASS_AMU * float((per_ps**2).sum()) * AMU_ANG2_PER_PS2_IN_EV


def test_molecules_move_and_the_host_does_not(runs: list[MdTrajectory], setting: MdRunsSetting) -> None:
    n_host, start = setting.start.n_host, setting.start.positions_ang
    assert [run.member for run in runs] == [0, 1] and movers(PLAN, setting) == setting.interaction
    for run in runs:
        assert run.ended == "" and run.steps == list(range(40, 164, 4))
        for frame in run.frames:
            np.testing.assert_allclose(frame.positions_ang[:n_host], start[:n_host], atol=1e-8)
        path = np.array([frame.positions_ang[n_host:] for frame in run.frames])
        assert np.abs(path[-1] - path[0]).max() > 0.05
        assert np.abs(np.diff(path, axis=0)).max() < 0.2, "segments go on where the one before ended"
    assert not np.allclose(runs[0].frames[0].positions_ang, runs[1].frames[0].positions_ang)


def test_energy_is_kept_from_segment_to_segment(runs: list[MdTrajectory], setting: MdRunsSetting) -> None:
    for run in runs:
        (v0, k0), (v1, k1) = (energy_ev(setting, run, number) for number in (0, 1))
        assert abs(k1 - k0) > 1e-3
        assert v1 + k1 == pytest.approx(v0 + k0, abs=0.03 * abs(k1 - k0) + 2e-4)


def test_deviation_is_that_of_the_committee(runs: list[MdTrajectory], setting: MdRunsSetting) -> None:
    run, n_host = runs[1], setting.start.n_host
    frames = run.frames[3:6]
    answer = evaluate_committee(setting.interaction, frames, pair_baselines=setting.under)
    for k, found in enumerate(run.deviations_ev_ang[3:6]):
        forces = answer.frame_forces_ev_ang(k)[:, n_host:]
        spread = np.sqrt(((forces - forces.mean(axis=0)) ** 2).sum(axis=-1).mean(axis=0)).max()
        assert found == pytest.approx(spread, rel=1e-4) and found > 0


@pytest.mark.physics
def test_the_thermostat_has_the_temperature(setting: MdRunsSetting, tmp_path: Path) -> None:
    """Langevin, then Nosé–Hoover chains: kinetic temperature of the molecules at the ends of 24 short segments."""
    save_frames(tmp_path / START_FILE, [setting.start])
    masses = setting.forces.atom_masses_amu(setting.start, ())
    job = AseJob(
        (str(setting.interaction[0]),), (str(setting.under[0]),), (), (), f"../{START_FILE}", None, END_FILE,
        masses, T, 0.0005, "nvt", 0.05, 400, 60, 400, 60, 11,
    )  # fmt: skip
    kinetic = []
    for number in range(24):
        folder = tmp_path / f"seg.{number:03d}"
        folder.mkdir()
        run_segment(replace(job, before=f"../seg.{number - 1:03d}/{END_FILE}" if number else None), folder)
        kinetic.append(kinetic_ev(read_npz(folder / END_FILE, "velocities")["velocities"]))
    n_dof = 3 * (setting.start.n_atoms - setting.start.n_host)
    found = 2 * np.array(kinetic[4:]) / (n_dof * KB_EV_PER_K)
    assert found.mean() == pytest.approx(T, abs=4 * T * np.sqrt(2.0 / (n_dof * len(found))))


@pytest.mark.physics
def test_a_whole_cell_has_the_temperature_without_its_own_momentum(setting: MdRunsSetting) -> None:
    """Springs to neighbours in a ring; what ASE's chain counts too many is taken off."""
    n, rng = 12, np.random.RandomState(5)
    masses = setting.forces.atom_masses_amu(setting.start, ())
    atoms = moving_atoms(setting.start, masses, frozen_host=False)[:n]
    rest = atoms.positions.copy()

    def springs(positions_ang: np.ndarray) -> tuple[float, np.ndarray]:
        off = positions_ang - rest
        stretch = off - np.roll(off, 1, axis=0)
        return float((stretch**2).sum()), -2.0 * (stretch - np.roll(stretch, -1, axis=0))

    atoms.calc = MovedBy(springs)
    dt = 2.0 * units.fs
    equilibrate(atoms, dt, T, 2000, rng, whole=True)
    dynamics = chain(atoms, dt, T, 0.05, whole=True)
    kinetic = []
    dynamics.attach(lambda: kinetic.append(atoms.get_kinetic_energy()), interval=50)
    dynamics.run(12_000)
    assert np.abs(atoms.get_momenta().sum(axis=0)).max() < 1e-9
    found = 2.0 * np.array(kinetic) / (3 * (n - 1) * KB_EV_PER_K)
    error = blocked_error(found)
    assert found.mean() == pytest.approx(T, abs=4 * error) and error < 0.03 * T


def blocked_error(values: np.ndarray) -> float:
    """Standard error of the mean from ten blocks."""
    means = np.array([block.mean() for block in np.array_split(values, 10)])
    return float(means.std(ddof=1) / np.sqrt(10))


def test_models_of_the_host_move_it_and_energy_is_kept(setting: MdRunsSetting, local, tmp_path: Path) -> None:
    directory = tmp_path / "whole"
    directory.mkdir()
    springs = tuple(directory / f"host_springs.{k:03d}.npz" for k in range(len(setting.graphs)))
    for path in springs:
        host_springs(setting.start.bare_host()).save(path)
    whole = replace(setting, directory=directory, hosts=setting.graphs, springs=springs)
    plan = replace(PLAN, n_replicas=1, frozen_host=False, dt_ps=0.00025)
    runs = run_md_plan(plan, whole, machine=local("lmp"))
    n_host = whole.start.n_host
    for run in runs:
        assert run.steps == list(range(40, 164, 4)) and run.ended == ""
        path = np.array([frame.positions_ang for frame in run.frames])
        assert np.abs(path[-1, :n_host] - path[0, :n_host]).max() > 1e-3
        ends = [
            read_npz(directory / run.name / f"seg.{number:03d}" / END_FILE, "positions_ang", "velocities")
            for number in (0, 1)
        ]
        k = run.member
        host = HostModel(whole.hosts[k], whole.springs[k], whole.start)
        model = Interaction(whole.interaction[k], whole.under[k], whole.start, host)
        masses = np.array(whole.forces.atom_masses_amu(whole.start, ()))
        v0, v1 = (model.evaluate(end["positions_ang"])[0] for end in ends)
        k0, k1 = (0.5 * float((masses[:, None] * end["velocities"] ** 2).sum()) for end in ends)
        assert abs(k1 - k0) > 1e-3
        assert v1 + k1 == pytest.approx(v0 + k0, abs=0.03 * abs(k1 - k0) + 5e-4)
    frame = runs[0].frames[4]
    hosts = evaluate_committee(whole.hosts, [frame.bare_host()]).frame_forces_ev_ang(0)
    forces = evaluate_committee(whole.interaction, [frame], pair_baselines=whole.under).frame_forces_ev_ang(0)
    forces[:, :n_host] += hosts / SCALE  # springs are the same for all
    spread = np.sqrt(((forces - forces.mean(axis=0)) ** 2).sum(axis=-1).mean(axis=0)).max()
    assert runs[0].deviations_ev_ang[4] == pytest.approx(spread, rel=1e-4)


def host_springs(host: Frame) -> HostSprings:
    """Stiff ones to all near neighbours, at rest where they are."""
    atoms = to_atoms(host)
    pairs = near_pairs(atoms)
    rest = np.array([atoms.get_distance(i, j, mic=True) for i, j in pairs])
    return HostSprings(host.n_atoms, pairs, rest, np.zeros(len(pairs)), np.full(len(pairs), 10.0), 0.0, SCALE)

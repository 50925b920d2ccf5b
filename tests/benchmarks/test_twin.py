"""The twin experiment: its truth is the reference potential, its campaigns are accepted, its verdict can fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms

sys.path.insert(0, str(Path(__file__).parent))

from twin import Point, around_sites, compare, verdict
from twin_case import BOND_ANG, CRYSTAL, SMALL, TEMPERATURE_K, Case, write_inputs
from twin_production import compare_diffusion
from twin_rdf import moved, near_sites, peak_ang, shell_counts
from twin_truth import exact_pairs, exact_potential

from alh2.config.load import load_machine, load_param
from alh2.core.frames import Frame
from alh2.core.units import EV_IN_KJ_PER_MOL
from alh2.gcmc import RigidMolecule, simulate
from alh2.label.reference_network import HostNetwork
from alh2.label.reference_pes import reference_energy_forces
from alh2.potential.pair_forces import PairForces
from alh2.structure.loading import load_h2
from alh2.structure.sites import al_open_indices


@pytest.mark.parametrize("case", [SMALL, CRYSTAL], ids=lambda case: case.name)
def test_truth_is_the_reference_potential(case: Case) -> None:
    host = case.bare_host()
    loaded = load_h2(host, case.loaded, rng=np.random.default_rng(3), min_distance_ang=2.0)
    frame = Frame(tuple(loaded.get_chemical_symbols()), loaded.positions, loaded.cell.array, len(host), "x")
    still = HostNetwork(frame.symbols[: len(host)], np.zeros((0, 2), int), np.zeros((0, 3)), np.zeros(0, int))
    wanted, forces = reference_energy_forces(frame, case.parameters, still)
    guests = loaded.positions[len(host) :].reshape(-1, 2, 3)
    session = exact_potential(case.parameters).start(host, ("H", "H"), guests)
    assert session.energy_ev == pytest.approx(wanted, abs=1e-6)
    energy, on_guests = PairForces(exact_pairs(case.parameters), host).evaluate(guests)
    assert energy == pytest.approx(wanted, abs=1e-6)
    assert np.allclose(on_guests.reshape(-1, 3), forces[len(host) :], atol=1e-4)
    moved = guests[0] + 0.2
    change = session.trial(0, moved)
    positions = frame.positions_ang.copy()
    positions[len(host) : len(host) + 2] = moved
    other, _ = reference_energy_forces(replace(frame, positions_ang=positions), case.parameters, still)
    assert change == pytest.approx(other - wanted, abs=1e-6)


@pytest.mark.physics
def test_an_open_site_binds_where_it_should() -> None:
    """Crystal: one molecule at 20 K sits 2.7 Å from an open Al."""
    host = CRYSTAL.bare_host()
    result = simulate(
        host, RigidMolecule.h2(BOND_ANG), exact_potential(CRYSTAL.parameters), temperature_k=20.0, fugacity_bar=1e-3,
        n_moves=2000, seed=1, n_initial=1, max_molecules=1, max_frames=200, min_distance_ang=1.5,
        move_weights={"translation": 40, "rotation": 20, "reinsertion": 40},
    )  # fmt: skip
    al = np.array([s == "Al" for s in host.get_chemical_symbols()])
    nearest = []
    for frame in result.frames[len(result.frames) // 2 :]:
        whole = host + Atoms("H2", frame.guests_ang[0])
        for k in (len(host), len(host) + 1):
            nearest.append(whole.get_distances(k, np.flatnonzero(al), mic=True).min())
    assert 2.5 < np.median(nearest) < 3.0


@pytest.mark.physics
def test_the_crystal_holds_what_the_page_says() -> None:
    """Between 24 and 31 H2 at 77 K and 0.15 bar, at a mean energy near -9 kJ/mol (docs/twin-experiment.md)."""
    found = simulate(
        CRYSTAL.bare_host(), RigidMolecule.h2(BOND_ANG), exact_potential(CRYSTAL.parameters),
        temperature_k=TEMPERATURE_K, fugacity_bar=0.15, n_moves=40_000, seed=1, n_initial=24, max_frames=0,
        min_distance_ang=1.5,
    ).averages  # fmt: skip
    assert found.n_adsorbed.mean == pytest.approx(27.5, abs=3.5)
    per_molecule = found.adsorption_energy_ev.mean / found.n_adsorbed.mean * EV_IN_KJ_PER_MOL
    assert per_molecule == pytest.approx(-9.0, abs=0.7)


def test_param_files_are_accepted(tmp_path: Path) -> None:
    short = replace(SMALL, aimd_steps=200)
    param, machine = write_inputs(short, 3, tmp_path)
    before = (tmp_path / "aimd.extxyz").read_bytes()
    assert load_param(param).seed == 3
    assert load_machine(machine).train.command.endswith("dp")
    write_inputs(short, 3, tmp_path)
    assert (tmp_path / "aimd.extxyz").read_bytes() == before


def rows(*, loop: float = 5.0, n_error: float = 0.1, members: int = 4, error_ev: float = 1e-4) -> dict[str, Any]:
    truth = {key: Point(5.0, 0.05, 1.0, -6.0, 0.02) for key in ("0.1/0", "0.1/8")}
    mine = [{key: Point(loop + 0.01 * k, n_error, 1.0, -6.1, 0.05) for key in truth} for k in range(members)]
    paper = {"0.1/0": Point(0.0, 0.0, 0.0, float("nan"), 0.0), "0.1/8": Point(12.0, 0.1, 1.0, -9.0, 0.1)}
    return verdict([{"seed": 1, **row} for row in compare(truth, paper, mine, error_ev)])


def test_verdict_can_fail() -> None:
    good = rows()
    assert good["passed"] and good["coverage"] == 1.0 and good["one_loading_right"] == 0.0
    assert not rows(loop=6.0)["passed"]
    assert not rows(n_error=2.0)["passed"]  # covers everything, proves nothing
    wide = rows(error_ev=0.01)
    assert not wide["passed"] and wide["narrow"] == 0.0
    model = wide["points"][0]["model"]
    assert model == pytest.approx(0.01 / (8.617333e-5 * TEMPERATURE_K), rel=1e-6)


def test_a_model_in_a_hole_is_left_out_and_named() -> None:
    key, flat = "0.1/0", (0.0005,) * 50
    good = [{key: Point(5.0 + 0.01 * k, 0.1, 1.0, -6.0, 0.05, depths_ev=flat)} for k in range(3)]
    fallen = {key: Point(5.0, 0.1, 1.0, -9.0, 0.05, depths_ev=flat[:30] + (0.4,) * 20)}
    truth = {key: Point(5.0, 0.05, 1.0, -6.0, 0.02)}
    (row,) = compare(truth, truth, [*good, fallen], 1e-4)
    assert row["models_in_holes"] == [3] and abs(row["energy_off_kj_per_mol"]) < 1e-9
    (row,) = compare(truth, truth, [*good, {key: replace(fallen[key], depths_ev=flat)}], 1e-4)
    assert row["models_in_holes"] == [] and row["energy_off_kj_per_mol"] == pytest.approx(-0.75)


def test_distributions_are_counted_and_compared() -> None:
    host = SMALL.bare_host()
    result = simulate(
        host, RigidMolecule.h2(BOND_ANG), exact_potential(SMALL.parameters), temperature_k=TEMPERATURE_K,
        fugacity_bar=0.1, n_moves=3000, seed=1, n_initial=6, max_frames=100, min_distance_ang=1.5,
    )  # fmt: skip
    shells, near = shell_counts(result)
    sites = [k for k, s in enumerate(host.get_chemical_symbols()) if s == "Al"]
    opened = al_open_indices(host)
    assert len(shells) == 55 and len(near) == 5 and set(opened) < set(sites)
    counted = []
    for atoms in result.frames_atoms():
        centres = atoms.positions[len(host) :].reshape(-1, 2, 3).mean(axis=1)
        points = host.copy()
        points.extend(Atoms("X" * len(centres), centres))
        others = list(range(len(host), len(points)))
        counted += [np.sum(points.get_distances(k, others, mic=True) < 3.5) for k in opened]
    assert sum(shells[:35]) == pytest.approx(np.mean(counted), abs=1e-9)
    assert near_sites(near).mean == pytest.approx(np.mean(counted), rel=0.02)
    assert 2.5 < peak_ang(shells) < 3.1
    assert moved(shells, shells) == 0.0 and moved([1.0, 0.0], [0.0, 3.0]) == 1.0
    assert moved([1.0, 1.0], [1.0, 3.0]) == pytest.approx(0.25)


def test_distributions_that_differ_are_seen() -> None:
    here = Point(5.0, 0.1, 1.0, -6.0, 0.1, (0.0, 2.0, 0.0), (2.0, 2.1, 1.9))
    there = replace(here, shells=(0.0, 0.0, 2.0), near=(0.2, 0.1, 0.3))
    same = around_sites([here, here], [here, here], there)
    assert same["near_al_covered"] and same["elsewhere"] == 0.0 and same["elsewhere_paper"] == 1.0
    other = around_sites([here, here], [there, there], here)
    assert not other["near_al_covered"] and other["elsewhere"] == 1.0
    right = {**rows()["points"][0], "peak_ang_exact": 2.7, "peak_ang": 2.7}
    assert verdict([{**right, **same}])["passed"] and not verdict([{**right, **other}])["passed"]
    assert other["peak_ang"] - other["peak_ang_exact"] == pytest.approx(0.1)


def test_diffusion_of_production_is_judged_by_both_intervals() -> None:
    stay = {"mean_ps": 3.0, "error_ps": 0.2, "n_departures": 40, "occupied_ps": 120.0}
    both = {"coordination": 2.0, "coordination_error": 0.1, "residence": stay, "replicas": [{"max_devi_f_ev_ang": 0.1}]}

    def result(mean: float, spread: float) -> dict[str, object]:
        d_s = {"mean": mean, "standard_deviation": spread}
        return {**both, "diffusion_m2_s": d_s, "diffusion_interval_m2_s": None}

    near = compare_diffusion(result(5.0e-9, 0.3e-9), result(5.8e-9, 0.3e-9))
    assert near["d_s_covered"] and near["d_s_1e9"] == pytest.approx(5.8)
    far = compare_diffusion(result(5.0e-9, 0.3e-9), result(6.0e-9, 0.3e-9))
    assert not far["d_s_covered"]
    spread = {"mean": 6.0e-9, "statistical": 0.3e-9, "committee": 0.4e-9, "model": 0.0}
    wide = compare_diffusion(result(5.0e-9, 0.3e-9), {**result(6.0e-9, 0.3e-9), "diffusion_interval_m2_s": spread})
    assert wide["d_s_covered"] and wide["d_s_half_width_1e9"] == pytest.approx(1.96 * 0.5)
    stuck = compare_diffusion(result(5.0e-9, 0.3e-9), {**both, "diffusion_m2_s": None})
    assert not stuck["d_s_covered"] and stuck["d_s_exact_1e9"] == pytest.approx(5.0)


@pytest.mark.slow
@pytest.mark.skipif("ALH2_EXHAUSTIVE" not in os.environ, reason="a whole campaign; ask for it with ALH2_EXHAUSTIVE=1")
def test_short_twin(tmp_path: Path) -> None:
    command = [sys.executable, str(Path(__file__).with_name("twin.py")), "--short", "--work", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["right"] == 1.0 and answer["one_loading_right"] < 1.0

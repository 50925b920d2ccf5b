"""Hybrid MD/MC: temperature, the rigid limit, hand-overs, continuation, and a model trained on the node."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from alh2.core.atoms import to_atoms
from alh2.core.errors import BadInputError
from alh2.core.units import EV_PER_ANG3_IN_BAR, beta_per_ev
from alh2.gcmc import (
    FlexibleSettings,
    GcmcResult,
    GcmcSettings,
    InterruptedRunError,
    RestartSettings,
    RigidMolecule,
    TrajectorySettings,
    simulate,
    simulate_flexible,
)
from alh2.gcmc.hybrid import degrees_of_freedom
from alh2.potential.load import load_potential

T = 300.0
CELL = np.array([[0.0, 9.0, 0.0], [10.0, 1.0, 0.0], [1.0, 2.0, 11.0]])
GRID = np.array([[i, j, k] for i in range(3) for j in range(2) for k in range(2)]) / [3.0, 2.0, 2.0]
HOST = Atoms("O12", GRID @ CELL, cell=CELL, pbc=True)
FUGACITY_BAR = 9.0 / beta_per_ev(T) / abs(np.linalg.det(CELL)) * EV_PER_ANG3_IN_BAR
"""An ideal gas would hold 9 molecules."""


@pytest.fixture(scope="module")
def model(repulsive_model) -> Path:
    return repulsive_model((0.0, 0.0))


@pytest.fixture(scope="module")
def potential(model: Path):
    found = load_potential(model.with_suffix(".dp"))
    assert "incremental" in found.describe()
    return found


def run(potential, model: Path, *, flexible: dict | None = None, **changes) -> GcmcResult:
    keywords = {"temperature_k": T, "fugacity_bar": FUGACITY_BAR, "n_moves": 6000, "seed": 5, "n_initial": 3}
    options = {"n_equilibration": 1000, "sample_every": 20, "max_frames": 40, "min_distance_ang": 0.9, **keywords}
    chosen = FlexibleSettings(model, **{"moves_per_block": 50, "steps": 40, "thermostat_ps": 0.02, **(flexible or {})})
    return simulate_flexible(HOST, RigidMolecule.h2(0.74), potential, flexible=chosen, **{**options, **changes})


@pytest.mark.physics
@pytest.mark.slow
def test_keeps_the_temperature_and_both_parts_agree(potential, model):
    """Kinetic temperatures of the framework and of the molecules, those just inserted included, and one energy."""
    result = run(potential, model)
    hybrid = result.hybrid
    assert hybrid.n_segments == 140
    assert result.n_adsorbed.min() < result.n_adsorbed.max() and result.acceptance["insertion"].accepted > 100
    for found in (hybrid.host_temperature_k, hybrid.guest_temperature_k):
        assert found.standard_error < 12.0
        assert abs(found.mean - T) < 3.5 * found.standard_error, found
    assert hybrid.max_handover_ev < 1e-7
    assert result.max_energy_drift_ev < 1e-8
    assert np.ptp(result.host_energies_ev) > 0.01
    last = result.frames_atoms()[-1]
    host, full = last[:12], last
    empty = np.zeros((0, 2, 3))
    bare = potential.start(host, ("H", "H"), empty).energy_ev
    total = potential.start(host, ("H", "H"), full.positions[12:].reshape(-1, 2, 3)).energy_ev
    assert result.energy_ev[-1] == pytest.approx(total, abs=1e-8)
    gas = result.molecule_energy_ev * result.n_adsorbed[-1]
    assert result.adsorption_energy_ev[-1] == pytest.approx(total - bare - gas, abs=1e-8)
    assert host.positions.mean(axis=0) == pytest.approx(HOST.positions.mean(axis=0), abs=1e-9)
    assert not np.allclose(host.positions, HOST.positions, atol=0.05)
    bonds = np.linalg.norm(np.diff(full.positions[12:].reshape(-1, 2, 3), axis=1), axis=-1)
    assert bonds == pytest.approx(0.74, abs=1e-9)


@pytest.mark.physics
@pytest.mark.slow
def test_a_frozen_framework_gives_the_rigid_result(potential, model):
    hybrid = run(potential, model, flexible={"frozen_host": True})
    conditions = {"temperature_k": T, "fugacity_bar": FUGACITY_BAR, "n_moves": 20_000, "seed": 8, "n_initial": 3}
    rigid = simulate(HOST, RigidMolecule.h2(0.74), potential, **conditions, sample_every=20, min_distance_ang=0.9)
    assert hybrid.hybrid.host_temperature_k is None and hybrid.hybrid.n_segments > 100
    assert all(np.array_equal(frame.host_ang, HOST.positions) for frame in hybrid.frames)
    difference = hybrid.mean_n_adsorbed - rigid.mean_n_adsorbed
    assert abs(difference) < 3.0 * np.hypot(hybrid.n_adsorbed_error, rigid.n_adsorbed_error)
    assert rigid.mean_n_adsorbed < 7.0, "the framework must matter"


def test_stopped_and_continued_is_the_same_run(potential, model, tmp_path):
    def go(folder: Path, stop=None) -> GcmcResult:
        restart = RestartSettings(folder / "r.npz", every=40, write_every_s=0.0, stop=stop)
        trajectory = TrajectorySettings(folder / "t.extxyz", every=60)
        return run(potential, model, n_moves=420, n_equilibration=130, restart=restart, trajectory=trajectory)

    whole, stops = go(tmp_path / "whole"), 0
    while True:
        left = iter(range(13))
        try:
            parts = go(tmp_path / "parts", stop=lambda left=left: next(left, None) is None)
            break
        except InterruptedRunError:
            stops += 1
    assert stops >= 2
    assert json.dumps(parts.summary()) == json.dumps(whole.summary())
    assert parts.energy_ev.tobytes() == whole.energy_ev.tobytes()
    assert parts.host_energies_ev.tobytes() == whole.host_energies_ev.tobytes()
    assert (tmp_path / "parts" / "t.extxyz").read_bytes() == (tmp_path / "whole" / "t.extxyz").read_bytes()


def test_a_rigid_run_is_not_continued_as_a_flexible_one(potential, model, tmp_path):
    restart = RestartSettings(tmp_path / "r.npz", every=40, stop=lambda: True)
    with pytest.raises(InterruptedRunError):
        run(potential, model, restart=restart)
    with pytest.raises(BadInputError, match="steps was 40"):
        run(potential, model, restart=restart, flexible={"steps": 41})
    conditions = {"temperature_k": T, "fugacity_bar": FUGACITY_BAR, "n_moves": 6000, "seed": 5, "n_initial": 3}
    with pytest.raises(BadInputError, match="framework_is was flexible"):
        simulate(HOST, RigidMolecule.h2(0.74), potential, **conditions, restart=restart)


def test_results_say_what_they_are(potential, model):
    flexible = run(potential, model, n_moves=100, n_equilibration=0)
    assert flexible.framework_label.startswith("flexible framework (hybrid MD/MC: 40 steps of 0.5 fs")
    record = flexible.summary()
    assert record["framework"] == "flexible" and record["hybrid"]["n_segments"] == 2
    json.dumps(record)
    conditions = {"temperature_k": T, "fugacity_bar": FUGACITY_BAR, "n_moves": 100, "seed": 5}
    rigid = simulate(HOST, RigidMolecule.h2(0.74), potential, **conditions)
    assert rigid.framework_label == "rigid framework" and rigid.summary()["framework"] == "rigid"
    assert rigid.summary()["hybrid"] is None


def test_two_different_models_are_noticed(repulsive_model, model, potential):
    with pytest.raises(BadInputError, match="eV, within .e-05 eV, found .* eV in LAMMPS; use the same model"):
        run(potential, repulsive_model((0.0, -0.1)), n_moves=100)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": 0}, "steps: expected a whole number >= 1, found 0"),
        ({"moves_per_block": 1.5}, "moves_per_block"),
        ({"dt_fs": -1.0}, "dt_fs: expected a positive number"),
        ({"thermostat_ps": float("nan")}, "thermostat_ps"),
    ],
)
def test_nonsense_settings(model, changes, words):
    with pytest.raises(BadInputError, match=words):
        FlexibleSettings(model, **changes)


def test_a_model_lammps_does_not_take(potential, random_model):
    with pytest.raises(BadInputError, match="expected a model that LAMMPS takes"):
        run(potential, random_model)


def test_a_step_far_too_long_is_one_line(potential, model):
    from alh2.core.errors import Alh2Error

    with pytest.raises(Alh2Error) as stopped:
        run(potential, model, flexible={"dt_fs": 200.0, "steps": 2000, "moves_per_block": 10})
    assert "\n" not in str(stopped.value)


def test_degrees_of_freedom():
    bent = RigidMolecule(("H", "O", "H"), np.array([[0.0, 0.8, 0.5], [0.0, 0.0, 0.0], [0.0, -0.8, 0.5]]))
    assert [degrees_of_freedom(m) for m in (RigidMolecule.single("Ar"), RigidMolecule.h2(0.74), bent)] == [3, 5, 6]


@pytest.mark.parametrize("on_pairs", [False, True])
def test_with_a_model_trained_on_the_node(trained_committee, node_start, on_atoms, tmp_path, on_pairs):
    """Two blocks of the real thing: energies are the same in both parts, with pair terms under the network too."""
    member, terms = trained_committee.members[0], None
    if on_pairs:
        terms = tmp_path / "pair_baseline.json"
        on_atoms(to_atoms(node_start.bare_host())).save(terms)
    framework = Atoms(node_start.symbols[:30], node_start.positions_ang[:30], cell=node_start.cell_ang, pbc=True)
    guests = node_start.positions_ang[30:].reshape(-1, 2, 3)
    result = simulate_flexible(
        framework,
        RigidMolecule.h2(0.74),
        load_potential(member.frozen, pair_baseline=terms),
        flexible=FlexibleSettings(member.frozen, terms, moves_per_block=20, steps=10),
        temperature_k=77.0,
        fugacity_bar=1.0,
        n_moves=40,
        seed=1,
        settings=GcmcSettings(n_equilibration=0, initial_guests_ang=guests, min_distance_ang=1.2, sample_every=5),
    )
    assert result.hybrid.n_segments == 2 and result.hybrid.max_handover_ev < 1e-5


def test_nothing_of_the_libraries_reaches_the_screen(model):
    code = (
        "import numpy as np\nfrom pathlib import Path\n"
        "from alh2.gcmc.lammps_md import LammpsMd, MdConditions, MdSystem\n"
        "from alh2.potential.lammps_forces import LammpsForces\n"
        "forces, how = LammpsForces(('O', 'H')), MdConditions(300.0, 5e-4, 0.1, False)\n"
        f"md = LammpsMd(Path({str(model)!r}), 12 * np.eye(3), forces, how)\n"
        "x = np.array([[1.0, 1, 1], [6, 6, 6], [6, 6, 6.74]])\n"
        "md.run(MdSystem(('O', 'H', 'H'), 1, 2, x, np.zeros((3, 3))), 5, 1)\nmd.close()\nprint('done')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")

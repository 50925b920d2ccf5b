"""Lennard-Jones fluid against published grand-canonical results, from gas to dense.

Reference: NIST Standard Reference Simulation Website, "LJ fluid: equation of state by grand-canonical transition-matrix
Monte Carlo", T* = 1.5, V = 512 σ³, cut at 3σ with long-range correction. ln Π(N), N = 0 to 370, at ln z = -1.568214 is
``unittest/lj/srsw/eostmmc/1.5/lj.msdb.t150.1.p_macro.dat`` of NIST's FEASST repository; means and variances of N at
other activities follow by adding (ln z + 1.568214) N. FEASST's own test gives <N> = 310.432325 at the activity of the
file (``tstCriteria``), and its ``muvttmmclj`` test the energies at fixed N, -0.030574223 (2), -0.089928316 (3) and
-0.178457053 (4).
"""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from alh2.core.units import EV_PER_ANG3_IN_BAR, beta_per_ev
from alh2.gcmc import RigidMolecule, mean_and_error, simulate

EXAMPLE = Path(__file__).parents[2] / "examples" / "gcmc_lennard_jones.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("example_gcmc_lennard_jones", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


T = 77.0
BETA = beta_per_ev(T)
EPSILON_EV = 1.0 / (1.5 * BETA)
REFERENCES = {
    -6.5: (0.7755841, 0.7814848),
    -4.0: (10.3743051, 11.5245428),
    -3.0: (35.5145516, 51.6085590),
    -2.0: (261.0147820, 168.5020898),
    -1.568214: (310.4323252, 82.6093327),
}
"""ln z: mean and variance of N."""


def fluid(pair_potential, log_z: float, n_moves: int, **options):
    exchange = {"move_weights": {"insertion": 45, "deletion": 45, "translation": 10}, "max_frames": 0}
    return simulate(
        Atoms(cell=[8.0] * 3, pbc=True),
        RigidMolecule.single("Ar"),
        pair_potential(EPSILON_EV, 1.0, 3.0, tail=True),
        temperature_k=T,
        fugacity_bar=math.exp(log_z) / BETA * EV_PER_ANG3_IN_BAR,
        n_moves=n_moves,
        seed=2,
        **exchange | options,
    )


@pytest.mark.physics
@pytest.mark.parametrize(
    ("log_z", "n_moves", "n_initial", "relative"),
    [(-6.5, 60_000, 0, 0.04), (-4.0, 150_000, 0, 0.01), (-3.0, 150_000, 20, 0.02), (-1.568214, 500_000, 300, 0.01)],
)
def test_nist_averages(pair_potential, log_z, n_moves, n_initial, relative):
    """<N> and its variance within 3 and 4 standard errors of the published distribution."""
    mean, variance = REFERENCES[log_z]
    result = fluid(pair_potential, log_z, n_moves, n_initial=n_initial, n_equilibration=n_moves // 4)
    number = result.n_adsorbed_estimate
    assert 0.0 < number.standard_error < relative * mean, "too noisy to test anything"
    assert abs(number.mean - mean) < 3.0 * number.standard_error
    squares = mean_and_error((result.n_adsorbed - mean) ** 2)
    assert abs(squares.mean - variance) < 4.0 * squares.standard_error
    assert result.max_energy_drift_ev < 1e-8


@pytest.mark.physics
def test_published_energies(pair_potential):
    """<U>/ε = -1.596 at ln z = -4, and in the gas at fixed N = 2, 3, 4."""
    result = fluid(pair_potential, -4.0, 150_000, n_equilibration=20_000)
    energy = mean_and_error(result.energy_ev / EPSILON_EV)
    assert 0.0 < energy.standard_error < 0.05
    assert abs(energy.mean + 1.596) < 3.0 * energy.standard_error
    for n, published in ((2, -0.030574223), (3, -0.089928316), (4, -0.178457053)):
        fixed = fluid(
            pair_potential,
            -4.0,
            40_000,
            n_initial=n,
            n_equilibration=1000,
            move_weights={"reinsertion": 1},
            sample_every=1,
        )
        energy = mean_and_error(fixed.energy_ev / EPSILON_EV)
        assert 0.0 < energy.standard_error < 0.05 * abs(published)
        assert abs(energy.mean - published) < 3.0 * energy.standard_error


@pytest.mark.physics
def test_a_potential_of_your_own(example):
    """The script of the examples, a shorter run."""
    number, number_error, energy, energy_error = example.main(n_moves=60_000, seed=1)
    assert number_error < 0.2 and energy_error < 0.1
    assert abs(number - example.REFERENCE_N) < 4.0 * number_error
    assert abs(energy - example.REFERENCE_U) < 4.0 * energy_error


def test_short_run_prints_the_comparison(example, capsys):
    example.main(n_moves=2000)
    assert "reference 10.373" in capsys.readouterr().out


def test_pair_energies_match_ase(example):
    """Energy without tail of 20 particles against ase.calculators.lj (which shifts each pair at the cutoff)."""
    from ase.calculators.lj import LennardJones

    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), -1).reshape(-1, 3)[:20]
    positions = 2.6 * grid + rng.uniform(0.0, 1.4, (20, 3))
    atoms = Atoms("Ar20", positions, cell=[8.0] * 3, pbc=True)
    model = example.LennardJonesFluid(0.01, 1.0, 3.0)
    session = model.start(atoms, ("Ar",), positions[:, None, :])
    distances = atoms.get_all_distances(mic=True)[np.triu_indices(20, 1)]
    within = int((distances < 3.0).sum())
    tail = 400 / 512 * 8 / 3 * np.pi * 0.01 * ((1 / 3) ** 9 / 3 - (1 / 3) ** 3)
    shift = 4 * 0.01 * ((1 / 3) ** 12 - (1 / 3) ** 6)
    atoms.calc = LennardJones(sigma=1.0, epsilon=0.01, rc=3.0, smooth=False)
    assert session.energy_ev - tail == pytest.approx(atoms.get_potential_energy() + within * shift, abs=1e-10)

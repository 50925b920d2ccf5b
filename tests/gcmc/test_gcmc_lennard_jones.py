"""The example's Lennard-Jones fluid against the published grand-canonical averages."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

EXAMPLE = Path(__file__).parents[2] / "examples" / "gcmc_lennard_jones.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("example_gcmc_lennard_jones", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.physics
def test_reference_averages(example):
    number, number_error, energy, energy_error = example.main(n_moves=500_000, seed=1)
    assert number_error < 0.06 and energy_error < 0.03
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

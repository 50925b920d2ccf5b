"""Ideal gas: <N> = βfV, Poisson variance, whatever the moves, the start and the shape of the cell."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from alh2.core.units import EV_PER_ANG3_IN_BAR, beta_per_ev
from alh2.gcmc import GcmcResult, RigidMolecule, mean_and_error, simulate

pytestmark = pytest.mark.physics

T = 77.0
CUBE = 10.0 * np.eye(3)
SKEWED = np.array([[9.0, 0.0, 0.0], [3.5, 8.0, 0.0], [-2.0, 3.0, 7.0]])


def run(independent, expected: float, cell=CUBE, molecule=None, gas_ev: float = 0.0, **keywords) -> GcmcResult:
    fugacity_bar = expected / (beta_per_ev(T) * abs(np.linalg.det(cell))) * EV_PER_ANG3_IN_BAR
    options = {"n_moves": 60_000, "seed": 3, "sample_every": 1, "max_frames": 0, **keywords}
    return simulate(
        Atoms(cell=cell, pbc=True),
        molecule or RigidMolecule.single("Ar"),
        independent(gas_ev=gas_ev),
        temperature_k=T,
        fugacity_bar=fugacity_bar,
        **options,
    )


def assert_mean(result: GcmcResult, expected: float, largest_relative_error: float) -> None:
    assert result.n_adsorbed_error < largest_relative_error * expected, "too noisy to test anything"
    assert abs(result.mean_n_adsorbed - expected) < 4.0 * result.n_adsorbed_error


@pytest.mark.parametrize(("expected", "relative"), [(0.01, 0.09), (0.1, 0.04), (1.0, 0.02), (3.0, 0.02), (10.0, 0.02)])
@pytest.mark.parametrize("molecule", [RigidMolecule.single("Ar"), RigidMolecule.h2(0.74)], ids=["Ar", "H2"])
def test_mean_and_variance(independent, expected, relative, molecule):
    result = run(independent, expected, molecule=molecule, gas_ev=-31.7, n_moves=150_000)
    assert_mean(result, expected, relative)
    squares = mean_and_error((result.n_adsorbed - expected) ** 2.0)
    assert squares.standard_error < 0.1 * expected
    assert abs(squares.mean - expected) < 4.0 * squares.standard_error


@pytest.mark.parametrize(
    "weights",
    [
        {"insertion": 50, "deletion": 50},
        {"insertion": 45, "deletion": 15, "translation": 40},
        {"insertion": 10, "deletion": 40, "rotation": 20},
        {"insertion": 15, "deletion": 15, "translation": 35, "rotation": 35},
    ],
    ids=["exchange only", "more insertions", "more deletions", "few exchanges"],
)
@pytest.mark.parametrize("expected", [0.3, 4.0])
def test_any_weights(independent, weights, expected):
    result = run(independent, expected, molecule=RigidMolecule.h2(0.74), move_weights=weights)
    assert_mean(result, expected, 0.05)


@pytest.mark.parametrize("n_initial", [0, 4, 30])
def test_any_start(independent, n_initial):
    result = run(independent, 4.0, n_initial=n_initial, n_equilibration=3000)
    assert result.n_initial == n_initial
    assert_mean(result, 4.0, 0.03)


def test_attempts_at_zero_molecules_count(independent):
    """All moves are attempted in proportion to their weights although the box is nearly always empty."""
    result = run(independent, 0.01)
    n = sum(move.attempted for move in result.acceptance.values())
    assert n == result.n_moves
    for name, share in (("insertion", 0.3), ("deletion", 0.3), ("translation", 0.2), ("rotation", 0.2)):
        error = np.sqrt(n * share * (1 - share))
        assert abs(result.acceptance[name].attempted - n * share) < 4.0 * error


def test_largest_number_of_molecules(independent):
    """With at most one molecule <N> = βfV/(1 + βfV)."""
    result = run(independent, 1.5, max_molecules=1)
    assert result.n_adsorbed.max() == 1
    assert_mean(result, 1.5 / 2.5, 0.02)


@pytest.mark.parametrize("cell", [SKEWED, SKEWED[[1, 0, 2]]], ids=["triclinic", "left-handed"])
def test_triclinic_cell(independent, cell):
    """βfV with the volume of the skewed cell, molecules uniform in it, centres inside it."""
    result = run(independent, 4.0, cell=cell, molecule=RigidMolecule.h2(0.74), max_frames=3000)
    assert_mean(result, 4.0, 0.03)
    centres = np.concatenate([f.guests_ang.mean(axis=1) for f in result.frames])
    fractional = centres @ np.linalg.inv(cell)
    assert fractional.min() > -1e-9 and fractional.max() < 1.0 + 1e-9
    for wave in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, -1, 0), (1, 1, 1), (2, 0, 1)):
        phase = 2.0 * np.pi * fractional @ wave
        for component in (np.cos(phase), np.sin(phase)):
            frames = np.array_split(component, np.cumsum([len(f.guests_ang) for f in result.frames])[:-1])
            estimate = mean_and_error(np.array([part.sum() for part in frames]))
            assert estimate.standard_error < 0.15
            assert abs(estimate.mean) < 4.0 * estimate.standard_error

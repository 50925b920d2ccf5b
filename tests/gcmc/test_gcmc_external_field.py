"""Molecules in external fields, against quadrature."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ase import Atoms
from scipy.integrate import dblquad, quad
from scipy.special import i0, i1

from alh2.core.units import EV_PER_ANG3_IN_BAR, beta_per_ev
from alh2.gcmc import RigidMolecule, mean_and_error, simulate

pytestmark = pytest.mark.physics

T = 77.0
BETA = beta_per_ev(T)
EDGE = 8.0
BOX = Atoms(cell=[EDGE] * 3, pbc=True)
CENTRE = np.array([4.0, 4.0, 4.0])


def activity_bar(z_per_ang3: float) -> float:
    return z_per_ang3 / BETA * EV_PER_ANG3_IN_BAR


def assert_close(estimate, exact: float, largest_error: float) -> None:
    assert 0.0 < estimate.standard_error < largest_error, "too noisy to test anything"
    assert abs(estimate.mean - exact) < 4.0 * estimate.standard_error


def test_deep_well(independent):
    """A Gaussian well of 6 kT: <N> = z ∫ exp(-βu) dr and <U> = z ∫ u exp(-βu) dr for independent particles."""
    depth, width = 6.0 / BETA, 1.0

    def well(sites: np.ndarray) -> float:
        return -depth * math.exp(-0.5 * float(((sites[0] - CENTRE) ** 2).sum()) / width**2)

    def mayer(r: float) -> float:
        return 4 * math.pi * r * r * math.expm1(BETA * depth * math.exp(-0.5 * (r / width) ** 2))

    def energy(r: float) -> float:
        u = -depth * math.exp(-0.5 * (r / width) ** 2)
        return 4 * math.pi * r * r * u * math.exp(-BETA * u)

    z = 1.0 / 512.0
    exact_n = z * (quad(mayer, 0.0, 4.0)[0] + EDGE**3)
    result = simulate(
        BOX,
        RigidMolecule.single("Ar"),
        independent(well, gas_ev=-2.5, host_ev=-400.0),
        temperature_k=T,
        fugacity_bar=activity_bar(z),
        n_moves=300_000,
        seed=11,
        sample_every=5,
    )
    assert_close(mean_and_error(result.n_adsorbed), exact_n, 0.02 * exact_n)
    exact_u = z * quad(energy, 0.0, 4.0)[0]
    assert_close(mean_and_error(result.adsorption_energy_ev), exact_u, 0.05 * abs(exact_u))
    assert result.max_energy_drift_ev < 1e-8


@pytest.mark.parametrize("n_initial", [0, 8])
def test_langmuir_lattice(independent, n_initial):
    """Eight spherical wells, one particle each at most: M x/(1+x) and its variance, x = z v exp(β·depth)."""
    radius, depth = 0.9, 3.0 / BETA
    corners = np.array([[i, j, k] for i in (2, 6) for j in (2, 6) for k in (2, 6)], dtype=float)

    def wells(sites: np.ndarray) -> float:
        delta = corners - sites[0]
        delta -= EDGE * np.rint(delta / EDGE)
        return -depth if (np.einsum("ij,ij->i", delta, delta) < radius**2).any() else math.inf

    z = 0.02
    x = z * 4.0 / 3.0 * math.pi * radius**3 * math.exp(BETA * depth)
    result = simulate(
        BOX,
        RigidMolecule.single("Ar"),
        independent(wells, gas_ev=1.0, hard_core_ang=2.0 * radius),
        temperature_k=T,
        fugacity_bar=activity_bar(z),
        n_moves=300_000,
        seed=5 + n_initial,
        n_initial=n_initial,
        n_equilibration=30_000,
        move_weights={"insertion": 45, "deletion": 45, "translation": 10},
        max_frames=0,
    )
    assert result.n_adsorbed.max() <= 8
    exact = 8.0 * x / (1.0 + x)
    assert_close(mean_and_error(result.n_adsorbed), exact, 0.02 * exact)
    variance = 8.0 * x / (1.0 + x) ** 2
    assert_close(mean_and_error((result.n_adsorbed - exact) ** 2), variance, 0.05 * variance)


def test_translation_alone_samples_the_boltzmann_factor(independent):
    """u = A cos(2π s) along a fractional coordinate of a skewed cell: <cos> = -I1(βA)/I0(βA)."""
    cell = np.array([[6.0, 0.0, 0.0], [2.5, 5.0, 0.0], [-1.0, 1.5, 7.0]])
    direction = np.linalg.inv(cell)[:, 1]
    amplitude = 1.3 / BETA

    def wave(sites: np.ndarray) -> float:
        return amplitude * math.cos(2.0 * math.pi * float(sites.mean(axis=0) @ direction))

    result = simulate(
        Atoms(cell=cell, pbc=True),
        RigidMolecule.h2(0.74),
        independent(wave),
        temperature_k=T,
        fugacity_bar=0.0,
        n_moves=200_000,
        seed=2,
        n_initial=3,
        move_weights={"translation": 1},
        max_frames=0,
    )
    cosines = mean_and_error(result.adsorption_energy_ev / (3.0 * amplitude))
    assert_close(cosines, -i1(1.3) / i0(1.3), 0.01)
    assert 0.3 < result.acceptance["translation"].ratio < 0.7 or result.translation_ang == pytest.approx(3.5, rel=0.2)


@pytest.mark.parametrize("strength_kt", [-3.0, 2.0])
@pytest.mark.parametrize("weights", [{"rotation": 1}, {"insertion": 1, "deletion": 1}], ids=["turned", "inserted"])
def test_rotor_in_orienting_field(independent, strength_kt, weights):
    """u = s cos²θ for a rigid rotor: <cos²θ> by quadrature, from small turns or from insertions alone."""
    strength, bond = strength_kt / BETA, 0.74

    def field(sites: np.ndarray) -> float:
        return strength * ((sites[1, 2] - sites[0, 2]) / bond) ** 2

    partition = quad(lambda c: math.exp(-strength_kt * c * c), 0.0, 1.0)[0]
    exact = quad(lambda c: c * c * math.exp(-strength_kt * c * c), 0.0, 1.0)[0] / partition
    z = 2.0 / EDGE**3
    result = simulate(
        BOX,
        RigidMolecule.h2(bond),
        independent(field),
        temperature_k=T,
        fugacity_bar=activity_bar(z),
        n_moves=120_000,
        seed=8,
        n_initial=2,
        move_weights=weights,
        sample_every=2,
        max_frames=0,
    )
    summed = result.adsorption_energy_ev / strength
    if "insertion" in weights:
        expected_n = 2.0 * partition
        assert_close(mean_and_error(result.n_adsorbed), expected_n, 0.03 * expected_n)
        assert_close(mean_and_error(summed), expected_n * exact, 0.03 * expected_n)
    else:
        assert_close(mean_and_error(summed / 2.0), exact, 0.01)


def test_orientations_uniform_in_an_empty_box(independent):
    """Inserted and turned rotors point everywhere alike: <P1>, <P2> along x, y and z and the xy product vanish."""
    result = simulate(
        BOX,
        RigidMolecule.h2(0.74),
        independent(),
        temperature_k=T,
        fugacity_bar=activity_bar(4.0 / EDGE**3),
        n_moves=60_000,
        seed=4,
        sample_every=10,
        max_frames=6000,
    )
    axes = [(f.guests_ang[:, 1] - f.guests_ang[:, 0]) / 0.74 for f in result.frames]
    assert max(abs(np.linalg.norm(a, axis=1) - 1.0).max() for a in axes if len(a)) < 1e-9
    functions = [lambda a, i=i: a[:, i] for i in range(3)]
    functions += [lambda a, i=i: a[:, i] ** 2 - 1.0 / 3.0 for i in range(3)]
    functions += [lambda a: a[:, 0] * a[:, 1], lambda a: a[:, 1] * a[:, 2]]
    for function in functions:
        assert_close(mean_and_error(np.array([function(a).sum() for a in axes])), 0.0, 0.1)


def test_site_field_couples_place_and_orientation(independent):
    """H2 whose sites feel a wall potential k|z - 4|: <N> against a double integral over centre and cosθ."""
    k, bond = 1.0 / BETA, 0.74

    def wall(sites: np.ndarray) -> float:
        return k * (abs(sites[0, 2] - 4.0) + abs(sites[1, 2] - 4.0))

    def boltzmann(cosine: float, height: float) -> float:
        half = 0.5 * bond * cosine
        return math.exp(-(abs(height + half) + abs(height - half)))

    z = 1.0 / EDGE**2
    exact = z * EDGE**2 * dblquad(boltzmann, -4.0, 4.0, 0.0, 1.0)[0]
    result = simulate(
        BOX,
        RigidMolecule.h2(bond),
        independent(wall),
        temperature_k=T,
        fugacity_bar=activity_bar(z),
        n_moves=200_000,
        seed=6,
        max_frames=0,
    )
    assert_close(mean_and_error(result.n_adsorbed), exact, 0.03 * exact)

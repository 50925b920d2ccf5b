"""Void fractions against exact volumes and quadrature; excess amounts by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad

from alh2.analysis.void import (
    HELIUM_CUTOFF_ANG,
    Host,
    VoidFraction,
    excess,
    gas_density_per_ang3,
    geometric_void_fraction,
    helium_pair,
    helium_void_fraction,
)
from alh2.core.errors import BadInputError
from alh2.core.statistics import Estimate

CUBE = 30.0 * np.eye(3)
SKEWED = np.array([[9.0, 0.0, 0.0], [4.0, 8.0, 0.0], [-3.0, 2.0, 7.0]])


def test_empty_cell_is_all_void() -> None:
    empty = Host((), np.zeros((0, 3)), SKEWED)
    rng = np.random.default_rng(1)
    for found in (
        helium_void_fraction(empty, n_points=50, rng=rng),
        geometric_void_fraction(empty, n_points=50, rng=rng),
    ):
        assert (found.fraction.mean, found.fraction.standard_error) == (1.0, 0.0)


@pytest.mark.physics
@pytest.mark.parametrize("place", [(0.0, 0.0, 0.0), (3.1, 4.4, 2.2), (-40.0, 11.0, 5.0)])
def test_hard_sphere_leaves_out_its_volume(place: tuple[float, float, float]) -> None:
    """Radius 1.7 + probe 0.8 Å in a skewed cell of 504 Å³, whose images do not overlap: wherever the atom sits."""
    host = Host(("C",), np.array([place]), SKEWED)
    rng = np.random.default_rng(2)
    found = geometric_void_fraction(host, n_points=40_000, rng=rng, probe_radius_ang=0.8, radii_ang={"C": 1.7}).fraction
    exact = 1.0 - 4.0 / 3.0 * math.pi * 2.5**3 / 504.0
    assert found.standard_error == pytest.approx(math.sqrt(exact * (1 - exact) / 40_000), rel=0.02)
    assert abs(found.mean - exact) < 4 * found.standard_error


def test_overlapping_spheres_count_once() -> None:
    """Two atoms at one place are one sphere."""
    two = Host(("C", "C"), np.zeros((2, 3)), SKEWED)
    one = Host(("C",), np.zeros((1, 3)), SKEWED)
    found = [geometric_void_fraction(h, n_points=2000, rng=np.random.default_rng(3)).fraction.mean for h in (one, two)]
    assert found[0] == found[1] < 1.0


@pytest.mark.physics
def test_helium_around_one_atom_is_its_integral() -> None:
    """One Al atom alone: θ = 1 + (4π/V) ∫ (exp(-u/kT) - 1) r² dr up to the cutoff, by quadrature."""
    host = Host(("Al",), np.array([[1.0, 2.0, 3.0]]), CUBE)
    found = helium_void_fraction(host, n_points=200_000, rng=np.random.default_rng(4)).fraction
    epsilon, sigma = helium_pair("Al")

    def mayer(r: float) -> float:
        s6 = (sigma / r) ** 6
        return (math.exp(-4.0 * epsilon * (s6 * s6 - s6) / 298.0) - 1.0) * r * r

    exact = 1.0 + 4.0 * math.pi / 27000.0 * (-(0.5**3) / 3.0 + quad(mayer, 0.5, HELIUM_CUTOFF_ANG, limit=200)[0])
    assert abs(exact - 1.0) > 3 * found.standard_error, "the test could not fail"
    assert abs(found.mean - exact) < 4 * found.standard_error


def test_mixing_rules_by_hand() -> None:
    """Helium with oxygen: σ = (2.64 + 3.500/2^(1/6))/2 Å, ε/k = √(10.9 · 0.060 kcal/mol) = √(10.9 · 30.193) K."""
    epsilon, sigma = helium_pair("O")
    assert sigma == pytest.approx(0.5 * (2.64 + 3.1181), abs=1e-4)
    assert epsilon == pytest.approx(math.sqrt(10.9 * 30.193), rel=1e-4)


def test_given_pairs_and_skewed_cells_agree_with_a_supercell() -> None:
    """The same crystal in a cell of twice the size has the same void fraction."""
    one = Host(("O",), np.zeros((1, 3)), SKEWED)
    cell = SKEWED * np.array([[2], [1], [1]])
    two = Host(("O", "O"), np.array([[0.0, 0.0, 0.0], SKEWED[0]]), cell)
    found = [
        helium_void_fraction(h, n_points=30_000, rng=np.random.default_rng(5), pairs={"O": (20.0, 3.0)}).fraction
        for h in (one, two)
    ]
    assert found[0].mean < 0.97
    assert abs(found[0].mean - found[1].mean) < 4 * math.hypot(*(f.standard_error for f in found))


def test_gas_and_excess_by_hand() -> None:
    """Ideal gas at 1 bar and 300 K: 10⁵/(1.380649e-23 · 300) = 2.4143e25 per m³; H2 there is 0.06 % thinner."""
    density = gas_density_per_ang3(1.0, 300.0)
    assert density == pytest.approx(2.4143e-5, rel=1e-3)
    void = VoidFraction("helium", "", Estimate(0.5, 0.1, 1.0, 1))
    n_excess, error = excess(Estimate(3.0, 0.3, 1.0, 1), gas_density_per_ang3=1e-3, volume_ang3=4000.0, void=void)
    assert n_excess == pytest.approx(3.0 - 1e-3 * 4000.0 * 0.5)
    assert error == pytest.approx(math.hypot(0.3, 0.4))


def test_what_cannot_be_is_refused() -> None:
    rng = np.random.default_rng(6)
    iron, empty = Host(("Fe",), np.zeros((1, 3)), CUBE), Host((), np.zeros((0, 3)), CUBE)
    with pytest.raises(BadInputError, match="found Fe.*geometric"):
        helium_void_fraction(iron, n_points=10, rng=rng)
    with pytest.raises(BadInputError, match="probe radius"):
        geometric_void_fraction(empty, n_points=10, rng=rng, probe_radius_ang=-1.0)
    with pytest.raises(BadInputError, match="at least 2"):
        geometric_void_fraction(empty, n_points=1, rng=rng)
    with pytest.raises(BadInputError, match="span a volume"):
        geometric_void_fraction(Host((), np.zeros((0, 3)), np.zeros((3, 3))), n_points=10, rng=rng)
    with pytest.raises(BadInputError, match="positive pressure"):
        gas_density_per_ang3(-1.0, 77.0)

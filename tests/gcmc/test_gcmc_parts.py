"""Molecules, fugacity and geometry."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from ase.data import atomic_numbers
from hypothesis import given, settings
from hypothesis import strategies as st

from alh2.core.errors import BadInputError
from alh2.gcmc import RigidMolecule, fugacity_bar
from alh2.gcmc.geometry import PeriodicCell, random_rotation, small_rotation
from alh2.gcmc.walker import UniformStream

unit = st.floats(0.0, 1.0, exclude_max=True)


class BondPotential:
    """Isolated H2 whose energy is a function of the bond length."""

    def __init__(self, energy_ev) -> None:
        self.energy_ev = energy_ev

    def molecule_energy_ev(self, molecule_symbols, sites_ang) -> float:
        return self.energy_ev(float(np.linalg.norm(sites_ang[1] - sites_ang[0])))


@pytest.mark.parametrize(
    ("pressure", "coefficient"), [(0.15, 0.9998), (1.0, 0.9984), (10.0, 0.9841), (30.0, 0.9563), (100.0, 0.9161)]
)
@pytest.mark.physics
def test_fugacity_of_normal_hydrogen_at_77_k(pressure, coefficient):
    assert fugacity_bar(pressure, 77.0) / pressure == pytest.approx(coefficient, abs=5.1e-5)


def test_fugacity_of_other_fluids():
    assert fugacity_bar(10.0, 77.0, "ParaHydrogen") / 10.0 == pytest.approx(0.98342, abs=1e-5)
    assert fugacity_bar(1e-6, 300.0, "Argon") == pytest.approx(1e-6, rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((-1.0, 77.0), "pressure: expected a positive number of bar, found -1.0 bar"),
        ((0.0, 77.0), "pressure"),
        ((math.nan, 77.0), "pressure"),
        ((1.0, -77.0), "temperature"),
        ((1.0, 5.0), "temperature: expected 13.957 to 1000 K for Hydrogen, found 5 K"),
        ((1.0, 77.0, "Unobtainium"), "fluid"),
        ((1e9, 77.0), "pressure"),
    ],
)
def test_impossible_gas_is_one_line(arguments, words):
    with pytest.raises(BadInputError) as caught:
        fugacity_bar(*arguments)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_bond_length_is_the_models_minimum():
    molecule = RigidMolecule.h2().resolve(BondPotential(lambda b: 18.0 * (b - 0.7653) ** 2 - 31.0))
    assert molecule.bond_length_ang == pytest.approx(0.7653, abs=1e-5)
    assert molecule.geometry_source == "model's gas-phase minimum"
    assert molecule.resolve(BondPotential(lambda b: math.nan)) is molecule


def test_bond_length_is_the_minimum_near_the_experimental_one():
    """A second, deeper hole far from any training data does not take the molecule."""
    energy = BondPotential(lambda b: 18.0 * (b - 0.75) ** 2 - 2.0 * math.exp(-(((b - 0.98) / 0.02) ** 2)))
    assert RigidMolecule.h2().resolve(energy).bond_length_ang == pytest.approx(0.75, abs=1e-3)


def test_bond_length_without_a_minimum():
    assert RigidMolecule.h2().resolve(BondPotential(lambda b: -5.0)).bond_length_ang == pytest.approx(0.7414)
    for energy in (lambda b: -b, lambda b: b, lambda b: math.nan):
        with pytest.raises(BadInputError, match="give bond_length_ang"):
            RigidMolecule.h2().resolve(BondPotential(energy))


@pytest.mark.parametrize("bond", [0.0, -0.7, math.nan, math.inf])
def test_bad_bond_length(bond):
    with pytest.raises(BadInputError):
        RigidMolecule.h2(bond)


def test_single_sites():
    assert RigidMolecule.single("Ar").symbols == ("Ar",)
    assert RigidMolecule.single("Ar").bond_length_ang is None
    assert "Qq" not in atomic_numbers
    with pytest.raises(BadInputError):
        RigidMolecule.single("Qq")


def test_fit_lays_the_rigid_molecule_over_a_distorted_one():
    rng = np.random.default_rng(0)
    body = np.array([[0.0, 0.0, 0.1], [0.0, 0.8, -0.5], [0.0, -0.8, -0.5], [0.4, 0.1, 0.3]])
    molecule = RigidMolecule(("O", "H", "H", "X"), body)
    for _ in range(20):
        turn = np.array(random_rotation(*rng.random(3))).reshape(3, 3)
        placed = molecule.sites_ang @ turn.T + rng.normal(size=3)
        assert molecule.fit(placed) == pytest.approx(placed, abs=1e-12)
    stretched = np.array([[1.0, 2.0, 3.0], [1.0, 2.9, 3.0]])
    fitted = RigidMolecule.h2(0.74).fit(stretched)
    assert fitted == pytest.approx(np.array([[1.0, 2.08, 3.0], [1.0, 2.82, 3.0]]))


@given(unit, unit, unit, st.floats(0.01, math.pi))
@settings(max_examples=200, deadline=None)
def test_rotations_are_proper(u1, u2, u3, largest):
    for numbers in (random_rotation(u1, u2, u3), small_rotation(u1, u2, u3, largest)):
        matrix = np.array(numbers).reshape(3, 3)
        assert matrix @ matrix.T == pytest.approx(np.eye(3), abs=1e-12)
        assert np.linalg.det(matrix) == pytest.approx(1.0)
    angle = math.acos(min(1.0, max(-1.0, (np.trace(matrix) - 1.0) / 2.0)))
    assert angle == pytest.approx(abs(largest * (2.0 * u3 - 1.0)), abs=1e-6)
    inverse = np.array(small_rotation(u1, u2, 1.0 - u3, largest)).reshape(3, 3)
    assert inverse == pytest.approx(matrix.T, abs=1e-12)


@given(st.lists(st.floats(-30.0, 30.0), min_size=3, max_size=3))
@settings(max_examples=200, deadline=None)
def test_points_come_back_into_the_cell(point):
    cell = PeriodicCell(np.array([[9.0, 0.0, 0.0], [3.5, 8.0, 0.0], [-2.0, 3.0, 7.0]]))
    shift = cell.into_cell(*point) or (0.0, 0.0, 0.0)
    fractional = (np.array(point) + shift) @ cell.inverse
    assert fractional.min() > -1e-9 and fractional.max() < 1.0 + 1e-9
    lattice = np.array(shift) @ cell.inverse
    assert lattice == pytest.approx(np.round(lattice), abs=1e-9)


def test_narrowest_width_is_a_height_not_an_edge():
    cell = PeriodicCell(np.array([[10.0, 0.0, 0.0], [9.0, 2.0, 0.0], [0.0, 0.0, 10.0]]))
    assert cell.narrowest_ang == pytest.approx(20.0 / 10.0)


def test_stream_resumes_between_any_two_numbers():
    stream = UniformStream(np.random.default_rng(1))
    for used in (0, 1, 4096, 4097, 10_000):
        fresh = UniformStream(np.random.default_rng(1))
        for _ in range(used):
            fresh()
        resumed = UniformStream.restored(fresh.state)
        assert [fresh() for _ in range(9000)] == [resumed() for _ in range(9000)]
    assert 0.0 <= stream() < 1.0


def test_import_is_light_and_quiet():
    heavy = "('pymbar', 'CoolProp', 'tensorflow', 'scipy.optimize')"
    code = f"import sys, alh2.gcmc; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")

"""Test-particle insertion against exact integrals and against grand-canonical runs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ase import Atoms
from scipy.integrate import dblquad, quad

from alh2.core.errors import BadInputError
from alh2.core.units import AVOGADRO_PER_MOL, EV_IN_KJ_PER_MOL, EV_PER_ANG3_IN_BAR, KB_EV_PER_K, beta_per_ev
from alh2.gcmc import RigidMolecule, UntrustworthyEnergyError, host_energy_grid, simulate, widom

T = 77.0
BETA = beta_per_ev(T)
EDGE = 8.0
BOX = Atoms(cell=[EDGE] * 3, pbc=True)
ARGON = RigidMolecule.single("Ar")
H2 = RigidMolecule.h2(0.74)
DEPTH, WIDTH = 6.0 / BETA, 0.8
RT_KJ = EV_IN_KJ_PER_MOL / BETA


def well(sites: np.ndarray) -> float:
    """A Gaussian well of 6 kT in the middle of the box."""
    x, y, z = sites[0].tolist()
    return -DEPTH * math.exp(-0.5 * ((x - 4.0) ** 2 + (y - 4.0) ** 2 + (z - 4.0) ** 2) / WIDTH**2)


def exact_well() -> tuple[float, float]:
    """W and <ΔU> of `well` by quadrature (beyond 4 Å it is 1e-5 kT)."""

    def u(r: float) -> float:
        return -DEPTH * math.exp(-0.5 * (r / WIDTH) ** 2)

    factor = 1.0 + quad(lambda r: 4 * math.pi * r * r * math.expm1(-BETA * u(r)), 0.0, 4.0)[0] / EDGE**3
    energy = quad(lambda r: 4 * math.pi * r * r * u(r) * math.exp(-BETA * u(r)), 0.0, 4.0)[0] / EDGE**3
    return factor, energy / factor


def close(estimate, exact: float, largest_error: float) -> None:
    assert 0.0 < estimate.standard_error < largest_error, "too noisy to test anything"
    assert abs(estimate.mean - exact) < 4.0 * estimate.standard_error


@pytest.mark.physics
def test_ideal_gas(independent):
    """W = 1 to rounding in any cell: no excess chemical potential, dN/df = βV, ΔH = -RT."""
    cell = [[9.0, 0.0, 0.0], [3.5, 8.0, 0.0], [-2.0, 3.0, 7.0]]
    result = widom(Atoms(cell=cell, pbc=True), H2, independent(gas_ev=-31.7), temperature_k=T, n_insertions=50, seed=1)
    assert result.widom_factor.mean == pytest.approx(1.0, abs=1e-12)
    assert result.excess_chemical_potential_ev.mean == pytest.approx(0.0, abs=1e-12)
    per_bar = 504.0 / (KB_EV_PER_K * T) / EV_PER_ANG3_IN_BAR
    assert result.henry_per_cell_bar.mean == pytest.approx(per_bar, rel=1e-9)
    assert result.adsorption_enthalpy_kj_per_mol.mean == pytest.approx(-0.0083144626 * T, rel=1e-6)
    assert result.henry_mol_per_kg_pa is None and result.n_effective == pytest.approx(50.0) and not result.trusted


@pytest.mark.physics
@pytest.mark.parametrize("biased", [False, True], ids=["uniform", "drawn from the grid"])
def test_well_against_quadrature(independent, biased):
    potential = independent(well, gas_ev=-2.5, host_ev=-400.0)
    grid = (
        host_energy_grid(BOX, ARGON, potential, temperature_k=T, seed=3, spacing_ang=1.0, refine_kt=3.0)
        if biased
        else None
    )
    n = 5000 if biased else 40_000
    result = widom(BOX, ARGON, potential, temperature_k=T, n_insertions=n, seed=1, energy_grid=grid)
    factor, energy = exact_well()
    close(result.widom_factor, factor, 0.03 * factor)
    close(result.excess_chemical_potential_ev, -math.log(factor) / BETA, 0.03 / BETA)
    close(result.henry_per_cell_bar, factor * BETA * EDGE**3 / EV_PER_ANG3_IN_BAR, 1e9)
    close(result.adsorption_enthalpy_kj_per_mol, energy * EV_IN_KJ_PER_MOL - RT_KJ, 0.06)
    assert result.trusted and result.n_energies == n


@pytest.mark.physics
def test_errors_are_the_scatter_of_repeated_runs(independent):
    potential = independent(well)
    grid = host_energy_grid(BOX, ARGON, potential, temperature_k=T, seed=3, spacing_ang=1.0, refine_kt=3.0)
    runs = [
        widom(BOX, ARGON, potential, temperature_k=T, n_insertions=500, seed=seed, energy_grid=grid)
        for seed in range(40)
    ]
    for name in ("widom_factor", "excess_chemical_potential_ev", "adsorption_enthalpy_kj_per_mol"):
        estimates = [getattr(run, name) for run in runs]
        told = math.sqrt(np.mean([e.standard_error**2 for e in estimates]))
        seen = float(np.std([e.mean for e in estimates], ddof=1))
        assert told == pytest.approx(seen, rel=4.0 / math.sqrt(2 * 39) + 0.05), name


@pytest.mark.physics
@pytest.mark.parametrize("biased", [False, True], ids=["uniform", "drawn from the grid"])
def test_rotor_between_walls(independent, biased):
    """H2 whose sites feel k|z - 4|: place and direction together, against a double integral."""
    k, half_bond = 2.0 / BETA, 0.37

    def wall(sites: np.ndarray) -> float:
        return k * (abs(sites[0, 2] - 4.0) + abs(sites[1, 2] - 4.0))

    def boltzmann(cosine: float, height: float) -> float:
        half = half_bond * cosine
        return math.exp(-2.0 * (abs(height + half) + abs(height - half)))

    exact = 2.0 * dblquad(boltzmann, 0.0, 4.0, 0.0, 1.0)[0] / EDGE
    grid = host_energy_grid(BOX, H2, independent(wall), temperature_k=T, seed=3, spacing_ang=0.5) if biased else None
    n = 6000 if biased else 20_000
    result = widom(BOX, H2, independent(wall), temperature_k=T, n_insertions=n, seed=2, energy_grid=grid)
    close(result.widom_factor, exact, 0.04 * exact)


@pytest.mark.physics
def test_free_volume_of_a_hard_host(independent):
    """W is the share of the cell outside the spheres; energies are asked for only there."""
    host = Atoms("C2", [[1.0, 1.0, 1.0], [5.0, 5.0, 5.0]], cell=[EDGE] * 3, pbc=True)
    result = widom(host, ARGON, independent(), temperature_k=T, n_insertions=20_000, seed=1, min_distance_ang=2.0)
    free = 1.0 - 2.0 * 4.0 / 3.0 * math.pi * 8.0 / EDGE**3
    close(result.widom_factor, free, 0.01)
    assert result.n_energies == pytest.approx(free * 20_000, abs=300)
    mass_kg = 2 * 12.011e-3 / AVOGADRO_PER_MOL
    moles_per_pascal = free * EDGE**3 * 1e-30 / (1.380649e-23 * T) / AVOGADRO_PER_MOL
    close(result.henry_mol_per_kg_pa, moles_per_pascal / mass_kg, 1.0)


@pytest.mark.physics
def test_henry_constant_is_the_slope_of_the_isotherm(pair_potential):
    """Interacting H2 at an open site at 300 K: <N>/f of a dilute grand-canonical run, and its energy per molecule."""
    host = Atoms("Al", [[6.0, 6.0, 6.0]], cell=[12.0] * 3, pbc=True)
    potential = pair_potential(0.00075, 2.7, 6.0, {"Al": (0.0026, 2.4, 0.07, 2.71, 1.6)})
    grid = host_energy_grid(host, H2, potential, temperature_k=300.0, seed=1, spacing_ang=1.0, refine_kt=4.0)
    dilute = widom(host, H2, potential, temperature_k=300.0, n_insertions=15_000, seed=2, energy_grid=grid)
    uniform = widom(host, H2, potential, temperature_k=300.0, n_insertions=15_000, seed=3)
    henry, other = dilute.henry_per_cell_bar, uniform.henry_per_cell_bar
    assert henry.standard_error < 0.03 * henry.mean
    assert abs(henry.mean - other.mean) < 4.0 * math.hypot(henry.standard_error, other.standard_error)
    fugacity_bar = 0.02 / henry.mean
    run = simulate(
        host, H2, potential, temperature_k=300.0, fugacity_bar=fugacity_bar, n_moves=150_000, seed=4, max_frames=0,
        sample_every=2, energy_grid=grid, move_weights={"insertion": 50, "deletion": 50},
    )  # fmt: skip
    slope, slope_error = run.mean_n_adsorbed / fugacity_bar, run.n_adsorbed_error / fugacity_bar
    assert slope_error < 0.06 * slope
    assert abs(slope - henry.mean) < 4.0 * math.hypot(slope_error, henry.standard_error) + 0.02 * henry.mean


def test_same_seed_same_numbers(independent):
    first, again, other = (
        widom(BOX, H2, independent(well), temperature_k=T, n_insertions=100, seed=seed).widom_factor
        for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"temperature_k": -1.0}, "temperature: expected a positive number of K"),
        ({"n_insertions": 0}, "n_insertions: expected a whole number >= 1"),
        ({"seed": -1}, "seed"),
        ({"field": lambda sites: math.inf}, "none in 20; try more"),
    ],
)
def test_bad_input_is_one_line(independent, keywords, words):
    options = {"temperature_k": T, "n_insertions": 20, "seed": 1, **keywords}
    with pytest.raises(BadInputError) as caught:
        widom(BOX, ARGON, independent(options.pop("field", None)), **options)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_hole_of_the_model_is_no_henry_constant(independent):
    """Beyond what numbers hold: one line, not an overflow."""
    with pytest.raises(UntrustworthyEnergyError, match="an insertion at -6 eV: a hole of the model"):
        widom(BOX, ARGON, independent(lambda sites: -6.0), temperature_k=77.0, n_insertions=5, seed=1)


def test_nonsense_energy_stops(independent):
    with pytest.raises(UntrustworthyEnergyError, match="nan eV for an insertion"):
        widom(BOX, ARGON, independent(lambda sites: math.nan), temperature_k=T, n_insertions=5, seed=1)

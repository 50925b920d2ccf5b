"""Feynman–Hibbs in Monte Carlo: wells with exact quantum answers, pairs, sessions, restarts, and what results say."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from scipy.integrate import quad

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from quantum_virial import PAIR_ALONE, TEMPERATURES_K, classical_and_feynman_hibbs, exact, excess_levels

from alh2.core.errors import BadInputError
from alh2.core.units import (
    AMU_ANG2_PER_PS2_IN_EV,
    EV_IN_KJ_PER_MOL,
    EV_PER_ANG3_IN_BAR,
    H2_MASS_AMU,
    HBAR_EV_PS,
    beta_per_ev,
)
from alh2.gcmc import (
    GcmcSettings,
    InterruptedRunError,
    RestartSettings,
    RigidMolecule,
    host_energy_grid,
    simulate,
    widom,
)
from alh2.gcmc.hybrid import FlexibleSettings
from alh2.potential.feynman_hibbs import (
    FeynmanHibbsPotential,
    RadialPairs,
    effective_pair_ev,
    strength_ang2,
    with_nuclei,
)
from alh2.potential.load import load_potential

T = 77.0
BETA = beta_per_ev(T)
H2 = RigidMolecule.h2(0.74)
STRENGTH = strength_ang2(T, H2_MASS_AMU)
MASS = H2_MASS_AMU * AMU_ANG2_PER_PS2_IN_EV
"""Of H2, eV ps²/Å²."""
EDGE = 8.0
BOX = Atoms(cell=[EDGE] * 3, pbc=True)
DEPTH, WIDTH = 10.0 / BETA, 0.7


def centre_of(sites: np.ndarray) -> np.ndarray:
    """From the middle of the box to the centre of mass, the nearest image."""
    delta = sites.mean(axis=0) - 4.0
    return delta - EDGE * np.round(delta / EDGE)


def harmonic(quanta: float):
    """A field in which ħω is `quanta` times kT."""
    spring = MASS * (quanta / BETA / HBAR_EV_PS) ** 2
    return lambda sites: 0.5 * spring * float(centre_of(sites) @ centre_of(sites))


def gaussian(sites: np.ndarray) -> float:
    """A well of 10 kT for the centre of mass."""
    r2 = float(centre_of(sites) @ centre_of(sites))
    return -DEPTH * math.exp(-0.5 * r2 / WIDTH**2)


def gaussian_ev(r_ang: np.ndarray) -> np.ndarray:
    return -DEPTH * np.exp(-0.5 * (r_ang / WIDTH) ** 2)


def hibbs_ev(r: float) -> float:
    """Effective energy of the well by hand."""
    u = -DEPTH * math.exp(-0.5 * (r / WIDTH) ** 2)
    return u + STRENGTH * u * (r * r / WIDTH**4 - 3.0 / WIDTH**2)


def test_strength_is_that_of_the_constants() -> None:
    """βħ²/24M of H2 at 77 K from SI constants, and a quarter of it at four times the temperature."""
    hbar, k, amu = 1.054571817e-34, 1.380649e-23, 1.66053906660e-27
    assert pytest.approx(hbar**2 / (24 * k * T * 2.016 * amu) * 1e20, rel=1e-8) == STRENGTH
    assert strength_ang2(4 * T, H2_MASS_AMU) == pytest.approx(0.25 * STRENGTH)


@pytest.mark.physics
@pytest.mark.parametrize(("quanta", "off"), [(1.0, 2e-3), (2.0, 0.017), (3.0, 0.08)])
def test_harmonic_well_against_the_exact_partition_function(independent, quanta: float, off: float) -> None:
    """Quantum over classical Henry constant is [x/2 / sinh(x/2)]³, x = βħω; Feynman–Hibbs gives exp(-x²/8).

    The heat rises by the energy of the oscillator beyond 3kT: exactly 3(x/2 coth(x/2) - 1)kT, here x²/4 kT.
    """
    classical = independent(harmonic(quanta))
    runs = [
        widom(BOX, H2, potential, temperature_k=T, n_insertions=1000, seed=1)
        for potential in (classical, FeynmanHibbsPotential(classical, temperature_k=T))
    ]
    ratio = runs[1].widom_factor.mean / runs[0].widom_factor.mean
    assert ratio == pytest.approx(math.exp(-(quanta**2) / 8), rel=1e-5)
    half = 0.5 * quanta
    assert abs(ratio / (half / math.sinh(half)) ** 3 - 1.0) < off < 0.13 * (1.0 - ratio)
    rise = (runs[1].adsorption_enthalpy_kj_per_mol.mean - runs[0].adsorption_enthalpy_kj_per_mol.mean) * BETA
    assert rise / EV_IN_KJ_PER_MOL == pytest.approx(quanta**2 / 4, rel=1e-4)
    assert rise / EV_IN_KJ_PER_MOL == pytest.approx(3 * (half / math.tanh(half) - 1), rel=0.15)
    assert runs[0].nuclei == "classical nuclei" and runs[1].nuclei.startswith("quantum: Feynman-Hibbs")


def exact_henry_factor() -> tuple[float, float, float]:
    """W of the Gaussian well: classical, Feynman–Hibbs, and from the quantum levels of a sphere of 12 Å."""

    def factor(energy) -> float:
        integral = quad(lambda r: 4 * math.pi * r * r * math.expm1(-BETA * energy(r)), 0.0, 6.0, limit=200)
        return 1.0 + integral[0] / EDGE**3

    levels = excess_levels(gaussian_ev, np.array([BETA]), mass_amu=H2_MASS_AMU, spacing_ang=0.15, radius_ang=12.0)
    wavelength3 = (2 * math.pi * HBAR_EV_PS**2 * BETA / MASS) ** 1.5
    return factor(lambda r: float(gaussian_ev(np.array(r)))), factor(hibbs_ev), 1.0 + wavelength3 * levels[0] / EDGE**3


@pytest.mark.physics
def test_known_well_in_grand_canonical_monte_carlo(independent) -> None:
    """<N>, heat and Henry constant of H2 in a Gaussian well follow the effective potential, which is near the truth."""
    classical, hibbs, quantum = exact_henry_factor()
    assert classical / quantum > 1.5 and abs(hibbs / quantum - 1.0) < 0.05
    potential = FeynmanHibbsPotential(independent(gaussian, gas_ev=-31.0), temperature_k=T)
    grid = host_energy_grid(BOX, H2, potential, temperature_k=T, seed=3, spacing_ang=1.0, refine_kt=3.0)
    dilute = widom(BOX, H2, potential, temperature_k=T, n_insertions=4000, seed=1, energy_grid=grid)
    factor = dilute.widom_factor
    assert 0 < factor.standard_error < 0.04 * hibbs and abs(factor.mean - hibbs) < 4 * factor.standard_error
    fugacity_bar = 2.0 / (BETA * EDGE**3 * hibbs) * EV_PER_ANG3_IN_BAR
    run = simulate(
        BOX, H2, potential, temperature_k=T, fugacity_bar=fugacity_bar, n_moves=12_000, seed=2, energy_grid=grid
    )
    n = run.averages.n_adsorbed
    assert 0 < n.standard_error < 0.1 and abs(n.mean - 2.0) < 4 * n.standard_error
    heat, slope = run.averages.isosteric_heat_kj_per_mol, 1e-3
    warmer = replace_temperature(T + slope), replace_temperature(T - slope)
    exact_heat = (
        EV_IN_KJ_PER_MOL
        * (math.log(warmer[1]) - math.log(warmer[0]))
        / (beta_per_ev(T - slope) - beta_per_ev(T + slope))
        + EV_IN_KJ_PER_MOL / BETA
    )
    assert heat.standard_error < 0.3 and abs(heat.mean - exact_heat) < 4 * heat.standard_error
    assert abs(-dilute.adsorption_enthalpy_kj_per_mol.mean - exact_heat) < (
        4 * dilute.adsorption_enthalpy_kj_per_mol.standard_error
    )
    assert run.summary()["nuclei"] == run.nuclei == "quantum: Feynman-Hibbs (quadratic; guest-guest classical)"


def replace_temperature(temperature_k: float) -> float:
    """W of the effective potential of another temperature: its own correction, its own β."""
    beta = beta_per_ev(temperature_k)

    def energy(r: float) -> float:
        u = -DEPTH * math.exp(-0.5 * (r / WIDTH) ** 2)
        return u + strength_ang2(temperature_k, H2_MASS_AMU) * u * (r * r / WIDTH**4 - 3.0 / WIDTH**2)

    return 1.0 + quad(lambda r: 4 * math.pi * r * r * math.expm1(-beta * energy(r)), 0.0, 6.0, limit=200)[0] / EDGE**3


def lennard_jones(r: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """u, u', u'' of the H2 of Buch (12-6, σ 2.96 Å, ε 34.2 K)."""
    e, s = 34.2 * 8.617333262e-5, 2.96
    a, b = (s / r) ** 12, (s / r) ** 6
    return 4 * e * (a - b), 4 * e * (-12 * a + 6 * b) / r, 4 * e * (156 * a - 42 * b) / r**2


class PairsOnly:
    """The compiled 12-6 fluid of the tests, with its pairs."""

    def __init__(self, potential, cutoff_ang: float) -> None:
        self._potential, self._cutoff = potential, cutoff_ang
        self.start, self.molecule_energy_ev = potential.start, potential.molecule_energy_ev

    def guest_pairs(self, framework: Atoms) -> RadialPairs:
        def laplacian(r: np.ndarray) -> np.ndarray:
            _, slope, curvature = lennard_jones(r)
            return curvature + 2 * slope / r

        return RadialPairs(laplacian, self._cutoff, np.array(framework.cell))


def test_pairs_have_their_effective_form(pair_potential) -> None:
    """Energies of three molecules are sums of u + βħ²/(24 M/2)(u'' + 2u'/r), whatever way they came about."""
    box = Atoms(cell=[24.0] * 3, pbc=True)
    potential = FeynmanHibbsPotential(PairsOnly(pair_potential(34.2 * 8.617333262e-5, 2.96, 12.0), 12.0),
                                      temperature_k=T, mass_amu=H2_MASS_AMU)  # fmt: skip
    places = np.array([[2.0, 2, 2], [5.4, 2.5, 2], [1.0, 2.0, 22.5]])

    def effective(points: np.ndarray) -> float:
        delta = points[:, None] - points[None]
        delta -= 24.0 * np.round(delta / 24.0)
        r = np.linalg.norm(delta, axis=-1)[np.triu_indices(len(points), 1)]
        each = effective_pair_ev(r, lennard_jones(r), temperature_k=T, reduced_mass_amu=0.5 * H2_MASS_AMU)
        return float(each.sum())

    session = potential.start(box, ("Ar",), np.zeros((0, 1, 3)))
    for place in places:
        assert session.trial(None, place[None]) < math.inf
        session.accept()
    assert session.energy_ev == pytest.approx(effective(places), rel=1e-9)
    moved = places.copy()
    moved[0] += [0.2, -0.4, 0.1]
    assert session.trial(0, moved[0][None]) == pytest.approx(effective(moved) - effective(places), rel=1e-9)
    session.accept()
    assert session.trial(0, None) == pytest.approx(effective(moved[1:]) - effective(moved), rel=1e-9)
    session.accept()
    assert session.energy_ev == pytest.approx(effective(moved[1:]), rel=1e-9)
    assert session.recompute_ev() == pytest.approx(effective(moved[1:]), rel=1e-9)
    fresh = potential.start(box, ("Ar",), moved[1:, None])
    assert fresh.energy_ev == pytest.approx(effective(moved[1:]), rel=1e-9)
    assert session.nuclei == "quantum: Feynman-Hibbs (quadratic; guest-guest in pair form)"
    with pytest.raises(RuntimeError, match="no trial"):
        session.accept()


@pytest.mark.physics
def test_second_virial_coefficient_of_para_hydrogen() -> None:
    """Silvera–Goldman: Feynman–Hibbs against the exact sum over levels, and that against the equation of state."""
    quantum = dict(zip(TEMPERATURES_K, exact(PAIR_ALONE, spacing_ang=0.15, radius_ang=24.0), strict=True))
    for t, most in ((300.0, 0.3), (150.0, 0.5), (88.0, 1.5), (77.0, 2.0)):
        classical, hibbs = classical_and_feynman_hibbs(PAIR_ALONE, t)
        assert abs(hibbs - quantum[t]) < most and abs(hibbs - quantum[t]) < 0.35 * abs(classical - quantum[t])


HOST = Atoms("AlO", [[2.0, 2.0, 2.0], [3.8, 2.0, 2.0]], cell=[[9, 0, 0], [1, 9, 0], [0, 2, 9]], pbc=True)


def test_deep_potential_and_restart(random_model: Path, tmp_path: Path) -> None:
    """The trace of a model's Hessian by two steps; a stopped run goes on as the one that was never stopped."""
    model = load_potential(random_model)
    sites = np.array([[6.0, 6.0, 6.0], [6.0, 6.0, 6.74]]) - [2.6, 3.0, 2.2]
    found = [
        FeynmanHibbsPotential(model, temperature_k=T, step_ang=step).start(HOST, ("H", "H"), sites[None]).correction_ev
        for step in (0.01, 0.02)
    ]
    assert found[0] != 0.0 and found[1] == pytest.approx(found[0], rel=0.01)
    potential = with_nuclei(model, "feynman-hibbs", temperature_k=300.0)
    assert with_nuclei(model, "classical", temperature_k=300.0) is model
    settings = GcmcSettings(min_distance_ang=1.2, n_equilibration=200, sample_every=5)
    fugacity = 8.0 / beta_per_ev(300.0) / abs(np.linalg.det(np.array(HOST.cell))) * EV_PER_ANG3_IN_BAR
    keywords = {"temperature_k": 300.0, "fugacity_bar": fugacity, "n_moves": 800, "seed": 3, "n_initial": 2}
    restart = RestartSettings(tmp_path / "restart.npz", every=100, write_every_s=0.0)
    whole = simulate(HOST, H2, potential, settings=replace(settings, restart=restart), **keywords)
    restart.file.unlink()
    left = iter(range(40))
    stopping = replace(restart, stop=lambda: next(left, None) is None)
    with pytest.raises(InterruptedRunError):
        simulate(HOST, H2, potential, settings=replace(settings, restart=stopping), **keywords)
    again = simulate(HOST, H2, potential, settings=replace(settings, restart=restart), **keywords)
    assert whole.corrections_ev is not None and again.corrections_ev is not None
    np.testing.assert_array_equal(again.corrections_ev, whole.corrections_ev)
    np.testing.assert_array_equal(again.energy_ev, whole.energy_ev)
    np.testing.assert_allclose(
        whole.adsorption_energy_ev - whole.corrections_ev,
        whole.energy_ev - whole.host_energy_ev - whole.n_adsorbed * whole.molecule_energy_ev,
        atol=1e-12,
    )
    assert whole.max_energy_drift_ev is not None and whole.max_energy_drift_ev < 1e-9


def test_what_makes_no_sense_is_refused(random_model: Path, independent) -> None:
    with pytest.raises(BadInputError, match="temperature: expected a positive number"):
        FeynmanHibbsPotential(independent(), temperature_k=0.0)
    potential = FeynmanHibbsPotential(load_potential(random_model), temperature_k=T)
    from alh2.gcmc import simulate_flexible

    with pytest.raises(BadInputError, match="flexible framework: expected classical nuclei"):
        simulate_flexible(
            HOST, H2, potential, flexible=FlexibleSettings(random_model), temperature_k=T, fugacity_bar=1.0,
            n_moves=10, seed=1,
        )  # fmt: skip

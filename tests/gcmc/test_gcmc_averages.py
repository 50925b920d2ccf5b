"""Averages of runs: transients, errors, the isosteric heat against exact values, and replicas that disagree."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from scipy.integrate import quad

from alh2.core.statistics import Estimate
from alh2.core.units import EV_IN_KJ_PER_MOL, EV_PER_ANG3_IN_BAR, beta_per_ev
from alh2.gcmc import RigidMolecule, simulate
from alh2.gcmc.averages import LEAST_BLOCKS, averages, isosteric_heat
from alh2.gcmc.replicas import combine, disagreement

T = 77.0
BETA = beta_per_ev(T)
RT_KJ = EV_IN_KJ_PER_MOL / BETA


def ar1(rng: np.random.Generator, n: int, phi: float) -> np.ndarray:
    noise = rng.normal(size=n) * math.sqrt(1 - phi**2)
    values = np.empty(n)
    values[0] = rng.normal()
    for t in range(1, n):
        values[t] = phi * values[t - 1] + noise[t]
    return values


def fluctuating(rng: np.random.Generator, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """N and U with a slope of exactly -0.05 eV per molecule between them, correlated over 20 samples."""
    number = 20.0 + 3.0 * ar1(rng, n, 0.9)
    return number, 1.0 - 0.05 * number + 0.1 * ar1(rng, n, 0.8)


@pytest.mark.physics
def test_heat_of_series_and_its_error():
    """The exact slope, and a jackknife error that is the scatter of repeated series."""
    rng = np.random.default_rng(4)
    heats = [isosteric_heat([fluctuating(rng)], temperature_k=T) for _ in range(60)]
    exact = RT_KJ + 0.05 * EV_IN_KJ_PER_MOL
    mean, seen = np.mean([h.mean for h in heats]), np.std([h.mean for h in heats], ddof=1)
    assert abs(mean - exact) < 4.0 * seen / math.sqrt(60)
    told = math.sqrt(np.mean([h.standard_error**2 for h in heats]))
    assert told == pytest.approx(seen, rel=4.0 / math.sqrt(2 * 59) + 0.05)
    both = isosteric_heat([fluctuating(rng), fluctuating(rng)], temperature_k=T)
    assert both.standard_error == pytest.approx(told / math.sqrt(2), rel=0.5)
    assert abs(both.mean - exact) < 4.0 * both.standard_error


@pytest.mark.physics
def test_heat_of_independent_molecules(independent):
    """For molecules that do not see each other q_st = RT - <u>, by quadrature; the gas energy drops out."""
    depth, width, edge = 4.0 / BETA, 1.0, 8.0

    def well(sites: np.ndarray) -> float:
        x, y, z = (sites[0] - 0.5 * edge).tolist()
        return -depth * math.exp(-0.5 * (x * x + y * y + z * z) / width**2)

    def u(r: float) -> float:
        return -depth * math.exp(-0.5 * (r / width) ** 2)

    weight = quad(lambda r: 4 * math.pi * r * r * math.expm1(-BETA * u(r)), 0.0, 4.0)[0] + edge**3
    energy = quad(lambda r: 4 * math.pi * r * r * u(r) * math.exp(-BETA * u(r)), 0.0, 4.0)[0] / weight
    result = simulate(
        Atoms(cell=[edge] * 3, pbc=True),
        RigidMolecule.single("Ar"),
        independent(well, gas_ev=-9.0, host_ev=100.0),
        temperature_k=T,
        fugacity_bar=3.0 / weight / BETA * EV_PER_ANG3_IN_BAR,
        n_moves=150_000,
        seed=3,
        max_frames=0,
    )
    heat = result.averages.isosteric_heat_kj_per_mol
    assert 0.0 < heat.standard_error < 0.08
    assert abs(heat.mean - (RT_KJ - energy * EV_IN_KJ_PER_MOL)) < 4.0 * heat.standard_error
    assert heat.mean > 1.0
    assert result.summary()["averages"]["isosteric_heat_kj_per_mol"] == heat.mean


def test_transient_is_left_out_and_errors_agree():
    """The start far from equilibrium is dropped; block error and autocorrelation error tell the same."""
    rng = np.random.default_rng(6)
    number, energy = fluctuating(rng, 12_000)
    number[:600] += 60.0 * np.exp(-np.arange(600) / 120.0)
    found = averages(number, energy, temperature_k=T)
    assert 240 < found.n_discarded < 2500
    assert abs(found.n_adsorbed.mean - 20.0) < 4.0 * found.n_adsorbed.standard_error
    assert found.n_adsorbed_blocks.standard_error == pytest.approx(found.n_adsorbed.standard_error, rel=0.4)
    assert 12.0 < found.inefficiency < 30.0  # (1 + 0.9)/(1 - 0.9) = 19


def test_what_is_not_known_is_not_told():
    constant = averages(np.full(200, 3), np.full(200, -0.1), temperature_k=T)
    assert math.isnan(constant.isosteric_heat_kj_per_mol.mean)
    assert constant.summary()["isosteric_heat_kj_per_mol"] is None
    rng = np.random.default_rng(1)
    short = averages(*(series[: LEAST_BLOCKS - 1] for series in fluctuating(rng)), temperature_k=T)
    assert math.isnan(short.isosteric_heat_kj_per_mol.standard_error)
    assert math.isnan(short.n_adsorbed_blocks.standard_error)
    with pytest.raises(ValueError, match="series of 3 and 2"):
        averages(np.zeros(3), np.zeros(2), temperature_k=T)


def test_replicas_that_agree_and_that_do_not():
    quiet = Estimate(5.0, 0.1, 50, 100)
    near, far = replace(quiet, mean=5.3), replace(quiet, mean=5.6)
    stuck, other = Estimate(0.0, math.nan, 1, 100), Estimate(4.0, math.nan, 1, 100)
    assert disagreement([quiet]) == (0.0, False)
    assert disagreement([quiet, near]) == (pytest.approx(0.3 / math.hypot(0.1, 0.1)), False)
    assert disagreement([quiet, near, far])[1]
    assert disagreement([stuck, quiet]) == (pytest.approx(50.0), True)
    assert disagreement([stuck, other]) == (math.inf, True)
    assert disagreement([stuck, stuck]) == (0.0, False)
    with pytest.raises(ValueError, match="no results"):
        combine([])


def test_a_barrier_between_starts_is_flagged(independent):
    """Two wells of 60 kT kept apart for the length of a run: full from a full start, empty from an empty one."""

    def wells(sites: np.ndarray) -> float:
        x = float(sites[0, 0])
        return -60.0 / BETA if 4.0 < x < 4.0001 else 0.0

    def point(n_initial: int, guests: np.ndarray | None, fugacity_bar: float = 1e-6):
        return simulate(
            Atoms(cell=[8.0] * 3, pbc=True), RigidMolecule.single("Ar"), independent(wells, hard_core_ang=3.0),
            temperature_k=T, fugacity_bar=fugacity_bar, n_moves=4000, seed=1, n_initial=n_initial,
            initial_guests_ang=guests, n_equilibration=0,
        )  # fmt: skip

    full = np.array([[[4.00005, 4.0, 4.0]]])
    flagged = combine([point(0, None), point(0, full)])
    assert flagged.hysteresis and math.isnan(flagged.isosteric_heat_kj_per_mol.mean)
    assert flagged.summary()["hysteresis"] is True
    assert flagged.n_adsorbed.standard_error > 0.3
    gas = combine([point(0, None, 20.0), replace(point(2, None, 20.0), seed=2)])
    assert not gas.hysteresis

"""Points of isotherms from chains whose averages are known, and how long chains go on."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from alh2.core.errors import BadInputError
from alh2.core.statistics import Estimate
from alh2.core.units import BAR_IN_EV_PER_ANG3, EV_IN_KJ_PER_MOL, beta_per_ev
from alh2.gcmc import RigidMolecule, simulate
from alh2.production.isotherm_points import Chain, PointAverages, moves_to_add, point_averages
from alh2.production.isotherm_result import (
    HostFacts,
    Isotherm,
    IsothermPoint,
    VoidFacts,
    point_words,
    read_isotherm,
    write_isotherm,
)

EDGE_ANG, DEPTH_EV, TEMPERATURE_K = 10.0, 0.02, 120.0


class Langmuir:
    """Session and potential in one: at most one molecule, -DEPTH_EV in one eighth of the cell, 0 elsewhere."""

    gas_ev = -1.3

    def start(self, framework: Atoms, molecule_symbols: tuple[str, ...], guests_ang: np.ndarray) -> Langmuir:
        self.energy_ev = sum((self.of(sites) for sites in guests_ang), 0.0)
        return self

    def molecule_energy_ev(self, molecule_symbols: tuple[str, ...], sites_ang: np.ndarray) -> float:
        return self.gas_ev

    def of(self, sites: np.ndarray) -> float:
        inside = (sites.mean(axis=0) % EDGE_ANG < 0.5 * EDGE_ANG).all()
        return self.gas_ev - DEPTH_EV * bool(inside)

    def trial(self, remove: int | None, insert_ang: np.ndarray | None) -> float:
        self.after = 0.0 if insert_ang is None else self.of(insert_ang)
        return self.after - self.energy_ev

    def accept(self) -> None:
        self.energy_ev = self.after

    def recompute_ev(self) -> float:
        return self.energy_ev


@pytest.mark.physics
def test_langmuir_site_from_empty_and_full() -> None:
    """One molecule at most: N = x/(1 + x), x = βfV(7 + e^βε)/8; q = RT + ε e^βε/(7 + e^βε)."""
    beta = beta_per_ev(TEMPERATURE_K)
    box = Atoms(cell=[EDGE_ANG] * 3, pbc=True)
    boltzmann = math.exp(beta * DEPTH_EV)
    mean_factor = (7.0 + boltzmann) / 8.0
    fugacity_bar = 1.0 / (beta * BAR_IN_EV_PER_ANG3 * EDGE_ANG**3 * mean_factor)
    chains = []
    for n_initial in (0, 1):
        result = simulate(
            box, RigidMolecule.h2(0.75), Langmuir(), temperature_k=TEMPERATURE_K,
            fugacity_bar=fugacity_bar, n_moves=60_000, seed=11 + n_initial, n_initial=n_initial, max_molecules=1,
        )  # fmt: skip
        chains.append(
            Chain(
                n_initial, 60_000, result.n_adsorbed, result.adsorption_energy_ev, result.acceptance["insertion"].ratio
            )
        )
    point = point_averages(chains, temperature_k=TEMPERATURE_K)
    n, heat = point.n_adsorbed, point.isosteric_heat_kj_per_mol
    exact_heat = EV_IN_KJ_PER_MOL * (1.0 / beta + DEPTH_EV * boltzmann / (7.0 + boltzmann))
    assert 0.0 < n.standard_error < 0.02 and abs(n.mean - 0.5) < 4 * n.standard_error
    assert 0.0 < heat.standard_error < 0.1 and abs(heat.mean - exact_heat) < 4 * heat.standard_error
    assert not point.hysteresis and point.n_moves == 120_000
    assert point.is_known(0.05) and not point.is_known(1e-4)


def chain(n_initial: int, values: np.ndarray) -> Chain:
    return Chain(n_initial, values.size, values, -0.01 * values, 0.1)


def test_chains_that_stay_where_they_began_disagree() -> None:
    rng = np.random.default_rng(3)
    low, high = rng.poisson(2.0, 2000), 12 + rng.poisson(2.0, 2000)
    point = point_averages([chain(0, low), chain(12, high)], temperature_k=77.0)
    assert point.hysteresis and point.largest_difference_sigma > 100
    assert math.isnan(point.isosteric_heat_kj_per_mol.mean)
    assert point.n_adsorbed.mean == pytest.approx(0.5 * (point.chains[0].n_adsorbed + point.chains[1].n_adsorbed))
    assert point.n_adsorbed.standard_error > 3.0
    assert not point.is_known(0.9)


def test_samples_at_the_largest_loading_allowed_are_counted() -> None:
    free, held = np.array([4, 5, 6, 5] * 250), np.array([7, 8, 8, 7] * 250)
    assert point_averages([chain(0, free)], temperature_k=77.0).at_limit == 0.0  # no limit
    assert point_averages([chain(0, free)], temperature_k=77.0, max_loading=8).at_limit == 0.0
    assert point_averages([chain(0, held), chain(8, held)], temperature_k=77.0, max_loading=8).at_limit == 0.5


def test_chain_in_which_nothing_happened_has_no_error() -> None:
    frozen = np.full(500, 4)
    point = point_averages([chain(4, frozen)], temperature_k=77.0)
    assert point.n_adsorbed.mean == 4.0 and math.isnan(point.n_adsorbed.standard_error)
    assert not point.is_known(0.5)
    both = point_averages([chain(4, frozen), chain(4, frozen)], temperature_k=77.0)
    assert math.isnan(both.n_adsorbed.standard_error)


def averages_of(mean: float, error: float, *, done: int = 1000, hysteresis: bool = False) -> PointAverages:
    values = np.arange(done)
    estimate = point_averages([chain(0, values)], temperature_k=77.0)
    return PointAverages(
        Estimate(mean, error, 100.0, done),
        estimate.n_variance,
        estimate.isosteric_heat_kj_per_mol,
        9.0,
        hysteresis,
        estimate.chains,
    )


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        (averages_of(10.0, 0.49), 0),
        (averages_of(10.0, 0.6), 600),  # 1.2·1000·(1.2² - 1) = 528
        (averages_of(10.0, 0.9), 2000),  # twice what was done at most: 1.2·1000·(1.8² - 1) = 2688
        (averages_of(10.0, math.nan), 1000),
        (averages_of(0.0, 0.0), 1000),
        (averages_of(10.0, 0.01, hysteresis=True), 1000),
        (averages_of(10.0, 5.0, done=2900), 200),  # at most 3000 in all, in steps of 200
        (averages_of(10.0, 5.0, done=3000), 0),
    ],
)
def test_length_of_an_extension(point: PointAverages, expected: int) -> None:
    assert moves_to_add(point, relative_error=0.05, step=200, most=3000) == expected


def an_isotherm() -> Isotherm:
    point = point_averages([chain(0, np.arange(100) % 7), chain(3, np.full(100, 3))], temperature_k=77.0)
    known = IsothermPoint(
        77.0, 0.15, 0.1499, 1.4e-5, 24.0, 0.5, 23.9, 0.5, 6.1, 0.2, 0.4, False, 200, False, point.chains
    )
    unknown = IsothermPoint(
        77.0, 0.01, 0.01, 1e-6, 1.0, math.nan, math.nan, math.nan, math.nan, math.nan, math.inf, True, 200, True, ()
    )
    host = HostFacts("al-soc-mof", "C192H80Al24N24O112", 5162.0, 10175.0, "a model", 0.75, None)
    return Isotherm(host, VoidFacts("helium", "words", 0.7, 0.001), (known, unknown))


def test_isotherm_reads_back_with_what_is_unknown(tmp_path: Path) -> None:
    written = an_isotherm()
    write_isotherm(tmp_path, written)
    assert "NaN" not in (tmp_path / "isotherm.json").read_text()
    read = read_isotherm(tmp_path)
    assert read is not None and read.host == written.host and read.void == written.void
    np.testing.assert_equal(read.points[0].chains[0], written.points[0].chains[0])
    assert math.isnan(read.points[0].chains[1].n_adsorbed_error) and math.isnan(read.points[1].n_absolute_error)
    assert read.temperatures_k == (77.0,)
    assert [p.pressure_bar for p in read.at(77.0)] == [0.01, 0.15]


def test_units_by_hand() -> None:
    """24 H2 (48.384 amu) on 5162 amu: 24/5.162 = 4.6494 mol/kg, 48.384/5210.384 = 0.92861 wt%, 104.212 cm³/g."""
    isotherm = an_isotherm()
    assert isotherm.loading(24.0, "molecules/cell") == 24.0
    assert isotherm.loading(24.0, "mol/kg") == pytest.approx(4.64936, abs=1e-5)
    assert isotherm.loading(24.0, "wt%") == pytest.approx(0.928607, abs=1e-6)
    assert isotherm.loading(24.0, "cm3(STP)/g") == pytest.approx(4.64936 * 22.41397, abs=1e-3)
    assert isotherm.loading_error(24.0, 0.5, "mol/kg") == pytest.approx(0.5 / 5.162, rel=1e-6)
    # d(wt%)/dN = 100 m M/(M + N m)²
    slope = 100 * 2.016 * 5162.0 / 5210.384**2
    assert isotherm.loading_error(24.0, 0.5, "wt%") == pytest.approx(0.5 * slope, rel=1e-6)
    with pytest.raises(BadInputError, match="unit of loading"):
        isotherm.loading(1.0, "g/L")


def test_words_say_what_is_wrong_with_a_point() -> None:
    good, bad = an_isotherm().points
    assert point_words(good) == "77 K, 0.15 bar: 24 ± 0.5 H2 per cell; not as exact as asked for"
    assert "error unknown" in point_words(bad) and "disagree" in point_words(bad)


def test_no_or_foreign_results(tmp_path: Path) -> None:
    assert read_isotherm(tmp_path) is None
    for text in ("[3]", '{"a": 1}', '{"version": 2, "host": {}}', '{"version": 1}'):
        (tmp_path / "isotherm.json").write_text(text)
        with pytest.raises(BadInputError, match="isotherm.json"):
            read_isotherm(tmp_path)

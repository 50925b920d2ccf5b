"""Intervals of predictions, against a site whose loading is known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ase import Atoms

from alh2.core.statistics import Estimate
from alh2.core.units import EV_PER_ANG3_IN_BAR, beta_per_ev
from alh2.gcmc import RigidMolecule, simulate
from alh2.production.committee_interval import (
    NORMAL_95,
    committee_interval,
    loading_error,
    no_less_than_elsewhere,
    reweighted,
    systematic_error_ev,
)

T = 77.0
BETA = beta_per_ev(T)


def estimate(mean: float, error: float) -> Estimate:
    return Estimate(mean, error, 100.0, 1000)


def test_one_model_has_statistics_only() -> None:
    found = committee_interval([estimate(3.0, 0.2)])
    assert (found.mean, found.statistical, found.committee, found.model) == (3.0, 0.2, 0.0, 0.0)
    assert found.half_width_95 == pytest.approx(0.392, abs=1e-3)
    assert found.covers(3.39) and not found.covers(3.40)


def test_scatter_that_statistics_explains_is_not_counted_twice() -> None:
    """10,000 committees of three members that agree: the interval covers the truth 95 % of the time or a little more;
    and of three that do not: near 95 % as well for one further member."""
    rng = np.random.default_rng(1)
    for spread in (0.0, 1.0):
        covered = 0
        for _ in range(4000):
            means = 5.0 + spread * rng.normal(size=3) + 0.1 * rng.normal(size=3)
            truth = 5.0 + spread * rng.normal()
            covered += committee_interval([estimate(m, 0.1) for m in means]).covers(truth)
        assert 0.92 <= covered / 4000 <= 0.995


@pytest.mark.parametrize("alike", [0.0, 0.7, 1.0])
def test_two_models_that_agree_by_chance_promise_nothing(alike: float) -> None:
    """6 points whose models' energies are off by 5 meV, alike at all points or not: covered as often as said, and
    without the intervals of nearly nothing that two models alone give now and then."""
    rng, n = np.random.default_rng(2), 1500
    responses = np.array([10.0, 30.0, 60.0, 110.0, 150.0, 180.0])
    covered, tiny_alone, tiny = 0, 0, 0
    for _ in range(n):
        common = rng.normal(size=(3, 1))  # two models, and the truth as another one
        own = rng.normal(size=(3, 6))
        off = 0.005 * responses * (math.sqrt(alike) * common + math.sqrt(1.0 - alike) * own)
        alone = [committee_interval([estimate(m, 0.02) for m in off[:2, k]]) for k in range(6)]
        together = no_less_than_elsewhere(alone, responses.tolist(), [True] * 6)
        assert all(
            t.mean == a.mean and t.half_width_95 >= a.half_width_95 for a, t in zip(alone, together, strict=True)
        )
        covered += sum(t.covers(off[2, k]) for k, t in enumerate(together))
        tiny_alone += sum(a.half_width_95 < 0.003 * r for a, r in zip(alone, responses, strict=True))
        tiny += sum(t.half_width_95 < 0.003 * r for t, r in zip(together, responses, strict=True))
    assert covered / (6 * n) > 0.93
    assert alike == 1.0 or tiny < (0.5 if alike else 0.05) * tiny_alone


def test_points_that_are_not_sound_say_nothing_of_others() -> None:
    far, near = (committee_interval([estimate(1.0, 0.0), estimate(1.0 + d, 0.0)]) for d in (1.0, 0.01))
    kept = no_less_than_elsewhere([far, near], [1.0, 2.0], [False, True])
    assert kept == [far, near]
    wider = no_less_than_elsewhere([far, near], [1.0, 2.0], [True, True])
    assert wider[0] == far and wider[1].committee == pytest.approx(
        2.0 * math.sqrt((far.committee**2 + (near.committee / 2.0) ** 2) / 2.0)
    )
    assert no_less_than_elsewhere([far], [0.0], [True]) == [far] and no_less_than_elsewhere([], [], []) == []


def test_error_of_the_energy_moves_a_langmuir_site_as_said() -> None:
    """N = x/(1+x), x ~ exp(-βδ): the derivative is β times the variance."""
    x, delta = 1.5, 1e-5
    n = [x * math.exp(-BETA * d) / (1.0 + x * math.exp(-BETA * d)) for d in (-delta, 0.0, delta)]
    slope = (n[2] - n[0]) / (2.0 * delta)
    variance = n[1] * (1.0 - n[1])
    assert loading_error(variance, 0.003, temperature_k=T) == pytest.approx(abs(slope) * 0.003, rel=1e-5)


def test_systematic_error_is_the_mean_and_its_uncertainty() -> None:
    assert systematic_error_ev(np.array([0.01, 0.01, 0.01])) == pytest.approx(0.01)
    assert systematic_error_ev(np.array([0.01, -0.01])) == pytest.approx(0.01)  # mean 0, standard error 0.0141/√2
    assert math.isinf(systematic_error_ev(np.array([0.01])))


class Shift:
    """Every molecule has this energy (eV), at most one fits."""

    def __init__(self, energy_ev: float) -> None:
        self.each = energy_ev

    def start(self, framework: Atoms, symbols: tuple[str, ...], guests: np.ndarray) -> ShiftSession:
        return ShiftSession(self.each, guests)

    def molecule_energy_ev(self, symbols: tuple[str, ...], sites: np.ndarray) -> float:
        return 0.0


class ShiftSession:
    def __init__(self, each: float, guests: np.ndarray) -> None:
        self.each, self.n, self.change = each, len(guests), 0

    @property
    def energy_ev(self) -> float:
        return self.each * self.n

    def trial(self, remove: int | None, insert: np.ndarray | None) -> float:
        self.change = (insert is not None) - (remove is not None)
        return self.each * self.change

    def accept(self) -> None:
        self.n += self.change

    def recompute_ev(self) -> float:
        return self.energy_ev


@pytest.mark.physics
def test_reweighting_and_running_agree_until_weights_run_out() -> None:
    edge = 10.0

    def run(each_ev: float) -> object:
        return simulate(
            Atoms(cell=[edge] * 3, pbc=True), RigidMolecule.single("Ar"), Shift(each_ev), temperature_k=T,
            fugacity_bar=EV_PER_ANG3_IN_BAR / BETA / edge**3, n_moves=40_000, seed=4, max_molecules=1, sample_every=4,
        )  # fmt: skip

    base = run(0.0)
    for shift_ev in (-0.004, 0.004):
        found = reweighted(base.n_adsorbed, shift_ev * base.n_adsorbed, temperature_k=T)
        exact = math.exp(-BETA * shift_ev) / (1.0 + math.exp(-BETA * shift_ev))
        other = run(shift_ev).n_adsorbed_estimate
        assert found.trusted and 0.0 < found.estimate.standard_error < 0.02
        assert abs(found.estimate.mean - exact) < 4.0 * found.estimate.standard_error
        assert abs(other.mean - exact) < 4.0 * other.standard_error
        assert abs(found.estimate.mean - other.mean) < 4.0 * math.hypot(
            found.estimate.standard_error, other.standard_error
        )
    rng = np.random.default_rng(0)
    lost = reweighted(np.arange(200.0), 0.05 * rng.normal(size=200), temperature_k=T)
    assert not lost.trusted
    assert NORMAL_95 * lost.estimate.standard_error > 0.0


def test_numbers_whose_squares_overflow() -> None:
    """Henry constants at 10 K: the interval in units of 1e200 is the one of the same numbers near 1."""
    near = [Estimate(1.0, 0.1, 50.0, 50), Estimate(1.4, 0.2, 50.0, 50)]
    far = [Estimate(1e200 * e.mean, 1e200 * e.standard_error, 50.0, 50) for e in near]
    small, large = committee_interval(near, model_error=0.3), committee_interval(far, model_error=0.3e200)
    assert large.half_width_95 == pytest.approx(1e200 * small.half_width_95, rel=1e-12)
    assert large.mean == pytest.approx(1e200 * small.mean, rel=1e-12)

"""The chain through incremental energies of a `se_e2_a` model, where the answer is known from elsewhere."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from scipy.spatial.transform import Rotation

from alh2.core.units import EV_PER_ANG3_IN_BAR, beta_per_ev
from alh2.gcmc import RigidMolecule, host_energy_grid, simulate, widom
from alh2.potential.incremental import IncrementalPotential
from alh2.potential.load import load_potential

pytestmark = pytest.mark.physics

T = 300.0
BETA = beta_per_ev(T)
EDGE = 9.0
H2 = RigidMolecule.h2(0.74)
HOST = Atoms("AlO", [[2.0, 2.0, 2.0], [3.8, 2.0, 2.0]], cell=[EDGE] * 3, pbc=True)
WALL_ANG = 1.4


@pytest.fixture(scope="module")
def potential(random_model: Path) -> IncrementalPotential:
    found = load_potential(random_model)
    assert isinstance(found, IncrementalPotential)
    return found


def one_at_most(potential, framework: Atoms, x: float, **options):
    """With at most one molecule <N> = x/(1 + x), x = βfVW, whatever the molecules would do to each other."""
    fugacity_bar = x / (BETA * EDGE**3) * EV_PER_ANG3_IN_BAR
    return simulate(
        framework, H2, potential, temperature_k=T, fugacity_bar=fugacity_bar, max_molecules=1, seed=3, max_frames=0,
        n_moves=20_000, sample_every=2, **options,
    ).n_adsorbed_estimate  # fmt: skip


def test_empty_box_is_an_ideal_gas(potential):
    """Absolute energies of tens of eV cancel: a molecule alone costs exactly its gas energy."""
    number = one_at_most(potential, Atoms(cell=[EDGE] * 3, pbc=True), 1.5)
    assert 0.0 < number.standard_error < 0.02
    assert abs(number.mean - 0.6) < 4.0 * number.standard_error
    alone = widom(Atoms(cell=[EDGE] * 3, pbc=True), H2, potential, temperature_k=T, n_insertions=200, seed=1)
    assert alone.widom_factor.mean == pytest.approx(1.0, abs=1e-6)


def test_host_against_direct_integration(potential):
    """W of the host by full energies at independent random molecules; then Widom and the chain, biased or not."""
    n, rng = 1500, np.random.default_rng(5)
    turns = Rotation.random(n, random_state=6).as_matrix()
    sites = np.array(H2.sites_ang) @ turns.transpose(0, 2, 1) + EDGE * rng.random((n, 1, 3))
    empty = np.zeros((0, 2, 3))
    host_ev = potential.start(HOST, H2.symbols, empty).energy_ev
    gas_ev = potential.molecule_energy_ev(H2.symbols, np.array(H2.sites_ang))
    factors = np.zeros(n)
    for number, molecule in enumerate(sites):
        delta = molecule[:, None] - HOST.positions[None]
        delta -= EDGE * np.rint(delta / EDGE)
        if np.linalg.norm(delta, axis=-1).min() >= WALL_ANG:
            full_ev = potential.start(HOST, H2.symbols, molecule[None]).energy_ev
            factors[number] = math.exp(-BETA * (full_ev - host_ev - gas_ev))
    direct, error = float(factors.mean()), float(factors.std()) / math.sqrt(n)
    assert abs(direct - 1.0) > 4.0 * error, "the host does nothing"
    grid = host_energy_grid(
        HOST, H2, potential, temperature_k=T, seed=1, spacing_ang=1.5, refine_kt=0.5, min_distance_ang=WALL_ANG
    )
    for used in (None, grid):
        found = widom(
            HOST, H2, potential, temperature_k=T, n_insertions=3000, seed=2, energy_grid=used, min_distance_ang=WALL_ANG
        ).widom_factor
        assert abs(found.mean - direct) < 4.0 * math.hypot(found.standard_error, error)
        number = one_at_most(potential, HOST, 1.0 / direct, energy_grid=used, min_distance_ang=WALL_ANG)
        assert 0.0 < number.standard_error < 0.02
        assert abs(number.mean - 0.5) < 4.0 * math.hypot(number.standard_error, 0.25 * error / direct)


def test_start_and_weights_of_moves_do_not_matter(potential):
    """Several molecules that feel each other: four ways to move and two starts, one answer for N and one for U."""
    ways = [
        ({"insertion": 30, "deletion": 30, "translation": 20, "rotation": 20}, 0),
        ({"insertion": 30, "deletion": 30, "translation": 20, "rotation": 20}, 6),
        ({"insertion": 15, "deletion": 35, "translation": 30, "rotation": 20}, 6),
        ({"insertion": 25, "deletion": 25, "reinsertion": 50}, 0),
    ]
    found = [
        simulate(
            HOST, H2, potential, temperature_k=T, fugacity_bar=3.0 / (BETA * EDGE**3) * EV_PER_ANG3_IN_BAR,
            max_molecules=8, seed=11 + k, n_initial=n, n_moves=12_000, sample_every=4, max_frames=0, move_weights=way,
            min_distance_ang=WALL_ANG,
        ).averages
        for k, (way, n) in enumerate(ways)
    ]  # fmt: skip
    assert 0.3 < found[0].n_adsorbed.mean < 7.7
    for name in ("n_adsorbed", "adsorption_energy_ev"):
        first, *others = (getattr(a, name) for a in found)
        assert 0.0 < first.standard_error < 0.25
        for other in others:
            assert abs(other.mean - first.mean) < 4.0 * math.hypot(other.standard_error, first.standard_error), name

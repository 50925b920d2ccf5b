"""Simulations side by side are exactly those that run alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.lj import LennardJones

from alh2.core.errors import BadInputError
from alh2.gcmc.errors import InterruptedRunError
from alh2.gcmc.molecule import RigidMolecule
from alh2.gcmc.settings import GcmcSettings
from alh2.gcmc.simulation import simulate
from alh2.gcmc.together import Point, run_together, simulate_together
from alh2.potential.ase_potential import AsePotential
from alh2.potential.incremental import IncrementalPotential
from alh2.potential.protocol import Potential

CELL = np.array([[13.0, 0.0, 0.0], [3.0, 12.0, 0.0], [-2.0, 4.0, 11.5]])
HOST = Atoms(
    "OAlHCO", np.array([[0.1, 0.2, 0.1], [0.5, 0.4, 0.6], [0.8, 0.1, 0.4], [0.3, 0.8, 0.2], [0.7, 0.7, 0.9]]) @ CELL
)
H2 = RigidMolecule.h2(0.74)
SETTINGS = GcmcSettings(n_equilibration=120, sample_every=1, self_check_every=60, max_molecules=12)


@pytest.fixture(scope="module")
def host() -> Atoms:
    host = HOST.copy()
    host.set_cell(CELL)
    host.pbc = True
    return host


def points(n: int) -> list[Point]:
    return [Point(300.0 + 40 * k, 10.0 ** (k % 5 + 1), seed=k, n_initial=k % 3, settings=SETTINGS) for k in range(n)]


@pytest.mark.parametrize(("n", "threads"), [(5, 2), (4, 1)])
def test_every_walker_does_what_it_does_alone(
    n: int, threads: int, host: Atoms, random_model: Callable[..., Path]
) -> None:
    model = random_model(descriptor={"sel": [30, 30, 60, 30]}, fitting={"seed": 3})
    potential = IncrementalPotential(model, threads=threads)
    side_by_side = simulate_together(host, H2, potential, points=points(n), n_moves=200)
    moved = 0
    for point, result in zip(points(n), side_by_side, strict=True):
        alone = simulate(
            host,
            H2,
            potential,
            temperature_k=point.temperature_k,
            fugacity_bar=point.fugacity_bar,
            n_moves=200,
            seed=point.seed,
            n_initial=point.n_initial,
            settings=point.settings,
        )
        np.testing.assert_array_equal(result.n_adsorbed, alone.n_adsorbed)
        np.testing.assert_array_equal(result.energy_ev, alone.energy_ev)
        np.testing.assert_array_equal(result.final_guests_ang, alone.final_guests_ang)
        assert result.acceptance == alone.acceptance
        moved += sum(a.accepted for a in result.acceptance.values())
    assert moved > 50 * n


@pytest.mark.parametrize("grows", ["more atoms", "more rows"])
def test_a_trial_can_be_accepted_after_another_walker_needed_more_room(
    grows: str, host: Atoms, random_model: Callable[..., Path]
) -> None:
    """Evaluated trials outlive the buffers they were evaluated in."""
    potential = IncrementalPotential(random_model(descriptor={"sel": [300, 300, 600, 3000]}, fitting={"seed": 3}))
    walkers = potential.walkers(host, ("H", "H"), n_walkers=2)
    molecule = np.array([[6.0, 9.0, 2.0], [6.0, 9.0, 2.74]])
    for w in (0, 1):
        walkers.start(w, np.empty((0, 2, 3)))
    change_ev = walkers.trial(0, None, molecule)
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 6, endpoint=False) + 0.03] * 3), axis=-1).reshape(-1, 3)
    crowd = (grid[: 70 if grows == "more atoms" else 60] @ CELL)[:, None] + np.array([[0.0, 0, 0], [0.0, 0, 0.74]])
    distances = np.linalg.norm(crowd.reshape(-1, 1, 3) - host.positions, axis=-1).min(axis=1).reshape(-1, 2).min(axis=1)
    room, capacity = walkers._room, walkers._state.positions.shape[1]
    walkers.start(1, crowd[distances > 0.6])
    assert (walkers._state.positions.shape[1] > capacity) == (grows == "more atoms")
    assert walkers._room > room or grows == "more atoms"
    walkers.accept(0)
    kept_ev = walkers.energy_ev(0)
    np.testing.assert_array_equal(walkers.guests_ang(0), molecule[None])
    walkers.refresh(0)
    assert walkers.energy_ev(0) == pytest.approx(kept_ev, abs=1e-10)
    walkers.start(1, np.empty((0, 2, 3)))
    assert kept_ev - walkers.energy_ev(1) == pytest.approx(change_ev, abs=1e-10)


def test_lengths_may_differ(host: Atoms, random_model: Callable[..., Path]) -> None:
    potential = IncrementalPotential(random_model(), threads=1)
    asked: list[int] = []

    def job(n: int) -> Callable[[Potential], int]:
        def work(own: Potential) -> int:
            session = own.start(host, ("H", "H"), np.empty((0, 2, 3)))
            for k in range(n):
                session.trial(None, np.array([[3.0, 3.0, 3.0 + 0.1 * k], [3.0, 3.0, 3.74 + 0.1 * k]]))
                asked.append(n)
            return n

        return work

    assert run_together(potential, [job(n) for n in (0, 7, 3, 5)]) == [0, 7, 3, 5]
    assert len(asked) == 15


def test_one_failure_ends_all_and_is_the_one_told(host: Atoms, random_model: Callable[..., Path]) -> None:
    potential = IncrementalPotential(random_model(descriptor={"sel": [30, 30, 2, 30]}), threads=2)
    far = points(2)
    crowded = Point(300.0, 1e7, seed=1, n_initial=0, settings=SETTINGS)
    with pytest.raises(BadInputError, match="train with sel of at least"):
        simulate_together(host, H2, potential, points=[*far, crowded], n_moves=100_000)


def test_a_job_that_was_asked_to_stop_lets_the_others_finish(host: Atoms, random_model: Callable[..., Path]) -> None:
    potential = IncrementalPotential(random_model(), threads=1)
    finished: list[int] = []

    def job(stops: bool) -> Callable[[Potential], None]:
        def work(own: Potential) -> None:
            session = own.start(host, ("H", "H"), np.empty((0, 2, 3)))
            for k in range(2 if stops else 6):
                session.trial(None, np.array([[3.0, 3.0, 3.0 + 0.1 * k], [3.0, 3.0, 3.74 + 0.1 * k]]))
            if stops:
                raise InterruptedRunError(2, 6)
            finished.append(1)

        return work

    with pytest.raises(InterruptedRunError, match="after 2 of 6 moves"):
        run_together(potential, [job(True), job(False), job(False)])
    assert finished == [1, 1]


def test_another_framework_is_refused(host: Atoms, random_model: Callable[..., Path]) -> None:
    potential = IncrementalPotential(random_model(), threads=1)
    other = host.copy()
    other.positions[0] += 0.1

    def job(framework: Atoms) -> Callable[[Potential], float]:
        return lambda own: own.start(framework, ("H", "H"), np.empty((0, 2, 3))).energy_ev

    with pytest.raises(BadInputError, match="same framework"):
        run_together(potential, [job(host), job(other)])


def test_potentials_without_batches_run_one_by_one(host: Atoms) -> None:
    potential = AsePotential(LennardJones(epsilon=1e-3, sigma=2.5, rc=4.0))
    results = simulate_together(host, RigidMolecule.single("H"), potential, points=points(2), n_moves=20)
    assert [r.seed for r in results] == [0, 1]

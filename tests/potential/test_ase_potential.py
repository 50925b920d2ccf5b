"""Full-energy sessions of ASE calculators."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.lj import LennardJones

from alh2.core.errors import BadInputError
from alh2.potential.ase_potential import AsePotential

CELL = np.array([[9.0, 0.0, 0.0], [2.0, 8.5, 0.0], [1.0, -1.5, 9.5]])


def lj_sum(positions: np.ndarray, cell: np.ndarray, rc: float) -> float:
    """Lennard-Jones (epsilon 1, sigma 1), cut and shifted at rc, by a plain loop over images."""
    shifts = np.array([[i, j, k] for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)]) @ cell
    total, shift = 0.0, 4 * (rc**-12 - rc**-6)
    for a in positions:
        for b in positions:
            r2 = ((b + shifts - a) ** 2).sum(axis=1)
            r2 = r2[(r2 > 1e-12) & (r2 < rc * rc)]
            total += 0.5 * (4 * (r2**-6 - r2**-3) - shift).sum()
    return total


def lj() -> AsePotential:
    return AsePotential(LennardJones(rc=4.0, smooth=False))


def test_empty_box_counts_from_zero() -> None:
    session = lj().start(Atoms(cell=CELL, pbc=True), ("Ar",), np.empty((0, 1, 3)))
    assert session.energy_ev == 0.0
    assert session.trial(None, np.array([[1.0, 1.0, 1.0]])) == pytest.approx(0.0, abs=1e-12)
    session.accept()
    delta = session.trial(None, np.array([[2.12, 1.0, 1.0]]))
    pair = lj_sum(np.array([[1.0, 1.0, 1.0], [2.12, 1.0, 1.0]]), CELL, 4.0)
    assert delta == pytest.approx(pair, abs=1e-10) and pair < -0.9
    session.accept()
    assert session.trial(0, None) == pytest.approx(-pair, abs=1e-10)


def test_moves_follow_the_promised_order_and_match_plain_sums() -> None:
    rng = np.random.default_rng(3)
    frame = Atoms("Ar3", rng.random((3, 3)) @ CELL, cell=CELL, pbc=True)
    session = lj().start(frame, ("Ar", "Ar"), np.empty((0, 2, 3)))
    expected: list[np.ndarray] = []
    for step in range(60):
        kind = rng.integers(3) if expected else 0
        sites = rng.random(3) @ CELL + np.array([[0.0, 0.0, 0.0], [0.9, 0.0, 0.0]])
        index = int(rng.integers(len(expected))) if expected else 0
        before = session.energy_ev
        delta = session.trial(None if kind == 0 else index, None if kind == 1 else sites)
        if step % 2:
            assert session.energy_ev == before
            continue
        session.accept()
        if kind == 0:
            expected.append(sites)
        elif kind == 2:
            expected[index] = sites
        else:
            expected[index] = expected[-1]
            expected.pop()
        assert session.energy_ev == pytest.approx(before + delta, rel=1e-12, abs=1e-9)
        np.testing.assert_array_equal(session.guests_ang, np.array(expected).reshape(-1, 2, 3))
        full = lj_sum(np.vstack([frame.positions, *expected]), CELL, 4.0)
        assert session.energy_ev == pytest.approx(full, rel=1e-9, abs=1e-8)
    assert session.recompute_ev() == pytest.approx(session.energy_ev, rel=1e-12)


def test_isolated_molecule_is_alone() -> None:
    sites = np.array([[0.0, 0.0, 0.0], [1.2, 0.0, 0.0]])
    expected = 4 * (1.2**-12 - 1.2**-6) - 4 * (4.0**-12 - 4.0**-6)
    assert lj().molecule_energy_ev(("Ar", "Ar"), sites) == pytest.approx(expected, abs=1e-12)


def test_misuse_is_refused() -> None:
    session = lj().start(Atoms(cell=CELL, pbc=True), ("Ar",), np.empty((0, 1, 3)))
    with pytest.raises(RuntimeError):
        session.accept()
    with pytest.raises(ValueError):
        session.trial(None, None)
    with pytest.raises(IndexError):
        session.trial(0, None)
    with pytest.raises(ValueError):
        session.trial(None, np.zeros((2, 3)))


class _NanAt(LennardJones):
    """Not a number as soon as there are two atoms."""

    def calculate(self, *args: object, **kwargs: object) -> None:
        super().calculate(*args, **kwargs)
        if len(self.atoms) > 1:
            self.results["energy"] = float("nan")


def test_not_a_number_is_an_overlap_in_a_trial_and_an_error_at_the_start() -> None:
    potential = AsePotential(_NanAt(rc=4.0))
    session = potential.start(Atoms("Ar", [[0, 0, 0]], cell=CELL, pbc=True), ("Ar",), np.empty((0, 1, 3)))
    assert session.trial(None, np.array([[2.0, 2.0, 2.0]])) == np.inf
    with pytest.raises(RuntimeError):
        session.accept()
    with pytest.raises(BadInputError, match="finite energy"):
        potential.start(Atoms("Ar2", [[0, 0, 0], [2, 2, 2]], cell=CELL, pbc=True), ("Ar",), np.empty((0, 1, 3)))

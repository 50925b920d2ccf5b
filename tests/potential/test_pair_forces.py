"""Forces of the pair baseline on molecules on a frozen host: those of the terms, in cells of any size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alh2.core.atoms import to_atoms
from alh2.core.frames import Frame
from alh2.potential.pair_forces import PairForces


@pytest.mark.parametrize("cell", ["its own", "one that is tight and slanted"])
def test_energy_and_forces_are_those_of_the_terms(on_atoms, node_start: Frame, cell: str) -> None:
    baseline = on_atoms(to_atoms(node_start.bare_host()), centres=True)
    frame = node_start
    if cell != "its own":
        small = np.array([[9.0, 0.0, 0.0], [2.0, 8.5, 0.0], [-1.0, 1.5, 9.5]])
        frame = replace(node_start, cell_ang=small)
        baseline = on_atoms(to_atoms(frame.bare_host()), centres=True)
    wanted = baseline.label(frame)
    guests = frame.positions_ang[frame.n_host :].reshape(-1, 2, 3)
    pairs = PairForces(baseline, to_atoms(frame.bare_host()))
    energy, forces = pairs.evaluate(guests)
    assert energy == pytest.approx(wanted.energy_ev, abs=1e-10)
    np.testing.assert_allclose(forces.reshape(-1, 3), wanted.forces_ev_ang[frame.n_host :], atol=1e-10)
    assert np.abs(forces).max() > 0.05
    host = np.array(frame.positions_ang[: frame.n_host])
    same_energy, on_host, same_forces = pairs.with_host(host, guests)
    assert same_energy == energy and np.array_equal(same_forces, forces)
    np.testing.assert_allclose(on_host, wanted.forces_ev_ang[: frame.n_host], atol=1e-10)
    assert np.abs(on_host).max() > 0.01
    host[0] += [0.1, -0.05, 0.2]  # the host moves, its topology stays
    there = replace(frame, positions_ang=np.concatenate([host, frame.positions_ang[frame.n_host :]]))
    wanted = baseline.label(there)
    energy_there, on_host, _ = pairs.with_host(host, guests)
    assert energy_there == pytest.approx(wanted.energy_ev, abs=1e-10)
    np.testing.assert_allclose(on_host, wanted.forces_ev_ang[: frame.n_host], atol=1e-10)
    moved = guests @ np.eye(3)
    moved[0, 1] += frame.cell_ang[0] - frame.cell_ang[2]  # split by the faces of the cell
    again, same = pairs.evaluate(moved)
    assert again == pytest.approx(energy, abs=1e-10)
    np.testing.assert_allclose(same, forces, atol=1e-10)
    h = 1e-5
    for atom in (0, 1):
        high, low = np.array(guests), np.array(guests)
        high[1, atom, 2] += h
        low[1, atom, 2] -= h
        slope = (pairs.evaluate(high)[0] - pairs.evaluate(low)[0]) / (2 * h)
        assert forces[1, atom, 2] == pytest.approx(-slope, abs=1e-6)


def test_an_empty_host_has_no_energy(on_atoms, node_start: Frame) -> None:
    host = to_atoms(node_start.bare_host())
    energy, forces = PairForces(on_atoms(host), host).evaluate(np.zeros((0, 2, 3)))
    assert energy == 0.0 and forces.shape == (0, 2, 3)

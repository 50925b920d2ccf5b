"""Springs of a host: exact for a network of springs, forces are slopes, and they follow the host as it turns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from alh2.core.errors import BadInputError
from alh2.core.frames import Frame, Label, LabelledFrame
from alh2.label.reference_network import build_network
from alh2.label.reference_pes import reference_energy_forces
from alh2.potential.host_springs import fit_host_springs, host_rest, load_host_springs


def shaken(host: Frame, n: int, size_ang: float, seed: int) -> list[LabelledFrame]:
    """Labels of the reference potential, whose host is springs between atoms up to three bonds apart."""
    rng, network = np.random.default_rng(seed), build_network(host)
    found = []
    for _ in range(n):
        moved = replace(host, positions_ang=host.positions_ang + size_ang * rng.standard_normal((host.n_atoms, 3)))
        energy, forces = reference_energy_forces(moved, network=network)
        label = Label(energy + 3.0, forces, "reference")
        found.append(LabelledFrame(moved, label, label))
    return found


@pytest.fixture(scope="module")
def host(node_start: Frame) -> Frame:
    return node_start.bare_host()


def test_a_network_of_springs_is_found(host: Frame) -> None:
    springs = fit_host_springs(shaken(host, 60, 0.03, seed=1))
    unseen = shaken(host, 5, 0.05, seed=2)
    for each in unseen:
        energy, forces = springs.evaluate(each.frame.positions_ang, each.frame.cell_ang)
        assert np.sqrt(np.mean(each.label.forces_ev_ang**2)) > 0.3
        np.testing.assert_allclose(forces, each.label.forces_ev_ang, atol=0.02)
        assert energy == pytest.approx(each.label.energy_ev, abs=0.01)


def test_forces_are_slopes_and_turn_with_the_host(host: Frame) -> None:
    springs = fit_host_springs(shaken(host, 15, 0.03, seed=1))
    (there,) = shaken(host, 1, 0.05, seed=3)
    x, cell = there.frame.positions_ang, there.frame.cell_ang
    energy, forces = springs.evaluate(x, cell)
    for atom, axis in ((0, 0), (7, 1), (20, 2)):
        step = np.zeros_like(x)
        step[atom, axis] = 1e-5
        slope = (springs.evaluate(x + step, cell)[0] - springs.evaluate(x - step, cell)[0]) / 2e-5
        assert forces[atom, axis] == pytest.approx(-slope, abs=1e-6)
    turn = Rotation.from_rotvec([0.4, -0.9, 0.3]).as_matrix()
    large = 3.0 * cell  # turned, no atom meets an image
    same, turned = springs.evaluate(x @ turn.T, large)
    assert same == pytest.approx(springs.evaluate(x, large)[0], abs=1e-9)
    np.testing.assert_allclose(turned, springs.evaluate(x, large)[1] @ turn.T, atol=1e-9)
    shifted = x + [0.0, 0.0, 0.5 * cell[2, 2]]
    split = shifted - np.floor(shifted @ np.linalg.inv(cell)) @ cell  # some atoms through the faces of the cell
    assert not np.allclose(split, shifted)
    np.testing.assert_allclose(springs.evaluate(split, cell)[1], forces, atol=1e-9)


def test_few_and_torn_frames_leave_it_together(host: Frame) -> None:
    """One frame far off among few: the springs are still stiff where the host was seen."""
    frames = [*shaken(host, 11, 0.03, seed=4), *shaken(host, 1, 0.3, seed=5)]
    springs = fit_host_springs(frames)
    for each in shaken(host, 3, 0.03, seed=6):
        _, forces = springs.evaluate(each.frame.positions_ang, each.frame.cell_ang)
        off = forces - each.label.forces_ev_ang
        assert np.sqrt(np.mean(off**2)) < 0.4 * np.sqrt(np.mean(each.label.forces_ev_ang**2))


def test_what_is_left_and_the_file(host: Frame, tmp_path: Path) -> None:
    frames = shaken(host, 15, 0.03, seed=1)
    springs = replace(fit_host_springs(frames), scale=50.0)
    springs.save(tmp_path / "springs.npz")
    again = load_host_springs(tmp_path / "springs.npz")
    energy, forces = again.evaluate(frames[3].frame.positions_ang, frames[3].frame.cell_ang)
    left = host_rest(springs, frames[3])
    assert left.label.energy_ev == pytest.approx(50.0 * (frames[3].label.energy_ev - energy))
    np.testing.assert_allclose(left.label.forces_ev_ang, 50.0 * (frames[3].label.forces_ev_ang - forces))
    assert left.frame is frames[3].frame and left.host_label is left.label


def test_hosts_must_have_the_same_atoms(host: Frame) -> None:
    frames = shaken(host, 3, 0.03, seed=1)
    other = replace(frames[1].frame, cell_ang=1.1 * host.cell_ang)
    with pytest.raises(BadInputError, match="atoms in one order and cell"):
        fit_host_springs([frames[0], replace(frames[1], frame=other), frames[2]])

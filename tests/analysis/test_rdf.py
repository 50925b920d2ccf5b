"""Radial distributions against an ideal gas, crystals and the definition."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from ase.io import read

from alh2.analysis.adsorption import coordination_number
from alh2.analysis.rdf import (
    guest_centres_ang,
    guest_pair_distribution,
    half_cell_ang,
    radial_distribution,
    radial_distribution_of_replicas,
)
from alh2.core.frames import Frame

NODE = Path(__file__).parents[2] / "../shared/data/node-gfn1/aimd77-6h2.extxyz"
TRICLINIC = np.array([[0.5, 14.0, 1.0], [9.0, -6.0, 3.0], [-2.0, 4.0, 13.0]])


def make_frame(host: np.ndarray, centres: np.ndarray, cell: np.ndarray, rng: np.random.Generator) -> Frame:
    """Al at `host`, H2 of random orientation at `centres`, every atom wrapped into the cell on its own."""
    axis = rng.normal(size=(len(centres), 3))
    axis *= 0.37 / np.linalg.norm(axis, axis=1, keepdims=True)
    guests = np.stack([centres + axis, centres - axis], axis=1).reshape(-1, 3)
    positions = np.vstack([host, guests])
    wrapped = (positions @ np.linalg.inv(cell)) % 1.0 @ cell
    return Frame(("Al",) * len(host) + ("H",) * len(guests), wrapped, cell, len(host), "test")


def brute_force_distances(host: np.ndarray, centres: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Nearest-image distances over 5³ images."""
    shifts = np.array(list(itertools.product(range(-2, 3), repeat=3))) @ cell
    vectors = host[:, None, None] - centres[None, :, None] + shifts
    return np.linalg.norm(vectors, axis=-1).min(axis=-1)


@pytest.mark.physics
def test_ideal_gas_has_g_of_one_in_a_triclinic_cell_with_changing_numbers() -> None:
    rng = np.random.default_rng(1)
    frames = []
    for _ in range(600):
        cell = TRICLINIC * rng.uniform(0.98, 1.02)
        host, centres = rng.random((4, 3)) @ cell, rng.random((rng.poisson(20), 3)) @ cell
        frames.append(make_frame(host, centres, cell, rng))
    rdf = radial_distribution(frames, range(4), bin_width_ang=0.5, n_blocks=20)
    far = rdf.r_ang > 1.0
    scores = (rdf.g[far] - 1) / rdf.g_error[far]
    assert np.all(np.abs(scores) < 4.5)
    assert abs(np.mean(scores)) < 4 / math.sqrt(far.sum())
    assert np.all(rdf.g_error[rdf.r_ang > 3] < 0.05)
    assert rdf.density_per_ang3 == pytest.approx(20 / abs(np.linalg.det(TRICLINIC)), rel=0.05)


def test_error_is_the_scatter_of_repeated_runs() -> None:
    rng = np.random.default_rng(2)
    cell = np.eye(3) * 10.0

    def run() -> list[Frame]:
        return [make_frame(rng.random((3, 3)) @ cell, rng.random((6, 3)) @ cell, cell, rng) for _ in range(40)]

    runs = [radial_distribution(run(), range(3), bin_width_ang=1.0, n_blocks=8) for _ in range(40)]
    scatter = np.std([r.g for r in runs], axis=0, ddof=1)[1:]
    claimed = np.sqrt(np.mean([r.g_error**2 for r in runs], axis=0))[1:]
    np.testing.assert_allclose(claimed, scatter, rtol=0.35)
    pooled = radial_distribution_of_replicas([run() for _ in range(10)], range(3), bin_width_ang=1.0)
    np.testing.assert_allclose(pooled.g_error[1:], scatter / math.sqrt(10), rtol=0.8)


def test_rock_salt_shells_and_coordination_numbers() -> None:
    a, n = 4.0, 3
    grid = np.array(list(itertools.product(range(2 * n), repeat=3)))
    even = grid[grid.sum(axis=1) % 2 == 0] * a / 2
    odd = grid[grid.sum(axis=1) % 2 == 1] * a / 2
    frame = make_frame(even, odd, np.eye(3) * a * n, np.random.default_rng(0))
    rdf = radial_distribution([frame], range(len(even)), r_max_ang=5.5, bin_width_ang=0.05)
    filled = rdf.r_ang[rdf.g > 0]
    shells = [a / 2, a / 2 * math.sqrt(3), a / 2 * math.sqrt(5)]
    assert {round(shell, 2) for shell in shells} == {
        round(min(shells, key=lambda s, r=r: abs(s - r)), 2) for r in filled
    }
    assert all(min(abs(r - shell) for shell in shells) <= 0.05 for r in filled)
    for r, expected in ((1.9, 0), (2.2, 6), (3.6, 14), (4.6, 38)):
        assert coordination_number(rdf, r_ang=r).mean == pytest.approx(expected, abs=1e-9)
    assert math.isnan(coordination_number(rdf, r_ang=2.2).standard_error)  # one frame: nothing to scatter
    with pytest.raises(ValueError, match="outside"):
        coordination_number(rdf, r_ang=7.0)


def test_distances_in_a_rotated_triclinic_cell_equal_brute_force() -> None:
    rng = np.random.default_rng(4)
    host, centres = rng.random((5, 3)) @ TRICLINIC, rng.random((9, 3)) @ TRICLINIC
    rdf = radial_distribution([make_frame(host, centres, TRICLINIC, rng)], range(5), bin_width_ang=0.25)
    distances = brute_force_distances(host, centres, TRICLINIC)
    expected = np.histogram(distances, bins=rdf.edges_ang)[0]
    shells = 4 / 3 * np.pi * np.diff(rdf.edges_ang**3)
    counts = rdf.g * shells * rdf.density_per_ang3 * 5
    assert expected.sum() > 5
    np.testing.assert_allclose(counts, expected, atol=1e-6)
    assert half_cell_ang(TRICLINIC) == pytest.approx(rdf.edges_ang[-1], abs=0.25)


def test_centre_of_mass_of_a_molecule_cut_by_the_boundary() -> None:
    cell = np.eye(3) * 8.0
    cut = Frame(("Al", "H", "H"), np.array([[1.0, 4, 4], [0.2, 4, 4], [7.8, 4, 4]]), cell, 1, "test")
    offset = (guest_centres_ang(cut)[0] - [0.0, 4.0, 4.0]) / 8.0
    np.testing.assert_allclose(offset, np.round(offset), atol=1e-12)
    rdf = radial_distribution([cut], [0], bin_width_ang=0.1)
    assert rdf.r_ang[np.argmax(rdf.g)] == pytest.approx(1.0, abs=0.06)


def test_cluster_in_a_box_finds_the_molecule_on_the_site() -> None:
    rng = np.random.default_rng(6)
    cell = np.eye(3) * 16.0
    frames = []
    for _ in range(200):
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        frames.append(
            make_frame(np.array([[0.1, 15.9, 8.0]]), np.array([[0.1, 15.9, 8.0]]) + 2.69 * direction, cell, rng)
        )
    rdf = radial_distribution(frames, [0], bin_width_ang=0.02)
    assert rdf.r_ang[np.argmax(rdf.g)] == pytest.approx(2.69, abs=0.011)
    assert coordination_number(rdf, r_ang=3.0).mean == pytest.approx(1.0, abs=1e-9)


def test_bad_requests_are_refused() -> None:
    rng = np.random.default_rng(7)
    empty = make_frame(np.zeros((1, 3)), np.zeros((0, 3)), np.eye(3) * 9, rng)
    full = make_frame(np.zeros((1, 3)), np.ones((1, 3)), np.eye(3) * 9, rng)
    for frames, centres in (([], [0]), ([empty], [0]), ([full], [])):
        with pytest.raises(ValueError, match="needs frames, centres and H2"):
            radial_distribution(frames, centres)
    with pytest.raises(ValueError, match="half the cell"):
        radial_distribution([full], [0], r_max_ang=4.6)


@pytest.mark.physics
def test_first_peak_of_the_xtb_node_trajectory() -> None:
    """GFN1-xTB binds H2 on the open Al site at 2.69 Å at rest; at 77 K the most likely distance is close to it."""
    if not NODE.is_file():
        pytest.skip(f"{NODE} is absent")
    images = read(NODE, index=":")
    frames = [Frame(tuple(a.get_chemical_symbols()), a.positions, np.array(a.cell), 30, "node") for a in images]
    aluminium = [i for i, symbol in enumerate(frames[0].symbols) if symbol == "Al"]
    rdf = radial_distribution(frames[100:], aluminium, bin_width_ang=0.1)
    inner = rdf.r_ang < 3.4
    assert rdf.r_ang[inner][np.argmax(rdf.g[inner])] == pytest.approx(2.72, abs=0.15)
    assert np.all(rdf.g[rdf.r_ang < 2.2] == 0)


@pytest.mark.physics
def test_ideal_gas_around_itself_is_one_for_any_number_of_molecules() -> None:
    """Two to six molecules at random in a skewed cell: g = 1 within its errors."""
    rng = np.random.default_rng(12)
    cell = np.array([[11.0, 0.0, 0.0], [3.0, 10.0, 0.0], [-2.0, 1.0, 12.0]])
    replicas = []
    for _ in range(6):
        frames = []
        for _ in range(200):
            n = int(rng.integers(2, 7))
            middle = rng.random((n, 3)) @ cell
            bond = rng.normal(size=(n, 3))
            bond *= 0.37 / np.linalg.norm(bond, axis=1, keepdims=True)
            atoms = np.stack([middle - bond, middle + bond], axis=1).reshape(-1, 3)
            frames.append(Frame(("H", "H") * n, atoms, cell, 0))
        replicas.append(frames)
    found = guest_pair_distribution(replicas, bin_width_ang=0.5)
    assert np.isfinite(found.g_error).all() and found.g_error[3:].max() < 0.2
    assert (np.abs(found.g - 1.0) < 4.5 * found.g_error)[1:].all()
    volume = abs(np.linalg.det(cell))
    numbers = [f.n_h2 for block in replicas for f in block]
    exact = sum(n * (n - 1) for n in numbers) / sum(numbers) / volume
    assert found.density_per_ang3 == pytest.approx(exact)
    with pytest.raises(ValueError, match="two molecules"):
        guest_pair_distribution([[replicas[0][0].without_molecule(0)] * 0])


def test_two_molecules_at_a_fixed_distance_are_one_peak() -> None:
    """2 ordered pairs in the bin of 3.25 Å: g = 2/(2/V · v(r))."""
    atoms = np.array([[1.0, 1.0, 0.63], [1.0, 1.0, 1.37], [4.25, 1.0, 0.63], [4.25, 1.0, 1.37]])
    frame = Frame(("H",) * 4, atoms, 10.0 * np.eye(3), 0)
    found = guest_pair_distribution([[frame]])
    shell = 4 / 3 * np.pi * (3.3**3 - 3.2**3)
    assert found.g.max() == pytest.approx(1000.0 / shell) and found.r_ang[found.g.argmax()] == pytest.approx(3.25)

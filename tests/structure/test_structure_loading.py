"""H2 loading: distances, seeds, open sites, uniform placement, weight percent."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from alh2.core.errors import BadInputError
from alh2.structure.cluster import carve_node
from alh2.structure.crystal import build_al_soc_mof
from alh2.structure.loading import h2_weight_percent, load_h2
from alh2.structure.sites import al_open_indices
from alh2.structure.topology import h2_molecules

TRICLINIC = np.array([[9.0, 0, 0], [-4.0, 8.0, 0], [3.5, 3.0, 7.5]])


def guest_distances(loaded: Atoms, n_host: int) -> tuple[np.ndarray, float]:
    """Bond lengths of the guests, and the smallest distance of a guest H to anything but its partner."""
    distances = loaded.get_all_distances(mic=True)
    n = len(loaded)
    bonds = []
    for k in range(n_host, n, 2):
        bonds.append(distances[k, k + 1])
        distances[k, k + 1] = distances[k + 1, k] = np.inf
    distances[np.arange(n), np.arange(n)] = np.inf
    return np.array(bonds), float(distances[n_host:].min())


@pytest.mark.parametrize("prefer", [False, True])
def test_distances_in_the_crystal(prefer):
    host = build_al_soc_mof()
    loaded = load_h2(host, 64, rng=np.random.default_rng(1), prefer_open_sites=prefer)
    assert np.array_equal(loaded.positions[:432], host.positions)
    assert loaded.get_chemical_symbols()[432:] == ["H"] * 128
    bonds, nearest = guest_distances(loaded, 432)
    assert np.allclose(bonds, 0.7414)
    assert nearest >= 2.2
    assert len(h2_molecules(loaded)) == 64


@pytest.mark.parametrize("seed", range(5))
def test_nearest_images_count_in_a_triclinic_cell(seed):
    host = Atoms("ArC", [[0.2, 0.2, 0.2], [4.0, 4.0, 4.0]], cell=TRICLINIC, pbc=True)
    loaded = load_h2(host, 6, rng=np.random.default_rng(seed), min_distance_ang=2.4, bond_length_ang=0.78)
    bonds, nearest = guest_distances(loaded, 2)
    assert np.allclose(bonds, 0.78) and nearest >= 2.4


def test_first_molecules_sit_on_the_open_sites():
    host = build_al_soc_mof()
    for n in (5, 16, 24):
        loaded = load_h2(host, n, rng=np.random.default_rng(n), prefer_open_sites=True)
        centres = loaded.positions[432:].reshape(-1, 2, 3).mean(axis=1)
        delta = centres[:, None] - loaded.positions[al_open_indices(host)][None]
        distance = np.linalg.norm(delta - 21.67 * np.round(delta / 21.67), axis=2)
        occupied = distance < 2.71
        assert np.allclose(distance[occupied], 2.7)
        assert occupied.any(axis=1).sum() == min(n, 16) == occupied.any(axis=0).sum()
        side_on = loaded.get_distances(int(al_open_indices(host)[0]), range(432, 432 + 2 * n), mic=True)
        assert side_on.min() == pytest.approx(np.hypot(2.7, 0.7414 / 2)) or n == 5


def test_occupied_sites_are_passed_over():
    node = carve_node()
    rng = np.random.default_rng(0)
    once = load_h2(node, 2, rng=rng, prefer_open_sites=True)
    twice = load_h2(once, 2, rng=rng, prefer_open_sites=True)
    bonds, nearest = guest_distances(twice, 30)
    assert len(bonds) == 4 and nearest >= 2.2


def test_same_generator_state_same_structure():
    host = build_al_soc_mof()
    first, again, other = (load_h2(host, 24, rng=np.random.default_rng(seed)) for seed in (9, 9, 10))
    assert first.positions.tobytes() == again.positions.tobytes()
    assert not np.allclose(first.positions, other.positions)


@pytest.mark.physics
def test_empty_box_is_filled_uniformly_and_isotropically():
    """Means of uniform coordinates and of the second Legendre polynomial, each within 4 standard errors of exact."""
    rng = np.random.default_rng(12)
    box = Atoms(cell=TRICLINIC, pbc=True)
    samples = np.array([load_h2(box, 1, rng=rng).positions for _ in range(1500)])
    fractional = samples.mean(axis=1) @ np.linalg.inv(TRICLINIC)
    error = 1 / np.sqrt(12 * len(samples))
    assert np.abs(fractional.mean(axis=0) - 0.5).max() < 4 * error
    axes = (samples[:, 1] - samples[:, 0]) / 0.7414
    legendre = (3 * axes**2 - 1) / 2
    assert np.abs(legendre.mean(axis=0)).max() < 4 * np.sqrt(0.2 / len(samples))


def test_weight_percent_of_the_published_loading():
    host = build_al_soc_mof()
    assert 0.92 <= h2_weight_percent(host, 24) <= 0.93
    assert h2_weight_percent(host, 0) == 0.0


def test_no_room_is_one_clear_line():
    host = Atoms("Ar", [[0, 0, 0]], cell=[6, 6, 6], pbc=True)
    with pytest.raises(BadInputError, match=r"H2 loading: expected room for 50 H2 .*2.2 Å.*, found room for \d+ after"):
        load_h2(host, 50, rng=np.random.default_rng(0), max_tries=500)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": -1}, "number of H2"),
        ({"n": 1.5}, "number of H2"),
        ({"min_distance_ang": -1.0}, "minimum distance"),
        ({"bond_length_ang": float("nan")}, "H2 bond length"),
        ({"host": Atoms("Ar", cell=[9, 9, 9])}, "periodic in three directions"),
        ({"host": Atoms("Ar", pbc=True)}, "periodic in three directions"),
        ({"host": Atoms("Ar", cell=[2, 9, 9], pbc=True)}, "at least 2.94 Å wide, found 2.00 Å"),
    ],
)
def test_bad_arguments(change, message):
    arguments = {"host": Atoms("Ar", cell=[9, 9, 9], pbc=True), "n": 1, "rng": np.random.default_rng(0)} | change
    host, n = arguments.pop("host"), arguments.pop("n")
    with pytest.raises(BadInputError, match=message):
        load_h2(host, n, **arguments)

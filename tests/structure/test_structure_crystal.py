"""The crystal against its published symmetry, composition and coordination, and against stored structures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.io import read

from alh2.core.errors import BadInputError
from alh2.structure.asymmetric_unit import CIF_LATTICE_ANG, OPERATIONS
from alh2.structure.crystal import AL_OH_ANG, OH_ANG, OH_ORDERINGS, build_al_soc_mof, hydroxide_ang
from alh2.structure.symmetry import SpaceGroup, space_group
from alh2.structure.topology import bonded_pairs, coordination_numbers, fragments, shortest_contact_ang

SHARED = Path(__file__).resolve().parents[3] / "shared"
REFERENCE = SHARED / "structures" / "al-soc-mof-432-unrelaxed.vasp"
GFN1 = SHARED / "data" / "al-soc-mof-gfn1" / "md77-24h2-start.extxyz"


def fractional_distance_ang(a, b, cell):
    delta = a.get_scaled_positions() - b.get_scaled_positions()
    return np.linalg.norm((delta - np.round(delta)) @ cell, axis=1)


def test_operations_form_the_group_p43n():
    keys = {(tuple(op.rotation.ravel()), tuple(op.translation)) for op in OPERATIONS}
    assert len(keys) == 24
    for a in OPERATIONS:
        for b in OPERATIONS:
            product = (a.rotation @ b.rotation).ravel(), (a.rotation @ b.translation + a.translation) % 1.0
            assert (tuple(product[0]), tuple(product[1])) in keys


@pytest.mark.parametrize("lattice_ang", [20.0, CIF_LATTICE_ANG, 21.67, 22.5])
def test_bare_framework_is_p43n(lattice_ang):
    bare = build_al_soc_mof(lattice_ang=lattice_ang, hydroxide=False)
    assert bare.get_chemical_formula(mode="hill") == "C192H72Al24N24O104"
    assert space_group(bare) == SpaceGroup(218, "P-43n")


@pytest.mark.parametrize("ordering", [o for o in OH_ORDERINGS if o != "random"])
def test_ordered_hydroxide_has_the_highest_possible_symmetry(ordering):
    crystal = build_al_soc_mof(oh_ordering=ordering)
    assert crystal.get_chemical_formula(mode="hill") == "C192H80Al24N24O112"
    assert space_group(crystal).number == 112


def test_the_three_orderings_differ():
    spectra = []
    for ordering in ("P-42c", "P-42c:x", "P-42c:y"):
        crystal = build_al_soc_mof(oh_ordering=ordering)
        oxygens = crystal[np.arange(424, 432)]
        spectra.append(np.sort(oxygens.get_all_distances(mic=True)[np.triu_indices(8, 1)]))
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(spectra[a] - spectra[b]).max() > 0.1


@pytest.mark.parametrize("ordering", OH_ORDERINGS)
def test_coordination_and_one_hydroxide_per_trimer(ordering):
    crystal = build_al_soc_mof(oh_ordering=ordering, rng=np.random.default_rng(5))
    numbers = crystal.numbers
    degree = coordination_numbers(crystal)
    assert sorted(degree[numbers == 13]) == [5] * 16 + [6] * 8
    assert set(degree[numbers == 6]) == {3}
    assert set(degree[numbers == 7]) == {2}
    assert set(degree[numbers == 1]) == {1}
    assert sorted(degree[numbers == 8]) == [2] * 104 + [3] * 8
    assert set(fragments(crystal)) == {0}
    pairs = bonded_pairs(crystal)
    for oxo in range(416, 424):
        aluminiums = [a for a, b in pairs if b == oxo]
        assert len(aluminiums) == 3
        assert sorted(degree[aluminiums]) == [5, 5, 6]


@pytest.mark.parametrize("lattice_ang", [20.0, 21.67, 24.0])
def test_hydroxide_geometry_at_any_lattice_parameter(lattice_ang):
    crystal = build_al_soc_mof(lattice_ang=lattice_ang)
    assert np.allclose(crystal.cell.array, np.eye(3) * lattice_ang)
    for k in range(8):
        oxygen, hydrogen = 424 + k, 288 + k
        aluminium = int(np.argmin(crystal.get_distances(oxygen, range(24), mic=True)))
        oxo = 416 + int(np.argmin(crystal.get_distances(aluminium, range(416, 424), mic=True)))
        assert crystal.get_distance(aluminium, oxygen, mic=True) == pytest.approx(AL_OH_ANG, abs=1e-9)
        assert crystal.get_distance(oxygen, hydrogen, mic=True) == pytest.approx(OH_ANG, abs=1e-9)
        assert crystal.get_angle(oxo, aluminium, oxygen, mic=True) == pytest.approx(180.0, abs=1e-4)
        assert crystal.get_angle(aluminium, oxygen, hydrogen, mic=True) == pytest.approx(125.0, abs=1e-6)


def test_framework_scales_fractionally_and_keeps_ch_bonds_when_compressed():
    small, large = (build_al_soc_mof(lattice_ang=a, hydroxide=False) for a in (21.67, 22.67))
    assert fractional_distance_ang(small, large, small.cell.array).max() < 1e-10
    compressed = build_al_soc_mof(lattice_ang=20.0, hydroxide=False)
    moved = fractional_distance_ang(compressed, small, small.cell.array)
    assert moved[compressed.numbers != 1].max() < 1e-10
    assert shortest_contact_ang(compressed) == pytest.approx(0.9498, abs=1e-3)


@pytest.mark.parametrize("lattice_ang", [18.0, 21.67, 26.0])
def test_no_contact_below_0_9_ang(lattice_ang):
    crystal = build_al_soc_mof(lattice_ang=lattice_ang, oh_ordering="random", rng=np.random.default_rng(3))
    assert shortest_contact_ang(crystal) > 0.9


def test_no_two_hydroxides_of_different_trimers_can_meet():
    hydrogens = np.array([hydroxide_ang(op, 21.67)[1] for op in range(24)])
    delta = hydrogens[:, None] - hydrogens[None]
    distance = np.linalg.norm(delta - 21.67 * np.round(delta / 21.67), axis=2)
    assert distance[np.triu_indices(24, 1)].min() > 2.5


def test_random_ordering_is_seeded():
    first, again, other = (
        build_al_soc_mof(oh_ordering="random", rng=np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first.positions, again.positions)
    assert not np.allclose(first.positions, other.positions)


@pytest.mark.skipif(not REFERENCE.exists(), reason=f"{REFERENCE} is not here")
def test_equals_the_stored_structure_up_to_the_hydroxide_hydrogens():
    reference = read(REFERENCE)
    crystal = build_al_soc_mof(lattice_ang=CIF_LATTICE_ANG)
    assert crystal.get_chemical_symbols() == reference.get_chemical_symbols()
    distance = fractional_distance_ang(crystal, reference, reference.cell.array)
    hydroxide_h = np.arange(288, 296)
    assert np.delete(distance, hydroxide_h).max() < 1e-6
    assert distance[hydroxide_h].max() < 0.05


@pytest.mark.skipif(not GFN1.exists(), reason=f"{GFN1} is not here")
def test_stored_xtb_frames_have_our_atom_order():
    frame = read(GFN1, index=0)
    crystal = build_al_soc_mof()
    assert frame.get_chemical_symbols()[:432] == crystal.get_chemical_symbols()
    delta = frame.positions[:432] - crystal.positions
    distance = np.linalg.norm(delta - 21.67 * np.round(delta / 21.67), axis=1)
    assert np.median(distance) < 0.3 and distance.max() < 2.0


@pytest.mark.parametrize("lattice_ang", [0.0, -21.67, 5.0, 100.0, float("nan"), "21.67"])
def test_impossible_lattice_parameter(lattice_ang):
    with pytest.raises(BadInputError, match=r"lattice parameter: expected 18 to 26 Å, found"):
        build_al_soc_mof(lattice_ang=lattice_ang)


def test_unknown_ordering_and_random_without_generator():
    with pytest.raises(BadInputError, match="OH ordering: expected one of P-42c, .*random, found 'P1'"):
        build_al_soc_mof(oh_ordering="P1")
    with pytest.raises(BadInputError, match="random generator"):
        build_al_soc_mof(oh_ordering="random")

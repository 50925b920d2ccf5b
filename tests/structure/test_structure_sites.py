"""Open metal sites of the crystal, the node and real trajectories."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.io import read

from alh2.core.errors import BadInputError
from alh2.structure.cluster import carve_node
from alh2.structure.crystal import build_al_soc_mof
from alh2.structure.loading import load_h2
from alh2.structure.sites import al_open_indices, open_metal_sites

DATA = Path(__file__).resolve().parents[2] / "examples" / "data"


@pytest.mark.parametrize(("hydroxide", "expected"), [(True, 16), (False, 24)])
def test_crystal(hydroxide, expected):
    crystal = build_al_soc_mof(hydroxide=hydroxide)
    sites = open_metal_sites(crystal)
    assert len(sites) == expected
    for site in sites:
        assert crystal.symbols[site.index] == "Al"
        assert site.coordination == 5
        assert np.linalg.norm(site.direction) == pytest.approx(1.0)
        oxo = range(len(crystal))[416 - (0 if hydroxide else 8) :][:8]
        nearest = oxo[int(np.argmin(crystal.get_distances(site.index, list(oxo), mic=True)))]
        bond = crystal.get_distance(site.index, nearest, mic=True, vector=True)
        angle = np.degrees(np.arccos(bond @ site.direction / np.linalg.norm(bond)))
        assert angle > 170, "the ligand is missing trans to the µ3-oxygen"


def test_directions_point_into_empty_space():
    crystal = build_al_soc_mof()
    for site in open_metal_sites(crystal):
        probe = crystal.copy()
        probe += type(crystal)("He", [site.position_ang + 2.7 * site.direction])
        distances = np.delete(probe.get_distances(len(crystal), range(len(crystal)), mic=True), site.index)
        assert distances.min() > 2.5


def test_node():
    assert al_open_indices(carve_node()).tolist() == [2, 3]


def test_guests_do_not_matter():
    crystal = build_al_soc_mof()
    rng = np.random.default_rng(2)
    loaded = load_h2(crystal, 40, rng=rng, prefer_open_sites=True)
    loaded.positions[432:] += 0.0
    close = crystal.copy()
    site = open_metal_sites(crystal)[0]
    centre = site.position_ang + 1.7 * site.direction
    close += type(crystal)("H2", [centre, centre + 0.8 * site.direction])
    for structure in (loaded, close):
        assert al_open_indices(structure).tolist() == al_open_indices(crystal).tolist()


@pytest.mark.skipif(not DATA.exists(), reason=f"{DATA} is not here")
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("node-gfn1/aimd77-0h2.extxyz", [2, 3]),
        ("node-gfn1/aimd77-6h2.extxyz", [2, 3]),
        ("al-soc-mof-gfn1/relax-24h2.extxyz", None),
        ("al-soc-mof-gfn1/multi-loading.extxyz", None),
    ],
)
def test_real_frames_keep_their_sites(name, expected):
    reference = expected or al_open_indices(build_al_soc_mof()).tolist()
    for frame in read(DATA / name, index="::5"):
        assert al_open_indices(frame).tolist() == reference


def test_other_metals():
    crystal = build_al_soc_mof()
    assert open_metal_sites(crystal, metal="In") == ()
    crystal.symbols[crystal.numbers == 13] = "In"
    assert len(open_metal_sites(crystal, metal="In")) == 16
    with pytest.raises(BadInputError, match="metal: expected a chemical symbol, found 'Aluminium'"):
        open_metal_sites(crystal, metal="Aluminium")

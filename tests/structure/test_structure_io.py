"""Files: what is written reads back, same structure same bytes, clear refusals."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.io import read

from alh2.core.errors import BadInputError
from alh2.structure.crystal import build_al_soc_mof
from alh2.structure.io import format_of, write_structure
from alh2.structure.loading import load_h2
from alh2.structure.topology import split_host_guests

NAMES = ("a.cif", "a.vasp", "POSCAR", "a.extxyz", "a.xyz", "a.data", "a.lmp")
TRICLINIC = np.array([[0.0, 7.0, 1.0], [6.0, 1.0, 0.5], [1.0, 2.0, -8.0]])


def read_back(path, name):
    if name.endswith((".data", ".lmp")):
        return read(path, format="lammps-data", atom_style="atomic", units="metal")
    return read(path, format="vasp" if name == "POSCAR" else None)


@pytest.fixture(scope="module")
def loaded() -> Atoms:
    return load_h2(build_al_soc_mof(), 24, rng=np.random.default_rng(1), prefer_open_sites=True)


@pytest.mark.parametrize("name", NAMES)
def test_crystal_round_trip_and_same_bytes(name, loaded, tmp_path):
    path = tmp_path / "new" / name
    write_structure(loaded, path)
    first = path.read_bytes()
    again = load_h2(build_al_soc_mof(), 24, rng=np.random.default_rng(1), prefer_open_sites=True)
    write_structure(again, path)
    assert path.read_bytes() == first
    assert [p.name for p in path.parent.iterdir()] == [name]

    back, n_host = split_host_guests(read_back(path, name))
    assert n_host == 432 and back.get_chemical_formula() == loaded.get_chemical_formula()
    order = np.argsort([("Al", "O", "C", "N", "H").index(s) for s in loaded.get_chemical_symbols()], kind="stable")
    expected = split_host_guests(loaded[order] if name in ("a.vasp", "POSCAR") else loaded)[0]
    delta = back.get_scaled_positions() - expected.get_scaled_positions()
    assert back.get_chemical_symbols() == expected.get_chemical_symbols()
    assert np.abs(delta - np.round(delta)).max() < 1e-9


@pytest.mark.parametrize("name", NAMES)
def test_any_cell_keeps_its_distances(name, tmp_path):
    if np.linalg.det(TRICLINIC) < 0:
        pytest.fail("the test needs a right-handed cell")
    atoms = Atoms("COAl", np.random.default_rng(0).uniform(-9, 9, (3, 3)), cell=TRICLINIC, pbc=True)
    write_structure(atoms, tmp_path / name, type_map=("C", "O", "Al"))
    back = read_back(tmp_path / name, name)
    assert back.get_chemical_symbols() == ["C", "O", "Al"]
    assert np.allclose(back.get_all_distances(mic=True), atoms.get_all_distances(mic=True), atol=1e-8)
    assert back.get_volume() == pytest.approx(atoms.get_volume())


def test_lammps_types_follow_the_type_map(tmp_path):
    atoms = Atoms("CH", [[0, 0, 0], [0, 0, 1.1]], cell=[9, 9, 9], pbc=True)
    write_structure(atoms, tmp_path / "x", format="lammps-data", type_map=("H", "N", "C"))
    lines = (tmp_path / "x").read_text().splitlines()
    assert "3 atom types" in lines
    assert [line.split()[1] for line in lines if " # " in line and line[0].isdigit()] == ["1.008", "14.007", "12.011"]
    assert [line.split()[:2] for line in lines[-2:]] == [["1", "3"], ["2", "1"]]


def test_extxyz_is_exact(loaded, tmp_path):
    write_structure(loaded, tmp_path / "a.extxyz")
    back = read(tmp_path / "a.extxyz")
    assert np.array_equal(back.positions, loaded.positions) and np.array_equal(back.cell.array, loaded.cell.array)
    assert back.pbc.all()


def test_refusals_leave_the_old_file(tmp_path):
    path = tmp_path / "a.vasp"
    path.write_text("old")
    atoms = Atoms("Xe", cell=[9, 9, 9], pbc=True)
    with pytest.raises(BadInputError, match="type_map: expected every element .* without Xe"):
        write_structure(atoms, path)
    with pytest.raises(BadInputError, match="distinct chemical symbols, found Xe, Xe"):
        write_structure(atoms, path, type_map=("Xe", "Xe"))
    with pytest.raises(BadInputError, match="format: expected one of cif, poscar, extxyz, lammps-data, found 'pdb'"):
        write_structure(atoms, path, format="pdb")
    with pytest.raises(BadInputError, match="a name ending in .cif"):
        format_of(tmp_path / "a.pdb")
    assert path.read_text() == "old"

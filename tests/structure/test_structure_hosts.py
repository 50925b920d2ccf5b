"""Hosts from configurations and files."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.io import write

from alh2.config.model import HostConfig
from alh2.core.errors import BadInputError
from alh2.structure.cluster import carve_node
from alh2.structure.crystal import build_al_soc_mof
from alh2.structure.hosts import build_host
from alh2.structure.io import write_structure
from alh2.structure.loading import load_h2


def config(**changes) -> HostConfig:
    values = {"id": "h", "file": None, "build": None, "lattice_ang": 21.67, "box_ang": 16.0} | changes
    return HostConfig(**values)


def test_built_hosts():
    node = build_host(config(build="node", box_ang=18.0, lattice_ang=22.0))
    assert np.array_equal(node.positions, carve_node(lattice_ang=22.0, box_ang=18.0).positions)
    crystal = build_host(config(build="al-soc-mof", lattice_ang=21.5))
    assert np.array_equal(crystal.positions, build_al_soc_mof(lattice_ang=21.5).positions)


@pytest.mark.parametrize("name", ["host.cif", "POSCAR", "host.extxyz"])
def test_host_from_file(name, tmp_path):
    write_structure(carve_node(), tmp_path / name)
    host = build_host(config(file=tmp_path / name))
    assert host.get_chemical_formula(mode="hill") == "C6H7Al3O14" and host.pbc.all()


def test_last_frame_is_the_host(tmp_path):
    node = carve_node()
    moved = node.copy()
    moved.positions += 0.1
    write(tmp_path / "two.extxyz", [node, moved])
    assert np.allclose(build_host(config(file=tmp_path / "two.extxyz")).positions, moved.positions)


def test_refusals(tmp_path):
    with pytest.raises(BadInputError, match="alh2.host: expected a file, or build"):
        build_host(config())
    with pytest.raises(BadInputError, match="no such file"):
        build_host(config(file=tmp_path / "absent.cif"))
    for name, content in (("a.cif", "not a structure"), ("POSCAR", "x\n1\n"), ("b.what", "?"), ("c.extxyz", "")):
        (tmp_path / name).write_text(content)
        with pytest.raises(BadInputError, match="expected a structure file ASE can read"):
            build_host(config(file=tmp_path / name))
    write(tmp_path / "m.xyz", Atoms("CO", [[0, 0, 0], [0, 0, 1.1]]))
    with pytest.raises(BadInputError, match="a cell with three vectors"):
        build_host(config(file=tmp_path / "m.xyz"))
    loaded = load_h2(carve_node(), 3, rng=np.random.default_rng(0))
    write_structure(loaded, tmp_path / "l.cif")
    with pytest.raises(BadInputError, match="expected a bare host, found 3 free H2 molecules"):
        build_host(config(file=tmp_path / "l.cif"))

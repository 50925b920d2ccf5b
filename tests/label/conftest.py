"""Real frames of the Al3O node with and without H2 (GFN1-xTB molecular dynamics at 77 K)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.io import read

from alh2.core.atoms import from_atoms
from alh2.core.frames import Frame, Label, LabelledFrame, Provenance
from alh2.label.reference_network import HostNetwork, build_network

NODE_DATA = Path(__file__).resolve().parents[2] / "examples" / "data" / "node-gfn1"
N_HOST = 30


def _stored(name: str, index: str) -> list[LabelledFrame]:
    path = NODE_DATA / name
    if not path.exists():
        pytest.skip(f"{path} is not here: stored node frames are needed")
    frames = []
    for atoms in read(path, index=index):
        frame = from_atoms(atoms, n_host=N_HOST, host_id="node", provenance=Provenance("aimd"))
        label = Label(atoms.get_potential_energy(), np.array(atoms.get_forces()), "GFN1-xTB/tblite")
        frames.append(LabelledFrame(frame, label))
    return frames


@pytest.fixture(scope="session")
def loaded_node() -> list[LabelledFrame]:
    """Every 100th frame with 6 H2."""
    return _stored("aimd77-6h2.extxyz", "::100")


@pytest.fixture(scope="session")
def empty_node() -> list[LabelledFrame]:
    """Every 40th frame of the empty node."""
    return _stored("aimd77-0h2.extxyz", "::40")


@pytest.fixture(scope="session")
def node_network(empty_node: list[LabelledFrame]) -> HostNetwork:
    """Reference network at the first empty-node geometry."""
    return build_network(empty_node[0].frame)


@pytest.fixture
def h2_frame() -> Frame:
    """One H2 in a box of 10 Å."""
    positions = np.array([[5.0, 5.0, 4.63], [5.0, 5.0, 5.37]])
    return Frame(("H", "H"), positions, np.eye(3) * 10.0, 0)

"""Node frames with 6 H2 as exploration results with chosen deviations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.io import read

from alh2.config.model import SelectConfig
from alh2.core.atoms import from_atoms
from alh2.core.explored import ExploredFrame
from alh2.core.frames import Frame, Provenance
from alh2.select.sanity import HostBonds

NODE_DATA = Path(__file__).resolve().parents[2] / "examples" / "data" / "node-gfn1"


@pytest.fixture(scope="session")
def node_frames() -> list[Frame]:
    """All stored node frames with 6 H2."""
    path = NODE_DATA / "aimd77-6h2.extxyz"
    if not path.exists():
        pytest.skip(f"{path} is not here: stored node frames are needed")
    return [
        from_atoms(atoms, n_host=30, host_id="node", provenance=Provenance("aimd")) for atoms in read(path, index=":")
    ]


@pytest.fixture(scope="session")
def node_bonds(node_frames: list[Frame]) -> HostBonds:
    """Al–O, C–O, C–H and O–H contacts of the first frame."""
    host = node_frames[0].bare_host()
    limits = {"AlO": 2.3, "CO": 1.5, "CH": 1.3, "HO": 1.2}
    pairs, lengths = [], []
    for i in range(host.n_atoms):
        for j in range(i):
            length = float(np.linalg.norm(host.positions_ang[i] - host.positions_ang[j]))
            if length < limits.get("".join(sorted((host.symbols[i], host.symbols[j]))), 0.0):
                pairs.append((i, j))
                lengths.append(length)
    assert len(pairs) == 35
    return HostBonds(np.array(pairs), np.array(lengths))


@pytest.fixture
def config() -> SelectConfig:
    """Trust levels 0.15 and 0.60 eV/Å."""
    return SelectConfig(
        f_trust_lo_ev_ang=0.15,
        f_trust_hi_ev_ang=0.60,
        insertion_trust_lo_ev=0.02,
        fp_task_max=20,
        fp_task_min=1,
        min_distance_ang=1.3,
        h2_bond_max_ang=1.1,
        framework_bond_stretch=1.35,
    )


def explore(frame: Frame, devi: float, *, task: str = "task.000.000000", step: int = 0, **changes) -> ExploredFrame:
    """MD frame with force deviation `devi`."""
    return replace(ExploredFrame(frame, "md", task, step, 77.0, devi), **changes)


@pytest.fixture(scope="session")
def explored_as():
    """The function :func:`explore`."""
    return explore

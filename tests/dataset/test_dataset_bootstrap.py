"""First frames: shared hosts, distances kept, spreads as asked, seeded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alh2.config.model import BootstrapConfig
from alh2.core.atoms import to_atoms
from alh2.core.errors import BadInputError
from alh2.dataset.bootstrap import bootstrap_frames, gas_frames
from alh2.dataset.checks import composition_check
from alh2.dataset.ingest import IngestOptions, TrajectorySource, prepare
from alh2.structure.sites import open_metal_sites
from alh2.structure.topology import h2_molecules, neighbour_pairs

CONFIG = BootstrapConfig(
    loadings=(0, 1, 4, 10),
    frames_per_loading=6,
    host_snapshots=3,
    min_distance_ang=2.2,
    displacement_ang=0.03,
    close_distance_ang=1.6,
    rattled_frames=8,
    host_displacements_ang=(0.03, 0.06),
    gas_frames=7,
    gas_pair_frames=5,
    gas_box_ang=14.0,
    label_bare_hosts=True,
)


@pytest.fixture(scope="module")
def hosts(node_data):
    source = TrajectorySource((node_data / "aimd77-6h2.extxyz",), dt_fs=3.0, every=10)
    options = IngestOptions(host_id="node", validation_fraction=0.0)
    return [f.frame for f in prepare([source], type_map=("Al", "O", "C", "N", "H"), options=options).train]


@pytest.fixture(scope="module")
def frames(hosts):
    return bootstrap_frames(CONFIG, hosts, host_id="node", rng=np.random.default_rng(5))


@pytest.fixture(scope="module")
def settled(frames):
    """Frames on undisturbed host snapshots."""
    return [f for f in frames if f.n_host and "rattled" not in f.provenance.detail]


@pytest.fixture(scope="module")
def rattled(frames):
    return [f for f in frames if f.n_host and "rattled" in f.provenance.detail]


def test_numbers_and_shared_hosts(frames, settled, hosts):
    assert [f.n_h2 for f in settled] == [0] * 3 + [1] * 6 + [4] * 6 + [10] * 6
    bare = {f.digest for f in settled if not f.n_h2}
    assert len(bare) == 3
    assert {f.bare_host().digest for f in settled} == bare <= {h.bare_host().digest for h in hosts}
    for loading in (1, 4, 10):
        per_host = [f.bare_host().digest for f in settled if f.n_h2 == loading]
        assert sorted(per_host.count(d) for d in bare) == [2, 2, 2]
    assert {f.provenance.source for f in frames if f.n_host} == {"bootstrap"}
    assert composition_check(frames).warning == ""


def _closest_guest_contact_ang(frame):
    i, j, vectors = neighbour_pairs(to_atoms(frame), 6.0)
    contact = (j >= frame.n_host) & ((i - frame.n_host) // 2 != (j - frame.n_host) // 2)
    return np.linalg.norm(vectors[contact], axis=1).min()


def test_distances(frames):
    crowded = []
    for frame in frames:
        if not (frame.n_host and frame.n_h2):
            continue
        bonds = np.linalg.norm(np.diff(frame.positions_ang[frame.n_host :].reshape(-1, 2, 3), axis=1), axis=2)
        assert bonds.min() >= 0.62 and bonds.max() <= 0.92
        closest = _closest_guest_contact_ang(frame)
        if "crowded" in frame.provenance.detail:
            assert closest >= CONFIG.close_distance_ang
            crowded.append(closest)
        else:
            assert closest >= CONFIG.min_distance_ang
            assert len(h2_molecules(to_atoms(frame))) == frame.n_h2
    assert min(crowded) < 1.9  # short contacts do occur
    spread = [
        np.linalg.norm(f.positions_ang[f.n_host + 1] - f.positions_ang[f.n_host]) for f in frames if f.n_host and f.n_h2
    ]
    assert np.std(spread) > 0.01


def test_placings_take_turns(settled):
    details = [f.provenance.detail for f in settled if f.n_h2]
    for words in ("anywhere", "near open sites", "crowded"):
        assert sum(words in d for d in details) == len(details) / 3
    distances = []
    for frame in settled:
        if frame.n_h2 == 1 and "near open sites" in frame.provenance.detail:
            aluminium = [site.index for site in open_metal_sites(to_atoms(frame.bare_host()))]
            centre = frame.positions_ang[frame.n_host :].mean(axis=0)
            distances.append(np.linalg.norm(frame.positions_ang[aluminium] - centre, axis=1).min())
    assert min(distances) < 3.0  # a site without room is passed over


def test_rattled_hosts(rattled, hosts):
    assert [f.n_h2 for f in rattled] == [0, 0, 1, 1, 4, 4, 10, 10]
    known = np.array([h.positions_ang[: h.n_host] for h in hosts])
    for frame in rattled:
        width = float(frame.provenance.detail.split("rattled by ")[1].split(" Å")[0])
        moved = frame.positions_ang[: frame.n_host] - known
        nearest = moved[np.argmin((moved**2).sum(axis=(1, 2)))]
        assert nearest.std() == pytest.approx(width, rel=0.25)  # 90 components: ±7.5 %, 3 sigma


def test_gas_spans_bond_lengths_and_separations(frames):
    gas = [f for f in frames if not f.n_host]
    single = [f.positions_ang for f in gas if f.n_h2 == 1]
    pairs = [f.positions_ang.reshape(2, 2, 3).mean(axis=1) for f in gas if f.n_h2 == 2]
    assert [np.linalg.norm(p[1] - p[0]) for p in single] == pytest.approx(
        [0.68, 0.78, 0.88, *np.linspace(0.73, 0.80, 4)]
    )
    assert [np.linalg.norm(p[1] - p[0]) for p in pairs] == pytest.approx(np.linspace(1.5, 6.0, 5))
    axes = np.array([(p[1] - p[0]) / np.linalg.norm(p[1] - p[0]) for p in single])
    assert np.abs(axes @ axes.T)[np.triu_indices(7, 1)].max() < 0.9999
    assert {(f.provenance.source, f.host_id, f.cell_ang[0, 0]) for f in gas} == {("gas", "", 14.0)}


def test_same_seed_same_frames(frames, hosts):
    again = bootstrap_frames(CONFIG, hosts, host_id="node", rng=np.random.default_rng(5))
    other = bootstrap_frames(CONFIG, hosts, host_id="node", rng=np.random.default_rng(6))
    assert [f.digest for f in again] == [f.digest for f in frames]
    assert {f.digest for f in other if f.n_h2}.isdisjoint(f.digest for f in frames)


def test_refusals(hosts, frames_api):
    rng = np.random.default_rng(0)
    with pytest.raises(BadInputError, match="expected room for 400 H2"):
        bootstrap_frames(replace(CONFIG, loadings=(400,)), hosts, host_id="node", rng=rng)
    with pytest.raises(BadInputError, match="at least one frame with a host"):
        bootstrap_frames(CONFIG, [frames_api.frame(1, n_host=0)], host_id="node", rng=rng)
    with pytest.raises(BadInputError, match="gas_box_ang: expected at least 12"):
        gas_frames(replace(CONFIG, gas_box_ang=8.0), rng=rng)

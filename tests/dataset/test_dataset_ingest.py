"""Ingest: what is kept, held out, reported and refused; nothing half-written."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

from alh2.core.errors import BadInputError
from alh2.dataset.ingest import IngestOptions, TrajectorySource, ingest, prepare
from alh2.dataset.series import energy_drift, robust_z
from alh2.dataset.split import validation_mask
from alh2.dataset.store import DatasetStore

WATER = IngestOptions(host_id="water", validation_fraction=0.2)


def test_water_from_outcar_and_vasprun_is_the_same_dataset(vasp, tmp_path, frames_api):
    reports = []
    for name, file in (("a", "OUTCAR.h2o.md.10"), ("b", "vasprun.h2o.md.10.xml")):
        source = TrajectorySource((vasp / "dpdata" / file,), drop_ps=0.002, temperature_k=77.0)
        reports.append(ingest([source], tmp_path / name, type_map=frames_api.type_map, options=WATER))
    for report in reports:
        (t,) = report.trajectories
        assert (t.n_read, t.n_equilibration, t.n_unconverged, t.n_train, t.n_valid) == (10, 2, 0, 6, 2)
        assert (t.system, t.n_host, t.n_h2, t.dt_fs) == ("water.H4O2.h2_000", 6, 0, 1.0)
        assert t.duration_ps == pytest.approx(0.007)
        assert t.temperature.n == 8 and t.temperature.mean == pytest.approx(79.8, abs=0.1)
        assert report.plot.read_bytes().startswith(b"\x89PNG") and report.n_added == 8
    a, b = (DatasetStore.open(tmp_path / name).load() for name in "ab")
    assert [x.label.energy_ev for x in a] == pytest.approx([x.label.energy_ev for x in b], abs=1e-8)
    assert all(x.frame.provenance.temperature_k == 77.0 for x in a)
    assert a[0].frame.provenance.detail == "OUTCAR.h2o.md.10 frame 3"
    held_out = DatasetStore.open(tmp_path / "a").load("valid")
    assert [x.frame.provenance.detail.split()[-1] for x in held_out] == ["9", "10"]  # the last block of time


def test_node_runs_are_split_into_host_and_guests(node_data, tmp_path, frames_api):
    sources = [
        TrajectorySource((node_data / f"aimd77-{n}h2.extxyz",), dt_fs=3.0, drop_ps=0.15, labeler="xtb") for n in (6, 0)
    ]
    options = IngestOptions(host_id="node", n_host=30)
    report = ingest(sources, tmp_path / "d", type_map=frames_api.type_map, options=options)
    loaded, empty = report.trajectories
    assert (loaded.n_host, loaded.n_h2, empty.n_host, empty.n_h2) == (30, 6, 30, 0)
    assert (loaded.n_read, loaded.n_equilibration, empty.n_equilibration) == (350, 50, 50)
    assert (loaded.n_train, loaded.n_valid) == (270, 30)
    assert loaded.temperature is None and loaded.drift is not None
    store = DatasetStore.open(tmp_path / "d")
    frames = [f.frame for f in store.load() if f.frame.n_h2 == 6]
    bonds = [np.linalg.norm(f.positions_ang[31::2] - f.positions_ang[30::2], axis=1) for f in frames]
    assert 0.6 < np.min(bonds) and np.max(bonds) < 1.0
    raw = read(node_data / "aimd77-6h2.extxyz", index=50)
    assert sorted(np.round(frames[0].positions_ang[:30, 0], 6)) == sorted(np.round(raw.positions[:30, 0], 6))
    again = ingest(sources, tmp_path / "d", type_map=frames_api.type_map, options=options)
    assert again.n_added == 0 and len(store.load()) == report.n_added


def test_atoms_in_any_order_become_host_first(node_data, tmp_path, frames_api):
    """Shuffled atoms, guests wrapped into the cell: the same molecules, forces moved along, pairs kept together."""
    images = read(node_data / "aimd77-6h2.extxyz", index="0:6")
    order = np.random.default_rng(3).permutation(len(images[0]))
    shuffled = []
    for image in images:
        moved = image[order]
        moved.positions[:] = np.mod(moved.positions, 16.0)
        moved.calc = SinglePointCalculator(moved, energy=image.get_potential_energy(), forces=image.get_forces()[order])
        shuffled.append(moved)
    write(tmp_path / "s.extxyz", shuffled)
    options = IngestOptions(host_id="node", n_host=30, validation_fraction=0.0)
    prepared = prepare(
        [TrajectorySource((tmp_path / "s.extxyz",))], type_map=frames_api.type_map, options=options
    )  # fmt: skip
    for labelled, image in zip(prepared.train, images, strict=True):
        frame = labelled.frame
        assert frame.n_host == 30 and frame.n_h2 == 6
        bonds = np.linalg.norm(frame.positions_ang[31::2] - frame.positions_ang[30::2], axis=1)
        assert bonds.max() < 1.0
        forces = {
            tuple(np.round(np.mod(p, 16.0), 5)): f for p, f in zip(image.positions, image.get_forces(), strict=True)
        }
        for position, force in zip(frame.positions_ang, labelled.label.forces_ev_ang, strict=True):
            assert np.allclose(forces[tuple(np.round(np.mod(position, 16.0), 5))], force, atol=1e-7)


def _gas_run(n: int, *, spike: int | None = None, broken: int | None = None) -> list[Atoms]:
    rng = np.random.default_rng(0)
    images = []
    for k in range(n):
        length = 1.6 if k == broken else 0.74 + 0.01 * rng.standard_normal()
        atoms = Atoms("H2", [[1, 1, 1], [1, 1, 1 + length]], cell=[9, 9, 9], pbc=True)
        energy = -31.0 + 0.002 * rng.standard_normal() + (1.0 if k == spike else 0.0)
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=0.1 * rng.standard_normal((2, 3)))
        images.append(atoms)
    return images


def test_outliers_are_named_and_may_be_dropped(tmp_path, frames_api):
    path = tmp_path / "gas.extxyz"
    write(path, _gas_run(60, spike=17, broken=31))
    for drop in (False, True):
        options = IngestOptions(drop_outliers=drop, split="random", seed=5)
        (t,) = prepare(
            [TrajectorySource((path,), dt_fs=1.0)], type_map=frames_api.type_map, options=options
        ).report.trajectories
        assert [outlier.frame for outlier in t.outliers] == [18, 32]
        assert "energy" in t.outliers[0].reason and "H–H distance 1.60" in t.outliers[1].reason
        assert (t.n_outliers_dropped, t.n_train + t.n_valid) == ((2, 58) if drop else (0, 60))
        assert (t.host_id, t.n_host, t.n_h2) == ("", 0, 1)


def test_every_and_max_frames_and_continued_files(tmp_path, frames_api):
    images = _gas_run(40)
    write(tmp_path / "1.extxyz", images[:25])
    write(tmp_path / "2.extxyz", images[25:])
    files = (tmp_path / "1.extxyz", tmp_path / "2.extxyz")
    source = TrajectorySource(files, dt_fs=2.0, drop_ps=0.02, every=3, max_frames=8)
    prepared = prepare([source], type_map=frames_api.type_map)
    (t,) = prepared.report.trajectories
    assert (t.n_read, t.n_equilibration, t.n_thinned) == (40, 10, 22)
    assert [round(s.time_ps * 500) for s in prepared.timelines[0].steps] == list(range(10, 34, 3))


def test_truncated_run_can_be_kept_on_request(vasp, tmp_path, frames_api):
    text = (vasp / "dpdata" / "OUTCAR.h2o.md.10").read_text()
    path = tmp_path / "OUTCAR"
    path.write_text(text[: int(0.77 * len(text))])
    with pytest.raises(BadInputError, match="OUTCAR: expected a whole file, found frame 8 breaks off"):
        prepare([TrajectorySource((path,))], type_map=frames_api.type_map)
    prepared = prepare(
        [TrajectorySource((path,), allow_truncated=True)], type_map=frames_api.type_map, options=WATER
    )  # fmt: skip
    assert prepared.report.trajectories[0].n_read == 7


def _cells(tmp_path):
    images = _gas_run(4)
    images[2].set_cell([9, 9, 9.5])
    images[2].calc = SinglePointCalculator(images[2], energy=0.0, forces=np.zeros((2, 3)))
    write(tmp_path / "npt.extxyz", images)
    return tmp_path / "npt.extxyz"


def test_refusals_name_file_and_frame_and_write_nothing(vasp, tmp_path, frames_api):
    nelm = vasp / "dpdata" / "OUTCAR.ch4.1step"
    silicon = vasp / "pymatgen" / "fixtures__static_silicon__OUTCAR"
    gas = tmp_path / "gas.extxyz"
    write(gas, _gas_run(5))
    water = vasp / "dpdata" / "OUTCAR.h2o.md.10"
    unconverged = vasp / "pymatgen" / "outputs__vasprun.unconverged.xml.gz"
    cases = [
        (TrajectorySource((nelm,)), None, "found 0 of 1 .*1 not converged"),
        (TrajectorySource((unconverged,)), None, "found 0 of 5 .*5 not converged"),
        (TrajectorySource((water,), drop_ps=1.0), None, "found 0 of 10 .10 dropped as equilibration"),
        (TrajectorySource((silicon,)), None, "OUTCAR, frame 1: expected elements of the type map .* found Si"),
        (TrajectorySource((gas,), drop_ps=1.0), None, "expected the time between frames.*--dt-fs"),
        (TrajectorySource((_cells(tmp_path),)), None, "npt.extxyz, frame 3: expected the cell .*9.0000.*9.5000"),
        (TrajectorySource((water,)), 5, "frame 1: expected 5 host atoms and free H2, found 6 host atoms and 0 H2"),
        (TrajectorySource((gas, tmp_path / "none")), None, "none: expected a trajectory, found no such file"),
    ]
    for source, n_host, message in cases:
        for output in (tmp_path / "new",):
            with pytest.raises(BadInputError, match=message) as caught:
                options = IngestOptions(host_id="x", n_host=n_host)
                ingest([TrajectorySource((gas,)), source], output, type_map=frames_api.type_map, options=options)
            assert "\n" not in str(caught.value)
            assert sorted(p.name for p in tmp_path.iterdir()) == ["gas.extxyz"] + ["npt.extxyz"] * (
                (tmp_path / "npt.extxyz").exists()
            )
    changing = TrajectorySource((tmp_path / "npt.extxyz",), allow_mixed_cells=True)
    assert prepare([changing], type_map=frames_api.type_map).report.n_train == 4


def test_a_dataset_that_exists_is_untouched_by_a_refusal(vasp, tmp_path, frames_api):
    good = TrajectorySource((vasp / "dpdata" / "OUTCAR.h2o.md.10",))
    ingest([good], tmp_path / "d", type_map=frames_api.type_map, options=WATER)
    before = frames_api.tree(tmp_path / "d")
    bad = TrajectorySource((vasp / "dpdata" / "OUTCAR.ch4.1step",))
    with pytest.raises(BadInputError):
        ingest([good, bad], tmp_path / "d", type_map=frames_api.type_map, options=WATER)
    write(tmp_path / "gas.extxyz", _gas_run(5))
    other_theory = TrajectorySource((tmp_path / "gas.extxyz",), labeler="xtb")
    with pytest.raises(BadInputError, match="one level of theory"):
        ingest([other_theory], tmp_path / "d", type_map=frames_api.type_map)
    assert frames_api.tree(tmp_path / "d") == before
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(BadInputError, match="expected a dataset or a new folder"):
        ingest([good], tmp_path / "notes", type_map=frames_api.type_map, options=WATER)


def test_report_file(vasp, tmp_path, frames_api):
    source = TrajectorySource((vasp / "dpdata" / "OUTCAR.h2o.md.10",))
    ingest([source], tmp_path / "d", type_map=frames_api.type_map, options=WATER)
    report = json.loads((tmp_path / "d" / "ingest" / "init.aimd.json").read_text())
    assert report["n_added"] == 10 and report["trajectories"][0]["composition"] == "H4O2"


def test_blocks_are_stretches_of_time():
    mask = validation_mask(1000, 0.1)
    starts = np.flatnonzero(np.diff(mask.astype(int)) == 1) + 1
    assert mask.sum() == 100 and list(starts) == [225, 475, 725, 975]
    assert [int(validation_mask(n, 0.1).sum()) for n in (0, 1, 2, 4, 5, 12, 40)] == [0, 0, 0, 0, 1, 1, 4]
    assert not validation_mask(100, 0.0).any()
    random = validation_mask(1000, 0.1, method="random", rng=np.random.default_rng(1))
    assert random.sum() == 100 and (np.diff(random.astype(int)) == 1).sum() > 60
    assert np.array_equal(random, validation_mask(1000, 0.1, method="random", rng=np.random.default_rng(1)))


@pytest.mark.physics
def test_drift_has_an_honest_error():
    """Correlated noise (AR(1), 10 frames) on a known slope: the error covers it as often as a t distribution says."""
    rng = np.random.default_rng(12)
    times = np.arange(2000) * 0.001
    pulls = []
    for _ in range(300):
        noise = np.zeros(2000)
        kicks = 1e-3 * rng.standard_normal(2000)
        for i in range(1, 2000):
            noise[i] = 0.9 * noise[i - 1] + kicks[i]
        drift = energy_drift(times, 0.005 * times + noise)
        pulls.append((drift.mev_per_atom_ps - 5.0) / drift.error)
    inside = np.mean(np.abs(pulls) < 2.306)  # 95 % of Student's t with 8 degrees of freedom
    assert abs(inside - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 300)
    assert abs(np.mean(pulls)) < 4 * np.std(pulls) / np.sqrt(300)


def test_robust_z():
    values = np.random.default_rng(0).normal(3.0, 2.0, 4001)
    values[0] = 100.0
    z = robust_z(values)
    assert z[0] == pytest.approx(97 / 2.0, rel=0.1) and np.std(z[1:]) == pytest.approx(1.0, rel=0.05)
    assert not robust_z(np.ones(5)).any()

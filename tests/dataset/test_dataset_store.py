"""The store: append-only, whole or absent, hosts joined, exports exact and repeatable."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alh2.core.errors import BadInputError
from alh2.core.frames import Frame, Label, LabelledFrame
from alh2.dataset.store import DatasetStore


@pytest.fixture
def store(tmp_path, frames_api):
    return DatasetStore(tmp_path / "data", frames_api.type_map)


def test_round_trip_is_exact(store, frames_api):
    frames = [frames_api.labelled(n, seed) for n in (0, 2, 6) for seed in range(3)]
    assert store.append(frames[:-1], split="train", name="a") == 6  # the bare host is the same for every seed
    assert store.append(frames[-1:], split="valid", name="a") == 1
    loaded = {f.frame.digest: f for f in store.load()}
    for frame in frames[3:]:
        back = loaded[frame.frame.digest]
        assert back.label.energy_ev == frame.label.energy_ev
        assert np.array_equal(back.label.forces_ev_ang, frame.label.forces_ev_ang)
        assert np.array_equal(back.frame.positions_ang, frame.frame.positions_ang)
        assert back.frame.provenance == frame.frame.provenance
        assert (back.frame.n_host, back.frame.host_id, back.label.labeler) == (3, "node", "xtb")
    names = [c.system for c in store.counts()]
    assert names == [f"node.H1Al1O1.h2_{n:03d}" for n in (0, 2, 6)]
    assert [(c.n_h2, c.n_atoms, c.n_train, c.n_valid) for c in store.counts()] == [
        (0, 3, 1, 0),
        (2, 7, 3, 0),
        (6, 15, 2, 1),
    ]
    assert DatasetStore.open(store.root).type_map == frames_api.type_map


def test_one_system_holds_one_set_per_append(store, frames_api):
    for k in range(12):
        assert store.append([frames_api.labelled(1, k)], split="train", name=f"iter.{k:06d}") == 1
    sets = sorted(p.name for p in (store.root / "train" / "node.H1Al1O1.h2_001").glob("set.*"))
    assert sets == [f"set.{k:03d}" for k in range(12)]
    assert [f.frame.digest for f in store.load()] == [frames_api.frame(1, k).digest for k in range(12)]


def test_repeats_add_nothing(store, frames_api):
    frames = [frames_api.labelled(1, k) for k in range(4)]
    assert store.append(frames, split="train", name="a") == 4
    before = frames_api.tree(store.root)
    assert store.append(frames, split="train", name="a") == 0
    assert store.append(frames, split="valid", name="other") == 0  # stored in another split already
    assert store.append([frames_api.labelled(1, 9)], split="train", name="a") == 0  # the name was used
    assert frames_api.tree(store.root) == before
    assert store.append([*frames, frames_api.labelled(1, 9)], split="train", name="b") == 1


def test_host_labels_join_whenever_they_come(store, frames_api):
    first, second = frames_api.labelled(2, 1), frames_api.labelled(4, 2)  # on one host
    other = frames_api.labelled(2, 3, host_seed=8)
    store.append([first, second, other], split="train", name="a")
    assert not any(f.has_target("interaction") for f in store.load())
    assert [h.digest for h in store.hosts_to_label()] == [f.frame.bare_host().digest for f in (first, other)]
    host_label = Label(-7.5, np.arange(9.0).reshape(3, 3), "xtb")
    assert store.append_host_labels([(first.frame.bare_host(), host_label)], name="hosts") == 1
    assert store.append_host_labels([(first.frame.bare_host(), host_label)], name="again") == 0
    by_digest = {f.frame.digest: f for f in store.load()}
    for labelled in (first, second):
        joined = by_digest[labelled.frame.digest]
        assert joined.energy_ev("interaction") == labelled.label.energy_ev + 7.5
        expected = labelled.label.forces_ev_ang.copy()
        expected[:3] -= np.arange(9.0).reshape(3, 3)
        assert np.array_equal(joined.forces_ev_ang("interaction"), expected)
    assert not by_digest[other.frame.digest].has_target("interaction")
    assert [c.n_interaction for c in store.counts()] == [1, 1]
    with pytest.raises(BadInputError, match="expected a bare host"):
        store.append_host_labels([(first.frame, first.label)], name="wrong")


def test_a_stored_bare_host_labels_its_loaded_frames(store, frames_api):
    bare, loaded, gas = frames_api.labelled(0), frames_api.labelled(3, 1), frames_api.labelled(1, 5, n_host=0)
    store.append([bare, gas], split="valid", name="a")
    store.append([loaded], split="train", name="a")
    by_loading = {(f.frame.n_host, f.frame.n_h2): f for f in store.load()}
    assert by_loading[3, 3].energy_ev("interaction") == loaded.label.energy_ev - bare.label.energy_ev
    assert by_loading[3, 0].energy_ev("interaction") == 0.0
    assert not by_loading[3, 0].forces_ev_ang("interaction").any()
    assert by_loading[0, 1].energy_ev("interaction") == gas.label.energy_ev
    assert store.hosts_to_label() == []


def test_host_labels_carried_by_frames_are_stored(store, frames_api):
    host_label = Label(1.25, np.ones((3, 3)), "xtb")
    frames = [replace(frames_api.labelled(2, k), host_label=host_label) for k in range(3)]
    store.append(frames, split="train", name="a")
    assert all(f.host_label is not None and f.host_label.energy_ev == 1.25 for f in store.load())
    assert len(list((store.root / "hosts").glob("*/set.*"))) == 1
    late = frames_api.labelled(1, 7, host_seed=4)
    store.append([late], split="train", name="b")
    store.append([replace(late, host_label=host_label)], split="train", name="c")  # frame known, host label new
    assert all(f.has_target("interaction") for f in store.load())


def test_export_total_and_interaction_read_by_dpdata(store, frames_api, tmp_path):
    import dpdata

    host_label = Label(-2.0, np.full((3, 3), 0.5), "xtb")
    frames = [frames_api.labelled(2, k) for k in range(5)] + [frames_api.labelled(2, 9, host_seed=3)]
    store.append(frames, split="train", name="a")
    store.append_host_labels([(frames[0].frame.bare_host(), host_label)], name="h")
    (total,) = store.export(tmp_path / "total", target="total", split="train")
    (interaction,) = store.export(tmp_path / "sub" / "interaction", target="interaction", split="train")
    system = dpdata.LabeledSystem(str(total), fmt="deepmd/npy")
    assert system["energies"] == pytest.approx([f.label.energy_ev for f in frames], abs=0)
    assert [system["atom_names"][t] for t in system["atom_types"]] == list(frames[0].frame.symbols)
    assert np.allclose(system["coords"], [f.frame.positions_ang for f in frames], atol=0)
    system = dpdata.LabeledSystem(str(interaction), fmt="deepmd/npy")
    assert system["energies"] == pytest.approx([f.label.energy_ev + 2.0 for f in frames[:5]], abs=1e-12)
    assert np.allclose(system["forces"][:, :3], [f.label.forces_ev_ang[:3] - 0.5 for f in frames[:5]], atol=1e-12)
    manifest = json.loads((interaction.parent / "export.json").read_text())
    assert (manifest["n_frames"], manifest["n_without_host_label"]) == (5, 1)


def test_export_is_repeatable_and_follows_the_store(store, frames_api, tmp_path):
    store.append([frames_api.labelled(2, 1), frames_api.labelled(1, 1)], split="train", name="a")
    store.export(tmp_path / "x", target="total", split="train")
    before = frames_api.tree(tmp_path / "x")
    store.export(tmp_path / "x", target="total", split="train")
    store.export(tmp_path / "y", target="total", split="train")
    assert frames_api.tree(tmp_path / "x") == before == frames_api.tree(tmp_path / "y")
    store.append([frames_api.labelled(3, 1)], split="train", name="b")
    paths = store.export(tmp_path / "x", target="total", split="train")
    assert len(paths) == 3 and all((p / "set.000" / "energy.npy").is_file() for p in paths)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "x", "y"]


@pytest.mark.parametrize("moment", ["before", "between"])
def test_killed_append_is_completed_by_repeating_it(tmp_path, frames_api, moment):
    """A process that dies while staging, or between the commits of two systems, leaves a store that reads."""
    script = tmp_path / "append.py"
    script.write_text(
        "import os, sys, importlib.util\n"
        "from pathlib import Path\n"
        f"spec = importlib.util.spec_from_file_location('c', {str(Path(__file__).with_name('conftest.py'))!r})\n"
        "c = importlib.util.module_from_spec(spec); spec.loader.exec_module(c)\n"
        "import alh2.dataset.store as s\n"
        "real, calls = s.commit_directory, []\n"
        "def dying(staged, final):\n"
        "    calls.append(final)\n"
        "    if len(calls) == int(sys.argv[2]): os._exit(9)\n"
        "    real(staged, final)\n"
        "s.commit_directory = dying\n"
        "frames = [c.make_labelled(n, k) for n in (1, 2) for k in range(3)]\n"
        "print(s.DatasetStore(Path(sys.argv[1]), c.TYPE_MAP).append(frames, split='train', name='a'))\n"
    )

    def run(root: Path, die_at: int) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, script, str(root), str(die_at)], capture_output=True, text=True)

    die_at = 1 if moment == "before" else 2
    assert run(tmp_path / "killed", die_at).returncode == 9
    store = DatasetStore(tmp_path / "killed", frames_api.type_map)
    assert len(store.load()) == 3 * (die_at - 1)
    assert any((tmp_path / "killed" / ".staging").iterdir())
    again, whole = run(tmp_path / "killed", 99), run(tmp_path / "whole", 99)
    assert (again.stdout.strip(), whole.stdout.strip()) == (str(9 - 3 * die_at), "6")
    assert frames_api.tree(tmp_path / "killed") == frames_api.tree(tmp_path / "whole")
    assert not any((tmp_path / "killed" / ".staging").iterdir())


def _damage_missing(folder: Path) -> None:
    (folder / "force.npy").unlink()


def _damage_torn(folder: Path) -> None:
    data = (folder / "coord.npy").read_bytes()
    (folder / "coord.npy").write_bytes(data[: len(data) // 2])


def _damage_shape(folder: Path) -> None:
    np.save(folder / "energy.npy", np.zeros(5))


def _damage_content(folder: Path) -> None:
    coord = np.load(folder / "coord.npy")
    coord[0, 0] += 1e-3
    np.save(folder / "coord.npy", coord)


def _damage_records(folder: Path) -> None:
    (folder / "frames.jsonl").unlink()


def _damage_line(folder: Path) -> None:
    path = folder / "frames.jsonl"
    path.write_text(path.read_text()[:-30])


def _damage_types(folder: Path) -> None:
    (folder.parent / "type.raw").write_text("0\n1\n7\n4\n4\n")


@pytest.mark.parametrize(
    "damage",
    [
        _damage_missing,
        _damage_torn,
        _damage_shape,
        _damage_content,
        _damage_records,
        _damage_line,
        _damage_types,
    ],
)
def test_torn_or_foreign_content_is_named(store, frames_api, damage):
    store.append([frames_api.labelled(1, k) for k in range(2)], split="train", name="a")
    folder = store.root / "train" / "node.H1Al1O1.h2_001" / "set.000"
    damage(folder)
    with pytest.raises(BadInputError, match="node.H1Al1O1.h2_001"):
        store.load()


def test_another_type_map_is_refused(store, frames_api):
    store.append([frames_api.labelled(1)], split="train", name="a")
    with pytest.raises(BadInputError, match="type map H O Al"):
        DatasetStore(store.root, ("H", "O", "Al")).load()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: replace(f, label=replace(f.label, energy_ev=float("nan"))), "expected finite energy"),
        (lambda f: replace(f, label=replace(f.label, forces_ev_ang=np.zeros((2, 3)))), "expected forces of shape"),
        (lambda f: replace(f, label=replace(f.label, labeler="vasp")), "one level of theory, found vasp and xtb"),
        (lambda f: replace(f, frame=replace(f.frame, symbols=("Xe", *f.frame.symbols[1:]))), "found Xe"),
        (lambda f: replace(f, frame=replace(f.frame, host_id="../x")), "host id"),
        (
            lambda f: LabelledFrame(replace(f.frame, symbols=("O", "Al", *f.frame.symbols[2:])), f.label),
            "expected atom 1 to be Al as in the other frames of node.H1Al1O1, found O",
        ),
    ],
)
def test_bad_frames_are_refused_and_nothing_is_written(store, frames_api, change, message):
    store.append([frames_api.labelled(1)], split="train", name="a")
    before = frames_api.tree(store.root)
    with pytest.raises(BadInputError, match=message):
        store.append([frames_api.labelled(2, 4), change(frames_api.labelled(2, 5))], split="train", name="b")
    assert frames_api.tree(store.root) == before


def test_gas_and_numbers_of_sets_beyond_a_thousand_keep_their_order(store, frames_api, monkeypatch):
    gas = [frames_api.labelled(1, k, n_host=0) for k in range(3)]
    store.append(gas[:1], split="train", name="0")
    system = store.root / "train" / "gas.h2_001"
    (system / "set.000").rename(system / "set.999")
    store.append(gas[1:2], split="train", name="1")
    store.append(gas[2:], split="train", name="2")
    assert [p.name for p in sorted(system.glob("set.1*"))] == ["set.1000", "set.1001"]
    assert [f.frame.digest for f in store.load()] == [f.frame.digest for f in gas]
    assert isinstance(store.load()[0].frame, Frame) and store.load()[0].frame.host_id == ""

"""Groups of atoms and samples of deviations, on frames of the node."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alh2.assess.errors import FrameErrors, InsertionEnergies, frame_errors, load_errors, save_errors
from alh2.assess.groups import FRAMEWORK, GROUPS, GUEST, ISOLATED, OPEN_AL, atom_groups, groups_without_sites
from alh2.assess.samples import energy_sample, force_sample, largest_force_sample, named_samples
from alh2.core.frames import Frame, LabelledFrame, Provenance
from alh2.explore.deviation import force_deviation
from alh2.potential.evaluate import CommitteeEvaluation
from alh2.potential.frames_npz import offsets_of

NO_INSERTIONS = InsertionEnergies("total", np.zeros(0, int), np.zeros(0), np.zeros((2, 0)))


def gas() -> Frame:
    return Frame(("H", "H"), np.array([[0.0, 0, 0], [0.74, 0, 0]]), 12 * np.eye(3), 0, "", Provenance("gas"))


@pytest.fixture
def mixed(loaded_frames: list[LabelledFrame]) -> list[LabelledFrame]:
    """Two loaded frames, their bare host and isolated H2."""
    first, second = loaded_frames[0], loaded_frames[7]
    host = LabelledFrame(first.frame.bare_host(), replace(first.label, forces_ev_ang=first.label.forces_ev_ang[:30]))
    molecule = LabelledFrame(gas(), replace(first.label, energy_ev=-31.7, forces_ev_ang=np.zeros((2, 3))))
    return [replace(f, host_label=host.label) for f in (first, second, host)] + [molecule]


def committee_errors(frames: list[LabelledFrame], target: str, n_models: int = 3) -> FrameErrors:
    rng = np.random.default_rng(8)
    bare = [f.frame for f in frames]
    offsets = offsets_of(bare)
    evaluation = CommitteeEvaluation(
        rng.normal(size=(n_models, len(bare))),
        rng.normal(size=(n_models, int(offsets[-1]), 3)),
        offsets,
        tuple(f.digest for f in bare),
    )
    return frame_errors(frames, evaluation, target=target)


def test_guests_open_sites_and_framework_are_told_apart(mixed):
    groups = atom_groups([f.frame for f in mixed])
    first = mixed[0].frame
    assert groups.size == sum(f.frame.n_atoms for f in mixed)
    assert (groups[30 : first.n_atoms] == GUEST).all() and (groups[-2:] == ISOLATED).all()
    sites = np.flatnonzero(groups[:30] == OPEN_AL)
    assert len(sites) == 2 and {first.symbols[i] for i in sites} == {"Al"}  # the third Al carries the OH
    assert (np.delete(groups[:30], sites) == FRAMEWORK).all()
    assert len(GROUPS) == 4


def test_one_broken_geometry_does_not_move_the_sites(loaded_frames):
    frames = [f.frame for f in loaded_frames[:8]]
    known = atom_groups(frames)[:30]
    broken = frames[3].positions_ang.copy()
    oxygen = next(i for i in range(30) if frames[3].symbols[i] == "O")
    broken[oxygen] += 3.0
    frames[3] = replace(frames[3], positions_ang=broken)
    groups = atom_groups(frames).reshape(8, -1)
    assert all((row[:30] == known).all() for row in groups)


def test_files_without_groups_know_guests_only(mixed, tmp_path):
    errors = committee_errors(mixed, "total")
    expected = np.where(errors.atom_group == OPEN_AL, FRAMEWORK, errors.atom_group)
    np.testing.assert_array_equal(groups_without_sites(errors.n_h2, errors.n_atoms), expected)
    save_errors(tmp_path / "errors.npz", errors, NO_INSERTIONS)
    np.testing.assert_array_equal(load_errors(tmp_path / "errors.npz")[0].atom_group, errors.atom_group)
    with np.load(tmp_path / "errors.npz") as data:
        old = {name: data[name] for name in data.files if name != "atom_group"}
    np.savez(tmp_path / "old.npz", **old)
    np.testing.assert_array_equal(load_errors(tmp_path / "old.npz")[0].atom_group, expected)


@pytest.mark.parametrize("n_models", [2, 3, 5])
def test_force_deviations_are_those_that_selection_sees(mixed, n_models):
    errors = committee_errors(mixed, "total", n_models)
    largest, every = largest_force_sample(errors), force_sample(errors)
    for i in range(len(mixed)):
        atoms = slice(errors.offsets[i], errors.offsets[i + 1])
        assert largest.deviation[i] == pytest.approx(force_deviation(errors.force_models_ev_ang[:, atoms]))
        difference = errors.force_models_ev_ang.mean(axis=0)[atoms] - errors.force_label_ev_ang[atoms]
        assert largest.error[i] == pytest.approx(np.linalg.norm(difference, axis=1).max())
        of_frame = every.deviation[every.frame == i]
        biased = np.sqrt(3 * (n_models - 1) / n_models) * of_frame.max()
        assert biased == pytest.approx(largest.deviation[i])
        np.testing.assert_allclose(every.error[every.frame == i], difference.ravel())


def test_deviation_of_a_force_estimates_the_scatter_of_its_components():
    """Components with a known scatter of 0.1 eV/Å: the mean square deviation is 0.01 for any number of models."""
    rng = np.random.default_rng(1)
    n = 20_000
    for n_models in (2, 4):
        models = 0.1 * rng.standard_normal((n_models, n, 3))
        errors = FrameErrors(
            "total", np.array([1]), np.array([n]), np.array(["aimd"]), np.array([0, n]), np.zeros(1),
            np.zeros((n_models, 1)), np.zeros((n, 3)), models, np.full(n, FRAMEWORK, np.int8),
        )  # fmt: skip
        assert np.mean(force_sample(errors).deviation ** 2) == pytest.approx(0.01, rel=0.03)


def test_energies_are_per_atom(mixed):
    errors = committee_errors(mixed, "total")
    sample = energy_sample(errors)
    assert sample.error[1] == pytest.approx(
        (errors.energy_models_ev[:, 1].mean() - errors.energy_label_ev[1]) / mixed[1].frame.n_atoms
    )
    assert sample.deviation[1] == pytest.approx(errors.energy_models_ev[:, 1].std(ddof=1) / mixed[1].frame.n_atoms)


@pytest.mark.parametrize("target", ["total", "interaction"])
def test_samples_of_every_quantity_group_and_loading(mixed, target):
    insertions = InsertionEnergies(target, np.array([0, 5, 5]), np.zeros(3), np.ones((3, 3)))
    found = {
        (s.quantity, s.group, s.n_h2): s.sample for s in named_samples(committee_errors(mixed, target), insertions)
    }
    loaded, bare = 2, 1 if target == "total" else 0  # an interaction committee has nothing to say of bare hosts
    assert found["force", "all", None].error.size == 3 * (loaded * 42 + bare * 30)
    assert found["force", "H2", None].error.size == 3 * loaded * 12
    assert found["force", "open Al", None].error.size == 3 * (loaded + bare) * 2
    assert found["force", "isolated H2", None].error.size == 6
    assert found["largest force", "all", None].error.size == found["energy", "all", None].error.size == loaded + bare
    assert (("energy", "all", 0) in found) == (target == "total")
    assert found["insertion", "all", None].error.size == 3 and found["insertion", "all", 5].error.size == 2
    pooled = [key for key in found if key[1:] == ("all", None)]
    for quantity, _, _ in pooled:
        assert next(key for key in found if key[0] == quantity) == (quantity, "all", None)


def test_a_single_model_gives_no_sample(mixed):
    one = InsertionEnergies("total", np.array([0]), np.zeros(1), np.ones((1, 1)))
    assert named_samples(committee_errors(mixed, "total", 1), one) == []

"""Held-out errors against numbers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alh2.assess.errors import (
    InsertionEnergies,
    frame_errors,
    frames_of,
    insertion_energies,
    load_errors,
    save_errors,
)
from alh2.assess.heldout import heldout_insertion
from alh2.core.errors import BadInputError
from alh2.core.frames import Frame, Label, LabelledFrame, Provenance
from alh2.potential.evaluate import CommitteeEvaluation
from alh2.potential.frames_npz import offsets_of


def toy(n_h2: int, seed: int) -> Frame:
    rng = np.random.default_rng(seed)
    symbols = ("O", "O") + ("H",) * (2 * n_h2)
    return Frame(symbols, rng.uniform(0, 9, (len(symbols), 3)), 9 * np.eye(3), 2, "toy", Provenance("aimd"))


def predicted(frames: list[Frame], n_models: int, seed: int) -> CommitteeEvaluation:
    rng = np.random.default_rng(seed)
    offsets = offsets_of(frames)
    return CommitteeEvaluation(
        rng.normal(size=(n_models, len(frames))),
        rng.normal(size=(n_models, int(offsets[-1]), 3)),
        offsets,
        tuple(frame.digest for frame in frames),
    )


def labelled(frame: Frame, seed: int) -> LabelledFrame:
    rng = np.random.default_rng(seed)
    label = Label(float(rng.normal()), rng.normal(size=(frame.n_atoms, 3)), "x")
    return LabelledFrame(frame, label, Label(float(rng.normal()), rng.normal(size=(frame.n_host, 3)), "x"))


@pytest.mark.parametrize("target", ["total", "interaction"])
def test_rmse_by_hand(target) -> None:
    frames = [labelled(toy(n, n), 10 + n) for n in (0, 1, 3)]
    evaluation = predicted([f.frame for f in frames], 3, 1)
    errors = frame_errors(frames, evaluation, target=target)
    squares, energies = [], []
    for i, f in enumerate(frames):
        energies.append((evaluation.energies_ev[:, i].sum() / 3 - f.energy_ev(target)) / f.frame.n_atoms)
        mean = evaluation.frame_forces_ev_ang(i).sum(axis=0) / 3
        squares += [float(x) ** 2 for x in (mean - f.forces_ev_ang(target)).ravel()]
    assert errors.force_rmse_ev_ang == pytest.approx(math.sqrt(sum(squares) / len(squares)))
    assert errors.energy_rmse_ev_atom == pytest.approx(math.sqrt(sum(e * e for e in energies) / 3))
    assert errors.n_h2.tolist() == [0, 1, 3] and errors.n_atoms.tolist() == [2, 4, 8]
    assert errors.source.tolist() == ["aimd"] * 3 and errors.offsets.tolist() == [0, 2, 6, 14]


def test_other_frames_or_another_order_are_refused() -> None:
    frames = [labelled(toy(n, n), n) for n in (1, 2)]
    evaluation = predicted([f.frame for f in frames], 2, 1)
    for wrong in (frames[:1], frames[::-1]):
        with pytest.raises(ValueError, match="other frames"):
            frame_errors(wrong, evaluation, target="total")
    with pytest.raises(ValueError, match="other frames"):
        insertion_energies([heldout_insertion(frames[0].frame, 0)], {}, evaluation, target="total")


def test_no_frames_is_nan_and_no_warning() -> None:
    errors = frame_errors([], predicted([], 2, 1), target="total")
    assert math.isnan(errors.force_rmse_ev_ang) and math.isnan(errors.energy_rmse_ev_atom)
    none = insertion_energies([], {}, predicted([], 2, 1), target="total")
    assert none.label_ev.shape == (0,) and none.models_ev.shape == (2, 0)
    assert math.isnan(none.rmse_ev) and math.isnan(none.mean_ev)


def test_insertion_energies_of_those_with_all_three_labels() -> None:
    insertions = [heldout_insertion(toy(n, 20 + n), n - 1) for n in (1, 2, 4)]
    frames = frames_of(insertions)
    evaluation = predicted(frames, 3, 5)
    labels = {frame.digest: Label(float(i), np.zeros((frame.n_atoms, 3)), "x") for i, frame in enumerate(frames)}
    found = insertion_energies(insertions, labels, evaluation, target="interaction")
    assert found.n_h2.tolist() == [0, 1, 3] and found.label_ev.tolist() == [-3.0, -6.0, -9.0]
    e = evaluation.energies_ev
    for k in range(3):
        by_hand = e[:, 3 * k] - e[:, 3 * k + 1] - e[:, 3 * k + 2]
        np.testing.assert_allclose(found.models_ev[:, k], by_hand)
        assert found.spread_ev[k] == pytest.approx(math.sqrt(sum((by_hand - by_hand.mean()) ** 2) / 2))
        assert found.errors_ev[k] == pytest.approx(by_hand.mean() - found.label_ev[k])
    assert found.rmse_ev == pytest.approx(math.sqrt(sum(found.errors_ev**2) / 3))
    assert found.mean_ev == pytest.approx(sum(found.errors_ev) / 3)
    for part in ("loaded", "less", "gas"):
        fewer = {d: label for d, label in labels.items() if d != getattr(insertions[1], part).digest}
        kept = insertion_energies(insertions, fewer, evaluation, target="total")
        assert kept.n_h2.tolist() == [0, 3]
        np.testing.assert_array_equal(kept.models_ev, found.models_ev[:, [0, 2]])


def test_one_model_knows_no_spread() -> None:
    alone = InsertionEnergies("total", np.array([1, 2]), np.zeros(2), np.ones((1, 2)))
    assert np.isnan(alone.spread_ev).tolist() == [True, True] and alone.rmse_ev == 1.0


def test_errors_come_back_from_disk(tmp_path: Path) -> None:
    frames = [labelled(toy(n, n), n) for n in (0, 2)]
    errors = frame_errors(frames, predicted([f.frame for f in frames], 2, 1), target="interaction")
    insertions = [heldout_insertion(toy(1, 3), 0)]
    labels = {f.digest: Label(1.0, np.zeros((f.n_atoms, 3)), "x") for f in frames_of(insertions)}
    inserted = insertion_energies(insertions, labels, predicted(frames_of(insertions), 2, 2), target="interaction")
    path = tmp_path / "errors.npz"
    save_errors(path, errors, inserted)
    back, back_inserted = load_errors(path)
    assert back.target == back_inserted.target == "interaction"
    for name in ("n_h2", "n_atoms", "source", "offsets", "energy_models_ev", "force_models_ev_ang"):
        np.testing.assert_array_equal(getattr(back, name), getattr(errors, name))
    assert back.force_rmse_ev_ang == errors.force_rmse_ev_ang and back_inserted.rmse_ev == inserted.rmse_ev
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadInputError, match="complete npz"):
        load_errors(path)


def test_exact_model_has_no_error() -> None:
    """Labels and models that are the same function: zero, for both targets, whatever the host's energy."""
    frames = [labelled(toy(2, 7), 8)]
    for target in ("total", "interaction"):
        exact = predicted([f.frame for f in frames], 2, 1)
        energies = np.full((2, 1), frames[0].energy_ev(target))
        forces = np.repeat(frames[0].forces_ev_ang(target)[None], 2, axis=0)
        errors = frame_errors(frames, replace(exact, energies_ev=energies, forces_ev_ang=forces), target=target)
        assert errors.force_rmse_ev_ang == 0.0 and errors.energy_rmse_ev_atom == 0.0

"""Committee deviations against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from alh2.core.frames import Frame
from alh2.core.gas import gas_molecule
from alh2.explore.deviation import force_deviation, insertion_energies, insertion_spreads, max_force_deviations


def brute_force(forces: np.ndarray) -> float:
    """sqrt(<|f - <f>|²>) of each atom, then the largest, one number after the other."""
    n_models, n_atoms, _ = forces.shape
    worst = 0.0
    for atom in range(n_atoms):
        mean = [sum(forces[m, atom, c] for m in range(n_models)) / n_models for c in range(3)]
        square = sum(sum((forces[m, atom, c] - mean[c]) ** 2 for c in range(3)) for m in range(n_models))
        worst = max(worst, math.sqrt(square / n_models))
    return worst


@pytest.mark.parametrize("n_models", [2, 4, 7])
def test_force_deviation_by_hand(n_models: int) -> None:
    rng = np.random.default_rng(n_models)
    for _ in range(10):
        forces = rng.normal(size=(n_models, 9, 3)) * rng.lognormal(size=(1, 9, 1))
        assert force_deviation(forces) == pytest.approx(brute_force(forces), rel=1e-12)


def test_two_models_half_their_distance_and_nan_stays_nan() -> None:
    forces = np.zeros((2, 3, 3))
    forces[1, 2] = [3.0, 0.0, 4.0]
    assert force_deviation(forces) == pytest.approx(2.5)
    forces[0, 0, 0] = np.nan
    assert math.isnan(force_deviation(forces))


def test_spread_is_the_scatter_of_the_models_insertion_energies(trained_committee, loaded_frames, node_start) -> None:
    from alh2.potential.deeppot import DeepPotEvaluator

    frames = [node_start, node_start.bare_host(), loaded_frames[3].frame]
    models = [member.frozen for member in trained_committee.members]
    spreads = insertion_spreads(models, frames)
    assert math.isnan(spreads[1])
    evaluators = [DeepPotEvaluator(model) for model in models]

    def energy(evaluator: DeepPotEvaluator, frame: Frame) -> float:
        (label,) = evaluator.evaluate([frame])
        return label.energy_ev

    for index in (0, 2):
        frame = frames[index]
        last = frame.n_h2 - 1
        parts = (frame, frame.without_molecule(last), gas_molecule(frame, last))
        inserted = []
        for evaluator in evaluators:
            whole, less, gas = (energy(evaluator, part) for part in parts)
            inserted.append(whole - less - gas)
        spread = math.sqrt(sum((e - sum(inserted) / 2) ** 2 for e in inserted))  # over n - 1 = 1
        assert spreads[index] == pytest.approx(spread, rel=1e-6) and spread > 0
    chosen = insertion_energies(models, [frames[2]], [0])
    assert chosen.shape == (2, 1) and not np.allclose(chosen, insertion_energies(models, [frames[2]], [5]))
    direct = max_force_deviations(models, frames[:1])
    forces = np.array([evaluator.evaluate(frames[:1])[0].forces_ev_ang for evaluator in evaluators])
    assert direct[0] == pytest.approx(brute_force(forces), rel=1e-9)


def test_one_model_or_no_frame_gives_no_deviation(tmp_path) -> None:
    """The model files need not exist: nothing is asked of them."""
    absent = [tmp_path / "a.pb", tmp_path / "b.pb"]
    frame = Frame(("H", "H"), np.array([[0, 0, 0], [0, 0, 0.74]]), 9 * np.eye(3), 0)
    assert np.isnan(max_force_deviations(absent[:1], [frame, frame])).tolist() == [True, True]
    assert np.isnan(insertion_spreads(absent[:1], [frame])).all()
    assert len(max_force_deviations(absent, [])) == len(insertion_spreads(absent, [])) == 0

"""What DeePMD's conversion does to the energies is measured, kept, and said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from alh2.core.frames import Frame
from alh2.potential.conversion import known_shift, measure_shift, probe
from alh2.potential.deeppot import DeepPotEvaluator
from alh2.potential.incremental import IncrementalPotential


def test_a_trained_model_tells_its_shift(trained, node_frames: list[Frame]) -> None:
    potential = IncrementalPotential(trained.frozen)
    shift = potential.conversion_shift
    assert shift is not None and 0 < shift.largest_ev < 1e-6 and abs(shift.mean_ev) <= shift.largest_ev
    assert f"up to {shift.largest_ev:.1e} eV" in potential.describe()
    frame = node_frames[0]
    energies = [
        DeepPotEvaluator(file).energy_ev(frame.symbols, frame.positions_ang, frame.cell_ang)
        for file in (trained.frozen, potential.model.dp_file)
    ]
    assert abs(energies[1] - energies[0]) < 10 * shift.largest_ev * frame.n_atoms


def test_the_shift_is_that_between_the_two_files(random_model: Callable[..., Path]) -> None:
    one, other = random_model(), random_model()
    assert measure_shift(one, one).largest_ev < 1e-12
    assert measure_shift(one, other).largest_ev > 1e-3
    assert known_shift(one) is None and "conversion" not in IncrementalPotential(one).describe()


def test_the_probe_stays_within_sel() -> None:
    atoms = probe(["O", "Al", "H"], np.array([3, 20, 0]), 6.0)
    assert str(atoms.symbols) == "O3Al8"
    distances = atoms.get_all_distances()[np.triu_indices(len(atoms), 1)]
    assert distances.min() > 1.2 and atoms.get_all_distances(mic=True).max() == pytest.approx(distances.max())

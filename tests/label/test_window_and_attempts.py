"""The energy window and the record of failed attempts."""

from __future__ import annotations

import numpy as np
import pytest

from alh2.label.attempts import all_reasons, attempt_number, failed_attempts, forget_attempts, next_attempt
from alh2.label.window import outside_window


def test_an_energy_far_from_the_others_is_found_and_named():
    energies = {str(i): -100.0 + 0.01 * i for i in range(9)} | {"bad": -98.0}
    found = outside_window(energies, [], n_atoms=2, ev_per_atom=0.5)
    assert list(found) == ["bad"]
    assert found["bad"].startswith("energy -98.000 eV is +1.955 eV from the median of this composition, more than 1.1")
    assert outside_window(energies, [], n_atoms=10, ev_per_atom=0.5) == {}  # 5 eV of ten atoms is not


def test_scatter_widens_the_window_and_known_energies_count():
    rng = np.random.default_rng(1)
    hot = dict(enumerate(rng.normal(-50.0, 3.0, 40).tolist()))
    assert outside_window({str(k): v for k, v in hot.items()}, [], n_atoms=2, ev_per_atom=0.1) == {}
    assert outside_window({"new": -40.0}, [-50.0, -50.1, -49.9], n_atoms=2, ev_per_atom=0.1) == {}  # too few to tell
    assert set(outside_window({"new": -40.0}, [-50.0] * 4, n_atoms=2, ev_per_atom=0.1)) == {"new"}


def test_attempts_go_up_to_the_last_recipe_and_can_be_forgotten(tmp_path):
    assert (attempt_number(tmp_path, 3), failed_attempts(tmp_path)) == (1, ())
    assert all_reasons(tmp_path, "only this") == "only this"
    assert next_attempt(tmp_path, "first", 3) and attempt_number(tmp_path, 3) == 2
    assert next_attempt(tmp_path, "second", 3) and attempt_number(tmp_path, 3) == 3
    assert not next_attempt(tmp_path, "third", 3)
    assert failed_attempts(tmp_path) == ("first", "second")  # the last is not added: repeating changes nothing
    assert all_reasons(tmp_path, "third") == "given up after 3 attempts: first; second; third"
    (tmp_path / "attempts.json").write_text('["fir')
    assert attempt_number(tmp_path, 3) == 1
    forget_attempts(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("n", [1, 4])
def test_a_labeler_with_one_recipe_has_no_second_attempt(tmp_path, n):
    assert next_attempt(tmp_path, "no", n) is (n > 1)

"""DeePMD inputs of committee members."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alh2.config.model import CommitteeConfig
from alh2.train.inputs import deepmd_input, n_steps, weighs_guests

PARAM: dict[str, Any] = {
    "model": {"descriptor": {"type": "se_e2_a", "sel": [4], "seed": 99}},
    "learning_rate": {"start_lr": 1e-3},
    "loss": {"start_pref_e": 0.02, "limit_pref_e": 1},
    "training": {"stop_batch": 400, "validation_data": {"systems": ["v"]}, "disp_training": False},
}


def committee(**training: Any) -> CommitteeConfig:
    param = copy.deepcopy(PARAM)
    param["training"].update(training)
    return CommitteeConfig("total", 2, param, 1, 1e-4, 0.5, 50.0, 123, False)


def made(config: CommitteeConfig, *, reuse: bool = False, seed: int = 5) -> dict[str, Any]:
    return deepmd_input(config, ["../a", "../b"], type_map=("Al", "O"), seed=seed, reuse=reuse)


def test_seeds_systems_and_types_are_set_and_the_template_is_left_alone() -> None:
    config = committee()
    before = json.dumps(config.training_param)
    content = made(config)
    assert json.dumps(config.training_param) == before
    seeds = [
        content["model"]["descriptor"]["seed"],
        content["model"]["fitting_net"]["seed"],
        content["training"]["seed"],
    ]
    assert seeds == [5, 5, 5]
    assert content["model"]["type_map"] == ["Al", "O"]
    assert content["training"]["training_data"] == {"systems": ["../a", "../b"], "batch_size": 1}
    assert "validation_data" not in content["training"] and content["training"]["disp_training"] is True
    assert n_steps(content) == 400 and content["learning_rate"] == {"start_lr": 1e-3}


def test_batch_size_of_the_template_is_kept() -> None:
    assert made(committee(training_data={"batch_size": "auto"}))["training"]["training_data"]["batch_size"] == "auto"


def test_reuse_applies_its_own_values() -> None:
    content = made(committee(), reuse=True)
    assert n_steps(content) == 123 and "stop_batch" not in content["training"]
    assert content["learning_rate"]["start_lr"] == 1e-4
    assert content["loss"] == {"start_pref_e": 0.5, "limit_pref_e": 1, "start_pref_f": 50.0}


def last_checkpoint(*, steps: int, save_freq: int, disp_freq: int) -> int | None:
    """Step of the last checkpoint by the loop of DeePMD's TensorFlow trainer."""
    saved = None
    for batch in range(1, steps + 1):
        if batch % disp_freq == 0 and save_freq > 0 and batch % save_freq == 0:
            saved = batch
    if save_freq == 0 or steps == 0 or steps % save_freq != 0:
        saved = steps
    return saved


@settings(deadline=None, max_examples=400)
@given(st.integers(1, 60), st.integers(-2, 70), st.integers(1, 70), st.booleans())
def test_the_last_step_always_leaves_a_checkpoint(steps: int, save: int, disp: int, reuse: bool) -> None:
    config = CommitteeConfig(
        "total",
        2,
        committee(stop_batch=steps, save_freq=save, disp_freq=disp).training_param,
        1,
        1e-4,
        1,
        1,
        steps,
        False,
    )
    training = made(config, reuse=reuse)["training"]
    assert last_checkpoint(steps=steps, save_freq=training["save_freq"], disp_freq=disp) == steps
    assert training["save_freq"] > 0
    if save > 0 and last_checkpoint(steps=steps, save_freq=save, disp_freq=disp) == steps:
        assert training["save_freq"] == save


def test_the_rule_of_the_trainer_is_the_one_tested() -> None:
    """300 steps with 200 and 300 leave nothing: the case the rule exists for."""
    assert last_checkpoint(steps=300, save_freq=300, disp_freq=200) is None
    assert made(committee(stop_batch=300, save_freq=300, disp_freq=200))["training"]["save_freq"] == 301


@pytest.mark.parametrize(("training", "steps"), [({"numb_steps": 7}, 7), ({"stop_batch": 8}, 8)])
def test_number_of_steps_by_either_name(training: dict[str, int], steps: int) -> None:
    assert n_steps({"training": training}) == steps


def test_a_weight_of_guests_is_seen_in_the_loss() -> None:
    config = committee()
    assert not weighs_guests(config)
    config.training_param["loss"] |= {"start_pref_pf": 0, "limit_pref_pf": 1}
    assert weighs_guests(config)

"""A param file that no longer fits the stored data is refused, by the name of the key."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alh2.campaign.context import Campaign
from alh2.campaign.identity import check_identity
from alh2.campaign.open import open_campaign
from alh2.campaign.progress import Reporter
from alh2.core.errors import BadInputError

Change = Callable[[dict[str, Any]], None]


def _open(inputs: Any, workdir: Path) -> Campaign:
    return open_campaign(inputs.param, inputs.machine, workdir, reporter=Reporter(io.StringIO()))


def _add_nitrogen(content: dict[str, Any]) -> None:
    content["type_map"] = ["Al", "O", "C", "N", "H"]
    content["default_training_param"]["model"]["descriptor"]["sel"] = [4, 16, 8, 1, 32]


def _label_with_xtb(content: dict[str, Any]) -> None:
    content["fp_style"] = "xtb"
    content["fp_params"] = {}


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("alh2.seed", lambda c: c["alh2"].update(seed=12)),
        ("type_map", _add_nitrogen),
        ("fp_style", _label_with_xtb),
        ("alh2.host.id", lambda c: c["alh2"]["host"].update(id="knot")),
        ("alh2.host.box_ang", lambda c: c["alh2"]["host"].update(box_ang=14.0)),
        ("alh2.host.build", lambda c: c["alh2"]["host"].update(build="al-soc-mof")),
    ],
)
def test_changes_the_data_do_not_fit_are_refused(
    inputs: Any, param_content: dict[str, Any], tmp_path: Path, key: str, change: Change
) -> None:
    assert check_identity(_open(inputs, tmp_path / "run"), started=False) == []
    change(param_content)
    inputs.write_param(param_content)
    with pytest.raises(BadInputError) as error:
        check_identity(_open(inputs, tmp_path / "run"), started=True)
    assert str(error.value).startswith(f"param.json: {key}: expected ")
    assert "start a new campaign in another --workdir" in str(error.value)
    assert "\n" not in str(error.value)


def test_host_file_is_known_by_its_content(inputs: Any, param_content: dict[str, Any], tmp_path: Path) -> None:
    param_content["alh2"]["host"] = {"id": "node", "file": "host.extxyz"}
    inputs.write_param(param_content)
    check_identity(_open(inputs, tmp_path / "run"), started=False)
    (inputs.folder / "host.extxyz").rename(inputs.folder / "moved.extxyz")
    param_content["alh2"]["host"]["file"] = param_content["fp_params"]["host_file"] = "moved.extxyz"
    inputs.write_param(param_content)
    assert check_identity(_open(inputs, tmp_path / "run"), started=True) == []
    text = (inputs.folder / "moved.extxyz").read_text().replace("Al ", "Al  ", 1)
    (inputs.folder / "moved.extxyz").write_text(text)
    with pytest.raises(BadInputError, match=r"param\.json: alh2\.host\.file: expected content"):
        check_identity(_open(inputs, tmp_path / "run"), started=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["model_devi_jobs"][0].update(nsteps=400),
        lambda c: c["alh2"]["gcmc_jobs"][0].update(n_moves=500),
        lambda c: c["alh2"]["converge"].update(max_iterations=9, force_rmse_ev_ang=0.1),
        lambda c: c["alh2"]["production"].update(pressures_bar=[0.2]),
        lambda c: c["alh2"]["select"].update(insertion_trust_lo_ev=0.01),
        lambda c: c["default_training_param"]["training"].update(numb_steps=200),
        lambda c: c.update(fp_task_max=5),
    ],
)
def test_other_changes_take_effect_without_a_word(
    inputs: Any, param_content: dict[str, Any], tmp_path: Path, change: Change
) -> None:
    check_identity(_open(inputs, tmp_path / "run"), started=False)
    change(param_content)
    inputs.write_param(param_content)
    assert check_identity(_open(inputs, tmp_path / "run"), started=True) == []


@pytest.mark.parametrize("section", ["dataset", "bootstrap"])
def test_sections_read_once_are_warned_about(
    inputs: Any, param_content: dict[str, Any], tmp_path: Path, section: str
) -> None:
    check_identity(_open(inputs, tmp_path / "run"), started=False)
    param_content["alh2"][section]["validation_fraction" if section == "dataset" else "frames_per_loading"] = (
        0.3 if section == "dataset" else 4
    )
    inputs.write_param(param_content)
    assert check_identity(_open(inputs, tmp_path / "run"), started=False) == []
    (warning,) = check_identity(_open(inputs, tmp_path / "run"), started=True)
    assert warning.startswith(f"alh2.{section} has changed")

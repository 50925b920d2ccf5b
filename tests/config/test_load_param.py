"""Param files to typed configurations: the project's own, a stock DP-GEN file, YAML, paths and defaults."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alh2.config.load import load_param
from alh2.config.model import AimdSource, GcmcJob, HostConfig, MdJob
from alh2.core.errors import BadInputError

ROOT = Path(__file__).resolve().parents[2]
PARAMS = sorted((ROOT / "param").glob("*.json"))


@pytest.mark.parametrize("path", PARAMS, ids=lambda p: p.stem)
def test_the_files_of_the_project_load(path: Path) -> None:
    param = load_param(path)
    assert param.source == path
    assert param.raw == json.loads(path.read_text())
    assert {committee.target for committee in param.committees} <= {"total", "interaction"}
    assert param.host is not None
    for committee in param.committees:
        assert len(committee.training_param["model"]["descriptor"]["sel"]) == len(param.type_map)
    for source in param.dataset.aimd:
        assert all(file.is_absolute() and ROOT / "examples" in file.parents for file in source.files)


def test_the_three_files_are_there() -> None:
    assert {path.stem for path in PARAMS} >= {"quickstart", "node-converged", "al-soc-mof-xtb"}


def test_every_section_arrives(campaign: dict[str, Any], write: Callable[..., Path], tmp_path: Path) -> None:
    param = load_param(write(campaign))
    assert param.seed == 1
    assert param.host == HostConfig("node", None, "node", 21.67, 16.0)
    assert param.dataset.aimd[0] == AimdSource(
        files=((tmp_path / "../examples/data/node-gfn1/aimd77-6h2.extxyz").resolve(),),
        format="auto",
        drop_ps=0.1,
        dt_fs=3.0,
        every=2,
        max_frames=None,
        temperature_k=77,
        labeler="xtb",
    )
    assert param.explore.md_jobs[0] == MdJob((0, 1, 2, 3), (10.0, 77.0), 2000, 0.0005, 50, 0.05)
    assert param.explore.gcmc_jobs == ((GcmcJob((77.0,), (0.05, 0.4), (0, 8), 4000, 0, 100, 16),),)
    assert param.explore.gcmc_jobs[0][0].n_tasks == 4
    assert param.explore.loadings == (1, 4, 8, 12)
    assert param.explore.mass_amu[-1] == pytest.approx(1.008)
    assert param.bootstrap.label_bare_hosts is True  # because there is an interaction committee
    assert (param.select.f_trust_lo_ev_ang, param.select.f_trust_hi_ev_ang) == (0.15, 0.6)
    assert param.label.params["method"] == "GFN1-xTB"
    assert param.label.timeout_s == 120.0
    assert param.assess is not None and param.assess.loadings == (0, 2, 4, 8, 12)
    assert param.converge.insertion_mean_ev == 0.015 and param.converge.max_iterations == 2
    assert param.production is not None and param.production.pressures_bar == (0.01, 0.1, 0.4)


def test_interaction_is_merged_over_the_default(campaign: dict[str, Any], write: Callable[..., Path]) -> None:
    param = load_param(write(campaign))
    total, interaction = param.committee("total"), param.committee("interaction")
    assert total is not None and interaction is not None
    assert total.training_param["loss"]["limit_pref_e"] == 5
    assert interaction.training_param["loss"]["limit_pref_e"] == 1000
    assert interaction.training_param["loss"]["type"] == "ener"
    assert interaction.training_param["model"] == total.training_param["model"]
    assert "_comment_sel" not in total.training_param["model"]["descriptor"]
    assert (total.reuse_start_pref_e, interaction.reuse_start_pref_e) == (1, 100)
    assert interaction.reuse_n_steps == total.reuse_n_steps == 6000  # taken over where not given
    assert interaction.reuse_iter == 1


def test_a_stock_dpgen_file_loads_unchanged(stock: dict[str, Any], write: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("scale-1.000/000001", "scale-0.980/000000", "scale-1.000/000010"):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        (folder / "POSCAR").touch()
    param = load_param(write(stock))
    assert param.host is None and param.assess is None and param.production is None
    assert param.explore.gcmc_jobs == () and param.bootstrap.loadings == ()
    assert [committee.target for committee in param.committees] == ["total"]
    assert param.committees[0].n_models == 4
    assert param.committees[0].training_param["training"]["numb_steps"] == 2000  # was stop_batch
    assert param.committees[0].reuse_iter is None
    assert param.committees[0].reuse_start_lr == 0.001
    assert param.explore.mass_amu == (1.0, 12.0)
    assert param.explore.sys_configs[0] == (
        tmp_path / "data/scale-0.980/000000/POSCAR",
        tmp_path / "data/scale-1.000/000001/POSCAR",
    )
    assert param.dataset.aimd[0].files == (tmp_path / "data/methane/deepmd",)
    assert param.dataset.aimd[0].format == "deepmd/npy" and param.dataset.aimd[0].labeler == "vasp"
    assert param.explore.md_jobs[1] == MdJob((1,), (50.0, 100.0), 3000, 0.002, 10, 0.2)
    assert param.converge.max_iterations == 2  # as many as model_devi_jobs
    assert param.label.style == "vasp"
    assert param.label.params["fp_incar"] == str(tmp_path / "vasp/INCAR")
    assert param.label.params["fp_pp_files"] == ["POTCAR_H", "POTCAR_C"]


def test_trust_levels_per_system(stock: dict[str, Any], write: Callable[..., Path]) -> None:
    stock["model_devi_f_trust_lo"] = [0.05, 0.1]
    stock["model_devi_f_trust_hi"] = {"0": 0.15, "1": 0.3}
    select = load_param(write(stock)).select
    assert (select.f_trust(0), select.f_trust(1)) == ((0.05, 0.15), (0.1, 0.3))
    assert select.f_trust() == (0.05, 0.3)


def test_target_errors_in_place_of_trust_levels(campaign: dict[str, Any], write: Callable[..., Path]) -> None:
    assert load_param(write(campaign)).select.target_force_error_ev_ang is None
    campaign["alh2"]["select"]["trust_levels"] = {"target_insertion_error_ev": 0.02}
    select = load_param(write(campaign)).select
    assert (select.target_force_error_ev_ang, select.target_insertion_error_ev) == (None, 0.02)
    del campaign["alh2"]["assess"]
    campaign["alh2"]["converge"] = {}
    with pytest.raises(BadInputError, match=r"target_insertion_error_ev: expected alh2\.assess"):
        load_param(write(campaign))


@pytest.mark.parametrize("style", ["xtb", "ase", "reference"])
def test_own_labelers_fill_in_their_defaults(
    style: str, campaign: dict[str, Any], write: Callable[..., Path], tmp_path: Path
) -> None:
    given = {"xtb": {}, "ase": {"calculator": "ase.calculators.lj.LennardJones"}, "reference": {"host_file": "h.cif"}}
    campaign.update(fp_style=style, fp_params=given[style])
    params = load_param(write(campaign)).label.params
    wanted: dict[str, dict[str, Any]] = {
        "xtb": {
            "method": "GFN1-xTB",
            "accuracy": 0.1,
            "max_iterations": 250,
            "electronic_temperature_k": 300.0,
            "threads": 1,
        },
        "ase": {"calculator": "ase.calculators.lj.LennardJones", "arguments": {}, "threads": 1},
        "reference": {"host_file": str(tmp_path / "h.cif"), "overrides": {}, "threads": 1},
    }
    assert params == wanted[style]


def test_yaml_means_the_same_as_json(campaign: dict[str, Any], write: Callable[..., Path], tmp_path: Path) -> None:
    import yaml

    text = yaml.safe_dump(campaign, sort_keys=False).replace("1.0e-06", "1e-6")
    assert "stop_lr: 1e-6" in text  # a number in YAML 1.2, a string for many readers
    (tmp_path / "param.yaml").write_text(text)
    from_yaml, from_json = load_param(tmp_path / "param.yaml"), load_param(write(campaign))
    for name in ("committees", "explore", "select", "label", "dataset", "bootstrap", "converge", "production"):
        assert getattr(from_yaml, name) == getattr(from_json, name)


def test_loading_leaves_no_file_and_no_log_handler(
    campaign: dict[str, Any], write: Callable[..., Path], tmp_path: Path
) -> None:
    import os
    import subprocess
    import sys

    write(campaign)
    code = (
        "import logging; from pathlib import Path; from alh2.config.load import load_param, load_machine\n"
        "load_param(Path('param.json'))\n"
        f"load_machine(Path({str(ROOT / 'machines' / 'local.json')!r}))\n"
        "assert not logging.getLogger().handlers\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    env = {**os.environ, "HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home", "param.json"]
    assert list(home.iterdir()) == []


def test_a_gas_box_too_small_for_pairs_is_fine_without_pairs(
    campaign: dict[str, Any], write: Callable[..., Path]
) -> None:
    campaign["alh2"]["bootstrap"].update(gas_box_ang=10.0, gas_pair_frames=0)
    assert load_param(write(campaign)).bootstrap.gas_box_ang == 10.0


def test_h2_needs_h_in_the_type_map(campaign: dict[str, Any], write: Callable[..., Path]) -> None:
    campaign["type_map"] = campaign["default_training_param"]["model"]["type_map"] = ["Al", "O", "C", "N", "He"]
    with pytest.raises(BadInputError, match=r"param\.json: type_map: expected a list with H"):
        load_param(write(campaign))

"""Every kind of mistake in a param file gives one exact line with the key's path."""

# ruff: noqa: E501
from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alh2.config.load import load_param
from alh2.core.errors import BadInputError

GONE = object()

MISTAKES: list[tuple[str, Any, str]] = [
    (
        "alh2.gcmc_jobs[0].temps -> temp",
        None,
        "alh2.gcmc_jobs[0].temp: expected temps (a list of numbers > 0), found an unknown key; did you mean temps?",
    ),
    ("alh2.gcmc_jobs[0].temps", 77, "alh2.gcmc_jobs[0].temps: expected a list of numbers > 0, found 77 (an integer)"),
    ("alh2.gcmc_jobs[0].temps[0]", "77", 'alh2.gcmc_jobs[0].temps[0]: expected a number, found "77" (a string)'),
    ("alh2.gcmc_jobs[0].temps[0]", -3, "alh2.gcmc_jobs[0].temps[0]: expected a number > 0, found -3 (an integer)"),
    (
        "alh2.gcmc_jobs[0].temps",
        [],
        "alh2.gcmc_jobs[0].temps: expected a list of numbers > 0 with at least one element, found [] (a list)",
    ),
    (
        "alh2.gcmc_jobs[0].fugacities_bar[1]",
        0,
        "alh2.gcmc_jobs[0].fugacities_bar[1]: expected a number > 0, found 0 (an integer)",
    ),
    (
        "alh2.gcmc_jobs[0].n_moves",
        GONE,
        "alh2.gcmc_jobs[0].n_moves: expected an integer ≥ 1, found no such key; this key is required",
    ),
    ("alh2.gcmc_jobs[0]", [1], "alh2.gcmc_jobs[0]: expected an object {…}, found [1] (a list)"),
    (
        "alh2.gcmc_jobs[0].n_equilibration",
        4000,
        "alh2.gcmc_jobs[0].n_equilibration: expected a number < n_moves (4000), found 4000 (an integer)",
    ),
    (
        "alh2.gcmc_jobs[0].n_initial",
        [0, 20],
        "alh2.gcmc_jobs[0].n_initial: expected numbers ≤ max_loading (16), found [0, 20] (a list)",
    ),
    (
        "alh2.gcmc_jobs[0].canonical_loadings",
        [0, 3],
        "alh2.gcmc_jobs[0].canonical_loadings: expected numbers from 1 to max_loading (16), found [0, 3] (a list)",
    ),
    (
        "model_devi_f_trust_lo -> model_devi_f_trustlo",
        None,
        "model_devi_f_trustlo: expected model_devi_f_trust_lo (a number or an object {…} or a list of numbers ≥ 0), found an unknown key; did you mean model_devi_f_trust_lo?",
    ),
    (
        "type_map -> Type_Map",
        None,
        "Type_Map: expected type_map (a list of strings), found an unknown key; did you mean type_map?",
    ),
    (
        "whatever",
        1,
        "whatever: expected one of alh2, default_training_param, detailed_report_make_fp, dp_compress, dp_train_skip_neighbor_stat, epsilon, epsilon_v, fp_accurate_soft_threshold, fp_accurate_threshold, fp_cluster_vacuum, fp_params, fp_style, …, found an unknown key; remove it",
    ),
    ("numb_models", 1, "numb_models: expected an integer ≥ 2, found 1 (an integer)"),
    ("numb_models", 2.0, "numb_models: expected an integer ≥ 2, found 2.0 (a number)"),
    ("numb_models", True, "numb_models: expected an integer ≥ 2, found true (true/false)"),
    ("numb_models", GONE, "numb_models: expected an integer ≥ 2, found no such key; this key is required"),
    ("model_devi_f_trust_lo", 0.7, "model_devi_f_trust_lo: expected a number < model_devi_f_trust_hi (0.6), found 0.7"),
    (
        "model_devi_f_trust_hi",
        [0.6, 0.6],
        "model_devi_f_trust_hi: expected a number for each of the 4 systems, found 2",
    ),
    (
        "model_devi_jobs[0].sys_idx[1]",
        4,
        "model_devi_jobs[0].sys_idx[1]: expected an index from 0 to 3 (there are 4 systems), found 4 (an integer)",
    ),
    (
        "model_devi_jobs[1].temps -> temp",
        None,
        "model_devi_jobs[1].temp: expected temps (a list of numbers > 0), found an unknown key; did you mean temps?",
    ),
    (
        "model_devi_jobs[1].temps",
        GONE,
        "model_devi_jobs[1].temps: expected a list of numbers > 0, found no such key; this key is required",
    ),
    (
        "model_devi_jobs[1].nsteps -> nstep",
        None,
        "model_devi_jobs[1].nstep: expected nsteps (an integer ≥ 1), found an unknown key; did you mean nsteps?",
    ),
    (
        "model_devi_jobs[0].ensemble",
        "npt",
        'model_devi_jobs[0].ensemble: expected nvt, found "npt" (a string); the cell is fixed in alh2',
    ),
    (
        "model_devi_jobs[0].ensemble",
        "nvtt",
        'model_devi_jobs[0].ensemble: expected one of nvt, npt, npt-i, npt-iso, npt-a, npt-aniso, npt-t, npt-tri, nve, found "nvtt" (a string); did you mean nvt?',
    ),
    ("model_devi_jobs", [], "model_devi_jobs: expected a list with at least one element, found [] (a list)"),
    ("model_devi_dt", 0, "model_devi_dt: expected a number > 0, found 0 (an integer)"),
    (
        "model_devi_engine",
        "gromacs",
        'model_devi_engine: expected lammps, found "gromacs" (a string); other engines need DP-GEN itself',
    ),
    (
        "model_devi_engine",
        "lamps",
        'model_devi_engine: expected one of lammps, amber, calypso, gromacs, found "lamps" (a string); did you mean lammps?',
    ),
    (
        "fp_style",
        "xbt",
        'fp_style: expected one of vasp, gaussian, siesta, cp2k, abacus, amber/diff, pwmat, pwscf, cpx, custom, xtb, ase, reference, found "xbt" (a string); did you mean xtb?',
    ),
    (
        "fp_style",
        GONE,
        "fp_style: expected one of vasp, gaussian, siesta, cp2k, abacus, amber/diff, pwmat, pwscf, cpx, custom, xtb, ase, reference, found no such key; this key is required",
    ),
    (
        "fp_style -> fp_styl",
        None,
        "fp_styl: expected fp_style, one of vasp, gaussian, siesta, cp2k, abacus, amber/diff, pwmat, pwscf, cpx, custom, xtb, ase, reference, found an unknown key; did you mean fp_style?",
    ),
    (
        "fp_params.method -> methode",
        None,
        "fp_params.methode: expected method (one of GFN1-xTB, GFN2-xTB, IPEA1-xTB), found an unknown key; did you mean method?",
    ),
    (
        "fp_params.method",
        "gfn1",
        'fp_params.method: expected one of GFN1-xTB, GFN2-xTB, IPEA1-xTB, found "gfn1" (a string); did you mean GFN1-xTB?',
    ),
    (
        "fp_incar",
        "INCAR",
        "fp_incar: expected one of alh2, default_training_param, detailed_report_make_fp, dp_compress, dp_train_skip_neighbor_stat, epsilon, epsilon_v, fp_accurate_soft_threshold, fp_accurate_threshold, fp_cluster_vacuum, fp_params, fp_style, …, found an unknown key; remove it",
    ),
    ("fp_task_min", 30, "fp_task_min: expected a number ≤ fp_task_max (20), found 30 (an integer)"),
    (
        "type_map[3]",
        "Nn",
        'type_map[3]: expected an element, found "Nn" (a string); did you mean N? other names need mass_map',
    ),
    ("type_map[3]", "H", 'type_map[4]: expected each element once, found "H" (a string)'),
    ("mass_map", [1.0], "mass_map: expected 5 numbers, as in type_map, found 1"),
    ("mass_map", "auto!", 'mass_map: expected a list of numbers or "auto", found "auto!" (a string)'),
    (
        "default_training_param.model.descriptor.type",
        "se_e3",
        'default_training_param.model.descriptor.type: expected se_e2_a, found "se_e3" (a string)',
    ),
    (
        "default_training_param.model.descriptor.sel",
        [4, 16, 8, 40],
        "default_training_param.model.descriptor.sel: expected 5 numbers, one for each element of type_map, found 4",
    ),
    (
        "default_training_param.model.descriptor.rcut_smth -> rcut_smt",
        None,
        "default_training_param.model.descriptor.rcut_smt: expected rcut_smth (a number), found an unknown key; did you mean rcut_smth?",
    ),
    (
        "default_training_param.model.descriptor.rcut_smth",
        6.0,
        "default_training_param.model.descriptor.rcut_smth: expected a number ≥ 0 and < rcut (6), found 6",
    ),
    (
        "default_training_param.model.type_map",
        ["H", "Al", "O", "C", "N"],
        'default_training_param.model.type_map: expected the type_map of the file (Al, O, C, N, H), found ["H", "Al", "O", "C", "N"] (a list)',
    ),
    (
        "default_training_param.training.numb_step",
        3,
        "default_training_param.training.numb_step: expected numb_steps alone, found another name of it as well; keep one",
    ),
    (
        "default_training_param.learning_rate.start_lr",
        1e-07,
        "default_training_param.learning_rate.stop_lr: expected a number > 0 and ≤ start_lr (1e-07), found 1e-06 (a number)",
    ),
    (
        "default_training_param",
        [],
        "default_training_param: expected an object {…}, the same for all models, found [] (a list); give one object",
    ),
    (
        "alh2.interaction.training_param",
        {"loss": {"start_pref_ee": 1}},
        "alh2.interaction.training_param.loss.start_pref_ee: expected start_pref_e (a number or an integer), found an unknown key; did you mean start_pref_e?",
    ),
    (
        "alh2.interaction.training_param",
        {"loss": {"start_pref_e": -1}},
        "alh2.interaction.training_param.loss.start_pref_e: expected a number ≥ 0, found -1 (an integer)",
    ),
    ("alh2.host", GONE, "alh2.host: expected the framework that takes up the H2, found no such key; give id and build"),
    (
        "alh2.host.build",
        "al-soc",
        'alh2.host.build: expected one of node, al-soc-mof, found "al-soc" (a string); did you mean al-soc-mof?',
    ),
    ("alh2.host.file", "host.cif", "alh2.host: expected file or build, found both; give one of the two"),
    (
        "alh2.systems",
        GONE,
        "sys_configs: expected sys_configs or alh2.systems.loadings, found neither; give one of the two",
    ),
    (
        "sys_configs",
        [["a"]],
        "alh2.systems: expected sys_configs or alh2.systems.loadings, found both; give one of the two",
    ),
    (
        "alh2.dataset.validation_fraction",
        1.0,
        "alh2.dataset.validation_fraction: expected a number ≥ 0 and < 1, found 1.0 (a number)",
    ),
    (
        "alh2.dataset.split",
        "block",
        'alh2.dataset.split: expected one of blocks, random, found "block" (a string); did you mean blocks?',
    ),
    (
        "alh2.dataset.aimd[0].dt_fs -> dt",
        None,
        "alh2.dataset.aimd[0].dt: expected dt_fs (a number > 0), found an unknown key; did you mean dt_fs?",
    ),
    (
        "alh2.dataset.aimd[1].files",
        "a.extxyz",
        'alh2.dataset.aimd[1].files: expected a list of strings, found "a.extxyz" (a string)',
    ),
    (
        "alh2.assess.loadings[4]",
        17,
        "alh2.assess.loadings[4]: expected at most 16, the highest loading that exploration reaches, found 17 (an integer)",
    ),
    (
        "alh2.assess",
        GONE,
        "alh2.converge.insertion_rmse_ev: expected alh2.assess, which measures it, found no such section; add alh2.assess or set this limit to null",
    ),
    (
        "alh2.select.trust_levels",
        {"target_insertion_error_ev": -1},
        "alh2.select.trust_levels.target_insertion_error_ev: expected a number > 0 or null, found -1 (an integer)",
    ),
    (
        "alh2.select.trust_levels",
        {"target_insertion_error": 0.01},
        "alh2.select.trust_levels.target_insertion_error: expected target_insertion_error_ev (a number > 0 or null), found an unknown key; did you mean target_insertion_error_ev?",
    ),
    (
        "alh2.production.md_loading",
        24,
        "alh2.production.md_loading: expected at most 16, the highest loading that exploration reaches, found 24 (an integer)",
    ),
    (
        "alh2.production.pressures_bar -> pressure_bar",
        None,
        "alh2.production.pressure_bar: expected pressures_bar (a list of numbers > 0), found an unknown key; did you mean pressures_bar?",
    ),
    (
        "alh2.production.n_initial",
        [0, 40],
        "alh2.production.n_initial[1]: expected at most 16, the highest loading that exploration reaches, found 40 (an integer)",
    ),
    (
        "alh2.converge.accurate_fraction",
        90,
        "alh2.converge.accurate_fraction: expected a number > 0 and ≤ 1 or null, found 90 (an integer)",
    ),
    (
        "alh2.converge.consecutive",
        3,
        "alh2.converge.consecutive: expected a number ≤ max_iterations (2), found 3 (an integer)",
    ),
    (
        "alh2.bootstrap.gas_box_ang",
        10.0,
        "alh2.bootstrap.gas_box_ang: expected a number ≥ 12, as pairs are up to 6 Å apart, found 10.0 (a number)",
    ),
    ("alh2.seed", "one", 'alh2.seed: expected an integer ≥ 0, found "one" (a string)'),
    ("alh2.seed -> sed", None, "alh2.sed: expected seed (an integer ≥ 0), found an unknown key; did you mean seed?"),
    ("alh2 -> alh3", None, "alh3: expected alh2 (an object {…}), found an unknown key; did you mean alh2?"),
    ("alh2", [], "alh2: expected an object {…}, found [] (a list)"),
    (
        "model_devi_jobs[0].template",
        {"lmp": "x"},
        "model_devi_jobs[0].template: expected no such key, found it; alh2 has no use for it",
    ),
    (
        "model_devi_jobs[0].nbeads",
        8,
        "model_devi_jobs[0].nbeads: expected 1, found 8 (an integer); path integrals are not part of exploration",
    ),
    (
        "train_backend",
        "pytorch",
        'train_backend: expected tensorflow, found "pytorch" (a string); other engines need DP-GEN itself',
    ),
    (
        "use_relative",
        True,
        "use_relative: expected false, found true (true/false); alh2 compares absolute force deviations",
    ),
    (
        "default_training_param.model.descriptor.sel[1]",
        0,
        "default_training_param.model.descriptor.sel: expected numbers ≥ 1, found [4, 0, 8, 1, 40] (a list)",
    ),
    ("default_training_param.model", 5, "default_training_param.model: expected an object {…}, found 5 (an integer)"),
    (
        "alh2.interaction.numb_models",
        1,
        "alh2.interaction.numb_models: expected an integer ≥ 2 or null, found 1 (an integer)",
    ),
    (
        "alh2.converge.insertion_spread_ev",
        0,
        "alh2.converge.insertion_spread_ev: expected a number > 0 or null, found 0 (an integer)",
    ),
    (
        "model_devi_f_trust_lo",
        [0.1, 0.1, 0.7, 0.1],
        "model_devi_f_trust_lo: expected a number < model_devi_f_trust_hi (system 2) (0.6), found 0.7",
    ),
]


def change(tree: dict[str, Any], path: str, value: Any) -> None:
    """Set (or with GONE remove) the key at a path such as ``alh2.gcmc_jobs[0].temps``; "a -> b" renames."""
    path, _, new_name = path.partition(" -> ")
    parts: list[str | int] = [int(p[1:-1]) if p[0] == "[" else p for p in re.findall(r"[^.\[\]]+|\[\d+\]", path)]
    owner: Any = tree
    for part in parts[:-1]:
        owner = owner[part]
    if new_name:
        owner[new_name] = owner.pop(parts[-1])
    elif value is GONE:
        del owner[parts[-1]]
    else:
        owner[parts[-1]] = value


@pytest.mark.parametrize(("path", "value", "line"), MISTAKES, ids=[f"{m[0]}-{i}" for i, m in enumerate(MISTAKES)])
def test_mistake_gives_this_line(
    path: str, value: Any, line: str, campaign: dict[str, Any], write: Callable[..., Path]
) -> None:
    change(campaign, path, value)
    with pytest.raises(BadInputError) as error:
        load_param(write(campaign))
    assert str(error.value) == f"param.json: {line}"
    assert error.value.exit_code == 2


def test_the_tree_that_the_mistakes_start_from_is_valid(campaign: dict[str, Any], write: Callable[..., Path]) -> None:
    assert load_param(write(campaign)).type_map == ("Al", "O", "C", "N", "H")


SYNTAX = [
    (
        "param.json",
        '{\n  "a": 1\n  "b": 2\n}',
        "param.json, line 3, column 3: expected ',' delimiter, found '\"b\": 2'",
    ),
    (
        "param.json",
        '{\n  "a": [1, 2',
        "param.json, line 2, column 13: expected ',' delimiter, found the end of the file",
    ),
    (
        "param.json",
        '{\n  "a": 1,\n  "a": 2\n}',
        "param.json: a: expected the key once, found it twice (lines 2, 3); keep one",
    ),
    ("param.json", "[1]", "param.json: expected an object {…}, found list"),
    (
        "param.yaml",
        "a: [1, 2\nb: 3",
        "param.yaml, line 2, column 2: expected valid YAML, found expected ',' or ']', but got ':'",
    ),
    ("param.yaml", "a: 1\na: 2\n", "param.yaml: a: expected the key once, found it twice (lines 1, 2); keep one"),
]


@pytest.mark.parametrize(("name", "text", "line"), SYNTAX)
def test_syntax_errors_name_line_and_column(name: str, text: str, line: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInputError) as error:
        load_param(tmp_path / name)
    assert str(error.value) == line


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInputError) as error:
        load_param(tmp_path / "none.json")
    assert str(error.value) == (
        f"{tmp_path / 'none.json'}: expected a JSON or YAML file, found no such file; check the path"
    )


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "param.json").write_bytes(b"\x80\x81")
    with pytest.raises(BadInputError, match="expected UTF-8 text, found other bytes"):
        load_param(tmp_path / "param.json")


def test_no_data_to_start_from(campaign: dict[str, Any], write: Callable[..., Path]) -> None:
    campaign["alh2"]["dataset"]["aimd"] = []
    del campaign["alh2"]["bootstrap"]
    with pytest.raises(BadInputError) as error:
        load_param(write(campaign))
    assert str(error.value) == (
        "param.json: init_data_sys: expected data for the first training, found none; "
        "give init_data_sys, alh2.dataset.aimd or alh2.bootstrap"
    )

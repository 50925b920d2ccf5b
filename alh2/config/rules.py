"""Checks that need more than one key: raised on the raw tree (what alh2 cannot run) and on the typed configuration."""

from __future__ import annotations

from typing import Any

from alh2.config.model import ParamConfig
from alh2.config.where import Where, nearest
from alh2.core.errors import BadInputError

Tree = dict[str, Any]

MIN_GAS_BOX_ANG = 12.0
"""Least edge of the gas box where pairs are placed in it, Å."""


_ENGINES = {
    "model_devi_engine": ("lammps", ("amber", "calypso", "gromacs")),
    "train_backend": ("tensorflow", ("pytorch", "pytorch-exportable", "pt-expt", "jax")),
}
"""What alh2 runs, and what only DP-GEN runs."""


def check_engines(raw: Tree, where: Where) -> None:
    """Raise BadInputError where the file `raw`, not yet validated, is for engines that alh2 does not run."""
    for key, (ours, others) in _ENGINES.items():
        if raw.get(key) in others:
            raise (where / key).bad(ours, raw[key], "other engines need DP-GEN itself")


def check_supported(root: Tree, where: Where) -> None:
    """Raise BadInputError for DP-GEN features that alh2 does not run, rather than ignore them."""
    if root.get("train_backend", "tensorflow") != "tensorflow":
        raise (where / "train_backend").bad("tensorflow", root["train_backend"])
    if root.get("use_relative") or root.get("model_devi_f_avg_relative"):
        key = "use_relative" if root.get("use_relative") else "model_devi_f_avg_relative"
        raise (where / key).bad("false", True, "alh2 compares absolute force deviations")
    for i, job in enumerate(root["model_devi_jobs"]):
        place = where / "model_devi_jobs" / i
        for key in ("template", "rev_mat", "sys_rev_mat", "model_devi_f_trust_lo", "model_devi_f_trust_hi"):
            if key in job:
                raise BadInputError(
                    str(place / key), expected="no such key", found="it", action="alh2 has no use for it"
                )
        if job.get("ensemble", "nvt") != "nvt":
            raise (place / "ensemble").bad("nvt", job["ensemble"], "the cell is fixed in alh2")
        if job.get("nbeads", 1) != 1:
            raise (place / "nbeads").bad("1", job["nbeads"], "path integrals are not part of exploration")
        for key, kind in (("temps", "a list of numbers > 0"), ("nsteps", "an integer ≥ 1")):
            if key not in job:
                raise BadInputError(str(place / key), expected=kind, found="no such key", action="this key is required")


def check_elements(root: Tree, where: Where) -> None:
    """Raise BadInputError where `type_map` repeats or does not fit `mass_map`."""
    from ase.data import atomic_numbers

    types, masses = root["type_map"], root["mass_map"]
    for i, name in enumerate(types):
        if name in types[:i]:
            raise (where / "type_map" / i).bad("each element once", name)
        if masses == "auto" and (name not in atomic_numbers or name == "X"):
            near = nearest(name, atomic_numbers)
            hint = f"did you mean {near}? " if near else ""
            raise (where / "type_map" / i).bad("an element", name, hint + "other names need mass_map")
    if isinstance(masses, str) and masses != "auto":
        raise (where / "mass_map").bad('a list of numbers or "auto"', masses)
    if isinstance(masses, list) and len(masses) != len(types):
        raise BadInputError(
            str(where / "mass_map"), expected=f"{len(types)} numbers, as in type_map", found=str(len(masses))
        )


def check_systems(root: Tree, where: Where) -> int:
    """Number of systems; raises BadInputError where they are given twice or not, or `sys_idx` is out of range."""
    loadings = root["alh2"].get("systems", {}).get("loadings", [])
    configs = root["sys_configs"]
    if bool(loadings) == bool(configs):
        found = "both" if loadings else "neither"
        place = where / "alh2" / "systems" if loadings else where / "sys_configs"
        raise BadInputError(
            str(place), expected="sys_configs or alh2.systems.loadings", found=found, action="give one of the two"
        )
    n_systems = len(loadings) or len(configs)
    for i, job in enumerate(root["model_devi_jobs"]):
        for j, index in enumerate(job["sys_idx"]):
            if index >= n_systems:
                place = where / "model_devi_jobs" / i / "sys_idx" / j
                raise place.bad(f"an index from 0 to {n_systems - 1} (there are {n_systems} systems)", index)
    if not root["model_devi_jobs"]:
        raise (where / "model_devi_jobs").bad("a list with at least one element", [])
    return n_systems


def check_whole(param: ParamConfig, where: Where) -> None:
    """Raise BadInputError where sections contradict each other."""
    own = where / "alh2"
    uses_h2 = bool(param.explore.loadings or param.explore.gcmc_jobs or param.bootstrap.loadings or param.assess)
    if (uses_h2 or param.production) and param.host is None:
        raise BadInputError(
            str(own / "host"),
            expected="the framework that takes up the H2",
            found="no such key",
            action="give id and build",
        )
    if uses_h2 and "H" not in param.type_map:
        raise (where / "type_map").bad("a list with H", list(param.type_map))
    if not param.dataset.aimd and not param.bootstrap.loadings:
        raise BadInputError(
            str(where / "init_data_sys"),
            expected="data for the first training",
            found="none",
            action="give init_data_sys, alh2.dataset.aimd or alh2.bootstrap",
        )
    if param.select.fp_task_min > param.select.fp_task_max:
        raise (where / "fp_task_min").bad(
            f"a number ≤ fp_task_max ({param.select.fp_task_max})", param.select.fp_task_min
        )
    if param.converge.consecutive > param.converge.max_iterations:
        limit = f"a number ≤ max_iterations ({param.converge.max_iterations})"
        raise (own / "converge" / "consecutive").bad(limit, param.converge.consecutive)
    if param.bootstrap.gas_pair_frames and param.bootstrap.gas_box_ang < MIN_GAS_BOX_ANG:
        place = own / "bootstrap" / "gas_box_ang"
        raise place.bad(f"a number ≥ {MIN_GAS_BOX_ANG:g}, as pairs are up to 6 Å apart", param.bootstrap.gas_box_ang)
    _check_moves(param, own)
    _check_loadings(param, own)
    _check_curriculum(param, own)
    _check_limits_can_be_met(param, own)


def _check_moves(param: ParamConfig, own: Where) -> None:
    places = [(own / "gcmc_jobs" / i, job) for i, jobs in enumerate(param.explore.gcmc_jobs) for job in jobs]
    for place, job in places:
        if job.n_equilibration >= job.n_moves:
            raise (place / "n_equilibration").bad(f"a number < n_moves ({job.n_moves})", job.n_equilibration)
        if max(job.n_initial) > job.max_loading:
            raise (place / "n_initial").bad(f"numbers ≤ max_loading ({job.max_loading})", list(job.n_initial))
        if not all(0 < n <= job.max_loading for n in job.canonical_loadings):
            numbers = f"numbers from 1 to max_loading ({job.max_loading})"
            raise (place / "canonical_loadings").bad(numbers, list(job.canonical_loadings))
    made = param.production
    if made is not None and made.n_equilibration >= made.n_moves:
        raise (own / "production" / "n_equilibration").bad(f"a number < n_moves ({made.n_moves})", made.n_equilibration)


def max_explored_loading(param: ParamConfig) -> int | None:
    """Highest number of H2 that exploration can reach, None where it has no loadings."""
    jobs = [job for jobs in param.explore.gcmc_jobs for job in jobs]
    reached = [*param.explore.loadings, *(job.max_loading for job in jobs)]
    if param.curriculum is not None:
        reached = [param.curriculum.max_loading]
    return max(reached) if reached else None


def _check_loadings(param: ParamConfig, own: Where) -> None:
    highest = max_explored_loading(param)
    if highest is None:
        return
    within = f"at most {highest}, the highest loading that exploration reaches"
    if param.assess is not None:
        for i, loading in enumerate(param.assess.loadings):
            if loading > highest:
                raise (own / "assess" / "loadings" / i).bad(within, loading)
    if param.production is not None:
        if param.production.md_loading > highest:
            raise (own / "production" / "md_loading").bad(within, param.production.md_loading)
        for i, loading in enumerate(param.production.n_initial):
            if loading > highest:
                raise (own / "production" / "n_initial" / i).bad(within, loading)


def _check_curriculum(param: ParamConfig, own: Where) -> None:
    """Production asks about nothing that the curriculum does not explore, and each rung can end."""
    target, made = param.curriculum, param.production
    if target is None:
        return
    if not param.explore.loadings:
        raise BadInputError(
            str(own / "curriculum"), expected="alh2.systems", found="sys_configs", action="H2 is placed by alh2 here"
        )
    if not param.converge.asks:
        raise BadInputError(
            str(own / "converge"), expected="a limit that ends each rung of alh2.curriculum", found="none"
        )
    if made is None:
        return
    coldest, hottest = min(target.temperatures_k), max(target.temperatures_k)
    for key, kelvin in (
        ("md_temperature_k", made.md_temperature_k),
        ("isotherm_temperature_k", made.isotherm_temperature_k),
    ):
        if not coldest <= kelvin <= hottest:
            raise (own / "production" / key).bad(f"{coldest:g} to {hottest:g} K, as in alh2.curriculum", kelvin)
    for i, bar in enumerate(made.pressures_bar):
        if bar > max(target.pressures_bar):
            limit = f"at most {max(target.pressures_bar):g} bar, as in alh2.curriculum"
            raise (own / "production" / "pressures_bar" / i).bad(limit, bar)


def _check_limits_can_be_met(param: ParamConfig, own: Where) -> None:
    limits = param.converge
    wanted = {"insertion_rmse_ev": limits.insertion_rmse_ev, "insertion_mean_ev": limits.insertion_mean_ev}
    for key, value in wanted.items():
        if value is not None and param.assess is None:
            raise BadInputError(
                str(own / "converge" / key),
                expected="alh2.assess, which measures it",
                found="no such section",
                action="add alh2.assess or set this limit to null",
            )
    if param.select.target_insertion_error_ev is not None and param.assess is None:
        raise BadInputError(
            str(own / "select" / "trust_levels" / "target_insertion_error_ev"),
            expected="alh2.assess, whose held-out insertions are calibrated on",
            found="no such section",
            action="add alh2.assess or set this target to null",
        )
    if limits.insertion_spread_ev is not None and param.assess is None and not param.explore.gcmc_jobs:
        raise BadInputError(
            str(own / "converge" / "insertion_spread_ev"),
            expected="alh2.gcmc_jobs or alh2.assess, which measure it",
            found="neither",
            action="add one or set this limit to null",
        )


_USED_KEYS = frozenset(
    (
        *("type_map", "mass_map", "init_data_prefix", "init_data_sys", "sys_configs_prefix", "sys_configs"),
        *("numb_models", "default_training_param", "dp_compress", "training_reuse_iter", "training_reuse_numb_steps"),
        *("training_reuse_stop_batch", "training_reuse_start_lr", "training_reuse_start_pref_e"),
        *("training_reuse_start_pref_f", "mlp_engine", "train_backend", "model_devi_engine", "model_devi_jobs"),
        *(
            "model_devi_clean_traj",
            "model_devi_dt",
            "model_devi_f_trust_lo",
            "model_devi_f_trust_hi",
            "fp_style",
            "fp_params",
            "fp_task_max",
        ),
        *("fp_task_min", "alh2", "$schema"),
    )
)
_HARMLESS = {"model_devi_skip": 0, "use_ele_temp": 0, "sys_format": "vasp/poscar"}
"""Keys without effect whose values say so."""


def keys_without_effect(raw: Tree, label_params: Tree) -> tuple[str, ...]:
    """Keys of the file `raw` that DP-GEN knows and alh2 does not act on; those of the labeler do act."""
    keys = [k for k in raw if not k.startswith("_") and k not in _USED_KEYS and k not in label_params]
    return tuple(key for key in keys if key not in _HARMLESS or raw[key] != _HARMLESS[key])

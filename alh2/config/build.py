"""From a validated tree to the typed dataclasses. Paths become absolute, nulls become what they stand for."""

from __future__ import annotations

import glob
from dataclasses import replace
from pathlib import Path
from typing import Any

from alh2.config import model
from alh2.config.curriculum import CurriculumConfig
from alh2.config.deepmd import checked_training_param, merged, with_step_name
from alh2.config.policy import FailureConfig, TaskPolicy
from alh2.config.schema import LABEL_PATHS, own_styles
from alh2.config.where import Where
from alh2.core.errors import BadInputError
from alh2.core.frames import Target

Tree = dict[str, Any]
LABELS_THAT_MAY_FAIL = 0.5


def absolute(folder: Path, text: str) -> Path:
    """`text` as a path, relative ones from `folder`; ``~`` is the home folder."""
    path = Path(text).expanduser()
    return Path(path if path.is_absolute() else folder / path).absolute().resolve()


def host(tree: Tree | None, folder: Path, where: Where) -> model.HostConfig | None:
    """``alh2.host``; None without."""
    if tree is None:
        return None
    if (tree["file"] is None) == (tree["build"] is None):
        both = "both" if tree["file"] is not None else "neither"
        raise BadInputError(str(where), expected="file or build", found=both, action="give one of the two")
    file = None if tree["file"] is None else absolute(folder, tree["file"])
    return model.HostConfig(tree["id"], file, tree["build"], float(tree["lattice_ang"]), float(tree["box_ang"]))


def dataset(root: Tree, folder: Path) -> model.DatasetConfig:
    """``alh2.dataset``, with DP-GEN's ``init_data_sys`` as further sources."""
    tree = root["alh2"]["dataset"]
    sources = [_aimd(entry, root["fp_style"], folder) for entry in tree["aimd"]]
    prefix = absolute(folder, root.get("init_data_prefix", "."))
    for system in root["init_data_sys"]:
        sources.append(
            model.AimdSource(
                files=(absolute(prefix, system),),
                format="deepmd/npy",
                drop_ps=0.0,
                dt_fs=1.0,
                every=1,
                max_frames=None,
                temperature_k=None,
                labeler=root["fp_style"],
            )
        )
    return model.DatasetConfig(tuple(sources), float(tree["validation_fraction"]), tree["split"])


def _aimd(tree: Tree, fp_style: str, folder: Path) -> model.AimdSource:
    return model.AimdSource(
        files=tuple(absolute(folder, name) for name in tree["files"]),
        format=tree["format"],
        drop_ps=float(tree["drop_ps"]),
        dt_fs=float(tree["dt_fs"]),
        every=tree["every"],
        max_frames=tree["max_frames"],
        temperature_k=tree["temperature_k"],
        labeler=tree["labeler"] or fp_style,
    )


def bootstrap(tree: Tree | None, *, interaction: bool) -> model.BootstrapConfig:
    """``alh2.bootstrap``; nothing to label without it."""
    if tree is None:
        return model.BootstrapConfig((), 0, 0, 2.2, 0.0, 1.6, 0, (), 0, 0, 16.0, False)
    return model.BootstrapConfig(
        loadings=tuple(tree["loadings"]),
        frames_per_loading=tree["frames_per_loading"],
        host_snapshots=tree["host_snapshots"],
        min_distance_ang=float(tree["min_distance_ang"]),
        displacement_ang=float(tree["displacement_ang"]),
        close_distance_ang=float(tree["close_distance_ang"]),
        rattled_frames=tree["rattled_frames"],
        host_displacements_ang=tuple(float(width) for width in tree["host_displacements_ang"]),
        gas_frames=tree["gas_frames"],
        gas_pair_frames=tree["gas_pair_frames"],
        gas_box_ang=float(tree["gas_box_ang"]),
        label_bare_hosts=interaction if tree["label_bare_hosts"] is None else tree["label_bare_hosts"],
        sampled_per_loading=tree["sampled_per_loading"],
        sampled_temperature_k=float(tree["sampled_temperature_k"]),
    )


def committees(root: Tree, type_map: tuple[str, ...], where: Where) -> tuple[model.CommitteeConfig, ...]:
    """The total committee and, where asked for, the interaction committee."""
    training = checked_training_param(root["default_training_param"], type_map, where / "default_training_param")
    own = root["alh2"].get("interaction")
    found = [_committee("total", root, training, root)]
    if own is not None:
        found = [replace(found[0], pair_baseline=bool(own["total_pair_baseline"]))]
        place = where / "alh2" / "interaction" / "training_param"
        override = checked_training_param(merged(training, with_step_name(own["training_param"])), type_map, place)
        found.append(_committee("interaction", own, override, root))
    return tuple(found)


def _committee(target: Target, tree: Tree, training: model.DeepmdInput, root: Tree) -> model.CommitteeConfig:
    def reuse(key: str, default: Any) -> Any:
        for source in (tree, root):
            if source.get(f"training_reuse_{key}") is not None:
                return source[f"training_reuse_{key}"]
        return default

    compress = tree.get("dp_compress")
    loss = training.get("loss", {})
    settings = training["training"]
    return model.CommitteeConfig(
        target=target,
        n_models=tree.get("numb_models") or root["numb_models"],
        training_param=training,
        reuse_iter=reuse("iter", None),
        reuse_start_lr=float(reuse("start_lr", training.get("learning_rate", {}).get("start_lr", 1e-3))),
        reuse_start_pref_e=float(reuse("start_pref_e", loss.get("start_pref_e", 0.02))),
        reuse_start_pref_f=float(reuse("start_pref_f", loss.get("start_pref_f", 1000.0))),
        reuse_n_steps=reuse("numb_steps", settings.get("numb_steps")),
        compress=root["dp_compress"] if compress is None else compress,
        pair_baseline=target == "interaction" and bool(tree["pair_baseline"]),
    )


def explore(root: Tree, folder: Path) -> model.ExploreConfig:
    """MD and GCMC jobs with the systems they start from."""
    systems = root["alh2"].get("systems")
    prefix = absolute(folder, root.get("sys_configs_prefix", "."))
    return model.ExploreConfig(
        md_jobs=tuple(_md_job(job, root["model_devi_dt"]) for job in root["model_devi_jobs"]),
        gcmc_jobs=tuple((_gcmc_job(job),) for job in root["alh2"]["gcmc_jobs"]),
        loadings=tuple(systems["loadings"]) if systems else (),
        sys_configs=tuple(_expand(prefix, patterns) for patterns in root["sys_configs"]),
        mass_amu=masses(root),
        clean_trajectories=root.get("model_devi_clean_traj", True),
    )


def _expand(prefix: Path, patterns: list[str]) -> tuple[Path, ...]:
    """Files of one system, wildcards expanded and sorted as DP-GEN does; a pattern without a match stays."""
    found: list[Path] = []
    for pattern in patterns:
        path = prefix / Path(pattern).expanduser()
        hits = sorted(glob.glob(str(path)))
        found += [Path(hit).resolve() for hit in hits] or [path]
    return tuple(found)


def _md_job(job: Tree, dt_ps: float) -> model.MdJob:
    return model.MdJob(
        sys_idx=tuple(job["sys_idx"]),
        temperatures_k=tuple(float(t) for t in job["temps"]),
        n_steps=job["nsteps"],
        dt_ps=float(job.get("dt", dt_ps)),
        trj_freq=job["trj_freq"],
        thermostat_ps=float(job.get("taut", 0.1)),
    )


def _gcmc_job(job: Tree) -> model.GcmcJob:
    return model.GcmcJob(
        temperatures_k=tuple(float(t) for t in job["temps"]),
        fugacities_bar=tuple(float(f) for f in job["fugacities_bar"]),
        n_initial=tuple(job["n_initial"]),
        n_moves=job["n_moves"],
        n_equilibration=job["n_equilibration"],
        sample_every=job["sample_every"],
        max_loading=job["max_loading"],
        canonical_loadings=tuple(job["canonical_loadings"]),
    )


def masses(root: Tree) -> tuple[float, ...]:
    """Atomic masses in amu, from ``mass_map`` or, with "auto", standard atomic weights."""
    if root["mass_map"] != "auto":
        return tuple(float(m) for m in root["mass_map"])
    from ase.data import atomic_masses, atomic_numbers

    return tuple(float(atomic_masses[atomic_numbers[symbol]]) for symbol in root["type_map"])


def curriculum(tree: Tree | None, where: Where) -> CurriculumConfig | None:
    """``alh2.curriculum``; None without."""
    if tree is None:
        return None
    start, step = tree["start_loading"], tree["step"]
    if tree["max_loading"] < start or (tree["max_loading"] - start) % step:
        raise (where / "max_loading").bad(
            f"start_loading ({start}) or that plus a multiple of step ({step})", tree["max_loading"]
        )
    return CurriculumConfig(
        temperatures_k=tuple(float(t) for t in tree["temps"]),
        pressures_bar=tuple(float(p) for p in tree["pressures_bar"]),
        max_loading=tree["max_loading"],
        start_loading=tree["start_loading"],
        step=tree["step"],
        fugacity_factor=float(tree["fugacity_factor"]),
    )


def select(root: Tree, n_systems: int, where: Where) -> model.SelectConfig:
    """Trust levels, caps and sanity limits."""
    levels = _trust(root, n_systems, where)
    own = root["alh2"]["select"]
    return model.SelectConfig(
        f_trust_lo_ev_ang=min(lo for lo, _ in levels),
        f_trust_hi_ev_ang=max(hi for _, hi in levels),
        insertion_trust_lo_ev=float(own["insertion_trust_lo_ev"]),
        fp_task_max=root["fp_task_max"],
        fp_task_min=root["fp_task_min"],
        min_distance_ang=float(own["min_distance_ang"]),
        h2_bond_max_ang=float(own["h2_bond_max_ang"]),
        framework_bond_stretch=float(own["framework_bond_stretch"]),
        f_trust_per_system=tuple(levels) if len(set(levels)) > 1 else (),
        method=own["method"],
        max_labels=own["max_labels"],
        duplicate_distance=float(own["duplicate_distance"]),
        pool=own["pool"],
        **{key: None if value is None else float(value) for key, value in own["trust_levels"].items()},
    )


def _trust(root: Tree, n_systems: int, where: Where) -> list[tuple[float, float]]:
    """(lo, hi) of each system, from a number, a list or an object keyed by system index."""

    def per_system(key: str) -> list[float]:
        value = root[key]
        if isinstance(value, (int, float)):
            return [float(value)] * max(n_systems, 1)
        wanted = f"a number for each of the {n_systems} systems"
        if isinstance(value, dict):
            missing = [str(i) for i in range(n_systems) if str(i) not in value]
            wrong = [k for k, v in value.items() if isinstance(v, bool) or not isinstance(v, (int, float))]
            if missing or wrong:
                raise (where / key).bad(wanted, value)
            return [float(value[str(i)]) for i in range(n_systems)]
        if len(value) != n_systems:
            raise BadInputError(str(where / key), expected=wanted, found=str(len(value)))
        return [float(v) for v in value]

    levels = list(zip(per_system("model_devi_f_trust_lo"), per_system("model_devi_f_trust_hi"), strict=True))
    for i, (lo, hi) in enumerate(levels):
        if lo >= hi:
            system = f" (system {i})" if len(set(levels)) > 1 else ""
            raise BadInputError(
                str(where / "model_devi_f_trust_lo"),
                expected=f"a number < model_devi_f_trust_hi{system} ({hi:g})",
                found=f"{lo:g}",
            )
    return levels


def label(root: Tree, fp_keys: frozenset[str], folder: Path, *, name: str) -> model.LabelConfig:
    """The labeler: ``fp_params`` of ours, or DP-GEN's keys of the chosen ``fp_style``."""
    style = root["fp_style"]
    own = style in own_styles()
    params = dict(root["fp_params"]) if own else {k: v for k, v in root.items() if k in fp_keys}
    if style == "reference" and "host_file" in params:
        params["host_file"] = str(absolute(folder, params["host_file"]))
    if params.get("name", "") is None:
        del params["name"]
    for key in LABEL_PATHS:
        if not own and isinstance(params.get(key), str):
            params[key] = str(absolute(folder, params[key]))
    if not own:
        params["mass_map"] = list(masses(root))
    settings = root["alh2"]["label"]
    window = settings["energy_window_ev_per_atom"]
    return model.LabelConfig(
        style,
        params,
        float(settings["timeout_s"]),
        energy_window_ev_per_atom=None if window is None else float(window),
        reuse_orbitals=settings["reuse_orbitals"],
        where=name,
    )


def assess(tree: Tree | None) -> model.AssessConfig | None:
    """``alh2.assess``; None without."""
    if tree is None:
        return None
    return model.AssessConfig(
        tuple(tree["loadings"]), tree["per_loading"], float(tree["temperature_k"]), tree["n_moves_between"]
    )


def converge(tree: Tree, n_jobs: int) -> model.ConvergeConfig:
    """``alh2.converge``; as many iterations as ``model_devi_jobs`` where no number is given."""
    names = ("accurate_fraction", "insertion_spread_ev", "force_rmse_ev_ang", "insertion_rmse_ev", "insertion_mean_ev")
    limits = {name: None if tree[name] is None else float(tree[name]) for name in names}
    return model.ConvergeConfig(
        **limits, consecutive=tree["consecutive"], max_iterations=tree["max_iterations"] or max(n_jobs, 1)
    )


def production(tree: Tree | None) -> model.ProductionConfig | None:
    """``alh2.production``; None without."""
    if tree is None:
        return None
    lists = {"pressures_bar": tuple(float(p) for p in tree["pressures_bar"]), "n_initial": tuple(tree["n_initial"])}
    floats = {key: float(tree[key]) for key in ("md_temperature_k", "md_dt_ps", "isotherm_temperature_k")}
    error = tree["relative_error"]
    return model.ProductionConfig(
        **{**tree, **lists, **floats, "relative_error": None if error is None else float(error)}
    )


def failures(tree: Tree, root: Tree) -> FailureConfig:
    """``alh2.failures``; labels take DP-GEN's ``ratio_failed`` where they have none of their own."""

    def policy(name: str) -> TaskPolicy:
        part = tree[name]
        ratio = part.get("ratio_failed", 0.0)
        if ratio is None:
            ratio = root.get("ratio_failed", LABELS_THAT_MAY_FAIL)
        timeout_s = part.get("timeout_s")
        return TaskPolicy(
            retry_count=part["retry_count"],
            retry_wait_s=float(part["retry_wait_s"]),
            job_retry_count=part["job_retry_count"],
            job_wait_s=float(part["job_wait_s"]),
            memory_factor=float(part["memory_factor"]),
            outage_s=float(tree["outage_s"]),
            timeout_s=None if timeout_s is None else float(timeout_s),
            ratio_failed=float(ratio),
            too_many=part.get("too_many", "stop"),
        )

    return FailureConfig(policy("train"), policy("model_devi"), policy("gcmc"), policy("fp"))

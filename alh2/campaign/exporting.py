"""A campaign as stock ``dpgen run`` takes it: param and machine file, initial data, starting structures.

What DP-GEN has no place for stays behind: Monte Carlo exploration, the interaction committee, convergence.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alh2.campaign.paths import RunPaths
from alh2.config.files import read_tree
from alh2.config.load import load_machine, load_param
from alh2.config.model import ParamConfig
from alh2.config.schema import LABEL_PATHS, own_styles
from alh2.config.strict import strip_comments
from alh2.core.atoms import from_atoms, to_atoms
from alh2.core.errors import BadInputError
from alh2.core.files import commit_directory
from alh2.core.frames import Frame, LabelledFrame, Provenance
from alh2.core.random_streams import stream
from alh2.dataset.export import export_systems
from alh2.dataset.ingest import IngestOptions, TrajectorySource, ingest
from alh2.dataset.store import DatasetStore
from alh2.label.matching import poscar
from alh2.potential.frames_npz import load_frames
from alh2.structure.hosts import build_host
from alh2.structure.loading import load_h2

PARAM_FILE, MACHINE_FILE, DATA, SYSTEMS, INCAR_FILE = "param.json", "machine.json", "init_data", "systems", "INCAR"

_LEFT_OUT = ("alh2", "init_data_sys", "init_data_prefix", "sys_configs", "sys_configs_prefix", "default_training_param")
_NOT_DPGENS = ("gcmc",)


@dataclass(frozen=True)
class Exported:
    """What was written: number of training frames, systems to explore, and what DP-GEN has no place for."""

    n_frames: int
    n_systems: int
    left_behind: tuple[str, ...]


def export_dpgen(param_file: Path, machine_file: Path, output: Path, *, campaign: Path | None = None) -> Exported:
    """Write `output`, a new folder from which ``dpgen run param.json machine.json`` starts.

    campaign : campaign directory whose training frames and hosts are taken; None: the AIMD and host of the param file

    Raises BadInputError where a file is wrong, `output` exists, there are no data to train on, or the labeler is one
    of alh2 alone.
    """
    param = load_param(param_file)
    load_machine(machine_file)
    if param.label.style in own_styles():
        raise BadInputError(
            f"{param.source.name}: fp_style", expected="a code that DP-GEN runs (vasp, cp2k, …)",
            found=f'"{param.label.style}", which only alh2 has', action="use a param file that names such a code",
        )  # fmt: skip
    if output.exists():
        raise BadInputError(str(output), expected="a new folder", found="one that exists", action="choose another name")
    frames = _frames(param, campaign)
    if not frames:
        raise BadInputError(
            str(campaign or param.source), expected="labelled frames for DP-GEN's first training", found="none",
            action="name AIMD in alh2.dataset.aimd, or a campaign with --campaign",
        )  # fmt: skip
    output.parent.mkdir(parents=True, exist_ok=True)
    staged = output.with_name(f".{output.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        staged.mkdir()
        systems = export_systems(frames, staged / DATA, target="total", type_map=param.type_map)
        configs = _systems(param, campaign, staged)
        tree = _param_tree(param, [path.name for path in systems], configs, staged)
        _write_json(staged / PARAM_FILE, tree)
        _write_json(staged / MACHINE_FILE, _machine_tree(machine_file))
        commit_directory(staged, output)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return Exported(len(frames), len(configs), _left_behind(param))


def _write_json(path: Path, tree: dict[str, Any]) -> None:
    path.write_text(json.dumps(tree, indent=2, ensure_ascii=False) + "\n")


def _frames(param: ParamConfig, campaign: Path | None) -> list[LabelledFrame]:
    if campaign is not None:
        paths = RunPaths(campaign.resolve())
        if not paths.dataset.is_dir():
            raise BadInputError(str(campaign), expected="a campaign directory with a dataset", found="none")
        return list(DatasetStore(paths.dataset, param.type_map).load("train"))
    if not param.dataset.aimd:
        return []
    n_host = None if param.host is None else len(build_host(param.host))
    host_id = "host" if param.host is None else param.host.id
    with tempfile.TemporaryDirectory(prefix="alh2-export-") as scratch:
        dataset = Path(scratch) / "dataset"
        options = IngestOptions(host_id=host_id, n_host=n_host, validation_fraction=0.0)
        sources = [TrajectorySource.from_config(source) for source in param.dataset.aimd]
        ingest(sources, dataset, type_map=param.type_map, options=options)
        return list(DatasetStore(dataset, param.type_map).load("train"))


def _systems(param: ParamConfig, campaign: Path | None, staged: Path) -> list[list[str]]:
    """``sys_configs`` of DP-GEN: a POSCAR for each loading and host snapshot, or the param file's own files."""
    if not param.explore.loadings:
        return [[str(path) for path in paths] for paths in param.explore.sys_configs]
    rng = stream(param.seed, "export-dpgen")
    configs = []
    for index, loading in enumerate(param.explore.loadings):
        names = []
        for number, host in enumerate(_hosts(param, campaign)):
            loaded = load_h2(to_atoms(host), loading, rng=rng, prefer_open_sites=True)
            frame = from_atoms(loaded, n_host=host.n_atoms, host_id=host.host_id, provenance=Provenance("bootstrap"))
            name = f"{SYSTEMS}/{index:03d}/{number:06d}/POSCAR"
            (staged / name).parent.mkdir(parents=True)
            (staged / name).write_text(poscar(frame, param.type_map))
            names.append(name)
        configs.append(names)
    return configs


def _hosts(param: ParamConfig, campaign: Path | None) -> Sequence[Frame]:
    if campaign is not None and RunPaths(campaign.resolve()).hosts.exists():
        return load_frames(RunPaths(campaign.resolve()).hosts)
    if param.host is None:
        raise BadInputError(str(param.source), expected="alh2.host for alh2.systems.loadings", found="none")
    atoms = build_host(param.host)
    return [from_atoms(atoms, n_host=len(atoms), host_id=param.host.id, provenance=Provenance("bootstrap"))]


def _param_tree(param: ParamConfig, systems: list[str], configs: list[list[str]], staged: Path) -> dict[str, Any]:
    committee = param.committee("total") or param.committees[0]
    tree = {key: value for key, value in strip_comments(param.raw).items() if key not in _LEFT_OUT}
    tree.update(
        init_data_prefix=DATA, init_data_sys=systems, sys_configs_prefix=".", sys_configs=configs,
        default_training_param=committee.training_param,
    )  # fmt: skip
    tree.setdefault("model_devi_skip", 0)
    tree.update({key: param.label.params[key] for key in LABEL_PATHS if key in param.label.params})
    if param.label.style == "vasp":
        text = Path(tree["fp_incar"]).read_text() if "fp_incar" in tree else _incar_of(param)
        if text:
            (staged / INCAR_FILE).write_text(text)
            tree["fp_incar"] = INCAR_FILE
    return tree


def _incar_of(param: ParamConfig) -> str:
    """INCAR from ``user_fp_params``; "" where the file has DP-GEN's older ``fp_params``, which it still takes."""
    tags = param.label.params.get("user_fp_params", {})
    words = {True: ".TRUE.", False: ".FALSE."}
    return "".join(
        f"{name} = {words.get(value, value) if isinstance(value, bool) else value}\n" for name, value in tags.items()
    )


def _machine_tree(path: Path) -> dict[str, Any]:
    tree = {key: value for key, value in strip_comments(read_tree(path)).items() if key not in _NOT_DPGENS}
    for name in ("train", "model_devi", "fp"):
        stage = tree[name][0] if isinstance(tree[name], list) else tree[name]
        stage.pop("parallel", None)
        stage.setdefault("machine", {}).setdefault("local_root", "./")
        stage.setdefault("resources", {}).setdefault("batch_type", stage["machine"]["batch_type"])
        tree[name] = stage
    tree.setdefault("deepmd_version", "3.2.0")
    return tree


def _left_behind(param: ParamConfig) -> tuple[str, ...]:
    words = []
    if param.explore.gcmc_jobs:
        words.append("Monte Carlo exploration (alh2.gcmc_jobs)")
    if param.committee("interaction") is not None:
        words.append("the interaction committee (alh2.interaction)")
    if param.assess is not None:
        words.append("held-out insertion energies (alh2.assess)")
    words.append("the convergence test: DP-GEN runs all model_devi_jobs")
    return tuple(words)

"""Param and machine files to typed configurations. One line for the first thing that is wrong with a file."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from dargs import Argument

from alh2.config import build, rules
from alh2.config.commands import brings_programs, is_local, resolve_command
from alh2.config.files import read_tree
from alh2.config.model import MachineConfig, ParamConfig, StageMachine
from alh2.config.policy import NotifyConfig
from alh2.config.schema import machine_schema, param_schema
from alh2.config.strict import strip_comments, validate
from alh2.config.where import Where
from alh2.core.errors import BadInputError

GCMC_COMMAND = "python"
"""Program of the ``gcmc`` stage where the machine file has none: our worker is a Python module."""


def load_param(path: Path) -> ParamConfig:
    """The param file `path` (JSON or YAML); paths in it are relative to its folder.

    Raises
    ------
    BadInputError
        Syntax error (line and column), unknown or missing key, wrong type, value out of range, or sections that
        contradict each other; the message names the key and, for a misspelt one, the nearest valid name.
    """
    raw = read_tree(path)
    where = Where(path.name)
    rules.check_engines(raw, where)
    root: dict[str, Any] = validate(_param_schema(), raw, where)
    folder = path.absolute().parent
    rules.check_supported(root, where)
    rules.check_elements(root, where)
    n_systems = rules.check_systems(root, where)
    own = root["alh2"]
    type_map = tuple(root["type_map"])
    param = ParamConfig(
        source=path.absolute(),
        raw=raw,
        seed=own["seed"],
        type_map=type_map,
        host=build.host(own.get("host"), folder, where / "alh2" / "host"),
        dataset=build.dataset(root, folder),
        bootstrap=build.bootstrap(own.get("bootstrap"), interaction="interaction" in own),
        committees=build.committees(root, type_map, where),
        explore=build.explore(root, folder),
        select=build.select(root, n_systems, where),
        label=build.label(root, _label_keys(root["fp_style"]), folder, name=path.name),
        assess=build.assess(own.get("assess")),
        converge=build.converge(own["converge"], len(root["model_devi_jobs"])),
        production=build.production(own.get("production")),
        failures=build.failures(own["failures"], root),
        notify=NotifyConfig(own["notify"]["command"], float(own["notify"]["stuck_after_s"])),
        curriculum=build.curriculum(own.get("curriculum"), where / "alh2" / "curriculum"),
    )
    rules.check_whole(param, where)
    return param


def load_machine(path: Path) -> MachineConfig:
    """The machine file `path` (JSON or YAML), DP-GEN's with an optional ``gcmc`` stage.

    A stage may be a list of one, as in older DP-GEN files. Commands of machines on this file system get the
    absolute path of their program, looked for beside the running interpreter first, unless ``source_list`` or
    ``module_list`` bring the programs.

    Raises BadInputError as :func:`load_param`.
    """
    raw = strip_comments(read_tree(path))
    where = Where(path.name)
    for stage in ("train", "model_devi", "fp", "gcmc"):
        if isinstance(raw.get(stage), list):
            if len(raw[stage]) != 1:
                raise BadInputError(
                    str(where / stage), expected="one machine", found=f"a list of {len(raw[stage])}", action="keep one"
                )
            raw[stage] = raw[stage][0]
    tree = validate(_machine_schema(), raw, where)
    stages = {
        name: _stage(tree[name], path.absolute().parent)
        for name in ("train", "model_devi", "fp", "gcmc")
        if name in tree
    }
    if "gcmc" not in stages:
        stages["gcmc"] = _stage({**tree["model_devi"], "command": GCMC_COMMAND}, path.absolute().parent)
    return MachineConfig(path.absolute(), stages["train"], stages["model_devi"], stages["fp"], stages["gcmc"])


def _stage(tree: dict[str, Any], folder: Path) -> StageMachine:
    machine, resources = tree["machine"], tree["resources"]
    command = tree["command"]
    is_remote = not is_local(machine["context_type"])
    return StageMachine(
        machine=machine,
        resources=resources,
        command=command if is_remote or brings_programs(resources) else resolve_command(command),
        parallel=tree["parallel"] or resources["para_deg"],
        user_forward_files=tuple(str(build.absolute(folder, name)) for name in tree["user_forward_files"]),
        user_backward_files=tuple(tree["user_backward_files"]),
        poll_s=None if tree["poll_s"] is None else float(tree["poll_s"]),
    )


@lru_cache(maxsize=1)
def _param_schema() -> Argument:
    return param_schema()


@lru_cache(maxsize=1)
def _machine_schema() -> Argument:
    return machine_schema()


def _label_keys(fp_style: str) -> frozenset[str]:
    """Keys of the param file that belong to the labeler `fp_style`."""
    schema = _param_schema()
    choice = schema.sub_variants["fp_style"].choice_dict.get(fp_style)
    own = set(choice.flatten_sub({})) if choice is not None and not choice.sub_variants else set()
    if choice is not None and choice.sub_variants:
        own = set(choice.sub_fields) | {
            key
            for variant in choice.sub_variants.values()
            for each in variant.choice_dict.values()
            for key in (variant.flag_name, *each.sub_fields)
        }
    shared = {"ratio_failed", "fp_cluster_vacuum", "use_ele_temp"}
    return frozenset(own | shared)

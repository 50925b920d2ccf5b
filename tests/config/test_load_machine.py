"""Machine files: the local one, DP-GEN's on a cluster, and their mistakes."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alh2.config import load
from alh2.config.commands import programs_of, resolve_command
from alh2.config.load import load_machine
from alh2.core.errors import BadInputError

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def test_the_local_file_runs_two_at_a_time_beside_this_interpreter() -> None:
    machine = load_machine(ROOT / "machines" / "local.json")
    stages = (machine.train, machine.model_devi, machine.fp, machine.gcmc)
    assert [stage.parallel for stage in stages] == [2, 2, 2, 2]
    assert [stage.command for stage in stages] == [str(BIN / name) for name in ("dp", "lmp", "python", "python")]
    assert all(Path(stage.command).is_file() for stage in stages)
    assert all(stage.resources["envs"]["OMP_NUM_THREADS"] == "1" for stage in stages)


def test_dpdispatcher_takes_what_is_loaded(tmp_path: Path) -> None:
    from alh2.core.quiet import import_dpdispatcher

    stage = load_machine(ROOT / "machines" / "local.json").train
    package = import_dpdispatcher()
    package.Resources.load_from_dict(stage.resources)
    machine = package.Machine.load_from_dict({**stage.machine, "local_root": str(tmp_path)})
    assert type(machine).__name__ == "Shell"


def test_a_dpgen_file_with_lists_of_one(
    stock_stage: dict[str, Any], write: Callable[..., Path], tmp_path: Path
) -> None:
    tree = {"api_version": "1.0", "deepmd_version": "2.1.5"}
    tree.update({name: [copy.deepcopy(stock_stage)] for name in ("train", "model_devi", "fp")})
    machine = load_machine(write(tree, "machine.json"))
    assert machine.fp.command == "ulimit -s unlimited; mpirun -np 32 vasp_std"  # remote: as it stands
    assert machine.fp.machine["remote_profile"]["hostname"] == "cluster.example.org"
    assert machine.fp.resources["group_size"] == 10
    assert machine.fp.parallel == 1
    assert machine.fp.user_forward_files == (str(tmp_path / "vdw_kernel.bindat"),)
    assert machine.gcmc.command == "python" and machine.gcmc.machine == machine.model_devi.machine


def test_local_root_may_be_left_out(local: dict[str, Any], write: Callable[..., Path]) -> None:
    del local["fp"]["machine"]["local_root"]
    assert "local_root" not in load_machine(write(local, "machine.json")).fp.machine


def test_parallel_overrides_para_deg(local: dict[str, Any], write: Callable[..., Path]) -> None:
    local["fp"]["parallel"] = 4
    assert load_machine(write(local, "machine.json")).fp.parallel == 4


def _two(tree: dict[str, Any]) -> None:
    tree["train"] = [tree["train"], tree["train"]]


MISTAKES: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda t: t.pop("train"), "machine.json: train: expected an object {…}, found no such key; this key is required"),
    (
        lambda t: t.update(model_dev=t.pop("model_devi")),
        "machine.json: model_dev: expected model_devi (an object {…}), found an unknown key; did you mean model_devi?",
    ),
    (_two, "machine.json: train: expected one machine, found a list of 2; keep one"),
    (
        lambda t: t["fp"].update(comand=t["fp"].pop("command")),
        "machine.json: fp.comand: expected command (a string), found an unknown key; did you mean command?",
    ),
    (
        lambda t: t["fp"]["machine"].update(batch_type="Slrum"),
        "machine.json: fp.machine.batch_type: expected one of Bohrium, DistributedShell, Fugaku, JH_UniScheduler, LSF, "
        'OpenAPI, PBS, SGE, Shell, Slurm, SlurmJobArray, Torque, found "Slrum" (a string); '
        "did you mean Slurm?",
    ),
    (
        lambda t: t["fp"]["machine"].update(context_type="LazyLocalContex"),
        "machine.json: fp.machine.context_type: expected one of BohriumContext, HDFSContext, LazyLocalContext, "
        'LocalContext, OpenAPIContext, SSHContext, found "LazyLocalContex" (a string); did you mean LazyLocalContext?',
    ),
    (
        lambda t: t["fp"]["resources"].update(cpu_per_nod=4),
        "machine.json: fp.resources.cpu_per_nod: expected cpu_per_node (an integer ≥ 1), found an unknown key; "
        "did you mean cpu_per_node?",
    ),
    (
        lambda t: t["fp"]["resources"].update(group_size="5"),
        'machine.json: fp.resources.group_size: expected an integer ≥ 0, found "5" (a string)',
    ),
    (
        lambda t: t["fp"].update(parallel=0),
        "machine.json: fp.parallel: expected an integer ≥ 1 or null, found 0 (an integer)",
    ),
    (
        lambda t: t["train"]["resources"]["envs"].update(OMP_NUM_THREADS=None) or t["train"].update(resources=None),
        "machine.json: train.resources: expected an object {…}, found null",
    ),
]


@pytest.mark.parametrize(("spoil", "line"), MISTAKES, ids=range(len(MISTAKES)))
def test_mistake_gives_this_line(
    spoil: Callable[[dict[str, Any]], Any], line: str, local: dict[str, Any], write: Callable[..., Path]
) -> None:
    spoil(local)
    with pytest.raises(BadInputError) as error:
        load_machine(write(local, "machine.json"))
    said = str(error.value)
    assert said == line
    assert "\n" not in said


def test_machines_derived_elsewhere_are_no_batch_systems(local: dict[str, Any], write: Callable[..., Path]) -> None:
    from dpdispatcher.machines.shell import Shell

    name = "ShellOfThisTest"
    try:
        type(name, (Shell,), {"__module__": __name__})  # registers itself
        assert name in Shell.subclasses_dict
        local["fp"]["machine"]["batch_type"] = name
        load._machine_schema.cache_clear()
        with pytest.raises(BadInputError, match="expected one of Bohrium") as error:
            load_machine(write(local, "machine.json"))
        assert name not in str(error.value).split("found")[0]
    finally:
        for key in [key for key in Shell.subclasses_dict if key.lower() == name.lower()]:
            del Shell.subclasses_dict[key]
        load._machine_schema.cache_clear()


@pytest.mark.parametrize(
    ("command", "programs"),
    [
        ("dp", ("dp",)),
        ("OMP_NUM_THREADS=2 lmp -in x", ("lmp",)),
        ("ulimit -s unlimited; mpirun -np 32 vasp_std", ("mpirun", "vasp_std")),
        ("source /opt/env.sh && $DP train", ()),
        ("a | b || c", ("a", "b", "c")),
    ],
)
def test_programs_of_a_shell_line(command: str, programs: tuple[str, ...]) -> None:
    assert programs_of(command) == programs


@pytest.mark.parametrize("name", ["slurm", "Slurm", "Lebesgue"])
def test_batch_systems_by_any_of_their_names(name: str, local: dict[str, Any], write: Callable[..., Path]) -> None:
    local["fp"]["machine"]["batch_type"] = name
    assert load_machine(write(local, "machine.json")).fp.machine["batch_type"] == name


def test_only_plain_programs_are_resolved() -> None:
    assert resolve_command("python -m x") == f"{BIN / 'python'} -m x"
    for left_alone in ("/opt/dp", "no-such-program-here", "ulimit -s unlimited; dp", "A=1 dp", "$DP"):
        assert resolve_command(left_alone) == left_alone

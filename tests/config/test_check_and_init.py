"""`alh2 check` and `alh2 init` from files to exit codes, and the planned work they count."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from alh2.cli import check as check_cli
from alh2.cli import init as init_cli
from alh2.cli.errors import run_app
from alh2.config.check import check
from alh2.config.commands import programs_of
from alh2.config.data import scan
from alh2.config.load import load_machine, load_param
from alh2.config.plan import PlannedCommittee, PlannedIteration, planned_work
from alh2.config.templates import template_names, with_absolute_paths, write_template
from alh2.core.errors import BadInputError

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / "machines" / "local.json"

FRAME = '3\nLattice="16 0 0 0 16 0 0 0 16" Properties=species:S:1:pos:R:3 energy=-1\nAl 0 0 0\nO 1 0 0\nH 0 2 0\n'
COLUMNS = "2\nProperties=id:I:1:pos:R:3:species:S:1\n1 0 0 0 H\n2 0 0 1 H\n"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the two subcommands in this process; returns the exit code."""

    def _run(*words: str) -> int:
        app = typer.Typer(pretty_exceptions_enable=False)
        check_cli.register(app)
        init_cli.register(app)
        monkeypatch.setattr("sys.argv", ["alh2", *words])
        return run_app(app)

    return _run


@pytest.fixture
def ready(campaign: dict[str, Any], write: Callable[..., Path], tmp_path: Path) -> Path:
    """A param file whose data are there: two trajectories of 300 and 100 frames."""
    for i, (n_frames, name) in enumerate(((300, "loaded.extxyz"), (100, "bare.extxyz"))):
        (tmp_path / name).write_text(FRAME * n_frames)
        campaign["alh2"]["dataset"]["aimd"][i]["files"] = [name]
    return write(campaign)


def test_planned_work_is_counted(ready: Path) -> None:
    work = planned_work(load_param(ready), n_aimd_frames=200)
    assert work.committees == (
        PlannedCommittee("total", 2, 12000, 1, 6000),
        PlannedCommittee("interaction", 2, 12000, 1, 6000),
    )
    # 5 loadings with H2 x 24 + 20 + 20 gas + 8 snapshots + 200 bare hosts of the AIMD
    assert work.bootstrap_labels == 5 * 24 + 40 + 8 + 200
    assert work.iterations[0] == PlannedIteration(
        iteration=0,
        md_tasks=8,
        md_steps=2000,
        temperatures_k=(10.0, 77.0),
        loadings=(1, 4, 8, 12),
        gcmc_tasks=4,
        gcmc_moves=16000,
        label_cap=20 * 17,  # Monte Carlo can reach 0 to 16 H2
        assess_labels=60,
    )
    assert (len(work.iterations), work.max_iterations) == (2, 2)
    assert (work.isotherm_runs, work.isotherm_moves, work.production_md_steps) == (6, 20000, 10000)


def test_everything_there_is_exit_code_0(
    ready: Path, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    report = check(load_param(ready), load_machine(LOCAL))
    assert report.ok and report.notes == ()
    # 100 fs dropped at 3 fs a frame is 33 frames: (300 - 33) / 2 rounded up, and 67
    assert report.n_aimd_frames == 134 + 67
    assert run("check", str(ready), str(LOCAL)) == 0
    out = capsys.readouterr().out
    assert "201 frames to start from" in out
    assert "2 models of interaction energies" in out
    assert out.splitlines()[-1] == "all files, programs and data are there"


def test_missing_data_and_programs_are_all_named_with_exit_code_2(
    campaign: dict[str, Any],
    local: dict[str, Any],
    write: Callable[..., Path],
    tmp_path: Path,
    run: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "here.extxyz").write_text(FRAME)
    campaign["alh2"]["dataset"]["aimd"][0]["files"] = ["here.extxyz", "gone.extxyz"]
    campaign["alh2"]["dataset"]["aimd"][1]["files"] = ["here.extxyz"]
    local["model_devi"]["command"] = "no-such-lammps -v x"
    param, machine = write(campaign), write(local, "machine.json")
    assert run("check", str(param), str(machine)) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"alh2: param.json: alh2.dataset.aimd[0].files: expected a readable file {tmp_path}/gone.extxyz, "
        "found no such file; check the path",
        "alh2: machine.json: model_devi.command: expected the program no-such-lammps, found no such program; "
        "install it or give its path",
    ]


def test_bad_input_is_one_line_with_exit_code_2(
    campaign: dict[str, Any], write: Callable[..., Path], run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    campaign["alh2"]["gcmc_jobs"][0]["temp"] = campaign["alh2"]["gcmc_jobs"][0].pop("temps")
    assert run("check", str(write(campaign)), str(LOCAL)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "alh2: param.json: alh2.gcmc_jobs[0].temp: expected temps (a list of numbers > 0), found an unknown key; "
        "did you mean temps?\n"
    )


def test_gcmc_without_data_on_adding_h2_is_refused(
    ready: Path, campaign: dict[str, Any], write: Callable[..., Path]
) -> None:
    campaign["alh2"]["bootstrap"].update(loadings=[6], gas_frames=0)
    report = check(load_param(write(campaign)), load_machine(LOCAL))
    assert report.problems == (
        "param.json: alh2.bootstrap.loadings: expected data at two loadings or more, as GCMC needs the energy of "
        "adding one H2, found one; add loadings such as 0, 1, 4",
        "param.json: alh2.bootstrap.gas_frames: expected frames of H2 alone, whose energy GCMC subtracts, found none; "
        "set it to 10 or more",
    )


def test_foreign_elements_and_cut_off_files_are_problems(ready: Path, tmp_path: Path) -> None:
    (tmp_path / "loaded.extxyz").write_text(FRAME.replace("Al", "In"))
    (tmp_path / "bare.extxyz").write_text(FRAME + FRAME[:-8])
    problems = check(load_param(ready), load_machine(LOCAL)).problems
    assert problems == (
        f"{tmp_path}/loaded.extxyz: expected elements of type_map ['Al', 'O', 'C', 'N', 'H'], found In",
        f"{tmp_path}/bare.extxyz, frame 1: expected 3 atoms, found 2; the file is cut off; remove the last frame",
    )


def test_a_stock_file_notes_what_has_no_effect(
    stock: dict[str, Any], stock_stage: dict[str, Any], write: Callable[..., Path]
) -> None:
    machine = write({name: stock_stage for name in ("train", "model_devi", "fp")}, "machine.json")
    report = check(load_param(write(stock)), load_machine(machine))
    assert report.notes[-1] == (
        "param.json: keys of DP-GEN that alh2 has no use for: init_batch_size, sys_batch_size, shuffle_poscar"
    )
    assert report.notes[0] == "machine.json: train.command: not looked for, the machine is remote (SSHContext)"
    assert len([p for p in report.problems if "POTCAR" in p or "INCAR" in p]) == 3


def test_scan_counts_frames_and_compositions(tmp_path: Path) -> None:
    (tmp_path / "a.extxyz").write_text(FRAME * 2 + COLUMNS)
    with gzip.open(tmp_path / "a.xyz.gz", "wt") as handle:
        handle.write(FRAME)
    content = scan(tmp_path / "a.extxyz")
    assert content is not None and content.n_frames == 3
    assert content.formulas == {(("Al", 1), ("H", 1), ("O", 1)), (("H", 2),)}
    zipped = scan(tmp_path / "a.xyz.gz")
    assert zipped is not None and zipped.n_frames == 1
    assert scan(tmp_path / "OUTCAR") is None
    (tmp_path / "b.xyz").write_text("three\n")
    with pytest.raises(BadInputError, match="frame 0: expected the number of atoms, found 'three'"):
        scan(tmp_path / "b.xyz")


def test_scan_of_real_trajectories() -> None:
    path = ROOT.parent / "shared" / "data" / "node-gfn1" / "aimd77-6h2.extxyz"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    content = scan(path)
    assert content is not None and content.n_frames == 350
    assert content.formulas == {(("Al", 3), ("C", 6), ("H", 19), ("O", 14))}


def test_scan_of_a_deepmd_folder(tmp_path: Path) -> None:
    import numpy as np

    (tmp_path / "sys" / "set.000").mkdir(parents=True)
    (tmp_path / "sys" / "type.raw").write_text("0\n1\n1\n")
    (tmp_path / "sys" / "type_map.raw").write_text("O\nH\n")
    np.save(tmp_path / "sys" / "set.000" / "energy.npy", np.zeros(7))
    content = scan(tmp_path)
    assert content is not None and (content.n_frames, content.formulas) == (7, {(("H", 2), ("O", 1))})


@pytest.mark.parametrize("name", ["quickstart", "node-converged", "al-soc-mof-xtb"])
def test_init_writes_files_that_load_to_the_same_campaign(name: str, tmp_path: Path) -> None:
    param_file, machine_file = write_template(name, tmp_path / "far" / "away")
    copied, original = load_param(param_file), load_param(ROOT / "param" / f"{name}.json")
    for section in ("host", "dataset", "bootstrap", "committees", "explore", "select", "label", "assess", "converge"):
        assert getattr(copied, section) == getattr(original, section)
    assert load_machine(machine_file).train == load_machine(LOCAL).train
    before = param_file.read_bytes()
    write_template(name, tmp_path / "far" / "away")
    assert param_file.read_bytes() == before


def test_init_does_not_overwrite_and_suggests_names(
    tmp_path: Path, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("init", str(tmp_path), "--template", "quickstrat") == 2
    assert capsys.readouterr().err == (
        f"alh2: --template: expected one of {', '.join(template_names())}, found quickstrat; did you mean quickstart?\n"
    )
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "machine.json").write_text("{}")
    assert run("init", str(tmp_path)) == 2
    assert "machine.json: expected no such file yet, found another one" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["machine.json"]
    assert run("init", str(tmp_path / "new")) == 0
    assert f"next: alh2 check {tmp_path}/new/param.json" in capsys.readouterr().out


def test_prefixes_of_a_stock_file_become_absolute(stock: dict[str, Any], tmp_path: Path) -> None:
    tree = with_absolute_paths(stock, tmp_path)
    assert tree["init_data_prefix"] == str(tmp_path / "data")
    assert tree["init_data_sys"] == stock["init_data_sys"]
    del stock["sys_configs_prefix"]
    assert with_absolute_paths(stock, tmp_path)["sys_configs"][1] == [str(tmp_path / "scale-1.000/000010/POSCAR")]
    assert json.loads(json.dumps(tree)) == tree


def test_a_first_principles_code_needs_its_files_and_its_program(
    stock: dict[str, Any], local: dict[str, Any], write: Callable[..., Path], tmp_path: Path
) -> None:
    param = load_param(write(stock))
    problems = check(param, load_machine(LOCAL)).problems
    assert (
        f"param.json: fp_incar: expected a readable file {tmp_path}/vasp/INCAR, found no such file; check the path"
        in problems
    )
    assert (
        f"param.json: fp_pp_files[1]: expected the POTCAR of C {tmp_path}/vasp/POTCAR_C, found no such file; "
        "set fp_pp_path to the folder of your own files; none come with alh2"
    ) in problems
    assert any("fp.command: expected how vasp is started, e.g. mpirun -np 16 vasp_gam" in line for line in problems)
    local["fp"]["command"] = "mpirun -np 16 no_such_vasp"
    problems = check(param, load_machine(write(local, "machine.json"))).problems
    assert any("expected the program no_such_vasp" in line for line in problems)


@pytest.mark.parametrize(
    ("command", "programs"),
    [
        ("ulimit -s unlimited; mpirun -np 32 vasp_std", ("mpirun", "vasp_std")),
        ("srun vasp_gam", ("srun", "vasp_gam")),
        ("mpirun -n 4 --bind-to core cp2k.psmp -i input.inp", ("mpirun",)),
        ("mpirun $VASP", ("mpirun",)),
        ("g16 < input", ("g16",)),
    ],
)
def test_programs_behind_launchers_are_looked_for(command: str, programs: tuple[str, ...]) -> None:
    assert programs_of(command) == programs


def test_the_vasp_template_is_complete_but_for_what_its_licence_keeps(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("init", str(tmp_path / "mine"), "--template", "al-soc-mof-vasp") == 0
    assert run("check", str(tmp_path / "mine" / "param.json"), str(LOCAL)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 6
    assert [line.split("the POTCAR of ")[1][:2].strip() for line in lines[:5]] == ["Al", "O", "C", "N", "H"]
    assert "fp.command" in lines[5]

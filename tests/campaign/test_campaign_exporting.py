"""``alh2 export-dpgen``: what it writes passes DP-GEN's own checks and starts in DP-GEN's own code."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alh2.campaign.exporting import export_dpgen
from alh2.core.errors import BadInputError
from alh2.core.frames import Frame

TYPES = ("Al", "O", "C", "H")

START = """
import json, glob
from dargs import dargs
from dpgen.generator.arginfo import run_jdata_arginfo, run_mdata_arginfo
from dpgen.generator.run import make_model_devi, make_train, update_mass_map
from dpgen.remote.decide_machine import convert_mdata
from dpgen.util import load_file, normalize

raw = load_file("param.json")
run_mdata_arginfo().check_value(run_mdata_arginfo().normalize_value(load_file("machine.json")), strict=True)
run_jdata_arginfo().check_value(run_jdata_arginfo().normalize_value(raw), strict=True)
jdata = normalize(run_jdata_arginfo(), raw)
update_mass_map(jdata)
mdata = convert_mdata(load_file("machine.json"))
make_train(0, jdata, mdata)
for i in range(jdata["numb_models"]):
    open(f"iter.000000/00.train/graph.{i:03d}.pb", "w").close()
make_model_devi(0, jdata, mdata)
given = json.load(open("iter.000000/00.train/000/input.json"))
print("RESULT", json.dumps({
    "systems": given["training"]["training_data"]["systems"],
    "steps": given["training"]["numb_steps"],
    "tasks": sorted(glob.glob("iter.000000/01.model_devi/task.*")),
    "lammps": open("iter.000000/01.model_devi/task.000.000000/input.lammps").read(),
}))
"""


@pytest.fixture
def vasp_inputs(inputs: Any, vasp_kit: Any) -> Any:
    """The mini campaign's files, labelled by VASP."""
    content = copy.deepcopy(json.loads(inputs.param.read_text()))
    del content["fp_params"]
    content.update(fp_style="vasp", **vasp_kit.keys(TYPES))
    inputs.write_param(content)
    return inputs


def test_dpgen_starts_training_and_exploration_from_it(vasp_inputs: Any, tmp_path: Path) -> None:
    output = tmp_path / "for-dpgen"
    done = export_dpgen(vasp_inputs.param, vasp_inputs.machine, output)
    assert (done.n_frames, done.n_systems) == (10, 1)
    assert any("Monte Carlo" in words for words in done.left_behind)
    assert sorted(path.name for path in output.iterdir()) == [
        "INCAR", "init_data", "machine.json", "param.json", "systems"
    ]  # fmt: skip
    ran = subprocess.run([sys.executable, "-c", START], cwd=output, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    result = json.loads(ran.stdout.split("RESULT ")[1])
    (system,) = result["systems"]
    data = output / "iter.000000" / "00.train" / "000" / system
    assert (data.resolve() / "type_map.raw").read_text().split() == list(TYPES)
    assert result["steps"] == 100
    assert result["tasks"] == ["iter.000000/01.model_devi/task.000.000000"]
    assert "77" in result["lammps"] and "fix" in result["lammps"]


@pytest.mark.skipif(
    os.environ.get("ALH2_EXHAUSTIVE") != "1", reason="a whole run of dpgen; ask for it with ALH2_EXHAUSTIVE=1"
)
def test_stock_dpgen_runs_it(vasp_inputs: Any, vasp_kit: Any, node: Frame, tmp_path: Path) -> None:
    """Training, exploration and labels (by VASP's stand-in) of iteration 0, and the training after it."""
    vasp_kit.configure(node, faults=[], fraction=0.0)
    vasp_inputs.command("fp", vasp_kit.program)
    output = tmp_path / "for-dpgen"
    export_dpgen(vasp_inputs.param, vasp_inputs.machine, output)
    programs = Path(sys.executable).parent
    ran = subprocess.run(
        [str(programs / "dpgen"), "run", "param.json", "machine.json"],
        cwd=output,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    record = (output / "record.dpgen").read_text().split("\n")
    assert "0 8" in record and "1 2" in record
    assert list(output.glob("iter.000000/02.fp/data.*/**/energy.npy"))
    assert "failed frame:      0" in (output / "dpgen.log").read_text()


def test_the_command_says_what_is_not_in_it(vasp_inputs: Any, alh2: Callable[..., Any], tmp_path: Path) -> None:
    ended = alh2("export-dpgen", vasp_inputs.param, vasp_inputs.machine, tmp_path / "out")
    assert ended.code == 0, ended.err
    assert "10 frames and 1 systems for DP-GEN" in ended.out
    assert "not in it: Monte Carlo exploration" in ended.out


def test_what_cannot_be_exported_is_one_line_and_nothing_is_written(
    inputs: Any, vasp_inputs: Any, param_content: dict[str, Any], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    with pytest.raises(BadInputError, match="expected a campaign directory with a dataset"):
        export_dpgen(vasp_inputs.param, vasp_inputs.machine, output, campaign=tmp_path)
    content = json.loads(vasp_inputs.param.read_text())
    content["alh2"]["dataset"]["aimd"] = []
    vasp_inputs.write_param(content)
    with pytest.raises(BadInputError, match="labelled frames for DP-GEN's first training"):
        export_dpgen(vasp_inputs.param, vasp_inputs.machine, output)
    vasp_inputs.write_param(param_content)
    with pytest.raises(BadInputError, match="which only alh2 has"):
        export_dpgen(vasp_inputs.param, vasp_inputs.machine, output)
    assert not output.exists() and not list(tmp_path.glob(".out*"))
    output.mkdir()
    content["alh2"]["dataset"]["aimd"] = param_content["alh2"]["dataset"]["aimd"]
    vasp_inputs.write_param(content)
    with pytest.raises(BadInputError, match="one that exists"):
        export_dpgen(vasp_inputs.param, vasp_inputs.machine, output)

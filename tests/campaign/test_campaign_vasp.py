"""A campaign labelled by VASP's stand-in, one label in five failing: what is stored is right, what failed is listed,
quarantined frames can be labelled later, and stock DP-GEN reads what lies there."""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alh2.core.frames import Frame
from alh2.dataset.store import DatasetStore
from alh2.label.quarantine import read_quarantine
from alh2.label.reference_network import build_network
from alh2.label.reference_pes import reference_energy_forces

pytestmark = pytest.mark.slow

TYPES = ("Al", "O", "C", "H")
FAULTS = ["scf", "truncated", "crash", "atoms", "nan"]


def _standin() -> Any:
    path = Path(__file__).parents[1] / "label" / "vasp_standin.py"
    spec = importlib.util.spec_from_file_location("vasp_standin", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["vasp_standin"] = module
    spec.loader.exec_module(module)
    return module


STANDIN = _standin()


@dataclass(frozen=True)
class VaspCampaign:
    """A campaign that has ended; `config` of the stand-in."""

    workdir: Path
    inputs: Any
    kit: Any
    config: dict[str, Any]
    code: int
    err: str

    def tasks(self) -> dict[str, tuple[str, bool]]:
        """Fault and whether no recipe helps, by label task."""
        folders = sorted(self.workdir.glob("*/02.fp/*/POSCAR"))
        found = {str(p.parent.relative_to(self.workdir)): STANDIN.fault_of(p.parent, self.config) for p in folders}
        return found


@pytest.fixture(scope="module")
def campaign(
    base_inputs: Any, node: Frame, run_campaign: Any, vasp_kit_in: Any, tmp_path_factory: pytest.TempPathFactory
) -> VaspCampaign:
    root = tmp_path_factory.mktemp("vasp")
    shutil.copytree(base_inputs.folder, root / "inputs")
    inputs = type(base_inputs)(root / "inputs")
    kit = vasp_kit_in(root / "vasp")
    config = kit.configure(node, faults=FAULTS, fraction=0.2, stubborn=0.5, seed=503)
    content = copy.deepcopy(json.loads(inputs.param.read_text()))
    del content["fp_params"], content["alh2"]["production"]
    content.update(fp_style="vasp", **kit.keys(TYPES))
    content["alh2"]["converge"] |= {"insertion_rmse_ev": 1e6}
    content["alh2"]["label"]["energy_window_ev_per_atom"] = None  # models this short ask for crowded frames
    inputs.write_param(content)
    inputs.command("fp", kit.program)
    ended = run_campaign(inputs, root / "run")
    return VaspCampaign(root / "run", inputs, kit, config, ended.code, ended.err)


def test_it_converges_though_one_label_in_five_fails(campaign: VaspCampaign) -> None:
    assert (campaign.code, campaign.err) == (0, "")
    faults = [fault for fault, _ in campaign.tasks().values()]
    assert 0.1 < np.mean([fault != "" for fault in faults]) < 0.4
    assert len({fault for fault in faults if fault}) >= 3


def test_the_quarantine_holds_all_that_no_recipe_helps_and_nothing_else(campaign: VaspCampaign) -> None:
    hopeless = {task: fault for task, (fault, stubborn) in campaign.tasks().items() if fault and stubborn}
    entries = {entry.task: entry for entry in read_quarantine(campaign.workdir / "quarantine.jsonl")}
    assert set(entries) == set(hopeless) != set()
    words = {"scf": "SCF not converged", "truncated": "is not whole", "crash": "SIGSEGV", "nan": "not finite"}
    words["atoms"] = "atoms where"
    for task, fault in hopeless.items():
        assert entries[task].reason.startswith("given up after 3 attempts: "), entries[task]
        assert entries[task].reason.count(words[fault]) == 3
        assert entries[task].final is (fault != "crash")


def test_faults_that_a_recipe_cures_became_labels(campaign: VaspCampaign) -> None:
    cured = [task for task, (fault, stubborn) in campaign.tasks().items() if fault and not stubborn]
    assert cured
    for task in cured:
        assert json.loads((campaign.workdir / task / "attempts.json").read_text())
        assert (campaign.workdir / task / "standin.log").read_text().split("\n")[-2].endswith("fine wavecar=False")


def test_every_stored_label_is_the_potentials_own(campaign: VaspCampaign, node: Frame) -> None:
    network = build_network(node)
    stored = DatasetStore(campaign.workdir / "dataset", TYPES).load()
    from_vasp = [f for f in stored if f.label.labeler.startswith("VASP")]
    assert len(from_vasp) > 20
    for labelled in from_vasp:
        energy, forces = reference_energy_forces(labelled.frame, network=network if labelled.frame.n_host else None)
        assert labelled.label.energy_ev == pytest.approx(energy, abs=1e-6)
        assert np.abs(labelled.label.forces_ev_ang - forces).max() < 1e-5
        if labelled.host_label is not None:
            energy, _ = reference_energy_forces(labelled.frame.bare_host(), network=network)
            assert labelled.host_label.energy_ev == pytest.approx(energy, abs=1e-6)


def test_stock_dpgen_collects_the_labels_of_an_iteration(campaign: VaspCampaign, tmp_path: Path) -> None:
    shutil.copytree(campaign.workdir / "iter.000000", tmp_path / "iter.000000", symlinks=True)
    jdata = json.loads(campaign.inputs.param.read_text())
    (tmp_path / "param.json").write_text(json.dumps(jdata))
    code = (
        "import json, dpdata, glob\n"
        "from dpgen.generator.run import post_fp_vasp\n"
        "from dpgen.tools.stat_iter import stat_iter\n"
        "post_fp_vasp(0, json.load(open('param.json')), rfailed=1.0)\n"
        "systems = glob.glob('iter.000000/02.fp/data.*/*/')\n"
        "stat_iter('.', verbose=False)\n"
        "print('FRAMES', sum(len(dpdata.LabeledSystem(s, fmt='deepmd/npy')) for s in systems))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    faults = [f for task, f in campaign.tasks().items() if task.startswith("iter.000000/02.fp/task.")]
    # DP-GEN takes forces that are not finite, and other atoms than it asked for
    expected = [f for f in faults if not f[1] or f[0] in ("", "atoms", "nan")]
    assert int(done.stdout.split("FRAMES")[1]) == len(expected) > 0


def test_quarantined_frames_are_listed_and_labelled_on_request(
    campaign: VaspCampaign, alh2: Callable[..., Any], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(campaign.workdir, run, symlinks=True)
    entries = read_quarantine(run / "quarantine.jsonl")
    listed = alh2("label", "--quarantine", run)
    assert listed.code == 0
    assert [line.split()[0] for line in listed.out.splitlines()[:-1]] == [entry.task for entry in entries]
    assert listed.out.splitlines()[-1].startswith(f"{len(entries)} frames without a label; alh2 label --retry")
    missing = alh2("label", "--retry", run, "--only", "no-such-task")
    assert (missing.code, missing.err.count("\n")) == (2, 1) and "no-such-task" in missing.err

    before = {f.frame.digest for f in DatasetStore(run / "dataset", TYPES).load()}
    one, *others = entries
    settings = campaign.kit.folder / "standin.json"
    try:
        settings.write_text(json.dumps(campaign.config | {"fraction": 0.0}))
        first = alh2("label", "--retry", run, "--only", one.task)
        assert first.code == 0, first.err
        assert "1 frames labelled, 0 not" in first.out
        assert {e.task for e in read_quarantine(run / "quarantine.jsonl")} == {e.task for e in others}
        assert alh2("label", "--retry", run).code == 0
    finally:
        settings.write_text(json.dumps(campaign.config))
    assert read_quarantine(run / "quarantine.jsonl") == []
    store = DatasetStore(run / "dataset", TYPES)
    frames = {f.frame.digest for f in store.load()} | store.host_digests()
    tasks = {entry.digest for entry in entries if "/host." not in entry.task}
    assert tasks <= frames and not tasks & before
    assert '"event": "retry"' in (run / "journal.jsonl").read_text()


def test_retrying_while_the_fault_lasts_keeps_the_frames_in_quarantine(
    campaign: VaspCampaign, alh2: Callable[..., Any], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(campaign.workdir, run, symlinks=True)
    (entry, *_) = [e for e in read_quarantine(run / "quarantine.jsonl") if e.final]
    lines = (run / entry.task / "standin.log").read_text().count("\n")
    again = alh2("label", "--retry", run, "--only", entry.task)
    assert again.code == 1 and entry.task in again.err
    assert (run / entry.task / "standin.log").read_text().count("\n") == lines + 3
    assert len(read_quarantine(run / "quarantine.jsonl")) == len(read_quarantine(campaign.workdir / "quarantine.jsonl"))
    assert sorted(os.listdir(run / "dataset")) == sorted(os.listdir(campaign.workdir / "dataset"))

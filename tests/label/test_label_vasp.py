"""VASP labels: DP-GEN's inputs, atom order there and back, every way a run fails, recipes; with a stand-in program."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alh2.config.model import LabelConfig
from alh2.core.errors import BadInputError
from alh2.core.frames import Frame, Label
from alh2.label import dpgen_inputs
from alh2.label.attempts import failed_attempts, next_attempt
from alh2.label.local import LocalRun, label_frames
from alh2.label.matching import order_by_type
from alh2.label.protocol import LabelFailure, LabelJob
from alh2.label.reference_network import build_network
from alh2.label.reference_pes import reference_energy_forces
from alh2.label.registry import make_labeler
from alh2.label.vasp_incar import level_of_theory, parse_incar, with_recipe

TYPES = ("Al", "O", "C", "N", "H")
VASP_FIXTURES = Path(__file__).resolve().parents[3] / "shared" / "fixtures" / "vasp"


def labeler_of(kit: Any, type_map: tuple[str, ...] = TYPES, **changes: Any) -> Any:
    config = LabelConfig("vasp", {**kit.keys(type_map), **changes}, 60.0, where="param.json")
    return make_labeler(config, type_map=type_map)


def shuffled(frame: Frame, seed: int) -> Frame:
    """`frame` with its host atoms in another order, so that no element stands together."""
    order = np.random.default_rng(seed).permutation(frame.n_host)
    order = np.concatenate([order, np.arange(frame.n_host, frame.n_atoms)])
    symbols = tuple(frame.symbols[i] for i in order)
    return Frame(symbols, frame.positions_ang[order], frame.cell_ang, frame.n_host, frame.host_id)


def run(kit: Any, labeler: Any, frame: Frame, folder: Path) -> Label | LabelFailure:
    """One attempt, as a scheduler would run it."""
    folder.mkdir(parents=True, exist_ok=True)
    labeler.prepare([LabelJob(frame, folder)])
    subprocess.run(["sh", "-c", labeler.command(kit.program)], cwd=folder, capture_output=True, check=False)
    return labeler.collect(frame, folder)


@pytest.mark.parametrize("type_map", [TYPES, ("H", "O", "Al", "N", "C")])
def test_shuffled_atoms_come_back_in_their_places(vasp_kit, tmp_path, loaded_node, type_map):
    host = shuffled(loaded_node[0].frame, 3)
    frame = Frame(host.symbols, loaded_node[0].frame.positions_ang * 0, host.cell_ang, host.n_host, "node")
    rng = np.random.default_rng(5)
    moved = host.positions_ang + 0.03 * rng.standard_normal(host.positions_ang.shape)
    frame = Frame(host.symbols, moved, host.cell_ang, host.n_host, "node")
    vasp_kit.configure(host)
    label = run(vasp_kit, labeler_of(vasp_kit, type_map), frame, tmp_path / "task")
    energy, forces = reference_energy_forces(frame, network=build_network(host.bare_host()))
    assert isinstance(label, Label)
    assert label.energy_ev == pytest.approx(energy, abs=1e-7)
    # 1e-5 Å in positions times the stiffest second derivative, 40 eV/Å², and six decimals of the force
    assert np.abs(label.forces_ev_ang - forces).max() < 2e-6
    assert np.abs(forces).max() > 0.5
    wrong = forces[order_by_type(frame, type_map)]
    assert np.abs(wrong - forces).max() > 0.1  # the order does matter in this frame


def test_gas_and_host_with_one_h2_get_the_potcar_of_their_own_elements(vasp_kit, tmp_path, loaded_node, h2_frame):
    full = loaded_node[0].frame
    host_and_one = Frame(full.symbols[:32], full.positions_ang[:32], full.cell_ang, 30, "node")
    vasp_kit.configure(full)
    labeler = labeler_of(vasp_kit)
    frames = [h2_frame, host_and_one, full, full.bare_host()]
    answers = label_frames(labeler, frames, LocalRun(tmp_path, program=vasp_kit.program))
    network = build_network(full.bare_host())
    for frame, answer in zip(frames, answers, strict=True):
        energy, _ = reference_energy_forces(frame, network=network if frame.n_host else None)
        assert isinstance(answer, Label), answer
        assert answer.energy_ev == pytest.approx(energy, abs=1e-7)
    titles = [[w for w in (tmp_path / f"task.{i:06d}" / "POTCAR").read_text().split() if w in TYPES] for i in range(4)]
    assert titles[0] == ["H"] * 2 and titles[1] == titles[2] == titles[3] == [
        e for e in ("Al", "O", "C", "H") for _ in "ab"
    ]
    shared = sorted(path.name.split(".")[0] for path in (tmp_path / "shared").iterdir())
    assert shared == ["POTCAR", "POTCAR"]  # one for each set of elements, not for each task


def test_the_inputs_are_dpgens_and_the_same_each_time(vasp_kit, tmp_path, loaded_node, monkeypatch):
    labeler = labeler_of(vasp_kit)
    job = LabelJob(loaded_node[0].frame, tmp_path / "fp" / "a")
    for folder in (job.folder, tmp_path / "fp" / "b"):
        folder.mkdir(parents=True, exist_ok=True)
        labeler.prepare([LabelJob(job.frame, folder)])
    for name in labeler.input_files:
        assert (job.folder / name).read_bytes() == (tmp_path / "fp" / "b" / name).read_bytes()
    assert (job.folder / "INCAR").read_text() == vasp_kit.incar.read_text()
    assert (job.folder / "KPOINTS").read_text().split("\n")[2:4] == ["Gamma", "1 1 1"]
    assert (job.folder / "POSCAR").read_text().split("\n")[0] == "Al3 O14 C6 H19"
    assert {path.name for path in job.folder.iterdir()} == {*labeler.input_files, "inputs.json"}

    # neither a repeat nor another attempt asks DP-GEN again, another structure or INCAR does
    calls = []
    monkeypatch.setattr(dpgen_inputs, "_run_dpgen", lambda stage, style: calls.append(style))
    labeler.prepare([job])
    assert next_attempt(job.folder, "SCF", 3)
    labeler.prepare([job])
    assert "ALGO = Normal" in (job.folder / "INCAR").read_text() and calls == []
    (job.folder / "KPOINTS").unlink()
    labeler.prepare([job])
    moved = Frame(job.frame.symbols, job.frame.positions_ang + 0.1, job.frame.cell_ang, 30, "node")
    labeler.prepare([LabelJob(moved, tmp_path / "fp" / "b")])
    vasp_kit.incar.write_text(vasp_kit.incar.read_text().replace("NCORE = 4", "NCORE = 8"))
    labeler_of(vasp_kit).prepare([LabelJob(job.frame, job.folder)])
    assert calls == ["vasp"] * 3


def test_kspacing_fp_aniso_kspacing_tags_and_cvasp_do_what_they_do_in_dpgen(vasp_kit, tmp_path, h2_frame):
    def files(name: str, labeler: Any) -> Path:
        folder = tmp_path / "fp" / name
        folder.mkdir(parents=True)
        labeler.prepare([LabelJob(h2_frame, folder)])
        return folder

    aniso = labeler_of(vasp_kit, fp_aniso_kspacing=[0.3, 0.6, 0.1], cvasp=True)
    folder = files("aniso", aniso)
    assert (folder / "KPOINTS").read_text().split("\n")[3] == "3 2 7"
    assert "custodian" in (folder / "cvasp.py").read_text() and "cvasp.py" in aniso.input_files
    assert aniso.command("srun vasp_gam") == "python cvasp.py 'srun vasp_gam' 3"
    keys = {k: v for k, v in vasp_kit.keys(TYPES).items() if k != "fp_incar"}
    tags = {"ENCUT": 300, "KSPACING": 0.4, "KGAMMA": True, "NSW": 0}
    given = make_labeler(LabelConfig("vasp", {**keys, "user_fp_params": tags}, 60.0), type_map=TYPES)
    folder = files("tags", given)
    assert parse_incar((folder / "INCAR").read_text())["ENCUT"] == "300"
    assert (folder / "KPOINTS").read_text().split("\n")[2:4] == ["Gamma", "2 2 2"]
    older = {"ecut": 400, "ediff": 1e-5, "npar": 2, "kpar": 1, "kspacing": 0.7, "user_vasp_params": {"IVDW": 12}}
    folder = files("older", make_labeler(LabelConfig("vasp", {**keys, "fp_params": older}, 60.0), type_map=TYPES))
    assert parse_incar((folder / "INCAR").read_text())["IVDW"] == "12"
    plain = labeler_of(vasp_kit)
    assert len({labeler.name for labeler in (aniso, given, plain)}) == 3
    assert labeler_of(vasp_kit, cvasp=True).name == plain.name  # Custodian changes no energy


REASONS = {
    "scf": "SCF not converged: the electronic steps reached NELM",
    "truncated": "OUTCAR is not whole: frame 1 breaks off",
    "crash": "OUTCAR: expected a VASP OUTCAR with NELM and ions per type, found neither of them",
    "atoms": "1 atoms where 2 were asked for",
    "nan": "energy, forces, positions or cell are not finite",
}


def test_each_way_to_fail_has_its_reason(vasp_kit, tmp_path, h2_frame):
    labeler = labeler_of(vasp_kit)
    folders = {fault: tmp_path / "fp" / fault for fault in REASONS}
    for folder in folders.values():
        folder.mkdir(parents=True)
    labeler.prepare([LabelJob(h2_frame, folder) for folder in folders.values()])
    for fault, reason in REASONS.items():
        vasp_kit.configure(None, faults=[fault], fraction=1.0, stubborn=1.0)
        command = ["sh", "-c", labeler.command(vasp_kit.program)]
        done = subprocess.run(command, cwd=folders[fault], capture_output=True, text=True, check=False)
        assert labeler.collect(h2_frame, folders[fault]) == LabelFailure(reason)
        assert (done.returncode, "SIGSEGV" in done.stderr) == ((174, True) if fault == "crash" else (0, False))
    assert "aborting loop because EDIFF is reached" in (folders["scf"] / "OUTCAR").read_text()


def test_a_program_that_hangs_is_ended_with_everything_it_started(vasp_kit, tmp_path, h2_frame):
    vasp_kit.configure(None, faults=["hang"], fraction=1.0, stubborn=1.0, hang_s=60)
    (answer,) = label_frames(
        labeler_of(vasp_kit), [h2_frame], LocalRun(tmp_path, timeout_s=1.5, program=vasp_kit.program)
    )
    assert answer == LabelFailure("given up after 3 attempts: " + "; ".join(["no answer after 1.5 s"] * 3))


def test_recipes_escalate_until_one_helps_and_are_written_down(vasp_kit, tmp_path, h2_frame):
    vasp_kit.configure(None, faults=["scf"], fraction=1.0, stubborn=0.0)
    run_here = LocalRun(tmp_path, program=vasp_kit.program)
    frames = []
    for shift in (0.0, 0.1, 0.2, 0.3):
        frames.append(Frame(h2_frame.symbols, h2_frame.positions_ang + shift, h2_frame.cell_ang, 0))
    answers = label_frames(labeler_of(vasp_kit), frames, run_here)
    assert all(isinstance(answer, Label) for answer in answers)
    logs = [(tmp_path / f"task.{i:06d}" / "standin.log").read_text().split("\n")[:-1] for i in range(4)]
    tried = {tuple(line.split(" wavecar")[0] for line in log) for log in logs}
    first, second = "fast 40 scf", "normal 80 "
    assert tried == {(first, second + "fine"), (first, second + "scf", "all 160 fine")}
    for i, log in enumerate(logs):
        assert failed_attempts(tmp_path / f"task.{i:06d}") == (REASONS["scf"],) * (len(log) - 1)


def test_output_of_another_geometry_or_element_is_refused(vasp_kit, tmp_path, h2_frame):
    vasp_kit.configure(None)
    labeler = labeler_of(vasp_kit)
    assert isinstance(run(vasp_kit, labeler, h2_frame, tmp_path / "task"), Label)
    turned = Frame(h2_frame.symbols, h2_frame.positions_ang[::-1] + 0.01, h2_frame.cell_ang, 0)
    assert "0.7" in labeler.collect(turned, tmp_path / "task").reason
    longer = Frame(h2_frame.symbols, h2_frame.positions_ang, h2_frame.cell_ang * 1.01, 0)
    assert labeler.collect(longer, tmp_path / "task").reason == "the cell is not the one asked for"
    wrapped = Frame(h2_frame.symbols, h2_frame.positions_ang - [[10.0, 0, 0], [0, 20.0, 0]], h2_frame.cell_ang, 0)
    assert isinstance(labeler.collect(wrapped, tmp_path / "task"), Label)
    outcar = tmp_path / "task" / "OUTCAR"
    outcar.write_text(outcar.read_text().replace("PAW_PBE H ", "PAW_PBE C ").replace("POSCAR =  H2", "POSCAR =  x"))
    assert labeler.collect(h2_frame, tmp_path / "task").reason == "the atoms are C2, asked for were H2"
    outcar.write_text(outcar.read_text().replace("POSCAR =  x", "POSCAR =  Al3 O2"))
    assert "elements as in the POSCAR title" in labeler.collect(h2_frame, tmp_path / "task").reason
    outcar.unlink()
    assert isinstance(labeler.collect(h2_frame, tmp_path / "task"), Label)  # vasprun.xml is still there
    (tmp_path / "task" / "vasprun.xml").unlink()
    assert labeler.collect(h2_frame, tmp_path / "task") == LabelFailure("no OUTCAR: VASP did not start")


def test_dpdata_reads_what_the_stand_in_writes(vasp_kit, tmp_path, loaded_node):
    import dpdata

    frame = loaded_node[0].frame
    vasp_kit.configure(frame)
    label = run(vasp_kit, labeler_of(vasp_kit), frame, tmp_path / "task")
    order = order_by_type(frame, TYPES)
    for name, file_format in (("OUTCAR", "vasp/outcar"), ("vasprun.xml", "vasp/xml")):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            data = dpdata.LabeledSystem(str(tmp_path / "task" / name), fmt=file_format).data
        assert [data["atom_names"][t] for t in data["atom_types"]] == [frame.symbols[i] for i in order]
        assert data["energies"] == pytest.approx([label.energy_ev], abs=1e-7)
        assert np.abs(data["forces"][0] - label.forces_ev_ang[order]).max() < 1e-6
        assert np.abs(data["coords"][0] - frame.positions_ang[order]).max() < 1e-5


@pytest.mark.parametrize("number", [0, 1])
def test_real_outcars_of_single_points_are_labels(number, vasp_kit, tmp_path):
    """DP-GEN's own test files: two Al atoms at NSW = 0, VASP 5.4.4."""
    source = VASP_FIXTURES / "dpgen" / f"post_fp_task.000.00000{number}.OUTCAR"
    if not source.exists():
        pytest.skip(f"{source} is not here")
    from alh2.formats.vasp import read_outcar

    (step,) = read_outcar(source).steps
    frame = Frame(step.symbols, step.positions_ang, step.cell_ang, len(step.symbols), "al")
    shutil.copy(source, tmp_path / "OUTCAR")
    label = labeler_of(vasp_kit).collect(frame, tmp_path)
    assert isinstance(label, Label) and label.energy_ev == step.energy_ev


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda kit: {"fp_pp_files": ["POTCAR.O", "POTCAR.Al", "POTCAR.C", "POTCAR.N", "POTCAR.H"]},
         ["fp_pp_files[0]", "one POTCAR, of Al", "PAW_PBE O", "order of type_map"]),
        (lambda kit: {"fp_pp_files": ["POTCAR.Al"]}, ["5 files, one for each of type_map", "found 1"]),
        (lambda kit: {"fp_pp_path": str(kit.folder / "nowhere")}, ["POTCAR of Al", "no such file", "licence"]),
        (lambda kit: {"fp_incar": str(kit.folder / "INCAR.none")}, ["a readable INCAR", "no such file"]),
        (lambda kit: kit.incar.write_text("NSW = 10\nKSPACING=0.5\nKGAMMA=T\n") and {}, ["NSW", "set NSW = 0"]),
        (lambda kit: kit.incar.write_text("KGAMMA = T\n") and {}, ["KSPACING, from which KPOINTS is made"]),
        (lambda kit: kit.incar.write_text("KSPACING = 0.5\n") and {}, ["KGAMMA, from which KPOINTS is made"]),
        (lambda kit: kit.incar.write_text("ICHARG = 11;KSPACING=0.5\nKGAMMA=T") and {}, ["self-consistent"]),
        (lambda kit: kit.incar.write_text("NELM = many;KSPACING=0.5\nKGAMMA=T") and {}, ["NELM", "an integer"]),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_before_anything_runs(vasp_kit, change, words):
    with pytest.raises(BadInputError) as caught:
        labeler_of(vasp_kit, **change(vasp_kit))
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_name_follows_the_level_of_theory_and_nothing_else(vasp_kit):
    first = labeler_of(vasp_kit).name
    assert first.startswith("VASP (ENCUT 480, GGA PE, IVDW 12, level ")
    text = vasp_kit.incar.read_text()
    vasp_kit.incar.write_text(text.replace("NCORE = 4", "NCORE = 16\nKPAR = 2").replace("ALGO = Fast", "algo = normal"))
    assert labeler_of(vasp_kit).name == first
    vasp_kit.incar.write_text(text.replace("SIGMA = 0.05", "SIGMA = 0.1"))
    second = labeler_of(vasp_kit).name
    vasp_kit.incar.write_text(text)
    (vasp_kit.folder / "POTCAR.H").write_text("   TITEL  = PAW_PBE H_h 06Feb2004\n")
    assert len({first, second, labeler_of(vasp_kit).name}) == 3


def test_incar_is_read_as_vasp_reads_it():
    text = (
        "ENCUT = 480 ! eV\n ismear=0; sigma = 0.05 # eV\nMAGMOM = 3*1 \\\n 2*0\n# NSW = 5\nENCUT = 300\nno tag here\n"
    )
    assert parse_incar(text) == {"ENCUT": "480", "ISMEAR": "0", "SIGMA": "0.05", "MAGMOM": "3*1   2*0"}
    assert with_recipe(text, 1) == text
    second = parse_incar(with_recipe(text, 2))
    assert {**second, "NELM": ""} == {
        **parse_incar(text), "ISTART": "0", "ICHARG": "2", "ALGO": "Normal", "AMIX": "0.1", "BMIX": "0.0001", "NELM": ""
    }  # fmt: skip
    assert second["NELM"] == "120"
    assert parse_incar(with_recipe(text + "NELM = 10\nAMIX = 0.4\n", 3))["NELM"] == "40"
    assert "AMIX" not in parse_incar(with_recipe(text + "AMIX = 0.4\n", 3))
    assert level_of_theory(second) == level_of_theory(parse_incar(text))


def test_orbitals_go_from_task_to_task_of_the_same_formula(vasp_kit, tmp_path, loaded_node):
    full = loaded_node[0].frame
    config = LabelConfig("vasp", vasp_kit.keys(TYPES), 60.0, reuse_orbitals=True)
    labeler = make_labeler(config, type_map=TYPES)
    again = Frame(full.symbols, full.positions_ang + 0.01, full.cell_ang, 30, "node")
    jobs = [
        LabelJob(frame, tmp_path / "fp" / f"task.{i}") for i, frame in enumerate((full, full.bare_host(), again, full))
    ]
    for job in jobs:
        job.folder.mkdir(parents=True)
    labeler.prepare(jobs)

    def compute(job: LabelJob, **faults: Any) -> subprocess.CompletedProcess[str]:
        vasp_kit.configure(full, **faults)
        command = ["sh", "-c", labeler.command(vasp_kit.program)]
        return subprocess.run(command, cwd=job.folder, capture_output=True, text=True, check=False)

    for job in jobs[:3]:
        assert compute(job).returncode == 0
        assert isinstance(labeler.collect(job.frame, job.folder), Label)
    logs = [(job.folder / "standin.log").read_text() for job in jobs[:3]]
    assert ["wavecar=True" in log for log in logs] == [False, False, True]
    kept = sorted((tmp_path / "fp").glob("scratch.*"))
    assert sorted(path.read_text() for path in kept) == ["orbitals of Al3 O14 C6 H19\n", "orbitals of Al3 O14 C6 H7\n"]
    assert not list((tmp_path / "fp").glob("task.*/WAVECAR"))
    for path in kept:
        path.unlink()
    for fault, code in (("scf", 0), ("crash", 174)):
        assert compute(jobs[3], faults=[fault], fraction=1.0, stubborn=1.0).returncode == code
        assert isinstance(labeler.collect(full, jobs[3].folder), LabelFailure)
        assert not list((tmp_path / "fp").glob("scratch.*"))  # orbitals that have not converged are not handed on


def test_dpgen_refusing_is_one_line(vasp_kit, tmp_path, h2_frame):
    labeler = labeler_of(vasp_kit)
    shutil.rmtree(vasp_kit.folder)
    with pytest.raises(BadInputError, match="fp_style vasp: expected inputs by DP-GEN, found .*Error"):
        labeler.prepare([LabelJob(h2_frame, tmp_path)])
    assert list(tmp_path.iterdir()) == []

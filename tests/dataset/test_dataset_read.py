"""Readers on real VASP files: agreement of OUTCAR and vasprun.xml, convergence by counting, damaged files."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from alh2.core.errors import BadInputError
from alh2.dataset.read import guess_format, read_trajectory


def test_outcar_agrees_with_vasprun_and_dpdata(vasp):
    import dpdata

    outcar = read_trajectory(vasp / "dpdata" / "OUTCAR.h2o.md.10")
    xml = read_trajectory(vasp / "dpdata" / "vasprun.h2o.md.10.xml")
    assert len(outcar.steps) == len(xml.steps) == 10
    assert outcar.dt_fs == xml.dt_fs == 1.0
    assert outcar.truncated == xml.truncated == ""
    for a, b in zip(outcar.steps, xml.steps, strict=True):
        assert a.converged and b.converged and a.symbols == b.symbols == tuple("OOHHHH")
        assert np.allclose(a.positions_ang, b.positions_ang, atol=1e-5)
        assert np.allclose(a.cell_ang, b.cell_ang, atol=1e-8)
        assert np.allclose(a.forces_ev_ang, b.forces_ev_ang, atol=1e-6)
        assert a.energy_ev == pytest.approx(b.energy_ev, abs=1e-8)
        assert a.temperature_k == pytest.approx(b.temperature_k, abs=0.01)
    reference = dpdata.LabeledSystem(str(vasp / "dpdata" / "OUTCAR.h2o.md.10"), fmt="vasp/outcar")
    assert [s.energy_ev for s in outcar.steps] == pytest.approx(list(reference["energies"]), abs=0)
    norms = [np.linalg.norm(s.forces_ev_ang, axis=1) for s in outcar.steps]  # dpdata turns the cell
    assert np.allclose(norms, np.linalg.norm(reference["forces"], axis=2), atol=1e-9)
    assert np.mean([s.temperature_k for s in outcar.steps]) == pytest.approx(73.688, abs=0.01)  # VASP's own last line


@pytest.mark.parametrize(
    ("name", "symbols", "energy_ev", "converged"),
    [
        ("dpdata/OUTCAR.ch4.1step", "HHHHC", 18.25453698, False),  # NELM 1, and yet "EDIFF is reached"
        ("dpdata/OUTCAR.Ge.vdw", "Ge" * 8, -33.36815582, True),
        ("dpdata/OUTCAR.Ti-O-Ti-v6", "TiTiTiOOTiTiTi", -57.48343729, True),
        ("dpgen/post_fp_task.000.000000.OUTCAR", "AlAl", -1.90811235, True),
        ("pymatgen/fixtures__static_silicon__OUTCAR", "SiSi", -10.645278, True),
    ],
)
def test_single_points_of_many_vasp_versions(vasp, name, symbols, energy_ev, converged):
    (step,) = read_trajectory(vasp / name).steps
    assert "".join(step.symbols) == symbols
    assert step.energy_ev == energy_ev
    assert step.converged is converged
    assert step.forces_ev_ang.shape == (len(step.symbols), 3)


def test_vasprun_without_a_converged_step(vasp):
    steps = read_trajectory(vasp / "pymatgen" / "outputs__vasprun.unconverged.xml.gz").steps
    assert [s.converged for s in steps] == [False] * 5


def test_exhausted_nelm_counts_as_unconverged(vasp, tmp_path):
    """The same run with NELM as small as its longest electronic loop: VASP's own words stay, the count decides."""
    text = (vasp / "dpdata" / "OUTCAR.h2o.md.10").read_text()
    (tmp_path / "OUTCAR").write_text(text.replace("NELM   =     60;", "NELM   =      8;"))
    steps = read_trajectory(tmp_path / "OUTCAR").steps
    iterations = [text.count(f"Iteration {n:>4}(") for n in range(1, 11)]
    assert [s.converged for s in steps] == [n < 8 for n in iterations]
    assert 0 < sum(s.converged for s in steps) < 10


@pytest.mark.parametrize("fraction", [0.98, 0.95, 0.8, 0.5, 0.3])
@pytest.mark.parametrize("name", ["OUTCAR.h2o.md.10", "vasprun.h2o.md.10.xml"])
def test_truncated_files_say_so_and_keep_whole_steps(vasp, tmp_path, name, fraction):
    data = (vasp / "dpdata" / name).read_bytes()
    whole = read_trajectory(vasp / "dpdata" / name)
    path = tmp_path / name
    path.write_bytes(data[: int(fraction * len(data))])
    cut = read_trajectory(path)
    assert cut.truncated
    assert len(cut.steps) <= 10
    for a, b in zip(cut.steps, whole.steps, strict=False):
        assert a.energy_ev == b.energy_ev and np.array_equal(a.forces_ev_ang, b.forces_ev_ang)


def test_every_cut_of_an_outcar_is_noticed(vasp, tmp_path):
    """Cut at line ends all over the file: either truncated or refused, never a silent short run."""
    lines = (vasp / "dpdata" / "OUTCAR.h2o.md.10").read_text().splitlines(keepends=True)
    path = tmp_path / "OUTCAR"
    for n in range(300, len(lines) - 40, 211):
        path.write_text("".join(lines[:n]))
        assert read_trajectory(path).truncated, n


def test_outcar_may_be_gzipped(vasp, tmp_path):
    data = (vasp / "dpdata" / "OUTCAR.h2o.md.10").read_bytes()
    path = tmp_path / "OUTCAR.gz"
    path.write_bytes(gzip.compress(data))
    assert len(read_trajectory(path).steps) == 10
    path.write_bytes(gzip.compress(data)[:-5000])
    with pytest.raises(BadInputError, match="a whole gzip file"):
        read_trajectory(path)


def test_stars_in_an_outcar_name_the_frame(vasp, tmp_path):
    lines = (vasp / "dpdata" / "OUTCAR.h2o.md.10").read_text().splitlines(keepends=True)
    tables = [i for i, line in enumerate(lines) if "TOTAL-FORCE" in line]
    lines[tables[3] + 3] = lines[tables[3] + 3][:50] + "*************\n"
    (tmp_path / "OUTCAR").write_text("".join(lines))
    with pytest.raises(BadInputError, match="OUTCAR, frame 4: expected positions and forces"):
        read_trajectory(tmp_path / "OUTCAR")


def test_poscar_title_that_contradicts_the_potcar_order(vasp, tmp_path):
    text = (vasp / "dpdata" / "OUTCAR.h2o.md.10").read_text()
    path = tmp_path / "OUTCAR"
    path.write_text(text.replace("POSCAR =  POSCAR file written by OVITO", "POSCAR =  H2 O4"))
    with pytest.raises(BadInputError, match=r"POSCAR title \(H2 O4\), found O2 H4 from POTCAR"):
        read_trajectory(path)
    path.write_text(text.replace("POSCAR =  POSCAR file written by OVITO", "POSCAR =  O2 H4"))
    assert len(read_trajectory(path).steps) == 10


def _argon(n: int, *, velocities: bool = False, forces: bool = True) -> list[Atoms]:
    images = []
    for k in range(n):
        atoms = Atoms("Ar2", [[0, 0, 0], [0, 0, 3.8 + 0.01 * k]], cell=[9, 9, 9], pbc=True)
        values = {"energy": -0.01 * k} | ({"forces": np.full((2, 3), 0.1 * k)} if forces else {})
        atoms.calc = SinglePointCalculator(atoms, **values)
        if velocities:
            atoms.set_velocities([[0.01, 0, 0], [-0.01, 0, 0]])
        images.append(atoms)
    return images


@pytest.mark.parametrize("name", ["run.extxyz", "run.traj", "run.xyz.gz"])
def test_ase_formats(tmp_path, name):
    images = _argon(4, velocities=True)
    write(tmp_path / name, images, format="traj" if name.endswith("traj") else "extxyz")
    trajectory = read_trajectory(tmp_path / name, file_format="extxyz" if "xyz" in name else "auto")
    assert [s.energy_ev for s in trajectory.steps] == pytest.approx([0, -0.01, -0.02, -0.03], abs=1e-12)
    assert trajectory.steps[3].forces_ev_ang[1, 2] == pytest.approx(0.3)
    kinetic = 2 * 0.5 * images[0].get_masses()[0] * 0.01**2  # ASE units: eV
    assert trajectory.steps[0].temperature_k == pytest.approx(2 * kinetic / (3 * units.kB), rel=1e-4)
    assert trajectory.dt_fs is None


def test_deepmd_npy(tmp_path, frames_api):
    from alh2.dataset.export import export_systems

    frames = [frames_api.labelled(2, k) for k in range(4)]
    (system,) = export_systems(frames, tmp_path / "x", target="total", type_map=frames_api.type_map)
    assert guess_format(system) == "deepmd/npy"
    steps = read_trajectory(system).steps
    assert [s.energy_ev for s in steps] == [f.label.energy_ev for f in frames]
    assert all(np.array_equal(s.positions_ang, f.frame.positions_ang) for s, f in zip(steps, frames, strict=True))
    assert steps[0].symbols == frames[0].frame.symbols
    np.save(system / "set.000" / "force.npy", np.zeros((4, 9)))
    with pytest.raises(BadInputError, match=system.name):
        read_trajectory(system)


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: d / "absent.xyz", "no such file"),
        (lambda d: _write(d / "OUTCAR", "hello\n"), "expected a VASP OUTCAR"),
        (lambda d: _write(d / "vasprun.xml", "hello\n"), "expected a vasprun.xml"),
        (lambda d: _write(d / "empty.extxyz", ""), "empty.extxyz"),
        (lambda d: _write(d / "notes.txt", "hello\n"), "frame ASE can read"),
        (lambda d: write(d / "a.extxyz", _argon(2, forces=False)) or d / "a.extxyz", "frame 1: .* found no forces"),
    ],
)
def test_what_is_no_trajectory_is_refused_in_one_line(tmp_path, make, message):
    with pytest.raises(BadInputError, match=message) as caught:
        read_trajectory(make(tmp_path))
    assert "\n" not in str(caught.value)


def test_damaged_frames_are_named(tmp_path):
    path = tmp_path / "run.extxyz"
    write(path, _argon(5))
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    with pytest.raises(BadInputError, match=r"run.extxyz, frame \d"):
        read_trajectory(path)
    path.write_text("".join(lines).replace("0.30000000", "       nan", 1))
    with pytest.raises(BadInputError, match="run.extxyz, frame 4: expected finite forces"):
        read_trajectory(path)
    isolated = _argon(1)[0]
    isolated.cell = None
    write(path, isolated)
    with pytest.raises(BadInputError, match="expected a periodic cell"):
        read_trajectory(path)

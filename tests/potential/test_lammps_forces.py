"""Pair terms under a network in LAMMPS: the energies and forces of Python, types by kind, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alh2.core.atoms import to_atoms
from alh2.core.errors import BadInputError
from alh2.core.frames import Frame
from alh2.explore.lammps import NvtRun, nvt_input, read_trajectory, write_conf
from alh2.potential.deeppot import DeepPotEvaluator
from alh2.potential.lammps_forces import BOND_END_ANG, TABLE_FILE, LammpsForces, forces_of, tables
from alh2.potential.pair_baseline import spline_values

EVERY = 5
LAMMPS = str(Path(sys.executable).parent / "lmp")


def test_lammps_has_the_energies_and_forces_of_python(
    on_atoms, trained_committee, node_start: Frame, tmp_path: Path
) -> None:
    """Molecular dynamics of a loaded node: at every stored frame network plus terms, and forces by a second run."""
    baseline = on_atoms(to_atoms(node_start.bare_host()))
    forces = LammpsForces(trained_committee.plan.type_map, baseline)
    write_conf(node_start, tmp_path / "conf.lmp", forces=forces)
    forces.write_table(tmp_path)
    graphs = trained_committee.graphs
    run = NvtRun(tuple(map(str, graphs)), forces, 77.0, 20, 0.0005, 0.1, EVERY, 3)
    text = nvt_input(run).replace("id type xu yu zu", "id type xu yu zu fx fy fz")
    assert "pair_style hybrid/overlay deepmd" in text
    text = text.replace("flush yes", "flush yes format float %.9f").replace('float "%.10g"', 'float "%.12g"')
    (tmp_path / "input.lammps").write_text(text)
    done = subprocess.run([LAMMPS, "-i", "input.lammps", "-log", "log.lammps"], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, (tmp_path / "log.lammps").read_text()[-1500:]
    found = energies(tmp_path / "log.lammps")
    frames = dict(read_trajectory(tmp_path / "all.lammpstrj", node_start))
    assert sorted(frames) == sorted(found) == [0, 5, 10, 15, 20]
    network = DeepPotEvaluator(graphs[0])
    parts = []
    for step, frame in frames.items():
        own, under = network.evaluate([frame])[0], baseline.label(frame)
        assert found[step] == pytest.approx(own.energy_ev + under.energy_ev, abs=2e-5)
        wanted = own.forces_ev_ang + under.forces_ev_ang
        np.testing.assert_allclose(forces_at(tmp_path / "all.lammpstrj", step, node_start.n_atoms), wanted, atol=2e-4)
        parts.append(np.abs(under.forces_ev_ang).max())
    assert min(parts) > 0.05  # the terms do something
    deviations = (tmp_path / "model_devi.out").read_text().splitlines()
    assert len(deviations) == 1 + len(frames)


def energies(log: Path) -> dict[int, float]:
    """Potential energy (eV) by step."""
    rows = [line.split() for line in log.read_text().splitlines()]
    return {int(r[0]): float(r[2]) for r in rows if len(r) == 5 and r[0].isdigit()}


def forces_at(dump: Path, step: int, n_atoms: int) -> np.ndarray:
    """Forces (n_atoms, 3) of a step."""
    lines = dump.read_text().splitlines()
    start = lines.index(str(step), lines.index("ITEM: TIMESTEP")) + 8
    rows = sorted((line.split() for line in lines[start : start + n_atoms]), key=lambda row: int(row[0]))
    return np.array([[float(x) for x in row[5:8]] for row in rows])


def test_types_tell_kinds_and_guests_apart(on_atoms, node_start: Frame) -> None:
    host = to_atoms(node_start.bare_host())
    forces = LammpsForces(("Al", "O", "C", "H"), on_atoms(host))
    types = forces.types(node_start.symbols, host, "here")
    assert [forces.elements[k - 1] for k in types] == list(node_start.symbols)
    guests, hydrogens = (
        set(types[node_start.n_host :]),
        {t for t, s in zip(types, host.symbols, strict=False) if s == "H"},
    )
    assert guests == {len(forces.elements)} and not guests & hydrogens
    assert forces.masses_amu((26.98, 16.0, 12.0, 2.014))[-1] == 2.014


def test_tables_are_the_terms_and_the_bond(on_atoms, node_start: Frame) -> None:
    baseline = on_atoms(to_atoms(node_start.bare_host()))
    text = tables(baseline).split("GUEST_")[1:]
    assert len(text) == len(baseline.kinds) + 1
    rows = np.array([line.split() for line in text[-1].splitlines()[3:] if line], dtype=float)
    r, energy, force = rows[:, 1], rows[:, 2], rows[:, 3]
    bonded = r < BOND_END_ANG
    bond, slope = spline_values(baseline.bond, r[bonded])
    np.testing.assert_allclose(energy[bonded], bond, atol=1e-9)
    np.testing.assert_allclose(force[bonded], -slope, atol=1e-9)
    apart, _ = spline_values(baseline.pairs[len(baseline.kinds)], r[~bonded])
    np.testing.assert_allclose(energy[~bonded], apart, atol=1e-9)
    middle = slice(2000, 2010)
    np.testing.assert_allclose(force[middle], -np.gradient(energy, r)[middle], rtol=1e-3, atol=1e-7)


def test_terms_at_centres_are_refused(on_atoms, node_start: Frame) -> None:
    host = to_atoms(node_start.bare_host())
    with pytest.raises(BadInputError, match="centres of molecules"):
        LammpsForces(("Al", "O", "C", "H"), on_atoms(host, centres=True))


def test_all_models_of_a_run_have_the_same_terms(on_atoms, node_start: Frame, tmp_path: Path) -> None:
    baseline = on_atoms(to_atoms(node_start.bare_host()))
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path in paths:
        baseline.save(path)
    assert forces_of(("Al", "O", "C", "H"), paths).baseline == baseline
    replace(baseline, bond=replace(baseline.bond, spacing_ang=0.06)).save(paths[1])
    with pytest.raises(BadInputError, match=r"b\.json.*under all models"):
        forces_of(("Al", "O", "C", "H"), paths)
    plain = forces_of(("O", "H"), [])
    assert plain.write_table(tmp_path) is None and not (tmp_path / TABLE_FILE).exists()
    assert plain.lines(["a.pb"], table=TABLE_FILE) == ["pair_style deepmd a.pb", "pair_coeff * * O H"]

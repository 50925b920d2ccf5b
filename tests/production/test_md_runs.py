"""Production MD with a truly trained committee: segments that go on, policies, integrity, and what is made of it."""

from __future__ import annotations

import csv
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.io.cube import read_cube

from alh2.config.model import SelectConfig
from alh2.core.errors import BadInputError, NeedsPersonError
from alh2.core.frames import Frame
from alh2.core.units import KB_EV_PER_K
from alh2.explore.lammps import CONF_FILE, INPUT_FILE, TRAJECTORY_FILE, read_trajectory
from alh2.production.md_analysis import RESULT_FILE, analyse
from alh2.production.md_density import md_density
from alh2.production.md_plan import END_FILE, MOVED_BY_LAMMPS, MdPlan, MdRunsSetting, standard_plan
from alh2.production.md_runs import MdTrajectory, guest_paths_ang, run_md_plan
from alh2.production.md_summary import read_md_summary
from alh2.report.figures_md import density_figure, deviation_figure, diffusion_figure, rdf_figures
from alh2.report.stored import save_figure

ANYTHING = SelectConfig(0.0, 10.0, 1.0, 0, 0, min_distance_ang=0.2, h2_bond_max_ang=9.0, framework_bond_stretch=9.0)
PLAN = MdPlan((77.0,), 2, n_steps=60, n_equilibration=10, segment_steps=40, dt_ps=0.00025, sample_every=2)


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory, setting_in, trained_committee, node_start) -> MdRunsSetting:
    return setting_in(tmp_path_factory.mktemp("md") / "runs", trained_committee, node_start)


@pytest.fixture(scope="module")
def runs(setting: MdRunsSetting, local) -> list[MdTrajectory]:
    return run_md_plan(PLAN, setting, machine=local("lmp"))


def test_segments_are_one_trajectory(runs: list[MdTrajectory], setting: MdRunsSetting) -> None:
    """Steps 10 to 70 without a gap; the second segment begins with the first one's last frame."""
    for run in runs:
        assert run.ended == "" and run.steps == list(range(10, 72, 2))
        assert np.isfinite(run.deviations_ev_ang).all() and min(run.deviations_ev_ang) > 0
        folder = setting.directory / run.name
        first = dict(read_trajectory(folder / "seg.000" / TRAJECTORY_FILE, setting.start))
        second = dict(read_trajectory(folder / "seg.001" / TRAJECTORY_FILE, setting.start))
        assert max(first) == min(second) == 50
        np.testing.assert_allclose(first[50].positions_ang, second[50].positions_ang, atol=1e-9)
        speed = np.diff([first[46].positions_ang, first[48].positions_ang, first[50].positions_ang], axis=0)
        after = second[52].positions_ang - second[50].positions_ang
        assert np.abs(after - (2 * speed[1] - speed[0])).max() < 0.3 * np.abs(speed).max(), "velocities went on"
        assert "read_restart ../seg.000/" in (folder / "seg.001" / INPUT_FILE).read_text()
    assert not np.allclose(runs[0].frames[5].positions_ang, runs[1].frames[5].positions_ang)


def test_analysis_figures_and_density(runs: list[MdTrajectory], setting: MdRunsSetting, tmp_path: Path) -> None:
    own = replace(setting, directory=tmp_path)
    analysis = analyse(PLAN, own, runs)
    (result,) = analysis.temperatures
    assert set(result.rdfs) == {"Al(open)–H2", "host H–H2", "H2–H2"} and result.n_frames == 62
    assert result.sites is not None and len(result.sites.occupancy) == 2
    assert result.displacement is not None and result.displacement.time_ps[0] == pytest.approx(PLAN.frame_ps)
    read = json.loads((tmp_path / RESULT_FILE).read_text())
    assert read["temperatures"][0]["replicas"][1]["n_frames"] == 31 and read["plan"]["n_steps"] == 60
    summary = read_md_summary(tmp_path)
    assert summary is not None and summary.movers == MOVED_BY_LAMMPS
    around, known = summary.temperatures[0].around_open_sites, result.rdfs["Al(open)–H2"]
    assert around is not None and around.g.max() > 0
    for mine, exact in ((around.r_ang, known.r_ang), (around.g, known.g), (around.g_error, known.g_error)):
        np.testing.assert_array_equal(mine, exact)
    figures = [*rdf_figures(analysis), diffusion_figure(analysis), deviation_figure(PLAN, analysis)]
    for figure in figures:
        assert figure is not None and save_figure(figure, tmp_path)[0].is_file()
    rows = list(csv.DictReader((tmp_path / "deviation.figure.csv").read_text().splitlines()))
    assert [float(r["max_devi_f_ev_ang"]) for r in rows if r["run"] == "77K.r0"] == runs[0].deviations_ev_ang
    grid = md_density(own, runs, tmp_path / "density.cube")
    assert grid.n_molecules == pytest.approx(2.0)
    with open(tmp_path / "density.cube") as handle:
        assert read_cube(handle)["data"].shape == grid.values_per_ang3.shape
    assert save_figure(density_figure(grid, "density", "words"), tmp_path)[1].stat().st_size > 1000


def test_policies_where_the_committee_does_not_know(runs: list[MdTrajectory], setting: MdRunsSetting, local) -> None:
    """The limit lies between deviations that were met: flagged, cut before, or for a person."""
    met = runs[0].deviations_ev_ang
    limit = 0.5 * (met[0] + max(met[1:])) if max(met[1:]) > met[0] else 0.5 * met[0]
    first = next(i for i, value in enumerate(met) if value >= limit)
    flagged = run_md_plan(replace(PLAN, trusted_ev_ang=limit), setting, machine=local("lmp"))
    assert flagged[0].n_untrusted == sum(value >= limit for value in met) > 0 and flagged[0].ended == ""
    cut = run_md_plan(replace(PLAN, trusted_ev_ang=limit, on_untrusted="cut"), setting, machine=local("lmp"))
    assert len(cut[0].frames) == first and "force deviation" in cut[0].ended
    with pytest.raises(NeedsPersonError, match="left the trusted range in segment .*label such frames"):
        run_md_plan(replace(PLAN, trusted_ev_ang=limit, on_untrusted="stop"), setting, machine=local("lmp"))


def test_broken_geometry_ends_a_run_before_it(setting: MdRunsSetting, local) -> None:
    """Nothing may stretch: the run ends at its first frame, and nothing of it is analysed."""
    strict = replace(setting, sanity=replace(setting.sanity, framework_bond_stretch=1.0001))
    said: list[str] = []
    (run, _) = run_md_plan(PLAN, strict, machine=local("lmp"), on_message=said.append)
    assert len(run.frames) < 31 and run.ended.startswith("step ") and said[0].startswith("77K.r0: ended in segment 0")


def test_lammps_that_fails_everywhere_is_for_a_person(
    tmp_path: Path, setting_in, trained_committee, node_start, local
) -> None:
    """What the replicas were to begin with is there: each its own."""
    positions = np.array(node_start.positions_ang)
    positions[-1] += 0.01
    other = replace(node_start, positions_ang=positions)
    broken = replace(
        setting_in(tmp_path / "runs", trained_committee, node_start), command="false", other_starts=(other,)
    )
    with pytest.raises(NeedsPersonError, match="MD failed in every replica"):
        run_md_plan(PLAN, broken, machine=local("false"))
    confs = [(tmp_path / "runs" / f"77K.r{k}" / "seg.000" / CONF_FILE).read_text().splitlines() for k in (0, 1)]
    assert [a == b for a, b in zip(*confs, strict=True)].count(False) == 1
    assert broken.start_of(0) is broken.start_of(2) is node_start and broken.start_of(3) is other


def test_constant_energy_after_equilibration(setting: MdRunsSetting) -> None:
    from alh2.production.md_plan import segment_input

    text = segment_input(
        replace(PLAN, ensemble="nve"), setting, temperature_k=77.0, number=0, seed=1, models=("a.pb", "b.pb")
    )
    lines = text.splitlines()
    assert lines.index("unfix thermostat") < lines.index("fix motion all nve") < lines.index("run 40")
    later = segment_input(
        replace(PLAN, ensemble="nve"), setting, temperature_k=77.0, number=1, seed=1, models=("a.pb",)
    )
    assert "thermostat" not in later and "out_freq" not in later and "velocity" not in later and "run 20" in later


def test_a_frozen_host_stands_still(setting: MdRunsSetting, local, tmp_path: Path) -> None:
    """Molecules move through both segments, their thermostat counts them alone, and NVE keeps the energy."""
    frozen = replace(PLAN, frozen_host=True, n_replicas=1, ensemble="nve")
    assert frozen.nuclei == "classical nuclei, frozen host"
    own = replace(setting, directory=tmp_path)
    (run,) = run_md_plan(frozen, own, machine=local("lmp"))
    assert run.ended == "" and len(run.frames) == 31
    n_host, start = setting.start.n_host, setting.start.positions_ang
    for frame in run.frames:
        np.testing.assert_allclose(frame.positions_ang[:n_host], start[:n_host], atol=1e-8)
    assert np.abs(run.frames[-1].positions_ang[n_host:] - start[n_host:]).max() > 0.02
    log = (tmp_path / run.name / "seg.001" / "log.lammps").read_text()
    thermo = np.array([line.split() for line in re.findall(r"^ *\d+(?: +[-+.\de]+){4} *$", log, re.M)], dtype=float)
    assert thermo[:, 0].tolist() == list(range(50, 72, 2))
    kinetic = 1.5 * (setting.start.n_atoms - n_host) * KB_EV_PER_K * thermo[:, 1]
    np.testing.assert_allclose(thermo[:, 3], kinetic, rtol=1e-3)
    assert np.ptp(thermo[:6, 4]) < 0.01 * np.ptp(thermo[:6, 3])  # later molecules fall into a hole of this model
    empty = replace(own, start=replace(setting.start.bare_host()))
    with pytest.raises(BadInputError, match="molecules to move"):
        run_md_plan(frozen, empty, machine=local("lmp"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"temperatures_k": ()}, "at least one"),
        ({"temperatures_k": (77.0, 77.0)}, "six digits"),
        ({"n_replicas": 0}, ">= 1"),
        ({"n_steps": 61}, "a multiple of the 2 steps"),
        ({"n_equilibration": 5}, "a multiple of the 2 steps"),
    ],
)
def test_plans_that_make_no_sense(change: dict, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        replace(PLAN, **change)


def test_plan_of_a_campaign(config) -> None:
    """As long as asked for, in whole frames, and a fifth of it before."""
    plan = standard_plan(replace(config, md_steps=123), (88.0, 77.0))
    assert (plan.n_steps, plan.n_equilibration, plan.segments) == (120, 20, (120,))
    assert plan.temperatures_k == (77.0, 88.0) and plan.n_replicas == 2 and not plan.frozen_host
    long = standard_plan(replace(config, md_steps=120_000), (77.0,), n_replicas=1)
    assert long.segments == (50_000, 50_000, 20_000) and long.n_replicas == 1
    assert standard_plan(replace(config, md_steps=2), (77.0,)).n_steps == config.md_sample_every == 5


def test_drift_of_the_framework_is_no_diffusion() -> None:
    """Everything moves by 0.1 Å a frame: the molecules stay where they are."""
    start = np.array([[0.0, 0, 0], [3, 0, 0], [5, 5, 5], [5, 5, 5.74]])
    frames = [Frame(("Al", "O", "H", "H"), start + 0.1 * k, 12.0 * np.eye(3), 2, "x") for k in range(5)]
    run = MdTrajectory(77.0, 0, list(range(5)), frames, [math.nan] * 5)
    paths = guest_paths_ang(run.frames, np.array([27.0, 16.0]))
    np.testing.assert_allclose(paths, np.broadcast_to([[5, 5, 5.37]], (5, 1, 3)), atol=1e-12)


def test_models_whose_molecules_stay_count_in_the_interval(setting: MdRunsSetting, tmp_path: Path) -> None:
    """Molecules walk with one model and rattle in a cage with the other, for which alone no regime would be found."""
    rng, start = np.random.default_rng(4), setting.start
    shape = (400, start.n_h2, 3)
    moves = [np.cumsum(0.4 * rng.standard_normal(shape), axis=0), 0.2 * rng.standard_normal(shape)]
    runs = []
    for member, moved in enumerate(moves):
        places = np.repeat(start.positions_ang[None], 400, axis=0)
        places[:, start.n_host :] += np.repeat(moved, 2, axis=1)
        frames = [Frame(start.symbols, x, start.cell_ang, start.n_host, start.host_id) for x in places]
        runs.append(MdTrajectory(77.0, member, list(range(400)), frames, member=member))
    (together,) = analyse(PLAN, replace(setting, directory=tmp_path), runs).temperatures
    (caged,) = analyse(PLAN, replace(setting, directory=tmp_path), runs[1:]).temperatures
    assert caged.diffusion is None and together.diffusion is not None and together.diffusion_interval is not None
    half = 0.5 * 0.4**2 / (2 * PLAN.frame_ps) * 1e-8
    error = together.diffusion.standard_deviation
    assert abs(together.diffusion.mean - half) < 3 * error < half
    assert abs(together.diffusion_interval.mean - half) < 3 * error
    assert together.diffusion_interval.half_width_95 > 2 * half, "two models, one of them at zero"


def test_repeating_runs_nothing_and_longer_runs_go_on(runs: list[MdTrajectory], setting: MdRunsSetting, local) -> None:
    files = sorted(setting.directory.rglob(END_FILE))
    assert len(files) == 4
    before = [file.stat().st_mtime_ns for file in files]
    again = run_md_plan(replace(PLAN, n_steps=80), setting, machine=local("lmp"))
    assert [run.steps[-1] for run in again] == [90, 90]
    after = {file: file.stat().st_mtime_ns for file in files}
    assert [after[f] for f in files if "seg.000" in f.parts] == [
        t for f, t in zip(files, before, strict=True) if "seg.000" in f.parts
    ]
    np.testing.assert_array_equal(again[0].frames[3].positions_ang, runs[0].frames[3].positions_ang)

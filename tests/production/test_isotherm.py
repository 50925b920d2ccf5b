"""Isotherms by the real workers: an ideal gas with exact answers, chains that go on, and failures that are named."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alh2.analysis.void import VoidFraction
from alh2.core.errors import NeedsPersonError
from alh2.core.frames import Frame
from alh2.core.statistics import Estimate
from alh2.core.units import BAR_IN_EV_PER_ANG3, EV_IN_KJ_PER_MOL, beta_per_ev
from alh2.explore import gcmc_worker
from alh2.explore.gcmc_job import END_FILE, RESTART_FILE, SERIES_FILE, read_job, read_series, write_job
from alh2.gcmc.errors import InterruptedRunError
from alh2.gcmc.fugacity import fugacity_bar
from alh2.gcmc.restart import RestartSettings, read_restart
from alh2.production.isotherm import run_isotherm
from alh2.production.isotherm_plan import CommitteeMember, IsothermPlan, IsothermSetting
from alh2.production.isotherm_result import Isotherm, read_isotherm

EDGE_ANG = 12.0
VOID = VoidFraction("geometric", "half of it", Estimate(0.5, 0.0, 1.0, 1))
PLAN = IsothermPlan(
    (100.0,), (20.0, 40.0), (0, 3), n_moves=4000, n_equilibration=400, biased=False, widom_insertions=200
)
TIGHT = replace(PLAN, pressures_bar=(20.0,), widom_insertions=0)


def ideal_setting(directory: Path, model: Path) -> IsothermSetting:
    """One atom that nobody feels in a box of 1728 Å³."""
    host = Frame(("Al",), np.array([[1.0, 2.0, 3.0]]), EDGE_ANG * np.eye(3), 1, "atom")
    guests = np.array([[x, y, 6.0] for x in (3.0, 6.0, 9.0) for y in (6.0, 6.75)])
    loaded = Frame(("Al",) + ("H",) * 6, np.concatenate([host.positions_ang, guests]), host.cell_ang, 1, "atom")
    return IsothermSetting(
        directory, (CommitteeMember(model),), (host, loaded), 0.0, None, 0.75, 7, sys.executable, VOID
    )


@pytest.fixture(scope="module")
def ideal(tmp_path_factory: pytest.TempPathFactory, ideal_model: Path) -> IsothermSetting:
    return ideal_setting(tmp_path_factory.mktemp("ideal") / "isotherm", ideal_model)


@pytest.fixture(scope="module")
def finished(ideal: IsothermSetting, local) -> Isotherm:
    return run_isotherm(PLAN, ideal, machine=local(sys.executable))


@pytest.mark.physics
def test_ideal_gas_is_exact_within_its_errors(finished: Isotherm) -> None:
    """N = βfV, q_st = RT, excess N - ρV/2, K = βV."""
    assert len(finished.points) == 2
    for point in finished.points:
        beta = beta_per_ev(point.temperature_k)
        exact = beta * point.fugacity_bar * BAR_IN_EV_PER_ANG3 * EDGE_ANG**3
        assert point.fugacity_bar == fugacity_bar(point.pressure_bar, point.temperature_k)
        assert 0.0 < point.n_absolute_error < 0.1 * exact
        assert abs(point.n_absolute - exact) < 4 * point.n_absolute_error
        rt = EV_IN_KJ_PER_MOL / beta
        assert abs(point.heat_kj_per_mol - rt) <= 1e-6 + 4 * point.heat_error_kj_per_mol
        gas = point.gas_density_per_ang3 * EDGE_ANG**3
        assert point.n_excess == pytest.approx(point.n_absolute - 0.5 * gas)
        assert [c.n_initial for c in point.chains] == [0, 3] and point.reached and not point.hysteresis
    for henry, temperature_k in zip(finished.henry, PLAN.temperatures_k, strict=True):
        beta = beta_per_ev(temperature_k)
        exact = beta * BAR_IN_EV_PER_ANG3 * EDGE_ANG**3
        assert henry.trusted and henry.per_cell_bar_error < 0.01 * exact
        assert abs(henry.per_cell_bar - exact) < 1e-3 * exact + 4 * henry.per_cell_bar_error  # the atom itself overlaps
        mass_kg = 26.9815385e-3
        assert henry.mol_per_kg_pa == pytest.approx(henry.per_cell_bar / 1e5 / mass_kg, rel=1e-6)
        assert henry.heat_kj_per_mol == pytest.approx(EV_IN_KJ_PER_MOL / beta, rel=1e-9)
    assert finished.clausius_clapeyron == () and finished.host.mass_amu == pytest.approx(26.98, abs=0.01)


def test_points_read_back_and_a_repeated_call_runs_nothing(finished: Isotherm, ideal: IsothermSetting, local) -> None:
    assert read_isotherm(ideal.directory) == finished
    files = sorted(ideal.directory.rglob(SERIES_FILE))
    assert len(files) == 4
    before = [file.stat().st_mtime_ns for file in files]
    assert run_isotherm(PLAN, ideal, machine=local(sys.executable)) == finished
    assert [file.stat().st_mtime_ns for file in files] == before
    fewer = run_isotherm(replace(PLAN, pressures_bar=(40.0,), widom_insertions=0), ideal, machine=local(sys.executable))
    assert fewer.points == tuple(p for p in finished.points if p.pressure_bar == 40.0)
    assert [file.stat().st_mtime_ns for file in files] == before


def test_chains_go_on_until_the_error_is_small_enough(tmp_path: Path, ideal_model: Path, local) -> None:
    """Extensions go on where the last run ended, a smaller error reuses them, and the limit of moves is kept."""
    setting = ideal_setting(tmp_path / "isotherm", ideal_model)
    said: list[str] = []
    plan = replace(TIGHT, n_moves=500, n_equilibration=100, relative_error=0.06)
    first = run_isotherm(plan, setting, machine=local(sys.executable), on_message=said.append)
    (point,) = first.points
    assert point.reached and point.n_absolute_error <= 0.06 * point.n_absolute and point.n_moves > 1000
    assert said and said[0] == "1 of 1 points are not known to 0.06 yet: going on with them"
    chain = setting.directory / "100K.20bar.3h2"
    runs = sorted(chain.glob("run.*"))
    assert len(runs) >= 2
    specs = [read_job(run)[0] for run in runs]
    assert [s.n_equilibration for s in specs] == [100] + [0] * (len(runs) - 1)
    assert len({s.seed for s in specs}) == len(specs) and specs[1].continues == f"../run.00/{END_FILE}"
    for before, after in zip(runs[:-1], runs[1:], strict=True):
        end = read_restart(before / END_FILE)
        assert end is not None and len(end.guests) == read_series(before).n_adsorbed[-1]
        assert abs(int(read_series(after).n_adsorbed[0]) - len(end.guests)) <= 1  # a sample every move
        assert not (after / RESTART_FILE).exists()
    stamps = {run: (run / SERIES_FILE).stat().st_mtime_ns for run in runs}
    longest = sum(spec.n_moves for spec in specs) + 500
    tighter = replace(plan, relative_error=1e-4, max_moves=longest)
    second = run_isotherm(tighter, setting, machine=local(sys.executable))
    assert all((run / SERIES_FILE).stat().st_mtime_ns == stamp for run, stamp in stamps.items())
    chains = second.points[0].chains
    assert not second.points[0].reached and {c.n_moves for c in chains} == {longest}


def test_killed_run_goes_on_with_the_same_numbers(
    tmp_path: Path, ideal_model: Path, local, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(TIGHT, n_initial=(3,), n_moves=3000)
    whole = ideal_setting(tmp_path / "whole", ideal_model)
    whole = replace(whole, starts=whole.starts[1:])
    run_isotherm(plan, whole, machine=local(sys.executable))
    folder = whole.directory / "100K.20bar.3h2" / "run.00"
    expected = read_series(folder)
    for name in (SERIES_FILE, END_FILE):
        (folder / name).unlink()
    asked = iter([False] * 150 + [True] * 1000)

    def interrupted(file: Path, **options) -> RestartSettings:
        return RestartSettings(file, stop=lambda: next(asked), **options)

    with monkeypatch.context() as patch:
        patch.setattr(gcmc_worker, "RestartSettings", interrupted)
        with pytest.raises(InterruptedRunError):
            gcmc_worker.run(folder)
    state = read_restart(folder / RESTART_FILE)
    assert state is not None and 0 < state.moves_done < 3400
    gcmc_worker.run(folder)
    np.testing.assert_array_equal(read_series(folder).n_adsorbed, expected.n_adsorbed)
    np.testing.assert_array_equal(read_series(folder).adsorption_energy_ev, expected.adsorption_energy_ev)


def test_restart_file_of_other_inputs_is_not_gone_on_with(tmp_path: Path, ideal_model: Path, local) -> None:
    plan = replace(TIGHT, n_initial=(3,), n_moves=500)
    setting = ideal_setting(tmp_path / "isotherm", ideal_model)
    setting = replace(setting, starts=setting.starts[1:])
    first = run_isotherm(plan, setting, machine=local(sys.executable))
    folder = setting.directory / "100K.20bar.3h2" / "run.00"
    (folder / END_FILE).rename(folder / RESTART_FILE)
    spec, start = read_job(folder)
    write_job(folder, replace(spec, n_moves=600), start)
    gcmc_worker.run(folder)
    assert first.points[0].n_moves == 500 and len(read_series(folder).n_adsorbed) == 600
    again = read_series(folder)
    (folder / END_FILE).unlink()
    (folder / RESTART_FILE).write_bytes(b"torn")
    gcmc_worker.run(folder)
    np.testing.assert_array_equal(read_series(folder).n_adsorbed, again.n_adsorbed)


def test_trained_model_from_empty_and_loaded(tmp_path: Path, trained_committee, node_start, local) -> None:
    """A committee of the campaign, with its limit of loading and biased insertions."""
    setting = IsothermSetting(
        directory=tmp_path / "isotherm",
        committee=(CommitteeMember(trained_committee.members[0].engine),),
        starts=(node_start.bare_host(), node_start),
        min_distance_ang=1.2,
        max_loading=4,
        bond_length_ang=0.75,
        root_seed=7,
        command=sys.executable,
    )
    plan = IsothermPlan((77.0,), (0.5,), (0, 2), n_moves=300, n_equilibration=50)
    (point,) = run_isotherm(plan, setting, machine=local(sys.executable)).points
    assert [c.n_initial for c in point.chains] == [0, 2] and math.isnan(point.n_excess)
    for n in (0, 2):
        folder = setting.directory / f"77K.0.5bar.{n}h2" / "run.00"
        spec, start = read_job(folder)
        assert (spec.max_loading, spec.grid, start.n_h2) == (4, "../../grid.77K/grid.npz", n)
        assert len(read_series(folder).n_adsorbed) == 300 and read_series(folder).n_adsorbed.max() <= 4


def test_failed_run_is_named(tmp_path: Path, local) -> None:
    """The engine's model is no model: the worker's own words reach the person."""
    bad = tmp_path / "bad.dp"
    bad.write_text("no model")
    broken = ideal_setting(tmp_path / "isotherm", bad)
    with pytest.raises(NeedsPersonError, match=r"2 of 2 isotherm runs failed, first .*run.00: error: .*bad.dp"):
        run_isotherm(TIGHT, broken, machine=local(sys.executable))
    assert read_isotherm(broken.directory) is None

"""Isotherms with a committee: answers of the other members by reweighting and by runs of their own."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alh2.core.frames import Frame
from alh2.core.units import EV_IN_KJ_PER_MOL, beta_per_ev
from alh2.potential.pair_baseline import PairBaseline, Spline
from alh2.production.henry import run_henry
from alh2.production.holes import depths_ev, shares_alone, spread_evenly
from alh2.production.isotherm import run_isotherm
from alh2.production.isotherm_committee import committee_point
from alh2.production.isotherm_export import table_csv
from alh2.production.isotherm_plan import CommitteeMember, IsothermPlan, IsothermSetting
from alh2.production.isotherm_result import Isotherm, MemberAnswer, interval_words, point_words, read_isotherm

EDGE_ANG, CUTOFF_ANG, SPACING_ANG = 14.0, 6.0, 0.5
PLAN = IsothermPlan((100.0,), (2.0,), (0, 2), n_moves=6000, n_equilibration=600, widom_insertions=400)
WELLS_EV = (0.020, 0.0215, 0.045)
"""Depths of the well around the host atom: the second is near the first, the third is far from it."""


def well(depth_ev: float) -> PairBaseline:
    """Centres of molecules feel the host atom alone: -depth within 4.5 Å, 0 from 6 Å on."""
    n_knots = round((CUTOFF_ANG - SPACING_ANG) / SPACING_ANG)
    values = [-depth_ev] * (n_knots - 1) + [-0.5 * depth_ev] + [0.0] * 3
    nothing = Spline(SPACING_ANG, SPACING_ANG, (0.0,) * len(values))
    pairs = [nothing] * 5
    pairs[2] = replace(nothing, coefficients_ev=tuple(values))
    return PairBaseline(("Al",), CUTOFF_ANG, tuple(pairs), nothing, 1.0)


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory, ideal_model: Path) -> IsothermSetting:
    """One Al atom in a box; three models that differ in the depth of its well."""
    folder = tmp_path_factory.mktemp("committee")
    members = []
    for index, depth_ev in enumerate(WELLS_EV):
        well(depth_ev).save(folder / f"well.{index}.json")
        members.append(CommitteeMember(ideal_model, folder / f"well.{index}.json"))
    host = Frame(("Al",), np.array([[7.0, 7.0, 7.0]]), EDGE_ANG * np.eye(3), 1, "atom")
    guests = np.array([[x, y, 3.0] for x in (3.0, 11.0) for y in (6.0, 6.75)])
    loaded = Frame(("Al",) + ("H",) * 4, np.concatenate([host.positions_ang, guests]), host.cell_ang, 1, "atom")
    return IsothermSetting(
        folder / "isotherm", tuple(members), (host, loaded), 0.0, 6, 0.75, 7, sys.executable,
        insertion_error_ev=0.002,
    )  # fmt: skip


@pytest.fixture(scope="module")
def isotherm(setting: IsothermSetting, local) -> Isotherm:
    return run_isotherm(PLAN, setting, machine=local(sys.executable))


@pytest.mark.physics
def test_reweighting_and_running_agree(isotherm: Isotherm, setting: IsothermSetting, local, tmp_path: Path) -> None:
    """The near member by its weights and by its own run; the far one is run in either case, as weights cannot reach."""
    (point,) = isotherm.points
    assert point.committee is not None
    assert [m.method for m in point.committee.members] == ["run", "reweighted", "run"]
    first, near, far = point.committee.members
    assert 0.3 < near.effective <= 1.0 and far.n_absolute > 2.0 * first.n_absolute
    other = replace(setting, directory=tmp_path / "run")
    run = run_isotherm(replace(PLAN, committee_by="run", widom_insertions=0), other, machine=local(sys.executable))
    (again,) = run.points
    assert again.committee is not None and {m.method for m in again.committee.members} == {"run"}
    ran = again.committee.members[1]
    assert ran.n_absolute > first.n_absolute  # the deeper well
    assert abs(ran.n_absolute - near.n_absolute) < 4 * math.hypot(ran.n_absolute_error, near.n_absolute_error)
    spread = math.hypot(ran.heat_error_kj_per_mol, near.heat_error_kj_per_mol)
    assert 0.0 < spread < 1.0 and abs(ran.heat_kj_per_mol - near.heat_kj_per_mol) < 4 * spread
    assert again.committee.members[0] == first


def test_point_is_the_committees(isotherm: Isotherm, setting: IsothermSetting) -> None:
    (point,) = isotherm.points
    assert point.committee is not None
    answers = [m.n_absolute for m in point.committee.members]
    interval = point.committee.n_absolute
    assert point.n_absolute == pytest.approx(np.mean(answers)) and point.n_absolute_error == interval.statistical
    assert interval.committee > 0.5 * np.std(answers, ddof=1) and interval.model > 0.0
    assert point.half_width_95 == interval.half_width_95 > 1.96 * point.n_absolute_error
    assert read_isotherm(setting.directory) == isotherm
    (henry,) = isotherm.henry
    assert henry.committee is not None and henry.committee.mean > henry.per_cell_bar
    words = interval_words(isotherm)
    assert "spread of 3 models and by the error of the insertion energy" in words and "1 of 3 answers by rew" in words
    head, row = (line.split(",") for line in table_csv(isotherm).splitlines())
    cells = dict(zip(head, row, strict=True))
    assert cells["n_models"] == "3" and float(cells["committee"]) == pytest.approx(interval.committee)


def test_intervals_of_an_isotherm_know_of_each_other(setting: IsothermSetting, local, tmp_path: Path) -> None:
    """Two pressures in short runs: none promises more than the energies that the models are apart at both."""
    plan = replace(PLAN, pressures_bar=(0.5, 4.0), n_initial=(0,), n_moves=600, n_equilibration=60, widom_insertions=0)
    two = replace(setting, directory=tmp_path / "run", committee=setting.committee[::2], starts=setting.starts[:1])
    points = run_isotherm(plan, two, machine=local(sys.executable)).points
    found = [point.committee for point in points]
    responses = [asked.n_absolute.model / setting.insertion_error_ev for asked in found if asked is not None]
    assert len(responses) == 2 and min(responses) > 0.0
    alone = [
        committee_point(
            asked.members, n_variance=r / beta_per_ev(100.0), insertion_error_ev=0.002, temperature_k=100.0
        ).n_absolute.committee
        for asked, r in zip(found, responses, strict=True)
        if asked is not None
    ]
    apart = [
        spread / r
        for spread, r, asked in zip(alone, responses, found, strict=True)
        if asked is not None and not any(m.in_hole or m.hysteresis for m in asked.members)
    ]
    assert len(apart) > 1
    least = math.sqrt(np.mean(np.square(apart)))
    expected = [max(spread, least * r) for spread, r in zip(alone, responses, strict=True)]
    assert [asked.n_absolute.committee for asked in found if asked is not None] == pytest.approx(expected)
    assert any(new > 1.01 * old for new, old in zip(expected, alone, strict=True))


def test_first_member_alone_where_the_others_are_not_asked(isotherm: Isotherm, setting: IsothermSetting, local) -> None:
    alone = run_isotherm(
        replace(PLAN, committee_by="none", widom_insertions=0), setting, machine=local(sys.executable)
    ).points[0]
    assert isotherm.points[0].committee is not None
    assert alone.committee is None and alone.n_absolute == isotherm.points[0].committee.members[0].n_absolute
    assert alone.half_width_95 == pytest.approx(1.959964 * alone.n_absolute_error)


def test_a_run_in_a_hole_of_its_model_is_told_and_left_out(setting: IsothermSetting, local, tmp_path: Path) -> None:
    """Of four models three are alike; the fourth holds molecules 0.3 eV deeper where the well is."""
    well(0.32).save(tmp_path / "hole.json")
    first, near, _ = setting.committee
    committee = (first, near, first, replace(first, pair_baseline=tmp_path / "hole.json"))
    other = replace(setting, directory=tmp_path / "isotherm", committee=committee)
    other.directory.mkdir()
    plan = replace(PLAN, n_moves=2000, widom_insertions=0, committee_by="run")
    isotherm = run_isotherm(plan, other, machine=local(sys.executable))
    (point,) = isotherm.points
    assert point.committee is not None
    alone = [m.alone for m in point.committee.members]
    assert alone[:3] == [0.0, 0.0, 0.0] and alone[3] > 0.5 and point.holes == (3,)
    assert point.n_absolute == pytest.approx(np.mean([m.n_absolute for m in point.committee.members[:3]]))
    assert point.committee.members[3].n_absolute > 1.5 * point.n_absolute
    assert "in the runs of model 3 (" in point_words(point) and "left out; label such" in point_words(point)
    assert read_isotherm(other.directory) == isotherm
    few = committee_point(point.committee.members[2:], n_variance=1.0, insertion_error_ev=0.0, temperature_k=100.0)
    assert few.n_absolute.mean == pytest.approx(np.mean([m.n_absolute for m in few.members]))


def test_what_models_differ_by_everywhere_is_no_hole() -> None:
    """Depth against the median of the others; the limit goes with what models differ by."""
    energies = np.array([[-1.0, -2.0], [-1.1, -2.1], [-0.9, -1.9], [-2.0, -2.0]])
    assert depths_ev(energies, 3) == pytest.approx([1.0, 0.0])
    assert np.isnan(depths_ev(energies[:1], 0)).all()
    small, deep = np.full(100, 0.0005), np.concatenate([np.full(80, 0.0005), np.full(20, 0.3)])
    assert shares_alone([small, deep, np.empty(0)]) == pytest.approx([0.0, 0.2, 0.0])
    assert shares_alone([20 * small, np.full(100, 0.15)]) == pytest.approx([0.0, 0.0])
    assert shares_alone([np.full(4, np.nan)]) == [0.0]
    assert spread_evenly(3, 50).tolist() == [0, 1, 2] and len(spread_evenly(400, 50)) == 50
    assert spread_evenly(400, 50)[-1] == 399 and spread_evenly(0).size == 0


def test_error_of_the_energy_shifts_the_heat_by_itself() -> None:
    answers = [MemberAnswer(m, "run", 3.0, 0.1, 6.0, 0.2, 1.0) for m in range(2)]
    found = committee_point(answers, n_variance=2.0, insertion_error_ev=0.003, temperature_k=77.0)
    assert found.heat_kj_per_mol.model == pytest.approx(0.003 * EV_IN_KJ_PER_MOL)
    assert found.n_absolute.model == pytest.approx(0.003 * 2.0 / (8.617333262e-5 * 77.0))
    unknown = committee_point(answers, n_variance=2.0, insertion_error_ev=math.nan, temperature_k=77.0)
    assert unknown.n_absolute.model == 0.0 and unknown.n_absolute.statistical == pytest.approx(0.1 / math.sqrt(2))
    no_heat = [replace(a, heat_kj_per_mol=math.nan, heat_error_kj_per_mol=math.nan) for a in answers]
    none = committee_point(no_heat, n_variance=2.0, insertion_error_ev=0.003, temperature_k=77.0)
    assert math.isnan(none.heat_kj_per_mol.mean)


def test_chains_of_any_member_that_disagree_are_the_points(
    isotherm: Isotherm, setting: IsothermSetting, local, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first member's chains agree; one of another says that its own do not."""
    from alh2.production import isotherm as module

    assert not isotherm.points[0].hysteresis and isotherm.points[0].reached
    asked = isotherm.points[0].committee
    assert asked is not None
    other = replace(asked, members=(asked.members[0], replace(asked.members[1], hysteresis=True)))
    monkeypatch.setattr(module, "ask_committee", lambda *_, **__: [other])
    plan = replace(PLAN, relative_error=0.5, widom_insertions=0)
    (point,) = run_isotherm(plan, setting, machine=local(sys.executable)).points
    assert point.hysteresis and not point.reached
    monkeypatch.setattr(module, "ask_committee", lambda *_, **__: [asked])
    (point,) = run_isotherm(plan, setting, machine=local(sys.executable)).points
    assert not point.hysteresis and point.reached


def test_a_model_with_a_hole_leaves_out_the_henry_constant_and_says_so(
    setting: IsothermSetting, local, tmp_path: Path
) -> None:
    """The second model binds by 9 eV: an answer of one temperature, not the end of the isotherm."""
    well(9.0).save(tmp_path / "hole.json")
    first, second, _ = setting.committee
    hole = replace(second, pair_baseline=tmp_path / "hole.json")
    other = replace(setting, directory=tmp_path / "isotherm", committee=(first, hole))
    other.directory.mkdir()
    said: list[str] = []
    found = run_henry(PLAN, other, machine=local(sys.executable), on_message=said.append)
    assert found == ()
    (line,) = said
    assert line.startswith("no Henry constant at 100 K: model 1: ") and "a hole of the model" in line

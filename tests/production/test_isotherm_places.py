"""Where the molecules of an isotherm are: an ideal gas is everywhere alike."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alh2.core.errors import BadInputError
from alh2.core.frames import Frame
from alh2.production import isotherm_places
from alh2.production.isotherm import run_isotherm
from alh2.production.isotherm_places import PLACES_FILE, point_places, read_places, save_places
from alh2.production.isotherm_plan import CommitteeMember, IsothermPlan, IsothermSetting
from alh2.report.isotherm_files import save_isotherm_files

PLAN = IsothermPlan((100.0,), (20.0, 40.0), (0, 3), n_moves=6000, n_equilibration=400, biased=False)


def ideal_setting(directory: Path, model: Path) -> IsothermSetting:
    """One atom that nobody feels in a box of 1728 Å³."""
    host = Frame(("Al",), np.array([[1.0, 2.0, 3.0]]), 12.0 * np.eye(3), 1, "atom")
    guests = np.array([[x, y, 6.0] for x in (3.0, 6.0, 9.0) for y in (6.0, 6.75)])
    loaded = Frame(("Al",) + ("H",) * 6, np.concatenate([host.positions_ang, guests]), host.cell_ang, 1, "atom")
    return IsothermSetting(
        directory, (CommitteeMember(model),), (host, loaded), 0.0, None, 0.75, 7, sys.executable, None
    )


@pytest.mark.physics
def test_an_ideal_gas_is_everywhere_alike(tmp_path: Path, ideal_model: Path, local, monkeypatch) -> None:
    """g = 1 within its errors; both pressures are there, and the file says the same."""
    monkeypatch.setattr(isotherm_places, "al_open_indices", lambda host: np.array([0]))
    setting = ideal_setting(tmp_path, ideal_model)
    isotherm = run_isotherm(PLAN, setting, machine=local(sys.executable))
    places = save_places(tmp_path, isotherm)
    assert [p.pressure_bar for p in places] == [20.0, 40.0] and read_places(tmp_path) == places
    for place, point in zip(places, isotherm.points, strict=True):
        assert place.n_frames >= 100 and place.n_h2 == pytest.approx(point.n_absolute, rel=0.15)
        r, g, error = (np.array(values) for values in (place.r_ang, place.g, place.g_error))
        assert r[-1] == pytest.approx(5.95)
        deviation = (g[20:] - 1) / error[20:]  # below 2 Å shells are nearly empty
        assert np.mean(np.abs(deviation) < 2.26) > 0.8  # Student's t of ten blocks, 95 %
        assert np.average(g[20:], weights=r[20:] ** 2) == pytest.approx(1.0, abs=0.08)
    save_isotherm_files(tmp_path, isotherm)
    assert (tmp_path / "rdf.svg").stat().st_size > 1000 and "MC, 20 bar" in (tmp_path / "rdf.figure.csv").read_text()
    (tmp_path / PLACES_FILE).write_text('[{"g": 1}]')
    with pytest.raises(BadInputError, match=PLACES_FILE):
        read_places(tmp_path)


def test_no_open_site_no_distribution(tmp_path: Path, ideal_model: Path, local) -> None:
    """A lone atom has no bond that is missing."""
    setting = ideal_setting(tmp_path, ideal_model)
    isotherm = run_isotherm(replace(PLAN, n_moves=400), setting, machine=local(sys.executable))
    assert point_places(tmp_path, isotherm.points[0]) is None and save_places(tmp_path, isotherm) == ()
    save_isotherm_files(tmp_path, isotherm)
    assert not (tmp_path / "rdf.svg").exists()
    assert read_places(tmp_path / "nowhere") == ()

"""Isotherm points by the real Monte Carlo worker with a truly trained model."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alh2.core.errors import BadInputError, NeedsPersonError
from alh2.core.statistics import mean_and_error
from alh2.explore.gcmc import GcmcModels
from alh2.explore.gcmc_job import SERIES_FILE, read_job
from alh2.gcmc.fugacity import fugacity_bar
from alh2.potential.frames_npz import read_npz
from alh2.production.isotherm import IsothermResult, IsothermSetting, read_isotherm, run_isotherm


@pytest.fixture(scope="session")
def setting(tmp_path_factory: pytest.TempPathFactory, trained_committee, node_start) -> IsothermSetting:
    return IsothermSetting(
        directory=tmp_path_factory.mktemp("production") / "isotherm",
        models=GcmcModels(trained_committee.members[0].engine, (), ()),
        starts=(node_start.bare_host(), node_start),
        min_distance_ang=1.2,
        max_loading=4,
        bond_length_ang=0.75,
        root_seed=7,
        command=sys.executable,
    )


@pytest.fixture(scope="session")
def finished(config, setting: IsothermSetting, local) -> list[IsothermResult]:
    return run_isotherm(config, setting, machine=local(sys.executable))


def test_every_pressure_from_every_start(finished: list[IsothermResult], setting: IsothermSetting) -> None:
    assert [(p.pressure_bar, p.n_initial) for p in finished] == [(0.5, 0), (0.5, 2), (5.0, 0), (5.0, 2)]
    seeds = set()
    for index, point in enumerate(finished):
        folder = setting.directory / f"point.{index:03d}"
        spec, start = read_job(folder)
        seeds.add(spec.seed)
        assert (spec.ensemble, start.n_h2, spec.max_loading) == ("grand-canonical", point.n_initial, 4)
        assert point.fugacity_bar == fugacity_bar(point.pressure_bar, 77.0) == spec.fugacity_bar
        series = read_npz(folder / SERIES_FILE, "n_adsorbed")["n_adsorbed"]
        assert len(series) == 300 and series.max() <= 4
        assert point.n_adsorbed == mean_and_error(series).mean
        assert np.isnan(point.n_adsorbed_error) == (np.ptp(series) == 0)
        assert point.bond_length_ang == pytest.approx(0.75) and point.temperature_k == 77.0
        assert 0.0 <= point.insertion_acceptance <= 1.0 and "frozen_model" in point.potential
    assert len(seeds) == 4


def test_points_read_back_and_a_repeated_call_runs_nothing(
    finished: list[IsothermResult], config, setting: IsothermSetting, local
) -> None:
    np.testing.assert_equal(read_isotherm(setting.directory), finished)
    file = setting.directory / "point.002" / SERIES_FILE
    before = file.stat().st_mtime_ns
    np.testing.assert_equal(run_isotherm(config, setting, machine=local(sys.executable)), finished)
    assert file.stat().st_mtime_ns == before


def test_no_or_foreign_results(tmp_path: Path) -> None:
    assert read_isotherm(tmp_path) == []
    for text in ('[{"pressure_bar": 1}]', '{"a": 1}', "[3]"):
        (tmp_path / "isotherm.json").write_text(text)
        with pytest.raises(BadInputError, match="isotherm.json"):
            read_isotherm(tmp_path)


def test_failed_point_is_named(tmp_path: Path, config, setting: IsothermSetting, local) -> None:
    """The engine's model is no model: the worker's own words reach the person."""
    bad = tmp_path / "bad.dp"
    bad.write_text("no model")
    broken = replace(setting, directory=tmp_path / "isotherm", models=GcmcModels(bad, (), ()))
    one = replace(config, pressures_bar=(1.0,))
    with pytest.raises(NeedsPersonError, match=r"2 of 2 isotherm points failed, first .*point.000: error: .*bad.dp"):
        run_isotherm(one, broken, machine=local(sys.executable))
    assert read_isotherm(broken.directory) == []

"""Production MD with a truly trained committee."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alh2.analysis.rdf import radial_distribution
from alh2.core.atoms import to_atoms
from alh2.core.errors import BadInputError, NeedsPersonError
from alh2.explore.lammps import DEVIATION_FILE, TRAJECTORY_FILE, read_deviation, read_trajectory
from alh2.explore.md import MdSetting
from alh2.potential.lammps_forces import LammpsForces
from alh2.production.md import MdResult, read_md, run_md
from alh2.structure.sites import al_open_indices


@pytest.fixture(scope="session")
def setting(tmp_path_factory: pytest.TempPathFactory, trained_committee) -> MdSetting:
    directory = tmp_path_factory.mktemp("production") / "md"
    directory.mkdir()
    plan = trained_committee.plan
    return MdSetting(directory, 0, trained_committee.graphs, LammpsForces(plan.type_map), (), 7, "lmp")


@pytest.fixture(scope="session")
def finished(config, setting: MdSetting, node_start, local) -> MdResult:
    return run_md(config, setting, node_start, machine=local("lmp"), f_trust_hi_ev_ang=0.05)


def test_result_is_that_of_the_trajectory(finished: MdResult, setting: MdSetting, node_start) -> None:
    folder = setting.directory / "task.000.000000"
    frames = [frame for _, frame in read_trajectory(folder / TRAJECTORY_FILE, node_start)]
    deviations = np.array(list(read_deviation(folder / DEVIATION_FILE).values()))
    assert (len(frames), finished.n_frames, finished.n_h2, finished.temperature_k) == (11, 9, 2, 77.0)
    assert finished.max_devi_f_ev_ang == deviations.max()
    assert finished.untrusted_fraction == pytest.approx(np.mean(deviations >= 0.05))
    sites = al_open_indices(to_atoms(node_start.bare_host()))
    assert len(sites)
    rdf = radial_distribution(frames[2:], sites)
    np.testing.assert_allclose(finished.g, rdf.g)
    np.testing.assert_allclose(finished.r_ang, rdf.r_ang)
    assert max(finished.g) > 0 and len(finished.g_error) == len(finished.g)


def test_result_reads_back_and_a_repeated_call_runs_nothing(
    finished: MdResult, config, setting: MdSetting, node_start, local
) -> None:
    assert read_md(setting.directory) == finished
    dump = setting.directory / "task.000.000000" / TRAJECTORY_FILE
    before = dump.stat().st_mtime_ns
    assert run_md(config, setting, node_start, machine=local("lmp"), f_trust_hi_ev_ang=0.05) == finished
    assert dump.stat().st_mtime_ns == before


def test_no_or_foreign_results(tmp_path: Path) -> None:
    assert read_md(tmp_path) is None
    (tmp_path / "md.json").write_text('{"temperature_k": 77.0}')
    with pytest.raises(BadInputError, match=r"md.json: expected the fields of MdResult, found missing 7 required"):
        read_md(tmp_path)


@pytest.mark.parametrize("command", ["false", "absent-lmp"])
def test_run_that_fails_is_for_a_person_and_named(
    tmp_path: Path, config, setting: MdSetting, node_start, local, command: str
) -> None:
    broken = replace(setting, directory=tmp_path, command=command)
    with pytest.raises(NeedsPersonError, match=r"task.000.000000: .*(exit code 1|not found)"):
        run_md(config, broken, node_start, machine=local(command), f_trust_hi_ev_ang=0.05)
    assert read_md(tmp_path) is None

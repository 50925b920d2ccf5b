"""``alh2 produce`` on a campaign: everything with one command, repeated for nothing, and what it refuses."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest

from alh2.campaign.older_predictions import iteration_of, keep_older
from alh2.campaign.open import open_campaign
from alh2.campaign.progress import Reporter
from alh2.production.isotherm_result import read_isotherm


def stamps(folder: Path) -> dict[Path, int]:
    """When each result of a task was written."""
    names = ("gcmc.json", "widom.json", "evaluation.npz", "all.lammpstrj", "probe.json")
    return {p: p.stat().st_mtime_ns for name in names for p in sorted(folder.rglob(name))}


@pytest.mark.slow
def test_everything_of_a_campaign(again, alh2) -> None:
    """The isotherm of the committee, MD with every model, densities, the report, at a temperature that is new."""
    command = ("produce", "all", again.workdir, "--temperature", 120, "--frozen-host")
    done = alh2(*command)
    assert done.code == 0, done.err
    made = again.workdir / "production"
    isotherm = read_isotherm(made / "isotherm")
    assert isotherm is not None and isotherm.temperatures_k == (120.0,) and isotherm.void is not None
    for point in isotherm.points:
        assert point.committee is not None and len(point.committee.members) == 2
        assert (made / "isotherm" / f"density.{point.temperature_k:g}K.0.1bar.cube").exists()
    refused = done.out.count("no Henry constant at")  # models trained this little may have holes
    assert len(isotherm.henry) + refused == 1 and all(h.committee is not None for h in isotherm.henry)
    runs = json.loads((made / "md" / "md_runs.json").read_text())
    assert [t["temperature_k"] for t in runs["temperatures"]] == [120.0]
    assert {r["model"] for t in runs["temperatures"] for r in t["replicas"]} == {0, 1}
    assert runs["nuclei"] == "classical nuclei, frozen host"
    assert f"report: {again.workdir / 'report' / 'index.html'}" in done.out
    assert "95 % intervals: statistics, widened by the spread of 2 models" in done.out
    page = (again.workdir / "report" / "index.html").read_text()
    for words in (
        "figure-predicted_isotherm",
        "figure-md_deviation",
        "figure-density_md_120K",
        "made by “alh2 produce all",
    ):
        assert words in page, words
    before = stamps(made)
    repeated = alh2(*command)
    assert repeated.code == 0, repeated.err
    assert stamps(made) == before and read_isotherm(made / "isotherm") == isotherm


def test_molecular_dynamics_of_the_run_is_gone_on_from(again, alh2) -> None:
    """That of ``alh2 run`` is what ``alh2 produce md`` would do under the same conditions, which then runs nothing."""
    folder = again.workdir / "production" / "md"
    before, result = stamps(folder), json.loads((folder / "md_runs.json").read_text())
    assert sorted(path.parent.parent.name for path in before if path.name == "all.lammpstrj") == ["77K.r0", "77K.r1"]
    (found,) = result["temperatures"]
    assert (found["temperature_k"], found["n_h2"], found["n_frames"]) == (77.0, 2, 14)
    assert max(found["rdfs"]["Al(open)–H2"]["g"]) > 0
    conditions = ("--steps", 60, "--segment", 60, "--equilibration", 10, "--sample-every", 10)
    done = alh2("produce", "md", again.workdir, *conditions)
    assert done.code == 0, done.err
    assert stamps(folder) == before
    repeated = json.loads((folder / "md_runs.json").read_text())
    assert repeated["temperatures"] == result["temperatures"] and repeated["movers"] == result["movers"]


def test_predictions_of_older_models_are_kept(again) -> None:
    """Models of another iteration begin with empty folders; those of before stay whole, named by their iteration."""
    made = again.workdir / "production"
    last = iteration_of(made / "isotherm")
    assert last is not None and iteration_of(made / "md") == last and iteration_of(made / "md-pimd") is None

    def content(folder: Path) -> dict[str, bytes]:
        return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    before = {name: content(made / name) for name in ("isotherm", "md")}
    campaign = open_campaign(
        again.inputs.param, again.inputs.machine, again.workdir, reporter=Reporter(told := io.StringIO())
    )
    keep_older(campaign, last)
    assert {name: content(made / name) for name in before} == before and told.getvalue() == ""
    keep_older(campaign, last + 1)
    kept = {name: made / f"{name}.iter.{last:06d}" for name in before}
    assert {name: content(folder) for name, folder in kept.items()} == before  # through the links, too
    assert not any(folder.exists() for folder in campaign.paths.predictions)
    assert f"production/isotherm, by the models of iteration {last}, is kept as production/{kept['isotherm'].name}" in (
        told.getvalue()
    )
    for name, number in (("isotherm", ".2"), ("isotherm", ".3")):
        shutil.copytree(kept[name], made / name, symlinks=True)
        keep_older(campaign, last + 1)
        assert content(made / f"{kept[name].name}{number}") == before[name]


def test_molecules_alone_on_the_frozen_host(again, alh2) -> None:
    """The models of interaction energies move them, in turn; what these do not know is told."""
    conditions = ("--temperature", 77, "--replicas", 2, "--loading", 2, "--equilibration", 20, "--steps", 40)
    done = alh2("produce", "md", again.workdir, "--frozen-host", *conditions, "--segment", 20)
    assert done.code == 0, done.err
    folder = again.workdir / "production" / "md"
    assert json.loads((folder / "md_runs.json").read_text())["nuclei"] == "classical nuclei, frozen host"
    for replica in (0, 1):
        job = json.loads((folder / f"77K.r{replica}" / "seg.001" / "job.json").read_text())
        assert job["models"][0].endswith(f"interaction.graph.{replica:03d}.pb")
        assert job["before"] == "../seg.000/end.restart"
    assert "frozen host: 6 frames of 2 runs" in done.out
    assert "insertion energies of these models are off by" in done.out


def test_what_cannot_be_produced_is_one_line(finished, alh2, tmp_path: Path) -> None:
    for arguments, words in (
        (("all", tmp_path), "a campaign directory (with state.json)"),
        (("isotherm", finished.workdir, "--committee", "vote"), "--committee: expected reweight, run, none"),
        (("md", finished.workdir, "--committee", "vote"), "--committee: expected run or none"),
        (("all", finished.workdir, "--unit", "g/L"), "molecules/cell"),
    ):
        ended = alh2("produce", *arguments)
        assert ended.code == 2 and words in ended.err and len(ended.err.splitlines()) == 1

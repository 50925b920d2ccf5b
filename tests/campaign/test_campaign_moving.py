"""Which models move host and molecules: as asked, or as held-out insertion energies say; models of the bare host."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alh2.campaign import host_models, moving
from alh2.campaign.context import Campaign
from alh2.campaign.moving import Movers, movers_of
from alh2.campaign.open import reopen_campaign
from alh2.campaign.predicting import last_trained
from alh2.campaign.training import usable_frames
from alh2.core.errors import BadInputError
from alh2.core.files import read_json
from alh2.potential.evaluate import evaluate_committee
from alh2.potential.frames_npz import load_frames
from alh2.potential.host_springs import load_host_springs
from alh2.production.md_plan import MdPlan

PLAN = MdPlan((77.0,), 1, n_steps=20, n_equilibration=0, segment_steps=20, dt_ps=0.0005, sample_every=10)


@pytest.fixture
def campaign(again) -> Campaign:
    opened = reopen_campaign(again.workdir)
    opened.reporter.close()
    return opened


def iteration(campaign: Campaign) -> int:
    return last_trained(campaign, 5)


def test_errors_decide_where_the_host_moves(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 77 K kT is 6.6 meV."""
    number = iteration(campaign)
    for total, alone, expected in (
        (0.02, 0.01, "interaction"), (0.02, 0.03, "total"), (0.005, 0.001, "total"), (math.nan, math.nan, "total"),
    ):  # fmt: skip
        found = {"total": total, "interaction": alone}
        monkeypatch.setattr(moving, "insertion_rmse_ev", lambda campaign, iteration, target, of=found: of[target])
        movers = movers_of(campaign, number, PLAN, n_h2=2)
        assert (movers.target, movers.by_ase) == (expected, expected == "interaction")
        assert ("by 20 meV with those of total energies" in movers.words) is (expected == "interaction")
        assert movers_of(campaign, number, PLAN, n_h2=2, wanted="total") == Movers("total")
        assert movers_of(campaign, number, PLAN, n_h2=2, wanted="interaction") == Movers("interaction", True)
        assert movers_of(campaign, number, replace(PLAN, frozen_host=True), n_h2=2) == Movers("interaction", True)


def test_what_models_of_interaction_energies_cannot_do(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    number = iteration(campaign)
    cases = [(replace(PLAN, n_beads=4), 2, "path integrals"), (PLAN, 0, "no molecules")]
    for plan, n_h2, words in cases:
        assert movers_of(campaign, number, plan, n_h2=n_h2) == Movers("total")
        with pytest.raises(BadInputError, match=f"--forces: expected total, found interaction, with {words}"):
            movers_of(campaign, number, plan, n_h2=n_h2, wanted="interaction")
    monkeypatch.setattr(host_models, "FEWEST_GEOMETRIES", 10_000)
    alone = replace(campaign, param=replace(campaign.param, committees=campaign.param.committees[1:]))
    assert alone.param.committee("total") is None
    with pytest.raises(BadInputError, match="too few labels of the bare host"):
        movers_of(alone, number, PLAN, n_h2=2, wanted="interaction")
    with pytest.raises(BadInputError, match="--forces: expected interaction, found total, without models"):
        movers_of(alone, number, PLAN, n_h2=2, wanted="total")
    with pytest.raises(
        BadInputError, match=r"at least 10000 geometries of the bare host, found \d+; use --frozen-host"
    ):
        host_models.host_models(alone, number)


def test_total_energies_move_the_host_where_they_know_it_better(campaign: Campaign, monkeypatch) -> None:
    """Without springs that are better on held-out geometries nothing is trained."""
    number = iteration(campaign)
    shutil.rmtree(campaign.paths.production / "host-models")
    monkeypatch.setattr(host_models, "_springs_rmse", lambda known, heldout, folder: math.inf)
    made = host_models.host_models(campaign, number)
    assert made.springs == () and "the host moves by models of total energies; on " in made.words
    committee = campaign.param.committee("total")
    assert committee is not None
    trained = campaign.members(committee, number)
    assert [graph.resolve() for graph in made.graphs] == [member.graph.resolve() for member in trained]
    (folder,) = (campaign.paths.production / "host-models").iterdir()
    assert not (folder / "000").exists() and host_models.host_model_files(campaign, number) == []
    told = read_json(folder / "host-models.json")
    assert told["own"] is False and told["force_rmse_ev_ang"] == made.force_rmse_ev_ang > 0
    known = {each.frame.digest for each in host_models.host_geometries(usable_frames(campaign, number))}
    hosts = [h for h in host_models.host_geometries(campaign.store.load("valid")) if h.frame.digest not in known]
    answer = evaluate_committee(made.graphs, [each.frame for each in hosts])
    off = [answer.frame_forces_ev_ang(k).mean(axis=0) - each.label.forces_ev_ang for k, each in enumerate(hosts)]
    assert made.force_rmse_ev_ang == pytest.approx(np.sqrt(np.mean(np.concatenate(off) ** 2)), rel=1e-6)


def test_models_of_the_host_move_it(again, alh2) -> None:
    """Springs and networks on what they leave, judged on held-out geometries; a repeat trains nothing."""
    conditions = ("--temperature", 77, "--replicas", 2, "--loading", 2, "--equilibration", 20, "--steps", 40)
    command = ("produce", "md", again.workdir, "--forces", "interaction", *conditions)
    done = alh2(*command)
    assert done.code == 0, done.err
    assert "the host moves by models of its own, from" in done.out and "held-out geometries, forces of" in done.out
    folder = again.workdir / "production" / "md"
    result = json.loads((folder / "md_runs.json").read_text())
    assert result["nuclei"] == "classical nuclei"
    assert result["movers"] == "H2 moved by models of interaction energies, the host by models of its own"
    made = {entry["link"] for entry in read_json(folder / "made.json")["models"]}
    kinds = ("host.{}.pb", "host_springs.{}.npz", "interaction.graph.{}.pb", "pair_baseline.{}.json")
    assert made == {kind.format(f"{k:03d}") for kind in kinds for k in (0, 1)}, "what moved atoms, and nothing else"
    starts = [load_frames(folder / f"77K.r{k}" / "seg.000" / "start.npz")[0] for k in (0, 1)]
    n_host = starts[0].n_host
    np.testing.assert_array_equal(starts[0].positions_ang[:n_host], starts[1].positions_ang[:n_host])
    apart = starts[0].positions_ang[n_host:] - starts[1].positions_ang[n_host:]
    assert np.abs(apart).max() > 1.0, "molecules begin at other places"
    for replica in (0, 1):
        job = read_json(folder / f"77K.r{replica}" / "seg.000" / "job.json")
        assert job["hosts"][0].endswith(f"host.{replica:03d}.pb")
        assert job["springs"][0].endswith(f"host_springs.{replica:03d}.npz")
    (trained,) = (again.workdir / "production" / "host-models").iterdir()
    told = read_json(trained / "host-models.json")
    assert told["n_geometries"] >= 10 and told["n_heldout"] >= 1
    assert told["force_rmse_ev_ang"] < 0.1 * told["force_rms_ev_ang"], "the reference potential is made of springs"
    bagged = [load_host_springs(trained / f"{k:03d}" / "host_springs.npz") for k in (0, 1)]
    assert not np.allclose(bagged[0].stiffness_ev_ang2, bagged[1].stiffness_ev_ang2)
    fitted = {path: path.stat().st_mtime_ns for path in (trained / "springs").iterdir()}
    assert len(fitted) == 2, "the first model has all geometries, as the springs alone that are judged"
    before = runs_in(trained)
    repeated = alh2(*command)
    assert repeated.code == 0, repeated.err
    assert runs_in(trained) == before and all(count == 1 for count in before.values())
    assert {path: path.stat().st_mtime_ns for path in (trained / "springs").iterdir()} == fitted
    bundle = again.workdir.parent / "bundle"
    published = alh2("publish", again.workdir, "--output", bundle)
    assert published.code == 0, published.err
    for k in (0, 1):
        sent = load_host_springs(bundle / "models" / "host" / f"{k:03d}" / "host_springs.npz")
        np.testing.assert_array_equal(sent.stiffness_ev_ang2, bagged[k].stiffness_ev_ang2)
        assert (bundle / "models" / "host" / f"{k:03d}" / "graph.pb").stat().st_size
    assert "`models/host/001/graph.pb`: energy of the bare host" in (bundle / "README.md").read_text()


def runs_in(folder: Path) -> dict[Path, int]:
    """How often each program of the machine file was started there."""
    return {log: log.read_text().count("start train") for log in sorted(folder.glob("0*/runs.log"))}

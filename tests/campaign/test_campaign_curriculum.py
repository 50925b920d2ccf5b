"""The curriculum over loadings: rungs, starts, and extension of a campaign by a higher target."""

from __future__ import annotations

import io
import json
import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alh2.campaign.bootstrap import highest_temperature_k
from alh2.campaign.curriculum import (
    at_iteration,
    check_extension,
    has_next,
    param_of_rung,
    rung_of,
    rungs_in_words,
    seeded_start,
)
from alh2.campaign.loop import _resumed
from alh2.campaign.open import open_campaign
from alh2.campaign.progress import Reporter
from alh2.campaign.state import CampaignState, Journal, load_state
from alh2.campaign.status import read_status, rung_rows
from alh2.config.curriculum import CurriculumConfig
from alh2.config.load import load_param
from alh2.config.plan import planned_work
from alh2.core.atoms import from_atoms, to_atoms
from alh2.core.errors import BadInputError
from alh2.core.frames import Provenance
from alh2.gcmc.fugacity import fugacity_bar
from alh2.structure.loading import load_h2

CURRICULUM = {"temps": [10, 77], "pressures_bar": [0.01, 0.4], "start_loading": 4, "step": 2, "max_loading": 6}


@pytest.fixture
def target() -> CurriculumConfig:
    """The crystal's: 24 H2 first, to 48."""
    return CurriculumConfig((10.0, 77.0), (0.01, 0.4), 48, 24, 8, 2.0)


@pytest.fixture
def with_curriculum(inputs: Any, param_content: dict[str, Any]) -> Any:
    """The mini campaign's inputs with rungs 4; 0, 2; 6."""
    param_content["alh2"]["curriculum"] = dict(CURRICULUM)
    inputs.write_param(param_content)
    return inputs


def _campaign(inputs: Any, workdir: Path) -> Any:
    return open_campaign(inputs.param, inputs.machine, workdir, reporter=Reporter(io.StringIO()))


def test_rungs_go_down_to_empty_and_then_up(target: CurriculumConfig) -> None:
    assert target.rungs == ((24,), (0, 8, 16), (32,), (40,), (48,))
    assert [target.top(i) for i in range(5)] == [24, 24, 32, 40, 48]
    assert replace(target, max_loading=64).rungs[:5] == target.rungs
    assert replace(target, start_loading=20, max_loading=20).rungs == ((20,), (0, 4, 12))
    assert target.words(1) == "0, 8, 16 H2"


def test_iterations_belong_to_the_rung_begun_last() -> None:
    assert [rung_of((0, 2, 5), i) for i in range(7)] == [0, 0, 1, 1, 1, 2, 2]
    assert rung_of((3,), 2) is None and rung_of((), 0) is None


def test_a_rung_explores_its_loadings_beyond_the_pressures_asked_about(
    with_curriculum: Any, target: CurriculumConfig
) -> None:
    param = load_param(with_curriculum.param)
    here = param_of_rung(param, target, 1, 3)
    (md,), (jobs,) = here.explore.md_jobs, here.explore.gcmc_jobs
    assert here.explore.loadings == (0, 8, 16) and md.sys_idx == (0, 1, 2) and md.temperatures_k == (10.0, 77.0)
    cold, warm = jobs
    assert cold.n_initial == () and cold.canonical_loadings == (8, 16) and cold.n_tasks == 2
    assert warm.fugacities_bar[0] == pytest.approx(fugacity_bar(0.01, 77.0))
    assert warm.fugacities_bar[1] == pytest.approx(2 * fugacity_bar(0.4, 77.0))
    assert warm.n_initial == (0, 8, 16) and warm.max_loading == 24 and warm.n_tasks == 8
    assert here.assess is not None and here.assess.loadings == (0, 7, 15)
    assert here.production is not None and here.production.md_loading <= 24
    assert here.curriculum is None and (here.seed, here.select, here.converge) == (
        param.seed, param.select, param.converge,
    )  # fmt: skip


def test_a_start_is_a_sampled_frame_brought_to_its_loading(node: Any) -> None:
    rng = np.random.default_rng(3)
    seeds = [
        from_atoms(
            load_h2(to_atoms(node), n, rng=rng), n_host=node.n_host, host_id="node", provenance=Provenance("gcmc")
        )
        for n in (2, 4, 4)
    ]
    for n_h2 in (0, 1, 3, 4, 6):
        start = seeded_start(seeds, n_h2, rng=np.random.default_rng(n_h2), min_distance_ang=2.0)
        same = seeded_start(seeds, n_h2, rng=np.random.default_rng(n_h2), min_distance_ang=2.0)
        assert start.n_h2 == n_h2 and start.digest == same.digest and start.host_id == "node"
        np.testing.assert_array_equal(start.positions_ang[: node.n_host], node.positions_ang)
        kept = {tuple(x) for x in start.positions_ang[node.n_host :]}
        shared = max(len(kept & {tuple(x) for x in seed.positions_ang[node.n_host :]}) for seed in seeds)
        assert shared == 2 * min(n_h2, 4)
    with pytest.raises(BadInputError, match="room for"):
        seeded_start(seeds, 400, rng=rng, min_distance_ang=2.0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(max_loading=7), "curriculum.max_loading: expected start_loading (4) or that plus"),
        (lambda c: c.update(max_loading=2), "curriculum.max_loading: expected start_loading (4) or that plus"),
        (lambda c: c.update(pressures_bar=[0.01]), "production.pressures_bar[0]: expected at most 0.01 bar"),
        (lambda c: c.update(temps=[80, 88]), "production.md_temperature_k: expected 80 to 88 K"),
        (lambda c: c.update(fugacity_factor=0.5), "curriculum.fugacity_factor: expected"),
        (lambda c: c.update(steps=2), "curriculum"),
    ],
)
def test_targets_that_contradict_the_rest_are_refused(
    inputs: Any, param_content: dict[str, Any], change: Any, said: str
) -> None:
    param_content["alh2"]["curriculum"] = dict(CURRICULUM)
    change(param_content["alh2"]["curriculum"])
    inputs.write_param(param_content)
    with pytest.raises(BadInputError) as error:
        load_param(inputs.param)
    assert said in str(error.value)


def test_planned_work_counts_every_rung(with_curriculum: Any) -> None:
    param = load_param(with_curriculum.param)
    assert highest_temperature_k(param) == 77.0
    work = planned_work(param, n_aimd_frames=0)
    assert work.rungs and [each.loadings for each in work.iterations] == [(4,), (0, 2), (6,)]
    assert [each.md_tasks for each in work.iterations] == [2, 4, 2]
    assert work.most_labels == work.bootstrap_labels + sum(e.label_cap + e.assess_labels for e in work.iterations)


def test_only_a_higher_target_extends(with_curriculum: Any) -> None:
    param = load_param(with_curriculum.param)
    assert param.curriculum is not None
    state = CampaignState("done", 4, rung_starts=(0, 1), rungs=rungs_in_words(param))
    higher = replace(param, curriculum=replace(param.curriculum, max_loading=10))
    for good in (param, higher):
        check_extension(good, state)
        assert has_next(good, state)
    at_the_top = replace(state, rung_starts=(0, 1, 3))
    assert not has_next(param, at_the_top) and has_next(higher, at_the_top)
    for curriculum in (
        None,
        replace(param.curriculum, max_loading=4),
        replace(param.curriculum, start_loading=2),
        replace(param.curriculum, step=1),
    ):
        with pytest.raises(BadInputError, match="expected loadings that begin with 4 H2; 0, 2 H2; 6 H2, which"):
            check_extension(replace(param, curriculum=curriculum), at_the_top)


def test_status_shows_every_rung() -> None:
    state = CampaignState("explore", 3, rung_starts=(0, 2), rungs=("4 H2", "0, 2 H2", "6 H2"))
    assert [f"{row.loadings}: {row.words}" for row in rung_rows(state)] == [
        "4 H2: iteration 0 to 1, converged",
        "0, 2 H2: iteration 2 to 3, not converged",
        "6 H2: to come",
    ]


def test_a_new_campaign_begins_on_the_first_rung(with_curriculum: Any, tmp_path: Path) -> None:
    campaign = _campaign(with_curriculum, tmp_path / "run")
    state = _resumed(campaign, CampaignState())
    assert state.rung_starts == (0,) and state.rungs == ("4 H2", "0, 2 H2", "6 H2")
    here = at_iteration(campaign, replace(state, stage="explore"))
    assert here.param.explore.loadings == (4,) and here.seeds == ()
    assert at_iteration(campaign, replace(state, rung_starts=(2,))) is campaign  # before a curriculum added later


def _ends(workdir: Path) -> Counter[str]:
    """How often each program of each task folder has ended."""
    logs = workdir.glob("**/runs.log")
    return Counter(f"{log.parent.relative_to(workdir)} {line}" for log in logs for line in log.read_text().splitlines())


def test_an_extended_campaign_runs_no_finished_task_again(again: Any, run_campaign: Any) -> None:
    """A finished campaign gets a target; it stops in the first training of the first rung."""
    before, ended = _ends(again.workdir), load_state(again.workdir / "state.json")
    assert ended is not None and ended.stage == "done" and ended.converged and ended.rungs == ()
    first = ended.iteration + 1
    content = json.loads(again.inputs.param.read_text())
    content["alh2"]["curriculum"] = {**CURRICULUM, "max_loading": 4}
    again.inputs.write_param(content)
    stopped = run_campaign(again.inputs, again.workdir, fail_in=f"/iter.{first:06d}/00.train/")
    assert stopped.code == 1 and f"iter.{first:06d}" in stopped.err
    assert "the loadings so far converged; 4 H2 follow" in stopped.out
    assert {name: n for name, n in _ends(again.workdir).items() if n != before.get(name)} == {}
    state = load_state(again.workdir / "state.json")
    assert state is not None and (state.stage, state.iteration, state.rung_starts) == ("train", first, (first,))
    assert [e.detail for e in Journal(again.workdir / "journal.jsonl").read() if e.event == "rung"] == [
        "the loadings so far converged; 4 H2 follow"
    ]
    lines = read_status(again.workdir).lines()
    assert f"rung 1     4 H2: iteration {first}, not converged" in lines and "rung 2     0, 2 H2: to come" in lines

    content["alh2"]["curriculum"]["max_loading"] = 6
    again.inputs.write_param(content)
    raised = run_campaign(again.inputs, again.workdir, fail_in=f"/iter.{first:06d}/00.train/")
    assert raised.code == 1 and "the target was raised: 6 H2 follow" in raised.out
    content["alh2"]["curriculum"]["start_loading"] = 2
    again.inputs.write_param(content)
    refused = run_campaign(again.inputs, again.workdir)
    assert refused.code == 2 and "alh2.curriculum: expected loadings that begin with 4 H2" in refused.err


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("ALH2_EXHAUSTIVE") != "1", reason="minutes; ask for it with ALH2_EXHAUSTIVE=1")
def test_every_rung_in_turn_and_a_raised_target(
    inputs: Any, param_content: dict[str, Any], run_campaign: Any, tmp_path: Path
) -> None:
    param_content["alh2"]["curriculum"] = {**CURRICULUM, "temps": [77], "start_loading": 2, "max_loading": 2}
    param_content["alh2"]["converge"]["insertion_rmse_ev"] = 1e6
    inputs.write_param(param_content)
    workdir = tmp_path / "run"
    done = run_campaign(inputs, workdir)
    assert done.code == 0, done.err
    state = load_state(workdir / "state.json")
    assert state is not None and state.converged and state.rung_starts == (0, 1)
    before = _ends(workdir)

    param_content["alh2"]["curriculum"]["max_loading"] = 4
    inputs.write_param(param_content)
    done = run_campaign(inputs, workdir)
    assert done.code == 0, done.err
    state = load_state(workdir / "state.json")
    assert state is not None and state.converged and state.rung_starts == (0, 1, 2)
    after = _ends(workdir)
    finished = {name for name in before if not name.startswith("production/")}
    assert finished and all(after[name] == before[name] for name in finished)
    predicted = re.compile("^production/(isotherm|md)/")
    kept = {predicted.sub(r"production/\1.iter.000001/", name) for name in before if predicted.match(name)}
    assert kept and kept <= set(after)
    assert any(name.startswith("iter.000002/00.train/") for name in after)
    page = (workdir / "report" / "index.html").read_text()
    assert "iteration 2, converged" in page

"""Retries, seeds and reuse, with a stand-in `dp` that writes what a training leaves."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alh2.config.model import CommitteeConfig
from alh2.core.errors import BadInputError, NeedsPersonError
from alh2.dispatch.run import Progress
from alh2.train.committee import MAX_ATTEMPTS, MemberData, TrainingPlan, reuses, train_committees, training_command
from alh2.train.members import Member

STAND_IN = """\
#!{python}
import json, pathlib, sys
action = sys.argv[1]
here = pathlib.Path(".")
if action == "train":
    seed = json.loads((here / "input.json").read_text())["training"]["seed"]
    name = here.resolve().name
    log = pathlib.Path("{log}")
    with log.open("a") as handle:
        handle.write(f"{{here.resolve().parents[1].name}} {{name}} {{seed}} {{' '.join(sys.argv[2:])}}\\n")
    earlier = sum(line.split()[1] == name for line in log.read_text().splitlines())
    fault = json.loads(pathlib.Path("{faults}").read_text()).get(name, [])
    kind = fault[earlier - 1] if earlier <= len(fault) else "fine"
    if kind == "crash":
        sys.exit("out of memory")
    rows = {{"fine": [0.5] * 9, "nan": [0.5, float("nan")], "grow": [0.1] * 3 + [90.0] * 6, "empty": []}}[kind]
    lines = ["# step rmse_trn rmse_e_trn rmse_f_trn lr"] + [f"{{i}} 1 0.1 {{f}} 1e-3" for i, f in enumerate(rows)]
    (here / "lcurve.out").write_text("\\n".join(lines) + "\\n")
    for suffix in (".meta", ".index", ".data-00000-of-00001"):
        (here / f"model.ckpt{{suffix}}").write_text(f"weights of seed {{seed}}")
elif action == "freeze":
    (here / "frozen_model.pb").write_text((here / "model.ckpt.meta").read_text())
elif action == "convert-backend":
    (here / sys.argv[3]).write_text("dp")
elif action == "compress":
    (here / sys.argv[sys.argv.index("-o") + 1]).write_text("compressed")
"""


@pytest.fixture
def stand_in(tmp_path: Path, local):
    """``stand_in(faults)`` writes the program; ``.calls()`` are its trainings: iteration, member, seed, arguments."""
    log, faults = tmp_path / "calls.log", tmp_path / "faults.json"
    program = tmp_path / "bin" / "dp"
    program.parent.mkdir()
    program.write_text(STAND_IN.format(python=sys.executable, log=log, faults=faults))
    program.chmod(0o755)

    class StandIn:
        machine = local(str(program))

        def break_down(self, **kinds: list[str]) -> None:
            faults.write_text(json.dumps({name.strip("_").replace("_", "."): kind for name, kind in kinds.items()}))

        def calls(self) -> list[tuple[str, str, int, str]]:
            lines = log.read_text().splitlines() if log.exists() else []
            parts = [line.split(maxsplit=3) for line in lines]
            return [(a, b, int(c), d) for a, b, c, d in parts]

    made = StandIn()
    made.break_down()
    return made


def committee(**changes: Any) -> CommitteeConfig:
    param = {"model": {"descriptor": {}}, "training": {"numb_steps": 10}}
    return replace(CommitteeConfig("total", 2, param, 1, 1e-4, 1.0, 1.0, 5, False), **changes)


@pytest.fixture
def plan(tmp_path: Path) -> TrainingPlan:
    train_dir = tmp_path / "iter.000000" / "00.train"
    system = train_dir / "data" / "node"
    system.mkdir(parents=True)
    (system / "type.raw").write_text("0\n")
    return TrainingPlan(train_dir, 0, (committee(),), ((MemberData((system,)),) * 2,), None, ("H",), 7)


def later(plan: TrainingPlan, iteration: int) -> TrainingPlan:
    """The plan of another iteration that follows `plan`."""
    train_dir = plan.train_dir.parents[1] / f"iter.{iteration:06d}" / "00.train"
    system = train_dir / "data" / "node"
    system.mkdir(parents=True)
    (system / "type.raw").write_text("0\n")
    data = ((MemberData((system,)),) * 2,)
    return replace(plan, train_dir=train_dir, iteration=iteration, data=data, previous_train_dir=plan.train_dir)


@pytest.mark.parametrize("kind", ["nan", "grow", "empty", "crash"])
def test_failed_training_is_repeated_with_another_seed(plan, stand_in, kind: str) -> None:
    stand_in.break_down(_001=[kind])
    trained = train_committees(plan, stand_in.machine)
    calls = stand_in.calls()
    assert sorted(name for _, name, *_ in calls) == ["000", "001", "001"]
    first, second = (seed for _, name, seed, _ in calls if name == "001")
    assert first != second
    assert trained[1].frozen.read_text() == f"weights of seed {second}"
    assert json.loads((trained[1].work_dir / "input.json").read_text())["training"]["seed"] == second
    (reasons,) = json.loads((plan.train_dir / "attempts.json").read_text()).values()
    assert len(reasons) == 1


def test_repeating_the_call_runs_nothing_again(plan, stand_in) -> None:
    stand_in.break_down(_000=["nan"])
    first = train_committees(plan, stand_in.machine)
    n_calls = len(stand_in.calls())
    seen: list[Progress] = []
    assert train_committees(plan, stand_in.machine, on_progress=seen.append) == first
    assert len(stand_in.calls()) == n_calls == 3
    assert seen[0].n_reused == 2


def test_a_person_is_asked_after_the_last_attempt_and_told_what_to_do(plan, stand_in) -> None:
    stand_in.break_down(_001=["nan"] * MAX_ATTEMPTS)
    for _ in range(2):
        with pytest.raises(NeedsPersonError, match=r"001: lcurve.out has NaN") as caught:
            train_committees(plan, stand_in.machine)
        seeds = [seed for _, name, seed, _ in stand_in.calls() if name == "001"]
        assert len(seeds) == len(set(seeds)) == MAX_ATTEMPTS
    assert str(plan.train_dir / "attempts.json") in str(caught.value) and "000" not in str(caught.value).split(": ")[1]
    (plan.train_dir / "attempts.json").unlink()
    stand_in.break_down()
    assert len(train_committees(plan, stand_in.machine)) == 2
    assert [name for _, name, *_ in stand_in.calls()].count("000") == 1


def test_seeds_differ_between_members_targets_and_iterations(plan, stand_in) -> None:
    both = replace(plan, committees=(committee(), committee(target="interaction")), data=plan.data * 2)
    trained = train_committees(both, stand_in.machine)
    assert [m.work_dir.name for m in trained] == ["000", "001", "interaction.000", "interaction.001"]
    assert [m.graph.name for m in trained][1::2] == ["graph.001.pb", "interaction.graph.001.pb"]
    train_committees(later(plan, 1), stand_in.machine)
    train_committees(replace(later(plan, 2), root_seed=8), stand_in.machine)
    seeds = [seed for *_, seed, _ in stand_in.calls()]
    assert len(seeds) == len(set(seeds)) == 8


def test_warm_start_uses_the_last_checkpoint_and_a_retry_does_not(plan, stand_in) -> None:
    train_committees(plan, stand_in.machine)
    after = later(plan, 1)
    stand_in.break_down(_001=["fine", "nan"])
    trained = train_committees(after, stand_in.machine)
    arguments = [(name, text) for iteration, name, _, text in stand_in.calls() if iteration == "iter.000001"]
    assert [("--init-model old/model.ckpt" in text) for name, text in arguments if name == "000"] == [True]
    assert [("--init-model old/model.ckpt" in text) for name, text in arguments if name == "001"] == [True, False]
    for member in trained:
        source = Member(plan.train_dir, "total", member.index).checkpoint.with_suffix(".ckpt.meta")
        assert (member.work_dir / "old" / "model.ckpt.meta").read_text() == source.read_text()
    steps = [json.loads((m.work_dir / "input.json").read_text())["training"]["numb_steps"] for m in trained]
    assert steps == [5, 10]


def test_a_missing_checkpoint_is_named(plan, stand_in) -> None:
    train_committees(plan, stand_in.machine)
    (plan.train_dir / "001" / "model.ckpt.index").unlink()
    with pytest.raises(BadInputError, match=r"001/model.ckpt.index.*training_reuse_iter"):
        train_committees(later(plan, 1), stand_in.machine)


def test_when_weights_are_reused(tmp_path: Path) -> None:
    assert not reuses(committee(), 0, tmp_path) and reuses(committee(), 1, tmp_path)
    assert not reuses(committee(), 1, None) and not reuses(committee(reuse_iter=None), 5, tmp_path)
    assert not reuses(committee(reuse_iter=3), 2, tmp_path)


def test_command_has_only_what_was_asked_for() -> None:
    plain = training_command("dp", reuse=False, compress=False, convert=False)
    assert plain == "dp train input.json --skip-neighbor-stat && dp freeze -o frozen_model.pb"
    full = training_command("dp", reuse=True, compress=True, convert=True)
    assert [part.split()[1] for part in full.split(" && ")] == ["train", "freeze", "compress", "convert-backend"]
    assert "--init-model old/model.ckpt" in full


def test_only_the_model_of_the_monte_carlo_is_converted(plan, stand_in) -> None:
    both = replace(plan, committees=(committee(), committee(target="interaction")), data=plan.data * 2)
    assert [m.engine.exists() for m in train_committees(both, stand_in.machine)] == [False, False, True, False]
    assert (both.engine_target, plan.engine_target) == ("interaction", "total")


def test_published_graph_follows_the_setting(plan, stand_in) -> None:
    (member,) = train_committees(replace(plan, committees=(committee(n_models=1),)), stand_in.machine)
    assert member.graph.resolve().name == "frozen_model.pb"
    compressed = replace(plan, committees=(committee(n_models=1, compress=True),))
    (member,) = train_committees(compressed, stand_in.machine)
    assert member.graph.read_text() == "compressed"

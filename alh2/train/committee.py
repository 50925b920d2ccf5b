"""Training of a committee: tasks, retries with another seed, and the models they leave.

Preparing and collecting never submit; `train_committees` runs them through dispatch.
"""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from alh2.config.model import CommitteeConfig, StageMachine
from alh2.core.errors import BadInputError, NeedsPersonError
from alh2.core.files import atomic_write_json, read_json
from alh2.core.frames import Target
from alh2.core.random_streams import seed_for
from alh2.dispatch.run import Progress, run_tasks
from alh2.dispatch.tasks import Task, TaskOutcome
from alh2.potential.pair_baseline import PairBaseline
from alh2.train.inputs import deepmd_input
from alh2.train.lcurve import read_lcurve
from alh2.train.members import CHECKPOINT_SUFFIXES, Member, members, reuses

TRAIN_TIMEOUT_S = 7 * 24 * 3600.0
MAX_ATTEMPTS = 3
MODEL_FILES = ("frozen_model.pb", "lcurve.out")


@dataclass(frozen=True)
class MemberData:
    """What one member is trained on.

    systems : exported systems (absolute paths below the plan's `train_dir`)
    baseline : pair potential that was taken off their labels, None where there is none
    """

    systems: tuple[Path, ...]
    baseline: PairBaseline | None = None


@dataclass(frozen=True)
class TrainingPlan:
    """What one iteration trains.

    data : of each committee and member
    previous_train_dir : ``00.train`` of the iteration before, None at the first
    """

    train_dir: Path
    iteration: int
    committees: tuple[CommitteeConfig, ...]
    data: tuple[tuple[MemberData, ...], ...]
    previous_train_dir: Path | None
    type_map: tuple[str, ...]
    root_seed: int

    @property
    def engine_target(self) -> Target:
        """Of the committee whose first model runs the Monte Carlo: interaction, or the only one there is."""
        targets = [committee.target for committee in self.committees]
        return "interaction" if "interaction" in targets else targets[0]


def training_command(dp: str, *, reuse: bool, compress: bool, convert: bool) -> str:
    """Shell line that trains, freezes and, where asked, compresses and converts to ``.dp`` one member in its folder."""
    start = " --init-model old/model.ckpt" if reuse else ""
    steps = [f"{dp} train input.json --skip-neighbor-stat{start}", f"{dp} freeze -o frozen_model.pb"]
    if compress:
        steps.append(f"{dp} compress -i frozen_model.pb -o frozen_model_compressed.pb -t input.json")
    if convert:
        steps.append(f"{dp} convert-backend frozen_model.pb frozen_model.dp")
    return " && ".join(steps)


def prepare_member(plan: TrainingPlan, number: int, member: Member, *, attempt: int, dp: str) -> Task:
    """Write the input of `member` of committee `number` and return its task; same arguments, same bytes."""
    committee, data = plan.committees[number], plan.data[number][member.index]
    work_dir = member.work_dir
    work_dir.mkdir(parents=True, exist_ok=True)
    reuse = reuses(committee, plan.iteration, plan.previous_train_dir) and attempt == 0
    seed = seed_for(plan.root_seed, "train", plan.iteration, member.target, member.index, attempt)
    systems = [os.path.relpath(path, work_dir) for path in data.systems]
    content = deepmd_input(committee, systems, type_map=plan.type_map, seed=seed, reuse=reuse)
    atomic_write_json(work_dir / "input.json", content)
    inputs = ["input.json"]
    if data.baseline is not None:
        data.baseline.save(member.pair_start)
        inputs.append(member.pair_start.name)
    if reuse:
        assert plan.previous_train_dir is not None
        inputs += _copy_checkpoint(Member(plan.previous_train_dir, member.target, member.index), work_dir)
    inputs += [
        os.path.relpath(file, plan.train_dir)
        for path in data.systems
        for file in sorted(path.rglob("*"))
        if file.is_file()
    ]
    outputs = [*MODEL_FILES, *(f"model.ckpt{suffix}" for suffix in CHECKPOINT_SUFFIXES)]
    if committee.compress:
        outputs.append("frozen_model_compressed.pb")
    convert = member.index == 0 and member.target == plan.engine_target
    if convert:
        outputs.append(member.engine.name)
    return Task(
        work_dir=work_dir,
        command=training_command(dp, reuse=reuse, compress=committee.compress, convert=convert),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        timeout_s=TRAIN_TIMEOUT_S,
        label=f"train {member.target} {member.index}",
    )


def _copy_checkpoint(old: Member, work_dir: Path) -> list[str]:
    """Copy the checkpoint of `old` into ``work_dir/old``; DeePMD wants all three files beside each other."""
    target = work_dir / "old"
    target.mkdir(exist_ok=True)
    names = []
    for suffix in CHECKPOINT_SUFFIXES:
        source = old.checkpoint.with_name(f"model.ckpt{suffix}")
        if not source.is_file():
            raise BadInputError(
                str(source),
                expected="the checkpoint of the previous iteration",
                found="no such file",
                action="restore it, or set training_reuse_iter to null to train from scratch",
            )
        destination = target / source.name
        if not destination.exists() or not filecmp.cmp(source, destination, shallow=False):
            partial = destination.with_suffix(".partial")
            shutil.copyfile(source, partial)
            os.replace(partial, destination)
        names.append(f"old/{source.name}")
    return names


def member_failure(member: Member, outcome: TaskOutcome) -> str | None:
    """Why a finished training cannot be used, None where it can."""
    if outcome.status != "done":
        return f"{outcome.status}: {outcome.message}"
    try:
        curve = read_lcurve(member.lcurve)
    except BadInputError as error:
        return str(error)
    if not curve.finite:
        return "lcurve.out has NaN or infinite errors (the training diverged)"
    if curve.diverged:
        return "the force errors in lcurve.out grew tenfold (the training diverged)"
    return None


def train_committees(
    plan: TrainingPlan, machine: StageMachine, *, on_progress: Callable[[Progress], None] | None = None
) -> list[Member]:
    """Train all members of all committees, two-level retry: a diverged member is trained again with another seed.

    Raises NeedsPersonError naming the members that failed MAX_ATTEMPTS times.
    """
    jobs = [
        (number, member)
        for number, committee in enumerate(plan.committees)
        for member in members(plan.train_dir, committee.target, committee.n_models)
    ]
    attempts = _Attempts(plan.train_dir / "attempts.json")
    while True:
        tasks = [
            prepare_member(plan, number, member, attempt=attempts.of(member), dp=machine.command)
            for number, member in jobs
        ]
        outcomes = run_tasks(
            tasks,
            machine=machine,
            base_dir=plan.train_dir,
            name=f"train.{plan.iteration:06d}",
            on_progress=on_progress,
        )
        failures = {
            member.work_dir.name: (member, reason)
            for (_, member), outcome in zip(jobs, outcomes, strict=True)
            if (reason := member_failure(member, outcome)) is not None
        }
        if not failures:
            break
        exhausted = [
            f"{name}: {reason}"
            for name, (member, reason) in failures.items()
            if attempts.of(member) + 1 >= MAX_ATTEMPTS
        ]
        if exhausted:
            raise NeedsPersonError(
                f"training failed {MAX_ATTEMPTS} times with different seeds in {plan.train_dir}: "
                + "; ".join(exhausted)
                + f"; mend the cause, then remove {attempts.path} and repeat the command"
            )
        for member, reason in failures.values():
            attempts.add(member, reason)
    for number, member in jobs:
        _publish_graph(member, compressed=plan.committees[number].compress)
    return [member for _, member in jobs]


class _Attempts:
    """Reasons of failed trainings per member, kept on disk so that a resumed campaign uses the same seeds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reasons: dict[str, list[str]] = read_json(path) if path.exists() else {}

    def of(self, member: Member) -> int:
        """Attempts that failed so far."""
        return len(self._reasons.get(member.work_dir.name, []))

    def add(self, member: Member, reason: str) -> None:
        """Record one more failure."""
        self._reasons.setdefault(member.work_dir.name, []).append(reason)
        atomic_write_json(self.path, self._reasons)


def _publish_graph(member: Member, *, compressed: bool) -> None:
    """Point ``graph.NNN.pb`` at the model exploration uses (relative link, replaced in one step)."""
    name = "frozen_model_compressed.pb" if compressed else "frozen_model.pb"
    temporary = member.graph.with_suffix(".tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(f"{member.work_dir.name}/{name}")
    os.replace(temporary, member.graph)

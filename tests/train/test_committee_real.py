"""Real training by ``dp``."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from alh2.dispatch.run import Progress
from alh2.train.committee import _copy_checkpoint, train_committees
from alh2.train.lcurve import read_lcurve
from alh2.train.members import CHECKPOINT_SUFFIXES, Member

N_STEPS = 120


def test_training_leaves_models_checkpoints_and_curves(trained_committee) -> None:
    for member in trained_committee.members:
        assert member.graph.is_symlink()
        assert member.graph.resolve() == member.work_dir.resolve() / "frozen_model_compressed.pb"
        assert all(member.checkpoint.with_name(f"model.ckpt{s}").is_file() for s in CHECKPOINT_SUFFIXES)
        assert f"model.ckpt-{N_STEPS}" in (member.work_dir / "checkpoint").read_text()
        curve = read_lcurve(member.lcurve)
        assert curve.steps.tolist() == [0, 50, 100] and curve.finite and not curve.diverged
    first, second = trained_committee.members
    assert first.engine.is_file() and not second.engine.exists()


def test_members_differ_in_seed_and_in_forces(trained_committee, loaded_frames) -> None:
    from alh2.potential.evaluate import evaluate_committee

    seeds = [json.loads((m.work_dir / "input.json").read_text())["training"]["seed"] for m in trained_committee.members]
    assert len(set(seeds)) == 2
    answer = evaluate_committee([m.frozen for m in trained_committee.members], [loaded_frames[0].frame])
    assert np.abs(answer.forces_ev_ang[0] - answer.forces_ev_ang[1]).max() > 1e-3


def test_same_call_runs_nothing_again(trained_committee, local) -> None:
    seen: list[Progress] = []
    before = [m.frozen.stat().st_mtime_ns for m in trained_committee.members]
    again = train_committees(trained_committee.plan, local("dp"), on_progress=seen.append)
    assert tuple(again) == trained_committee.members
    assert seen[0].n_reused == seen[0].n_total == 2
    assert [m.frozen.stat().st_mtime_ns for m in trained_committee.members] == before
    assert not (trained_committee.plan.train_dir / "attempts.json").exists()


def test_next_iteration_starts_from_the_weights_of_the_last(
    trained_committee, loaded_frames, empty_frames, local
) -> None:
    """Two steps at no learning rate to speak of leave the model as it was."""
    from alh2.potential.evaluate import evaluate_committee

    plan = trained_committee.plan
    train_dir = plan.train_dir.parents[1] / "iter.000001" / "00.train"
    param = {**plan.committees[0].training_param, "learning_rate": {"type": "exp", "stop_lr": 1e-13, "decay_steps": 1}}
    committee = replace(
        plan.committees[0],
        n_models=1,
        compress=False,
        training_param=param,
        reuse_n_steps=2,
        reuse_start_lr=1e-12,
    )
    later = replace(plan, train_dir=train_dir, iteration=1, committees=(committee,), previous_train_dir=plan.train_dir)
    (member,) = train_committees(later, local("dp"))
    assert json.loads((member.work_dir / "input.json").read_text())["training"]["numb_steps"] == 2
    assert member.graph.resolve() == member.frozen.resolve()
    frames = [loaded_frames[5].frame, empty_frames[5].frame]
    answer = evaluate_committee([trained_committee.members[0].frozen, member.frozen], frames)
    np.testing.assert_allclose(answer.energies_ev[1], answer.energies_ev[0], atol=1e-6, rtol=0)
    np.testing.assert_allclose(answer.forces_ev_ang[1], answer.forces_ev_ang[0], atol=1e-6, rtol=0)


def test_a_retrained_checkpoint_of_the_same_size_is_copied_again(trained_committee, tmp_path: Path) -> None:
    old = Member(tmp_path, "total", 0)
    shutil.copytree(trained_committee.members[0].work_dir, old.work_dir, symlinks=False)
    work_dir = tmp_path / "new"
    work_dir.mkdir()
    _copy_checkpoint(old, work_dir)
    data = old.checkpoint.with_name("model.ckpt.data-00000-of-00001")
    content = bytearray(data.read_bytes())
    content[100] ^= 1
    data.write_bytes(bytes(content))
    _copy_checkpoint(old, work_dir)
    assert (work_dir / "old" / data.name).read_bytes() == bytes(content)

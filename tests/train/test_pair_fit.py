"""The fit of the pair baseline, on energies whose pair terms are known and on real xTB labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from alh2.config.model import CommitteeConfig
from alh2.core.errors import BadInputError
from alh2.core.frames import Frame, Label, LabelledFrame, Provenance
from alh2.label import xtb
from alh2.potential.pair_baseline import PairBaseline, Spline
from alh2.train import pair_fit
from alh2.train.members import Member
from alh2.train.pair_fit import (
    BEFORE,
    N_FOLDS,
    NEIGHBOURS,
    RELATIVE,
    SMOOTHNESS,
    Equations,
    corrected_baseline,
    empty_baseline,
    fit_pair_baseline,
    learnable,
    least_squares,
    member_baseline,
)

HOST = ("Al", "O", "O")
KINDS = ("Al(O2)", "O(Al)")
RCUT = 6.0


def truth() -> PairBaseline:
    """A pair potential that the knots of the fit can express: wells of 10 to 80 meV and a stiff bond."""
    shape = empty_baseline(KINDS, RCUT)
    n = len(shape.pairs[0].coefficients_ev)
    r = shape.pairs[0].first_ang + shape.pairs[0].spacing_ang * (np.arange(n) - 1)

    def well(depth_ev: float, place_ang: float) -> Spline:
        values = depth_ev * (np.exp(-4.0 * (r - place_ang)) - 2.0 * np.exp(-2.0 * (r - place_ang)))
        values[-3:] = 0.0
        return replace(shape.pairs[0], coefficients_ev=tuple(values.tolist()))

    bonds = shape.bond.first_ang + shape.bond.spacing_ang * (np.arange(len(shape.bond.coefficients_ev)) - 1)
    bond = replace(shape.bond, coefficients_ev=tuple((-28.2 + 18.0 * (bonds - 0.766) ** 2).tolist()))
    wells = (well(0.08, 2.6), well(0.01, 3.0), well(0.004, 3.4), well(0.02, 3.1), *(well(0.003, 3.3),) * 3)
    return replace(shape, pairs=wells, bond=bond)


def frames(rng: np.random.Generator, count: int, *, known: PairBaseline | None) -> list[LabelledFrame]:
    """Random frames of one to three H2 no closer than 1.6 Å, labelled by `known` and a host energy."""
    made = []
    while len(made) < count:
        n_h2 = int(rng.integers(1, 4))
        parts = [np.array([[5.0, 5, 5], [6.8, 5, 5], [5, 6.8, 5]])]
        for _ in range(n_h2):
            half = rng.normal(size=3)
            half *= 0.5 * (0.766 + 0.02 * rng.normal()) / np.linalg.norm(half)
            centre = 10.0 * rng.random(3)
            parts.append(np.array([centre - half, centre + half]))
        positions = np.concatenate(parts)
        frame = Frame((*HOST, *("H",) * (2 * n_h2)), positions, 12.5 * np.eye(3), len(HOST), "x")
        distance = np.linalg.norm(positions[:, None] - positions[None], axis=2) + 9.0 * np.eye(len(positions))
        distance[:3, :3] = 9.0
        for k in range(n_h2):
            distance[3 + 2 * k, 4 + 2 * k] = distance[4 + 2 * k, 3 + 2 * k] = 9.0
        if distance.min() < 1.6:
            continue
        own = known.label(frame) if known else Label(0.0, np.zeros((frame.n_atoms, 3)), "x")
        host = Label(-7.0, rng.normal(size=(len(HOST), 3)), "x")
        forces = own.forces_ev_ang.copy()
        forces[: len(HOST)] += host.forces_ev_ang
        made.append(LabelledFrame(frame, Label(own.energy_ev - 7.0, forces, "x"), host))
    return made


def test_pair_terms_that_are_there_are_found() -> None:
    rng = np.random.default_rng(3)
    known = truth()
    fitted = fit_pair_baseline(frames(rng, 150, known=known), cutoff_ang=RCUT)
    assert fitted.kinds == KINDS
    fresh = frames(rng, 60, known=known)
    energies = np.array([known.label(f.frame).energy_ev + 28.2 * f.frame.n_h2 for f in fresh])
    errors = np.array([fitted.label(f.frame).energy_ev - known.label(f.frame).energy_ev for f in fresh])
    reached = energies < 0.5
    assert reached.sum() > 30 and energies[reached].std() > 0.05
    assert np.sqrt(np.mean(errors[reached] ** 2)) < 0.003
    force = [np.abs(fitted.label(f.frame).forces_ev_ang - f.forces_ev_ang("interaction")).max() for f in fresh]
    assert np.median(force) < 0.02


def test_smoothness_is_what_predicts_frames_left_out() -> None:
    """Against fits to four fifths of the frames, made and judged one by one; a frame drawn twice is left out whole."""
    rng = np.random.default_rng(4)
    known = frames(rng, 40, known=truth())
    known = [*known, *known[:7]]
    shape = empty_baseline(KINDS, RCUT)
    labels = [Label(f.energy_ev("interaction"), f.forces_ev_ang("interaction"), "x") for f in known]
    order = {f.frame.digest: k for k, f in enumerate(known[:40])}
    fold = np.array([order[f.frame.digest] // NEIGHBOURS % N_FOLDS for f in known])
    errors = []
    for smoothness in SMOOTHNESS:
        left = 0.0
        for k in range(N_FOLDS):
            kept = Equations.empty(shape)
            for i in np.flatnonzero(fold != k):
                kept.add(shape, known[i], labels[i], BEFORE, -28.2)
            values = kept.solution(shape, pair_fit._free(shape, centres=True), smoothness)
            for i in np.flatnonzero(fold == k):
                single = Equations.empty(shape)
                single.add(shape, known[i], labels[i], BEFORE, -28.2)
                left += single.misfit(values)
        errors.append(left)
    wanted = _fitted_with(shape, known, labels, SMOOTHNESS[int(np.argmin(errors))])
    assert wanted == pytest.approx(least_squares(shape, known, labels, BEFORE, gas_ev=-28.2), abs=1e-6)
    assert SMOOTHNESS.index(SMOOTHNESS[int(np.argmin(errors))]) > 0  # 40 exact frames tell more than a straight line


def _fitted_with(shape: PairBaseline, known: list[LabelledFrame], labels: list[Label], smoothness: float) -> np.ndarray:
    whole = Equations.empty(shape)
    for labelled, label in zip(known, labels, strict=True):
        whole.add(shape, labelled, label, BEFORE, -28.2)
    return whole.solution(shape, pair_fit._free(shape, centres=True), smoothness)


def test_misfit_is_the_weighted_sum_of_squares() -> None:
    (known,) = frames(np.random.default_rng(5), 1, known=truth())
    label = Label(known.energy_ev("interaction"), known.forces_ev_ang("interaction"), "x")
    equations = Equations.empty(empty_baseline(KINDS, RCUT))
    equations.add(empty_baseline(KINDS, RCUT), known, label, BEFORE, -28.2)
    other = replace(truth(), bond=replace(truth().bond, coefficients_ev=(-28.0,) * len(truth().bond.coefficients_ev)))
    n = known.frame.n_h2
    width = BEFORE.energy_ev * n + RELATIVE * abs(label.energy_ev + 28.2 * n)
    got = other.label(known.frame)
    lengths = np.linalg.norm(label.forces_ev_ang, axis=1)[:, None]
    wanted = ((got.energy_ev - label.energy_ev) / width) ** 2
    touched = np.any(np.abs(truth().label(known.frame).forces_ev_ang) > 0, axis=1)
    off = (got.forces_ev_ang - label.forces_ev_ang) / (BEFORE.force_ev_ang + RELATIVE * lengths)
    wanted += float((off[touched] ** 2).sum())
    assert equations.misfit(other.coefficients_ev) == pytest.approx(wanted, rel=1e-6)


def test_a_few_noisy_frames_get_smoother_terms_than_many_exact_ones() -> None:
    rng = np.random.default_rng(6)
    many, few = frames(rng, 120, known=truth()), []
    for f in frames(rng, 24, known=truth()):
        noisy = f.label.forces_ev_ang + 0.3 * rng.normal(size=f.label.forces_ev_ang.shape)
        few.append(replace(f, label=replace(f.label, forces_ev_ang=noisy)))

    def bends(fitted: PairBaseline) -> float:
        return float(np.mean([np.abs(np.diff(s.coefficients_ev, 2)).mean() for s in fitted.pairs]))

    exact = bends(fit_pair_baseline(many, cutoff_ang=RCUT))
    assert bends(fit_pair_baseline(few, cutoff_ang=RCUT)) < exact


def test_it_repels_where_the_data_end() -> None:
    fitted = fit_pair_baseline(frames(np.random.default_rng(3), 150, known=truth()), cutoff_ang=RCUT)

    def energy(r: float) -> float:
        positions = np.array([[10.0, 10, 10], [10 + r, 10, 10 - 0.383], [10 + r, 10, 10 + 0.383]])
        return fitted.label(Frame(("Al", "H", "H"), positions, 40.0 * np.eye(3), 1, "x")).energy_ev

    values = [energy(r) for r in (1.8, 1.6, 1.4, 1.2, 1.0, 0.8)]
    assert np.all(np.diff(values) > 0.05)


def test_threads_of_the_computer_change_no_bit(loaded_frames: list[LabelledFrame]) -> None:
    """A driver resumed with other processors must find the inputs of finished training as they were."""
    labelled = []
    for f in loaded_frames:
        host = Label(0.0, np.zeros((f.frame.n_host, 3)), "x")
        labelled.append(LabelledFrame(f.frame, f.label, host))
    fits = []
    for threads in (1, 2, 3):
        with threadpool_limits(limits=threads, user_api="blas"):
            fits.append(fit_pair_baseline(labelled, cutoff_ang=RCUT))
    assert fits[0] == fits[1] == fits[2]


@pytest.mark.physics
def test_real_interactions_lose_part_of_their_force(loaded_frames: list[LabelledFrame]) -> None:
    """GFN1-xTB, six H2 moved by 0.3 Å: fitted to 14 frames, pair terms explain part of the force of 4 others."""
    rng = np.random.default_rng(11)
    labelled = []
    for f in loaded_frames[:18]:
        positions = f.frame.positions_ang.copy()
        positions[f.frame.n_host :] += np.repeat(0.3 * rng.normal(size=(f.frame.n_h2, 3)), 2, axis=0)
        frame = replace(f.frame, positions_ang=positions)
        answers = [xtb.compute(each, {}) for each in (frame, frame.bare_host())]
        loaded, bare = (Label(answer.energy_ev, answer.forces_ev_ang, "xtb") for answer in answers)
        labelled.append(LabelledFrame(frame, loaded, bare))
    fitted = fit_pair_baseline(labelled[:14], cutoff_ang=RCUT)
    before = np.concatenate([f.forces_ev_ang("interaction") for f in labelled[14:]])
    after = np.concatenate([fitted.rest(f).forces_ev_ang("interaction") / fitted.scale for f in labelled[14:]])
    assert np.sqrt(np.mean(after**2)) < 0.75 * np.sqrt(np.mean(before**2))


def committee(**changes: object) -> CommitteeConfig:
    param = {"model": {"descriptor": {"rcut": RCUT}}, "training": {"numb_steps": 10}}
    made = CommitteeConfig("interaction", 2, param, 1, 1e-4, 1.0, 1.0, 5, False, pair_baseline=True)
    return replace(made, **changes)


def baseline_of(
    config: CommitteeConfig, index: int, known: list[LabelledFrame], *, iteration: int, before: Path | None
) -> PairBaseline | None:
    member = Member(Path("here"), "interaction", index)
    return member_baseline(config, known, member, iteration=iteration, previous_train_dir=before, root_seed=1)


def test_the_first_member_has_all_frames_and_the_others_draw() -> None:
    known = frames(np.random.default_rng(1), 60, known=truth())
    first, second, third = (baseline_of(committee(), k, known, iteration=0, before=None) for k in range(3))
    assert first == fit_pair_baseline(known, cutoff_ang=RCUT)
    assert len({b.pairs for b in (first, second, third)}) == 3
    assert second == baseline_of(committee(), 1, known, iteration=0, before=None)
    assert second != baseline_of(committee(), 1, known, iteration=1, before=None)


def test_models_on_total_energies_share_terms_between_atoms(tmp_path: Path) -> None:
    known = frames(np.random.default_rng(1), 40, known=truth())
    total = replace(committee(), target="total")
    first, second = (
        member_baseline(total, known, Member(tmp_path, "total", k), iteration=0, previous_train_dir=None, root_seed=1)
        for k in (0, 1)
    )
    assert first is not None and first == second and first.scale == 1.0
    assert not any(any(first.pairs[k].coefficients_ev) for k in first.centre_terms())
    kept = [k for k in range(len(first.pairs)) if k not in first.centre_terms()]
    assert all(any(first.pairs[k].coefficients_ev) for k in kept)
    (own,) = frames(np.random.default_rng(2), 1, known=truth())
    left = first.total_rest(own)
    under = first.label(own.frame)
    assert left.label.energy_ev == pytest.approx(own.label.energy_ev - under.energy_ev)
    np.testing.assert_allclose(left.label.forces_ev_ang, own.label.forces_ev_ang - under.forces_ev_ang)
    assert left.host_label is own.host_label
    with pytest.raises(ValueError, match="scale 2"):
        replace(first, scale=2.0).total_rest(own)
    bare = [replace(f, host_label=None) for f in known]
    nothing = Member(tmp_path, "total", 0)
    assert member_baseline(total, bare, nothing, iteration=0, previous_train_dir=None, root_seed=1) is None


def test_what_is_left_is_as_large_as_untrained_networks_say() -> None:
    known = frames(np.random.default_rng(1), 40, known=truth())
    noise = np.random.default_rng(2)
    noisy = []
    for f in known:
        forces = f.label.forces_ev_ang + 0.05 * noise.normal(size=(f.frame.n_atoms, 3))
        noisy.append(replace(f, label=replace(f.label, forces_ev_ang=forces)))
    fitted = fit_pair_baseline(noisy, cutoff_ang=RCUT)
    left = np.concatenate([fitted.rest(f).forces_ev_ang("interaction").ravel() for f in noisy])
    assert np.mean(np.abs(left) < 1.0) == pytest.approx(0.95, abs=0.01)
    assert 3 < fitted.scale < 15


def test_networks_that_start_from_older_ones_keep_the_scale(tmp_path: Path) -> None:
    older = replace(truth(), scale=7.0)
    older.save(Member(tmp_path, "interaction", 0).pair_baseline)
    known = frames(np.random.default_rng(2), 40, known=truth())
    warm = baseline_of(committee(), 0, known, iteration=1, before=tmp_path)
    assert warm.scale == 7.0 and warm.pairs != older.pairs
    fresh = baseline_of(committee(reuse_iter=None), 0, known, iteration=1, before=tmp_path)
    assert fresh.scale != 7.0 and fresh.pairs == warm.pairs


def test_models_without_baseline_stay_without(tmp_path: Path) -> None:
    known = frames(np.random.default_rng(1), 10, known=truth())
    assert baseline_of(committee(pair_baseline=False), 0, known, iteration=0, before=None) is None
    assert baseline_of(committee(), 0, known, iteration=1, before=tmp_path) is None


def test_labels_of_the_bare_host_are_needed() -> None:
    bare = [replace(f, host_label=None) for f in frames(np.random.default_rng(1), 3, known=None)]
    with pytest.raises(BadInputError, match="a label of their bare host, found none of 3"):
        fit_pair_baseline(bare, cutoff_ang=RCUT)


def test_what_networks_leave_is_added_and_nothing_else() -> None:
    rng = np.random.default_rng(4)
    known, fresh = frames(rng, 120, known=truth()), frames(rng, 40, known=truth())
    start = fit_pair_baseline(known, cutoff_ang=RCUT)
    spline = replace(start.pairs[0], coefficients_ev=tuple(0.02 * np.arange(len(start.pairs[0].coefficients_ev))[::-1]))
    wrong = replace(empty_baseline(start.kinds, RCUT), pairs=(spline, *empty_baseline(start.kinds, RCUT).pairs[1:]))

    def predicted(labelled: LabelledFrame, *, error: PairBaseline | None) -> Label:
        """The truth but for noise and an error that is alike everywhere, as a trained network's is."""
        own = truth().label(labelled.frame)
        if error is None:
            return own
        more, noise = error.label(labelled.frame), 0.002 * rng.normal() * labelled.frame.n_h2
        return Label(own.energy_ev + noise + more.energy_ev, own.forces_ev_ang + more.forces_ev_ang, "network")

    def off(baseline: PairBaseline) -> np.ndarray:
        """What the same network is off by, per molecule, on fresh frames with `baseline` instead of `start`."""
        return np.array(
            [
                (wrong.label(f.frame).energy_ev + baseline.label(f.frame).energy_ev - start.label(f.frame).energy_ev)
                / f.frame.n_h2
                for f in fresh
            ]
        )

    before = off(start)
    assert np.abs(before.mean()) > 0.03
    corrected = corrected_baseline(start, known, [predicted(f, error=wrong) for f in known])
    assert (corrected.scale, corrected.kinds) == (start.scale, start.kinds)
    after = off(corrected)
    assert np.abs(after.mean()) < 0.05 * np.abs(before.mean())
    assert np.sqrt(np.mean(after**2)) < 0.1 * np.sqrt(np.mean(before**2))
    right = corrected_baseline(start, known, [predicted(f, error=None) for f in known])
    np.testing.assert_allclose(right.coefficients_ev, start.coefficients_ev, rtol=0.0, atol=1e-9)


def test_walls_that_the_terms_miss_are_not_learned_but_what_exploration_found_is() -> None:
    known = frames(np.random.default_rng(1), 60, known=truth())
    fitted = replace(fit_pair_baseline(known, cutoff_ang=RCUT), scale=25.0)

    def off_by(force_ev_ang: float, iteration: int) -> LabelledFrame:
        forces = fitted.label(known[0].frame).forces_ev_ang
        forces[: len(HOST)] += known[0].host_label.forces_ev_ang
        forces[-1, 0] += force_ev_ang
        frame = replace(known[0].frame, provenance=Provenance("bootstrap" if iteration < 0 else "gcmc", iteration))
        return replace(known[0], frame=frame, label=replace(known[0].label, forces_ev_ang=forces))

    assert learnable(fitted, off_by(0.19, -1))  # 5 / 25 = 0.2 eV/Å
    assert not learnable(fitted, off_by(0.21, -1))
    assert learnable(fitted, off_by(3.0, 0))
    assert learnable(replace(fitted, scale=100.0), off_by(0.09, -1))  # never below 0.1 eV/Å
    assert not learnable(replace(fitted, scale=100.0), off_by(-0.11, -1))

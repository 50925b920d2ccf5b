"""Geometric sanity on real node frames, broken on purpose, and against brute force in awkward cells."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from alh2.core.errors import BadInputError
from alh2.core.frames import Frame
from alh2.select.sanity import HostBonds, find_insane

NO_BONDS = HostBonds(np.zeros((0, 2)), np.zeros(0))


def changed(frame: Frame, positions: np.ndarray) -> Frame:
    return Frame(frame.symbols, positions, frame.cell_ang, frame.n_host, frame.host_id)


def test_all_real_frames_are_sane(node_frames, node_bonds, config):
    assert find_insane(node_frames, config, node_bonds) == [None] * 350


def test_all_real_frames_are_sane_wherever_the_cell_is_cut(node_frames, node_bonds, config):
    cut = []
    for frame in node_frames[::10]:
        scaled = frame.positions_ang @ np.linalg.inv(frame.cell_ang) + [0.53, 0.47, 0.5]
        cut.append(changed(frame, (scaled - np.floor(scaled)) @ frame.cell_ang))
    assert find_insane(cut, config, node_bonds) == [None] * len(cut)


def test_each_way_of_breaking_a_frame_has_its_reason(node_frames, node_bonds, config):
    frame = node_frames[7]

    def edit(atom: int, position: np.ndarray) -> Frame:
        positions = frame.positions_ang.copy()
        positions[atom] = position
        return changed(frame, positions)

    at = frame.positions_ang
    axis = (at[31] - at[30]) / np.linalg.norm(at[31] - at[30])
    lattice = frame.cell_ang.sum(axis=0)
    broken = [
        edit(32, at[0] + [0.0, 0.0, 0.9]),  # guest on µ3-O
        edit(32, at[0] + [0.0, 0.0, 0.9] + lattice),  # the same through the boundary
        edit(32, at[36] + [0.0, 0.8, 0.0]),  # guest on another guest
        edit(5, at[6] + [0.1, 0.0, 0.0]),  # host on host
        edit(31, at[30] + 1.3 * axis),  # H2 dissociated
        edit(23, at[23] + 4.0 * (at[23] - at[16]) / np.linalg.norm(at[23] - at[16])),  # OH torn apart
        edit(2, np.full(3, np.nan)),
        frame,
    ]
    words = ("overlap: O0–H32", "overlap: O0–H32", "–H36", "overlap: O5–O6 0.10", "H2 bond 1.30 Å > 1.10 Å")
    reasons = find_insane(broken, config, node_bonds)
    for reason, word in zip(reasons, words, strict=False):
        assert reason is not None and word in reason
    assert "framework bond" in reasons[5] and "H23" in reasons[5] and "> 1.35" in reasons[5]
    assert reasons[6] == "positions are not finite"
    assert reasons[7] is None


def test_limits_are_the_configured_ones(node_frames, config):
    frame = node_frames[0]
    guests = frame.positions_ang[30:]
    others = np.concatenate([frame.positions_ang[:30], guests])
    shortest = min(
        float(np.linalg.norm(guests[g] - others[o]))
        for g in range(12)
        for o in range(42)
        if o < 30 or (o - 30) // 2 != g // 2
    )
    bond = float(np.linalg.norm(guests[1::2] - guests[::2], axis=1).max())
    for change in (
        {"min_distance_ang": shortest + 1e-6},
        {"h2_bond_max_ang": bond - 1e-6},
    ):
        assert find_insane([frame], replace(config, **change), NO_BONDS)[0] is not None
    exact = replace(config, min_distance_ang=shortest - 1e-6, h2_bond_max_ang=bond + 1e-6)
    assert find_insane([frame], exact, NO_BONDS) == [None]


@pytest.mark.parametrize(
    "cell",
    [
        np.diag([4.0, 5.0, 6.0]),
        np.array([[5.0, 0.0, 0.0], [2.4, 4.5, 0.0], [-2.3, 1.9, 4.2]]),
        np.array([[4.0, 0.0, 0.0], [11.0, 4.0, 0.0], [-9.0, 13.0, 4.5]]),  # far from reduced
    ],
)
def test_overlaps_agree_with_brute_force_over_images(cell, config):
    rng = np.random.default_rng(4)
    shifts = np.stack(np.meshgrid(*[np.arange(-5, 6)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) @ cell
    frames, expected = [], []
    for _ in range(60):
        centres = rng.random((4, 3)) @ cell
        axes = rng.normal(size=(3, 3))
        axes *= 0.37 / np.linalg.norm(axes, axis=1)[:, None]
        positions = np.vstack([centres[:1], np.stack([centres[1:] - axes, centres[1:] + axes], axis=1).reshape(-1, 3)])
        frames.append(Frame(("Al", *"HHHHHH"), positions + rng.integers(-2, 3, (7, 1)) @ cell[:1], cell, 1, "al"))
        closest = min(
            float(np.linalg.norm(positions[i] - positions[j] + shifts, axis=1).min())
            for i in range(7)
            for j in range(i)
            if j == 0 or (i - 1) // 2 != (j - 1) // 2
        )
        expected.append(closest < config.min_distance_ang)
    found = find_insane(frames, config, NO_BONDS)
    assert [reason is not None for reason in found] == expected
    assert 5 < sum(expected) < 58


def test_bonds_of_another_host_are_refused(node_frames, config):
    with pytest.raises(BadInputError, match="host bonds for node"):
        find_insane(node_frames[:1], config, HostBonds(np.array([[0, 31]]), np.array([1.0])))
    with pytest.raises(BadInputError, match="bond lengths"):
        HostBonds(np.array([[0, 1]]), np.array([1.0, 2.0]))


def test_gas_and_bare_hosts_have_nothing_to_break(node_frames, node_bonds, config):
    gas = Frame(("H", "H"), np.array([[0.0, 0, 0], [0.0, 0, 15.3]]), np.eye(3) * 16.0, 0)
    assert find_insane([gas, node_frames[0].bare_host()], config, node_bonds) == [None, None]


def test_ten_thousand_frames_take_seconds(node_frames, node_bonds, config):
    many = [node_frames[i % 350] for i in range(10_000)]
    started = time.process_time()
    assert not any(find_insane(many, config, node_bonds))
    assert time.process_time() - started < 15.0

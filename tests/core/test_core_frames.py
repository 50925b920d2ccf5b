"""Frames and labels: what is stored, what a digest sees, and energies and forces for each target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alh2.core.atoms import from_atoms, to_atoms
from alh2.core.frames import Frame, Label, LabelledFrame, Provenance
from alh2.core.gas import GAS_BOX_ANG, gas_molecule

SYMBOLS = ("Al", "O", "O", "H", "H", "H", "H")


def frame(**changes) -> Frame:
    positions = np.random.default_rng(3).uniform(0, 8, (7, 3))
    values = {"symbols": SYMBOLS, "positions_ang": positions, "cell_ang": 9.0 * np.eye(3), "n_host": 3}
    return Frame(**{**values, "host_id": "toy", **changes})


def test_counts_and_parts() -> None:
    whole = frame(provenance=Provenance("md", 2, "x", 77.0))
    assert (whole.n_atoms, whole.n_host, whole.n_h2) == (7, 3, 2)
    bare = whole.bare_host()
    assert (bare.n_h2, bare.symbols, bare.host_id, bare.provenance) == (0, SYMBOLS[:3], "toy", whole.provenance)
    for index, kept in ((0, [0, 1, 2, 5, 6]), (1, [0, 1, 2, 3, 4])):
        less = whole.without_molecule(index)
        assert less.n_h2 == 1 and np.array_equal(less.positions_ang, whole.positions_ang[kept])
    for index in (-1, 2):
        with pytest.raises(IndexError):
            whole.without_molecule(index)
        with pytest.raises(IndexError):
            gas_molecule(whole, index)


@pytest.mark.parametrize(
    "changes",
    [
        {"symbols": SYMBOLS[:6]},
        {"cell_ang": np.eye(2)},
        {"n_host": 4},
        {"n_host": 2},
        {"n_host": 8},
        {"n_host": -4},
        {"positions_ang": np.zeros((7, 2))},
    ],
)
def test_what_is_no_frame_is_refused(changes) -> None:
    with pytest.raises(ValueError):
        frame(**changes)


def test_frame_keeps_its_own_copy() -> None:
    positions, cell = np.zeros((7, 3)), 9.0 * np.eye(3)
    kept = frame(positions_ang=positions, cell_ang=cell)
    digest = kept.digest
    positions[0], cell[0, 0] = 1.0, 1.0
    assert kept.positions_ang.max() == 0.0 and kept.cell_ang[0, 0] == 9.0
    assert frame(positions_ang=kept.positions_ang, cell_ang=kept.cell_ang).digest == digest


def test_digest_sees_content_and_not_origin() -> None:
    base = frame()
    moved = base.positions_ang.copy()
    moved[6, 2] = np.nextafter(moved[6, 2], 9.0)
    strained = base.cell_ang.copy()
    strained[2, 0] = 1e-12
    others = [
        replace(base, positions_ang=moved),
        replace(base, cell_ang=strained),
        replace(base, host_id="other"),
        replace(base, symbols=("O", "Al", "O", "H", "H", "H", "H")),
        replace(base, symbols=("Al", "O", "O", "H", "H", "H", "H"), n_host=5),
        base.bare_host(),
    ]
    assert len({f.digest for f in (base, *others)}) == 1 + len(others)
    assert replace(base, provenance=Provenance("gcmc", 4)).digest == base.digest
    order = np.asfortranarray(base.positions_ang).astype(">f8")
    assert replace(base, positions_ang=order).digest == base.digest


def test_interaction_energy_and_forces() -> None:
    rng = np.random.default_rng(5)
    whole = frame()
    label = Label(-10.0, rng.normal(size=(7, 3)), "x")
    host = Label(-8.5, rng.normal(size=(3, 3)), "x")
    both = LabelledFrame(whole, label, host)
    assert both.energy_ev("interaction") == pytest.approx(-1.5)
    forces = both.forces_ev_ang("interaction")
    assert np.allclose(forces[:3], label.forces_ev_ang[:3] - host.forces_ev_ang)
    assert np.array_equal(forces[3:], label.forces_ev_ang[3:])
    assert both.energy_ev() == -10.0 and both.forces_ev_ang() is label.forces_ev_ang
    alone = LabelledFrame(whole, label)
    assert alone.has_target("total") and not alone.has_target("interaction")
    for ask in (alone.energy_ev, alone.forces_ev_ang):
        with pytest.raises(ValueError, match="no bare-host label"):
            ask("interaction")


def test_bare_host_has_no_interaction_and_gas_is_its_own() -> None:
    bare = frame().bare_host()
    host = Label(-8.5, np.ones((3, 3)), "x")
    empty = LabelledFrame(bare, host, host)
    assert empty.energy_ev("interaction") == 0.0 and not empty.forces_ev_ang("interaction").any()
    gas = LabelledFrame(gas_molecule(frame(), 0), Label(-31.7, np.zeros((2, 3)), "x"))
    assert gas.has_target("interaction") and gas.energy_ev("interaction") == -31.7


def test_gas_molecule_across_the_boundary_of_a_skewed_cell() -> None:
    rng = np.random.default_rng(8)
    cell = np.array([[9.0, 0.0, 0.0], [4.0, 8.0, 0.0], [-3.0, 3.5, 7.0]])
    step = rng.normal(size=3)
    step *= 0.7414 / np.linalg.norm(step)
    for _ in range(50):
        first = rng.uniform(size=3) @ cell
        images = rng.integers(-3, 4, (2, 3)) @ cell
        split = Frame(("H", "H"), np.array([first, first + step]) + images, cell, 0)
        gas = gas_molecule(split, 0)
        assert gas.positions_ang[1, 2] - gas.positions_ang[0, 2] == pytest.approx(0.7414, abs=1e-9)
        assert np.allclose(gas.positions_ang.mean(axis=0), GAS_BOX_ANG / 2)
    assert (gas.n_host, gas.n_h2, gas.host_id, gas.provenance.source) == (0, 1, "", "gas")


def test_rigid_molecules_of_one_length_are_one_gas_frame() -> None:
    rng = np.random.default_rng(9)
    digests = set()
    for _ in range(20):
        axis = rng.normal(size=3)
        pair = 4.0 + np.array([np.zeros(3), 0.75 * axis / np.linalg.norm(axis)])
        digests.add(gas_molecule(Frame(("H", "H"), pair, 9.0 * np.eye(3), 0), 0).digest)
    assert len(digests) == 1


def test_ase_round_trip() -> None:
    whole = frame(provenance=Provenance("md"))
    atoms = to_atoms(whole)
    assert atoms.pbc.all() and atoms.info == {"n_host": 3, "host_id": "toy", "n_h2": 2}
    back = from_atoms(atoms, n_host=3, host_id="toy", provenance=Provenance("aimd"))
    assert back.digest == whole.digest and back.provenance.source == "aimd"

"""The pair potential under an interaction model: energies, forces, periodic images, Monte Carlo sessions with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from scipy.interpolate import BSpline

from alh2.core.errors import BadInputError
from alh2.core.frames import Frame, Label, LabelledFrame
from alh2.potential.load import load_potential
from alh2.potential.pair_baseline import GUEST, PairBaseline, Spline, load_pair_baseline
from alh2.potential.pair_session import PairBaselinePotential, PairSession

HOST = ("Al", "O", "O", "C", "H", "H")
CUTOFF_ANG = 6.0


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.fixture
def baseline(rng: np.random.Generator) -> PairBaseline:
    """Random terms: nothing about them is smooth or small, so that every factor shows."""

    def spline() -> Spline:
        values = rng.normal(size=19)
        values[-3:] = 0.0
        return Spline(1.2, 0.3, tuple(values.tolist()))

    bond = Spline(0.55, 0.05, tuple(rng.normal(size=14).tolist()))
    return PairBaseline(("Al", "C", "H", "O", GUEST), CUTOFF_ANG, tuple(spline() for _ in range(5)), bond)


def molecule(rng: np.random.Generator, edge_ang: float) -> np.ndarray:
    half = rng.normal(size=3)
    half *= 0.38 / np.linalg.norm(half)
    centre = edge_ang * rng.random(3)
    return np.array([centre - half, centre + half])


def skewed(edge_ang: float) -> np.ndarray:
    cell = edge_ang * np.eye(3)
    cell[1, 0] = 0.1 * edge_ang
    return cell


def frame_of(rng: np.random.Generator, edge_ang: float, n_h2: int) -> Frame:
    guests = [molecule(rng, edge_ang) for _ in range(n_h2)]
    positions = np.concatenate([edge_ang * rng.random((len(HOST), 3)), *guests])
    return Frame((*HOST, *("H",) * (2 * n_h2)), positions, skewed(edge_ang), len(HOST), "x")


def value(spline: Spline, r: float) -> float:
    """The spline by another implementation."""
    n = len(spline.coefficients_ev)
    knots = spline.first_ang + spline.spacing_ang * (np.arange(n + 4) - 3)
    return float(BSpline(knots, spline.coefficients_ev, 3)(r))


def test_two_molecules_and_one_host_atom_by_hand(baseline: PairBaseline) -> None:
    positions = np.array([[0.0, 0, 0], [2.5, 0, 0], [2.5, 0.75, 0], [0, 0, 4.0], [0, 0, 4.8]])
    frame = Frame(("O", "H", "H", "H", "H"), positions, 30.0 * np.eye(3), 1, "x")
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    oxygen, guest = baseline.pairs[3], baseline.pairs[4]
    expected = value(baseline.bond, 0.75) + value(baseline.bond, 0.8)
    expected += sum(value(oxygen, distance[0, k]) for k in (1, 2, 3, 4))
    expected += sum(value(guest, distance[a, b]) for a in (1, 2) for b in (3, 4) if distance[a, b] < CUTOFF_ANG)
    assert baseline.label(frame).energy_ev == pytest.approx(expected, abs=1e-12)


def test_below_the_first_knot_and_at_the_cutoff(baseline: PairBaseline) -> None:
    def energy(r: float) -> float:
        positions = np.array([[0.0, 0, 0], [r, 0, 0], [r + 20.0, 0, 0]])
        frame = Frame(("C", "H", "H"), positions, 90.0 * np.eye(3), 1, "x")
        return baseline.label(frame).energy_ev - value_beyond

    value_beyond = 0.0
    value_beyond = energy(10.0)
    assert energy(0.4) - energy(0.5) == pytest.approx(energy(0.9) - energy(1.0), abs=1e-9)
    assert energy(1.199999) == pytest.approx(energy(1.200001), abs=1e-4)
    assert abs(energy(CUTOFF_ANG - 1e-3)) < 1e-6
    assert energy(CUTOFF_ANG + 1e-3) == 0.0


@pytest.mark.parametrize("edge_ang", [16.0, 7.0, 4.0])
def test_forces_are_the_gradient_in_any_cell(baseline: PairBaseline, rng: np.random.Generator, edge_ang: float) -> None:
    frame = frame_of(rng, edge_ang, 3)
    step = 1e-5

    def energy(atom: int, axis: int, shift: float) -> float:
        positions = frame.positions_ang.copy()
        positions[atom, axis] += shift
        return baseline.label(Frame(frame.symbols, positions, frame.cell_ang, frame.n_host, "x")).energy_ev

    numerical = [
        [(energy(a, k, -step) - energy(a, k, step)) / (2 * step) for k in range(3)] for a in range(frame.n_atoms)
    ]
    np.testing.assert_allclose(baseline.label(frame).forces_ev_ang, numerical, atol=2e-6)


def test_a_doubled_cell_has_twice_the_energy(baseline: PairBaseline, rng: np.random.Generator) -> None:
    """Images of the molecule itself and of its partner included: cells are smaller than the cutoff."""
    small = frame_of(rng, 5.0, 2)
    shift = small.cell_ang[2]
    n, p = small.n_host, small.positions_ang
    positions = np.concatenate([p[:n], p[:n] + shift, p[n:], p[n:] + shift])
    symbols = (*HOST, *HOST, *("H",) * 8)
    double = Frame(symbols, positions, small.cell_ang * np.array([[1], [1], [2]]), 2 * n, "x")
    assert baseline.label(double).energy_ev == pytest.approx(2 * baseline.label(small).energy_ev, rel=1e-12)


class Nothing:
    """A model of zero energy."""

    energy_ev = 0.0

    def trial(self, remove: int | None, insert_ang: np.ndarray | None) -> float:
        return 0.0

    def accept(self) -> None:
        pass

    def recompute_ev(self) -> float:
        return 0.0

    def start(self, framework: Atoms, molecule_symbols: tuple[str, ...], guests_ang: np.ndarray) -> Nothing:
        return self

    def molecule_energy_ev(self, molecule_symbols: tuple[str, ...], sites_ang: np.ndarray) -> float:
        return 0.0


@pytest.mark.parametrize("edge_ang", [16.0, 7.0, 4.0])
def test_trials_are_differences_of_whole_frames(
    baseline: PairBaseline, rng: np.random.Generator, edge_ang: float
) -> None:
    host = Atoms(HOST, edge_ang * rng.random((len(HOST), 3)), cell=skewed(edge_ang), pbc=True)
    guests = [molecule(rng, edge_ang) for _ in range(4)]
    session: PairSession = PairBaselinePotential(Nothing(), baseline, "").start(host, ("H", "H"), np.array(guests))

    def whole() -> float:
        positions = np.concatenate([host.positions, *guests])
        symbols = (*HOST, *("H",) * (2 * len(guests)))
        return baseline.label(Frame(symbols, positions, host.cell.array, len(HOST), "x")).energy_ev

    assert session.energy_ev == pytest.approx(whole(), abs=1e-9)
    for _ in range(40):
        before, n = whole(), len(guests)
        kind = int(rng.integers(3)) if n else 0
        index = int(rng.integers(n)) if kind else None
        new = molecule(rng, edge_ang) if kind != 1 else None
        change = session.trial(index, new)
        session.accept()
        if index is None:
            guests.append(new)
        elif new is not None:
            guests[index] = new
        else:
            last = guests.pop()
            if index < len(guests):
                guests[index] = last
        assert change == pytest.approx(whole() - before, abs=1e-9)
    assert session.recompute_ev() == pytest.approx(whole(), abs=1e-9)
    with pytest.raises(RuntimeError, match="to accept"):
        session.accept()


def test_an_isolated_molecule_has_its_bond_alone(baseline: PairBaseline) -> None:
    sites = np.array([[0.0, 0, 0], [0, 0, 0.77]])
    potential = PairBaselinePotential(Nothing(), baseline, "")
    assert potential.molecule_energy_ev(("H", "H"), sites) == pytest.approx(value(baseline.bond, 0.77), abs=1e-12)


def test_what_is_taken_off_and_added_back_is_the_label(baseline: PairBaseline, rng: np.random.Generator) -> None:
    frame = frame_of(rng, 9.0, 2)
    host = Label(-3.0, rng.normal(size=(len(HOST), 3)), "x")
    labelled = LabelledFrame(frame, Label(1.5, rng.normal(size=(frame.n_atoms, 3)), "x"), host)
    rest, own = baseline.subtracted(labelled), baseline.label(frame)
    assert rest.energy_ev("interaction") + own.energy_ev == pytest.approx(4.5)
    np.testing.assert_allclose(
        rest.forces_ev_ang("interaction") + own.forces_ev_ang, labelled.forces_ev_ang("interaction")
    )


def test_it_is_read_back_as_written(baseline: PairBaseline, tmp_path: Path) -> None:
    baseline.save(tmp_path / "pairs.json")
    assert load_pair_baseline(tmp_path / "pairs.json") == baseline


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"guest"', '"H2"', "'guest' last"),
        ('"spacing_ang": 0.3', '"width": 0.3', "width"),
        ('"first_ang": 1.2', '"first_ang": 1.0', "same knots"),
        ('"bond"', '"bend"', "bend"),
    ],
)
def test_a_file_of_another_kind_is_named(baseline: PairBaseline, tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "pairs.json"
    baseline.save(path)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(BadInputError, match=said) as caught:
        load_pair_baseline(path)
    assert str(path) in str(caught.value)


def test_hosts_and_guests_it_does_not_know_are_refused(baseline: PairBaseline) -> None:
    potential = PairBaselinePotential(Nothing(), baseline, "")
    host = Atoms("Zr", cell=12.0 * np.eye(3), pbc=True)
    with pytest.raises(BadInputError, match="element Zr"):
        potential.start(host, ("H", "H"), np.zeros((0, 2, 3)))
    with pytest.raises(BadInputError, match="H2 as the guest, found Ar"):
        potential.start(host, ("Ar",), np.zeros((0, 1, 3)))
    with pytest.raises(BadInputError, match="element Zr"):
        baseline.label(Frame(("Zr", "H", "H"), np.eye(3), 12.0 * np.eye(3), 1, "x"))


def test_load_potential_adds_it_and_says_so(trained_committee, baseline: PairBaseline, tmp_path: Path) -> None:
    path = tmp_path / "pairs.json"
    baseline.save(path)
    model = trained_committee.members[0].engine
    plain, both = load_potential(model), load_potential(model, pair_baseline=path)
    sites = np.array([[0.0, 0, 0], [0, 0, 0.77]])
    host = Atoms("O", [[8.0, 8, 8]], cell=16.0 * np.eye(3), pbc=True)
    guests = np.array([sites + [8.0, 8.0, 10.6]])
    sessions = [p.start(host, ("H", "H"), guests) for p in (plain, both)]
    frame = Frame(("O", "H", "H"), np.concatenate([host.positions, *guests]), host.cell.array, 1, "x")
    assert sessions[1].energy_ev - sessions[0].energy_ev == pytest.approx(baseline.label(frame).energy_ev, abs=1e-9)
    assert str(path) in both.describe() and plain.describe() in both.describe()

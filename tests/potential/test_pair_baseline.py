"""The pair potential under an interaction model: energies, forces, periodic images, Monte Carlo sessions with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from scipy.interpolate import BSpline

from alh2.core.atoms import to_atoms
from alh2.core.errors import BadInputError
from alh2.core.frames import Frame, Label, LabelledFrame
from alh2.gcmc.settings import GcmcSettings
from alh2.potential.load import load_potential
from alh2.potential.nothing import NoPotential
from alh2.potential.pair_baseline import PairBaseline, Spline, load_pair_baseline, n_pair_terms
from alh2.potential.pair_session import PairBaselinePotential, PairSession

HOST = ("Al", "O", "O", "C", "H", "H")
CUTOFF_ANG = 6.0
KINDS = ("Al()", "C()", "H()", "O()", "O(H)")


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
    return PairBaseline(KINDS, CUTOFF_ANG, tuple(spline() for _ in range(n_pair_terms(len(KINDS)))), bond, 20.0)


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


def test_two_molecules_and_two_host_atoms_by_hand(baseline: PairBaseline) -> None:
    """An O alone and the O of an OH are different; centres take part as the atoms do."""
    host = np.array([[0.0, 0, 0], [0, 5.5, 0], [0, 6.5, 0]])
    guests = np.array([[[2.5, 0, 0], [2.5, 0.75, 0]], [[0, 0, 4.0], [0, 0, 4.8]]])
    frame = Frame(("O", "O", "H", *"HHHH"), np.concatenate([host, *guests]), 30.0 * np.eye(3), 3, "x")
    numbers = [3, 4, 2]  # of O(), O(H) and, not among the kinds, H(O): the first H
    n = len(KINDS)
    expected = value(baseline.bond, 0.75) + value(baseline.bond, 0.8)

    def pair(term: int, first: np.ndarray, second: np.ndarray) -> float:
        r = float(np.linalg.norm(first - second))
        return value(baseline.pairs[term], r) if r < CUTOFF_ANG else 0.0

    centres = guests.mean(axis=1)
    for k, place in zip(numbers, host, strict=True):
        expected += sum(pair(k, atom, place) for guest in guests for atom in guest)
        expected += sum(pair(n + 1 + k, centre, place) for centre in centres)
    expected += sum(pair(n, a, b) for a in guests[0] for b in guests[1])
    expected += sum(pair(2 * n + 1, a, centres[1]) for a in guests[0])
    expected += sum(pair(2 * n + 1, a, centres[0]) for a in guests[1])
    expected += pair(2 * n + 2, centres[0], centres[1])
    assert baseline.label(frame).energy_ev == pytest.approx(expected, abs=1e-12)


def test_below_the_first_knot_and_at_the_cutoff(baseline: PairBaseline) -> None:
    def energy(r: float) -> float:
        positions = np.array([[0.0, 0, 0], [r, 0, 0], [r + 20.0, 0, 0]])
        frame = Frame(("C", "H", "H"), positions, 90.0 * np.eye(3), 1, "x")
        return baseline.label(frame).energy_ev

    assert energy(0.4) - energy(0.5) == pytest.approx(energy(0.9) - energy(1.0), abs=1e-9)
    assert energy(1.199999) == pytest.approx(energy(1.200001), abs=1e-4)
    assert energy(CUTOFF_ANG - 1e-3) == pytest.approx(energy(CUTOFF_ANG + 1e-3), abs=1e-6)


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
    change_ev = 0.0

    def trial(self, remove: int | None, insert_ang: np.ndarray | None) -> float:
        return self.change_ev

    def accept(self) -> None:
        self.energy_ev += self.change_ev

    def recompute_ev(self) -> float:
        return self.energy_ev

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


def test_what_the_model_says_is_scaled_back(baseline: PairBaseline) -> None:
    class Something(Nothing):
        change_ev = 3.0

        def molecule_energy_ev(self, molecule_symbols: tuple[str, ...], sites_ang: np.ndarray) -> float:
            return 5.0

    host = Atoms("O", cell=20.0 * np.eye(3), pbc=True)
    sites = np.array([[9.0, 9, 9], [9, 9, 9.77]])
    empty = np.zeros((0, 2, 3))
    with_model = PairBaselinePotential(Something(), baseline, "").start(host, ("H", "H"), empty)
    without = PairBaselinePotential(Nothing(), baseline, "").start(host, ("H", "H"), empty)
    difference = with_model.trial(None, sites) - without.trial(None, sites)
    assert difference == pytest.approx(3.0 / baseline.scale)
    with_model.accept()
    without.accept()
    assert with_model.energy_ev - without.energy_ev == pytest.approx(3.0 / baseline.scale)
    gas = [PairBaselinePotential(m(), baseline, "").molecule_energy_ev(("H", "H"), sites) for m in (Something, Nothing)]
    assert gas[0] - gas[1] == pytest.approx(5.0 / baseline.scale)


def test_what_is_left_scaled_back_and_added_is_the_label(baseline: PairBaseline, rng: np.random.Generator) -> None:
    frame = frame_of(rng, 9.0, 2)
    host = Label(-3.0, rng.normal(size=(len(HOST), 3)), "x")
    labelled = LabelledFrame(frame, Label(1.5, rng.normal(size=(frame.n_atoms, 3)), "x"), host)
    rest, own = baseline.rest(labelled), baseline.label(frame)
    assert rest.energy_ev("interaction") / baseline.scale + own.energy_ev == pytest.approx(4.5)
    np.testing.assert_allclose(
        rest.forces_ev_ang("interaction") / baseline.scale + own.forces_ev_ang, labelled.forces_ev_ang("interaction")
    )


def test_it_is_read_back_as_written(baseline: PairBaseline, tmp_path: Path) -> None:
    baseline.save(tmp_path / "pairs.json")
    assert load_pair_baseline(tmp_path / "pairs.json") == baseline


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"Al()",', "", "11 splines of the same knots for 4 kinds"),
        ('"spacing_ang": 0.3', '"width": 0.3', "width"),
        ('"first_ang": 1.2', '"first_ang": 1.0', "same knots"),
        ('"scale": 20.0', '"scale": 0', "positive scale"),
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
    expected = sessions[0].energy_ev / baseline.scale + baseline.label(frame).energy_ev
    assert sessions[1].energy_ev == pytest.approx(expected, abs=1e-9)
    assert str(path) in both.describe() and plain.describe() in both.describe()


def test_simulations_side_by_side_do_what_each_does_alone(trained_committee, baseline, node_start, tmp_path) -> None:
    from alh2.gcmc import RigidMolecule
    from alh2.gcmc.together import Point, simulate_together

    gentle = tuple(replace(s, coefficients_ev=(0.001,) * 16 + (0.0,) * 3) for s in baseline.pairs)
    replace(baseline, pairs=gentle).save(tmp_path / "pairs.json")
    potential = load_potential(trained_committee.members[0].engine, pair_baseline=tmp_path / "pairs.json")
    host = to_atoms(node_start.bare_host())
    points = [Point(77.0, 1.0, seed, settings=GcmcSettings(min_distance_ang=2.0)) for seed in (1, 2)]
    molecule = RigidMolecule.h2(bond_length_ang=0.77)
    both = simulate_together(host, molecule, potential, points=points, n_moves=120)
    for point, result in zip(points, both, strict=True):
        (alone,) = simulate_together(host, molecule, potential, points=[point], n_moves=120)
        np.testing.assert_array_equal(alone.energy_ev, result.energy_ev)
        np.testing.assert_array_equal(alone.n_adsorbed, result.n_adsorbed)


@pytest.mark.parametrize("edge_ang", [14.0, 5.0], ids=["images apart", "images near"])
def test_laplacian_of_molecules_with_each_other(
    baseline: PairBaseline, rng: np.random.Generator, edge_ang: float
) -> None:
    """What Feynman–Hibbs asks of the pairs, against central differences of their energies."""
    pairs = PairBaselinePotential(NoPotential(), baseline, "").guest_pairs(
        Atoms(HOST, edge_ang * rng.random((len(HOST), 3)), cell=skewed(edge_ang), pbc=True)
    )
    sites, others = molecule(rng, edge_ang), np.array([molecule(rng, edge_ang) for _ in range(3)])
    points = np.array([pairs.points(other) for other in others])

    def energy(shift: np.ndarray) -> float:
        return pairs.molecule_ev(sites + shift, points) - pairs.molecule_ev(sites + shift, points[:0])

    step, total = 2e-4, 0.0
    for axis in np.eye(3):
        total += energy(step * axis) + energy(-step * axis) - 2.0 * energy(np.zeros(3))
    assert pairs.laplacian_ev_ang2(sites, others) == pytest.approx(total / step**2, rel=2e-3)

"""Incremental se_e2_a energies equal full DeepPot energies of the same `.dp` file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from alh2.core.atoms import to_atoms
from alh2.core.errors import BadInputError
from alh2.core.frames import Frame
from alh2.potential import session as session_module
from alh2.potential.deeppot import DeepPotEvaluator
from alh2.potential.full_energy import changed_guests
from alh2.potential.incremental import IncrementalPotential
from alh2.potential.session import IncrementalSession

SMALL = np.array([[5.2, 0.0, 0.0], [1.1, 5.6, 0.0], [-0.9, 0.8, 6.1]])
LARGE = np.array([[13.0, 0.0, 0.0], [3.0, 12.0, 0.0], [-2.0, 4.0, 11.5]])
MODELS: dict[str, dict] = {
    "one side": {"descriptor": {"type_one_side": True}},
    "two sides": {"descriptor": {"type_one_side": False}},
    "timesteps, other order of types": {
        "descriptor": {"type_one_side": False, "resnet_dt": True, "neuron": [6, 12, 12]},
        "fitting": {"neuron": [24, 24, 12]},
        "type_map": ["H", "C", "Al", "N", "O"],
    },
    "per-type sel, protection, no fitting timestep": {
        "descriptor": {"sel": [40, 30, 90, 35], "env_protection": 0.1},
        "fitting": {"resnet_dt": False},
    },
    "given atom energies": {"fitting": {"atom_ener": [-10.0, None, -3.0, None]}},
    "pairs excluded from the descriptor": {"descriptor": {"exclude_types": [[0, 2], [2, 2]], "type_one_side": True}},
    "pairs excluded, two sides": {"descriptor": {"exclude_types": [[1, 2], [0, 0]], "type_one_side": False}},
    "pairs and atoms excluded from the model": {"model": {"pair_exclude_types": [[0, 2]], "atom_exclude_types": [3]}},
    "elements excluded from the fitting": {"fitting": {"exclude_types": [2]}},
    "axis as wide as the embedding": {"descriptor": {"neuron": [4, 4], "axis_neuron": 4}},
    "skipped first fitting layer": {"fitting": {"neuron": [64, 20]}},
    **{
        name: {"descriptor": {"activation_function": name}, "fitting": {"activation_function": name}}
        for name in ("gelu", "gelu_tf", "relu", "softplus", "sigmoid", "linear", "none", "silu", "silut", "relu6")
    },
}


def spread(rng: np.random.Generator, cell: np.ndarray, n: int, taken: np.ndarray, closest: float = 1.0) -> np.ndarray:
    """`n` random points of the cell at least `closest` Å from each other, from `taken`, and from all images."""
    shifts = np.array([[i, j, k] for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)]) @ cell
    points = [*taken]
    for _ in range(10_000):
        if len(points) == n + len(taken):
            return np.array(points[len(taken) :]).reshape(-1, 3)
        trial = rng.random(3) @ cell
        if all(np.linalg.norm(trial - p + shifts, axis=1).min() > closest for p in points):
            points.append(trial)
    raise RuntimeError("no room")


def full_energy(evaluator: DeepPotEvaluator, host: Atoms, guests: np.ndarray) -> float:
    symbols = tuple(host.get_chemical_symbols()) + ("H", "H") * len(guests)
    return evaluator.energy_ev(symbols, np.vstack([host.positions, guests.reshape(-1, 3)]), np.array(host.cell))


def molecule_at(rng: np.random.Generator, centre: np.ndarray) -> np.ndarray:
    axis = rng.normal(size=3)
    axis *= 0.37 / np.linalg.norm(axis)
    return np.array([centre - axis, centre + axis])


def walk(
    session: IncrementalSession, evaluator: DeepPotEvaluator, host: Atoms, rng: np.random.Generator, steps: int
) -> None:
    """Random trials of every kind, each compared with full energies; half of them accepted."""
    cell, compared = np.array(host.cell), 0
    for step in range(steps):
        guests = session.guests_ang
        kind = ("insert", "displace", "delete")[step % 3] if len(guests) else "insert"
        remove = None if kind == "insert" else int(rng.integers(len(guests)))
        insert = None if kind == "delete" else molecule_at(rng, rng.random(3) @ cell)
        change = session.trial(remove, insert)
        if np.isinf(change):
            continue
        after = changed_guests(guests, remove, insert)
        expected = full_energy(evaluator, host, after) - full_energy(evaluator, host, guests)
        assert change == pytest.approx(expected, abs=1e-9), (step, kind)
        compared += 1
        if step % 2 == 0:
            session.accept()
            np.testing.assert_array_equal(session.guests_ang, after)
    assert compared >= steps // 2
    full = full_energy(evaluator, host, session.guests_ang)
    assert session.energy_ev == pytest.approx(full, abs=1e-9)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("cell", [SMALL, LARGE], ids=["several images", "one image"])
def test_every_trial_equals_the_difference_of_full_energies(
    name: str, cell: np.ndarray, random_model: Callable[..., Path]
) -> None:
    rng = np.random.default_rng(11)
    model = random_model(**MODELS[name])
    host_ang = spread(rng, cell, 7, np.empty((0, 3)))
    host = Atoms("OAlHCOAlO", host_ang + 3 * cell[0], cell=cell, pbc=True)
    guests = np.array([molecule_at(rng, c) for c in spread(rng, cell, 1, host_ang, 1.5)])
    potential = IncrementalPotential(model)
    if "relu" in name:
        assert "direct embedding nets" in potential.describe()
    session = potential.start(host, ("H", "H"), guests)
    evaluator = DeepPotEvaluator(model)
    assert session.energy_ev == pytest.approx(full_energy(evaluator, host, guests), abs=1e-9)
    walk(session, evaluator, host, rng, 6 if name in ("one side", "two sides") else 4)


def test_atomic_energies_equal_those_of_deeppot(random_model: Callable[..., Path]) -> None:
    rng = np.random.default_rng(5)
    model = random_model()
    host = Atoms("OAlHCO", spread(rng, LARGE, 5, np.empty((0, 3))), cell=LARGE, pbc=True)
    session = IncrementalPotential(model).start(host, ("H", "H"), np.empty((0, 2, 3)))
    from deepmd.infer import DeepPot

    answer = DeepPot(str(model)).eval(host.positions.reshape(1, -1), LARGE.reshape(1, 9), [0, 1, 2, 3, 0], atomic=True)
    np.testing.assert_allclose(session.atomic_energies_ev, answer[3].ravel(), rtol=0, atol=1e-11)


def test_growing_from_an_empty_box(random_model: Callable[..., Path]) -> None:
    rng = np.random.default_rng(2)
    model = random_model(descriptor={"sel": [5, 5, 120, 5]})
    potential, evaluator = IncrementalPotential(model), DeepPotEvaluator(model)
    box = Atoms(cell=LARGE, pbc=True)
    session = potential.start(box, ("H", "H"), np.empty((0, 2, 3)))
    assert session.energy_ev == 0.0
    for centre in spread(rng, LARGE, 60, np.empty((0, 3)), 1.9):
        session.trial(None, molecule_at(rng, centre))
        session.accept()
    assert session.energy_ev == pytest.approx(full_energy(evaluator, box, session.guests_ang), abs=1e-9)
    for index in (59, 0, 17, 30):
        before = session.guests_ang
        session.trial(index, None)
        session.accept()
        np.testing.assert_array_equal(session.guests_ang, changed_guests(before, index, None))
    assert session.energy_ev == pytest.approx(full_energy(evaluator, box, session.guests_ang), abs=1e-9)
    sites = molecule_at(rng, np.zeros(3))
    alone = evaluator.energy_ev(("H", "H"), sites + 15.0, 30.0 * np.eye(3))
    assert potential.molecule_energy_ev(("H", "H"), sites) == pytest.approx(alone, abs=1e-11)


def node_session(potential: IncrementalPotential, frame: Frame) -> IncrementalSession:
    guests = frame.positions_ang[frame.n_host :].reshape(-1, 2, 3)
    return potential.start(to_atoms(frame.bare_host()), ("H", "H"), guests)


def test_a_trained_model_on_the_node(trained, node_frames: list[Frame]) -> None:
    potential = IncrementalPotential(trained.frozen)
    evaluator = DeepPotEvaluator(potential.model.dp_file)
    host = to_atoms(node_frames[0].bare_host())
    walk(node_session(potential, node_frames[0]), evaluator, host, np.random.default_rng(8), 12)
    tensorflow = DeepPotEvaluator(trained.frozen)
    for frame in node_frames[::10]:
        energy = node_session(potential, frame).energy_ev
        assert energy == pytest.approx(
            evaluator.energy_ev(frame.symbols, frame.positions_ang, frame.cell_ang), abs=1e-9
        )
        original = tensorflow.energy_ev(frame.symbols, frame.positions_ang, frame.cell_ang)
        assert energy == pytest.approx(original, abs=2e-8 * frame.n_atoms)


TIGHT = np.array([[8.0, 0.0, 0.0], [2.0, 8.5, 0.0], [-1.5, 1.0, 9.0]])


@pytest.mark.parametrize("cell", [TIGHT, 16.0 * np.eye(3), 2.0 * TIGHT], ids=["images", "cube", "triclinic"])
@pytest.mark.parametrize("sides", ["one side", "two sides"])
def test_trained_models_in_several_cells(sides: str, cell: np.ndarray, request: pytest.FixtureRequest) -> None:
    one = sides == "one side"
    model = request.getfixturevalue("trained").frozen if one else request.getfixturevalue("trained_two_sided")
    potential = IncrementalPotential(model)
    assert potential.model.one_side == one
    rng = np.random.default_rng(3)
    host = Atoms("OOAlHHC", spread(rng, cell, 6, np.empty((0, 3))), cell=cell, pbc=True)
    session = potential.start(host, ("H", "H"), np.empty((0, 2, 3)))
    walk(session, DeepPotEvaluator(potential.model.dp_file), host, rng, 9)


def test_thousands_of_moves_do_not_drift(trained, node_frames: list[Frame], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "REFRESH_EVERY", 10**9)
    session = node_session(IncrementalPotential(trained.frozen), node_frames[0])
    rng = np.random.default_rng(4)
    accepted, running = 0, session.energy_ev
    while accepted < 4000:
        n = len(session.guests_ang)
        kind = rng.integers(3)
        kind = 0 if n < 3 else 2 if n > 12 else kind
        remove = None if kind == 0 else int(rng.integers(n))
        insert = None if kind == 2 else molecule_at(rng, rng.random(3) * 16.0)
        change = session.trial(remove, insert)
        if np.isfinite(change):
            session.accept()
            accepted += 1
            running += change
    assert running == pytest.approx(session.energy_ev, abs=1e-8)
    before = session.energy_ev
    assert before == pytest.approx(session.recompute_ev(), abs=1e-8)
    assert abs(session.last_drift_ev) < 1e-8


@pytest.mark.slow
def test_a_hundred_thousand_moves_do_not_drift(random_model: Callable[..., Path]) -> None:
    """The sum of 1e5 accepted changes, as a run adds them up, against a session started afresh at the end."""
    model = random_model(descriptor={"neuron": [6, 12], "sel": [30, 30, 90, 30]}, fitting={"neuron": [16, 16]})
    rng = np.random.default_rng(12)
    host = Atoms("OAlHCO", spread(rng, LARGE, 5, np.empty((0, 3))), cell=LARGE, pbc=True)
    potential = IncrementalPotential(model, threads=1)
    session = potential.start(host, ("H", "H"), np.empty((0, 2, 3)))
    accepted, n, running = 0, 0, session.energy_ev
    while accepted < 100_000:
        kind = 0 if n < 2 else 2 if n > 6 else rng.integers(3)
        change = session.trial(
            None if kind == 0 else int(rng.integers(n)),
            None if kind == 2 else molecule_at(rng, rng.random(3) @ LARGE),
        )
        if np.isfinite(change):
            session.accept()
            accepted, n, running = accepted + 1, n + (kind == 0) - (kind == 2), running + change
    fresh = potential.start(host, ("H", "H"), session.guests_ang).energy_ev
    assert running == pytest.approx(fresh, rel=0, abs=1e-8)
    assert session.energy_ev == pytest.approx(fresh, rel=0, abs=1e-8)


def test_sums_are_refreshed_after_so_many_moves(
    random_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "REFRESH_EVERY", 3)
    rng = np.random.default_rng(6)
    box = Atoms(cell=LARGE, pbc=True)
    session = IncrementalPotential(random_model()).start(box, ("H", "H"), np.zeros((0, 2, 3)))
    session.trial(None, molecule_at(rng, np.full(3, 2.0)))
    session.accept()
    session._walkers._state.sums[0] += 1e-3
    session.trial(None, molecule_at(rng, np.array([4.0, 3.5, 2.0])))
    session.accept()
    assert session.last_drift_ev == 0.0
    session.trial(1, None)
    session.accept()
    assert session.last_drift_ev != 0.0
    healed = session.energy_ev
    assert session.recompute_ev() == pytest.approx(healed, abs=1e-12)


def test_too_many_neighbours_name_the_sel_that_is_needed(random_model: Callable[..., Path]) -> None:
    model = random_model(descriptor={"sel": [4, 4, 3, 4], "rcut": 4.0})
    rng = np.random.default_rng(1)
    session = IncrementalPotential(model).start(Atoms(cell=LARGE, pbc=True), ("H", "H"), np.zeros((0, 2, 3)))
    session.trial(None, molecule_at(rng, np.full(3, 3.0)))
    session.accept()
    session.trial(None, molecule_at(rng, np.array([4.2, 3.0, 3.0])))
    session.accept()
    with pytest.raises(BadInputError, match=r"H 5 > 3.*sel of at least 4 4 5 4 for O Al H C"):
        session.trial(None, molecule_at(rng, np.array([3.6, 4.2, 3.0])))


def test_overlaps_are_infinite_and_not_accepted(random_model: Callable[..., Path]) -> None:
    potential = IncrementalPotential(random_model())
    host = Atoms("O", [[1.0, 1.0, 1.0]], cell=SMALL, pbc=True)
    session = potential.start(host, ("H", "H"), np.zeros((0, 2, 3)))
    image = np.array([1.0, 1.0, 1.0]) + SMALL[0] - SMALL[2]
    assert session.trial(None, np.array([image + 0.3, image + 0.8])) < np.inf
    assert session.trial(None, np.array([image + [0.39, 0, 0], image + 0.8])) == np.inf
    with pytest.raises(RuntimeError):
        session.accept()
    with pytest.raises(BadInputError, match=r"closer than 0\.4 Å, found 0\.300 Å"):
        potential.start(Atoms("O2", [[1, 1, 1], [1.3, 1, 1]], cell=SMALL, pbc=True), ("H", "H"), np.zeros((0, 2, 3)))
    with pytest.raises(BadInputError, match="element Zn"):
        potential.start(Atoms("Zn", cell=SMALL, pbc=True), ("H", "H"), np.zeros((0, 2, 3)))
    with pytest.raises(ValueError, match="not"):
        session.trial(None, np.zeros((3, 3)))
    with pytest.raises(IndexError):
        session.trial(0, None)

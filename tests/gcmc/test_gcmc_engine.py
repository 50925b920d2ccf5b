"""What the chain does with its state, with bad energies and with bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.lj import LennardJones

from alh2.core.errors import BadInputError
from alh2.core.units import EV_PER_ANG3_IN_BAR, beta_per_ev
from alh2.gcmc import GcmcSettings, RigidMolecule, UntrustworthyEnergyError, simulate
from alh2.gcmc.engine import advance
from alh2.gcmc.geometry import PeriodicCell
from alh2.gcmc.moves import Ensemble, weighted_moves
from alh2.gcmc.settings import MoveWeights
from alh2.gcmc.walker import UniformStream, Walker

T = 77.0
BOX = Atoms(cell=[10.0] * 3, pbc=True)
HOST = Atoms("C2", [[1.0, 1.0, 1.0], [9.8, 5.0, 5.0]], cell=[10.0] * 3, pbc=True)
FOUR = 4.0 / beta_per_ev(T) / 1000.0 * EV_PER_ANG3_IN_BAR


def slope(sites: np.ndarray) -> float:
    """A field that tells every molecule from every other."""
    return 0.003 * float(np.sin(sites).sum())


def run(potential, framework=BOX, molecule=None, **keywords):
    options = {"temperature_k": T, "fugacity_bar": FOUR, "n_moves": 4000, "seed": 1, **keywords}
    return simulate(framework, molecule or RigidMolecule.h2(0.74), potential, **options)


def test_same_seed_same_result(independent):
    first, again, other = (run(independent(slope), seed=s) for s in (1, 1, 2))
    assert np.array_equal(first.n_adsorbed, again.n_adsorbed)
    assert np.array_equal(first.energy_ev, again.energy_ev)
    assert np.array_equal(first.final_guests_ang, again.final_guests_ang)
    assert not np.array_equal(first.n_adsorbed, other.n_adsorbed)


def test_every_stored_frame_has_its_energy(independent):
    """The engine's molecules are the session's: the energy of each frame follows from its positions."""
    potential = independent(slope, gas_ev=-31.0, host_ev=7.0)
    result = run(potential, HOST, n_initial=6)
    assert len(result.frames) == len(result.n_adsorbed) == 400
    for frame, n, energy in zip(result.frames, result.n_adsorbed, result.energy_ev, strict=True):
        fresh = potential.start(HOST, ("H", "H"), frame.guests_ang).energy_ev
        assert len(frame.guests_ang) == n
        assert frame.energy_ev == energy == pytest.approx(fresh, abs=1e-9)
    assert result.host_energy_ev == 7.0 and result.molecule_energy_ev == -31.0
    assert result.adsorption_energy_ev == pytest.approx(result.energy_ev - 7.0 + 31.0 * result.n_adsorbed)


def test_frames_as_atoms(independent):
    result = run(independent(), HOST, n_initial=5)
    atoms = result.frames_atoms()[-1]
    n = result.n_adsorbed[-1]
    assert atoms.get_chemical_symbols() == ["C", "C"] + ["H"] * (2 * n)
    assert np.array_equal(atoms.positions[:2], HOST.positions)
    assert atoms.positions[2:].reshape(-1, 2, 3) == pytest.approx(result.final_guests_ang)
    assert atoms.pbc.all() and atoms.info["n_host"] == 2 and atoms.info["move"] == 4000


def test_thinned_frames_end_with_the_last_sample(independent):
    result = run(independent(), settings=GcmcSettings(max_frames=7))
    assert len(result.frames) == 7
    assert result.frames[-1].move == 4000
    assert {b.move - a.move for a, b in zip(result.frames, result.frames[1:], strict=False)} == {580}
    assert run(independent(), settings=GcmcSettings(max_frames=0)).frames == ()


def test_sizes_adapt_in_equilibration_only(independent):
    def steep(sites: np.ndarray) -> float:
        return 0.5 * float(np.sin(2.0 * np.pi * sites / 10.0).sum())

    keywords = {"n_initial": 4, "move_weights": {"translation": 1, "rotation": 1}}
    adapted = run(independent(steep), n_equilibration=20_000, **keywords)
    assert adapted.acceptance["translation"].ratio == pytest.approx(0.5, abs=0.1)
    assert adapted.translation_ang != 0.5
    fixed = run(independent(steep), n_equilibration=0, **keywords)
    assert (fixed.translation_ang, fixed.rotation_rad) == (0.5, 0.8)


def test_single_sites_do_not_rotate_but_it_counts(independent):
    result = run(independent(), molecule=RigidMolecule.single("Ar"))
    assert result.acceptance["rotation"].accepted == 0
    assert result.acceptance["rotation"].attempted == pytest.approx(800, abs=110)


def test_lattice_translations_of_initial_guests_do_not_matter(independent):
    """Molecules given across the boundary, outside the cell or with a stretched bond become whole, rigid and inside."""
    given = np.array([[[9.9, 5.0, 5.0], [0.7, 5.0, 5.0]], [[25.0, -3.0, 5.0], [25.0, -3.0, 5.76]]])
    result = run(independent(), initial_guests_ang=given, n_initial=1, move_weights={"rotation": 1}, n_moves=10)
    assert result.n_initial == 3
    centres = result.final_guests_ang.mean(axis=1)
    assert centres[:2] == pytest.approx(np.array([[0.3, 5.0, 5.0], [5.0, 7.0, 5.38]]))
    bonds = np.linalg.norm(np.diff(result.final_guests_ang, axis=1), axis=-1)
    assert bonds == pytest.approx(0.74)


def test_minimum_distance_is_a_hard_wall(independent):
    """No site of any frame comes closer to the host or to another molecule; the volume left is what is filled."""
    settings = GcmcSettings(min_distance_ang=2.5)
    result = run(independent(), HOST, RigidMolecule.single("Ar"), settings=settings, n_moves=20_000)
    assert result.n_adsorbed.max() >= 4
    for atoms in result.frames_atoms():
        distances = atoms.get_all_distances(mic=True)
        np.fill_diagonal(distances, np.inf)
        assert distances[2:].min(initial=np.inf) >= 2.5
    with pytest.raises(BadInputError, match="half the narrowest width"):
        run(independent(), settings=GcmcSettings(min_distance_ang=5.1))


def test_infinite_energy_is_a_rejection(independent):
    result = run(independent(lambda sites: math.inf if sites[0, 0] < 5.0 else 0.0))
    assert result.n_adsorbed.max() > 0
    assert all((f.guests_ang[:, 0, 0] >= 5.0).all() for f in result.frames)


@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_nonsense_energy_stops_the_run(independent, bad):
    with pytest.raises(UntrustworthyEnergyError, match=r"(nan|-inf) eV for a (insertion|placement)"):
        run(independent(lambda sites: bad))


def test_self_check_finds_a_potential_whose_trials_are_not_differences(independent):
    class Drifting(independent):
        def start(self, *arguments):
            session = super().start(*arguments)
            honest = session.trial
            session.trial = lambda remove, insert: honest(remove, insert) + 1e-6
            return session

    with pytest.raises(UntrustworthyEnergyError, match="not differences"):
        run(Drifting(slope), settings=GcmcSettings(self_check_every=100))
    off = run(Drifting(slope), settings=GcmcSettings(self_check_every=0))
    assert off.max_energy_drift_ev is None
    loose = run(Drifting(slope), settings=GcmcSettings(self_check_every=100, self_check_tolerance_ev=1e-3))
    assert 1e-6 < loose.max_energy_drift_ev < 1e-3


def test_progress_is_reported(independent):
    seen: list[tuple[int, int, int]] = []
    run(independent(), n_equilibration=777, settings=GcmcSettings(progress=lambda *args: seen.append(args)))
    assert seen[-1][:2] == (4777, 4777)
    assert 90 <= len(seen) <= 110
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)


def test_progress_does_not_change_the_result(independent):
    quiet = run(independent(slope))
    told = run(independent(slope), settings=GcmcSettings(progress=lambda *args: None, self_check_every=0))
    assert np.array_equal(quiet.n_adsorbed, told.n_adsorbed)


def test_too_many_molecules_at_the_start(independent):
    with pytest.raises(BadInputError, match="no place for molecule 2 of 9"):
        run(independent(hard_core_ang=8.5), n_initial=9)


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"temperature_k": 0.0}, "temperature: expected a positive number of K"),
        ({"temperature_k": math.nan}, "temperature"),
        ({"fugacity_bar": -1.0}, "fugacity: expected a positive number of bar, found -1.0 bar"),
        ({"fugacity_bar": 0.0}, "fugacity"),
        ({"n_moves": 0}, "n_moves"),
        ({"n_initial": -1}, "n_initial"),
        ({"seed": -1}, "seed"),
        ({"n_initial": 3, "max_molecules": 2}, "at most max_molecules = 2"),
        ({"move_weights": {"insert": 1}}, "expected moves out of insertion, deletion, translation, rotation"),
        ({"move_weights": {"insertion": 1}}, "both positive or both zero"),
        ({"move_weights": {"rotation": -1}}, "numbers >= 0"),
        ({"sample_every": 0}, "sample_every"),
        ({"initial_guests_ang": np.zeros((2, 3))}, "initial_guests_ang"),
        ({"molecule": "H2"}, "expected RigidMolecule, found str"),
        ({"framework": Atoms("C", [[0, 0, 0]])}, "three independent vectors"),
    ],
)
def test_bad_input_is_one_line(independent, keywords, words):
    with pytest.raises(BadInputError) as caught:
        run(independent(), **keywords)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bare_calculator_is_refused():
    with pytest.raises(BadInputError, match=r"ASE calculator LennardJones; wrap it: AsePotential\(calculator\)"):
        run(LennardJones())


def test_walker_continues_from_its_state(independent):
    """The chain after a restored state is the chain that went on."""
    potential = independent(slope)
    cell = PeriodicCell(np.array(BOX.cell))
    body = tuple(map(tuple, RigidMolecule.h2(0.74).sites_ang.tolist()))
    ensemble = Ensemble(cell, body, beta_per_ev(T), math.log(4.0), 0.0, None, None)
    moves = weighted_moves(MoveWeights())
    session = potential.start(BOX, ("H", "H"), np.zeros((0, 2, 3)))
    walker = Walker(UniformStream(np.random.default_rng(9)), [], 0.0, 0.5, 0.8)
    advance(walker, session, ensemble, moves, 3001)
    guests = np.array(walker.guests)
    copy = Walker(UniformStream.restored(walker.uniform.state), list(guests), walker.energy_ev, 0.5, 0.8)
    copied_session = potential.start(BOX, ("H", "H"), guests)
    advance(walker, session, ensemble, moves, 3000)
    advance(copy, copied_session, ensemble, moves, 3000)
    assert np.array_equal(np.array(walker.guests), np.array(copy.guests))
    assert walker.energy_ev == pytest.approx(copy.energy_ev, abs=1e-12)


def test_any_ase_calculator():
    """A Lennard-Jones calculator through AsePotential: trials add up, frames have the calculator's energy."""
    from alh2.potential.ase_potential import AsePotential

    calculator = LennardJones(sigma=2.5, epsilon=0.01, rc=4.9, smooth=True)
    framework = Atoms("Kr", [[5.0, 5.0, 5.0]], cell=[10.0] * 3, pbc=True)
    result = run(AsePotential(calculator), framework, RigidMolecule.single("Ar"), n_moves=400, n_initial=2)
    assert result.max_energy_drift_ev < 1e-9
    atoms = result.frames_atoms()[-1]
    atoms.calc = calculator
    assert atoms.get_potential_energy() == pytest.approx(result.energy_ev[-1], abs=1e-9)
    isolated = Atoms("Kr", [[5.0, 5.0, 5.0]], cell=[10.0] * 3, pbc=True, calculator=calculator)
    assert result.host_energy_ev == pytest.approx(isolated.get_potential_energy())

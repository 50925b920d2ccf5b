"""The analytic reference potential: exact derivatives, symmetries, finite range, and the open-site minimum."""

from __future__ import annotations

import time

import numpy as np
import pytest
from ase import Atoms
from ase.constraints import FixAtoms
from ase.optimize import FIRE

from alh2.core.atoms import to_atoms
from alh2.core.errors import BadInputError
from alh2.core.frames import Frame
from alh2.label.reference_calculator import ReferenceCalculator
from alh2.label.reference_labeler import compute, for_host
from alh2.label.reference_network import build_network, image_shifts
from alh2.label.reference_pes import DEFAULT_PARAMETERS, ReferenceParameters, reference_energy_forces


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    matrix, upper = np.linalg.qr(rng.normal(size=(3, 3)))
    matrix *= np.sign(np.diag(upper))
    return matrix * np.linalg.det(matrix)


def moved(frame: Frame, positions: np.ndarray, cell: np.ndarray | None = None) -> Frame:
    return Frame(frame.symbols, positions, frame.cell_ang if cell is None else cell, frame.n_host, frame.host_id)


def small_cell_frame(rng: np.random.Generator) -> Frame:
    """AlCO host and 3 H2 in a skewed cell of heights below 7 Å: several images within the cutoff."""
    cell = np.array([[7.0, 0.0, 0.0], [1.2, 7.2, 0.0], [0.7, -1.0, 6.8]])
    centres = np.array([[0.1, 0.1, 0.6], [0.6, 0.6, 0.2], [0.6, 0.1, 0.9]]) @ cell
    host = np.array([[0.0, 0.0, 0.0], [1.9, 0.0, 0.1], [2.5, 1.1, 0.2]])
    axes = rng.normal(size=(3, 3))
    axes *= 0.39 / np.linalg.norm(axes, axis=1)[:, None]
    guests = np.stack([centres - axes, centres + axes], axis=1).reshape(-1, 3)
    return Frame(("Al", "O", "C", *"HHHHHH"), np.vstack([host, guests]), cell, 3, "small")


def finite_difference_forces(frame: Frame, network, step: float = 1e-4) -> np.ndarray:
    forces = np.zeros((frame.n_atoms, 3))
    for atom in range(frame.n_atoms):
        for axis in range(3):
            energies = []
            for factor in (2, 1, -1, -2):
                positions = frame.positions_ang.copy()
                positions[atom, axis] += factor * step
                energies.append(reference_energy_forces(moved(frame, positions), DEFAULT_PARAMETERS, network)[0])
            far_up, up, down, far_down = energies
            forces[atom, axis] = -(8 * (up - down) - (far_up - far_down)) / (12 * step)
    return forces


def test_forces_are_exact_derivatives_on_the_node(loaded_node, node_network):
    frame = loaded_node[1].frame
    forces = reference_energy_forces(frame, DEFAULT_PARAMETERS, node_network)[1]
    assert np.abs(forces - finite_difference_forces(frame, node_network)).max() < 1e-6


def test_forces_are_exact_derivatives_in_a_small_skewed_cell():
    frame = small_cell_frame(np.random.default_rng(2))
    network = build_network(frame)
    rattled = moved(frame, frame.positions_ang + np.random.default_rng(3).normal(scale=0.05, size=(frame.n_atoms, 3)))
    forces = reference_energy_forces(rattled, DEFAULT_PARAMETERS, network)[1]
    assert np.abs(forces - finite_difference_forces(rattled, network)).max() < 1e-6
    assert np.abs(forces.sum(axis=0)).max() < 1e-9


@pytest.mark.physics
def test_small_cell_equals_its_supercell():
    frame = small_cell_frame(np.random.default_rng(5))
    frame = moved(frame, frame.positions_ang + np.random.default_rng(6).normal(scale=0.04, size=(frame.n_atoms, 3)))
    reference = small_cell_frame(np.random.default_rng(5))
    energy, forces = reference_energy_forces(frame, DEFAULT_PARAMETERS, build_network(reference))
    copies = image_shifts(np.full(3, 1.0), 1.0)
    copies = copies[(copies >= 0).all(axis=1)] @ frame.cell_ang
    assert len(copies) == 8

    def supercell(of: Frame) -> Frame:
        host = np.concatenate([of.positions_ang[:3] + shift for shift in copies])
        guests = np.concatenate([of.positions_ang[3:] + shift for shift in copies])
        symbols = ("Al", "O", "C") * 8 + ("H",) * 48
        return Frame(symbols, np.vstack([host, guests]), 2 * of.cell_ang, 24, "big")

    big_energy, big_forces = reference_energy_forces(
        supercell(frame), DEFAULT_PARAMETERS, build_network(supercell(reference))
    )
    assert big_energy == pytest.approx(8 * energy, abs=1e-9)
    assert np.abs(big_forces[:3] - forces[:3]).max() < 1e-9
    assert np.abs(big_forces[24:30] - forces[3:]).max() < 1e-9


def test_translation_and_wrapping_change_nothing(loaded_node, node_network):
    frame = loaded_node[0].frame
    energy, forces = reference_energy_forces(frame, DEFAULT_PARAMETERS, node_network)
    shifted = frame.positions_ang + [3.3, -9.1, 6.7]
    scaled = shifted @ np.linalg.inv(frame.cell_ang)
    wrapped = (scaled - np.floor(scaled)) @ frame.cell_ang
    other, other_forces = reference_energy_forces(moved(frame, wrapped), DEFAULT_PARAMETERS, node_network)
    assert other == pytest.approx(energy, abs=1e-10)
    assert np.abs(other_forces - forces).max() < 1e-9


def test_exchange_of_molecules_and_of_their_atoms_changes_nothing(loaded_node, node_network):
    frame = loaded_node[0].frame
    energy, forces = reference_energy_forces(frame, DEFAULT_PARAMETERS, node_network)
    order = np.arange(frame.n_atoms)
    order[30:] = [35, 34, 40, 41, 30, 31, 32, 33, 39, 38, 36, 37]
    other, other_forces = reference_energy_forces(
        moved(frame, frame.positions_ang[order]), DEFAULT_PARAMETERS, node_network
    )
    assert other == pytest.approx(energy, abs=1e-10)
    assert np.abs(other_forces - forces[order]).max() < 1e-10


def test_rotation_of_an_isolated_system_rotates_the_forces(loaded_node, node_network):
    frame = moved(loaded_node[0].frame, loaded_node[0].frame.positions_ang, np.eye(3) * 60.0)
    energy, forces = reference_energy_forces(frame, DEFAULT_PARAMETERS, node_network)
    rotation = random_rotation(np.random.default_rng(11))
    centre = frame.positions_ang.mean(axis=0)
    turned = moved(frame, (frame.positions_ang - centre) @ rotation.T + 30.0)
    other, other_forces = reference_energy_forces(turned, DEFAULT_PARAMETERS, node_network)
    assert other == pytest.approx(energy, abs=1e-9)
    assert np.abs(other_forces - forces @ rotation.T).max() < 1e-9


def test_a_cluster_that_turns_round_in_a_tight_periodic_box_keeps_its_energy(loaded_node, node_network):
    """Half a turn brings vectors to where another image is nearer to the reference ones."""
    host = loaded_node[0].frame.bare_host()
    frame = moved(host, host.positions_ang, np.eye(3) * 12.0)
    energy, forces = reference_energy_forces(frame, DEFAULT_PARAMETERS, node_network)
    centre = frame.positions_ang.mean(axis=0)
    for turn in (np.diag([-1.0, -1.0, 1.0]), np.diag([1.0, -1.0, -1.0])):
        turned = moved(frame, (frame.positions_ang - centre) @ turn + centre)
        other, other_forces = reference_energy_forces(turned, DEFAULT_PARAMETERS, node_network)
        assert other == pytest.approx(energy, abs=1e-9)
        assert np.abs(other_forces - forces @ turn).max() < 1e-9


def test_energy_and_force_are_continuous_at_switch_and_cutoff():
    host = Frame(("Al",), np.zeros((1, 3)), np.eye(3) * 40.0, 1, "al")
    network = build_network(host)

    def at(distance: float) -> tuple[float, float]:
        positions = np.array([[0.0, 0, 0], [distance, 0, 0], [distance + 20.0, 0, 0]])
        frame = Frame(("Al", "H", "H"), positions, host.cell_ang, 1, "al")
        energy, forces = reference_energy_forces(frame, DEFAULT_PARAMETERS, network)
        return energy, forces[0, 0]

    for edge in (DEFAULT_PARAMETERS.switch_ang, DEFAULT_PARAMETERS.cutoff_ang):
        below, above = at(edge - 1e-7), at(edge + 1e-7)
        assert below[0] == pytest.approx(above[0], abs=1e-8)
        assert below[1] == pytest.approx(above[1], abs=1e-7)
    beyond = DEFAULT_PARAMETERS.cutoff_ang + 0.01
    assert beyond <= 6.01 and at(beyond)[1] == 0.0
    assert at(DEFAULT_PARAMETERS.cutoff_ang - 0.5)[1] != 0.0


@pytest.mark.physics
def test_h2_on_the_open_al_site_sits_near_2p7_angstrom(empty_node, node_network):
    host = to_atoms(empty_node[0].frame)
    bare = reference_energy_forces(empty_node[0].frame, DEFAULT_PARAMETERS, node_network)[0]
    gas = -DEFAULT_PARAMETERS.h2_depth_ev
    bound = []
    for al in (2, 3):  # the two Al without OH; atom 0 is the µ3-O opposite to the open site
        axis = host.positions[al] - host.positions[0]
        axis /= np.linalg.norm(axis)
        across = np.cross(axis, [1.0, 0.0, 0.3])
        across *= 0.37 / np.linalg.norm(across)
        centre = host.positions[al] + 3.0 * axis
        atoms = host + Atoms("H2", [centre - across, centre + across])
        atoms.set_constraint(FixAtoms(range(30)))
        atoms.calc = ReferenceCalculator(node_network)
        FIRE(atoms, logfile=None).run(fmax=1e-3, steps=2000)
        assert np.linalg.norm(atoms.positions[30:].mean(axis=0) - atoms.positions[al]) == pytest.approx(2.70, abs=0.05)
        bound.append(atoms.get_potential_energy() - bare - gas)
    assert all(-0.2 < energy < -0.05 for energy in bound)


@pytest.mark.physics
def test_isolated_h2_has_the_morse_minimum_and_frequency(h2_frame):
    length, depth = DEFAULT_PARAMETERS.h2_length_ang, DEFAULT_PARAMETERS.h2_depth_ev
    positions = h2_frame.positions_ang.copy()

    def at(bond: float) -> float:
        positions[1, 2] = positions[0, 2] + bond
        return reference_energy_forces(moved(h2_frame, positions))[0]

    assert at(length) == pytest.approx(-depth, abs=1e-12)
    curvature = (at(length + 1e-3) - 2 * at(length) + at(length - 1e-3)) / 1e-6
    reduced_mass_amu = 1.00784 / 2
    wavenumber = np.sqrt(curvature / reduced_mass_amu) * 521.47  # sqrt(eV/Å²/amu) in 1/cm
    assert wavenumber == pytest.approx(4401.2, rel=0.01)  # ω_e of H2, NIST Chemistry WebBook


def test_network_follows_bonds(empty_node, node_network):
    assert node_network.n_host == 30
    counts = np.bincount(node_network.order, minlength=4)
    assert counts[1] == 35  # 3 Al–µ3O, 12 Al–O, 1 Al–OH, 1 O–H, 12 C–O, 6 C–H
    energy, forces = reference_energy_forces(empty_node[0].frame, DEFAULT_PARAMETERS, node_network)
    assert energy == 0.0 and np.abs(forces).max() < 1e-12
    stretched = reference_energy_forces(empty_node[1].frame, DEFAULT_PARAMETERS, node_network)[0]
    assert 0.1 < stretched < 20.0


def test_network_of_another_host_is_refused(loaded_node, empty_node):
    other = build_network(Frame(("Al",), np.zeros((1, 3)), np.eye(3) * 10, 1, "al"))
    with pytest.raises(BadInputError, match="spring network"):
        reference_energy_forces(loaded_node[0].frame, DEFAULT_PARAMETERS, other)
    with pytest.raises(BadInputError, match="spring network"):
        reference_energy_forces(loaded_node[0].frame)


def test_overlapping_atoms_have_a_huge_finite_energy(h2_frame):
    positions = np.repeat(h2_frame.positions_ang, 2, axis=0)[[0, 2, 1, 3]]
    frame = Frame(("H",) * 4, positions, h2_frame.cell_ang, 0)
    energy, forces = reference_energy_forces(frame)
    assert energy > 1e6 and np.isfinite(forces).all()


def test_full_crystal_size_takes_less_than_50_ms(node_network):
    rng = np.random.default_rng(8)
    grid = np.stack(np.meshgrid(*[np.arange(8)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)[:456] * 2.7
    host, centres = grid[:432], grid[432:]
    guests = np.repeat(centres, 2, axis=0) + np.tile([[0.0, 0, 0], [0.74, 0, 0]], (24, 1))
    symbols = ("Al",) * 24 + ("O",) * 112 + ("C",) * 192 + ("N",) * 24 + ("H",) * 80 + ("H",) * 48
    frame = Frame(symbols, np.vstack([host, guests]) + rng.normal(scale=0.05, size=(480, 3)), np.eye(3) * 21.67, 432)
    network = build_network(frame)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        reference_energy_forces(frame, DEFAULT_PARAMETERS, network)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.05


def test_calculator_agrees_with_the_function_and_knows_gas_from_host(loaded_node, node_network, h2_frame):
    frame = loaded_node[2].frame
    calculator = ReferenceCalculator(node_network)
    atoms = to_atoms(frame)
    atoms.calc = calculator
    energy, forces = reference_energy_forces(frame, DEFAULT_PARAMETERS, node_network)
    assert atoms.get_potential_energy() == energy
    assert np.array_equal(atoms.get_forces(), forces)
    gas = to_atoms(h2_frame)
    gas.calc = calculator
    assert gas.get_potential_energy() == reference_energy_forces(h2_frame)[0]


def test_labeler_carries_the_host_and_takes_overrides(loaded_node, empty_node, node_network, tmp_path):
    from ase.io import write

    from alh2.config.model import LabelConfig
    from alh2.label.registry import make_labeler

    host, frame = empty_node[0].frame, loaded_node[0].frame
    expected = reference_energy_forces(frame, DEFAULT_PARAMETERS, node_network)[0]
    assert compute(frame, for_host(host).params).energy_ev == pytest.approx(expected, abs=1e-12)

    path = tmp_path / "host.extxyz"
    write(path, to_atoms(host))
    deep = {"host_file": str(path), "overrides": {"al_depth_ev": 0.1}}
    labeler = make_labeler(LabelConfig("reference", deep, 1.0), type_map=("Al", "C", "H", "O"))
    params = ReferenceParameters(al_depth_ev=0.1)
    expected = reference_energy_forces(frame, params, node_network)[0]
    assert compute(frame, labeler.params).energy_ev == pytest.approx(expected, abs=1e-6)
    for wrong in ({"host_file": str(tmp_path / "none")}, {"overrides": {"al_dept_ev": 1.0}}, {"host": 1}):
        with pytest.raises(BadInputError):
            make_labeler(LabelConfig("reference", wrong, 1.0), type_map=("H",))

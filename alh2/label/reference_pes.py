"""An analytic potential that stands in for electronic structure: smooth, cheap, exactly known.

Tests and twin experiments train on it and compare with its exact answers. Host: an elastic network. H2: a Morse bond
within the molecule, 12-6 Lennard-Jones between molecules and with the host, a Morse well on Al, which makes the open
sites bind. Everything between guest and host or between guests ends smoothly at `cutoff_ang`, so that a
finite-range model can represent it. Invariant under translation, rotation of an isolated system, and exchange of
molecules; forces are exact derivatives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alh2.core.errors import BadInputError
from alh2.core.frames import Frame
from alh2.label.reference_network import HostNetwork, cell_heights_ang, image_shifts

SHORT_SPRING = 0.45
"""Springs shorter than this part of the least distance between faces of the cell join nearest images."""
SHORTEST_ANG = 1e-3
"""Distances below are treated as this one, so that coincident atoms give a huge energy rather than NaN."""


@dataclass(frozen=True)
class LennardJones:
    """4ε[(σ/r)¹² - (σ/r)⁶] between a guest H and `element`, ε in eV, σ in Å."""

    element: str
    epsilon_ev: float
    sigma_ang: float


@dataclass(frozen=True)
class ReferenceParameters:
    """Parameters of the reference potential.

    h2_* : Morse bond of H2 (well depth eV, length Å, steepness 1/Å), spectroscopic values of the free molecule
    al_* : Morse well between a guest H and Al
    host_lj : guest H with every other host element, ε times host_lj_scale; guest_lj : guest H with H of other molecules
    bond_k, angle_k, torsion_k : spring constants eV/Å² of bonded, 1–3 and 1–4 host neighbours
    switch_ang, cutoff_ang : guest interactions are switched off between the two
    """

    h2_depth_ev: float = 4.747
    h2_length_ang: float = 0.7414
    h2_steepness_per_ang: float = 1.945
    al_depth_ev: float = 0.045
    al_length_ang: float = 2.71
    al_steepness_per_ang: float = 1.6
    host_lj: tuple[LennardJones, ...] = (
        LennardJones("H", 0.0012, 2.50),
        LennardJones("C", 0.0028, 2.90),
        LennardJones("N", 0.0028, 2.80),
        LennardJones("O", 0.0026, 2.65),
    )
    host_lj_scale: float = 1.0
    guest_lj: LennardJones = LennardJones("H", 0.00075, 2.70)
    bond_k_ev_ang2: float = 25.0
    angle_k_ev_ang2: float = 3.0
    torsion_k_ev_ang2: float = 0.3
    switch_ang: float = 5.0
    cutoff_ang: float = 6.0


DEFAULT_PARAMETERS = ReferenceParameters()


def reference_energy_forces(
    frame: Frame, params: ReferenceParameters = DEFAULT_PARAMETERS, network: HostNetwork | None = None
) -> tuple[float, np.ndarray]:
    """Energy (eV) and forces (n_atoms, 3) (eV/Å) of `frame`.

    network : springs of the host, from `build_network`; None only where the frame has no host atoms

    Raises BadInputError where the network belongs to another host or an element has no parameters.
    """
    forces = np.zeros((frame.n_atoms, 3))
    energy = 0.0
    if frame.n_host:
        if network is None or network.symbols != frame.symbols[: frame.n_host]:
            found = "none" if network is None else f"the network of another host ({network.n_host} atoms)"
            raise BadInputError(
                f"reference potential, host with {frame.n_host} atoms", expected="its spring network", found=found
            )
        energy += _host_energy(frame, params, network, forces)
    if frame.n_h2:
        energy += _bond_energy(frame, params, forces)
        energy += _guest_host_energy(frame, params, forces)
        energy += _guest_guest_energy(frame, params, forces)
    return energy, forces


def _host_energy(frame: Frame, params: ReferenceParameters, network: HostNetwork, forces: np.ndarray) -> float:
    """Springs ½k(d - d0)² between nearest images where the cell is large, else those nearest to the reference vectors.

    A free cluster may turn round, and its vectors are then nowhere near the reference ones. Adds forces.
    """
    i, j = network.pairs.T
    vectors = frame.positions_ang[j] - frame.positions_ang[i]
    short = network.lengths_ang < SHORT_SPRING * cell_heights_ang(frame.cell_ang).min()
    wanted = np.where(short[:, None], 0.0, network.vectors_ang)
    cells = np.round((wanted - vectors) @ np.linalg.inv(frame.cell_ang))
    vectors = vectors + cells @ frame.cell_ang
    constants = np.array([params.bond_k_ev_ang2, params.angle_k_ev_ang2, params.torsion_k_ev_ang2])
    k = constants[network.order - 1]
    distance = np.maximum(np.linalg.norm(vectors, axis=1), SHORTEST_ANG)
    stretch = distance - network.lengths_ang
    _add_pair_forces(forces, i, j, (k * stretch / distance)[:, None] * vectors)
    return float(0.5 * np.sum(k * stretch**2))


def _bond_energy(frame: Frame, params: ReferenceParameters, forces: np.ndarray) -> float:
    """Morse bonds of the molecules, zero at infinite separation; adds forces."""
    first = np.arange(frame.n_host, frame.n_atoms, 2)
    delta = (frame.positions_ang[first + 1] - frame.positions_ang[first]) @ np.linalg.inv(frame.cell_ang)
    vectors = (delta - np.round(delta)) @ frame.cell_ang
    distance = np.maximum(np.linalg.norm(vectors, axis=1), SHORTEST_ANG)
    energy, slope = bond_pair(distance, params)
    _add_pair_forces(forces, first, first + 1, (slope / distance)[:, None] * vectors)
    return float(energy.sum())


def _guest_host_energy(frame: Frame, params: ReferenceParameters, forces: np.ndarray) -> float:
    """Lennard-Jones and Al Morse between guest atoms and host atoms in every image; adds forces."""
    if not frame.n_host:
        return 0.0
    hosts = np.array(frame.symbols[: frame.n_host])
    guests = np.arange(frame.n_host, frame.n_atoms)
    g, h, vectors = _pairs_within(frame, guests, np.arange(frame.n_host), params.cutoff_ang)
    distance = np.linalg.norm(vectors, axis=1)
    energy, slope = np.zeros(len(distance)), np.zeros(len(distance))
    for element in sorted(set(hosts.tolist())):
        mine = hosts[h] == element
        energy[mine], slope[mine] = guest_host_pair(element, distance[mine], params)
    distance = np.maximum(distance, SHORTEST_ANG)
    _add_pair_forces(forces, g, h, (slope / distance)[:, None] * vectors)
    return float(energy.sum())


def _guest_guest_energy(frame: Frame, params: ReferenceParameters, forces: np.ndarray) -> float:
    """Lennard-Jones between atoms of different molecules, a molecule and its own images included; adds forces."""
    guests = np.arange(frame.n_host, frame.n_atoms)
    i, j, vectors = _pairs_within(frame, guests, guests, params.cutoff_ang, skip_own_molecule=True)
    distance = np.maximum(np.linalg.norm(vectors, axis=1), SHORTEST_ANG)
    energy, slope = (0.5 * x for x in guest_guest_pair(distance, params))  # every pair appears twice
    _add_pair_forces(forces, i, j, (slope / distance)[:, None] * vectors)
    return float(energy.sum())


def guest_host_pair(
    element: str, distance_ang: np.ndarray, params: ReferenceParameters
) -> tuple[np.ndarray, np.ndarray]:
    """Energy (eV) and slope (eV/Å), (n,) each, of a guest H and a host atom; BadInputError for an unknown element."""
    table = {entry.element: entry for entry in params.host_lj}
    if element != "Al" and element not in table:
        raise BadInputError(
            "reference potential", expected=f"host elements Al, {', '.join(table)}", found=f'"{element}"'
        )
    distance = np.maximum(distance_ang, SHORTEST_ANG)
    if element == "Al":
        energy, slope = _morse(distance, params.al_depth_ev, params.al_length_ang, params.al_steepness_per_ang)
    else:
        energy, slope = _lennard_jones(
            distance, params.host_lj_scale * table[element].epsilon_ev, table[element].sigma_ang
        )
    return _switched(energy, slope, distance, params)


def guest_guest_pair(distance_ang: np.ndarray, params: ReferenceParameters) -> tuple[np.ndarray, np.ndarray]:
    """Energy (eV) and slope (eV/Å), (n,) each, of two H of different molecules."""
    distance = np.maximum(distance_ang, SHORTEST_ANG)
    energy, slope = _lennard_jones(distance, params.guest_lj.epsilon_ev, params.guest_lj.sigma_ang)
    return _switched(energy, slope, distance, params)


def bond_pair(distance_ang: np.ndarray, params: ReferenceParameters) -> tuple[np.ndarray, np.ndarray]:
    """Energy (eV) and slope (eV/Å), (n,) each, of a molecule's bond."""
    return _morse(distance_ang, params.h2_depth_ev, params.h2_length_ang, params.h2_steepness_per_ang)


def _pairs_within(
    frame: Frame, first: np.ndarray, second: np.ndarray, cutoff_ang: float, *, skip_own_molecule: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ordered pairs of atoms (i from `first`, j from `second`) and vectors from i to an image of j, within the cutoff.

    skip_own_molecule : leave out the nearest image of the own molecule's atoms (`first` and `second` are guests)
    """
    inverse = np.linalg.inv(frame.cell_ang)
    scaled = frame.positions_ang @ inverse
    delta = scaled[second][None, :, :] - scaled[first][:, None, :]
    delta -= np.round(delta)
    nearest = delta @ frame.cell_ang
    ii, jj, found = [], [], []
    for shift in image_shifts(cell_heights_ang(frame.cell_ang), cutoff_ang):
        vectors = nearest + shift @ frame.cell_ang
        near = np.einsum("ijk,ijk->ij", vectors, vectors) < cutoff_ang**2
        if skip_own_molecule and not shift.any():
            molecule = (np.arange(len(first)) // 2)[:, None]
            near &= molecule != molecule.T
        a, b = np.nonzero(near)
        ii.append(first[a])
        jj.append(second[b])
        found.append(vectors[a, b])
    return np.concatenate(ii), np.concatenate(jj), np.concatenate(found)


def _lennard_jones(distance: np.ndarray, epsilon: float, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Energy and dE/dr of 4ε[(σ/r)¹² - (σ/r)⁶]."""
    sixth = (sigma / distance) ** 6
    return 4.0 * epsilon * (sixth**2 - sixth), -24.0 * epsilon * (2.0 * sixth**2 - sixth) / distance


def _morse(distance: np.ndarray, depth: float, length: float, steepness: float) -> tuple[np.ndarray, np.ndarray]:
    """Energy and dE/dr of D[(1 - e^(-a(r - r0)))² - 1]."""
    decay = np.exp(-steepness * (distance - length))
    return depth * (decay**2 - 2.0 * decay), -2.0 * depth * steepness * (decay**2 - decay)


def _switched(
    energy: np.ndarray, slope: np.ndarray, distance: np.ndarray, params: ReferenceParameters
) -> tuple[np.ndarray, np.ndarray]:
    """Energy and slope times 1 - 10x³ + 15x⁴ - 6x⁵ over the switching range (two continuous derivatives)."""
    width = params.cutoff_ang - params.switch_ang
    x = np.clip((distance - params.switch_ang) / width, 0.0, 1.0)
    factor = 1.0 - x**3 * (10.0 - 15.0 * x + 6.0 * x**2)
    derivative = -30.0 * x**2 * (1.0 - x) ** 2 / width
    return energy * factor, slope * factor + energy * derivative


def _add_pair_forces(forces: np.ndarray, i: np.ndarray, j: np.ndarray, gradient: np.ndarray) -> None:
    """Add the forces of pairs whose energy has derivative `gradient` (n, 3) with respect to r_j, minus that to r_i."""
    for axis in range(3):
        forces[:, axis] += np.bincount(i, gradient[:, axis], len(forces))
        forces[:, axis] -= np.bincount(j, gradient[:, axis], len(forces))

"""The first frames to label: loadings on frozen hosts, the bare hosts themselves, isolated H2 and pairs of H2.

They make the compositions span H2 exchange, so that the energy of adding one H2 is determined from the start, and
they put several loadings on the same host geometry, so that one bare-host label serves them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from ase import Atoms

from alh2.config.model import BootstrapConfig
from alh2.core.atoms import to_atoms
from alh2.core.errors import BadInputError
from alh2.core.frames import ATOMS_PER_H2, Frame, Provenance
from alh2.structure.loading import load_h2
from alh2.structure.topology import neighbour_pairs

BOND_MEAN_ANG, BOND_STD_ANG = 0.74, 0.02
"""Bond lengths of loaded H2: mean (experiment: 0.741 Å) and scatter, Å."""

BOND_RANGE_ANG = (0.62, 0.92)
"""Loaded H2 keep to this range after the displacements, Å."""

GAS_BOND_RANGE_ANG = (0.65, 0.95)
GAS_PAIR_RANGE_ANG = (2.2, 6.0)
"""Bond lengths of isolated H2, and distances between the centres of H2 pairs, spread evenly, Å."""

_MAX_TRIES = 200


def bootstrap_frames(
    config: BootstrapConfig, hosts: Sequence[Frame], *, host_id: str, rng: np.random.Generator
) -> list[Frame]:
    """Unlabelled frames: bare hosts, then each loading spread over the same hosts, then gas.

    `hosts` are frames in time order; `config.host_snapshots` of them, evenly spaced, are stripped of guests and
    used. Half of the frames prefer open metal sites. The same state of `rng` gives the same frames. Raises
    BadInputError where there is no host, or no room for the molecules.
    """
    snapshots = _snapshots(hosts, config.host_snapshots, host_id)
    frames = list(snapshots)
    for loading in config.loadings:
        if loading == 0:
            continue  # the snapshots themselves
        for k in range(config.frames_per_loading):
            index = k % len(snapshots)
            near_sites = (k // len(snapshots) + index) % 2 == 1
            frames.append(_loaded(config, snapshots[index], loading, near_sites=near_sites, rng=rng))
    return frames + gas_frames(config, rng=rng)


def gas_frames(config: BootstrapConfig, *, rng: np.random.Generator) -> list[Frame]:
    """Isolated H2 (bond lengths spread over 0.65–0.95 Å) and pairs (2.2–6 Å apart), in a box, randomly oriented."""
    cell = np.eye(3) * config.gas_box_ang
    widest = GAS_PAIR_RANGE_ANG[1] if config.gas_pair_frames else GAS_BOND_RANGE_ANG[1]
    if config.gas_frames + config.gas_pair_frames and config.gas_box_ang < 2.0 * widest:
        raise BadInputError(
            "gas_box_ang", expected=f"at least {2.0 * widest:g} Å", found=f"{config.gas_box_ang:g}",
            action="enlarge the box so that images stay apart",
        )  # fmt: skip
    frames = []
    for bond in np.linspace(*GAS_BOND_RANGE_ANG, config.gas_frames):
        positions = _molecule(config.gas_box_ang * rng.random(3), float(bond), rng)
        frames.append(_gas(positions, cell, f"H2 {bond:.3f} Å"))
    for distance in np.linspace(*GAS_PAIR_RANGE_ANG, config.gas_pair_frames):
        centre = config.gas_box_ang * rng.random(3)
        other = centre + distance * _unit(rng)
        positions = np.concatenate([_molecule(centre, _bond(rng), rng), _molecule(other, _bond(rng), rng)])
        frames.append(_gas(positions, cell, f"H2 pair {distance:.2f} Å"))
    return frames


def _snapshots(hosts: Sequence[Frame], count: int, host_id: str) -> list[Frame]:
    """Distinct bare hosts, evenly spaced in `hosts`."""
    bare: dict[str, Frame] = {}
    for frame in hosts:
        if frame.n_host:
            host = frame.bare_host()
            provenance = replace(host.provenance, source="bootstrap", detail=f"bare host of {host.provenance.detail}")
            host = replace(host, host_id=host_id, provenance=provenance)
            bare.setdefault(host.digest, host)
    if not bare:
        raise BadInputError("bootstrap", expected="at least one frame with a host", found=f"{len(hosts)} frames")
    distinct = list(bare.values())
    chosen = np.linspace(0, len(distinct) - 1, min(max(1, count), len(distinct))).round().astype(int)
    return [distinct[i] for i in chosen]


def _loaded(
    config: BootstrapConfig, host: Frame, loading: int, *, near_sites: bool, rng: np.random.Generator
) -> Frame:  # fmt: skip
    loaded = load_h2(
        to_atoms(host), loading, rng=rng, min_distance_ang=config.min_distance_ang, bond_length_ang=BOND_MEAN_ANG,
        prefer_open_sites=near_sites,
    )  # fmt: skip
    place = "preferring open sites" if near_sites else "anywhere"
    provenance = Provenance("bootstrap", detail=f"{loading} H2 {place} on {host.provenance.detail}")
    positions = _disturbed(loaded, host.n_host, config, rng)
    return Frame(tuple(loaded.get_chemical_symbols()), positions, host.cell_ang, host.n_host, host.host_id, provenance)


def _disturbed(loaded: Atoms, n_host: int, config: BootstrapConfig, rng: np.random.Generator) -> np.ndarray:
    """Positions with random bond lengths and displacements of guests, one molecule at a time.

    A molecule whose disturbed place breaks the bond range or the minimum distance is drawn again, and stays as
    placed after `_MAX_TRIES`.
    """
    atoms = loaded.copy()
    for first in range(n_host, len(atoms), ATOMS_PER_H2):
        pair = slice(first, first + ATOMS_PER_H2)
        placed = atoms.positions[pair].copy()
        for _ in range(_MAX_TRIES):
            axis = placed[1] - placed[0]
            half = 0.5 * _bond(rng) * axis / np.linalg.norm(axis)
            moved = placed.mean(axis=0) + np.array([-half, half])
            moved += config.displacement_ang * rng.standard_normal((ATOMS_PER_H2, 3))
            atoms.positions[pair] = moved
            bond = float(np.linalg.norm(moved[1] - moved[0]))
            if BOND_RANGE_ANG[0] <= bond <= BOND_RANGE_ANG[1] and _has_room(atoms, first, config.min_distance_ang):
                break
        else:
            atoms.positions[pair] = placed
    return np.array(atoms.positions)


def _has_room(atoms: Atoms, first: int, min_distance_ang: float) -> bool:
    i, j, _ = neighbour_pairs(atoms, min_distance_ang)
    mine_i = (i >= first) & (i < first + ATOMS_PER_H2)
    mine_j = (j >= first) & (j < first + ATOMS_PER_H2)
    return not np.any(mine_i ^ mine_j)


def _gas(positions: np.ndarray, cell: np.ndarray, detail: str) -> Frame:
    return Frame(("H",) * len(positions), positions, cell, 0, "", Provenance("gas", detail=detail))


def _bond(rng: np.random.Generator) -> float:
    return float(BOND_MEAN_ANG + BOND_STD_ANG * rng.standard_normal())


def _unit(rng: np.random.Generator) -> np.ndarray:
    vector = rng.standard_normal(3)
    return vector / np.linalg.norm(vector)


def _molecule(centre: np.ndarray, bond_ang: float, rng: np.random.Generator) -> np.ndarray:
    half = 0.5 * bond_ang * _unit(rng)
    return np.array([centre - half, centre + half])

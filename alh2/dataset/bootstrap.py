"""The first frames to label: loadings on frozen hosts, the bare hosts themselves, isolated H2 and pairs of H2.

They make the compositions span H2 exchange, so that the energy of adding one H2 is determined from the start, and
they put several loadings on the same host geometry, so that one bare-host label serves them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from ase import Atoms

from alh2.config.model import BootstrapConfig
from alh2.core.atoms import to_atoms
from alh2.core.errors import BadInputError
from alh2.core.frames import ATOMS_PER_H2, Frame, Provenance
from alh2.structure.loading import load_h2
from alh2.structure.topology import neighbour_pairs

BOND_MEAN_ANG, BOND_STD_ANG = 0.76, 0.015
"""Bond lengths of loaded H2, Å: mean between experiment (0.741) and GFN1-xTB (0.766), and scatter.

The scatter is the classical thermal one at 77 K, sqrt(kT/k) = 0.0135 Å for k = 36 eV/Å²: a wider one spends the
model's accuracy on the stiff bond, whose error then enters every insertion energy.
"""

BOND_RANGE_ANG = (0.62, 0.92)
"""Loaded H2 keep to this range after the displacements, Å."""

GAS_BOND_RANGE_ANG = (0.68, 0.88)
GAS_MINIMUM_RANGE_ANG = (0.73, 0.80)
GAS_PAIR_RANGE_ANG = (1.5, 6.0)
"""Bond lengths of isolated H2 (all of them, and those near the minimum), and distances of H2 pairs, Å."""

CROWDED_RANGE_ANG = 4.0
"""A crowded molecule's centre is at most this far from some atom, Å."""

Placing = Literal["anywhere", "near open sites", "crowded"]
PLACINGS: tuple[Placing, ...] = ("anywhere", "near open sites", "crowded")

_MAX_TRIES = 200


def bootstrap_frames(
    config: BootstrapConfig, hosts: Sequence[Frame], *, host_id: str, rng: np.random.Generator
) -> list[Frame]:
    """Unlabelled frames: bare hosts, then each loading spread over the same hosts, rattled hosts, and gas.

    `hosts` are frames in time order; `config.host_snapshots` of them, evenly spaced, are stripped of guests and
    used. Of each loading, a third is placed anywhere, a third prefers open metal sites, and a third is crowded:
    molecules in contact with host atoms and each other, down to `config.close_distance_ang`. Without crowded frames
    and rattled hosts a model has no reason to repel at short range, and dynamics and Monte Carlo fall into the
    holes. The same state of `rng` gives the same frames. Raises BadInputError where there is no host, or no room
    for the molecules.
    """
    snapshots = _snapshots(hosts, config.host_snapshots, host_id)
    frames = list(snapshots)
    for loading in config.loadings:
        if loading == 0:
            continue  # the snapshots themselves
        for k in range(config.frames_per_loading):
            index = k % len(snapshots)
            way = PLACINGS[(k // len(snapshots) + index) % len(PLACINGS)]
            frames.append(_loaded(config, snapshots[index], loading, way=way, rng=rng))
    return frames + rattled_frames(config, snapshots, rng=rng) + gas_frames(config, rng=rng)


def rattled_frames(config: BootstrapConfig, snapshots: Sequence[Frame], *, rng: np.random.Generator) -> list[Frame]:
    """`config.rattled_frames` frames on hosts displaced at random, in turn by each of `host_displacements_ang`.

    Loadings take turns through 0 and `config.loadings`; guests are crowded.
    """
    loadings = sorted({0, *config.loadings})
    frames = []
    for k in range(config.rattled_frames if config.host_displacements_ang else 0):
        width = config.host_displacements_ang[k % len(config.host_displacements_ang)]
        host = snapshots[int(rng.integers(len(snapshots)))]
        moved = host.positions_ang + width * rng.standard_normal(host.positions_ang.shape)
        detail = f"host rattled by {width:g} Å, {host.provenance.detail}"
        rattled = replace(host, positions_ang=moved, provenance=Provenance("bootstrap", detail=detail))
        loading = loadings[(k // len(config.host_displacements_ang)) % len(loadings)]
        frames.append(_loaded(config, rattled, loading, way="crowded", rng=rng) if loading else rattled)
    return frames


def gas_frames(config: BootstrapConfig, *, rng: np.random.Generator) -> list[Frame]:
    """Isolated H2 (see `gas_bonds_ang`) and pairs (1.5–6 Å apart), in a box, randomly oriented."""
    cell = np.eye(3) * config.gas_box_ang
    widest = GAS_PAIR_RANGE_ANG[1] if config.gas_pair_frames else GAS_BOND_RANGE_ANG[1]
    if config.gas_frames + config.gas_pair_frames and config.gas_box_ang < 2.0 * widest:
        raise BadInputError(
            "gas_box_ang", expected=f"at least {2.0 * widest:g} Å", found=f"{config.gas_box_ang:g}",
            action="enlarge the box so that images stay apart",
        )  # fmt: skip
    frames = []
    for bond in gas_bonds_ang(config.gas_frames):
        positions = _molecule(config.gas_box_ang * rng.random(3), float(bond), rng)
        frames.append(_gas(positions, cell, f"H2 {bond:.3f} Å"))
    for distance in np.linspace(*GAS_PAIR_RANGE_ANG, config.gas_pair_frames):
        centre = config.gas_box_ang * rng.random(3)
        other = centre + distance * _unit(rng)
        positions = np.concatenate([_molecule(centre, _bond(rng), rng), _molecule(other, _bond(rng), rng)])
        frames.append(_gas(positions, cell, f"H2 pair {distance:.2f} Å"))
    return frames


def gas_bonds_ang(count: int) -> np.ndarray:
    """Bond lengths of isolated H2, (count,), Å: a third over the whole range, the rest near the minimum.

    Every insertion energy contains the energy of the isolated molecule near its minimum: an error there shifts them
    all, and with them the whole isotherm.
    """
    wide = (count + 2) // 3
    return np.concatenate([np.linspace(*GAS_BOND_RANGE_ANG, wide), np.linspace(*GAS_MINIMUM_RANGE_ANG, count - wide)])


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
    config: BootstrapConfig, host: Frame, loading: int, *, way: Placing, rng: np.random.Generator
) -> Frame:  # fmt: skip
    if way == "crowded":
        positions = _crowded(config, host, loading, rng)
    else:
        loaded = load_h2(
            to_atoms(host), loading, rng=rng, min_distance_ang=config.min_distance_ang,
            bond_length_ang=BOND_MEAN_ANG, prefer_open_sites=way == "near open sites",
        )  # fmt: skip
        positions = disturbed(loaded, host.n_host, config, rng, min_distance_ang=config.min_distance_ang)
    provenance = Provenance("bootstrap", detail=f"{loading} H2 {way} on {host.provenance.detail}")
    symbols = host.symbols + ("H",) * (ATOMS_PER_H2 * loading)
    return Frame(symbols, positions, host.cell_ang, host.n_host, host.host_id, provenance)


def _crowded(config: BootstrapConfig, host: Frame, loading: int, rng: np.random.Generator) -> np.ndarray:
    """Host positions and `loading` molecules, each centred near a random atom placed before it."""
    inverse = np.linalg.inv(host.cell_ang)
    positions = np.array(host.positions_ang)
    for _ in range(ATOMS_PER_H2 * loading * _MAX_TRIES):
        if len(positions) == host.n_host + ATOMS_PER_H2 * loading:
            return positions
        near = positions[int(rng.integers(len(positions)))]
        centre = near + rng.uniform(config.close_distance_ang, CROWDED_RANGE_ANG) * _unit(rng)
        molecule = _molecule(centre, _bond(rng), rng)
        fractional = (molecule[:, None, :] - positions[None, :, :]) @ inverse
        vectors = (fractional - np.round(fractional)) @ host.cell_ang
        if np.sqrt((vectors**2).sum(axis=-1)).min() >= config.close_distance_ang:
            positions = np.concatenate([positions, molecule])
    raise BadInputError(
        "bootstrap", expected=f"room for {loading} H2 with contacts of {config.close_distance_ang:g} Å",
        found=f"room for {(len(positions) - host.n_host) // ATOMS_PER_H2}", action="lower the loading",
    )  # fmt: skip


def disturbed(
    loaded: Atoms, n_host: int, config: BootstrapConfig, rng: np.random.Generator, *, min_distance_ang: float
) -> np.ndarray:
    """Positions (n_atoms, 3) Å with random bond lengths and displacements of guests, one molecule at a time.

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
            if BOND_RANGE_ANG[0] <= bond <= BOND_RANGE_ANG[1] and _has_room(atoms, first, min_distance_ang):
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

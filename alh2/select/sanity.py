"""Geometries that no labeler should see: overlapping atoms, dissociated H2, broken framework.

Thousands of frames are checked together: neighbours by a k-d tree per frame, all distances of a kind in one go. Works
in any cell: the cell is Minkowski-reduced first, and nearest images are then found among the 27 around.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alh2.config.model import SelectConfig
from alh2.core.atoms import to_atoms
from alh2.core.errors import BadInputError
from alh2.core.frames import Frame
from alh2.structure.topology import bonded_pairs

HOST_OVERLAP_ANG = 0.6
"""Host atoms this close are on top of each other (the shortest bond, O–H, is 0.95 Å)."""

CHUNK_FRAMES = 1000
"""Frames checked together (bounds memory: 1000 frames of 480 atoms need about 50 MB)."""

_NEIGHBOURS = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


@dataclass(frozen=True, eq=False)
class HostBonds:
    """Bonds of the host: pairs (n_bonds, 2) of host atom indices, lengths_ang (n_bonds,) in the reference geometry."""

    pairs: np.ndarray
    lengths_ang: np.ndarray

    def __post_init__(self) -> None:
        pairs = np.asarray(self.pairs, dtype=np.int64).reshape(-1, 2)
        lengths = np.asarray(self.lengths_ang, dtype=np.float64).reshape(-1)
        if len(pairs) != len(lengths):
            raise BadInputError("host bonds", expected=f"{len(pairs)} bond lengths", found=f"{len(lengths)}")
        object.__setattr__(self, "pairs", pairs)
        object.__setattr__(self, "lengths_ang", lengths)


def bonds_of(host: Frame) -> HostBonds:
    """Bonded pairs of `host` (without molecules), and their lengths in it."""
    atoms = to_atoms(host)
    pairs = bonded_pairs(atoms)
    return HostBonds(pairs, np.array([atoms.get_distance(int(i), int(j), mic=True) for i, j in pairs]))


def find_insane(frames: Sequence[Frame], config: SelectConfig, bonds: HostBonds) -> list[str | None]:
    """For each frame the reason why its geometry is not sane, None where it is.

    Checked in this order: finite positions, overlaps (guests with anything but their own molecule below
    ``min_distance``; host atoms below 0.6 Å), H2 bonds above ``h2_bond_max``, framework bonds above
    ``framework_bond_stretch`` times their reference length.
    """
    reasons: list[str | None] = [None] * len(frames)
    groups: dict[bytes, list[int]] = {}
    for index, frame in enumerate(frames):
        groups.setdefault(frame.cell_ang.tobytes(), []).append(index)
    for same_cell in groups.values():
        cell_ang = frames[same_cell[0]].cell_ang
        cell_is_finite = bool(np.isfinite(cell_ang).all())
        cell = _Cell(cell_ang) if cell_is_finite and abs(np.linalg.det(cell_ang)) >= 1e-6 else None
        for start in range(0, len(same_cell), CHUNK_FRAMES):
            chunk = same_cell[start : start + CHUNK_FRAMES]
            finite = _finite([frames[i] for i in chunk]) & cell_is_finite
            for index in (i for i, good in zip(chunk, finite, strict=True) if not good):
                reasons[index] = "positions are not finite"
            members = [i for i, good in zip(chunk, finite, strict=True) if good]
            if cell is None:
                found: list[str | None] = ["cell has no volume"] * len(members)
            else:
                found = _reasons([frames[i] for i in members], cell, config, bonds) if members else []
            for index, reason in zip(members, found, strict=True):
                reasons[index] = reason
    return reasons


def _finite(frames: list[Frame]) -> np.ndarray:
    """Whether all positions of each frame are finite, (n_frames,)."""
    owner = np.repeat(np.arange(len(frames)), [len(frame.symbols) for frame in frames])
    bad = ~np.isfinite(np.concatenate([frame.positions_ang for frame in frames])).all(axis=1)
    finite = np.ones(len(frames), dtype=bool)
    finite[owner[bad]] = False
    return finite


def _reasons(frames: list[Frame], cell: _Cell, config: SelectConfig, bonds: HostBonds) -> list[str | None]:
    """First reason of each frame; all have the cell `cell`."""
    overlaps = _overlaps(frames, cell, config.min_distance_ang)
    stretched = _stretched_h2(frames, cell, config.h2_bond_max_ang)
    broken = _broken_bonds(frames, cell, bonds, config.framework_bond_stretch)
    return [next((r for r in found if r), None) for found in zip(overlaps, stretched, broken, strict=True)]


class _Cell:
    """Nearest images in one cell."""

    def __init__(self, cell_ang: np.ndarray) -> None:
        from ase.geometry import minkowski_reduce

        reduced = np.asarray(minkowski_reduce(cell_ang)[0])
        self.reduced_ang = reduced
        self.inverse = np.linalg.inv(reduced)
        self.heights_ang = 1.0 / np.linalg.norm(self.inverse, axis=0)
        gram = reduced @ reduced.T
        self.orthogonal = np.abs(gram - np.diag(np.diag(gram))).max() < 1e-9 * gram.max()

    def distances(self, vectors_ang: np.ndarray) -> np.ndarray:
        """Lengths (n,) of the shortest images of vectors (n, 3)."""
        scaled = vectors_ang @ self.inverse
        scaled -= np.round(scaled)
        nearest = scaled @ self.reduced_ang
        if self.orthogonal:
            return np.linalg.norm(nearest, axis=1)
        square = np.full(len(nearest), np.inf)
        for shift in _NEIGHBOURS @ self.reduced_ang:
            np.minimum(square, np.einsum("ij,ij->i", nearest + shift, nearest + shift), out=square)
        return np.sqrt(square)


def _overlaps(frames: list[Frame], cell: _Cell, min_distance_ang: float) -> list[str | None]:
    """Closest forbidden contact of each frame.

    Atoms closer than r differ by less than r along the normal of every cell face, so a periodic k-d tree of those
    three heights with the maximum norm finds all of them, and a few more, in any cell. One tree holds all frames,
    kept apart by a fourth coordinate.
    """
    from scipy.spatial import cKDTree

    reach = max(min_distance_ang, HOST_OVERLAP_ANG)
    reasons: list[str | None] = [None] * len(frames)
    counts = np.array([len(frame.symbols) for frame in frames])
    first = np.cumsum(counts) - counts
    owner = np.repeat(np.arange(len(frames)), counts)
    n_host = np.array([frame.n_host for frame in frames])
    positions = np.concatenate([frame.positions_ang for frame in frames])
    scaled = positions @ cell.inverse
    scaled -= np.floor(scaled)
    scaled[scaled >= 1.0] = 0.0  # -1e-17 wraps to exactly 1
    points = np.minimum(scaled * cell.heights_ang, np.nextafter(cell.heights_ang, 0.0))
    apart = np.column_stack([points, 3.0 * reach * owner])
    tree = cKDTree(apart, boxsize=[*cell.heights_ang, 0.0])
    pairs = tree.query_pairs(reach, p=np.inf, output_type="ndarray")
    if not len(pairs):
        return reasons
    owner = owner[pairs[:, 0]]
    i, j = (pairs - first[owner][:, None]).T  # within the frame, i < j
    host = n_host[owner]
    own = (i >= host) & ((i - host) // 2 == (j - host) // 2)
    limits = np.where(j < host, HOST_OVERLAP_ANG, min_distance_ang)[~own]
    distance = cell.distances((positions[pairs[:, 1]] - positions[pairs[:, 0]])[~own])
    owner, pairs = owner[~own], np.column_stack([i, j])[~own]
    close = np.flatnonzero(distance < limits)
    for index in close[np.argsort(-distance[close], kind="stable")]:  # closest last, so it is the one told
        i, j = pairs[index]
        symbols = frames[owner[index]].symbols
        reasons[owner[index]] = (
            f"overlap: {symbols[i]}{i}–{symbols[j]}{j} {distance[index]:.3f} Å < {limits[index]:g} Å"
        )
    return reasons


def _stretched_h2(frames: list[Frame], cell: _Cell, limit_ang: float) -> list[str | None]:
    """Longest H2 bond of each frame where it is above the limit."""
    vectors = [frame.positions_ang[frame.n_host + 1 :: 2] - frame.positions_ang[frame.n_host :: 2] for frame in frames]
    longest = _longest(vectors, cell, np.ones(sum(map(len, vectors))))[0].tolist()
    return [f"H2 bond {d:.2f} Å > {limit_ang:.2f} Å" if d > limit_ang else None for d in longest]


def _broken_bonds(frames: list[Frame], cell: _Cell, bonds: HostBonds, stretch: float) -> list[str | None]:
    """Most stretched framework bond of each frame where it is above the limit."""
    reasons: list[str | None] = [None] * len(frames)
    hosted = [number for number, frame in enumerate(frames) if frame.n_host]
    if not len(bonds.pairs) or not hosted:
        return reasons
    i, j = bonds.pairs.T
    for number in hosted:
        if frames[number].n_host <= bonds.pairs.max():
            raise BadInputError(
                f"host bonds for {frames[number].host_id}",
                expected=f"atom indices below {frames[number].n_host}",
                found=str(int(bonds.pairs.max())),
            )
    vectors = [frames[number].positions_ang[j] - frames[number].positions_ang[i] for number in hosted]
    ratios = _longest(vectors, cell, np.tile(bonds.lengths_ang, len(hosted)))
    for number, ratio, bond in zip(hosted, *ratios, strict=True):
        if ratio > stretch:
            a, b = bonds.pairs[bond]
            symbols = frames[number].symbols
            reasons[number] = (
                f"framework bond {symbols[a]}{a}–{symbols[b]}{b} "
                f"{ratio * bonds.lengths_ang[bond]:.2f} Å, {ratio:.2f} × its length > {stretch:.2f}"
            )
    return reasons


def _longest(vectors: list[np.ndarray], cell: _Cell, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Largest ratio of shortest image to `units` in each array of vectors, and where; 0 and 0 for an empty array."""
    longest, where = np.zeros(len(vectors)), np.zeros(len(vectors), dtype=int)
    counts = np.array([len(part) for part in vectors])
    filled = np.flatnonzero(counts)
    if not len(filled):
        return longest, where
    ratios = cell.distances(np.concatenate(vectors)) / units
    starts = (np.cumsum(counts) - counts)[filled]
    longest[filled] = np.maximum.reduceat(ratios, starts)
    hits = np.flatnonzero(ratios == np.repeat(longest[filled], counts[filled]))[::-1]  # the first hit is written last
    owner = np.repeat(filled, counts[filled])[hits]
    where[owner] = hits - np.repeat(starts, counts[filled])[hits]
    return longest, where

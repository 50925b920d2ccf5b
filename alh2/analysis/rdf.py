"""Radial distribution of guest molecules around framework atoms, with its error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alh2.core.frames import ATOMS_PER_H2, Frame


@dataclass(frozen=True, eq=False)
class RadialDistribution:
    """g(r) of H2 centres of mass around centres.

    r_ang : (n_bins,) bin centres, Å; edges_ang : (n_bins + 1,)
    g : (n_bins,), 1 where the H2 density equals the mean H2 density of the cell
    g_error : (n_bins,) one standard error over blocks; NaN with a single block
    g_blocks : (n_blocks, n_bins) g of each block
    density_per_ang3 : mean number of H2 per Å³ of cell, the normalisation
    density_blocks_per_ang3 : (n_blocks,) the same of each block
    n_centres, n_frames : what was averaged over
    """

    r_ang: np.ndarray
    edges_ang: np.ndarray
    g: np.ndarray
    g_error: np.ndarray
    g_blocks: np.ndarray
    density_per_ang3: float
    density_blocks_per_ang3: np.ndarray
    n_centres: int
    n_frames: int


def radial_distribution(
    frames: Sequence[Frame],
    centre_indices: Sequence[int] | np.ndarray,
    *,
    r_max_ang: float | None = None,
    bin_width_ang: float = 0.1,
    n_blocks: int = 5,
) -> RadialDistribution:
    """g(r) of H2 centres of mass around the atoms `centre_indices`, from one trajectory.

    Normalised by the mean H2 density of the cell: with n(r) pairs per frame in the shell of volume v(r),
    g(r) = n(r) / (n_centres rho v(r)), rho = <N>/<V>. It is 1 for an ideal gas. In a porous host, or for a cluster
    in a box, rho includes the volume that H2 cannot enter, so g does not tend to 1 and scales with the box;
    peak positions and coordination numbers do not depend on that. Numbers of H2 and cells may change from frame
    to frame. Distances are periodic, through `MDAnalysis.lib.distances` (InterRDF itself needs a fixed number of
    molecules).

    Parameters
    ----------
    frames : in time order
    centre_indices : atoms, e.g. the open Al sites
    r_max_ang : default half the smallest distance between opposite cell faces, beyond which images overlap
    n_blocks : contiguous blocks of frames for the error (fewer where there are fewer frames)

    Raises ValueError without frames, centres or H2, or for r_max beyond half the cell.
    """
    blocks = np.array_split(np.arange(len(frames)), max(1, min(n_blocks, len(frames))))
    return _from_blocks(
        [[frames[i] for i in block] for block in blocks], np.asarray(centre_indices), r_max_ang, bin_width_ang
    )


def radial_distribution_of_replicas(
    replicas: Sequence[Sequence[Frame]],
    centre_indices: Sequence[int] | np.ndarray,
    *,
    r_max_ang: float | None = None,
    bin_width_ang: float = 0.1,
) -> RadialDistribution:
    """As :func:`radial_distribution` over independent runs; the error comes from the scatter between the runs."""
    return _from_blocks(replicas, np.asarray(centre_indices), r_max_ang, bin_width_ang)


def guest_pair_distribution(
    replicas: Sequence[Sequence[Frame]], *, r_max_ang: float | None = None, bin_width_ang: float = 0.1
) -> RadialDistribution:
    """g(r) of H2 centres of mass around each other, over blocks of one run or over independent runs.

    With n(r) the ordered pairs of different molecules in the shell of volume v(r), all frames together,
    g(r) = n(r) / (v(r) Σ N(N-1)/V): 1 for an ideal gas of any number of molecules. `n_centres` is the mean number of
    molecules, `density_per_ang3` what one of them sees of the others, so that `coordination_number` counts neighbours.

    Raises ValueError where no frame has two molecules, or for r_max beyond half the cell.
    """
    used = [block for block in replicas if any(frame.n_h2 > 1 for frame in block)]
    if not used:
        raise ValueError("a distribution of H2 around H2 needs frames with two molecules")
    edges = _edges([frame for block in used for frame in block], r_max_ang, bin_width_ang)
    shells = 4.0 / 3.0 * np.pi * np.diff(edges**3)
    counts = np.array([_guest_pair_counts(block, edges) for block in used])
    pairs = np.array([sum(f.n_h2 * (f.n_h2 - 1) / _volume_ang3(f) for f in block) for block in used])
    molecules = np.array([sum(f.n_h2 for f in block) for block in used], dtype=float)
    g_blocks = counts / pairs[:, None] / shells
    g = counts.sum(axis=0) / pairs.sum() / shells
    error = np.full(shells.size, np.nan)
    if len(used) > 1:
        error = g_blocks.std(axis=0, ddof=1) / math.sqrt(len(used))
    n_frames = sum(len(block) for block in used)
    middle = 0.5 * (edges[1:] + edges[:-1])
    mean_n = round(float(molecules.sum() / n_frames))
    density = float(pairs.sum() / molecules.sum())
    return RadialDistribution(middle, edges, g, error, g_blocks, density, pairs / molecules, mean_n, n_frames)


def guest_centres_ang(frame: Frame) -> np.ndarray:
    """Centres of mass of the H2 molecules, (n_h2, 3) Å, right also for molecules cut by the cell boundary.

    The second atom is moved to its image nearest the first, so a centre may lie slightly outside the cell.
    """
    atoms = frame.positions_ang[frame.n_host :].reshape(-1, ATOMS_PER_H2, 3)
    bonds = atoms[:, 1] - atoms[:, 0]
    fractional = bonds @ np.linalg.inv(frame.cell_ang)
    bonds = (fractional - np.round(fractional)) @ frame.cell_ang
    return atoms[:, 0] + 0.5 * bonds


def half_cell_ang(cell_ang: np.ndarray) -> float:
    """Half the smallest distance between opposite faces of `cell_ang` (3, 3), Å: the largest sound radius."""
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell_ang), axis=0)
    return 0.5 * float(heights.min())


def _from_blocks(
    blocks: Sequence[Sequence[Frame]], centres: np.ndarray, r_max_ang: float | None, bin_width_ang: float
) -> RadialDistribution:
    frames = [frame for block in blocks for frame in block]
    if not frames or centres.size == 0 or not any(frame.n_h2 for frame in frames):
        raise ValueError(
            f"a radial distribution needs frames, centres and H2: {len(frames)} frames, {centres.size} "
            f"centres, {sum(f.n_h2 for f in frames)} H2"
        )
    edges = _edges(frames, r_max_ang, bin_width_ang)
    n_bins = edges.size - 1
    shells = 4.0 / 3.0 * np.pi * np.diff(edges**3)
    used = [block for block in blocks if any(frame.n_h2 for frame in block)]
    counts = np.array([_pair_counts(block, centres, edges) for block in used])
    densities = np.array([_density(block) for block in used])
    sizes = np.array([len(block) for block in used], dtype=float)
    g_blocks = counts / (sizes * densities * centres.size)[:, None] / shells
    density = _density(frames)
    g = counts.sum(axis=0) / (len(frames) * density * centres.size) / shells
    error = np.full(n_bins, np.nan)
    if len(used) > 1:
        error = g_blocks.std(axis=0, ddof=1) / math.sqrt(len(used))
    middle = 0.5 * (edges[1:] + edges[:-1])
    return RadialDistribution(middle, edges, g, error, g_blocks, density, densities, centres.size, len(frames))


def _edges(frames: Sequence[Frame], r_max_ang: float | None, bin_width_ang: float) -> np.ndarray:
    """Edges of the bins up to `r_max_ang`, at most half the smallest cell."""
    half = min(half_cell_ang(frame.cell_ang) for frame in frames)
    r_max = half if r_max_ang is None else r_max_ang
    if not 0.0 < bin_width_ang <= r_max <= half * (1 + 1e-9):
        raise ValueError(
            f"r_max {r_max:.3f} Å must lie between one bin ({bin_width_ang} Å) and half the cell, {half:.3f} Å"
        )
    edges: np.ndarray = bin_width_ang * np.arange(int(math.floor(r_max / bin_width_ang + 1e-9)) + 1)
    return edges


def _volume_ang3(frame: Frame) -> float:
    return abs(float(np.linalg.det(frame.cell_ang)))


def _density(frames: Sequence[Frame]) -> float:
    """Mean number of H2 over mean cell volume, 1/Å³."""
    volume = sum(abs(float(np.linalg.det(frame.cell_ang))) for frame in frames)
    return sum(frame.n_h2 for frame in frames) / volume


def _pair_counts(frames: Sequence[Frame], centres: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Number of centre–H2 pairs per distance bin, summed over `frames`."""
    counts = np.zeros(edges.size - 1)
    for frame in frames:
        if frame.n_h2:
            counts += np.histogram(centre_distances_ang(frame, frame.positions_ang[centres]), bins=edges)[0]
    return counts


def _guest_pair_counts(frames: Sequence[Frame], edges: np.ndarray) -> np.ndarray:
    """Ordered pairs of different molecules per distance bin, summed over `frames`."""
    counts = np.zeros(edges.size - 1)
    for frame in frames:
        if frame.n_h2 > 1:
            distances = centre_distances_ang(frame, guest_centres_ang(frame))
            counts += np.histogram(distances[~np.eye(frame.n_h2, dtype=bool)], bins=edges)[0]
    return counts


def centre_distances_ang(frame: Frame, places_ang: np.ndarray) -> np.ndarray:
    """Nearest-image distances (n_places, n_h2) Å from places (n_places, 3) Å to the centres of mass of H2.

    MDAnalysis wants the first cell vector along x: rotate to that.
    """
    from ase.geometry import cell_to_cellpar
    from MDAnalysis.lib.distances import distance_array
    from MDAnalysis.lib.mdamath import triclinic_vectors

    box = cell_to_cellpar(frame.cell_ang).astype(np.float32)
    to_box = np.linalg.inv(frame.cell_ang) @ triclinic_vectors(box, dtype=np.float64)
    first = places_ang @ to_box
    second = guest_centres_ang(frame) @ to_box
    return np.asarray(distance_array(first.astype(np.float32), second.astype(np.float32), box=box))

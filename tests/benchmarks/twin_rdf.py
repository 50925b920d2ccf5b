"""How H2 sits around the open Al sites in a run of the twin experiment, and how two runs differ in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alh2.analysis.rdf import radial_distribution
from alh2.core.atoms import from_atoms
from alh2.core.frames import Provenance
from alh2.core.statistics import Estimate
from alh2.gcmc.result import GcmcResult
from alh2.structure.sites import al_open_indices

FARTHEST_ANG, SHELL_ANG, NEAR_ANG = 5.5, 0.1, 3.5
"""Shells of 0.1 Å up to half the cell of the small host; a molecule within 3.5 Å of an open Al sits on it."""
N_BLOCKS = 5


def shell_counts(result: GcmcResult) -> tuple[list[float], list[float]]:
    """H2 centres in each shell around an open Al, the mean over sites and frames, and H2 within `NEAR_ANG` per block.

    (n_shells,) and (N_BLOCKS,), the first empty and the second too where no molecule was seen.
    """
    sites = al_open_indices(result.framework)
    n_host = len(result.framework)
    frames = [from_atoms(a, n_host=n_host, host_id="x", provenance=Provenance("twin")) for a in result.frames_atoms()]
    if not any(frame.n_h2 for frame in frames):
        return [], []
    found = radial_distribution(frames, sites, r_max_ang=FARTHEST_ANG, bin_width_ang=SHELL_ANG, n_blocks=N_BLOCKS)
    volumes = 4.0 / 3.0 * np.pi * np.diff(found.edges_ang**3)
    blocks = found.g_blocks * found.density_blocks_per_ang3[:, None] * volumes
    near = blocks[:, found.edges_ang[1:] <= NEAR_ANG + 1e-9].sum(axis=1)
    return (found.g * found.density_per_ang3 * volumes).tolist(), near.tolist()


def near_sites(blocks: Sequence[float]) -> Estimate:
    """H2 per open Al within `NEAR_ANG`, from its blocks."""
    values = np.array(blocks)
    return Estimate(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))), 1.0, len(values))


def peak_ang(counts: Sequence[float]) -> float:
    """Distance at which the density of H2 around an open Al is highest, Å."""
    edges = SHELL_ANG * np.arange(len(counts) + 1)
    return float(edges[np.argmax(np.array(counts) / np.diff(edges**3))] + 0.5 * SHELL_ANG)


def moved(counts: Sequence[float], others: Sequence[float]) -> float:
    """Share of the molecules within `FARTHEST_ANG` that one distribution has in other shells than the other, 0 to 1."""
    one, two = (np.array(c) / np.sum(c) for c in (counts, others))
    return float(0.5 * np.abs(one - two).sum())

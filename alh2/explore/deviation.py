"""Committee deviations of sampled frames.

Force deviation as in DP-GEN and DeePMD: for each atom the standard deviation over models of the force vector,
sqrt(mean |f_m - <f>|^2), then the largest over atoms (Zhang et al., Comput. Phys. Commun. 2020, 253, 107206, eq. 6).
Insertion spread: the (unbiased) standard deviation over models of E(N) - E(N-1) - E(gas) for the last guest.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from alh2.core.frames import Frame
from alh2.core.gas import gas_molecule
from alh2.potential.evaluate import evaluate_committee


def force_deviation(forces_ev_ang: np.ndarray) -> float:
    """Largest force deviation (eV/Å) of forces (n_models, n_atoms, 3)."""
    centred = forces_ev_ang - forces_ev_ang.mean(axis=0)
    return float(np.sqrt((centred**2).sum(axis=2).mean(axis=0).max()))


def max_force_deviations(models: Sequence[Path], frames: Sequence[Frame]) -> np.ndarray:
    """Largest force deviation (eV/Å) of each frame, (n_frames,); NaN with fewer than two models."""
    if len(models) < 2 or not frames:
        return np.full(len(frames), np.nan)
    answer = evaluate_committee(models, frames)
    return np.array([force_deviation(answer.frame_forces_ev_ang(i)) for i in range(len(frames))])


def insertion_energies(
    models: Sequence[Path], frames: Sequence[Frame], molecules: Sequence[int], *, pair_baselines: Sequence[Path] = ()
) -> np.ndarray:
    """E(N) - E(N-1) - E(gas) in eV, (n_models, n_frames), for guest `molecules[i]` of `frames[i]` (all N ≥ 1)."""
    less = [frame.without_molecule(k) for frame, k in zip(frames, molecules, strict=True)]
    gas = [gas_molecule(frame, k) for frame, k in zip(frames, molecules, strict=True)]
    n = len(frames)
    energies = evaluate_committee(models, [*frames, *less, *gas], pair_baselines=pair_baselines).energies_ev
    return np.asarray(energies[:, :n] - energies[:, n : 2 * n] - energies[:, 2 * n :])


def insertion_spreads(
    models: Sequence[Path], frames: Sequence[Frame], *, pair_baselines: Sequence[Path] = ()
) -> np.ndarray:
    """Committee standard deviation (eV) of the insertion energy of the last guest, (n_frames,); NaN at N = 0."""
    spreads = np.full(len(frames), np.nan)
    loaded = [i for i, frame in enumerate(frames) if frame.n_h2]
    if len(models) < 2 or not loaded:
        return spreads
    chosen = [frames[i] for i in loaded]
    energies = insertion_energies(models, chosen, [frame.n_h2 - 1 for frame in chosen], pair_baselines=pair_baselines)
    spreads[loaded] = energies.std(axis=0, ddof=1)
    return spreads

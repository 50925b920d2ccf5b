"""What ring polymers say: exact results of simple systems, and the extent of molecules."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from alh2.core.statistics import Estimate, combine_replicas, mean_and_error
from alh2.core.units import AMU_ANG2_PER_PS2_IN_EV, HBAR_EV_PS, beta_per_ev

H2_QUANTUM_EV = 4161.17 * 1.239841984e-4
"""ħω of the H2 bond: 4161.17 cm⁻¹ (fundamental of H2 in the gas; Stoicheff, Can. J. Phys. 35, 730, 1957)."""


def oscillator_energy_ev(quantum_ev: float, temperature_k: float, n_beads: int | None = None) -> float:
    """Energy (eV) of one harmonic oscillator with ħω = `quantum_ev`, exact or as `n_beads` beads have it.

    Exact: ħω/2 coth(βħω/2). P beads: (1/β) Σ_k ω²/(ω² + ω_k²), ω_k = 2P/(βħ) sin(πk/P), the mean of the primitive and
    of the virial estimator alike (Tuckerman, Statistical Mechanics: Theory and Molecular Simulation, 2010, ch. 12).
    """
    beta = beta_per_ev(temperature_k)
    if n_beads is None:
        return 0.5 * quantum_ev / math.tanh(0.5 * beta * quantum_ev)
    modes = 2.0 * n_beads / beta * np.sin(math.pi * np.arange(n_beads) / n_beads)
    return float((quantum_ev**2 / (quantum_ev**2 + modes**2)).sum()) / beta


def free_extent_ang(mass_amu: float, temperature_k: float, n_beads: int | None = None) -> float:
    """Root mean square distance (Å) of beads of a free particle from their centroid.

    ħ/2 √(β/m) in three dimensions, times √(1 - 1/P²) for P beads.
    """
    square = 0.25 * HBAR_EV_PS**2 * beta_per_ev(temperature_k) / (mass_amu * AMU_ANG2_PER_PS2_IN_EV)
    return math.sqrt(square * (1.0 - (0.0 if n_beads is None else 1.0 / n_beads**2)))


def extent_ang(replicas: Sequence[np.ndarray]) -> Estimate:
    """Root mean square distance (Å) of beads from their centroid, over molecules and frames.

    replicas : per run, positions of one point of each molecule (n_frames, n_beads, n_molecules, 3) Å
    """
    squares = []
    for positions in replicas:
        delta = positions - positions.mean(axis=1, keepdims=True)
        squares.append(np.einsum("fbmd,fbmd->f", delta, delta) / (positions.shape[1] * positions.shape[2]))
    mean = combine_replicas([mean_and_error(one) for one in squares])
    root = math.sqrt(mean.mean)
    return Estimate(root, 0.5 * mean.standard_error / root if root else math.nan, mean.n_effective, mean.n_samples)

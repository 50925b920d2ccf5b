"""Energies that cannot be right, found by comparing frames of one composition with each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

MIN_FRAMES = 5
"""Fewer energies of a composition tell nothing about the next one."""

SIGMAS = 30.0
"""Width of the window in robust standard deviations; crowded and hot frames are far out, and right."""

MAD_TO_SIGMA = 1.4826
"""Standard deviation of a normal distribution per median absolute deviation."""


def outside_window(
    energies_ev: Mapping[str, float], known_ev: Sequence[float], *, n_atoms: int, ev_per_atom: float
) -> dict[str, str]:
    """Reasons why energies of one composition are not believed, by key; the others are left out.

    energies_ev : new energies by key, eV; known_ev : accepted energies of the same composition and labeler, eV
    ev_per_atom : least half width of the window, eV per atom

    The window lies around the median of all of them; its half width is the larger of `ev_per_atom` times the number
    of atoms and :data:`SIGMAS` robust standard deviations (1.4826 MAD).
    """
    everything = np.array([*energies_ev.values(), *known_ev], dtype=np.float64)
    if len(everything) < MIN_FRAMES:
        return {}
    median = float(np.median(everything))
    sigma = MAD_TO_SIGMA * float(np.median(np.abs(everything - median)))
    half = max(ev_per_atom * n_atoms, SIGMAS * sigma)
    return {
        key: f"energy {energy:.3f} eV is {energy - median:+.3f} eV from the median of this composition, "
        f"more than {half:.3f} eV"
        for key, energy in energies_ev.items()
        if abs(energy - median) > half
    }

"""Physical constants and conversions (CODATA 2018) in LAMMPS ``metal`` style: eV, Å, ps, K, bar."""

from __future__ import annotations

KB_EV_PER_K = 8.617333262e-5
"""Boltzmann constant, eV/K."""

EV_PER_ANG3_IN_BAR = 1.602176634e6
"""One eV/Å³ in bar."""

BAR_IN_EV_PER_ANG3 = 1.0 / EV_PER_ANG3_IN_BAR
"""One bar in eV/Å³."""

EV_IN_KJ_PER_MOL = 96.48533212
"""One eV per particle in kJ/mol."""

AVOGADRO_PER_MOL = 6.02214076e23
"""Avogadro constant, 1/mol."""

HBAR_EV_PS = 6.582119569e-4
"""Reduced Planck constant, eV·ps."""

AMU_ANG2_PER_PS2_IN_EV = 1.66053906660e-27 * 1e4 / 1.602176634e-19
"""One amu·Å²/ps² in eV."""

H2_MASS_AMU = 2 * 1.008
"""Mass of H2, amu (LAMMPS/ASE standard atomic weight of H)."""


def beta_per_ev(temperature_k: float) -> float:
    """1/kT in 1/eV at `temperature_k`."""
    return 1.0 / (KB_EV_PER_K * temperature_k)

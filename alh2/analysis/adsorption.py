"""Adsorbed amounts in the units of the literature, and coordination numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from alh2.analysis.rdf import RadialDistribution
from alh2.core.statistics import Estimate
from alh2.core.units import H2_MASS_AMU

STP_MOLAR_VOLUME_CM3 = 22413.969_54
"""Volume of one mole of ideal gas at 273.15 K and 1 atm, cm³ (CODATA 2018): the STP of adsorption data."""


def framework_mass_amu(symbols: Sequence[str]) -> float:
    """Mass of the bare framework of one cell, amu (standard atomic weights of ASE); KeyError for no such element."""
    from ase.data import atomic_masses, atomic_numbers

    return float(sum(atomic_masses[atomic_numbers[symbol]] for symbol in symbols))


def moles_per_kg(molecules_per_cell: float, *, framework_mass_amu: float) -> float:
    """Moles of guest per kilogram of bare framework (mol/kg, the same number as mmol/g)."""
    return 1000.0 * molecules_per_cell / _positive(framework_mass_amu)


def weight_percent(
    molecules_per_cell: float, *, framework_mass_amu: float, molecule_mass_amu: float = H2_MASS_AMU
) -> float:
    """Guest mass over mass of framework *and* guest, in percent (the definition used for hydrogen storage)."""
    guest = molecules_per_cell * molecule_mass_amu
    return 100.0 * guest / (_positive(framework_mass_amu) + guest)


def cm3_stp_per_g(molecules_per_cell: float, *, framework_mass_amu: float) -> float:
    """Volume of the guest as ideal gas at 273.15 K and 1 atm per gram of bare framework, cm³(STP)/g."""
    return STP_MOLAR_VOLUME_CM3 * molecules_per_cell / _positive(framework_mass_amu)


def molecules_per_cell(moles_per_kg: float, *, framework_mass_amu: float) -> float:
    """Molecules per cell from mol per kg of bare framework; the inverse of :func:`moles_per_kg`."""
    return moles_per_kg * _positive(framework_mass_amu) / 1000.0


def coordination_number(rdf: RadialDistribution, *, r_ang: float) -> Estimate:
    """Mean number of H2 within `r_ang` of one centre: rho times the integral of g(r) 4 pi r² dr, shell by shell.

    A shell cut by `r_ang` counts in proportion to its volume inside. The error is the scatter over the blocks of
    `rdf` (NaN with one block). Raises ValueError where `r_ang` is outside the range of `rdf`.
    """
    edges = rdf.edges_ang
    if not 0.0 < r_ang <= edges[-1] * (1 + 1e-9):
        raise ValueError(f"r = {r_ang} Å is outside the radial distribution, 0 to {edges[-1]:.2f} Å")
    inside = 4.0 / 3.0 * np.pi * np.diff(np.minimum(edges, r_ang) ** 3)
    blocks = rdf.density_blocks_per_ang3 * (rdf.g_blocks @ inside)
    mean = rdf.density_per_ang3 * float(rdf.g @ inside)
    error = float(np.std(blocks, ddof=1)) / math.sqrt(blocks.size) if blocks.size > 1 else math.nan
    return Estimate(mean, error, float(blocks.size), rdf.n_frames)


def _positive(mass_amu: float) -> float:
    if not mass_amu > 0.0:
        raise ValueError(f"the framework mass must be positive, got {mass_amu} amu")
    return mass_amu

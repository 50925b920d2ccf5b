"""Void fraction of a framework: by helium, as adsorption is measured, or by a hard probe.

Excess adsorption is what is in the pores beyond the gas that would fill them anyway,

    n_excess = n_absolute - ρ_gas(T, p) · θ · V_cell

(Myers and Monson, Langmuir 18, 10261, 2002). Experiments take the pore volume θ·V from helium that is assumed not to
adsorb: θ is then the average of the Boltzmann factor of one helium atom over the cell at room temperature, the Widom
factor of helium (the same paper; Talu and Myers, AIChE J. 47, 1160, 2001). It may exceed 1 where helium does adsorb.
The geometric one is the share of places where a hard probe touches no atom.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from alh2.core.errors import BadInputError
from alh2.core.statistics import Estimate
from alh2.core.units import AVOGADRO_PER_MOL
from alh2.structure.topology import periodic_images

HELIUM_TEMPERATURE_K = 298.0
"""Temperature of the helium measurement that is imitated."""
HELIUM_SIGMA_ANG, HELIUM_EPSILON_K = 2.64, 10.9
"""Lennard-Jones helium, ε/k in K: Hirschfelder, Curtiss and Bird, Molecular Theory of Gases and Liquids, 1954, p. 1114,
the choice of RASPA for void fractions."""
HELIUM_CUTOFF_ANG = 12.0

UFF_KCAL_PER_MOL_ANG = {
    "H": (0.044, 2.886),
    "C": (0.105, 3.851),
    "N": (0.069, 3.660),
    "O": (0.060, 3.500),
    "Al": (0.505, 4.499),
}
"""UFF: well depth D (kcal/mol) and distance x (Å) of the minimum (Rappé et al., J. Am. Chem. Soc. 114, 10024, 1992)."""

KCAL_PER_MOL_IN_K = 4.184 / 8.31446261815324e-3
_CHUNK = 2_000_000
"""Distances in memory at a time."""


@dataclass(frozen=True)
class VoidFraction:
    """Share of the cell that gas can fill.

    method : "helium" or "geometric"; words : potential or radii used, for people
    fraction : with its standard error over the sampled points
    """

    method: Literal["helium", "geometric"]
    words: str
    fraction: Estimate


@dataclass(frozen=True)
class Host:
    """A framework: symbols, positions (n_atoms, 3) Å and periodic cell (3, 3) Å, rows are its vectors."""

    symbols: tuple[str, ...]
    positions_ang: np.ndarray
    cell_ang: np.ndarray


def helium_void_fraction(
    host: Host,
    *,
    n_points: int,
    rng: np.random.Generator,
    temperature_k: float = HELIUM_TEMPERATURE_K,
    pairs: dict[str, tuple[float, float]] | None = None,
) -> VoidFraction:
    """Widom factor of one Lennard-Jones helium atom over `n_points` places, drawn uniformly; 1 for an empty cell.

    Helium: `HELIUM_SIGMA_ANG`, `HELIUM_EPSILON_K`; host atoms: UFF, whose σ is x/2^(1/6); Lorentz-Berthelot rules;
    cut at `HELIUM_CUTOFF_ANG` without correction.

    pairs : element to (ε/k in K, σ in Å) of helium with it, in place of these rules
    Raises BadInputError for an element without parameters, and for numbers that make no sense.
    """
    chosen = {symbol: pairs[symbol] if pairs and symbol in pairs else helium_pair(symbol) for symbol in host.symbols}
    epsilon, sigma = np.array([chosen[s] for s in host.symbols], dtype=np.float64).reshape(-1, 2).T
    if not temperature_k > 0.0:
        raise BadInputError("helium temperature", expected="a positive number of K", found=f"{temperature_k}")

    def factor(square_ang2: np.ndarray, atoms: np.ndarray) -> np.ndarray:
        sixth = (sigma[atoms] ** 2 / np.maximum(square_ang2, 1e-3)) ** 3
        pair_k = np.where(square_ang2 < HELIUM_CUTOFF_ANG**2, 4.0 * epsilon[atoms] * (sixth * sixth - sixth), 0.0)
        weights: np.ndarray = np.exp(-np.minimum(pair_k.sum(axis=1) / temperature_k, 700.0))
        return weights

    words = (
        f"helium at {temperature_k:g} K (σ {HELIUM_SIGMA_ANG} Å, ε/k {HELIUM_EPSILON_K} K; Hirschfelder 1954), "
        "host by UFF, Lorentz-Berthelot"
    )
    return VoidFraction("helium", words, _average(host, factor, HELIUM_CUTOFF_ANG, n_points, rng))


def geometric_void_fraction(
    host: Host,
    *,
    n_points: int,
    rng: np.random.Generator,
    probe_radius_ang: float = 0.0,
    radii_ang: dict[str, float] | None = None,
) -> VoidFraction:
    """Share of `n_points` random places that are farther than atom radius + probe radius from every atom.

    radii_ang : per element; default: van der Waals radii of Alvarez, Dalton Trans. 42, 8617 (2013), through ASE
    Raises BadInputError for an element without radius and a negative probe.
    """
    if not (math.isfinite(probe_radius_ang) and probe_radius_ang >= 0.0):
        raise BadInputError("probe radius", expected="0 or a positive number of Å", found=f"{probe_radius_ang}")
    reach = np.array([_radius(s, radii_ang) + probe_radius_ang for s in host.symbols], dtype=np.float64)

    def free(square_ang2: np.ndarray, atoms: np.ndarray) -> np.ndarray:
        return (square_ang2 >= (reach[atoms] ** 2)[None, :]).all(axis=1).astype(np.float64)

    source = "given radii" if radii_ang else "van der Waals radii of Alvarez 2013"
    words = f"hard probe of radius {probe_radius_ang:g} Å, {source}"
    return VoidFraction("geometric", words, _average(host, free, float(reach.max(initial=0.0)), n_points, rng))


def helium_pair(symbol: str) -> tuple[float, float]:
    """(ε/k in K, σ in Å) of helium with the host atom `symbol`; BadInputError for an element without parameters."""
    if symbol not in UFF_KCAL_PER_MOL_ANG:
        raise BadInputError(
            "void fraction by helium",
            expected=f"host elements out of {', '.join(UFF_KCAL_PER_MOL_ANG)}",
            found=symbol,
            action="use the geometric void fraction",
        )
    depth, minimum = UFF_KCAL_PER_MOL_ANG[symbol]
    sigma = minimum / 2.0 ** (1.0 / 6.0)
    return math.sqrt(HELIUM_EPSILON_K * depth * KCAL_PER_MOL_IN_K), 0.5 * (HELIUM_SIGMA_ANG + sigma)


def excess(
    n_absolute: Estimate, *, gas_density_per_ang3: float, volume_ang3: float, void: VoidFraction
) -> tuple[float, float]:
    """Excess molecules per cell and its standard error, from the absolute amount and the void fraction."""
    gas = gas_density_per_ang3 * volume_ang3
    error = math.hypot(n_absolute.standard_error, gas * void.fraction.standard_error)
    return n_absolute.mean - gas * void.fraction.mean, error


def gas_density_per_ang3(pressure_bar: float, temperature_k: float, fluid: str = "Hydrogen") -> float:
    """Number density of the gas outside, 1/Å³, from the reference equation of state (through CoolProp)."""
    from CoolProp.CoolProp import PropsSI

    if not (pressure_bar > 0.0 and temperature_k > 0.0):
        raise BadInputError(
            "gas", expected="positive pressure and temperature", found=f"{pressure_bar}, {temperature_k}"
        )
    try:
        molar = float(PropsSI("Dmolar", "P", pressure_bar * 1e5, "T", temperature_k, fluid))
    except ValueError as error:
        raise BadInputError(
            "pressure", expected=f"a state of {fluid}", found=f"{pressure_bar:g} bar, {temperature_k:g} K ({error})"
        ) from None
    return molar * AVOGADRO_PER_MOL / 1e30


def _radius(symbol: str, given: dict[str, float] | None) -> float:
    if given and symbol in given:
        return given[symbol]
    from ase.data import atomic_numbers
    from ase.data.vdw_alvarez import vdw_radii

    number = atomic_numbers.get(symbol)
    radius = math.nan if number is None or number >= len(vdw_radii) else float(vdw_radii[number])
    if not math.isfinite(radius):
        raise BadInputError("void fraction", expected="host elements with a van der Waals radius", found=symbol)
    return radius


def _average(
    host: Host,
    weight: Callable[[np.ndarray, np.ndarray], np.ndarray],
    reach_ang: float,
    n_points: int,
    rng: np.random.Generator,
) -> Estimate:
    """Mean of `weight` (of squared distances (n, n_images) and the atom of each image) over random places."""
    if n_points < 2:
        raise BadInputError("points of the void fraction", expected="at least 2", found=f"{n_points}")
    cell = np.asarray(host.cell_ang, dtype=np.float64)
    if abs(np.linalg.det(cell)) < 1e-6:
        raise BadInputError("cell", expected="three vectors that span a volume", found=str(cell.tolist()))
    places = rng.random((n_points, 3)) @ cell
    positions = np.asarray(host.positions_ang, dtype=np.float64).reshape(-1, 3)
    images, atoms = periodic_images(positions, cell, reach_ang, pbc=np.ones(3, dtype=bool))
    values = np.ones(n_points)
    if len(atoms):
        rows = max(1, _CHUNK // len(atoms))
        for first in range(0, n_points, rows):
            part = places[first : first + rows]
            values[first : first + rows] = weight(_squares(part, images), atoms)
    return Estimate(float(values.mean()), float(values.std(ddof=1)) / math.sqrt(n_points), float(n_points), n_points)


def _squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(len(a), len(b)) squared distances, Å²."""
    squares = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None, :] - 2.0 * a @ b.T
    result: np.ndarray = np.maximum(squares, 0.0)
    return result

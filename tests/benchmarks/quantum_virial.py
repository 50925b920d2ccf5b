"""Second virial coefficient of para-H2: classical, Feynman–Hibbs and exact, and where the approximation ends.

The pair potential of Silvera and Goldman, J. Chem. Phys. 1978, 69, 4209 (spherical molecules, J = 0). Its C9 term is a
mean of three-body forces in condensed phases; two molecules alone do not have it, so both forms are evaluated.

Exact: the levels of the pair in a sphere of `RADIUS_ANG`, wave by wave, with and without the potential,

    B2 = -λ³ Σ_(even l) (2l+1) Σ_n [exp(-βE_nl) - exp(-βE°_nl)] - λ³/16,   λ² = 2πħ²β/μ, μ = M/2

for bosons of spin zero; the last term is the exchange of the ideal gas (Hirschfelder, Curtiss and Bird, *Molecular
Theory of Gases and Liquids*, 1954, ch. 6). Levels by the sinc-function discrete variable representation (Colbert and
Miller, J. Chem. Phys. 1992, 96, 1982). `--check` repeats it on a finer grid in a larger sphere.

    python tests/benchmarks/quantum_virial.py [--check]
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from alh2.core.units import AMU_ANG2_PER_PS2_IN_EV, H2_MASS_AMU, HBAR_EV_PS, beta_per_ev
from alh2.potential.feynman_hibbs import effective_pair_ev

BOHR_ANG = 0.529177210903
HARTREE_EV = 27.211386245988
TEMPERATURES_K = (20.0, 30.0, 40.0, 60.0, 77.0, 88.0, 150.0, 300.0)
RADIUS_ANG = 30.0
HIGHEST_EV = 5.0
"""Walls and centrifugal barriers are cut here: 190 kT at 300 K."""
CM3_PER_MOL = 0.602214076
"""One Å³ per molecule in cm³/mol."""


@dataclass(frozen=True)
class SilveraGoldman:
    """exp(α - βr - γr²) - f(r) (C6/r⁶ + C8/r⁸ + C10/r¹⁰ - C9/r⁹), f = exp[-(r_c/r - 1)²] below r_c; atomic units."""

    alpha: float = 1.713
    beta: float = 1.5671
    gamma: float = 0.00993
    c6: float = 12.14
    c8: float = 215.2
    c9: float = 143.1
    c10: float = 4813.9
    r_c: float = 8.321

    def derivatives_ev(self, r_ang: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """u (eV), u' (eV/Å) and u'' (eV/Å²) at distances (n,) Å."""
        r = np.asarray(r_ang, dtype=np.float64) / BOHR_ANG
        wall = np.exp(self.alpha - self.beta * r - self.gamma * r * r)
        fall = -self.beta - 2.0 * self.gamma * r
        tail = [np.zeros_like(r) for _ in range(3)]
        for power, c in ((6, self.c6), (8, self.c8), (10, self.c10), (9, -self.c9)):
            tail[0] += c * r**-power
            tail[1] -= power * c * r ** (-power - 1)
            tail[2] += power * (power + 1) * c * r ** (-power - 2)
        inside = r < self.r_c
        x = np.where(inside, self.r_c / r - 1.0, 0.0)
        dx, ddx = np.where(inside, -self.r_c / r**2, 0.0), np.where(inside, 2.0 * self.r_c / r**3, 0.0)
        f = np.exp(-x * x)
        df = -2.0 * x * dx * f
        ddf = (-2.0 * dx * dx - 2.0 * x * ddx) * f - 2.0 * x * dx * df
        u = wall - f * tail[0]
        slope = fall * wall - df * tail[0] - f * tail[1]
        curvature = (fall * fall - 2.0 * self.gamma) * wall - ddf * tail[0] - 2.0 * df * tail[1] - f * tail[2]
        return HARTREE_EV * u, HARTREE_EV / BOHR_ANG * slope, HARTREE_EV / BOHR_ANG**2 * curvature


WITH_C9, PAIR_ALONE = SilveraGoldman(), SilveraGoldman(c9=0.0)


def integral_cm3_per_mol(energy_ev: np.ndarray, r_ang: np.ndarray, temperature_k: float) -> float:
    """B2 of a classical gas of molecules with the pair energy (n,) at `r_ang` (n,), cm³/mol."""
    boltzmann = np.expm1(-beta_per_ev(temperature_k) * np.minimum(energy_ev, 50.0))
    core = 2.0 / 3.0 * math.pi * r_ang[0] ** 3
    return CM3_PER_MOL * (core - 2.0 * math.pi * float(np.trapezoid(boltzmann * r_ang**2, r_ang)))


def classical_and_feynman_hibbs(potential: SilveraGoldman, temperature_k: float) -> tuple[float, float]:
    """B2 (cm³/mol) with the potential itself and with its effective form."""
    r = np.linspace(1.6, 200.0, 400_001)
    derivatives = potential.derivatives_ev(r)
    effective = effective_pair_ev(r, derivatives, temperature_k=temperature_k, reduced_mass_amu=0.5 * H2_MASS_AMU)
    return integral_cm3_per_mol(derivatives[0], r, temperature_k), integral_cm3_per_mol(effective, r, temperature_k)


def excess_levels(
    energy_ev: Callable[[np.ndarray], np.ndarray],
    beta_per_ev: np.ndarray,
    *,
    mass_amu: float,
    spacing_ang: float,
    radius_ang: float,
    only_even: bool = False,
) -> np.ndarray:
    """(n_temperatures,) Σ_l (2l+1) Σ_n [exp(-βE_nl) - exp(-βE°_nl)] of a particle of `mass_amu` in a sphere.

    energy_ev : of distances (n,) Å from the centre; E° are the levels without it. only_even : l = 0, 2, …
    """
    scale = HBAR_EV_PS**2 / (2.0 * mass_amu * AMU_ANG2_PER_PS2_IN_EV)
    n = round(radius_ang / spacing_ang) - 1
    i = np.arange(1, n + 1, dtype=np.float64)
    r = spacing_ang * i
    apart, summed = np.subtract.outer(i, i), np.add.outer(i, i)
    np.fill_diagonal(apart, 1.0)
    kinetic = (-1.0) ** summed * (2.0 / apart**2 - 2.0 / summed**2)
    np.fill_diagonal(kinetic, math.pi**2 / 3.0 - 0.5 / i**2)
    kinetic *= scale / spacing_ang**2
    u = np.minimum(energy_ev(r), HIGHEST_EV)
    total = np.zeros(len(beta_per_ev))
    for wave in itertools.count(0, 2 if only_even else 1):
        barrier = scale * wave * (wave + 1) / r**2
        levels = [np.linalg.eigvalsh(kinetic + np.diag(np.minimum(barrier + v, HIGHEST_EV))) for v in (u, 0.0 * u)]
        held, free = (np.exp(-np.outer(beta_per_ev, e)).sum(axis=1) for e in levels)
        step = (2 * wave + 1) * (held - free)
        total += step
        if wave > 4 and np.all(np.abs(step) < 1e-7 * (1.0 + np.abs(total))):
            return total
    raise AssertionError("unreachable")


def exact(potential: SilveraGoldman, *, spacing_ang: float = 0.12, radius_ang: float = RADIUS_ANG) -> list[float]:
    """B2 (cm³/mol) of bosons of spin zero at each of `TEMPERATURES_K`."""
    beta = np.array([beta_per_ev(t) for t in TEMPERATURES_K])
    reduced = 0.5 * H2_MASS_AMU

    def u_ev(r_ang: np.ndarray) -> np.ndarray:
        return potential.derivatives_ev(r_ang)[0]

    sums = excess_levels(
        u_ev, beta, mass_amu=reduced, spacing_ang=spacing_ang, radius_ang=radius_ang, only_even=True
    )  # fmt: skip
    cubes = (2.0 * math.pi * HBAR_EV_PS**2 * beta / (reduced * AMU_ANG2_PER_PS2_IN_EV)) ** 1.5
    r = np.linspace(radius_ang, 20.0 * radius_ang, 20_001)
    beyond = [-2.0 * math.pi * float(np.trapezoid(np.expm1(-b * u_ev(r)) * r**2, r)) for b in beta]
    whole = zip(cubes.tolist(), sums.tolist(), beyond, strict=True)
    return [CM3_PER_MOL * (-cube * levels - cube / 16.0 + more) for cube, levels, more in whole]


def measured(temperature_k: float) -> float:
    """B2 (cm³/mol) of the reference equation of state of para-H2 (Leachman et al. 2009, CoolProp), fitted to data."""
    from CoolProp.CoolProp import AbstractState, DmassT_INPUTS

    state = AbstractState("HEOS", "ParaHydrogen")
    state.update(DmassT_INPUTS, 1e-8, temperature_k)
    return 1e6 * float(state.Bvirial())


def main(*, check: bool = False) -> None:
    """Print the table of both forms."""
    for name, potential in (("two molecules alone (no C9)", PAIR_ALONE), ("with C9, as published", WITH_C9)):
        print(f"\nSilvera-Goldman, {name}: B2 in cm³/mol")
        print("   T/K  classical  Feynman-Hibbs     exact  equation of state")
        finer = exact(potential, spacing_ang=0.09, radius_ang=36.0) if check else None
        for number, (t, quantum) in enumerate(zip(TEMPERATURES_K, exact(potential), strict=True)):
            classical, hibbs = classical_and_feynman_hibbs(potential, t)
            also = "" if finer is None else f"   other grid {finer[number]:.3f}"
            print(f"{t:6g} {classical:10.2f} {hibbs:14.2f} {quantum:9.2f} {measured(t):18.2f}{also}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="also on a finer grid in a larger sphere")
    main(check=parser.parse_args().check)

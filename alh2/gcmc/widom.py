"""Widom test-particle insertion: chemical potential, Henry constant and heat of adsorption at infinite dilution.

One molecule is put into the rigid framework at random places and orientations (Widom, J. Chem. Phys. 39, 2808, 1963);
with ΔU = E(framework + molecule) - E(framework) - E(gas molecule) and averages over uniform insertions

    W = <exp(-βΔU)>,    µ_ex = -kT ln W,    K_H = W/(RTρ) = βVW per cell,    ΔH = <ΔU exp(-βΔU)>/W - RT

(Frenkel and Smit, Understanding Molecular Simulation, 3rd ed., ch. 7; the heat: Vlugt et al., J. Chem. Theory Comput.
4, 1107, 2008, rigid framework and molecule). The reference is the ideal gas at the same temperature, for which the
fugacity is the pressure.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from alh2.core.errors import BadInputError
from alh2.core.nuclei import CLASSICAL_WORDS
from alh2.core.statistics import Estimate
from alh2.core.units import BAR_IN_EV_PER_ANG3, EV_IN_KJ_PER_MOL, beta_per_ev
from alh2.gcmc.bias import check_grid, insertion_bias
from alh2.gcmc.energy_grid import HostEnergyGrid
from alh2.gcmc.errors import UntrustworthyEnergyError
from alh2.gcmc.geometry import Contacts, PeriodicCell
from alh2.gcmc.molecule import RigidMolecule
from alh2.gcmc.moves import uniform_sites
from alh2.gcmc.walker import UniformStream
from alh2.potential.feynman_hibbs import FeynmanHibbsSession
from alh2.potential.protocol import Potential

TRUSTED_FROM = 100.0
"""Effective insertions from which the error bars can be believed."""
_MOST_LOG_WEIGHT = 600.0
"""Largest logarithm of a weight: beyond, the Henry constant is no number a computer has (4 eV at 77 K)."""
_GENTLER = 1.5
_VANISHING_BAR = 1e-12


@dataclass(frozen=True, eq=False)
class WidomResult:
    """Infinite dilution in a rigid framework, errors one standard deviation.

    n_energies : insertions whose energy was asked for (others touched the host)
    n_effective : insertions that carry the average, (Σw)²/Σw²; where few do, a place that binds more strongly may have
        been missed, and the errors mean little (see `trusted`)
    widom_factor : W; excess_chemical_potential_ev : µ_ex, eV per molecule
    henry_per_cell_bar : dN/df at f → 0, molecules per cell and bar
    henry_mol_per_kg_pa : the same per kilogram of framework and pascal; None without framework atoms
    adsorption_enthalpy_kj_per_mol : ΔH, negative where adsorption is exothermic; the isosteric heat is -ΔH
    nuclei : how nuclei were treated, in words; with Feynman–Hibbs ΔU in ΔH counts the correction twice, as it must
        (alh2.potential.feynman_hibbs)
    """

    temperature_k: float
    seed: int
    adsorbate: RigidMolecule
    n_insertions: int
    n_energies: int
    n_effective: float
    widom_factor: Estimate
    excess_chemical_potential_ev: Estimate
    henry_per_cell_bar: Estimate
    henry_mol_per_kg_pa: Estimate | None
    adsorption_enthalpy_kj_per_mol: Estimate
    nuclei: str = CLASSICAL_WORDS

    @property
    def trusted(self) -> bool:
        """Whether at least `TRUSTED_FROM` insertions carry the average."""
        return self.n_effective >= TRUSTED_FROM


def widom(
    framework: Atoms,
    adsorbate: RigidMolecule,
    potential: Potential,
    *,
    temperature_k: float,
    n_insertions: int,
    seed: int,
    energy_grid: HostEnergyGrid | None = None,
    min_distance_ang: float = 0.0,
) -> WidomResult:
    """Insert `adsorbate` `n_insertions` times into the rigid `framework`, which stays as given.

    energy_grid : draw the places where the host binds, each insertion weighted by the inverse of how much more often
        it is drawn; the same averages from far fewer energies where strong sites are small. Of this framework and
        molecule (`alh2.gcmc.host_energy_grid`)
    min_distance_ang : hard wall around host atoms, as in `GcmcSettings`

    Raises BadInputError for inputs that make no sense and where no insertion fits, UntrustworthyEnergyError for
    energies of NaN or minus infinity.
    """
    _check(temperature_k, n_insertions, seed)
    cell = PeriodicCell(np.array(framework.cell))
    molecule = adsorbate.resolve(potential)
    gas_ev = float(potential.molecule_energy_ev(molecule.symbols, molecule.sites_ang))
    contacts = Contacts(framework, cell, min_distance_ang) if min_distance_ang else None
    draw = _drawing(cell, molecule, energy_grid, temperature_k, seed)
    session = potential.start(framework, molecule.symbols, np.zeros((0, molecule.n_sites, 3)))
    energies, log_ratios, n_energies = np.full(n_insertions, math.inf), np.zeros(n_insertions), 0
    corrected = session if isinstance(session, FeynmanHibbsSession) else None
    thermal = np.full(n_insertions, math.inf) if corrected is not None else energies
    for number in range(n_insertions):
        sites, log_ratios[number] = draw()
        if contacts is not None and contacts.too_close(sites, [], None):
            continue
        change_ev = session.trial(None, sites)
        n_energies += 1
        if not change_ev > -math.inf:
            raise UntrustworthyEnergyError(f"the potential returned {change_ev} eV for an insertion")
        energies[number] = change_ev - gas_ev
        if corrected is not None:
            thermal[number] = energies[number] + corrected.trial_correction_ev
    beta = beta_per_ev(temperature_k)
    factor, mean_ev, n_effective = _averages(thermal, -beta * energies - log_ratios)
    per_cell = beta * cell.volume_ang3 * BAR_IN_EV_PER_ANG3
    mass_kg_per_mol = 1e-3 * float(framework.get_masses().sum()) if len(framework) else 0.0
    return WidomResult(
        temperature_k=float(temperature_k),
        seed=int(seed),
        adsorbate=molecule,
        n_insertions=n_insertions,
        n_energies=n_energies,
        n_effective=n_effective,
        widom_factor=factor,
        excess_chemical_potential_ev=_chemical_potential_ev(factor, beta),
        henry_per_cell_bar=_scaled(factor, per_cell),
        henry_mol_per_kg_pa=_scaled(factor, per_cell / 1e5 / mass_kg_per_mol) if mass_kg_per_mol else None,
        adsorption_enthalpy_kj_per_mol=_scaled(mean_ev, EV_IN_KJ_PER_MOL, shift=-EV_IN_KJ_PER_MOL / beta),
        nuclei=CLASSICAL_WORDS if corrected is None else corrected.nuclei,
    )


def _drawing(
    cell: PeriodicCell, molecule: RigidMolecule, grid: HostEnergyGrid | None, temperature_k: float, seed: int
) -> Callable[[], tuple[np.ndarray, float]]:
    """Function that draws sites and the ln(Vq) of their place."""
    uniform = UniformStream(np.random.default_rng(seed))
    if grid is None:
        body = tuple((x, y, z) for x, y, z in molecule.sites_ang.tolist())
        return lambda: (uniform_sites(uniform, cell, body), 0.0)
    check_grid(grid, cell, molecule)
    # A point beside a narrow well underestimates it; drawing as if warmer keeps such leaves from rare huge weights.
    bias = insertion_bias(grid, temperature_k=_GENTLER * temperature_k, fugacity_bar=_VANISHING_BAR)
    return lambda: bias.draw(uniform)


def _averages(energies_ev: np.ndarray, log_weights: np.ndarray) -> tuple[Estimate, Estimate, float]:
    """W and the weighted mean energy with standard errors of independent samples, and the effective number of them."""
    n, top = len(energies_ev), float(log_weights.max())
    if top == -math.inf:
        raise BadInputError(
            "n_insertions",
            expected="at least one insertion that fits into the framework",
            found=f"none in {n}",
            action="try more of them",
        )
    if top > _MOST_LOG_WEIGHT:
        deepest = float(energies_ev[int(log_weights.argmax())])
        raise UntrustworthyEnergyError(f"an insertion at {deepest:.3g} eV: a hole of the model, not adsorption")
    w = np.exp(log_weights - top)
    total, squares = float(w.sum()), float((w * w).sum())
    n_effective = total * total / squares
    scale = math.exp(top)
    factor = Estimate(
        scale * total / n, scale * float(w.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan, n_effective, n
    )
    inside = np.where(w > 0.0, energies_ev, 0.0)
    mean = float(w @ inside) / total
    spread = math.sqrt(float((w * w) @ (inside - mean) ** 2)) / total
    return factor, Estimate(mean, spread if n > 1 else math.nan, n_effective, n), n_effective


def _chemical_potential_ev(factor: Estimate, beta: float) -> Estimate:
    error = factor.standard_error / factor.mean / beta
    return Estimate(-math.log(factor.mean) / beta, error, factor.n_effective, factor.n_samples)


def _scaled(estimate: Estimate, factor: float, *, shift: float = 0.0) -> Estimate:
    return Estimate(
        factor * estimate.mean + shift,
        abs(factor) * estimate.standard_error,
        estimate.n_effective,
        estimate.n_samples,
    )


def _check(temperature_k: float, n_insertions: int, seed: int) -> None:
    if not (math.isfinite(temperature_k) and temperature_k > 0.0):
        raise BadInputError("temperature", expected="a positive number of K", found=f"{temperature_k} K")
    for name, number, least in (("n_insertions", n_insertions, 1), ("seed", seed, 0)):
        if int(number) != number or number < least:
            raise BadInputError(name, expected=f"a whole number >= {least}", found=f"{number}")

"""Henry constant and heat of adsorption of H2 between graphene layers, by Widom insertion with any ASE calculator.

H2 as one 12-6 site (Buch, J. Chem. Phys. 100, 7610, 1994) and carbon (Steele, J. Phys. Chem. 82, 817, 1978) by the
Lorentz-Berthelot rules: σ = 3.18 Å, ε/k = 30.9 K. The layers are 8 Å apart. Their own energy, which this calculator
gets wrong, is the same before and after an insertion.

    python examples/widom_slit_pore.py [--temperature 77] [--insertions 2000]
"""

from __future__ import annotations

import argparse

from ase.build import graphene
from ase.calculators.lj import LennardJones

from alh2.core.units import KB_EV_PER_K
from alh2.gcmc import RigidMolecule, WidomResult, host_energy_grid, widom
from alh2.potential.ase_potential import AsePotential


def main(temperature_k: float = 77.0, n_insertions: int = 2000) -> WidomResult:
    """Print the Henry constant and the adsorption enthalpy; returns the result."""
    pore = graphene(size=(4, 4, 1))
    pore.set_cell([*pore.cell[:2], [0.0, 0.0, 8.0]])
    pore.pbc = True
    potential = AsePotential(LennardJones(sigma=3.18, epsilon=30.9 * KB_EV_PER_K, rc=12.0))
    h2 = RigidMolecule.single("H")
    # A coarse grid of energies first: insertions are then drawn where they count, and weighted back.
    spacing_ang = 1.0 if n_insertions >= 1000 else 3.0
    grid = host_energy_grid(
        pore, h2, potential, temperature_k=temperature_k, seed=1, spacing_ang=spacing_ang, refine_kt=1e9
    )
    result = widom(
        pore, h2, potential, temperature_k=temperature_k, n_insertions=n_insertions, seed=2, energy_grid=grid
    )
    henry, enthalpy = result.henry_mol_per_kg_pa, result.adsorption_enthalpy_kj_per_mol
    assert henry is not None
    print(f"Henry constant        {henry.mean:.4g} ± {henry.standard_error:.2g} mol/kg/Pa")
    print(f"adsorption enthalpy   {enthalpy.mean:.3f} ± {enthalpy.standard_error:.3f} kJ/mol")
    print(
        f"effective insertions  {result.n_effective:.0f} of {result.n_insertions}"
        + ("" if result.trusted else ", too few")
    )
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--temperature", type=float, default=77.0)
    parser.add_argument("--insertions", type=int, default=2000)
    arguments = parser.parse_args()
    main(arguments.temperature, arguments.insertions)

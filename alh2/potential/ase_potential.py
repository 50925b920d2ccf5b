"""Any ASE calculator as a potential, by full energies."""

from __future__ import annotations

import math

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from alh2.core.errors import BadInputError
from alh2.potential.full_energy import FullEnergySession

GAS_BOX_ANG = 30.0
"""Edge of the cubic periodic box in which the energy of an isolated molecule is taken, Å."""


class AsePotential:
    """`Potential` by full energies of an ASE calculator.

    Every trial is one energy of the whole configuration, so this is as fast as the calculator. The cell is that of
    the framework, periodic in all directions, and constant. A configuration without atoms has energy 0 and does not
    reach the calculator.
    """

    def __init__(self, calculator: BaseCalculator) -> None:
        self._calculator = calculator

    def describe(self) -> str:
        """One line for logs and reports."""
        return f"full energies by {type(self._calculator).__name__} (ASE)"

    def _energy(self, symbols: tuple[str, ...], positions_ang: np.ndarray, cell_ang: np.ndarray) -> float:
        atoms = Atoms(symbols, positions_ang, cell=cell_ang, pbc=True)
        atoms.calc = self._calculator
        return float(atoms.get_potential_energy())

    def start(self, framework: Atoms, molecule_symbols: tuple[str, ...], guests_ang: np.ndarray) -> FullEnergySession:
        """Session on `framework`; raises BadInputError where its energy is not finite."""
        cell = np.array(framework.cell)
        return FullEnergySession(
            lambda symbols, positions: self._energy(symbols, positions, cell),
            (tuple(framework.get_chemical_symbols()), framework.positions),
            molecule_symbols=molecule_symbols,
            guests_ang=guests_ang,
        )

    def molecule_energy_ev(self, molecule_symbols: tuple[str, ...], sites_ang: np.ndarray) -> float:
        """Energy (eV) of one molecule centred in a periodic cube of `GAS_BOX_ANG`; BadInputError if not finite."""
        sites = np.asarray(sites_ang, dtype=np.float64)
        centred = sites - sites.mean(axis=0) + 0.5 * GAS_BOX_ANG
        energy = self._energy(tuple(molecule_symbols), centred, GAS_BOX_ANG * np.eye(3))
        if not math.isfinite(energy):
            raise BadInputError(
                f"isolated molecule {''.join(molecule_symbols)}", expected="a finite energy", found=str(energy)
            )
        return energy

"""The reference potential as an ASE calculator."""

from __future__ import annotations

from typing import Any

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from alh2.core.atoms import from_atoms
from alh2.core.frames import Provenance
from alh2.label.reference_network import HostNetwork
from alh2.label.reference_pes import DEFAULT_PARAMETERS, ReferenceParameters, reference_energy_forces


class ReferenceCalculator(Calculator):
    """ASE calculator of `reference_energy_forces`.

    Atoms that start with the host's elements are the host followed by H2 pairs; otherwise all atoms are H2 pairs
    (isolated gas).

    Parameters
    ----------
    network : springs of the host, None for gas only
    params : parameters of the potential
    """

    implemented_properties = ["energy", "forces"]

    def __init__(
        self, network: HostNetwork | None = None, params: ReferenceParameters = DEFAULT_PARAMETERS, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.network = network
        self.reference_params = params

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Fill ``results`` with energy (eV) and forces (eV/Å)."""
        super().calculate(atoms, properties or ["energy"], system_changes)
        symbols = tuple(self.atoms.get_chemical_symbols())
        network = self.network
        has_host = network is not None and symbols[: network.n_host] == network.symbols
        n_host = network.n_host if network is not None and has_host else 0
        frame = from_atoms(self.atoms, n_host=n_host, host_id="host", provenance=Provenance("calculator"))
        energy, forces = reference_energy_forces(frame, self.reference_params, network)
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}

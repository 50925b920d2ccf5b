"""Exact incremental energies of DeePMD `se_e2_a` models.

The sum T_i of an atom changes only by the terms of atoms that appear or disappear within rcut, so a trial costs a few
terms and the fitting nets of the affected atoms, instead of the whole configuration. Nothing is approximated: the
energies equal those of DeepPot on the same `.dp` to rounding.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms as AseAtoms

from alh2.potential.ase_potential import GAS_BOX_ANG
from alh2.potential.deeppot import types_in
from alh2.potential.evaluator import Evaluator
from alh2.potential.se_e2_a import SeE2aModel, read_se_e2_a
from alh2.potential.walkers import Walkers

REFRESH_EVERY = 5000
"""Accepted trials after which a session recomputes its sums, against the drift of adding and subtracting."""


class IncrementalSession:
    """`EnergySession` of one walker, which keeps the sums and the energy of every atom."""

    def __init__(self, walkers: Walkers, number: int, guests_ang: np.ndarray) -> None:
        self._walkers, self._number = walkers, number
        self._accepted = 0
        self._nobody: list[None] = [None] * walkers.n_walkers
        self.last_drift_ev = 0.0
        walkers.start(number, guests_ang)

    @property
    def energy_ev(self) -> float:
        """Energy of the current configuration, eV."""
        return self._walkers.energy_ev(self._number)

    @property
    def atomic_energies_ev(self) -> np.ndarray:
        """(n_atoms,) eV, framework first, then the molecules (a copy)."""
        return self._walkers.atomic_energies_ev(self._number)

    @property
    def guests_ang(self) -> np.ndarray:
        """Current guests (n_molecules, n_sites, 3), Å (a copy)."""
        return self._walkers.guests_ang(self._number)

    def recompute_ev(self) -> float:
        """Fresh sums and energy (eV) of the current configuration; the change is kept in `last_drift_ev`."""
        before = self.energy_ev
        self._accepted = 0
        self._walkers.refresh(self._number)
        self.last_drift_ev = self.energy_ev - before
        return self.energy_ev

    def trial(self, remove: int | None, insert_ang: np.ndarray | None) -> float:
        """Energy change (eV) of a trial, see `EnergySession.trial`; ``inf`` for an overlap (`OVERLAP_ANG`).

        Raises BadInputError where an atom gets more neighbours than the model's `sel` (the energy of such a
        configuration is not defined, whether the trial would be accepted or not), IndexError for a molecule that is
        not there, ValueError for a malformed request.
        """
        requests: list[tuple[int | None, np.ndarray | None] | None] = [*self._nobody]
        requests[self._number] = (remove, insert_ang)
        return self._walkers.trials(requests)[self._number]

    def accept(self) -> None:
        """Make the last trial current; raises RuntimeError where there is none or it was an overlap."""
        self._walkers.accept(self._number)
        self._accepted += 1
        if self._accepted % REFRESH_EVERY == 0:
            self.recompute_ev()


class IncrementalPotential:
    """`Potential` of a DeePMD `se_e2_a` model file by exact incremental energies, without TensorFlow in process.

    A `.pb` is converted to `.dp` once (cached beside it). Raises BadInputError, naming the feature, for models the
    incremental energy does not support. `threads` share one evaluation, by default as many as OMP_NUM_THREADS says or
    there are processors; results do not depend on it.
    """

    def __init__(self, model_file: Path, *, threads: int | None = None) -> None:
        self._evaluator = Evaluator(read_se_e2_a(Path(model_file)), threads=threads)

    @property
    def model(self) -> SeE2aModel:
        """The model's weights."""
        return self._evaluator.model

    def describe(self) -> str:
        """One line for logs and reports: the file, the path taken, and how the embedding is evaluated."""
        table = self._evaluator.tables
        how = "direct embedding nets" if table is None else f"embedding tables with error {table.error:.0e}"
        return f"incremental se_e2_a energies of {self.model.file} ({self.model.dp_file.name}, {how})"

    def walkers(self, framework: AseAtoms, molecule_symbols: tuple[str, ...], *, n_walkers: int) -> Walkers:
        """Room for `n_walkers` configurations on `framework`; raises BadInputError for unknown elements."""
        where = str(self.model.file)
        return Walkers(
            self._evaluator,
            (types_in(self.model.type_map, framework.get_chemical_symbols(), where=where), framework.positions),
            cell_ang=np.array(framework.cell),
            molecule_types=types_in(self.model.type_map, molecule_symbols, where=where),
            n_walkers=n_walkers,
        )

    def start(
        self, framework: AseAtoms, molecule_symbols: tuple[str, ...], guests_ang: np.ndarray
    ) -> IncrementalSession:
        """Session on `framework`; raises BadInputError for unknown elements, overlaps, or too many neighbours."""
        return IncrementalSession(self.walkers(framework, molecule_symbols, n_walkers=1), 0, guests_ang)

    def molecule_energy_ev(self, molecule_symbols: tuple[str, ...], sites_ang: np.ndarray) -> float:
        """Energy (eV) of one molecule in a periodic cube of `GAS_BOX_ANG`."""
        box = AseAtoms(cell=GAS_BOX_ANG * np.eye(3), pbc=True)
        return self.start(box, molecule_symbols, np.asarray(sites_ang)[None]).energy_ev

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
from alh2.potential.conversion import ConversionShift, known_shift
from alh2.potential.deeppot import types_in
from alh2.potential.evaluator import Evaluator
from alh2.potential.se_e2_a import SeE2aModel, read_se_e2_a
from alh2.potential.session import IncrementalSession
from alh2.potential.together import Group, Seat, Seating
from alh2.potential.walkers import Walkers


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
        """One line for logs and reports: file, path taken, how embeddings are evaluated, what the conversion did."""
        table = self._evaluator.tables
        how = "direct embedding nets" if table is None else f"embedding tables with error {table.error:.0e}"
        shift = self.conversion_shift
        moved = "" if shift is None else f", conversion shifts atomic energies by up to {shift.largest_ev:.1e} eV"
        return f"incremental se_e2_a energies of {self.model.file} ({self.model.dp_file.name}, {how}{moved})"

    @property
    def conversion_shift(self) -> ConversionShift | None:
        """Atomic energies of the `.dp` against the `.pb` it was made from; None where that was not measured."""
        return known_shift(self.model.dp_file)

    def together(self, n: int) -> Seating:
        """Potentials for `n` threads, whose trials are evaluated together in as many groups as there are processors."""
        groups = max(1, min(n, self._evaluator.threads))
        seats: list[Seat] = []
        for group in range(groups):
            size = n // groups + (group < n % groups)
            seats += Group(IncrementalPotential._of(self._evaluator.alone()), size).seats
        return Seating(tuple(seats), tuple(seats))

    @classmethod
    def _of(cls, evaluator: Evaluator) -> IncrementalPotential:
        potential = cls.__new__(cls)
        potential._evaluator = evaluator
        return potential

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

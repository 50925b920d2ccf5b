"""Exact incremental energies of DeePMD `se_e2_a` models.

The sum T_i of an atom changes only by the terms of atoms that appear or disappear within rcut, so a trial costs a few
terms and the fitting nets of the affected atoms, instead of the whole configuration. Nothing is approximated: the
energies equal those of DeepPot on the same `.dp` to rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms as AseAtoms

from alh2.core.errors import BadInputError
from alh2.potential import kernels
from alh2.potential.ase_potential import GAS_BOX_ANG
from alh2.potential.deeppot import types_in
from alh2.potential.embedding_table import build_tables
from alh2.potential.full_energy import checked_guests
from alh2.potential.se_e2_a import SeE2aModel, read_se_e2_a

OVERLAP_ANG = 0.4
"""A trial that brings two atoms closer than this is an overlap of infinite energy; the tables end here."""
REFRESH_EVERY = 5000
"""Accepted trials after which a session recomputes its sums, against the drift of adding and subtracting."""
CENTRES_AT_ONCE = 32


class Evaluator:
    """Environment sums and atomic energies of a model, from rows."""

    def __init__(self, model: SeE2aModel) -> None:
        self.model = model
        padding = model.padding()
        self.base = np.ascontiguousarray(np.einsum("b,abmc->acm", model.sel, padding))
        n = model.n_types
        self.padding = np.ascontiguousarray(padding.transpose(0, 1, 3, 2).reshape(n * n, 4, model.width))
        self.tables = kernels.Tables(model.mean, model.scale, np.ascontiguousarray(model.network_index()))
        self.n_neighbours = int(model.sel.sum())
        low = (0.0 - model.mean[..., 0]) / model.scale[..., 0]
        high = (1.0 / (OVERLAP_ANG + model.protection_ang) - model.mean[..., 0]) / model.scale[..., 0]
        numbers = range(len(model.embeddings))
        used = [self.tables.net == k for k in numbers]
        ranges = np.array([[low[mask].min(), high[mask].max()] for mask in used])
        self.embedding = build_tables(model.embeddings, ranges)

    def add(self, n_rows: int, rows: kernels.Rows, sums: np.ndarray, counts: np.ndarray) -> None:
        """Add `n_rows` rows to sums (slots, 4, M) and neighbour counts (slots, n_types)."""
        g = np.empty((n_rows, self.model.width))
        if self.embedding is not None:
            e = self.embedding
            kernels.table_values(n_rows, rows, e.coefficients, (e.first, e.intervals, e.lowest, e.per_width), g)
        else:
            nets = rows.net[:n_rows]
            for k in np.unique(nets):
                mine = np.flatnonzero(nets == k)
                g[mine] = self.model.embeddings[k](np.ascontiguousarray(rows.r[mine, :1]))
        kernels.add_rows(n_rows, rows, g, self.padding, sums, counts)

    def energies(self, sums: np.ndarray, types: np.ndarray) -> np.ndarray:
        """Atomic energies (slots,) eV of sums (slots, 4, M)."""
        values = np.empty(len(types))
        model = self.model
        for a in range(model.n_types):
            order = np.flatnonzero(types == a)
            if len(order):
                d = np.empty((len(order), model.width * model.axis))
                kernels.descriptors(sums, order, model.axis, self.n_neighbours, d)
                values[order] = model.fittings[a](d)[:, 0] + model.bias_ev[a]
        return values

    def check_counts(self, counts: np.ndarray) -> None:
        """Raise BadInputError where an atom has more neighbours of a type than the model's `sel`."""
        most = counts.max(axis=0, initial=0)
        over = np.flatnonzero(most > self.model.sel)
        if len(over):
            names, sel = self.model.type_map, self.model.sel
            needed = " ".join(str(n) for n in np.maximum(most, sel))
            raise BadInputError(
                str(self.model.file),
                expected="no more neighbours than the model's sel (DeePMD would drop the farthest)",
                found=", ".join(f"{names[b]} {most[b]} > {sel[b]}" for b in over),
                action=f"train with sel of at least {needed} for {' '.join(names)}",
            )


@dataclass(eq=False)
class _Trial:
    """What the last trial would change."""

    remove: int | None
    insert: np.ndarray | None
    affected: np.ndarray
    sums: np.ndarray
    counts: np.ndarray
    energies: np.ndarray


def geometry_of(cell_ang: np.ndarray, model: SeE2aModel) -> kernels.Geometry:
    """Cell and cutoff for the kernels; raises BadInputError for a cell without volume."""
    cell = np.ascontiguousarray(cell_ang, dtype=np.float64)
    if abs(np.linalg.det(cell)) < 1e-6:
        raise BadInputError("framework", expected="a cell with a volume", found=f"cell {cell.tolist()}")
    inverse = np.ascontiguousarray(np.linalg.inv(cell))
    heights = 1.0 / np.linalg.norm(inverse, axis=0)
    return kernels.Geometry(
        cell, inverse, model.rcut_ang / heights, model.rcut_ang, model.rcut_smth_ang, model.protection_ang
    )


def row_buffers(n: int) -> kernels.Rows:
    """Uninitialised room for `n` rows."""
    whole = [np.empty(n, dtype=np.int64) for _ in range(3)]
    return kernels.Rows(whole[0], whole[1], whole[2], np.empty(n), np.empty((n, 4)))


class IncrementalSession:
    """`EnergySession` of a `se_e2_a` model that keeps the sums and the energy of every atom."""

    def __init__(
        self,
        evaluator: Evaluator,
        framework: tuple[np.ndarray, np.ndarray],
        *,
        cell_ang: np.ndarray,
        molecule_types: np.ndarray,
        guests_ang: np.ndarray,
    ) -> None:
        self._evaluator = evaluator
        types, positions = framework
        self._n_framework, self._n_sites = len(types), len(molecule_types)
        self._molecule_types = np.array(molecule_types, dtype=np.int64)
        guests = checked_guests(guests_ang, self._n_sites)
        self._n_molecules, self._n_atoms = len(guests), len(types) + guests.shape[0] * self._n_sites
        geometry = geometry_of(cell_ang, evaluator.model)
        self._setting = kernels.Setting(geometry, evaluator.tables)
        self._scratch = np.empty((int(np.prod(2 * np.ceil(geometry.reach) + 3)), 3))
        self._rows = row_buffers(4096)
        self._allocate(max(64, 2 * self._n_atoms))
        n = self._n_framework
        self._atoms.positions[:n] = positions
        self._atoms.positions[n : self._n_atoms] = guests.reshape(-1, 3)
        self._atoms.types[:n] = types
        self._atoms.types[n : self._n_atoms] = np.tile(self._molecule_types, len(guests))
        self._trial: _Trial | None = None
        self.last_drift_ev = 0.0
        self._start()

    @property
    def _work(self) -> kernels.Work:
        return kernels.Work(self._rows, self._affected, self._scratch)

    def _more_rows(self) -> None:
        self._rows = row_buffers(2 * len(self._rows.slot))

    def _allocate(self, capacity: int) -> None:
        model = self._evaluator.model
        self._atoms = kernels.Atoms(np.empty((capacity, 3)), np.empty(capacity, dtype=np.int64))
        self._sums = np.empty((capacity, 4, model.width))
        self._counts = np.empty((capacity, model.n_types), dtype=np.int64)
        self._energies = np.empty(capacity)
        self._affected = np.empty(capacity, dtype=np.int64)

    def _grow(self) -> None:
        old, n = (self._atoms, self._sums, self._counts, self._energies), self._n_atoms
        self._allocate(2 * len(self._energies) + self._n_sites)
        self._atoms.positions[:n], self._atoms.types[:n] = old[0].positions[:n], old[0].types[:n]
        self._sums[:n], self._counts[:n], self._energies[:n] = old[1][:n], old[2][:n], old[3][:n]

    @property
    def energy_ev(self) -> float:
        """Energy of the current configuration, eV."""
        return float(self._energies[: self._n_atoms].sum())

    @property
    def atomic_energies_ev(self) -> np.ndarray:
        """(n_atoms,) eV, framework first, then the molecules (a copy)."""
        return self._energies[: self._n_atoms].copy()

    @property
    def guests_ang(self) -> np.ndarray:
        """Current guests (n_molecules, n_sites, 3), Å (a copy)."""
        return self._atoms.positions[self._n_framework : self._n_atoms].reshape(-1, self._n_sites, 3).copy()

    def _start(self) -> None:
        self._trial = None
        self._accepted = 0
        types = self._atoms.types
        for first in range(0, self._n_atoms, CENTRES_AT_ONCE):
            last = min(first + CENTRES_AT_ONCE, self._n_atoms)
            while True:
                n_rows, closest = kernels.centre_rows(
                    first, last, self._atoms, self._n_atoms, self._setting, self._work
                )
                if n_rows >= 0:
                    break
                self._more_rows()
            if closest < OVERLAP_ANG**2:
                raise BadInputError(
                    f"{self._n_framework} framework atoms with {self._n_molecules} guests",
                    expected=f"no two atoms closer than {OVERLAP_ANG} Å",
                    found=f"{math.sqrt(closest):.3f} Å",
                    action="look for overlapping atoms",
                )
            part = slice(first, last)
            self._sums[part] = self._evaluator.base[types[part]]
            self._counts[part] = 0
            self._evaluator.add(n_rows, self._rows, self._sums[part], self._counts[part])
            self._evaluator.check_counts(self._counts[part])
            self._energies[part] = self._evaluator.energies(self._sums[part], types[part])

    def recompute_ev(self) -> float:
        """Fresh sums and energy (eV) of the current configuration; the change is kept in `last_drift_ev`."""
        before = self.energy_ev
        self._start()
        self.last_drift_ev = self.energy_ev - before
        return self.energy_ev

    def _block(self, index: int) -> tuple[int, int]:
        first = self._n_framework + index * self._n_sites
        return first, first + self._n_sites

    def trial(self, remove: int | None, insert_ang: np.ndarray | None) -> float:
        """Energy change (eV) of a trial, see `EnergySession.trial`; ``inf`` for an overlap (`OVERLAP_ANG`).

        Raises BadInputError where an atom gets more neighbours than the model's `sel`, IndexError for a molecule that
        is not there, ValueError for a malformed request.
        """
        self._trial = None
        if remove is None and insert_ang is None:
            raise ValueError("a trial removes a molecule, inserts one, or both")
        if remove is not None and not 0 <= remove < self._n_molecules:
            raise IndexError(f"molecule {remove} of {self._n_molecules}")
        removed = (0, 0) if remove is None else self._block(remove)
        parts = []
        if insert_ang is not None:
            insert_ang = np.array(insert_ang, dtype=np.float64)
            if insert_ang.shape != (self._n_sites, 3):
                raise ValueError(f"molecule {insert_ang.shape} is not ({self._n_sites}, 3)")
            parts.append(insert_ang)
        parts.append(self._atoms.positions[removed[0] : removed[1]])
        return self._evaluate(remove, removed, np.concatenate(parts), insert_ang)

    def _evaluate(
        self, remove: int | None, removed: tuple[int, int], sites: np.ndarray, insert: np.ndarray | None
    ) -> float:
        n_insert = 0 if insert is None else self._n_sites
        evaluator = self._evaluator
        change = kernels.Change(sites, self._molecule_types, n_insert, *removed)
        while True:
            n_rows, n_affected, closest = kernels.trial_rows(
                change, self._atoms, self._n_atoms, self._setting, self._work
            )
            if n_rows >= 0:
                break
            self._more_rows()
        if closest < OVERLAP_ANG**2:
            return math.inf
        affected = self._affected[:n_affected].copy()
        types = np.concatenate([self._atoms.types[affected], self._molecule_types[:n_insert]])
        sums = np.concatenate([self._sums[affected], evaluator.base[self._molecule_types[:n_insert]]])
        counts = np.zeros((len(types), evaluator.model.n_types), dtype=np.int64)
        counts[:n_affected] = self._counts[affected]
        evaluator.add(n_rows, self._rows, sums, counts)
        evaluator.check_counts(counts)
        energies = evaluator.energies(sums, types)
        self._trial = _Trial(remove, insert, affected, sums, counts, energies)
        gain = (energies[:n_affected] - self._energies[affected]).sum() + energies[n_affected:].sum()
        return float(gain - self._energies[removed[0] : removed[1]].sum())

    def accept(self) -> None:
        """Make the last trial current; raises RuntimeError where there is none or it was an overlap."""
        trial = self._trial
        if trial is None:
            raise RuntimeError("no trial with a finite energy to accept")
        self._trial = None
        n = len(trial.affected)
        self._sums[trial.affected] = trial.sums[:n]
        self._counts[trial.affected] = trial.counts[:n]
        self._energies[trial.affected] = trial.energies[:n]
        if trial.insert is not None:
            self._place(trial, n)
        elif trial.remove is not None:
            self._take_away(trial.remove)
        self._accepted += 1
        if self._accepted % REFRESH_EVERY == 0:
            self.recompute_ev()

    def _place(self, trial: _Trial, n: int) -> None:
        index = trial.remove
        if index is None:
            if self._n_atoms + self._n_sites > len(self._energies):
                self._grow()
            index = self._n_molecules
            self._n_molecules += 1
            self._n_atoms += self._n_sites
        block = slice(*self._block(index))
        self._atoms.positions[block] = trial.insert
        self._atoms.types[block] = self._molecule_types
        self._sums[block] = trial.sums[n:]
        self._counts[block] = trial.counts[n:]
        self._energies[block] = trial.energies[n:]

    def _take_away(self, index: int) -> None:
        freed, last = slice(*self._block(index)), slice(*self._block(self._n_molecules - 1))
        if freed != last:
            for values in (self._atoms.positions, self._sums, self._counts, self._energies):
                values[freed] = values[last]
        self._n_molecules -= 1
        self._n_atoms -= self._n_sites


class IncrementalPotential:
    """`Potential` of a DeePMD `se_e2_a` model file by exact incremental energies, without TensorFlow in process.

    A `.pb` is converted to `.dp` once (cached beside it). Raises BadInputError, naming the feature, for models the
    incremental energy does not support.
    """

    def __init__(self, model_file: Path) -> None:
        self._evaluator = Evaluator(read_se_e2_a(Path(model_file)))

    @property
    def model(self) -> SeE2aModel:
        """The model's weights."""
        return self._evaluator.model

    def describe(self) -> str:
        """One line for logs and reports: the file, the path taken, and how the embedding is evaluated."""
        table = self._evaluator.embedding
        how = "direct embedding nets" if table is None else f"embedding tables with error {table.error:.0e}"
        return f"incremental se_e2_a energies of {self.model.file} ({self.model.dp_file.name}, {how})"

    def start(
        self, framework: AseAtoms, molecule_symbols: tuple[str, ...], guests_ang: np.ndarray
    ) -> IncrementalSession:
        """Session on `framework`; raises BadInputError for unknown elements, overlaps, or too many neighbours."""
        where = str(self.model.file)
        return IncrementalSession(
            self._evaluator,
            (types_in(self.model.type_map, framework.get_chemical_symbols(), where=where), framework.positions),
            cell_ang=np.array(framework.cell),
            molecule_types=types_in(self.model.type_map, molecule_symbols, where=where),
            guests_ang=guests_ang,
        )

    def molecule_energy_ev(self, molecule_symbols: tuple[str, ...], sites_ang: np.ndarray) -> float:
        """Energy (eV) of one molecule in a periodic cube of `GAS_BOX_ANG`."""
        box = AseAtoms(cell=GAS_BOX_ANG * np.eye(3), pbc=True)
        return self.start(box, molecule_symbols, np.asarray(sites_ang)[None]).energy_ev

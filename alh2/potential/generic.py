"""Local energies of any DeePMD model of finite range: only the atoms that a trial touches are evaluated.

An atom's energy depends on what lies within the cutoff, so a trial changes the energies of the atoms within the cutoff
of the moved ones. These go, with their surroundings, through DeePMD's C library; the others' are kept. Several times
slower than the incremental sums of `se_e2_a`, but it takes models that these refuse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
from ase import Atoms as AseAtoms

from alh2.core.errors import BadInputError
from alh2.potential import kernels
from alh2.potential.ase_potential import GAS_BOX_ANG
from alh2.potential.convert import load_dp, to_dp
from alh2.potential.deepmd_c import DeepPotC, Surroundings
from alh2.potential.deeppot import types_in
from alh2.potential.neighbours import images
from alh2.potential.session import IncrementalSession
from alh2.potential.sums import Entries
from alh2.potential.walkers import UNLIMITED, Walkers

RANGE_TOLERANCE_EV = 1e-6
"""Largest difference per 1000 atoms between local and whole energies at the start of a session."""
MIXED_TYPES = ("dpa1", "se_atten", "se_atten_v2", "se_e3_tebd")
"""Descriptors whose `sel` counts neighbours of all elements together."""


@dataclass(frozen=True, eq=False)
class FiniteRangeModel:
    """What the search for trials needs of a model; attributes as of `SeE2aModel`, without sums (width 0)."""

    file: Path
    type_map: tuple[str, ...]
    rcut_ang: float
    sel: np.ndarray
    total_sel: int
    silent: np.ndarray
    rcut_smth_ang: float = 0.0
    protection_ang: float = 0.0
    width: int = 0

    @property
    def n_types(self) -> int:
        """Number of elements."""
        return len(self.type_map)


@numba.njit(cache=True, nogil=True)
def _surroundings(
    entries: Entries,
    change: kernels.Change,
    search: kernels.Search,
    whole: bool,
    out: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> int:
    """Fill positions, types and neighbour numbers of all entries and what is around them; -1: no room.

    whole : the slots are the present atoms (`find_centres`), else those of trials
    """
    system, state, slots, scratch = search
    positions, types, numbers = out
    n = len(entries.walker)
    at = n
    d = np.empty(3)
    for i in range(n):
        w, s = entries.walker[i], entries.slot[i]
        atom = slots.atom[w, s]
        new = atom < 0 and not whole
        centre = change.sites[w, -1 - atom] if new else state.positions[w, -1 - atom if atom < 0 else atom]
        itself = -1 if new else (-1 - atom if atom < 0 else atom)
        first, last = (0, 0) if whole else (change.first[w], change.first[w] + change.n_remove[w])
        found = kernels.around(0, (itself, 0), centre, search, w, (first, last))
        for m in range(0 if whole else change.n_insert[w]):
            for k in range(3):
                d[k] = change.sites[w, m, k] - centre[k]
            more = images(d, system.geometry, new and m == -1 - atom, scratch.images[w])
            found = kernels.keep(found, (-1 - m, 0), more, scratch, w)
        if found < 0 or at + found > len(types):
            return -1
        positions[i] = centre
        types[i] = entries.element[i]
        numbers[i] = found
        for p in range(found):
            other = scratch.atom[w, p]
            types[at] = system.types[other] if other >= 0 else system.types[system.n_host - 1 - other]
            for k in range(3):
                positions[at, k] = centre[k] + scratch.d[w, p, k]
            at += 1
    return at


class LocalEvaluator:
    """Atomic energies of slots through DeePMD's C library."""

    threads = 1

    def __init__(self, library: DeepPotC) -> None:
        self.library = library
        n = len(library.type_map)
        sel, total = _selection(library.model_file, n)
        self.model = FiniteRangeModel(
            library.model_file,
            library.type_map,
            library.rcut_ang,
            sel=sel,
            total_sel=total,
            silent=np.zeros((n, n), dtype=np.int64),
        )
        self._room = 16384

    def evaluate(self, n: int, entries: Entries, search: kernels.Search, change: kernels.Change, whole: bool) -> None:
        """Energies of the `n` first entries."""
        if not n:
            return
        part = Entries(entries.walker[:n], entries.slot[:n], entries.element[:n], entries.edges)
        while True:
            out = np.empty((self._room, 3)), np.empty(self._room, np.int32), np.empty(n, np.int32)
            total = _surroundings(part, change, search, whole, out)
            if total >= 0:
                break
            self._room *= 2
        positions, types, numbers = out
        atoms = Surroundings(types[:total], positions[:total], numbers, np.arange(n, total, dtype=np.int32))
        search.slots.energies[part.walker, part.slot] = self.library.energies_ev(atoms, search.system.geometry.cell)


def _selection(model_file: Path, n_types: int) -> tuple[np.ndarray, int]:
    """Neighbours that the model takes, of each element and in all, where DeePMD's common form of the file tells."""
    unlimited = np.full(n_types, UNLIMITED)
    try:
        descriptor = load_dp(to_dp(model_file))["model"]["descriptor"]
        sel = np.ravel(np.array(descriptor["sel"], dtype=np.int64))
    except (BadInputError, KeyError, TypeError, ValueError):
        return unlimited, UNLIMITED
    each = len(sel) == n_types and descriptor.get("type") not in MIXED_TYPES
    return (sel, int(sel.sum())) if each else (unlimited, int(sel.sum()))


class LocalPotential:
    """`Potential` of any DeePMD `.pb` model of finite range by local energies.

    `reason` says why the incremental path was not taken. Raises BadInputError for other files.
    """

    def __init__(self, model_file: Path, *, reason: str = "") -> None:
        path = Path(model_file)
        if path.suffix != ".pb":
            raise BadInputError(str(path), expected="a frozen model (.pb)", found=f"suffix '{path.suffix}'")
        self._evaluator = LocalEvaluator(DeepPotC(path))
        self._reason = reason

    def describe(self) -> str:
        """One line for logs and reports."""
        model = self._evaluator.model
        checked = "" if model.total_sel < UNLIMITED else ", neighbour counts not checked"
        why = f"; not incremental: {self._reason}" if self._reason else ""
        return f"local energies by DeePMD's C library of {model.file}{checked}{why}"

    def start(
        self, framework: AseAtoms, molecule_symbols: tuple[str, ...], guests_ang: np.ndarray
    ) -> IncrementalSession:
        """Session on `framework`; raises BadInputError for unknown elements, overlaps, and models of longer range."""
        evaluator = self._evaluator
        where = str(evaluator.model.file)
        types = types_in(evaluator.model.type_map, framework.get_chemical_symbols(), where=where)
        molecule = types_in(evaluator.model.type_map, molecule_symbols, where=where)
        walkers = Walkers(
            evaluator, (types, framework.positions), cell_ang=np.array(framework.cell), molecule_types=molecule
        )
        session = IncrementalSession(walkers, 0, guests_ang)
        self._check_range(session, framework, types, molecule)
        return session

    def _check_range(
        self, session: IncrementalSession, framework: AseAtoms, types: np.ndarray, molecule: np.ndarray
    ) -> None:
        """Raise BadInputError where local energies do not add up to DeePMD's own of the whole configuration."""
        guests = session.guests_ang
        all_types = np.concatenate([types, np.tile(molecule, len(guests))]).astype(np.int32)
        if not len(all_types):
            return
        positions = np.concatenate([framework.positions, guests.reshape(-1, 3)])
        whole = self._evaluator.library.periodic_energy_ev(all_types, positions, np.array(framework.cell))
        difference = abs(session.energy_ev - whole)
        if not difference <= RANGE_TOLERANCE_EV * max(1.0, len(all_types) / 1000):
            raise BadInputError(
                str(self._evaluator.model.file),
                expected="a model whose atomic energies depend on nothing beyond its cutoff",
                found=f"local energies that differ from the whole by {difference:.3g} eV",
                action="use full energies (DeepPotPotential)",
            )

    def molecule_energy_ev(self, molecule_symbols: tuple[str, ...], sites_ang: np.ndarray) -> float:
        """Energy (eV) of one molecule in a periodic cube of `GAS_BOX_ANG`; BadInputError if not finite."""
        box = AseAtoms(cell=GAS_BOX_ANG * np.eye(3), pbc=True)
        energy = self.start(box, molecule_symbols, np.asarray(sites_ang)[None]).energy_ev
        if not math.isfinite(energy):
            raise BadInputError(f"isolated {''.join(molecule_symbols)}", expected="a finite energy", found=str(energy))
        return energy

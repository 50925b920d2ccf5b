"""What LAMMPS computes forces with: the networks, and the pair terms under them as tables (``hybrid/overlay``).

Terms at the centres of molecules have no pair style, so only baselines between atoms go this way. A hydrogen of the
host and one of the guests, and host atoms of other kinds, are atom types of their own; the networks are told the same
element for them. Two H of guests nearer than `BOND_END_ANG` are bonded: molecules never come that near to each other,
and no bond list has to follow them through restarts and beads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers

from alh2.core.atoms import to_atoms
from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_text
from alh2.core.frames import Frame
from alh2.potential.pair_baseline import PairBaseline, load_pair_baseline, spline_values
from alh2.structure.site_kinds import element_of, site_kinds

TABLE_FILE, FORCE_PAIRS_FILE = "pair_terms.table", "pair_terms.json"
"""In the folder that all runs share: the terms as LAMMPS reads them, and what they were made from."""
FIRST_ANG, SPACING_ANG, BOND_END_ANG = 0.3, 0.002, 1.1
GUEST = "H"


@dataclass(frozen=True)
class LammpsForces:
    """Atom types and forces of a LAMMPS input.

    type_map : elements in the order of the models
    baseline : pair terms under every one of the models; None: they know everything
    """

    type_map: tuple[str, ...]
    baseline: PairBaseline | None = None

    def __post_init__(self) -> None:
        if self.baseline is not None and not acts_on_atoms(self.baseline):
            raise BadInputError(
                "pair baseline", expected="terms between atoms, which LAMMPS has a pair style for",
                found="terms at the centres of molecules", action="use the models on total energies",
            )  # fmt: skip

    @property
    def elements(self) -> tuple[str, ...]:
        """Element of each atom type."""
        if self.baseline is None:
            return self.type_map
        return (*(element_of(kind) for kind in self.baseline.kinds), GUEST)

    def types(self, symbols: Sequence[str], host: Atoms, where: str) -> np.ndarray:
        """Atom type, from 1 on, of each of the atoms `symbols` (n_atoms,), of which the first are those of `host`.

        Raises BadInputError for an element that is not known.
        """
        if self.baseline is None:
            known = {symbol: k + 1 for k, symbol in enumerate(self.type_map)}
            unknown = sorted(set(symbols) - set(known))
            if unknown:
                raise BadInputError(where, expected=f"elements of type_map ({', '.join(known)})", found=unknown[0])
            return np.array([known[symbol] for symbol in symbols], dtype=int)
        kinds = site_kinds(host) if len(host) else []
        guests = np.full(len(symbols) - len(host), len(self.elements))
        return np.concatenate([self.baseline.numbers(kinds) + 1, guests]).astype(int)

    def masses_amu(self, given: Sequence[float] = ()) -> tuple[float, ...]:
        """Mass of each atom type; `given` : of the elements of type_map, empty: the standard ones."""
        own = dict(zip(self.type_map, given, strict=True)) if given else {}
        return tuple(own.get(e, float(atomic_masses[atomic_numbers[e]])) for e in self.elements)

    def atom_masses_amu(self, frame: Frame, given: Sequence[float] = ()) -> tuple[float, ...]:
        """Mass of each atom of `frame`; `given` as in `masses_amu`."""
        per_type = self.masses_amu(given)
        types = self.types(frame.symbols, to_atoms(frame.bare_host()), "masses")
        return tuple(per_type[t - 1] for t in types)

    def lines(self, models: Sequence[str], *, table: str, deviation: str = "") -> list[str]:
        """Pair style and coefficients.

        models : as the input names them; table : the same of the file of `write_table`; deviation : further arguments
        """
        networks = f"deepmd {' '.join(models)}{deviation}"
        if self.baseline is None:
            return [f"pair_style {networks}", f"pair_coeff * * {' '.join(self.elements)}"]
        n = len(self.elements)
        lines = [
            f"pair_style hybrid/overlay {networks} table spline {_n_points(self.baseline)}",
            f"pair_coeff * * deepmd {' '.join(self.elements)}",
        ]
        return lines + [f"pair_coeff {k} {n} table {table} {_section(k)}" for k in range(1, n + 1)]

    def write_table(self, directory: Path) -> Path | None:
        """Write the tables into `directory`, None where there are none."""
        if self.baseline is None:
            return None
        path = directory / TABLE_FILE
        atomic_write_text(path, tables(self.baseline))
        return path


def forces_of(type_map: Sequence[str], baselines: Sequence[Path]) -> LammpsForces:
    """Forces of models with the pair baselines in the files `baselines`, none or one for each of them.

    Raises BadInputError where they are not the same.
    """
    if not baselines:
        return LammpsForces(tuple(type_map))
    found = [load_pair_baseline(path) for path in baselines]
    for path, other in zip(baselines, found, strict=True):
        if other != found[0]:
            raise BadInputError(
                str(path), expected=f"the pair terms of {baselines[0]} under all models of a run", found="others"
            )
    return LammpsForces(tuple(type_map), found[0])


def acts_on_atoms(baseline: PairBaseline) -> bool:
    """Whether all terms at the centres of molecules are zero."""
    return not any(any(baseline.pairs[k].coefficients_ev) for k in baseline.centre_terms())


def tables(baseline: PairBaseline) -> str:
    """LAMMPS tables, eV and eV/Å, of a guest H with every kind of host atom, and of two guest H, bond included."""
    n_points, n = _n_points(baseline), len(baseline.kinds)
    r = np.linspace(FIRST_ANG, baseline.cutoff_ang, n_points)
    parts = ["# Pair terms under the networks: energy eV, force eV/Angstrom"]
    for k in range(n + 1):
        energy, slope = spline_values(baseline.pairs[k], r)
        if k == n:
            bond = r < BOND_END_ANG
            energy[bond], slope[bond] = spline_values(baseline.bond, r[bond])
        parts.append(f"\n{_section(k + 1)}\nN {n_points} R {r[0]:.16g} {r[-1]:.16g} FPRIME {_curvatures(r, slope)}\n")
        rows = zip(range(1, n_points + 1), r.tolist(), energy.tolist(), (-slope).tolist(), strict=True)
        parts += [f"{i} {x:.10g} {e:.12g} {f:.12g}" for i, x, e, f in rows]
    return "\n".join(parts) + "\n"


def _curvatures(r: np.ndarray, slope: np.ndarray) -> str:
    """Derivatives of the force at both ends."""
    step = r[1] - r[0]
    return f"{-(slope[1] - slope[0]) / step:.12g} {-(slope[-1] - slope[-2]) / step:.12g}"


def _n_points(baseline: PairBaseline) -> int:
    return round((baseline.cutoff_ang - FIRST_ANG) / SPACING_ANG) + 1


def _section(number: int) -> str:
    return f"GUEST_{number}"

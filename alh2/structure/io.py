"""Structure files, written atomically and byte-identical for the same structure."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers

from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_bytes

DEFAULT_TYPE_MAP = ("Al", "O", "C", "N", "H")

FORMATS = ("cif", "poscar", "extxyz", "lammps-data")
"""Accepted values of `format`."""

_BY_SUFFIX = {
    ".cif": "cif",
    ".vasp": "poscar",
    ".poscar": "poscar",
    ".xyz": "extxyz",
    ".extxyz": "extxyz",
    ".data": "lammps-data",
    ".lmp": "lammps-data",
    ".lammps": "lammps-data",
}


def write_structure(
    atoms: Atoms, path: Path | str, *, format: str | None = None, type_map: Sequence[str] = DEFAULT_TYPE_MAP
) -> None:
    """Write `atoms` as CIF, POSCAR, extended XYZ or LAMMPS data (atom style atomic, units metal).

    Parameters
    ----------
    format : one of `FORMATS`; None: by suffix (.cif, .vasp, .poscar, .xyz, .extxyz, .data, .lmp, .lammps) or the
        names POSCAR and CONTCAR
    type_map : order of elements; LAMMPS types and masses follow it, elements without atoms included. POSCAR sorts
        atoms by it (one block per element, as POTCAR needs); the other formats keep the order of atoms.

    A cell that is not lower triangular is rotated for LAMMPS. Raises BadInputError for an unknown format or suffix,
    or an element outside `type_map`; an existing file is replaced in one step or left untouched.
    """
    path = Path(path)
    chosen = format_of(path) if format is None else format
    if chosen not in FORMATS:
        raise BadInputError("format", expected="one of " + ", ".join(FORMATS), found=repr(format))
    if chosen in ("poscar", "lammps-data"):
        _check_type_map(atoms, tuple(type_map))
    bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    writers = {"cif": _cif, "extxyz": _extxyz}
    data = writers[chosen](bare) if chosen in writers else _typed(bare, chosen, tuple(type_map))
    atomic_write_bytes(path, data)


def format_of(path: Path) -> str:
    """Format for the name of `path`; raises BadInputError where it tells none."""
    if path.name.upper().startswith(("POSCAR", "CONTCAR")):
        return "poscar"
    found = _BY_SUFFIX.get(path.suffix.lower())
    if found is None:
        raise BadInputError(
            str(path),
            expected="a name ending in " + ", ".join(_BY_SUFFIX) + ", or POSCAR",
            found=repr(path.suffix),
            action="rename it or give the format (" + ", ".join(FORMATS) + ")",
        )
    return found


def _check_type_map(atoms: Atoms, type_map: tuple[str, ...]) -> None:
    unknown = [symbol for symbol in type_map if symbol not in atomic_numbers]
    if unknown or len(set(type_map)) != len(type_map):
        raise BadInputError("type_map", expected="distinct chemical symbols", found=", ".join(type_map) or "nothing")
    missing = sorted(set(atoms.get_chemical_symbols()) - set(type_map))
    if missing:
        raise BadInputError(
            "type_map",
            expected="every element of the structure",
            found=", ".join(type_map) + " without " + ", ".join(missing),
            action="add the missing elements",
        )


def _cif(atoms: Atoms) -> bytes:
    from ase.io.cif import write_cif

    buffer = io.BytesIO()
    write_cif(buffer, atoms)
    return buffer.getvalue()


def _extxyz(atoms: Atoms) -> bytes:
    """Symbols and positions with 17 significant digits, so that reading gives back the same numbers."""
    cell = " ".join(repr(float(x)) for x in atoms.cell.array.ravel())
    pbc = " ".join("T" if flag else "F" for flag in atoms.pbc)
    lines = [str(len(atoms)), f'Lattice="{cell}" Properties=species:S:1:pos:R:3 pbc="{pbc}"']
    for symbol, (x, y, z) in zip(atoms.get_chemical_symbols(), atoms.positions.tolist(), strict=True):
        lines.append(f"{symbol:<2s} {x!r:>23s} {y!r:>23s} {z!r:>23s}")
    return ("\n".join(lines) + "\n").encode()


def _typed(atoms: Atoms, chosen: str, type_map: tuple[str, ...]) -> bytes:
    return _poscar(atoms, type_map) if chosen == "poscar" else _lammps_data(atoms, type_map)


def _poscar(atoms: Atoms, type_map: tuple[str, ...]) -> bytes:
    types = np.array([type_map.index(symbol) for symbol in atoms.get_chemical_symbols()], dtype=int)
    atoms = atoms[np.argsort(types, kind="stable")]
    counts = [(symbol, int((types == k).sum())) for k, symbol in enumerate(type_map) if (types == k).any()]
    lines = [atoms.get_chemical_formula(mode="hill"), "1.0"]
    lines += ["".join(f" {x:21.16f}" for x in row) for row in atoms.cell.array]
    lines += [" ".join(f"{symbol:>5s}" for symbol, _ in counts), " ".join(f"{count:5d}" for _, count in counts)]
    lines.append("Direct")
    lines += ["".join(f" {x:19.16f}" for x in row) for row in atoms.get_scaled_positions(wrap=True)]
    return ("\n".join(lines) + "\n").encode()


def _lammps_data(atoms: Atoms, type_map: tuple[str, ...]) -> bytes:
    from ase.calculators.lammps import Prism

    prism = Prism(atoms.cell.array, pbc=atoms.pbc)
    xx, yy, zz, xy, xz, yz = (float(v) for v in prism.get_lammps_prism())
    positions = prism.vector_to_lammps(atoms.positions, wrap=True)
    lines = [f"{atoms.get_chemical_formula(mode='hill')} (atom types: {' '.join(type_map)})", ""]
    lines += [f"{len(atoms)} atoms", f"{len(type_map)} atom types", ""]
    lines += [f"0.0 {edge!r} {a}lo {a}hi" for edge, a in ((xx, "x"), (yy, "y"), (zz, "z"))]
    if prism.is_skewed():
        lines.append(f"{xy!r} {xz!r} {yz!r} xy xz yz")
    lines += ["", "Masses", ""]
    lines += [f"{k} {atomic_masses[atomic_numbers[s]]:.6g} # {s}" for k, s in enumerate(type_map, start=1)]
    lines += ["", "Atoms # atomic", ""]
    for k, (symbol, (x, y, z)) in enumerate(zip(atoms.get_chemical_symbols(), positions.tolist(), strict=True), 1):
        lines.append(f"{k} {type_map.index(symbol) + 1} {x!r} {y!r} {z!r}")
    return ("\n".join(lines) + "\n").encode()

"""Space groups, by spglib."""

from __future__ import annotations

from dataclasses import dataclass

from ase import Atoms


@dataclass(frozen=True)
class SpaceGroup:
    """International number and short symbol, e.g. 218 and "P-43n"."""

    number: int
    symbol: str


def space_group(atoms: Atoms, *, tolerance_ang: float = 1e-3) -> SpaceGroup | None:
    """Space group of a periodic structure within `tolerance_ang`, None where spglib finds none."""
    import warnings

    import spglib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # spglib's own change of error handling
        dataset = spglib.get_symmetry_dataset(
            (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), symprec=tolerance_ang
        )
    return None if dataset is None else SpaceGroup(int(dataset.number), str(dataset.international))

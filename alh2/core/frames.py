"""Configurations and labels, the nouns every stage exchanges.

Atom order is fixed: host atoms first, then the guest molecules one after the other, two H each.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from alh2.core.files import digest_bytes

Target = Literal["total", "interaction"]
"""What a committee is trained on: E(host+guests), or E(host+guests) - E(host alone, same geometry)."""

ATOMS_PER_H2 = 2


@dataclass(frozen=True)
class Provenance:
    """Where a frame comes from.

    source : "aimd" | "bootstrap" | "gas" | "md" | "gcmc" | "heldout" (held-out insertions)
    iteration : campaign iteration, -1 before the first
    detail : human-readable origin, e.g. "iter.000001/01.model_devi/task.000.000003 step 400"
    temperature_k : of the sampling, None where it has none
    """

    source: str
    iteration: int = -1
    detail: str = ""
    temperature_k: float | None = None


@dataclass(frozen=True, eq=False)
class Frame:
    """A periodic configuration; holds copies of the arrays it is given.

    symbols : element of each atom, length n_atoms
    positions_ang : (n_atoms, 3) float64, Å
    cell_ang : (3, 3) float64, rows are cell vectors, Å
    n_host : number of leading host atoms; the rest are H2, two atoms each
    host_id : name of the host ("node", "al-soc-mof"); "" where n_host is 0 (isolated gas)
    """

    symbols: tuple[str, ...]
    positions_ang: np.ndarray
    cell_ang: np.ndarray
    n_host: int
    host_id: str = ""
    provenance: Provenance = field(default_factory=lambda: Provenance("unknown"))

    def __post_init__(self) -> None:
        positions = np.array(self.positions_ang, dtype=np.float64, order="C")
        cell = np.array(self.cell_ang, dtype=np.float64, order="C")
        if positions.shape != (len(self.symbols), 3) or cell.shape != (3, 3):
            raise ValueError(f"positions {positions.shape} or cell {cell.shape} do not fit {len(self.symbols)} atoms")
        if not 0 <= self.n_host <= len(self.symbols):
            raise ValueError(f"{self.n_host} host atoms of {len(self.symbols)} atoms")
        guests = self.symbols[self.n_host :]
        if len(guests) % ATOMS_PER_H2 or any(s != "H" for s in guests):
            raise ValueError(f"atoms after the {self.n_host} host atoms must be H2 molecules, found {guests}")
        object.__setattr__(self, "positions_ang", positions)
        object.__setattr__(self, "cell_ang", cell)

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.symbols)

    @property
    def n_h2(self) -> int:
        """Number of guest molecules (the loading)."""
        return (len(self.symbols) - self.n_host) // ATOMS_PER_H2

    @cached_property
    def digest(self) -> str:
        """Content digest of symbols, positions, cell and host split (not of the provenance)."""
        return digest_bytes(
            " ".join(self.symbols).encode(),
            self.positions_ang.tobytes(),
            self.cell_ang.tobytes(),
            f"{self.n_host} {self.host_id}".encode(),
        )

    def bare_host(self) -> Frame:
        """The host alone at this geometry."""
        return Frame(
            self.symbols[: self.n_host],
            self.positions_ang[: self.n_host],
            self.cell_ang,
            self.n_host,
            self.host_id,
            self.provenance,
        )

    def without_molecule(self, index: int) -> Frame:
        """This frame with guest molecule `index` (0 … n_h2-1) removed; raises IndexError outside."""
        if not 0 <= index < self.n_h2:
            raise IndexError(f"molecule {index} of {self.n_h2}")
        first = self.n_host + ATOMS_PER_H2 * index
        keep = [i for i in range(self.n_atoms) if not first <= i < first + ATOMS_PER_H2]
        return Frame(
            tuple(self.symbols[i] for i in keep),
            self.positions_ang[keep],
            self.cell_ang,
            self.n_host,
            self.host_id,
            self.provenance,
        )


@dataclass(frozen=True, eq=False)
class Label:
    """Energy (eV) and forces (n_atoms, 3) (eV/Å) of one geometry by one labeler."""

    energy_ev: float
    forces_ev_ang: np.ndarray
    labeler: str


@dataclass(frozen=True, eq=False)
class LabelledFrame:
    """A frame, its label, and the label of its bare host at the same geometry where known.

    For gas frames (n_host 0) the interaction energy is the energy itself.
    """

    frame: Frame
    label: Label
    host_label: Label | None = None

    def has_target(self, target: Target) -> bool:
        """Whether energy and forces for `target` can be formed."""
        return target == "total" or self.frame.n_host == 0 or self.host_label is not None

    def energy_ev(self, target: Target = "total") -> float:
        """Energy for `target`, eV; raises ValueError where the bare host has no label."""
        if target == "total" or self.frame.n_host == 0:
            return self.label.energy_ev
        if self.host_label is None:
            raise ValueError(f"frame {self.frame.digest} has no bare-host label")
        return self.label.energy_ev - self.host_label.energy_ev

    def forces_ev_ang(self, target: Target = "total") -> np.ndarray:
        """Forces for `target`, (n_atoms, 3), eV/Å; raises ValueError where the bare host has no label."""
        if target == "total" or self.frame.n_host == 0:
            return self.label.forces_ev_ang
        if self.host_label is None:
            raise ValueError(f"frame {self.frame.digest} has no bare-host label")
        forces = np.array(self.label.forces_ev_ang)
        forces[: self.frame.n_host] -= self.host_label.forces_ev_ang
        return forces

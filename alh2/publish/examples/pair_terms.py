"""Energies and forces by models that lie on pair terms, network and terms together: python pair_terms.py

    E = E_network / scale + pair terms of the H atoms and of the centres of the molecules

E is the total energy, or E(host + H2) - E(host) by models on interaction energies. LAMMPS has no pair style for terms
at the centre of a molecule, which those have: they are for ``alh2 gcmc`` and for scripts like this one. `OnPairs` is an
ASE calculator.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.io import read
from ase.neighborlist import neighbor_list
from deepmd.calculator import DP

HERE = Path(__file__).resolve().parent
ENERGY_TOLERANCE_EV = 1e-5
FORCE_TOLERANCE_EV_ANG = 1e-5


def spline(r_ang: np.ndarray, term: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Energy (n,) eV and slope (n,) eV/Å of one term: a uniform cubic B-spline, a straight line outside its knots."""
    coefficients = np.array(term["coefficients_ev"])
    n_intervals = len(coefficients) - 3
    t = (r_ang - term["first_ang"]) / term["spacing_ang"]
    inside = np.clip(t, 0.0, n_intervals)
    start = np.minimum(inside.astype(int), n_intervals - 1)
    u = inside - start
    v = 1.0 - u
    weights = np.stack([v**3, 3 * u**3 - 6 * u**2 + 4, 3 * v**3 - 6 * v**2 + 4, u**3], axis=-1) / 6.0
    slopes = np.stack([-(v**2), 3 * u**2 - 4 * u, 4 * v - 3 * v**2, u**2], axis=-1) / 2.0
    used = coefficients[start[:, None] + np.arange(4)]
    energy = np.sum((weights + slopes * (t - inside)[:, None]) * used, axis=1)
    return energy, np.sum(slopes * used, axis=1) / term["spacing_ang"]


def pair_terms(atoms: Atoms, terms: dict[str, Any]) -> tuple[float, np.ndarray]:
    """Energy (eV) and forces (n, 3) (eV/Å): host atoms by their ``site_kind``, then H2 molecules, two H each."""
    n, n_host, kinds = len(atoms), int(atoms.info["n_host"]), list(terms["kinds"])
    first = np.arange(n_host, n, 2)
    bond = atoms.positions[first + 1] - atoms.positions[first]
    bond -= np.round(bond @ np.linalg.inv(atoms.cell.array)) @ atoms.cell.array
    points = atoms.copy()
    points.extend(Atoms(["X"] * len(first), atoms.positions[first] + 0.5 * bond))
    i, j, vectors = neighbor_list("ijD", points, float(terms["cutoff_ang"]))
    molecule = np.concatenate([np.full(n_host, -1), np.repeat(np.arange(len(first)), 2), np.arange(len(first))])
    cells = np.abs(np.round(vectors @ np.linalg.inv(atoms.cell.array)))
    keep = (i >= n_host) & ~((molecule[i] == molecule[j]) & (cells < 0.5).all(axis=1))
    i, j, vectors = i[keep], j[keep], vectors[keep]
    host = [kinds.index(kind) for kind in atoms.arrays["site_kind"][:n_host]]
    k = len(kinds)
    kind_of = np.concatenate([host, np.full(2 * len(first), k), np.full(len(first), k + 1)]).astype(int)
    number = np.array([[*range(k), k, 2 * k + 1], [*range(k + 1, 2 * k + 1), 2 * k + 1, 2 * k + 2]])
    of = number[(i >= n).astype(int), kind_of[j]]
    share = np.where(j >= n_host, 0.5, 1.0)  # pairs of two guest points appear from both sides
    r, energy, pull = np.linalg.norm(vectors, axis=1), 0.0, np.zeros((len(points), 3))
    for index, term in enumerate(terms["pairs"]):
        mine = of == index
        value, slope = spline(r[mine], term)
        energy += float(np.sum(share[mine] * value))
        along = (share[mine] * slope / r[mine])[:, None] * vectors[mine]
        np.add.at(pull, i[mine], along)
        np.add.at(pull, j[mine], -along)
    length = np.linalg.norm(bond, axis=1)
    value, slope = spline(length, terms["bond"])
    along = (slope / length)[:, None] * bond
    forces = pull[:n]
    forces[first] += along + 0.5 * pull[n:]
    forces[first + 1] += -along + 0.5 * pull[n:]
    return energy + float(value.sum()), forces


class OnPairs(Calculator):
    """A network of this bundle and the pair terms in the file `terms_file`.

    Atoms need ``info["n_host"]`` and the array ``site_kind`` as ``structure.extxyz`` has them.
    """

    implemented_properties = ["energy", "forces"]

    def __init__(self, model: Path, terms_file: Path) -> None:
        super().__init__()
        self._network, self._terms = DP(model=str(model)), json.loads(terms_file.read_text())

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        """Energy and forces."""
        super().calculate(atoms, properties, system_changes)
        alone = atoms.copy()
        alone.calc = self._network
        energy, forces = pair_terms(atoms, self._terms)
        scale = float(self._terms["scale"])
        self.results = {
            "energy": float(alone.get_potential_energy()) / scale + energy,
            "forces": alone.get_forces() / scale + forces,
        }


def main() -> int:
    """Print the energy of ``structure.extxyz`` by every model on pair terms; exit code 1 where one differs."""
    expected = json.loads((HERE / "expected.json").read_text())
    agree = True
    for entry in expected["on_pairs"]:
        atoms = read(HERE / "structure.extxyz", index=0)
        assert isinstance(atoms, Atoms)
        atoms.calc = OnPairs(HERE.parent / entry["model"], HERE.parent / entry["pair_baseline"])
        energy = float(atoms.get_potential_energy())
        gap = abs(energy - entry["energy_ev"])
        largest = float(np.abs(atoms.get_forces() - np.array(entry["forces_ev_ang"])).max())
        print(f"{entry['model']}: {energy:.6f} eV, off by {gap:.1e} eV; forces off by {largest:.1e} eV/Å at most")
        agree = agree and gap < ENERGY_TOLERANCE_EV and largest < FORCE_TOLERANCE_EV_ANG
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())

"""Energies by models that lie on pair terms, network and terms together: python pair_terms.py

    E = E_network / scale + pair terms of the H atoms and of the centres of the molecules

E is the total energy, or E(host + H2) - E(host) by models on interaction energies. LAMMPS has no pair style for terms
at the centre of a molecule, which those have: they are for ``alh2 gcmc`` and for scripts like this one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import read
from ase.neighborlist import neighbor_list
from deepmd.calculator import DP

HERE = Path(__file__).resolve().parent
TOLERANCE_EV = 1e-5


def spline_ev(r_ang: np.ndarray, term: dict[str, Any]) -> np.ndarray:
    """Energies (n,) of one term at distances (n,): a uniform cubic B-spline, a straight line outside its knots."""
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
    energies: np.ndarray = np.sum((weights + slopes * (t - inside)[:, None]) * used, axis=1)
    return energies


def pair_energy_ev(atoms: Atoms, baseline: dict[str, Any]) -> float:
    """Energy (eV) of the pair terms: host atoms by their ``site_kind``, then H2 molecules, two H each."""
    n_host, kinds = int(atoms.info["n_host"]), list(baseline["kinds"])
    first = np.arange(n_host, len(atoms), 2)
    cell = np.array(atoms.cell)
    bond = atoms.positions[first + 1] - atoms.positions[first]
    bond -= np.round(bond @ np.linalg.inv(cell)) @ cell
    points = atoms.copy()
    points.extend(Atoms(["X"] * len(first), atoms.positions[first] + 0.5 * bond))
    i, j, vectors = neighbor_list("ijD", points, float(baseline["cutoff_ang"]))
    molecule = np.concatenate([np.full(n_host, -1), np.repeat(np.arange(len(first)), 2), np.arange(len(first))])
    own = (molecule[i] == molecule[j]) & (np.abs(np.round(vectors @ np.linalg.inv(cell))) < 0.5).all(axis=1)
    keep = (i >= n_host) & ~own
    i, j, r = i[keep], j[keep], np.linalg.norm(vectors[keep], axis=1)
    n = len(kinds)
    host = [kinds.index(kind) for kind in atoms.arrays["site_kind"][:n_host]]
    kind_of = np.concatenate([host, np.full(2 * len(first), n), np.full(len(first), n + 1)]).astype(int)
    atom = [*range(n), n, 2 * n + 1]
    centre = [*range(n + 1, 2 * n + 1), 2 * n + 1, 2 * n + 2]
    number = np.array([atom, centre])[(i >= len(atoms)).astype(int), kind_of[j]]
    share = np.where(j >= n_host, 0.5, 1.0)  # pairs of two guest points appear from both sides
    energy = float(spline_ev(np.linalg.norm(bond, axis=1), baseline["bond"]).sum())
    for k, term in enumerate(baseline["pairs"]):
        energy += float(np.sum(share[number == k] * spline_ev(r[number == k], term)))
    return energy


def main() -> int:
    """Print the energy of ``structure.extxyz`` by every model on pair terms; exit code 1 where one differs."""
    expected = json.loads((HERE / "expected.json").read_text())
    agree = True
    for entry in expected["on_pairs"]:
        baseline = json.loads((HERE.parent / entry["pair_baseline"]).read_text())
        atoms = read(HERE / "structure.extxyz", index=0)
        assert isinstance(atoms, Atoms)
        pairs = pair_energy_ev(atoms, baseline)
        atoms.calc = DP(model=str(HERE.parent / entry["model"]))
        energy = float(atoms.get_potential_energy()) / float(baseline["scale"]) + pairs
        gap = abs(energy - entry["energy_ev"])
        print(f"{entry['model']}: {energy:.6f} eV, off by {gap:.1e} eV")
        agree = agree and gap < TOLERANCE_EV
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())

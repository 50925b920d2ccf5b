"""Every network of this bundle in ASE, against the numbers it gave when the bundle was made: python load_ase.py"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read
from deepmd.calculator import DP

HERE = Path(__file__).resolve().parent
ENERGY_TOLERANCE_EV = 1e-5
FORCE_TOLERANCE_EV_ANG = 1e-5


def main() -> int:
    """Print energies and forces of ``structure.extxyz``; exit code 1 where a model gives other numbers."""
    expected = json.loads((HERE / "expected.json").read_text())
    agree = True
    for entry in expected["networks"]:
        atoms = read(HERE / "structure.extxyz", index=0)
        assert isinstance(atoms, Atoms)
        atoms.calc = DP(model=str(HERE.parent / entry["model"]))
        energy = float(atoms.get_potential_energy())
        largest = float(np.abs(atoms.get_forces() - np.array(entry["forces_ev_ang"])).max())
        gap = abs(energy - entry["energy_ev"])
        print(f"{entry['model']}: {energy:.6f} eV, off by {gap:.1e} eV; forces off by {largest:.1e} eV/Å at most")
        agree = agree and gap < ENERGY_TOLERANCE_EV and largest < FORCE_TOLERANCE_EV_ANG
    print(f"label of this structure ({expected['label']['labeler']}): {expected['label']['energy_ev']:.6f} eV")
    print("the models load and agree" if agree else "the models load but give other numbers")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())

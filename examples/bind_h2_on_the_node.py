"""How strongly GFN1-xTB binds one H2 on the open Al site of the Al3O node, and at what distance.

    python examples/bind_h2_on_the_node.py [--steps N]     (under a minute on one core)

The node is relaxed alone, then with one H2 that starts in front of an open Al site. docs/theory.md, under limits, says
what the answer means for uptake.
"""

from __future__ import annotations

import argparse

import numpy as np
from ase import Atoms
from ase.optimize import LBFGS
from tblite.ase import TBLite

from alh2.core.units import EV_IN_KJ_PER_MOL
from alh2.structure.cluster import carve_node
from alh2.structure.sites import open_metal_sites

H2_BOND_ANG = 0.77
START_ANG = 2.7
FORCE_LIMIT_EV_ANG = 0.02


def relaxed_energy_ev(atoms: Atoms, max_steps: int) -> float:
    """Energy of `atoms` (changed in place) after at most `max_steps` steps of relaxation by GFN1-xTB, eV."""
    atoms.calc = TBLite(method="GFN1-xTB", verbosity=0)
    if max_steps:
        LBFGS(atoms, logfile=None).run(fmax=FORCE_LIMIT_EV_ANG, steps=max_steps)
    return float(atoms.get_potential_energy())


def with_h2_on_first_open_site(node: Atoms) -> tuple[Atoms, int]:
    """`node` with one H2 across the free direction of its first open Al site, and that Al's index."""
    site = open_metal_sites(node)[0]
    direction = np.asarray(site.direction)
    across = np.cross(direction, [1.0, 0.0, 0.0])
    across *= 0.5 * H2_BOND_ANG / np.linalg.norm(across)
    centre = node.positions[site.index] + START_ANG * direction
    return node + Atoms("H2", [centre - across, centre + across]), site.index


def main(max_steps: int = 300) -> tuple[float, float]:
    """Print and return the binding energy (kJ/mol) and the Al–H2 distance (Å)."""
    node = carve_node()
    node_ev = relaxed_energy_ev(node, max_steps)
    h2 = Atoms("H2", [[8.0, 8.0, 8.0], [8.0, 8.0, 8.0 + H2_BOND_ANG]], cell=node.cell, pbc=True)
    h2_ev = relaxed_energy_ev(h2, max_steps)
    loaded, al = with_h2_on_first_open_site(node)
    binding_kj_mol = (relaxed_energy_ev(loaded, max_steps) - node_ev - h2_ev) * EV_IN_KJ_PER_MOL
    distance_ang = float(np.linalg.norm(loaded.positions[-2:].mean(axis=0) - loaded.positions[al]))
    print(f"binding energy {binding_kj_mol:.1f} kJ/mol, Al–H2 {distance_ang:.2f} Å")
    return binding_kj_mol, distance_ang


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300, help="most relaxation steps (0: none)")
    main(parser.parse_args().steps)

"""Ab-initio MD of the Al3O node with GFN1-xTB: how the hot trajectories in examples/data/node-gfn1 were made.

    python examples/xtb_aimd.py OUT.extxyz --start examples/data/node-gfn1/aimd77-0h2.extxyz --temperature 300 --h2 3

Langevin dynamics (Vanden-Eijnden and Ciccotti, Chem. Phys. Lett. 2006, 429, 310, as in ASE). A trajectory hotter than
the target temperature shows a model the soft distortions of the host that 77 K reaches only after nanoseconds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from ase import units
from ase.io import read, write
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta

from alh2.structure.loading import load_h2


def main() -> None:
    """Run and write every `--every`-th frame with its energy and forces."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--start", type=Path, required=True, help="structure of the bare host (its last frame is used)")
    parser.add_argument("--temperature", type=float, default=300.0, help="K")
    parser.add_argument("--h2", type=int, default=0, help="molecules to add")
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--timestep", type=float, default=0.5, help="fs")
    parser.add_argument("--every", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    from tblite.ase import TBLite

    rng = np.random.default_rng(options.seed)
    atoms = load_h2(read(options.start, -1), options.h2, rng=rng, prefer_open_sites=True)
    atoms.calc = TBLite(method="GFN1-xTB", verbosity=0, accuracy=0.1)
    thermalize_momenta(atoms, options.temperature, rng=rng)
    dynamics = Langevin(
        atoms,
        options.timestep * units.fs,
        temperature_K=options.temperature,
        friction=0.02 / units.fs,
        rng=rng,
        fixcm=False,
    )
    frames = []

    def keep() -> None:
        frame = atoms.copy()
        frame.calc = _single_point(atoms)
        frame.info = {"n_h2": options.h2}
        frames.append(frame)

    dynamics.attach(keep, interval=options.every)
    dynamics.run(options.steps)
    write(options.output, frames, format="extxyz")
    print(f"{len(frames)} frames at {options.temperature:g} K with {options.h2} H2 in {options.output}")


def _single_point(atoms):
    from ase.calculators.singlepoint import SinglePointCalculator

    return SinglePointCalculator(atoms, energy=atoms.get_potential_energy(), forces=atoms.get_forces().copy())


if __name__ == "__main__":
    main()

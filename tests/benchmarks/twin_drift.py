"""How long does Monte Carlo of a twin experiment remember its start?

    python tests/benchmarks/twin_drift.py TWIN [--pressure 0.1] [--moves 180000] [--chains 4] [--work FOLDER]

TWIN is the folder of a seed whose campaign `twin.py` has finished (``…/crystal/seed.1``). Chains of the reference from
the empty and from the loaded host, hardly equilibrated. Two starts that agree are in equilibrium only if they come from
different sides. Prints the loading in one twelfth of the chains after the other, means over the chains of each start; a
JSON line last, with the halves of all chains compared. Chains that lie in FOLDER (TWIN/drift) are read from there.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import cast

import numpy as np
from ase import Atoms
from twin import WEIGHTS, grid_of, one_thread
from twin_case import BOND_ANG, CRYSTAL, MIN_DISTANCE_ANG, SMALL, TEMPERATURE_K, Case
from twin_truth import exact_potential

from alh2.core.atoms import to_atoms
from alh2.gcmc import RigidMolecule, fugacity_bar, simulate
from alh2.potential.frames_npz import load_frames

N_BLOCKS = 12


def loadings(
    host: Atoms, case: Case, start: int, file: Path, *, pressure_bar: float, moves: int, seed: int
) -> np.ndarray:
    """Molecules after every sampled move of one chain, (n,)."""
    if not file.exists():
        molecule, exact = RigidMolecule.h2(BOND_ANG), exact_potential(case.parameters)
        grid = grid_of(host, molecule, exact, seed=1)
        result = simulate(
            host, molecule, exact, temperature_k=TEMPERATURE_K, fugacity_bar=fugacity_bar(pressure_bar, TEMPERATURE_K),
            n_moves=moves, n_equilibration=1000, seed=2000 + 10 * start + seed, n_initial=start, energy_grid=grid,
            min_distance_ang=MIN_DISTANCE_ANG, max_molecules=case.max_loading, max_frames=200, move_weights=WEIGHTS,
        )  # fmt: skip
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, n=result.n_adsorbed)
    return cast(np.ndarray, np.load(file)["n"].astype(float))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("twin", type=Path)
    parser.add_argument("--pressure", type=float, default=0.1, help="bar")
    parser.add_argument("--moves", type=int, default=180_000)
    parser.add_argument("--chains", type=int, default=4, help="of each start")
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    one_thread()
    case = CRYSTAL if options.twin.resolve().parent.name == CRYSTAL.name else SMALL
    host = to_atoms(load_frames(options.twin / "campaign" / "init" / "hosts.npz")[-1])
    work = options.work or options.twin / "drift"
    halves = []
    for start in (0, case.loaded):
        chains = [
            loadings(
                host, case, start, work / f"drift.{start}.{k}.npz", pressure_bar=options.pressure,
                moves=options.moves, seed=k,
            )
            for k in range(options.chains)
        ]  # fmt: skip
        blocks = np.array([[block.mean() for block in np.array_split(n, N_BLOCKS)] for n in chains])
        print(f"from {start:2d}: " + " ".join(f"{value:.1f}" for value in blocks.mean(axis=0)), flush=True)
        halves += [[half.mean() for half in np.array_split(n, 2)] for n in chains]
    both = np.array(halves)
    later = both[:, 1] - both[:, 0]
    errors = both.std(axis=0, ddof=1) / math.sqrt(len(both))
    said = {
        "first_half": [float(both[:, 0].mean()), float(errors[0])],
        "second_half": [float(both[:, 1].mean()), float(errors[1])],
        "later_more_by": [float(later.mean()), float(later.std(ddof=1) / math.sqrt(len(later)))],
    }
    print(json.dumps({"benchmark": "twin-drift", "host": case.name, "pressure_bar": options.pressure, **said}))


if __name__ == "__main__":
    main()

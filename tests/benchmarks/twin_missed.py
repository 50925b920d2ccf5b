"""Do the models of a twin experiment know the places that the reference potential goes to?

    python tests/benchmarks/twin_missed.py TWIN [--pressure 0.1] [--moves 20000] [--seed 1]

TWIN is the folder of a seed whose campaign `twin.py` has finished (``…/crystal/seed.1``). Held-out insertions and the
search for holes ask about configurations that models have drawn: a place that they hold too high is in none of them.
Here Monte Carlo with the reference itself draws configurations, and every model of the interaction committee is asked
about them. Prints, per model, energies of adsorption against the reference, per molecule; a JSON line last.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from twin import LARGE, WEIGHTS, energies_ev, grid_of, loop_chains, one_thread
from twin_case import BOND_ANG, CRYSTAL, MIN_DISTANCE_ANG, SMALL, TEMPERATURE_K
from twin_truth import exact_potential

from alh2.core.atoms import to_atoms
from alh2.gcmc import RigidMolecule, fugacity_bar, simulate
from alh2.potential.frames_npz import load_frames
from alh2.production.holes import spread_evenly

N_ASKED = 100


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("twin", type=Path)
    parser.add_argument("--pressure", type=float, default=0.1, help="bar")
    parser.add_argument("--moves", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    one_thread()
    case = CRYSTAL if options.twin.resolve().parent.name == CRYSTAL.name else SMALL
    workdir = options.twin / "campaign"
    host, molecule = to_atoms(load_frames(workdir / "init" / "hosts.npz")[-1]), RigidMolecule.h2(BOND_ANG)
    exact = exact_potential(case.parameters)
    grid = grid_of(host, molecule, exact, seed=options.seed)
    result = simulate(
        host, molecule, exact, temperature_k=TEMPERATURE_K,
        fugacity_bar=fugacity_bar(options.pressure, TEMPERATURE_K), n_moves=options.moves,
        n_equilibration=options.moves // 4, seed=options.seed, n_initial=0, energy_grid=grid,
        min_distance_ang=MIN_DISTANCE_ANG, max_molecules=case.max_loading, max_frames=2 * N_ASKED, move_weights=WEIGHTS,
    )  # fmt: skip
    drawn = [result.frames[k] for k in spread_evenly(len(result.frames), N_ASKED)]
    asked = [frame for frame in drawn if len(frame.guests_ang)]
    n = np.array([len(frame.guests_ang) for frame in asked])
    truth, rows = energies_ev(exact, result, asked), []
    for k, chains in enumerate(loop_chains(workdir, options.twin, LARGE, options.seed)[0]):
        off = 1e3 * (energies_ev(chains.load(), result, asked) - truth) / n
        rows.append({"model": k, "mean": float(off.mean()), "least": float(off.min()), "largest": float(off.max())})
        print(f"model {k}: {off.mean():+.3f} meV per H2, {off.min():+.3f} to {off.max():+.3f}", flush=True)
    said = {"pressure_bar": options.pressure, "mean_loading": float(n.mean()), "configurations": len(n)}
    print(json.dumps({"benchmark": "twin-missed", "host": case.name, **said, "off_mev_per_h2": rows}))


if __name__ == "__main__":
    main()

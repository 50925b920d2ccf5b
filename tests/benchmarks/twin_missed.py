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
from twin import LARGE, WEIGHTS, loop_chains, one_thread
from twin_case import BOND_ANG, CRYSTAL, MIN_DISTANCE_ANG, SMALL, TEMPERATURE_K
from twin_truth import exact_potential

from alh2.core.atoms import to_atoms
from alh2.gcmc import RigidMolecule, fugacity_bar, host_energy_grid, simulate
from alh2.gcmc.result import GcmcResult
from alh2.potential.frames_npz import load_frames
from alh2.potential.protocol import Potential
from alh2.production.holes import spread_evenly

N_ASKED = 100


def energies_ev(potential: Potential, result: GcmcResult, which: np.ndarray) -> np.ndarray:
    """Adsorption energies of configurations of a run, (n,)."""
    symbols = result.adsorbate.symbols
    gas = potential.molecule_energy_ev(symbols, result.adsorbate.sites_ang)
    bare = potential.start(result.framework, symbols, np.empty((0, len(symbols), 3))).energy_ev
    guests = [result.frames[k].guests_ang for k in which]
    found = [potential.start(result.framework, symbols, each).energy_ev - bare - len(each) * gas for each in guests]
    return np.array(found)


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
    grid = host_energy_grid(
        host, molecule, exact, temperature_k=TEMPERATURE_K, seed=options.seed, spacing_ang=0.7, most_refined=300,
        min_distance_ang=MIN_DISTANCE_ANG,
    )  # fmt: skip
    result = simulate(
        host, molecule, exact, temperature_k=TEMPERATURE_K,
        fugacity_bar=fugacity_bar(options.pressure, TEMPERATURE_K), n_moves=options.moves,
        n_equilibration=options.moves // 4, seed=options.seed, n_initial=0, energy_grid=grid,
        min_distance_ang=MIN_DISTANCE_ANG, max_molecules=case.max_loading, max_frames=2 * N_ASKED, move_weights=WEIGHTS,
    )  # fmt: skip
    asked = [k for k in spread_evenly(len(result.frames), N_ASKED) if len(result.frames[k].guests_ang)]
    which = np.array(asked, dtype=int)
    n = np.array([len(result.frames[k].guests_ang) for k in which])
    truth, rows = energies_ev(exact, result, which), []
    for k, chains in enumerate(loop_chains(workdir, options.twin, LARGE, options.seed)[0]):
        off = 1e3 * (energies_ev(chains.load(), result, which) - truth) / n
        rows.append({"model": k, "mean": float(off.mean()), "least": float(off.min()), "largest": float(off.max())})
        print(f"model {k}: {off.mean():+.3f} meV per H2, {off.min():+.3f} to {off.max():+.3f}", flush=True)
    said = {"pressure_bar": options.pressure, "mean_loading": float(n.mean()), "configurations": len(n)}
    print(json.dumps({"benchmark": "twin-missed", "host": case.name, **said, "off_mev_per_h2": rows}))


if __name__ == "__main__":
    main()

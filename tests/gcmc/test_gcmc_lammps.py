"""The same model in LAMMPS `fix gcmc ... full_energy`: agreement where it is right, and where it is not.

Its deletion trial hides the atom from the neighbour lists but leaves it in the box, so with a many-body style the
energy of the isolated atom stays in the energy after. That is right only where isolated atoms have no energy.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from alh2.core.statistics import Estimate, mean_and_error
from alh2.core.units import EV_PER_ANG3_IN_BAR, beta_per_ev
from alh2.gcmc import RigidMolecule, simulate
from alh2.potential.lammps_library import open_lammps
from alh2.potential.libraries import silenced
from alh2.potential.load import load_potential

T = 300.0
EDGE_ANG = 9.0
HOST = Atoms("O2", [[2.0, 2.0, 2.0], [6.0, 6.0, 6.0]], cell=[EDGE_ANG] * 3, pbc=True)
FUGACITY_BAR = 12.0 / beta_per_ev(T) / EDGE_ANG**3 * EV_PER_ANG3_IN_BAR
"""An ideal gas would hold 12 atoms."""
CLOSEST_ANG = 1.2
ISOLATED_EV = -0.1


def box(model: Path, positions: list[tuple[int, list[float]]]):
    """LAMMPS with the model and atoms (type, position)."""
    lammps = open_lammps()
    lines = [
        *("units metal", "atom_style atomic", "atom_modify map yes"),
        f"region cell block 0 {EDGE_ANG} 0 {EDGE_ANG} 0 {EDGE_ANG}",
        *("create_box 2 cell", "mass 1 15.999", "mass 2 1.008"),
        *(f"create_atoms {kind} single {x} {y} {z}" for kind, (x, y, z) in positions),
        *(f"pair_style deepmd {model}", "pair_coeff * * O H", "neighbor 1.0 bin"),
        "neigh_modify every 1 delay 0 check no",
    ]
    with silenced():
        for line in lines:
            lammps.command(line)
    return lammps


def energy(lammps, *lines: str) -> float:
    with silenced():
        for line in (*lines, "run 0"):
            lammps.command(line)
        return float(lammps.get_thermo("pe"))


def fix_gcmc(model: Path, *, coefficient: float, n_steps: int) -> Estimate:
    """<N> of single H atoms by fix gcmc, 100 trials a step; the first fifth is left out."""
    lammps = box(model, [(1, position) for position in HOST.positions.tolist()])
    gas = f"pressure {FUGACITY_BAR:.10g} fugacity_coeff {coefficient:.10g}"
    lines = (
        "group guest type 2",
        f"fix mc guest gcmc 1 70 30 2 4711 {T} 0.0 1.0 {gas} group guest full_energy overlap_cutoff {CLOSEST_ANG}",
        "variable n equal count(guest)",
        "fix series all vector 1 v_n",
        f"run {n_steps}",
    )
    with silenced():
        for line in lines:
            lammps.command(line)
        numbers = [lammps.extract_fix("series", 0, 1, row) for row in range(n_steps + 1)]
        lammps.close()
    return mean_and_error(np.array(numbers[n_steps // 5 :]))


def ours(model: Path) -> Estimate:
    found = simulate(
        HOST, RigidMolecule.single("H"), load_potential(model.with_suffix(".dp")), temperature_k=T,
        fugacity_bar=FUGACITY_BAR, n_moves=20_000, seed=2, min_distance_ang=CLOSEST_ANG, sample_every=50,
    )  # fmt: skip
    return found.n_adsorbed_estimate


def words(what: str, theirs: Estimate, mine: Estimate) -> str:
    return (
        f"{what}: fix gcmc <N> = {theirs.mean:.2f} ± {theirs.standard_error:.2f}, "
        f"here {mine.mean:.2f} ± {mine.standard_error:.2f}"
    )


def test_an_excluded_atom_keeps_the_energy_of_an_isolated_one(repulsive_model):
    """What a deletion trial of fix gcmc does, by hand: exclude the atom from all neighbour lists, or delete it."""
    places = [(1, [2.0, 2.0, 2.0]), (2, [4.0, 2.0, 2.0]), (2, [3.0, 3.5, 2.0])]
    model = repulsive_model((0.0, ISOLATED_EV))
    lammps = box(model, places)
    whole = energy(lammps)
    excluded = energy(lammps, "group out id 3", "neigh_modify exclude group out all")
    deleted = energy(box(model, places[:2]))
    assert abs(whole - excluded) > 0.01, "the atom must interact"
    assert excluded - deleted == pytest.approx(ISOLATED_EV, abs=1e-9)


@pytest.mark.physics
@pytest.mark.slow
def test_agrees_where_isolated_atoms_have_no_energy(repulsive_model):
    model = repulsive_model((0.0, 0.0))
    theirs, mine = fix_gcmc(model, coefficient=1.0, n_steps=150), ours(model)
    print(words("isolated atoms without energy", theirs, mine))
    assert mine.mean < 9.0, "the interactions must matter"
    assert mine.standard_error < 0.3 and theirs.standard_error < 0.5
    assert abs(theirs.mean - mine.mean) < 3.0 * math.hypot(theirs.standard_error, mine.standard_error)


@pytest.mark.physics
@pytest.mark.slow
def test_fix_gcmc_deletes_too_often_where_they_have_one(repulsive_model):
    """The same interactions with an isolated atom at -0.1 eV, which the fugacity makes up for: <N> must not change."""
    model = repulsive_model((0.0, ISOLATED_EV))
    theirs = fix_gcmc(model, coefficient=math.exp(beta_per_ev(T) * ISOLATED_EV), n_steps=50)
    mine, free = ours(model), ours(repulsive_model((0.0, 0.0)))
    print(words(f"isolated atoms at {ISOLATED_EV} eV", theirs, mine))
    assert abs(mine.mean - free.mean) < 3.0 * math.hypot(mine.standard_error, free.standard_error)
    assert mine.mean - theirs.mean > 10.0 * math.hypot(mine.standard_error, theirs.standard_error)
    assert theirs.mean < 0.5 * mine.mean

"""Every move on a system small enough to enumerate: 27 states with exact Boltzmann weights, the flux between them."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from alh2.core.units import EV_PER_ANG3_IN_BAR, beta_per_ev
from alh2.gcmc import InsertionBias, MoveWeights, RigidMolecule, host_energy_grid, insertion_bias, mean_and_error
from alh2.gcmc.energy_grid import Placing
from alh2.gcmc.engine import advance
from alh2.gcmc.geometry import PeriodicCell
from alh2.gcmc.moves import Deletion, Ensemble, Insertion, Reinsertion, weighted_moves
from alh2.gcmc.walker import MOVE_NAMES, UniformStream, Walker

pytestmark = pytest.mark.physics

T = 77.0
BETA = beta_per_ev(T)
EDGE = 3.0
BOX = Atoms(cell=[3 * EDGE, EDGE, EDGE], pbc=True)
ROTOR = RigidMolecule(("O", "H"), np.array([[0.0, 0.0, -0.5], [0.0, 0.0, 0.5]]))
Z = 0.015
"""βf per Å³."""
PLACES = np.array([[-0.2, 0.9], [0.6, -0.7], [0.1, 0.3]])
"""Energy (kT) in each of three slabs, pointing down and up."""
SAME, OPPOSITE = 0.7, -0.5
"""Energy (kT) of two molecules in different slabs; one slab holds one molecule."""
GAS_EV = -3.7


def state_of(guests) -> tuple[int, ...]:
    """0, 1 (down) or 2 (up) in each slab; raises KeyError where one holds two."""
    state = [0, 0, 0]
    for sites in guests:
        slab = int(sites[:, 0].mean() // EDGE) % 3
        if state[slab]:
            raise KeyError("occupied")
        state[slab] = 2 if sites[1, 2] > sites[0, 2] else 1
    return tuple(state)


def energy_kt(state: tuple[int, ...]) -> float:
    alone = sum(PLACES[slab, way - 1] for slab, way in enumerate(state) if way)
    pairs = itertools.combinations([way for way in state if way], 2)
    return alone + sum(SAME if a == b else OPPOSITE for a, b in pairs)


STATES = list(itertools.product(range(3), repeat=3))
_WEIGHTS = np.array([(Z * EDGE**3 / 2) ** sum(w > 0 for w in s) * math.exp(-energy_kt(s)) for s in STATES])
EXACT = _WEIGHTS / _WEIGHTS.sum()


class Slabs:
    """`Potential` and its own session, by full energies of the state."""

    def start(self, framework, molecule_symbols, guests_ang):
        made = Slabs()
        made.guests = list(guests_ang)
        made.energy_ev = made.recompute_ev()
        return made

    def molecule_energy_ev(self, molecule_symbols, sites_ang):
        return GAS_EV

    def trial(self, remove, insert_ang):
        guests = list(self.guests)
        if insert_ang is None:
            last = guests.pop()
            if remove < len(guests):
                guests[remove] = last
        elif remove is None:
            guests.append(insert_ang)
        else:
            guests[remove] = insert_ang
        try:
            energy = energy_kt(state_of(guests)) / BETA + GAS_EV * len(guests)
        except KeyError:
            return math.inf
        self.pending = (guests, energy)
        return energy - self.energy_ev

    def accept(self):
        self.guests, self.energy_ev = self.pending

    def recompute_ev(self):
        return energy_kt(state_of(self.guests)) / BETA + GAS_EV * len(self.guests)


SKEW = np.array([[-1.5, 0.0], [0.5, -1.0], [0.0, 1.0]])
"""Energies (kT) the bias is made from: not those of the slabs, and far from even over the states."""


def bias_of() -> InsertionBias:
    """Uneven over the states, on a grid with coarse and fine voxels, of which none lies across two slabs."""
    grid = host_energy_grid(
        BOX, ROTOR, Slabs(), temperature_k=T, seed=3, spacing_ang=1.6, n_directions=4, refine_kt=1e9
    )
    fine = np.random.default_rng(1).random(grid.fine.size) < 0.6
    shape = replace(grid, fine=fine)
    placing, energies = Placing(shape), np.zeros(len(shape.voxels))
    for leaf in range(len(energies)):
        state = state_of([placing.sites(leaf, lambda: 0.5)])
        slab = int(np.argmax(state))
        energies[leaf] = SKEW[slab, state[slab] - 1] / BETA if fine[shape.voxels[leaf]] else SKEW[slab, 0] / BETA
    return insertion_bias(
        replace(shape, energies_ev=energies), temperature_k=T, fugacity_bar=Z / BETA * EV_PER_ANG3_IN_BAR
    )


def ensemble_of(weights: MoveWeights, bias: InsertionBias | None) -> Ensemble:
    cell = PeriodicCell(np.array(BOX.cell))
    log_zv = math.log(Z * cell.volume_ang3) + math.log(weights.deletion / weights.insertion)
    body = tuple(map(tuple, ROTOR.sites_ang.tolist()))
    return Ensemble(cell, body, BETA, log_zv, GAS_EV, None, None, bias)


CASES = {
    "exchange": ({"insertion": 3, "deletion": 2}, False),
    "translation": ({"insertion": 1, "deletion": 1, "translation": 3}, False),
    "rotation": ({"insertion": 1, "deletion": 1, "rotation": 3}, False),
    "reinsertion": ({"insertion": 1, "deletion": 1, "reinsertion": 3}, False),
    "biased exchange": ({"insertion": 2, "deletion": 3}, True),
    "biased reinsertion": ({"insertion": 1, "deletion": 1, "reinsertion": 3}, True),
}


@pytest.mark.parametrize("case", CASES)
def test_states_and_fluxes(case):
    """Each state as often as its exact weight says, and each move carries as much from A to B as back."""
    weights, biased = CASES[case]
    chosen = MoveWeights.of(weights)
    ensemble = ensemble_of(chosen, bias_of() if biased else None)
    table = weighted_moves(chosen)
    session = Slabs().start(BOX, ROTOR.symbols, np.zeros((0, 2, 3)))
    walker = Walker(UniformStream(np.random.default_rng(12)), [], 0.0, 2.0, 2.0)
    n_steps = 40_000
    visited = np.zeros(n_steps, dtype=int)
    fluxes = {index: np.zeros((27, 27)) for _, index, _ in table}
    numbers = {state: number for number, state in enumerate(STATES)}
    before, accepted = 0, [0] * len(MOVE_NAMES)
    for step in range(n_steps):
        advance(walker, session, ensemble, table, 1)
        for index in fluxes:
            if walker.counts[index].accepted != accepted[index]:
                accepted[index] = walker.counts[index].accepted
                after = numbers[state_of(walker.guests)]
                fluxes[index][before, after] += 1
                before = after
        visited[step] = before
    groups = [[number] for number in range(27) if EXACT[number] > 0.005]
    groups.append([number for number in range(27) if EXACT[number] <= 0.005])
    assert len(groups) > 10
    for group in groups:
        exact, share = EXACT[group].sum(), mean_and_error(np.isin(visited, group).astype(float))
        assert share.standard_error < 0.3 * exact, "too noisy to test anything"
        assert abs(share.mean - exact) < 4.5 * share.standard_error, [STATES[number] for number in group]
    exchange = fluxes.pop(0) + fluxes.pop(1)
    for flux in (exchange, *fluxes.values()):
        both = flux + flux.T
        assert np.triu(both, 1).sum() > 1000
        assert (np.abs(flux - flux.T) <= 4.5 * np.sqrt(both)).all()


@pytest.mark.parametrize("biased", [False, True])
def test_forward_and_backward_proposals(biased):
    """For single proposals: π(A) q(A→B) acc(A→B) = π(B) q(B→A) acc(B→A), exactly, with the density drawn from."""
    bias = bias_of() if biased else None
    ensemble = ensemble_of(MoveWeights(), bias)
    rng = np.random.default_rng(5)
    walker = Walker(UniformStream(rng), [], 0.0, 0.5, 0.5)
    changed = 0
    for n in range(6):
        there = Insertion().propose(walker, ensemble)
        density = 0.0 if bias is None else bias.log_ratio(there.insert_ang)
        # ln of q(ins)/q(del) with probability density Vq of the place: z V/(n + 1)/(Vq)
        assert there.log_weight == pytest.approx(math.log(Z * 27 * 3 / (n + 1)) - density)
        walker.guests.append(there.insert_ang)
        for _ in range(20):
            back = Deletion().propose(walker, ensemble)
            removed = walker.guests[back.remove]
            density = 0.0 if bias is None else bias.log_ratio(removed)
            assert back.log_weight == pytest.approx(-math.log(Z * 27 * 3 / (n + 1)) + density)
            moved = Reinsertion().propose(walker, ensemble)
            old = 0.0 if bias is None else bias.log_ratio(walker.guests[moved.remove])
            new = 0.0 if bias is None else bias.log_ratio(moved.insert_ang)
            assert moved.log_weight == pytest.approx(old - new, abs=1e-12) and moved.energy_shift_ev == 0.0
            changed += old != new
    assert (changed > 50) == biased

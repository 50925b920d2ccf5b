"""The Markov chain: pick a move, ask the potential, accept or reject."""

from __future__ import annotations

import math

from alh2.core.errors import BadInputError
from alh2.gcmc.errors import UntrustworthyEnergyError
from alh2.gcmc.moves import Ensemble, Move, random_sites
from alh2.gcmc.walker import MOVE_NAMES, Walker
from alh2.potential.protocol import EnergySession

_PLACEMENTS = 200
_GOOD_PLACE_KT = 5.0
_ADAPT_AFTER = 50
_TRANSLATION, _ROTATION = MOVE_NAMES.index("translation"), MOVE_NAMES.index("rotation")


def advance(
    walker: Walker, session: EnergySession, ensemble: Ensemble, moves: list[tuple[float, int, Move]], n_moves: int
) -> None:
    """Do `n_moves` moves; `moves` as from :func:`alh2.gcmc.moves.weighted_moves`.

    An infinite energy is a rejection; NaN or minus infinity raises UntrustworthyEnergyError.
    """
    uniform, guests, counts = walker.uniform, walker.guests, walker.counts
    beta, contacts, exp = ensemble.beta_per_ev, ensemble.contacts, math.exp
    for _ in range(n_moves):
        u = uniform()
        for edge, index, move in moves:  # noqa: B007 (the pick is used below)
            if u < edge:
                break
        count = counts[index]
        count.attempted += 1
        proposal = move.propose(walker, ensemble)
        if proposal is None:
            continue
        remove, insert_ang, log_weight, shift_ev = proposal
        count.evaluated += 1
        if contacts is not None and insert_ang is not None and contacts.too_close(insert_ang, guests, remove):
            continue
        change_ev = session.trial(remove, insert_ang)
        exponent = log_weight - beta * (change_ev + shift_ev)
        if not exponent < math.inf:
            raise UntrustworthyEnergyError(_nonsense(MOVE_NAMES[index], change_ev, len(guests)))
        if exponent >= 0.0 or uniform() < exp(exponent):
            session.accept()
            walker.apply(remove, insert_ang)
            walker.energy_ev += change_ev
            count.accepted += 1
    walker.moves_done += n_moves


def self_check(walker: Walker, session: EnergySession, tolerance_ev: float) -> None:
    """Compare the running energy with the session's own and with a fresh one, and continue from the fresh one.

    Raises UntrustworthyEnergyError where they differ by more than `tolerance_ev`.
    """
    held = float(session.energy_ev)
    fresh = float(session.recompute_ev())
    drift = max(abs(walker.energy_ev - fresh), abs(held - fresh))
    if not drift <= tolerance_ev:
        raise UntrustworthyEnergyError(
            f"after {walker.moves_done} moves the energy changes add up to {walker.energy_ev:.9g} eV and the potential "
            f"holds {held:.9g} eV, but a fresh evaluation gives {fresh:.9g} eV (tolerance {tolerance_ev:g} eV): the "
            "potential's trials are not differences of its energy"
        )
    walker.max_drift_ev = max(walker.max_drift_ev, drift)
    walker.energy_ev = fresh


class SizeAdaptation:
    """Steers move sizes towards half of the moves being accepted; for equilibration only.

    (A size that follows the chain's history is not a Markov chain with a known distribution.)

    seen : (evaluated, accepted) of each move at its last change of size
    """

    def __init__(self, walker: Walker, longest_ang: float) -> None:
        self._longest_translation = 0.5 * longest_ang
        self.seen = [(c.evaluated, c.accepted) for c in walker.counts]

    def update(self, walker: Walker) -> None:
        """Change each size for which at least 50 moves were tried since its last change."""
        walker.translation_ang = min(
            walker.translation_ang * self._factor(walker, _TRANSLATION), self._longest_translation
        )
        walker.rotation_rad = min(walker.rotation_rad * self._factor(walker, _ROTATION), math.pi)

    def _factor(self, walker: Walker, index: int) -> float:
        count, (evaluated, accepted) = walker.counts[index], self.seen[index]
        tried = count.evaluated - evaluated
        if tried < _ADAPT_AFTER:
            return 1.0
        self.seen[index] = (count.evaluated, count.accepted)
        return min(1.5, max(0.5, (count.accepted - accepted) / tried / 0.5))


def place_molecules(walker: Walker, session: EnergySession, ensemble: Ensemble, n_molecules: int) -> None:
    """Add `n_molecules` at random places: the first within 5 kT of the gas, or the best of 200.

    Raises BadInputError where a molecule fits nowhere.
    """
    for number in range(n_molecules):
        best_ev, best = math.inf, None
        for _ in range(_PLACEMENTS):
            sites = random_sites(walker, ensemble)
            if ensemble.contacts is not None and ensemble.contacts.too_close(sites, walker.guests, None):
                continue
            change_ev = session.trial(None, sites)
            if not change_ev > -math.inf:
                raise UntrustworthyEnergyError(_nonsense("placement", change_ev, len(walker.guests)))
            if change_ev < best_ev:
                best_ev, best = change_ev, sites
            if ensemble.beta_per_ev * (change_ev - ensemble.gas_energy_ev) < _GOOD_PLACE_KT:
                break
        if best is None:
            raise BadInputError(
                "n_initial",
                expected="molecules that fit into the cell",
                found=f"no place for molecule {number + 1} of {n_molecules} in {_PLACEMENTS} tries",
                action="start with fewer",
            )
        change_ev = session.trial(None, best)
        session.accept()
        walker.apply(None, best)
        walker.energy_ev += change_ev


def _nonsense(move: str, change_ev: float, n_molecules: int) -> str:
    return (
        f"the potential returned {change_ev} eV for a {move} at {n_molecules} molecules: "
        "an energy change is a number, or +inf for an overlap"
    )

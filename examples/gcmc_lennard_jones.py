"""Grand-canonical Monte Carlo of the Lennard-Jones fluid, against the NIST reference, with a potential of your own.

A potential needs two classes (alh2.potential.protocol): one that opens sessions, and a session that knows the energy
of its configuration and of one-molecule changes. Here: pairs cut at 3σ with the long-range tail. The reference
(grand-canonical averages of FEASST, the Monte Carlo code of NIST) is
V = 512 σ³, T* = 1.5, βμ = -4 with Λ = σ: <N> = 10.373, <U>/ε = -1.596.

    python examples/gcmc_lennard_jones.py [--moves 400000]
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from ase import Atoms

from alh2.core.units import EV_PER_ANG3_IN_BAR, beta_per_ev
from alh2.gcmc import RigidMolecule, mean_and_error, simulate

SIGMA_ANG = 1.0
TEMPERATURE_K = 77.0
T_STAR = 1.5
BETA_MU = -4.0
VOLUME_ANG3 = 512.0 * SIGMA_ANG**3
REFERENCE_N, REFERENCE_U = 10.373, -1.596


class LennardJonesFluid:
    """Single-site Lennard-Jones particles in a cubic box without a host; epsilon in eV, sigma in Å."""

    def __init__(self, epsilon_ev: float, sigma_ang: float, cutoff_ang: float) -> None:
        self.epsilon_ev, self.sigma_ang, self.cutoff_ang = epsilon_ev, sigma_ang, cutoff_ang

    def start(self, framework: Atoms, molecule_symbols: tuple[str, ...], guests_ang: np.ndarray) -> LennardJonesSession:
        """Session in the cubic box of `framework`."""
        return LennardJonesSession(self, float(framework.cell[0, 0]), guests_ang)

    def molecule_energy_ev(self, molecule_symbols: tuple[str, ...], sites_ang: np.ndarray) -> float:
        """An isolated particle has no energy."""
        return 0.0


class LennardJonesSession:
    """Positions in one array; a trial costs one row of pair energies (two for a displacement)."""

    def __init__(self, model: LennardJonesFluid, box_ang: float, guests_ang: np.ndarray) -> None:
        ratio3 = (model.sigma_ang / model.cutoff_ang) ** 3
        # Allen and Tildesley, Computer Simulation of Liquids, eq. 2.144: U_tail = N²/V · (8/3)πεσ³(x³/3 - x), x=(σ/rc)³
        tail = (8.0 / 3.0) * math.pi * model.epsilon_ev * model.sigma_ang**3 * (ratio3**3 / 3.0 - ratio3)
        self._tail_ev = tail / box_ang**3
        self._model, self._box = model, box_ang
        self._n = len(guests_ang)
        self._x = np.zeros((max(64, 2 * self._n), 3))
        self._x[: self._n] = guests_ang.reshape(-1, 3)
        self._energy = self.recompute_ev()
        self._trial: tuple[int | None, np.ndarray | None, float] = (None, None, 0.0)

    @property
    def energy_ev(self) -> float:
        """Energy of the current configuration."""
        return self._energy

    def _row_ev(self, point: np.ndarray, skip: int | None) -> float:
        """Pair energy of a particle at `point` with all others but `skip`."""
        delta = self._x[: self._n] - point
        delta -= self._box * np.rint(delta / self._box)
        r2 = np.einsum("ij,ij->i", delta, delta)
        if skip is not None:
            r2[skip] = math.inf
        r2 = r2[r2 < self._model.cutoff_ang**2]
        if r2.size and r2.min() < 1e-6:
            return math.inf
        s6 = (self._model.sigma_ang**2 / r2) ** 3
        return 4.0 * self._model.epsilon_ev * float(s6 @ s6 - s6.sum())

    def trial(self, remove: int | None, insert_ang: np.ndarray | None) -> float:
        """Energy change of one insertion, deletion or displacement."""
        change, n = 0.0, self._n
        if remove is not None:
            change -= self._row_ev(self._x[remove], remove)
            n -= 1
        if insert_ang is not None:
            change += self._row_ev(insert_ang[0], remove)
            n += 1
        change += self._tail_ev * (n * n - self._n * self._n)
        self._trial = (remove, insert_ang, change)
        return change

    def accept(self) -> None:
        """Make the last trial the current configuration."""
        remove, insert_ang, change = self._trial
        self._energy += change
        if remove is None and insert_ang is not None:
            if self._n == len(self._x):
                self._x = np.concatenate([self._x, np.zeros_like(self._x)])
            self._x[self._n] = insert_ang[0]
            self._n += 1
        elif remove is not None and insert_ang is not None:
            self._x[remove] = insert_ang[0]
        elif remove is not None:
            self._n -= 1
            self._x[remove] = self._x[self._n]

    def recompute_ev(self) -> float:
        """Energy from all pairs."""
        pairs = sum(self._row_ev(self._x[i], i) for i in range(self._n))
        self._energy = 0.5 * pairs + self._tail_ev * self._n**2
        return self._energy


def main(n_moves: int = 400_000, seed: int = 1) -> tuple[float, float, float, float]:
    """Simulate and print; returns <N>, its standard error, <U>/ε, its standard error."""
    beta = beta_per_ev(TEMPERATURE_K)
    epsilon_ev = 1.0 / (beta * T_STAR)
    fugacity_bar = math.exp(BETA_MU) / SIGMA_ANG**3 / beta * EV_PER_ANG3_IN_BAR
    result = simulate(
        Atoms(cell=[VOLUME_ANG3 ** (1 / 3)] * 3, pbc=True),
        RigidMolecule.single("Ar"),
        LennardJonesFluid(epsilon_ev, SIGMA_ANG, 3.0 * SIGMA_ANG),
        temperature_k=TEMPERATURE_K,
        fugacity_bar=fugacity_bar,
        n_moves=n_moves,
        seed=seed,
        move_weights={"insertion": 40, "deletion": 40, "translation": 20},
    )
    number, energy = result.n_adsorbed_estimate, mean_and_error(result.energy_ev / epsilon_ev)
    print(f"<N>   = {number.mean:7.3f} ± {number.standard_error:.3f}   reference {REFERENCE_N}")
    print(f"<U>/ε = {energy.mean:7.3f} ± {energy.standard_error:.3f}   reference {REFERENCE_U}")
    for name, move in result.acceptance.items():
        print(f"{name:12} {move.accepted:8d} of {move.attempted:8d} accepted")
    return number.mean, number.standard_error, energy.mean, energy.standard_error


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=400_000)
    main(parser.parse_args().moves)

"""Analytic potentials whose grand-canonical averages are known exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numba
import numpy as np
import pytest
from ase import Atoms

FieldEnergy = Callable[[np.ndarray], float]


class IndependentPotential:
    """Molecules that feel an external field (sites (n_sites, 3) Å -> eV) and, optionally, a hard core.

    hard_core_ang : trials that bring the first sites of two molecules closer are overlaps (minimum image by
    fractional rounding)
    gas_ev : energy of the isolated molecule, contained in every molecule's energy as a real potential would
    """

    def __init__(
        self, field: FieldEnergy | None = None, *, gas_ev: float = 0.0, hard_core_ang: float = 0.0, host_ev: float = 0.0
    ) -> None:
        self.field, self.gas_ev, self.hard_core_ang, self.host_ev = field, gas_ev, hard_core_ang, host_ev

    def start(self, framework: Atoms, molecule_symbols: tuple[str, ...], guests_ang: np.ndarray) -> IndependentSession:
        return IndependentSession(self, np.array(framework.cell), [np.array(g) for g in guests_ang])

    def molecule_energy_ev(self, molecule_symbols: tuple[str, ...], sites_ang: np.ndarray) -> float:
        return self.gas_ev


@dataclass
class IndependentSession:
    potential: IndependentPotential
    cell: np.ndarray
    guests: list[np.ndarray]

    def __post_init__(self) -> None:
        self.inverse = np.linalg.inv(self.cell)
        self.energies = [self._energy_of(g) for g in self.guests]
        self.pending: tuple[int | None, np.ndarray | None, float] | None = None

    def _energy_of(self, sites: np.ndarray) -> float:
        field = self.potential.field
        return self.potential.gas_ev + (field(sites) if field is not None else 0.0)

    def _overlap(self, sites: np.ndarray, skip: int | None) -> bool:
        others = [g[0] for i, g in enumerate(self.guests) if i != skip]
        if not self.potential.hard_core_ang or not others:
            return False
        delta = np.array(others) - sites[0]
        delta -= np.round(delta @ self.inverse) @ self.cell
        return bool((np.einsum("ij,ij->i", delta, delta) < self.potential.hard_core_ang**2).any())

    @property
    def energy_ev(self) -> float:
        return self.potential.host_ev + math.fsum(self.energies)

    def trial(self, remove: int | None, insert_ang: np.ndarray | None) -> float:
        change, new = 0.0, 0.0
        if insert_ang is not None:
            if self._overlap(insert_ang, remove):
                return math.inf
            new = self._energy_of(insert_ang)
            change += new
        if remove is not None:
            change -= self.energies[remove]
        self.pending = (remove, insert_ang, new)
        return change

    def accept(self) -> None:
        assert self.pending is not None, "accept() without a trial since the last one"
        (remove, insert_ang, new), self.pending = self.pending, None
        if remove is None:
            assert insert_ang is not None
            self.guests.append(insert_ang)
            self.energies.append(new)
        elif insert_ang is not None:
            self.guests[remove], self.energies[remove] = insert_ang, new
        else:
            last, energy = self.guests.pop(), self.energies.pop()
            if remove < len(self.guests):
                self.guests[remove], self.energies[remove] = last, energy

    def recompute_ev(self) -> float:
        return self.potential.host_ev + math.fsum(self._energy_of(g) for g in self.guests)


@pytest.fixture
def independent() -> type[IndependentPotential]:
    """The class of potentials without interactions between molecules (but for a hard core)."""
    return IndependentPotential


def write_random_model(path: Path, types: tuple[str, ...]) -> Path:
    """A small `se_e2_a` model of random weights as DeePMD's `.dp`; 40 neighbours of each type."""
    from deepmd.dpmodel.model.model import get_model
    from deepmd.dpmodel.utils.serialization import save_dp_model

    descriptor = {"type": "se_e2_a", "rcut": 3.0, "rcut_smth": 1.0, "sel": [40] * len(types), "neuron": [2, 4]}
    fitting = {"neuron": [4, 4], "seed": 1}
    model = get_model(
        {
            "type_map": list(types),
            "descriptor": descriptor | {"axis_neuron": 2, "seed": 1},
            "fitting_net": fitting,
        }
    )
    save_dp_model(str(path), {"backend": "NumPy", "model": model.serialize(), "model_def_script": {}})
    return path


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights for Al, O and H with a cutoff of 3 Å."""
    return write_random_model(tmp_path_factory.mktemp("random") / "model.dp", ("Al", "O", "H"))


@numba.njit
def _site_energies(sites, host, wells, guests, skip, cell, inverse, epsilon, sigma, cutoff):
    """Energy of `sites` with the host and with all guests but `skip`: 12-6 pairs, Morse wells, nearest images."""
    total = 0.0
    limit, n_host = cutoff * cutoff, host.shape[0]
    step = np.empty(3)
    for s in range(sites.shape[0]):
        for a in range(n_host + guests.shape[0]):
            if a - n_host == skip and a >= n_host:
                continue
            for t in range(1 if a < n_host else sites.shape[0]):
                x = sites[s, 0] - (host[a, 0] if a < n_host else guests[a - n_host, t, 0])
                y = sites[s, 1] - (host[a, 1] if a < n_host else guests[a - n_host, t, 1])
                z = sites[s, 2] - (host[a, 2] if a < n_host else guests[a - n_host, t, 2])
                for i in range(3):
                    step[i] = np.rint(x * inverse[0, i] + y * inverse[1, i] + z * inverse[2, i])
                x -= step[0] * cell[0, 0] + step[1] * cell[1, 0] + step[2] * cell[2, 0]
                y -= step[0] * cell[0, 1] + step[1] * cell[1, 1] + step[2] * cell[2, 1]
                z -= step[0] * cell[0, 2] + step[1] * cell[1, 2] + step[2] * cell[2, 2]
                r2 = x * x + y * y + z * z
                if r2 >= limit:
                    continue
                if r2 < 1e-4:
                    return np.inf
                e, d = (wells[a, 0], wells[a, 1]) if a < n_host else (epsilon, sigma)
                s6 = (d * d / r2) ** 3
                total += 4.0 * e * (s6 * s6 - s6)
                if a < n_host and wells[a, 2] > 0.0:
                    grown = np.exp(-wells[a, 4] * (np.sqrt(r2) - wells[a, 3]))
                    total += wells[a, 2] * (grown * grown - 2.0 * grown)
    return total


@dataclass(frozen=True)
class PairPotential:
    """12-6 sites cut at `cutoff_ang`, with host atoms that may carry a Morse well; cell wider than twice the cutoff.

    wells : per host element (12-6 epsilon eV, sigma Å, Morse depth eV, length Å, steepness 1/Å)
    tail : with the long-range correction of a uniform single-site fluid (Allen and Tildesley, eq. 2.144)
    """

    epsilon_ev: float
    sigma_ang: float
    cutoff_ang: float
    wells: dict[str, tuple[float, float, float, float, float]] = field(default_factory=dict)
    tail: bool = False

    def start(self, framework: Atoms, molecule_symbols: tuple[str, ...], guests_ang: np.ndarray) -> PairSession:
        return PairSession(self, framework, np.array(guests_ang))

    def molecule_energy_ev(self, molecule_symbols: tuple[str, ...], sites_ang: np.ndarray) -> float:
        return 0.0


class PairSession:
    def __init__(self, potential: PairPotential, framework: Atoms, guests: np.ndarray) -> None:
        self.potential = potential
        self.cell = np.array(framework.cell)
        self.inverse = np.linalg.inv(self.cell)
        self.host = framework.positions.reshape(-1, 3).copy()
        self.wells = np.array([potential.wells[s] for s in framework.get_chemical_symbols()]).reshape(-1, 5)
        ratio = (potential.sigma_ang / potential.cutoff_ang) ** 3
        tail = 8.0 / 3.0 * math.pi * potential.epsilon_ev * potential.sigma_ang**3 * (ratio**3 / 3.0 - ratio)
        self.tail_ev = tail / abs(np.linalg.det(self.cell)) if potential.tail else 0.0
        self.n = len(guests)
        self.guests = np.zeros((max(64, 2 * self.n), *guests.shape[1:]))
        self.guests[: self.n] = guests
        self.energy_ev = self.recompute_ev()

    def of(self, sites: np.ndarray, skip: int) -> float:
        p = self.potential
        return _site_energies(
            sites, self.host, self.wells, self.guests[: self.n], skip, self.cell, self.inverse,
            p.epsilon_ev, p.sigma_ang, p.cutoff_ang,
        )  # fmt: skip

    def trial(self, remove: int | None, insert_ang: np.ndarray | None) -> float:
        change, n = 0.0, self.n
        if remove is not None:
            change -= self.of(self.guests[remove], remove)
            n -= 1
        if insert_ang is not None:
            change += self.of(insert_ang, -1 if remove is None else remove)
            n += 1
        change += self.tail_ev * (n * n - self.n * self.n)
        self.pending = (remove, insert_ang, change)
        return change

    def accept(self) -> None:
        remove, insert_ang, change = self.pending
        self.energy_ev += change
        if remove is None:
            if self.n == len(self.guests):
                self.guests = np.concatenate([self.guests, np.zeros_like(self.guests)])
            self.guests[self.n] = insert_ang
            self.n += 1
        elif insert_ang is not None:
            self.guests[remove] = insert_ang
        else:
            self.n -= 1
            self.guests[remove] = self.guests[self.n]

    def recompute_ev(self) -> float:
        everyone = self.n
        total = 0.0
        for self.n in range(everyone):
            total += self.of(self.guests[self.n], -1)
        self.n = everyone
        self.energy_ev = total + self.tail_ev * everyone**2
        return self.energy_ev


@pytest.fixture(scope="session")
def pair_potential() -> type[PairPotential]:
    """The class of compiled 12-6 potentials with wells on host atoms."""
    return PairPotential


@pytest.fixture(scope="session")
def repulsive_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[tuple[float, float]], Path]:
    """``repulsive_model((e_O, e_H))``: frozen graph, with the ``.dp`` beside it, of a model of O and H.

    A soft, repulsive many-body potential with a cutoff of 4 Å.
    Its network is random (seed 7) with the last layer scaled by 3000, which makes contacts at 2 Å cost 0.1 to 0.8 eV.
    (e_O, e_H) are the energies of isolated atoms, eV.
    """
    import subprocess
    import sys
    from functools import cache

    from deepmd.dpmodel.model.model import get_model
    from deepmd.dpmodel.utils.serialization import save_dp_model

    folder = tmp_path_factory.mktemp("repulsive")

    @cache
    def make(isolated_ev: tuple[float, float]) -> Path:
        descriptor = {"type": "se_e2_a", "rcut": 4.0, "rcut_smth": 1.0, "sel": [40, 60], "neuron": [4, 8]}
        fitting = {"neuron": [8, 8], "seed": 7, "atom_ener": [0.0, 0.0]}
        description = {
            "type_map": ["O", "H"],
            "descriptor": descriptor | {"axis_neuron": 4, "seed": 7},
            "fitting_net": fitting,
        }
        data = get_model(description).serialize()
        for net in data["fitting"]["nets"]["networks"]:
            net["layers"][-1]["@variables"]["w"] *= 3000.0
        data["fitting"]["@variables"]["bias_atom_e"] = np.array(isolated_ev).reshape(2, 1)
        number = len(list(folder.glob("*.dp")))
        native, frozen = folder / f"model{number}.dp", folder / f"model{number}.pb"
        save_dp_model(str(native), {"backend": "NumPy", "model": data, "model_def_script": description})
        dp = Path(sys.executable).parent / "dp"
        subprocess.run([dp, "convert-backend", native, frozen], capture_output=True, check=True)
        return frozen

    return make

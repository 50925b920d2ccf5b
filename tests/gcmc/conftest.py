"""Analytic potentials whose grand-canonical averages are known exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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

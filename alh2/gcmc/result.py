"""What a simulation returns."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from ase import Atoms

from alh2.core.nuclei import CLASSICAL_WORDS
from alh2.core.statistics import Estimate, cautious_mean_and_error
from alh2.gcmc.averages import Averages, averages, isosteric_heat
from alh2.gcmc.hybrid import HybridRecord
from alh2.gcmc.molecule import RigidMolecule
from alh2.gcmc.settings import MoveWeights


@dataclass(frozen=True)
class MoveAcceptance:
    """Attempts of one move during the measured part, and how many were accepted.

    Impossible attempts (a deletion at N = 0, a rotation of a single site) are counted and never accepted.
    """

    attempted: int
    accepted: int

    @property
    def ratio(self) -> float:
        """accepted / attempted, 0 where nothing was attempted."""
        return self.accepted / self.attempted if self.attempted else 0.0


@dataclass(frozen=True, eq=False)
class GcmcFrame:
    """A stored configuration: after how many measured moves, its energy, guests (n_molecules, n_sites, 3) Å.

    host_ang : (n_host, 3) Å where the framework moves; None: where the run began
    """

    move: int
    energy_ev: float
    guests_ang: np.ndarray
    host_ang: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class GcmcResult:
    """A grand-canonical simulation.

    n_adsorbed : (n_samples,) molecules in the cell, every `sample_every` moves after the equilibration
    energy_ev : (n_samples,) energy of the configuration as the potential gives it (with host and molecules)
    host_energy_ev, molecule_energy_ev : energy of the framework alone and of one isolated molecule
    adsorbate : the molecule as used, its bond length settled
    acceptance : per move, of the measured moves
    frames : at most `max_frames` of the samples
    final_guests_ang : (n_molecules, n_sites, 3) Å at the end, in the session's order
    translation_ang, rotation_rad : move sizes as adapted
    max_energy_drift_ev : largest difference between running and fresh energy; None where never checked
    host_energies_ev : (n_samples,) energy of the bare framework as it was at each sample; None: it never moved
    hybrid : the molecular dynamics of a flexible framework; None: a rigid one
    corrections_ev : (n_samples,) what Feynman–Hibbs adds to the model's energy, part of energy_ev; None: nothing
    nuclei : how nuclei were treated, in words
    """

    framework: Atoms
    adsorbate: RigidMolecule
    temperature_k: float
    fugacity_bar: float
    seed: int
    n_initial: int
    n_moves: int
    n_equilibration: int
    sample_every: int
    move_weights: MoveWeights
    max_molecules: int | None
    min_distance_ang: float
    host_energy_ev: float
    molecule_energy_ev: float
    n_adsorbed: np.ndarray
    energy_ev: np.ndarray
    acceptance: MappingProxyType[str, MoveAcceptance]
    frames: tuple[GcmcFrame, ...]
    final_guests_ang: np.ndarray
    translation_ang: float
    rotation_rad: float
    max_energy_drift_ev: float | None
    host_energies_ev: np.ndarray | None = None
    hybrid: HybridRecord | None = None
    corrections_ev: np.ndarray | None = None
    nuclei: str = CLASSICAL_WORDS

    @property
    def framework_label(self) -> str:
        """Whether the framework was rigid or flexible, and how it moved, in one line."""
        return "rigid framework" if self.hybrid is None else self.hybrid.label()

    @property
    def volume_ang3(self) -> float:
        """Volume of the cell, Å³."""
        return float(abs(np.linalg.det(np.array(self.framework.cell))))

    @property
    def adsorption_energy_ev(self) -> np.ndarray:
        """(n_samples,) E(host + N molecules) - E(host) - N·E(molecule), eV: what adsorption gains, 0 at N = 0.

        E(host) is that of the host where it is at that sample. With Feynman–Hibbs E is ∂(βU)/∂β of the effective
        energy U, which counts the correction twice: the mean of that is the energy (alh2.potential.feynman_hibbs).
        """
        host_ev = self.host_energy_ev if self.host_energies_ev is None else self.host_energies_ev
        return self._thermal_energy_ev - host_ev - self.n_adsorbed * self.molecule_energy_ev

    @property
    def _thermal_energy_ev(self) -> np.ndarray:
        return self.energy_ev if self.corrections_ev is None else self.energy_ev + self.corrections_ev

    @cached_property
    def n_adsorbed_estimate(self) -> Estimate:
        """Mean of N with its standard error; NaN error where insertions were tried and N never changed.

        (Nothing was seen to happen, so nothing is known of how rarely it does.)
        """
        estimate = cautious_mean_and_error(self.n_adsorbed)
        if self.move_weights.insertion > 0.0 and np.ptp(self.n_adsorbed) == 0:
            return replace(estimate, standard_error=math.nan)
        return estimate

    @property
    def fluctuation_energy_ev(self) -> np.ndarray:
        """(n_samples,) E(host + N molecules) - N·E(molecule) - E(host where the run began), eV.

        Its fluctuations with N give the isosteric heat; of a flexible framework the host's own energy belongs to them.
        """
        return self._thermal_energy_ev - self.host_energy_ev - self.n_adsorbed * self.molecule_energy_ev

    @cached_property
    def averages(self) -> Averages:
        """Averages without the transient the series itself shows, and the isosteric heat (alh2.gcmc.averages)."""
        found = averages(self.n_adsorbed, self.adsorption_energy_ev, temperature_k=self.temperature_k)
        if self.hybrid is not None:
            series = (self.n_adsorbed[found.n_discarded :], self.fluctuation_energy_ev[found.n_discarded :])
            heat = isosteric_heat([series], temperature_k=self.temperature_k)
            found = replace(found, isosteric_heat_kj_per_mol=heat)
        if math.isnan(self.n_adsorbed_estimate.standard_error):
            return replace(found, n_adsorbed=replace(found.n_adsorbed, standard_error=math.nan))
        return found

    @property
    def mean_n_adsorbed(self) -> float:
        """Mean number of molecules in the cell."""
        return self.n_adsorbed_estimate.mean

    @property
    def n_adsorbed_error(self) -> float:
        """One standard error of `mean_n_adsorbed`, autocorrelation included; see `n_adsorbed_estimate` for NaN."""
        return self.n_adsorbed_estimate.standard_error

    def frames_atoms(self) -> list[Atoms]:
        """Stored frames as periodic `ase.Atoms`: host first, then the molecules; ``info`` tells move and energy."""
        symbols = self.framework.get_chemical_symbols()
        n_host = len(symbols)
        atoms_list = []
        for frame in self.frames:
            n = len(frame.guests_ang)
            host = self.framework.positions if frame.host_ang is None else frame.host_ang
            atoms = Atoms(
                symbols + list(self.adsorbate.symbols) * n,
                np.concatenate([host, frame.guests_ang.reshape(-1, 3)]),
                cell=self.framework.cell,
                pbc=True,
            )
            atoms.info.update(move=frame.move, energy_ev=frame.energy_ev, n_host=n_host, n_adsorbed=n)
            atoms_list.append(atoms)
        return atoms_list

    def summary(self) -> dict[str, Any]:
        """JSON-able record of conditions and results (no series, no frames); unknown errors are None."""
        energy = cautious_mean_and_error(self.adsorption_energy_ev)
        known = math.isfinite(self.n_adsorbed_error)
        return {
            "temperature_k": self.temperature_k,
            "fugacity_bar": self.fugacity_bar,
            "seed": self.seed,
            "n_initial": self.n_initial,
            "n_moves": self.n_moves,
            "n_equilibration": self.n_equilibration,
            "sample_every": self.sample_every,
            "n_samples": len(self.n_adsorbed),
            "move_weights": asdict(self.move_weights),
            "max_molecules": self.max_molecules,
            "min_distance_ang": self.min_distance_ang,
            "host_energy_ev": self.host_energy_ev,
            "volume_ang3": self.volume_ang3,
            "adsorbate": {
                "symbols": list(self.adsorbate.symbols),
                "sites_ang": self.adsorbate.sites_ang.tolist(),
                "bond_length_ang": self.adsorbate.bond_length_ang,
                "geometry_source": self.adsorbate.geometry_source,
                "energy_ev": self.molecule_energy_ev,
            },
            "mean_n_adsorbed": self.mean_n_adsorbed,
            "n_adsorbed_error": self.n_adsorbed_error if known else None,
            "n_effective_samples": self.n_adsorbed_estimate.n_effective,
            "mean_adsorption_energy_ev": energy.mean,
            "adsorption_energy_error_ev": energy.standard_error if known else None,
            "acceptance": {
                name: {"attempted": move.attempted, "accepted": move.accepted} for name, move in self.acceptance.items()
            },
            "translation_ang": self.translation_ang,
            "rotation_rad": self.rotation_rad,
            "averages": self.averages.summary(),
            "max_energy_drift_ev": self.max_energy_drift_ev,
            "framework": "rigid" if self.hybrid is None else "flexible",
            "framework_label": self.framework_label,
            "nuclei": self.nuclei,
            "hybrid": None if self.hybrid is None else self.hybrid.summary(),
        }

"""Rigid guest molecules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from alh2.core.errors import BadInputError
from alh2.potential.protocol import Potential

H2_BOND_ANG = 0.7414
"""Experimental equilibrium bond length of H2, Å (Huber and Herzberg 1979)."""

_SCAN_ANG = np.linspace(0.60, 1.00, 17)
_FLAT_EV = 1e-9


@dataclass(frozen=True, eq=False)
class RigidMolecule:
    """A molecule whose sites do not move against each other.

    symbols : element of each site
    sites_ang : (n_sites, 3) Å, centred on the mean of the sites (the point it rotates about)
    geometry_source : where the geometry comes from, for the record
    from_model : H2 only: replace the bond length by the model's gas-phase minimum when a simulation starts
    """

    symbols: tuple[str, ...]
    sites_ang: np.ndarray
    geometry_source: str = "given"
    from_model: bool = False

    def __post_init__(self) -> None:
        sites = np.array(self.sites_ang, dtype=np.float64)
        if not self.symbols or sites.shape != (len(self.symbols), 3) or not np.isfinite(sites).all():
            raise BadInputError(
                "adsorbate",
                expected=f"finite sites of shape ({len(self.symbols)}, 3), at least one",
                found=f"shape {sites.shape}",
            )
        sites -= sites.mean(axis=0)
        sites.setflags(write=False)
        object.__setattr__(self, "sites_ang", sites)

    @classmethod
    def h2(cls, bond_length_ang: float | None = None) -> RigidMolecule:
        """Two-site H2; without a bond length, the model's own gas-phase minimum is used (see `resolve`)."""
        if bond_length_ang is None:
            return cls(("H", "H"), _diatomic(H2_BOND_ANG), "model's gas-phase minimum, not yet known", from_model=True)
        if not 0.0 < bond_length_ang < np.inf:
            raise BadInputError("H2 bond length", expected="a positive length in Å", found=f"{bond_length_ang}")
        return cls(("H", "H"), _diatomic(bond_length_ang))

    @classmethod
    def single(cls, symbol: str) -> RigidMolecule:
        """One site of element `symbol`, e.g. ``single("Ar")``; raises BadInputError for an unknown element."""
        from ase.data import atomic_numbers

        if symbol not in atomic_numbers:
            raise BadInputError("adsorbate", expected="a chemical symbol such as 'Ar'", found=repr(symbol))
        return cls((symbol,), np.zeros((1, 3)))

    @property
    def n_sites(self) -> int:
        """Number of sites."""
        return len(self.symbols)

    @property
    def bond_length_ang(self) -> float | None:
        """Distance of the two sites of a diatomic molecule, Å; None for any other molecule."""
        if self.n_sites != 2:
            return None
        return float(np.linalg.norm(self.sites_ang[1] - self.sites_ang[0]))

    def resolve(self, potential: Potential) -> RigidMolecule:
        """This molecule with its geometry settled against `potential`; unchanged where it was given.

        Raises BadInputError where the model has no bond minimum between 0.6 and 1.0 Å. A model that does not
        depend on the bond length at all gets the experimental one.
        """
        if not self.from_model:
            return self

        def energy_ev(bond_ang: float) -> float:
            return float(potential.molecule_energy_ev(self.symbols, _diatomic(bond_ang)))

        bond, source = _bond_minimum(energy_ev)
        return replace(self, sites_ang=_diatomic(bond), geometry_source=source, from_model=False)

    def fit(self, sites_ang: np.ndarray) -> np.ndarray:
        """Sites (n_sites, 3) of this rigid molecule laid as closely as possible over `sites_ang` (Kabsch 1976)."""
        centre = sites_ang.mean(axis=0)
        if self.n_sites == 1:
            return np.array(sites_ang, dtype=np.float64)
        left, _, right = np.linalg.svd(self.sites_ang.T @ (sites_ang - centre))
        handedness = np.sign(np.linalg.det(left @ right))
        rotation = left @ np.diag([1.0, 1.0, handedness]) @ right
        return self.sites_ang @ rotation + centre


def _diatomic(bond_ang: float) -> np.ndarray:
    return np.array([[0.0, 0.0, -0.5 * bond_ang], [0.0, 0.0, 0.5 * bond_ang]])


def _bond_minimum(energy_ev: Callable[[float], float]) -> tuple[float, str]:
    """Bond length (Å) at the energy minimum nearest to the experimental one, and how it was found."""
    from scipy.optimize import minimize_scalar

    energies = np.array([energy_ev(float(b)) for b in _SCAN_ANG])
    if not np.isfinite(energies).all():
        raise BadInputError(
            "H2 bond length",
            expected="a model with a finite energy of isolated H2 at 0.6-1.0 Å",
            found=f"{energies[~np.isfinite(energies)][0]}",
            action="give bond_length_ang",
        )
    if np.ptp(energies) < _FLAT_EV:
        return H2_BOND_ANG, "experiment (the model does not depend on the bond length)"
    minima = [
        i for i in range(1, len(energies) - 1) if energies[i] <= energies[i - 1] and energies[i] < energies[i + 1]
    ]
    if not minima:
        raise BadInputError(
            "H2 bond length",
            expected="a model with a gas-phase minimum of H2 between 0.6 and 1.0 Å",
            found=f"none (lowest at {_SCAN_ANG[int(np.argmin(energies))]:.2f} Å)",
            action="give bond_length_ang, or train with isolated H2",
        )
    best = min(minima, key=lambda i: abs(_SCAN_ANG[i] - H2_BOND_ANG))
    found = minimize_scalar(
        energy_ev, bounds=(_SCAN_ANG[best - 1], _SCAN_ANG[best + 1]), method="bounded", options={"xatol": 1e-6}
    )
    return float(found.x), "model's gas-phase minimum"

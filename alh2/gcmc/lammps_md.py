"""NVT segments of molecular dynamics in this process, with LAMMPS and a DeePMD model.

Molecules of two or more sites are rigid bodies (``fix rigid/small``) as they are in the Monte Carlo part, so both parts
sample one ensemble: flexible framework, rigid molecules. All degrees of freedom feel a Langevin thermostat, which
has no memory: a segment is a step of a Markov chain that leaves the canonical distribution unchanged (to the order of
the integrator, dt²), whatever number of molecules it begins with.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from ase import Atoms

from alh2.core.errors import Alh2Error, BadInputError
from alh2.core.lammps_cell import lammps_cell
from alh2.potential.deeppot import check_model_file
from alh2.potential.lammps_forces import LammpsForces
from alh2.potential.lammps_library import open_lammps
from alh2.potential.libraries import silenced

_SEEDS = 900_000_000
"""LAMMPS's random numbers take seeds from 1 to this."""


class MolecularDynamicsError(Alh2Error):
    """LAMMPS stopped: what it said."""


@dataclass(frozen=True, eq=False)
class MdSystem:
    """Atoms of a segment: host first, then molecules of `n_sites` each.

    symbols : of all atoms; positions_ang, velocities_ang_ps : (n_atoms, 3); molecules are whole
    """

    symbols: tuple[str, ...]
    n_host: int
    n_sites: int
    positions_ang: np.ndarray
    velocities_ang_ps: np.ndarray

    @property
    def n_molecules(self) -> int:
        """Number of molecules."""
        return (len(self.symbols) - self.n_host) // self.n_sites


@dataclass(frozen=True, eq=False)
class MdSegment:
    """What a segment ends with, and the potential energies (eV) of its first and last configuration."""

    positions_ang: np.ndarray
    velocities_ang_ps: np.ndarray
    first_energy_ev: float
    last_energy_ev: float


@dataclass(frozen=True)
class MdConditions:
    """Temperature, time step, relaxation time of the thermostat, and whether the host stands still."""

    temperature_k: float
    dt_ps: float
    thermostat_ps: float
    frozen_host: bool


class LammpsMd:
    """One LAMMPS instance for all segments of a run in a constant cell."""

    def __init__(self, model_file: Path, cell_ang: np.ndarray, forces: LammpsForces, conditions: MdConditions):
        """forces : with types for all that may occur. Raises BadInputError where LAMMPS does not take the model."""
        check_model_file(Path(model_file))
        self._conditions = conditions
        self._box, self._turn = lammps_cell(cell_ang)
        self._cell, self._forces = np.asarray(cell_ang, dtype=np.float64), forces
        self._lammps = open_lammps()
        try:
            with TemporaryDirectory() as folder:
                table = forces.write_table(Path(folder))
                self._commands(*self._setup(Path(model_file), table))
        except MolecularDynamicsError as error:
            raise BadInputError(
                str(model_file), expected="a model that LAMMPS takes (pair_style deepmd)", found=str(error)
            ) from None

    def run(self, system: MdSystem, n_steps: int, seed: int) -> MdSegment:
        """`n_steps` of NVT from `system`; raises MolecularDynamicsError where LAMMPS stops. seed : of the thermostat"""
        self._create(system)
        commands, fixes = self._fixes(system, seed)
        self._commands(*commands, "run 0")
        first = float(self._lammps.get_thermo("pe"))
        self._commands(f"run {n_steps}")
        last = float(self._lammps.get_thermo("pe"))
        n = len(system.symbols)
        positions = self._whole(self._gather("x", n) + self._images(n) @ self._box, system)
        velocities = self._gather("v", n)
        self._commands(*(f"unfix {name}" for name in fixes), "group host clear", "group guests clear")
        return MdSegment(positions @ self._turn.T, velocities @ self._turn.T, first, last)

    def close(self) -> None:
        """End LAMMPS."""
        with silenced():
            self._lammps.close()

    def _setup(self, model_file: Path, table: Path | None) -> list[str]:
        box = self._box
        numbers = " ".join(f"0 {box[i, i]:.16g}" for i in range(3))
        tilt = f"{box[1, 0]:.16g} {box[2, 0]:.16g} {box[2, 1]:.16g}"
        return [
            "units metal",
            "atom_style molecular",
            "atom_modify map array sort 0 0.0",
            "boundary p p p",
            "box tilt large",
            f"region cell prism {numbers} {tilt} units box",
            f"create_box {len(self._forces.elements)} cell",
            *(f"mass {k + 1} {mass:.6f}" for k, mass in enumerate(self._forces.masses_amu())),
            *self._forces.lines([f'"{model_file.resolve()}"'], table=f'"{table}"'),
            "neighbor 1.0 bin",
            "neigh_modify delay 0 every 1 check yes",
            f"timestep {self._conditions.dt_ps:.16g}",
            "thermo_modify lost error",
        ]

    def _create(self, system: MdSystem) -> None:
        n = len(system.symbols)
        self._commands("delete_atoms group all", "reset_timestep 0")
        k = system.n_host
        host = Atoms(system.symbols[:k], system.positions_ang[:k], cell=self._cell, pbc=True)
        types = self._forces.types(system.symbols, host, "molecular dynamics").tolist()
        positions = system.positions_ang @ self._turn
        cells = np.floor(positions @ np.linalg.inv(self._box)).astype(int)
        images = [self._lammps.encode_image_flags(*(int(k) for k in row)) for row in cells]
        wrapped = (positions - cells @ self._box).ravel().tolist()
        velocities = (system.velocities_ang_ps @ self._turn).ravel().tolist()
        with silenced():
            made = self._lammps.create_atoms(n, list(range(1, n + 1)), types, wrapped, velocities, images)
        if made != n:
            raise MolecularDynamicsError(f"LAMMPS took {made} of {n} atoms")

    def _fixes(self, system: MdSystem, seed: int) -> tuple[list[str], list[str]]:
        """Commands that make the atoms move, and the fixes they define."""
        c, n, n_host = self._conditions, len(system.symbols), system.n_host
        bath = f"langevin {c.temperature_k:.16g} {c.temperature_k:.16g} {c.thermostat_ps:.16g} {1 + seed % _SEEDS}"
        commands, fixes = [], []
        if n_host:
            commands.append(f"group host id 1:{n_host}")
            if not c.frozen_host:
                commands.append("fix host host nve")
                fixes.append("host")
        if n > n_host:
            commands.append(f"group guests id {n_host + 1}:{n}")
            for k in range(system.n_molecules):
                begin = n_host + k * system.n_sites
                commands.append(f"set atom {begin + 1}*{begin + system.n_sites} mol {k + 1}")
            commands.append(f"fix guests guests {'nve' if system.n_sites == 1 else 'rigid/small molecule'}")
            fixes.append("guests")
        if fixes:
            commands.append(f"fix bath {'all' if not c.frozen_host else 'guests'} {bath}")
            fixes.append("bath")
        return commands, fixes

    def _whole(self, positions: np.ndarray, system: MdSystem) -> np.ndarray:
        """Molecules in one piece: `fix rigid/small` keeps image flags of its own."""
        guests = positions[system.n_host :].reshape(-1, system.n_sites, 3)
        shifts = np.round((guests - guests[:, :1]) @ np.linalg.inv(self._box)) @ self._box
        return np.concatenate([positions[: system.n_host], (guests - shifts).reshape(-1, 3)])

    def _gather(self, name: str, n_atoms: int) -> np.ndarray:
        return np.array(self._lammps.gather_atoms(name, 1, 3)).reshape(n_atoms, 3)

    def _images(self, n_atoms: int) -> np.ndarray:
        return np.array(self._lammps.gather_atoms("image", 0, 3), dtype=np.float64).reshape(n_atoms, 3)

    def _commands(self, *lines: str) -> None:
        with silenced():
            try:
                for line in lines:
                    self._lammps.command(line)
            except Exception as error:  # noqa: BLE001 (the library raises nothing more specific)
                raise MolecularDynamicsError(f"LAMMPS: {str(error).splitlines()[0]}") from None

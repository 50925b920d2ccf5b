"""LAMMPS inputs and trajectories of Deep Potential MD."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase.data import atomic_masses, atomic_numbers

from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_text
from alh2.core.frames import Frame

INPUT_FILE = "input.lammps"
CONF_FILE = "conf.lmp"
TRAJECTORY_FILE = "all.lammpstrj"
DEVIATION_FILE = "model_devi.out"


@dataclass(frozen=True)
class NvtRun:
    """One NVT run.

    models : model files as seen from the task folder; type_map : their element order
    every : steps between stored frames and between committee deviations
    """

    models: tuple[str, ...]
    type_map: tuple[str, ...]
    temperature_k: float
    n_steps: int
    dt_ps: float
    thermostat_ps: float
    every: int
    seed: int
    masses_amu: tuple[float, ...] = ()


def write_conf(frame: Frame, path: Path, *, type_map: Sequence[str]) -> None:
    """LAMMPS data file of `frame`, atoms in frame order (ids 1 … n), types in `type_map` order.

    Cells are written in LAMMPS's lower-triangular form; raises BadInputError where the cell is not already in it
    (rows a = (ax,0,0), b = (bx,by,0)), since a silent rotation would turn forces and frames apart.
    """
    cell = frame.cell_ang
    if abs(cell[0, 1]) + abs(cell[0, 2]) + abs(cell[1, 2]) > 1e-9:
        raise BadInputError(
            str(path),
            expected="a cell with a along x and b in the xy plane",
            found=f"{cell.tolist()}",
            action="rotate it",
        )
    lines = [f"# {frame.host_id} with {frame.n_h2} H2", "", f"{frame.n_atoms} atoms", f"{len(type_map)} atom types", ""]
    lines += [f"0.0 {cell[i, i]:.16g} {axis}lo {axis}hi" for i, axis in enumerate("xyz")]
    lines += [f"{cell[1, 0]:.16g} {cell[2, 0]:.16g} {cell[2, 1]:.16g} xy xz yz", "", "Atoms # atomic", ""]
    types = {symbol: k + 1 for k, symbol in enumerate(type_map)}
    for i, (symbol, position) in enumerate(zip(frame.symbols, frame.positions_ang, strict=True)):
        lines.append(f"{i + 1} {types[symbol]} {position[0]:.16g} {position[1]:.16g} {position[2]:.16g}")
    atomic_write_text(path, "\n".join(lines) + "\n")


def nvt_input(run: NvtRun) -> str:
    """LAMMPS input of an NVT run with committee deviation on the fly (``metal`` units: ps, Å, eV, K)."""
    masses = run.masses_amu or tuple(float(atomic_masses[atomic_numbers[symbol]]) for symbol in run.type_map)
    many = len(run.models) > 1
    deviation = f" out_freq {run.every} out_file {DEVIATION_FILE}" if many else ""
    lines = [
        "units metal",
        "boundary p p p",
        "atom_style atomic",
        "atom_modify map yes",
        "neighbor 1.0 bin",
        "neigh_modify delay 0 every 5 check yes",
        f"read_data {CONF_FILE}",
        *(f"mass {k + 1} {mass:.6f}" for k, mass in enumerate(masses)),
        f"pair_style deepmd {' '.join(run.models)}{deviation}",
        f"pair_coeff * * {' '.join(run.type_map)}",
        f"velocity all create {run.temperature_k} {run.seed} mom yes rot yes dist gaussian",
        f"timestep {run.dt_ps}",
        f"fix nvt all nvt temp {run.temperature_k} {run.temperature_k} {run.thermostat_ps}",
        f"thermo {run.every}",
        "thermo_style custom step temp pe ke etotal",
        "thermo_modify lost error flush yes",
        f"dump frames all custom {run.every} {TRAJECTORY_FILE} id type xu yu zu",
        'dump_modify frames sort id format float "%.10g"',
        f"run {run.n_steps}",
    ]
    return "\n".join(lines) + "\n"


def read_deviation(path: Path) -> dict[int, float]:
    """Largest force deviation (eV/Å) per step from ``model_devi.out``; a torn last line is dropped.

    NaN stays NaN (it counts as failed). Raises BadInputError where the file has no header or no max_devi_f column.
    """
    lines = path.read_text().splitlines() if path.exists() else []
    header = next((line.lstrip("# ").split() for line in lines if line.startswith("#") and "step" in line), None)
    if header is None or "max_devi_f" not in header:
        raise BadInputError(str(path), expected="a model_devi.out with a max_devi_f column", found="none")
    column = header.index("max_devi_f")
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    return {int(row[0]): float(row[column]) for row in rows if len(row) == len(header)}


def read_trajectory(path: Path, template: Frame) -> Iterator[tuple[int, Frame]]:
    """(step, frame) for every complete frame of a LAMMPS dump written by `nvt_input`, in the order of `template`.

    Coordinates are unwrapped, so molecules stay whole. A torn last frame (a killed run) is dropped.
    """
    n_atoms = template.n_atoms
    lines = path.read_text().splitlines() if path.exists() else []
    start = 0
    while start + 9 + n_atoms <= len(lines):
        if lines[start] != "ITEM: TIMESTEP" or not lines[start + 8].startswith("ITEM: ATOMS id type xu yu zu"):
            raise BadInputError(str(path), expected="a LAMMPS dump of id type xu yu zu", found=lines[start][:60])
        step = int(lines[start + 1])
        body = [line.split() for line in lines[start + 9 : start + 9 + n_atoms]]
        if any(len(row) != 5 for row in body):
            return
        positions = np.array([[float(value) for value in row[2:5]] for row in body])
        yield step, replace(template, positions_ang=positions)
        start += 9 + n_atoms

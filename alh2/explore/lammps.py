"""LAMMPS inputs and trajectories of Deep Potential MD."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms

from alh2.core.atoms import to_atoms
from alh2.core.columns import read_columns
from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_text
from alh2.core.frames import Frame
from alh2.core.lammps_cell import lammps_cell
from alh2.potential.lammps_forces import TABLE_FILE, LammpsForces

INPUT_FILE = "input.lammps"
CONF_FILE = "conf.lmp"
TRAJECTORY_FILE = "all.lammpstrj"
LOG_FILE = "log.lammps"
DEVIATION_FILE = "model_devi.out"
_HEAD_LINES = 9


@dataclass(frozen=True)
class NvtRun:
    """One NVT run.

    models : model files as seen from the task folder; table : pair terms as seen from there
    every : steps between stored frames and between committee deviations
    """

    models: tuple[str, ...]
    forces: LammpsForces
    temperature_k: float
    n_steps: int
    dt_ps: float
    thermostat_ps: float
    every: int
    seed: int
    masses_amu: tuple[float, ...] = ()
    table: str = TABLE_FILE


def write_conf(frame: Frame, path: Path, *, forces: LammpsForces) -> None:
    """LAMMPS data file of `frame`, atoms in frame order (ids 1 … n), types as `forces` numbers them.

    Any cell: it is turned to LAMMPS's form by :func:`lammps_cell`, `read_trajectory` turns back. Raises BadInputError
    for a cell without volume and an element that has no type.
    """
    box, turn = lammps_cell(frame.cell_ang)
    bare = to_atoms(frame.bare_host()) if frame.n_host else Atoms()
    types = forces.types(frame.symbols, bare, str(path))
    lines = [
        f"# {frame.host_id} with {frame.n_h2} H2",
        "",
        f"{frame.n_atoms} atoms",
        f"{len(forces.elements)} atom types",
        "",
    ]
    lines += [f"0.0 {box[i, i]:.16g} {axis}lo {axis}hi" for i, axis in enumerate("xyz")]
    lines += [f"{box[1, 0]:.16g} {box[2, 0]:.16g} {box[2, 1]:.16g} xy xz yz", "", "Atoms # atomic", ""]
    for i, (number, position) in enumerate(zip(types, frame.positions_ang @ turn, strict=True)):
        lines.append(f"{i + 1} {number} {position[0]:.16g} {position[1]:.16g} {position[2]:.16g}")
    atomic_write_text(path, "\n".join(lines) + "\n")


def nvt_input(run: NvtRun) -> str:
    """LAMMPS input of an NVT run with committee deviation on the fly (``metal`` units: ps, Å, eV, K)."""
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
        *(f"mass {k + 1} {mass:.6f}" for k, mass in enumerate(run.forces.masses_amu(run.masses_amu))),
        *run.forces.lines(run.models, table=run.table, deviation=deviation),
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


def last_error(directory: Path) -> str:
    """What LAMMPS said was wrong: the last ERROR line of its log in `directory`, empty where there is none.

    With several partitions it may stand in the log of any of them.
    """
    for path in (directory / LOG_FILE, *sorted(directory.glob(f"{LOG_FILE}.*"))):
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        for line in reversed(lines):
            if line.startswith("ERROR"):
                return line.strip()
    return ""


def read_deviation(path: Path) -> dict[int, float]:
    """Largest force deviation (eV/Å) per step from ``model_devi.out``; a torn last line is dropped.

    NaN stays NaN (it counts as failed). Raises BadInputError where the file has no header or no max_devi_f column.
    """
    table = read_columns(path, what="a model_devi.out with a max_devi_f column")
    return dict(zip(map(int, table.column("step")), map(float, table.column("max_devi_f")), strict=True))


def read_trajectory(path: Path, template: Frame) -> Iterator[tuple[int, Frame]]:
    """(step, frame) for every complete frame of a LAMMPS dump written by `nvt_input`, in the order of `template`.

    Coordinates are unwrapped, so molecules stay whole, and turned back to the cell of `template`. A torn last frame
    (a killed run) is dropped; none where the file is absent. One frame is in memory at a time. Raises BadInputError
    where a frame is not of this kind or of another number of atoms.
    """
    if not path.exists():
        return
    _, turn = lammps_cell(template.cell_ang)
    with open(path, encoding="utf-8") as handle:
        while True:
            head = list(itertools.islice(handle, _HEAD_LINES))
            if len(head) < _HEAD_LINES or not head[-1].endswith("\n"):
                return
            if head[0].strip() != "ITEM: TIMESTEP" or not head[8].startswith("ITEM: ATOMS id type xu yu zu"):
                raise BadInputError(str(path), expected="a LAMMPS dump of id type xu yu zu", found=head[0].strip()[:60])
            if int(head[3]) != template.n_atoms:
                raise BadInputError(str(path), expected=f"{template.n_atoms} atoms", found=head[3].strip())
            body = list(itertools.islice(handle, template.n_atoms))
            if len(body) < template.n_atoms or not body[-1].endswith("\n"):
                return
            rows = sorted((line.split() for line in body), key=lambda row: int(row[0]))
            positions = np.array([[float(value) for value in row[2:5]] for row in rows])
            yield int(head[1]), replace(template, positions_ang=positions @ turn.T)

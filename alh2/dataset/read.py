"""Trajectories with energies and forces from any file users bring, as steps in the file's own atom order.

VASP files are read here (convergence must be counted), extxyz and other ASE formats through ASE, deepmd/npy and
other formats through dpdata. Energies in eV, forces in eV/Å.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import ParseError
from ase.io.formats import UnknownFileTypeError

from alh2.core.errors import BadInputError
from alh2.core.units import KB_EV_PER_K
from alh2.formats.dpdata_files import READ_ERRORS, one_line, read_dpdata
from alh2.formats.trajectory import Step, Trajectory
from alh2.formats.vasp import read_outcar, read_vasprun

OUTCAR, VASPRUN, DEEPMD = "vasp/outcar", "vasp/xml", "deepmd/npy"
_DPDATA_ALIASES = {"outcar": OUTCAR, "vasprun": VASPRUN, "xml": VASPRUN}
_ASE_ERRORS = (*READ_ERRORS, UnknownFileTypeError, ParseError)


def guess_format(path: Path) -> str:
    """Format of `path` by its name and kind: "vasp/outcar", "vasp/xml", "deepmd/npy" or "ase" (ASE decides)."""
    name = path.name.lower().removesuffix(".gz")
    if path.is_dir():
        return DEEPMD
    if "outcar" in name:
        return OUTCAR
    return VASPRUN if name.endswith(".xml") or "vasprun" in name else "ase"


def read_trajectory(path: Path, *, file_format: str = "auto") -> Trajectory:
    """All steps of `path`.

    `file_format`: "auto", "vasp/outcar", "vasp/xml", "deepmd/npy", any other dpdata format with a slash in its name
    ("cp2k/aimd_output"), "extxyz", or any other ASE format ("ase": ASE decides). Unconverged steps are returned,
    marked. Raises BadInputError where the file is absent, of another format, empty, or a step is not whole or not
    finite.
    """
    if not path.exists():
        raise BadInputError(str(path), expected="a trajectory", found="no such file", action="check the path")
    chosen = guess_format(path) if file_format == "auto" else _DPDATA_ALIASES.get(file_format, file_format)
    if chosen == OUTCAR:
        trajectory = read_outcar(path)
    elif chosen == VASPRUN:
        trajectory = read_vasprun(path)
    elif "/" in chosen:
        trajectory = read_dpdata(path, chosen)
    else:
        trajectory = _read_ase(path, None if chosen == "ase" else chosen)
    if not trajectory.steps and not trajectory.truncated:
        raise BadInputError(str(path), expected="frames with energies and forces", found="none")
    for step in trajectory.steps:
        _check_finite(step, f"{path}, frame {step.number}")
    return trajectory


def _check_finite(step: Step, where: str) -> None:
    if not step.converged:
        return  # dropped anyway; VASP prints stars there
    for what, values in (
        ("energy", step.energy_ev),
        ("forces", step.forces_ev_ang),
        ("positions", step.positions_ang),
        ("cell", step.cell_ang),
    ):
        if not np.all(np.isfinite(values)):
            raise BadInputError(where, expected=f"finite {what}", found="NaN or infinite", action="drop this frame")
    if abs(float(np.linalg.det(step.cell_ang))) < 1e-6:
        raise BadInputError(
            where, expected="a periodic cell", found="a cell without volume", action="put the system in a box"
        )


def _read_ase(path: Path, file_format: str | None) -> Trajectory:
    from ase.io import iread

    steps: list[Step] = []

    def images() -> Iterator[Atoms]:
        yield from iread(path, index=":", format=file_format)

    iterator = images()
    while True:
        where = f"{path}, frame {len(steps) + 1}"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                atoms = next(iterator, None)
        except _ASE_ERRORS as error:
            raise BadInputError(
                where, expected="a frame ASE can read", found=one_line(error),
                action="the file is truncated, damaged or of another format (--format)",
            ) from None  # fmt: skip
        if atoms is None:
            return Trajectory(str(path), tuple(steps))
        steps.append(_ase_step(atoms, len(steps) + 1, where))


def _ase_step(atoms: Atoms, number: int, where: str) -> Step:
    results = getattr(atoms.calc, "results", {})
    energy = results.get("free_energy", results.get("energy"))
    forces = results.get("forces")
    if energy is None or forces is None:
        missing = " and ".join(what for what, value in (("energy", energy), ("forces", forces)) if value is None)
        raise BadInputError(
            where, expected="energy and forces", found=f"no {missing}", action="write them as ASE's energy and forces"
        )
    temperature = None
    if atoms.has("momenta") and len(atoms) > 1 and np.any(atoms.get_momenta()):
        temperature = 2.0 * float(atoms.get_kinetic_energy()) / ((3 * len(atoms) - 3) * KB_EV_PER_K)
    return Step(
        number,
        tuple(atoms.get_chemical_symbols()),
        np.array(atoms.positions, dtype=np.float64),
        np.array(atoms.cell.array, dtype=np.float64),
        float(energy),
        np.array(forces, dtype=np.float64),
        bool(atoms.info.get("converged", True)),
        temperature,
    )

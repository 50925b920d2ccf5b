"""Task folders of the labelers that `alh2.label.worker` runs: frame.json + labeler.json → label.json.

JSON keeps float64 exactly (shortest representation that reads back the same) and the same frame gives the same
bytes, so that tasks can be recognised by content. Imports stay light: workers start thousands of times.
"""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from alh2.core.files import atomic_write_json, read_json
from alh2.core.frames import Frame, Label
from alh2.label.protocol import LabelFailure, LabelJob

FRAME_FILE = "frame.json"
LABELER_FILE = "labeler.json"
LABEL_FILE = "label.json"
WORKER_MODULE = "alh2.label.worker"


class LabelError(Exception):
    """A geometry has no label at this level of theory (SCF not converged, …); the message is the reason."""


@dataclass(frozen=True, eq=False)
class EnergyForces:
    """Answer of one computation: energy eV, forces (n_atoms, 3) eV/Å, and a remark for the record."""

    energy_ev: float
    forces_ev_ang: np.ndarray
    message: str = ""


@dataclass(frozen=True)
class WorkerLabeler:
    """Labeler whose tasks `alh2.label.worker` computes; `style` names the registry entry that does it.

    params : validated parameters, JSON values only; "threads" is the number of OpenMP threads of a task
    """

    name: str
    style: str
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def n_attempts(self) -> int:
        """One: the same computation again gives the same answer."""
        return 1

    @property
    def program(self) -> str:
        """The running interpreter."""
        return shlex.quote(sys.executable)

    def command(self, program: str) -> str:
        """The worker, run by the Python interpreter `program`."""
        return f"{program} -m {WORKER_MODULE}"

    @property
    def input_files(self) -> tuple[str, ...]:
        """Names written by :meth:`prepare`."""
        return (FRAME_FILE, LABELER_FILE)

    @property
    def output_files(self) -> tuple[str, ...]:
        """Names read by :meth:`collect`."""
        return (LABEL_FILE,)

    def prepare(self, jobs: Sequence[LabelJob]) -> None:
        """Write frame.json and labeler.json into each folder; same frame, same bytes."""
        for job in jobs:
            atomic_write_json(job.folder / FRAME_FILE, frame_to_json(job.frame))
            labeler = {"name": self.name, "style": self.style, "params": self.params}
            atomic_write_json(job.folder / LABELER_FILE, labeler)

    def collect(self, frame: Frame, folder: Path) -> Label | LabelFailure:
        """Label from label.json, or the reason why there is none."""
        return read_label(folder / LABEL_FILE, frame, self.name)


def frame_to_json(frame: Frame) -> dict[str, Any]:
    """JSON form of the geometry; the provenance stays out, it does not change the label."""
    return {
        "symbols": list(frame.symbols),
        "positions_ang": frame.positions_ang.tolist(),
        "cell_ang": frame.cell_ang.tolist(),
        "n_host": frame.n_host,
        "host_id": frame.host_id,
        "digest": frame.digest,
    }


def frame_from_json(value: dict[str, Any]) -> Frame:
    """Frame written by :func:`frame_to_json`; raises KeyError or ValueError where it is not one."""
    positions = np.array(value["positions_ang"], dtype=np.float64).reshape(-1, 3)
    cell = np.array(value["cell_ang"], dtype=np.float64)
    return Frame(tuple(value["symbols"]), positions, cell, int(value["n_host"]), str(value["host_id"]))


def read_frame(path: Path) -> Frame:
    """Frame of a task folder; raises BadInputError where the file is absent or not JSON."""
    return frame_from_json(read_json(path))


def write_label(path: Path, frame: Frame, answer: EnergyForces | LabelFailure, wall_s: float) -> None:
    """Write label.json in one step; a failure is written too, with its reason."""
    value: dict[str, Any] = {"digest": frame.digest, "wall_s": round(wall_s, 4)}
    if isinstance(answer, LabelFailure):
        value.update(converged=False, message=answer.reason)
    else:
        forces = np.asarray(answer.forces_ev_ang, dtype=np.float64)
        value.update(
            converged=True,
            message=answer.message,
            energy_ev=float(answer.energy_ev),
            forces_ev_ang=forces.tolist(),
        )
    atomic_write_json(path, value)


def read_label(path: Path, frame: Frame, labeler: str) -> Label | LabelFailure:
    """Label of `frame` from label.json; absent, torn, foreign, unconverged or non-finite → LabelFailure."""
    try:
        value = json.loads(path.read_text())
    except FileNotFoundError:
        return LabelFailure(f"no {path.name}: the task did not finish")
    except (OSError, ValueError) as error:
        return LabelFailure(f"{path.name} cannot be read: {error}")
    try:
        if not value["converged"]:
            return LabelFailure(str(value["message"]))
        if value["digest"] != frame.digest:
            return LabelFailure(f"{path.name} belongs to another geometry")
        energy = float(value["energy_ev"])
        forces = np.array(value["forces_ev_ang"], dtype=np.float64).reshape(-1, 3)
    except (KeyError, TypeError, ValueError) as error:
        return LabelFailure(f"{path.name} is incomplete: {type(error).__name__} {error}")
    if forces.shape != (frame.n_atoms, 3):
        return LabelFailure(f"{path.name} has forces on {len(forces)} atoms, the frame has {frame.n_atoms}")
    if not (math.isfinite(energy) and np.isfinite(forces).all()):
        return LabelFailure("energy or forces are not finite")
    return Label(energy, forces, labeler)

"""What a labeler is: it prepares the input files of one frame and collects the answer. It never submits.

Between the two, anything may run `command` with the task folder as working directory: a local subprocess, or a
scheduler on another machine. One frame is one task.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from alh2.core.frames import Frame, Label


@dataclass(frozen=True)
class LabelFailure:
    """Why a frame got no label, e.g. "SCF not converged in 250 cycles"; goes to quarantine."""

    reason: str


class Labeler(Protocol):
    """A level of theory that turns a frame into energy (eV) and forces (eV/Å).

    name : recorded with every label, e.g. "GFN1-xTB/tblite"
    worker_module : Python module that computes one task; the machine file says which interpreter runs it
    command : what to run in the task folder where the machine file names none
    input_files, output_files : file names inside the task folder, to send and to fetch
    """

    @property
    def name(self) -> str:
        """Level of theory recorded with every label."""

    @property
    def worker_module(self) -> str:
        """Module run in the task folder."""

    @property
    def command(self) -> str:
        """Default command, run with the task folder as working directory."""

    @property
    def input_files(self) -> tuple[str, ...]:
        """Names written by :meth:`prepare`."""

    @property
    def output_files(self) -> tuple[str, ...]:
        """Names read by :meth:`collect`."""

    def prepare(self, frame: Frame, task_dir: Path) -> None:
        """Write the input files of `frame`; the same frame always gives the same bytes."""

    def collect(self, frame: Frame, task_dir: Path) -> Label | LabelFailure:
        """Read the answer; whatever went wrong in the task is a LabelFailure, not an exception."""

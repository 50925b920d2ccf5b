"""What a labeler is: it prepares the input files of frames and collects the answers. It never submits.

Between the two, anything may run `command` with the task folder as working directory: a local subprocess, or a
scheduler on another machine. One frame is one task. A labeler with several recipes is asked again after a failure,
with the next one (:mod:`alh2.label.attempts` says which).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from alh2.core.frames import Frame, Label

SCRATCH = "scratch."
"""Files beside the task folders whose names begin so are removed when all labels of a stage are in."""


@dataclass(frozen=True)
class LabelFailure:
    """Why a frame got no label, e.g. "SCF not converged in 250 cycles"; goes to quarantine."""

    reason: str


@dataclass(frozen=True, eq=False)
class LabelJob:
    """A frame and the task folder in which its label is computed."""

    frame: Frame
    folder: Path


class Labeler(Protocol):
    """A level of theory that turns a frame into energy (eV) and forces (eV/Å).

    name : recorded with every label, e.g. "GFN1-xTB/tblite"; other energies, other name
    n_attempts : recipes it has; after a failure the next one is tried, after the last the frame is given up
    input_files, output_files : file names inside the task folder, to send and to fetch
    program : what `command` starts where nobody names a program, "" where somebody must
    """

    @property
    def name(self) -> str:
        """Level of theory recorded with every label."""

    @property
    def n_attempts(self) -> int:
        """Number of recipes, at least 1."""

    @property
    def program(self) -> str:
        """Default program."""

    @property
    def input_files(self) -> tuple[str, ...]:
        """Names written by :meth:`prepare`."""

    @property
    def output_files(self) -> tuple[str, ...]:
        """Names read by :meth:`collect`."""

    def command(self, program: str) -> str:
        """Shell command of a task, run with the task folder as working directory.

        program : what the machine file names: a Python interpreter for labelers of alh2, else how the code is started
        """

    def prepare(self, jobs: Sequence[LabelJob]) -> None:
        """Write the input files of each job for its current attempt; same frame and attempt, same bytes."""

    def collect(self, frame: Frame, folder: Path) -> Label | LabelFailure:
        """Read the answer; whatever went wrong in the task is a LabelFailure, not an exception."""

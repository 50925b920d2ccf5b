"""Trajectories with a varying number of molecules, written while a run goes on.

During the run the file is ``.NAME.part``, appended to; it gets its name once the run is finished. What was written
after the last restart point is cut off when the run continues, so the finished file is the same with and without stops.

``.extxyz``: every frame with the atoms it has (ASE, OVITO). ``.lammpstrj``: LAMMPS dump, for programs that want the
same number of atoms in every frame (MDAnalysis): the finished file has room for the largest number of molecules; the
empty places are atoms of element X at the origin whose column ``present`` is 0.
"""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from alh2.core.errors import BadInputError
from alh2.core.files import fsync_directory
from alh2.core.lammps_cell import lammps_cell

SUFFIXES = (".extxyz", ".lammpstrj")
_HEAD_LINES = 9


@dataclass(frozen=True)
class TrajectorySettings:
    """file : ``.extxyz`` or ``.lammpstrj``; every : measured moves between frames."""

    file: Path
    every: int = 1000

    def __post_init__(self) -> None:
        if Path(self.file).suffix not in SUFFIXES:
            raise BadInputError(
                "trajectory", expected=f"a name ending in {' or '.join(SUFFIXES)}", found=str(self.file)
            )
        if self.every < 1 or int(self.every) != self.every:
            raise BadInputError("trajectory every", expected="a whole number of moves >= 1", found=f"{self.every}")


class TrajectoryWriter:
    """Appends frames of a fixed cell to the file of `settings`."""

    def __init__(self, settings: TrajectorySettings, symbols: tuple[str, ...]) -> None:
        """symbols : elements of one molecule."""
        self._file = Path(settings.file)
        self._part = self._file.with_name(f".{self._file.name}.part")
        self._symbols = symbols
        self._is_dump = self._file.suffix == ".lammpstrj"
        self._handle: io.BufferedRandom | None = None

    def open(self, keep_bytes: int) -> None:
        """Begin (`keep_bytes` 0) or continue after so many bytes; raises BadInputError where these are not there."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        if keep_bytes == 0:
            self._handle = open(self._part, "w+b")
            return
        size = self._part.stat().st_size if self._part.exists() else 0
        if size < keep_bytes:
            raise BadInputError(
                str(self._part),
                expected=f"the {keep_bytes} bytes written before the restart point",
                found=f"{size} bytes" if size else "no such file",
                action="remove the restart file to start afresh",
            )
        self._handle = open(self._part, "r+b")
        self._handle.truncate(keep_bytes)
        self._handle.seek(keep_bytes)

    def add(self, framework: Atoms, guests_ang: np.ndarray, *, move: int, energy_ev: float) -> None:
        """Append a frame: `framework` and guests (n_molecules, n_sites, 3) Å."""
        assert self._handle is not None
        text = (
            self._dump_frame(framework, guests_ang, move)
            if self._is_dump
            else extxyz_frame(framework, self._symbols, guests_ang, move=move, energy_ev=energy_ev)
        )
        self._handle.write(text.encode())

    def flush(self) -> int:
        """Bytes written so far, safely on the disk."""
        assert self._handle is not None
        self._handle.flush()
        os.fsync(self._handle.fileno())
        return self._handle.tell()

    def close(self) -> None:
        """Leave the part file as it is."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def finish(self) -> None:
        """Give the finished file its name; harmless where that was done before."""
        if self._handle is None:
            return
        self.flush()
        self.close()
        if self._is_dump:
            padded = self._part.with_name(f".{self._file.name}.padded")
            _pad(self._part, padded)
            os.replace(padded, self._file)
            self._part.unlink()
        else:
            os.replace(self._part, self._file)
        fsync_directory(self._file.parent)

    def finished_before(self) -> bool:
        """Whether the file has its name already and nothing is left to be done."""
        return self._file.exists() and not self._part.exists()

    def _dump_frame(self, framework: Atoms, guests_ang: np.ndarray, move: int) -> str:
        box, turn = lammps_cell(np.array(framework.cell))
        symbols = framework.get_chemical_symbols() + list(self._symbols) * len(guests_ang)
        kinds = {symbol: number + 1 for number, symbol in enumerate(dict.fromkeys((*symbols, *self._symbols)))}
        xy, xz, yz = box[1, 0], box[2, 0], box[2, 1]
        low = (min(0.0, xy, xz, xy + xz), min(0.0, yz), 0.0)
        high = (box[0, 0] + max(0.0, xy, xz, xy + xz), box[1, 1] + max(0.0, yz), box[2, 2])
        lines = ["ITEM: TIMESTEP", str(move), "ITEM: NUMBER OF ATOMS", str(len(symbols))]
        lines.append("ITEM: BOX BOUNDS xy xz yz pp pp pp")
        lines += [f"{a:.10g} {b:.10g} {c:.10g}" for a, b, c in zip(low, high, (xy, xz, yz), strict=True)]
        lines.append("ITEM: ATOMS id type element x y z present")
        positions = np.concatenate([framework.positions, guests_ang.reshape(-1, 3)]) @ turn
        for number, (symbol, (x, y, z)) in enumerate(zip(symbols, positions.tolist(), strict=True)):
            lines.append(f"{number + 1} {kinds[symbol]} {symbol} {x:.8f} {y:.8f} {z:.8f} 1")
        return "\n".join(lines) + "\n"


def extxyz_frame(
    framework: Atoms, symbols: tuple[str, ...], guests_ang: np.ndarray, *, move: int, energy_ev: float
) -> str:
    """One frame of extended XYZ: host first, then the molecules; ``info`` tells move, energy and numbers."""
    from ase.io import write

    n = len(guests_ang)
    atoms = Atoms(
        framework.get_chemical_symbols() + list(symbols) * n,
        np.concatenate([framework.positions, guests_ang.reshape(-1, 3)]),
        cell=framework.cell,
        pbc=True,
    )
    atoms.info.update(move=move, energy_ev=energy_ev, n_host=len(framework), n_adsorbed=n)
    buffer = io.StringIO()
    write(buffer, atoms, format="extxyz")
    return buffer.getvalue()


def _dump_frames(path: Path) -> Iterator[tuple[list[str], list[str]]]:
    """(head, atoms) lines of each frame of a dump."""
    with open(path, encoding="utf-8") as handle:
        while head := list(itertools.islice(handle, _HEAD_LINES)):
            yield head, list(itertools.islice(handle, int(head[3])))


def _pad(path: Path, padded: Path) -> None:
    """Copy of the dump `path` in which every frame has as many atoms as the largest."""
    frames = ((len(atoms), {int(line.split()[1]) for line in atoms}) for _, atoms in _dump_frames(path))
    room = 0
    kinds: set[int] = set()
    for n, types in frames:
        room, kinds = max(room, n), kinds | types
    nothing = max(kinds, default=0) + 1
    with open(padded, "w", encoding="utf-8") as handle:
        for head, atoms in _dump_frames(path):
            head[3] = f"{room}\n"
            empty = (f"{i + 1} {nothing} X 0 0 0 0\n" for i in range(len(atoms), room))
            handle.writelines((*head, *atoms, *empty))
        handle.flush()
        os.fsync(handle.fileno())

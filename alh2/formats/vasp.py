"""VASP ``OUTCAR`` and ``vasprun.xml`` (plain or gzip), step by step.

Convergence is decided by counting electronic iterations against NELM: VASP 5.4 prints "aborting loop because EDIFF
is reached" even when NELM is exhausted. Energies are the free energies (TOTEN, e_fr_energy), which are what the
forces are derivatives of. Atoms, cell and forces stay in the file's orientation.
"""

from __future__ import annotations

import gzip
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from alh2.core.errors import BadInputError
from alh2.core.units import KB_EV_PER_K
from alh2.formats.trajectory import Step, Trajectory

_NELM = re.compile(r"NELM\s*=\s*(\d+)")
_ITERATION = re.compile(r"Iteration\s*(\d+)\(\s*(\d+)\)")
_TEMPERATURE = re.compile(r"\(temperature\s*([\d.]+)\s*K\)")
_FORMULA_TOKEN = re.compile(r"([A-Z][a-z]?)(\d+)")
_TITLE_WIDTH = 40
_MD = 0


def open_text(path: Path) -> IO[str]:
    """`path` as text, through gzip where its name ends in ``.gz``; raises BadInputError where it is absent."""
    try:
        if path.suffix == ".gz":
            return gzip.open(path, "rt", errors="replace")
        return open(path, errors="replace")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise BadInputError(str(path), expected="a file", found=error.strerror or "none") from None


def read_outcar(path: Path) -> Trajectory:
    """Steps of an OUTCAR; raises BadInputError where it is no OUTCAR or a step cannot be read."""
    with open_text(path) as handle:
        try:
            return _OutcarReader(path, handle).read()
        except EOFError:
            raise BadInputError(str(path), expected="a whole gzip file", found="a truncated one") from None


class _OutcarReader:
    """State of one pass over an OUTCAR."""

    def __init__(self, path: Path, lines: Iterator[str]) -> None:
        self.path = path
        self.lines = lines
        self.species: list[str] = []
        self.potcars: list[str] = []
        self.counts: list[int] = []
        self.title = ""
        self.nelm = 0
        self.ibrion: int | None = None
        self.potim = 0.0
        self.steps: list[Step] = []
        self.finished = False
        self._new_step()

    def _new_step(self) -> None:
        self.iterations = 0
        self.unconverged = False
        self.cell: np.ndarray | None = None
        self.table: np.ndarray | None = None

    @property
    def _where(self) -> str:
        return f"{self.path}, frame {len(self.steps) + 1}"

    def read(self) -> Trajectory:
        for line in self.lines:
            if not self.iterations and not self.steps:
                self._header(line)
            self._body(line)
        if not self.counts or not self.nelm:
            raise BadInputError(
                str(self.path), expected="a VASP OUTCAR with NELM and ions per type", found="neither of them",
                action="check the file and --format",
            )  # fmt: skip
        truncated = ""
        if self.iterations:
            truncated = f"frame {len(self.steps) + 1} breaks off"
        elif not self.finished:
            truncated = f"the file ends after frame {len(self.steps)} without VASP's closing timing report"
        return Trajectory(str(self.path), tuple(self.steps), self.potim if self.ibrion == _MD else None, truncated)

    def _header(self, line: str) -> None:
        if "TITEL" in line:
            self.species.append(re.split(r"[_.\d]", line.split()[3])[0])
        elif line.lstrip().startswith("POTCAR:"):
            self.potcars.append(re.split(r"[_.\d]", line.split()[2])[0])
        elif "ions per type" in line:
            self.counts = [int(word) for word in line.split("=")[1].split()]
        elif line.lstrip().startswith("POSCAR ="):
            self.title = line.split("=", 1)[1].strip()
        elif " NELM " in line and not self.nelm and (match := _NELM.search(line)):
            self.nelm = int(match[1])
        elif line.lstrip().startswith("IBRION") and (match := re.search(r"=\s*(-?\d+)", line)):
            self.ibrion = int(match[1])
        elif line.lstrip().startswith("POTIM") and (match := re.search(r"=\s*([\d.]+)", line)):
            self.potim = float(match[1])

    def _body(self, line: str) -> None:
        if "Iteration" in line and (match := _ITERATION.search(line)):
            if not self.steps and not self.iterations:
                self.symbols = self._symbols()
            self.iterations = int(match[2])
        elif not self.iterations:
            if "(temperature" in line and self.steps:
                self._temperature(line)
            elif "General timing and accounting" in line:
                self.finished = True
        elif "EDIFF was not reached" in line:
            self.unconverged = True
        elif "VOLUME and BASIS" in line:
            self.cell = self._cell()
        elif "TOTAL-FORCE" in line and " ML " not in line:
            self.table = self._table()
        elif "free  energy   TOTEN" in line:
            self._finish_step(line)

    def _symbols(self) -> tuple[str, ...]:
        counts = self.counts
        species = (self.species or self.potcars[: len(self.potcars) // 2])[: len(counts)]  # POTCAR: lines come twice
        if len(species) != len(counts):
            raise BadInputError(
                str(self.path), expected=f"{len(counts)} POTCAR titles for {len(counts)} atom types",
                found=str(len(species)), action="read vasprun.xml instead",
            )  # fmt: skip
        _check_title(self.path, self.title, species, counts)
        return tuple(s for s, n in zip(species, counts, strict=True) for _ in range(n))

    def _cell(self) -> np.ndarray | None:
        for line in self.lines:
            if "direct lattice vectors" in line:
                rows = [next(self.lines, "").replace("-", " -").split()[:3] for _ in range(3)]
                return self._numbers(rows, (3, 3), "three lattice vectors")
        return None

    def _table(self) -> np.ndarray | None:
        next(self.lines, "")
        rows = [next(self.lines, "") for _ in self.symbols]
        if any(not row for row in rows):
            return None
        return self._numbers([row.split()[:6] for row in rows], (len(rows), 6), "positions and forces")

    def _numbers(self, rows: list[list[str]], shape: tuple[int, int], what: str) -> np.ndarray | None:
        if not rows[-1]:
            return None
        try:
            values = np.array(rows, dtype=np.float64)
        except ValueError as error:
            raise BadInputError(self._where, expected=what, found=str(error), action="drop this run") from None
        if values.shape != shape:
            raise BadInputError(self._where, expected=f"{what} {shape}", found=str(values.shape))
        return values

    def _finish_step(self, line: str) -> None:
        try:
            energy = float(line.split("=")[1].split()[0])
        except (IndexError, ValueError):
            raise BadInputError(self._where, expected="TOTEN in eV", found=line.strip()) from None
        if self.cell is None or self.table is None:
            missing = "cell" if self.cell is None else "forces"
            raise BadInputError(self._where, expected="cell, positions, forces and energy", found=f"no {missing}")
        converged = self.iterations < self.nelm and not self.unconverged
        self.steps.append(
            Step(
                len(self.steps) + 1, self.symbols, self.table[:, :3], self.cell, energy, self.table[:, 3:], converged
            )  # fmt: skip
        )
        self._new_step()

    def _temperature(self, line: str) -> None:
        if match := _TEMPERATURE.search(line):
            last = self.steps[-1]
            self.steps[-1] = Step(
                last.number, last.symbols, last.positions_ang, last.cell_ang, last.energy_ev, last.forces_ev_ang,
                last.converged, float(match[1]),
            )  # fmt: skip


def _check_title(path: Path, title: str, species: list[str], counts: list[int]) -> None:
    """Compare the POSCAR title with the POTCAR order where the title is an explicit formula (Li3 F39 …)."""
    tokens = title.split()
    if len(title) >= _TITLE_WIDTH:
        tokens = tokens[:-1]
    matches = [_FORMULA_TOKEN.fullmatch(token) for token in tokens]
    if len(tokens) < 2 or not all(matches):
        return
    stated: dict[str, int] = {}
    for match in matches:
        if match:
            stated[match[1]] = stated.get(match[1], 0) + int(match[2])
    used: dict[str, int] = {}
    for symbol, count in zip(species, counts, strict=True):
        used[symbol] = used.get(symbol, 0) + count
    if any(used.get(symbol) != count for symbol, count in stated.items()):
        raise BadInputError(
            str(path), expected=f"elements as in the POSCAR title ({title})",
            found=" ".join(f"{s}{n}" for s, n in used.items()) + " from POTCAR and ions per type",
            action="VASP pairs POTCAR order with POSCAR counts: the run used the wrong elements, or the title is stale",
        )  # fmt: skip


def read_vasprun(path: Path) -> Trajectory:
    """Steps of a vasprun.xml(.gz); raises BadInputError where it is none or a step cannot be read.

    Temperatures follow from the kinetic energy with 3N - 3 degrees of freedom, as VASP prints them.
    """
    nelm, ibrion, potim = 0, -1, 0.0
    symbols: tuple[str, ...] = ()
    steps: list[Step] = []
    truncated = ""
    with open_text(path) as handle:
        try:
            for _, element in ET.iterparse(handle):
                if element.tag == "parameters":
                    nelm = int(_named(element, "NELM") or 0)
                    ibrion = int(_named(element, "IBRION") or -1)
                    potim = float(_named(element, "POTIM") or 0.0)
                elif element.tag == "atominfo":
                    rows = element.findall("array[@name='atoms']/set/rc")
                    symbols = tuple((row.findtext("c") or "").strip() for row in rows)
                elif element.tag == "calculation":
                    steps.append(_calculation(path, element, len(steps) + 1, symbols=symbols, nelm=nelm))
                    element.clear()
        except (ET.ParseError, EOFError, gzip.BadGzipFile) as error:
            if not symbols:
                raise BadInputError(str(path), expected="a vasprun.xml", found=f"{error}") from None
            truncated = f"the file breaks off in frame {len(steps) + 1} ({error})"
    if not symbols or not nelm:
        raise BadInputError(str(path), expected="a vasprun.xml with atoms and NELM", found="neither of them")
    return Trajectory(str(path), tuple(steps), potim if ibrion == _MD else None, truncated)


def _named(element: ET.Element, name: str) -> str | None:
    found = element.find(f".//i[@name='{name}']")
    return None if found is None else found.text


def _calculation(path: Path, element: ET.Element, number: int, *, symbols: tuple[str, ...], nelm: int) -> Step:
    where = f"{path}, frame {number}"
    cell = _varray(element.find("structure/crystal/varray[@name='basis']"), where, "cell", 3)
    scaled = _varray(element.find("structure/varray[@name='positions']"), where, "positions", len(symbols))
    forces = _varray(element.find("varray[@name='forces']"), where, "forces", len(symbols))
    energies = {i.get("name"): i.text or "" for i in element.findall("energy/i")}
    try:
        energy = float(energies["e_fr_energy"])
        kinetic = float(energies["kinetic"]) if "kinetic" in energies else None
    except (KeyError, ValueError) as error:
        raise BadInputError(where, expected="e_fr_energy in eV", found=str(error)) from None
    degrees = 3 * len(symbols) - 3
    temperature = 2.0 * kinetic / (degrees * KB_EV_PER_K) if kinetic is not None and degrees else None
    converged = len(element.findall("scstep")) < nelm
    return Step(number, symbols, scaled @ cell, cell, energy, forces, converged, temperature)


def _varray(element: ET.Element | None, where: str, what: str, n: int) -> np.ndarray:
    if element is None:
        raise BadInputError(where, expected=what, found="none")
    try:
        values = np.array([(v.text or "").split() for v in element.findall("v")], dtype=np.float64)
    except ValueError as error:
        raise BadInputError(where, expected=f"{what} as numbers", found=str(error)) from None
    if values.shape != (n, 3):
        raise BadInputError(where, expected=f"{what} of shape ({n}, 3)", found=str(values.shape))
    return values

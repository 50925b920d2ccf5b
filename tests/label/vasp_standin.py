#!/usr/bin/env python3
"""A program that stands in for VASP in tests: python vasp_standin.py CONFIG, in a folder with VASP's four inputs.

It reads POSCAR, INCAR, KPOINTS and POTCAR as VASP does (elements from POTCAR, counts from POSCAR), computes with the
analytic reference potential, and writes OUTCAR and vasprun.xml in VASP 5.4.4's form, six decimals and all. CONFIG is
a JSON file:

    host      frame of the bare host (alh2.label.files.frame_to_json), or null: gas only
    faults    names of faults; a task gets one of them by chance, see `fault_of`
    fraction  part of the tasks that gets one; seed: another choice
    stubborn  part of those that every recipe fails on; the others are cured by the second or third recipe
    hang_s    how long "hang" hangs
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FAULTS = ("scf", "truncated", "crash", "hang", "atoms", "nan", "energy")
DEFAULT_NELM = 60


@dataclass(frozen=True)
class Inputs:
    """What the four files say; positions (n, 3) Å in the order of POSCAR."""

    symbols: list[str]
    counts: list[int]
    names: list[str]
    titles: list[str]
    title: str
    cell: np.ndarray
    positions: np.ndarray
    incar: dict[str, str]


def read_inputs(folder: Path) -> Inputs:
    lines = (folder / "POSCAR").read_text().splitlines()
    scale = float(lines[1])
    cell = scale * np.array([line.split() for line in lines[2:5]], dtype=float)
    counts = [int(word) for word in lines[6].split()]
    rows = np.array([line.split()[:3] for line in lines[8 : 8 + sum(counts)]], dtype=float)
    positions = scale * rows if lines[7].strip()[0] in "CcKk" else rows @ cell
    titles = re.findall(r"TITEL\s*=\s*(.*)", (folder / "POTCAR").read_text())
    names = [title.split()[1].split("_")[0] for title in titles]
    if len(names) != len(counts):
        sys.exit(f"ERROR: {len(names)} POTCARs for {len(counts)} types")
    kpoints = (folder / "KPOINTS").read_text().split("\n")
    if kpoints[3].split() != ["1", "1", "1"]:
        sys.exit(f"ERROR: gamma-only version of VASP, KPOINTS has {kpoints[3]}")
    incar = dict(re.findall(r"(\w+)\s*=\s*([^\s#!]+)", (folder / "INCAR").read_text()))
    symbols = [name for name, count in zip(names, counts, strict=True) for _ in range(count)]
    return Inputs(symbols, counts, names, titles, lines[0], cell, positions, incar)


def energy_and_forces(inputs: Inputs, host: dict | None) -> tuple[float, np.ndarray]:
    """Reference potential, atoms as in POSCAR. The host's atoms come first within each element, H2 in pairs last."""
    from alh2.core.frames import Frame
    from alh2.label.files import frame_from_json
    from alh2.label.reference_network import build_network
    from alh2.label.reference_pes import reference_energy_forces

    has_host = host is not None and "Al" in inputs.symbols
    reference = frame_from_json(host) if has_host else None
    of_element = {name: [i for i, s in enumerate(inputs.symbols) if s == name] for name in inputs.names}
    order = [of_element[symbol].pop(0) for symbol in (reference.symbols if reference else ())]
    order += of_element.get("H", [])
    symbols = tuple(inputs.symbols[i] for i in order)
    n_host = len(reference.symbols) if reference else 0
    frame = Frame(symbols, inputs.positions[order], inputs.cell, n_host, "node" if n_host else "")
    network = build_network(reference) if reference else None
    energy, forces = reference_energy_forces(frame, network=network)
    ours = np.empty_like(forces)
    ours[order] = forces
    return energy, ours


def fault_of(folder: Path, config: dict) -> tuple[str, bool]:
    """Fault ("" for none) of the task in `folder`, by its name and those of the two folders above, and whether no
    recipe helps. Geometries would be another choice on every processor: trained models draw them."""
    if not config.get("faults"):
        return "", False
    name = "/".join(folder.resolve().parts[-3:])
    digest = hashlib.sha256(f"{config.get('seed', 0)} {name}".encode()).digest()
    chance = int.from_bytes(digest[:4], "big") / 2**32
    if chance >= config["fraction"]:
        return "", False
    fault = config["faults"][digest[4] % len(config["faults"])]
    return fault, digest[5] / 256 < config.get("stubborn", 0.5)


def cured_by(text: str) -> str:
    """ALGO with which a fault that can be cured is."""
    return ("normal", "all")[hashlib.sha256(text.encode()).digest()[6] % 2]


def outcar(inputs: Inputs, energy: float, forces: np.ndarray, *, nelm: int, steps: int) -> str:
    """The lines of OUTCAR that readers look at; energy in eV, forces in eV/Å."""
    bar = "-" * 104
    lines = [" vasp.5.4.4.18Apr17-6-g9f103f2a35 (stand-in for tests) gamma-only", ""]
    lines += [f"   TITEL  = {title}" for title in inputs.titles]
    lines += [
        "   ions per type =         " + "".join(f"{count:4d}" for count in inputs.counts), "",
        f" POSCAR =  {inputs.title[:40]}", "   NWRITE =      2    write-flag & timer",
        f"   NELM   = {nelm:6d};   NELMIN=  4; NELMDL= -5     # of ELM steps ",
        "   NSW    =      0    number of steps for IOM", "   IBRION =     -1    ionic relax: 0-MD 1-quasi-New 2-CG",
        "   POTIM  = 0.5000    time-step for ionic-motion", "",
    ]  # fmt: skip
    for step in range(1, steps + 1):
        lines += [f"{'-' * 41} Iteration {1:4d}({step:4d})  {'-' * 39}", "",
                  f"  free energy    TOTEN  = {energy + 2.0 ** -step:18.8f} eV", ""]  # fmt: skip
    lines += [f"{'-' * 24} aborting loop because EDIFF is reached {'-' * 40}", ""]
    lines += ["  FORCE on cell =-STRESS in cart. coord.  units (eV):", *[""] * 13,
              "  in kB" + "".join(f"{0.0:12.5f}" for _ in range(6)), ""]  # fmt: skip
    lines += [" VOLUME and BASIS-vectors are now :", " " + "-" * 77, "  energy-cutoff  :      480.00",
              f"  volume of cell : {abs(np.linalg.det(inputs.cell)):11.2f}",
              "      direct lattice vectors                 reciprocal lattice vectors"]  # fmt: skip
    inverse = np.linalg.inv(inputs.cell).T
    lines += ["".join(f"{x:14.9f}"[1:] if x >= 0 else f"{x:13.9f}" for x in (*a, *b)) for a, b in
              zip(inputs.cell, inverse, strict=True)]  # fmt: skip
    lines += ["", " POSITION                                       TOTAL-FORCE (eV/Angst)", " " + "-" * 83]
    lines += ["".join(f"{x:13.5f}" for x in r) + "    " + "".join(f"{x:14.6f}" for x in f) for r, f in
              zip(inputs.positions, forces, strict=True)]  # fmt: skip
    lines += [" " + "-" * 83, "    total drift:      0.000000      0.000000      0.000000", "", bar, "",
              "  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)", "  " + "-" * 51,
              f"  free  energy   TOTEN  = {energy:18.8f} eV", "",
              f"  energy  without entropy= {energy:17.8f}  energy(sigma->0) = {energy:17.8f}", "", bar, "",
              " General timing and accounting informations for this job:",
              "                         Elapsed time (sec):        1.000", ""]  # fmt: skip
    return "\n".join(lines)


def vasprun(inputs: Inputs, energy: float, forces: np.ndarray, *, nelm: int, steps: int) -> str:
    """The elements of vasprun.xml that readers look at."""

    def rows(values: np.ndarray) -> str:
        return "".join("<v>" + "".join(f"{x:17.8f}" for x in row) + " </v>\n" for row in values)

    types = [i + 1 for i, count in enumerate(inputs.counts) for _ in range(count)]
    atoms = "".join(f"<rc><c>{s:2s}</c><c>{t:4d}</c></rc>\n" for s, t in zip(inputs.symbols, types, strict=True))
    scaled = inputs.positions @ np.linalg.inv(inputs.cell)
    scsteps = "".join(
        f'<scstep><energy><i name="e_fr_energy">{energy + 2.0**-k:16.8f} </i></energy></scstep>\n'
        for k in range(1, steps + 1)
    )
    return f"""<?xml version="1.0" encoding="ISO-8859-1"?>
<modeling>
<generator><i name="program" type="string">vasp </i></generator>
<parameters><separator name="electronic"><i type="int" name="NELM">{nelm:6d}</i></separator>
<separator name="ionic"><i type="int" name="IBRION">    -1</i><i name="POTIM">  0.50000000</i></separator></parameters>
<atominfo><atoms>{len(inputs.symbols):8d} </atoms><types>{len(inputs.counts):8d} </types>
<array name="atoms" ><field type="string">element</field><field type="int">atomtype</field><set>
{atoms}</set></array></atominfo>
<calculation>
{scsteps}<structure><crystal><varray name="basis" >
{rows(inputs.cell)}</varray></crystal><varray name="positions" >
{rows(scaled)}</varray></structure>
<varray name="forces" >
{rows(forces)}</varray>
<energy><i name="e_fr_energy">{energy:16.8f} </i><i name="e_wo_entrp">{energy:16.8f} </i></energy>
</calculation>
</modeling>
"""


def main() -> int:
    config = json.loads(Path(sys.argv[1]).read_text())
    folder = Path()
    text = (folder / "POSCAR").read_text()
    inputs = read_inputs(folder)
    fault, stubborn = fault_of(folder, config)
    algo = inputs.incar.get("ALGO", "Fast").lower()
    if fault and not stubborn and algo in (cured_by(text), "all"):
        fault = ""
    nelm = int(inputs.incar.get("NELM", DEFAULT_NELM))
    with open("standin.log", "a") as log:
        log.write(f"{algo} {nelm} {fault or 'fine'} wavecar={Path('WAVECAR').exists()}\n")
    if fault == "hang":
        time.sleep(config.get("hang_s", 60.0))
    if fault == "crash":
        (folder / "OUTCAR").write_text(" vasp.5.4.4 (stand-in for tests)\n")
        print("forrtl: severe (174): SIGSEGV, segmentation fault occurred", file=sys.stderr)
        return 174
    energy, forces = energy_and_forces(inputs, config.get("host"))
    if fault == "atoms":
        inputs = Inputs(inputs.symbols[:-1], [*inputs.counts[:-1], inputs.counts[-1] - 1], inputs.names, inputs.titles,
                        "of another run", inputs.cell, inputs.positions[:-1], inputs.incar)  # fmt: skip
        forces = forces[:-1]
    if fault == "nan":
        forces[0, 0] = np.nan
    if fault == "energy":
        energy += 500.0
    steps = nelm if fault == "scf" else min(11, nelm - 1)
    written = outcar(inputs, energy, forces, nelm=nelm, steps=steps)
    if fault == "truncated":
        written = written[: written.index("TOTAL-FORCE") + 400]
    (folder / "OUTCAR").write_text(written)
    (folder / "vasprun.xml").write_text(vasprun(inputs, energy, forces, nelm=nelm, steps=steps))
    if inputs.incar.get("LWAVE", "T").strip(".")[0].upper() == "T":
        (folder / "WAVECAR").write_text(f"orbitals of {inputs.title}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

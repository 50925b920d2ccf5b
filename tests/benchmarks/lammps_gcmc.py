"""LAMMPS `fix gcmc ... full_energy` on the benchmark's case: trials per second."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from ase.data import atomic_masses, atomic_numbers
from paper_size import Case

from alh2.core.lammps_cell import lammps_cell
from alh2.potential.libraries import quiet_environment

INPUT = """units metal
atom_style molecular
boundary p p p
read_data case.data extra/special/per/atom 4
pair_style deepmd {model}
pair_coeff * * {elements} H
neighbor 2.0 bin
neigh_modify every 1 delay 0 check no
molecule h2 h2.mol
group guest type {guest}
compute_modify thermo_temp dynamic/dof yes
fix gcmc guest gcmc 1 {exchanges} {moves} 0 {seed} {temperature} 0.0 {translation} &
  mol h2 mcmoves 0 50 50 maxangle {angle} pressure {pressure} fugacity_coeff 1.0 full_energy intra_energy {gas}
thermo 1
thermo_style custom step atoms f_gcmc[1] f_gcmc[2] f_gcmc[3] f_gcmc[4] f_gcmc[5] f_gcmc[6] f_gcmc[7] f_gcmc[8]
run 1
"""


def write_case(case: Case, type_map: tuple[str, ...], folder: Path) -> None:
    """Data file (guest H is a type of its own) and molecule template."""
    whole, n_host = case.whole, len(case.framework)
    box, turn = lammps_cell(whole.cell.array)
    guest = len(type_map) + 1
    masses = [atomic_masses[atomic_numbers[s]] for s in (*type_map, "H")]
    lines = ["# benchmark", "", f"{len(whole)} atoms", f"{guest} atom types", ""]
    lines += [f"0.0 {box[i, i]:.16g} {axis}lo {axis}hi" for i, axis in enumerate("xyz")]
    lines += [f"{box[1, 0]:.16g} {box[2, 0]:.16g} {box[2, 1]:.16g} xy xz yz", "", "Masses", ""]
    lines += [f"{k + 1} {mass}" for k, mass in enumerate(masses)]
    lines += ["", "Atoms # molecular", ""]
    for i, position in enumerate(whole.positions @ turn):
        kind = type_map.index(whole.symbols[i]) + 1 if i < n_host else guest
        molecule = 0 if i < n_host else (i - n_host) // 2 + 1
        lines.append(f"{i + 1} {molecule} {kind} " + " ".join(f"{x:.16g}" for x in position))
    (folder / "case.data").write_text("\n".join(lines) + "\n")
    half = 0.5 * case.whole.get_distance(n_host, n_host + 1)
    (folder / "h2.mol").write_text(
        f"# H2\n\n2 atoms\n\nCoords\n\n1 {-half} 0 0\n2 {half} 0 0\n\nTypes\n\n1 {guest}\n2 {guest}\n"
        "\nMasses\n\n1 1.008\n2 1.008\n"
    )


def lammps_rate(folder: Path, values: dict[str, object], *, threads: int) -> tuple[float, float, float]:
    """Trials per second and per processor second, molecules at the end.

    Attempted moves over the time LAMMPS spends in the fix, and over its share of processor use in that time.
    """
    (folder / "in.gcmc").write_text(INPUT.format(**values))
    environment = {
        **quiet_environment(),
        "OMP_NUM_THREADS": str(threads),
        "DP_INTRA_OP_PARALLELISM_THREADS": str(threads),
        "DP_INTER_OP_PARALLELISM_THREADS": "1",
    }
    program = Path(os.sys.executable).parent / "lmp"
    done = subprocess.run(
        [str(program), "-in", "in.gcmc"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"LAMMPS failed:\n{done.stdout[-2000:]}")
    spent = re.search(r"^Modify\s*\|\s*([\d.eE+-]+)", done.stdout, re.MULTILINE)
    last = [line.split() for line in done.stdout.splitlines() if re.match(r"^\s+1\s+\d+\s", line)][-1]
    translations, _, insertions, _, deletions, _, rotations, _ = (float(x) for x in last[2:10])
    trials = translations + insertions + deletions + rotations
    use = re.search(r"^([\d.]+)% CPU use", done.stdout, re.MULTILINE)
    assert spent is not None and use is not None
    rate = trials / float(spent.group(1))
    return rate, rate / (0.01 * float(use.group(1))), 0.5 * (int(last[1]) - int(str(values["n_host"])))

"""Path-integral MD as tasks: LAMMPS `fix pimd/langevin`, one partition per bead, started by an MPI launcher.

Normal modes of the ring polymer carry physical masses (all modes the same), the PILE_L thermostat (Ceriotti et al.,
J. Chem. Phys. 133, 124104, 2010) and P times the temperature. The fix leaves velocities in normal modes and knows no
restart, so each segment draws its velocities anew: a step of the Markov chain that leaves the distribution unchanged.
What it samples is structure and energy; its motion has no times of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from alh2.config.commands import brings_programs, has_launcher, is_local, resolve_command
from alh2.config.model import StageMachine
from alh2.core.errors import BadInputError
from alh2.core.frames import Frame
from alh2.core.units import KB_EV_PER_K
from alh2.explore.lammps import CONF_FILE, INPUT_FILE, LOG_FILE, read_trajectory
from alh2.production.md_plan import MdPlan, MdRunsSetting, force_lines

YIELDING = "MPIR_CVAR_POLLS_BEFORE_YIELD=1 MPIR_CVAR_ENABLE_HEAVY_YIELD=1"
"""MPICH: a bead that waits gives its processor to others, without which more beads than processors hardly move."""
_SEEDS = 100_000_000


@dataclass(frozen=True)
class BeadFiles:
    """Files that one bead writes; `name` is its number as LAMMPS pads it."""

    name: str

    @property
    def trajectory(self) -> str:
        """Positions."""
        return f"bead.{self.name}.lammpstrj"

    @property
    def end(self) -> str:
        """Restart file at the end of a segment."""
        return f"end.{self.name}.restart"

    @property
    def deviation(self) -> str:
        """Deviation of the committee."""
        return f"model_devi.{self.name}.out"

    @property
    def energies(self) -> str:
        """Terms of the energy."""
        return f"energies.{self.name}.dat"


def beads_of(n_beads: int) -> tuple[BeadFiles, ...]:
    """All beads in order."""
    width = len(str(n_beads))
    return tuple(BeadFiles(f"{k + 1:0{width}d}") for k in range(n_beads))


@dataclass(frozen=True)
class BeadEnergies:
    """Energies of the whole cell in one frame, eV.

    kinetic_virial_ev, kinetic_primitive_ev : the centroid-virial and the primitive estimator, both means the same
    potential_ev : mean over beads
    """

    kinetic_virial_ev: float
    kinetic_primitive_ev: float
    potential_ev: float


def pimd_command(plan: MdPlan, command: str, machine: StageMachine) -> str:
    """Shell line of one segment; raises BadInputError where `command` brings a launcher of its own."""
    if has_launcher(command):
        raise BadInputError(
            "model_devi command", expected="LAMMPS alone (--launcher starts it with one process per bead)",
            found=command, action="take the launcher out of the machine file or use another one",
        )  # fmt: skip
    if "{beads}" not in plan.launcher:
        raise BadInputError("--launcher", expected="a command such as 'mpirun -np {beads}'", found=plan.launcher)
    launcher = plan.launcher.replace("{beads}", str(plan.n_beads))
    if is_local(machine.machine["context_type"]) and not brings_programs(machine.resources):
        launcher = resolve_command(launcher)
    return f"{YIELDING} {launcher} {command} -partition {plan.n_beads}x1 -i {INPUT_FILE} -log {LOG_FILE} -screen none"


def pimd_input(
    plan: MdPlan, setting: MdRunsSetting, *, temperature_k: float, number: int, seed: int, models: tuple[str, ...]
) -> str:
    """LAMMPS input of segment `number`, the same for all beads, whose number is the variable ``bead``."""
    one = BeadFiles("${bead}")
    deviation = f" out_freq {plan.sample_every} out_file {one.deviation}" if len(models) > 1 else ""
    own_seed = 1 + (seed + 7919 * number) % _SEEDS
    lines = [f"variable bead uloop {plan.n_beads} pad", f"variable drawn equal {own_seed}+104729*v_bead"]
    read = f"read_restart ../seg.{number - 1:03d}/{one.end}" if number else f"read_data {CONF_FILE}"
    lines += force_lines(setting, read, models, deviation)
    lines += [f"timestep {plan.dt_ps}", f"thermo {plan.sample_every}", "thermo_style custom step pe"]
    lines.append("thermo_modify lost error flush yes")
    lines.append(f"velocity all create {temperature_k * plan.n_beads} ${{drawn}} mom yes rot no dist gaussian")
    lines.append(pimd_fix(temperature_k, plan.thermostat_ps, own_seed))
    if not number and plan.n_equilibration:
        lines.append(f"run {plan.n_equilibration}")
    every = plan.sample_every
    lines += [
        f"dump frames all custom {every} {one.trajectory} id type xu yu zu",
        'dump_modify frames sort id format float "%.10g"',
        f"fix energies all ave/time {every} 1 {every} f_motion[2] f_motion[3] f_motion[7] file {one.energies} "
        'format " %.12g"',
        f"run {plan.segments[number]}",
        f"write_restart {one.end}",
    ]
    return "\n".join(lines) + "\n"


def pimd_fix(temperature_k: float, thermostat_ps: float, seed: int) -> str:
    """The fix that moves all beads, named ``motion``; its vector holds spring, potential and centroid-virial energy."""
    return (
        f"fix motion all pimd/langevin method nmpimd ensemble nvt integrator obabo fmmode physical fmass 1.0 sp 1.0 "
        f"temp {temperature_k} thermostat PILE_L {seed} tau {thermostat_ps} scale 1.0 fixcom no"
    )


def read_bead_frames(folder: Path, n_beads: int, template: Frame) -> list[tuple[int, list[Frame]]]:
    """(step, frame of each bead) for all steps that every bead wrote."""
    beads = [dict(read_trajectory(folder / bead.trajectory, template)) for bead in beads_of(n_beads)]
    return [(step, [bead[step] for bead in beads]) for step in beads[0] if all(step in bead for bead in beads)]


def read_energies(folder: Path, n_beads: int, *, n_atoms: int, temperature_k: float) -> dict[int, BeadEnergies]:
    """Energies per step, of the steps that every bead wrote.

    Kinetic: 3NPkT/2 - Σ springs/P (primitive), and 3NkT/2 - ½⟨Σ_beads (r - r_centroid)·F⟩/P (centroid virial; Herman,
    Bruskin and Berne, J. Chem. Phys. 76, 5150, 1982), the latter as LAMMPS has it.
    """
    tables = [_rows(folder / bead.energies) for bead in beads_of(n_beads)]
    found = {}
    for step, (_, _, virial) in tables[0].items():
        if all(step in table for table in tables):
            springs, potential = (sum(table[step][k] for table in tables) for k in (0, 1))
            free = 1.5 * n_atoms * n_beads * KB_EV_PER_K * temperature_k
            found[step] = BeadEnergies(virial, free - springs / n_beads, potential / n_beads)
    return found


def _rows(path: Path) -> dict[int, tuple[float, float, float]]:
    """Whole rows of a file of `fix ave/time`."""
    if not path.exists():
        return {}
    text = path.read_text(errors="replace")
    rows = [line.split() for line in text[: text.rfind("\n") + 1].splitlines() if not line.startswith("#")]
    return {int(row[0]): (float(row[1]), float(row[2]), float(row[3])) for row in rows if len(row) == 4}


def centroid(frames: list[Frame]) -> Frame:
    """The mean of the beads (positions are unwrapped), as a frame."""
    return replace(frames[0], positions_ang=np.mean([frame.positions_ang for frame in frames], axis=0))


def worst(deviations: list[dict[int, float]], step: int) -> float:
    """The largest deviation of the beads at `step`, NaN where one is unknown."""
    values = [one.get(step, math.nan) for one in deviations]
    return math.nan if any(math.isnan(value) for value in values) else max(values)

"""What production MD is asked for, and the LAMMPS input of one of its segments."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from alh2.config.model import ProductionConfig, SelectConfig
from alh2.core.errors import BadInputError
from alh2.core.frames import Frame
from alh2.core.nuclei import CLASSICAL_WORDS
from alh2.explore.lammps import CONF_FILE, DEVIATION_FILE, TRAJECTORY_FILE
from alh2.potential.lammps_forces import FORCE_PAIRS_FILE, TABLE_FILE, LammpsForces
from alh2.select.sanity import HostBonds

END_FILE = "end.restart"
Ensemble = Literal["nvt", "nve"]
Policy = Literal["flag", "cut", "stop"]
N_REPLICAS = 2
"""Runs at each temperature unless told, so that there is a scatter and more than one model."""
EQUILIBRATION_FRACTION = 0.2
SEGMENT_STEPS = 50_000
MOVED_BY_LAMMPS = "moved by LAMMPS with one committee for all atoms"


@dataclass(frozen=True)
class MdPlan:
    """Replicas at several temperatures, in segments that go on from LAMMPS restart files.

    n_equilibration : NVT steps before, not analysed; n_steps : after them, in segments of `segment_steps`
    sample_every : steps between frames and between committee deviations; it divides all lengths
    ensemble : after the equilibration: "nvt" (Nosé–Hoover, `thermostat_ps`), or "nve", which no thermostat touches
    trusted_ev_ang : force deviation (eV/Å) from which a frame is outside what the committee knows; None: not watched
    frozen_host : only the molecules move, on the host as the start has it (as in Monte Carlo)
    committee : replicas take turns through the models, each moved by the forces of one of them; False: all by the first
    probe : MPI ranks and threads are those that a short measured probe found fastest
    n_beads : of path-integral MD (`alh2.production.pimd`), which has no "nve"; 1: classical nuclei
    launcher : starts one process per bead, {beads} of them
    on_untrusted : "flag": the run goes on and is marked; "cut": it ends with the segment, and only frames before the
        first untrusted one are analysed; "stop": a person decides
    """

    temperatures_k: tuple[float, ...]
    n_replicas: int
    n_steps: int
    n_equilibration: int
    segment_steps: int
    dt_ps: float
    sample_every: int
    ensemble: Ensemble = "nvt"
    thermostat_ps: float = 0.1
    frozen_host: bool = False
    trusted_ev_ang: float | None = None
    on_untrusted: Policy = "flag"
    committee: bool = True
    probe: bool = True
    n_beads: int = 1
    launcher: str = "mpirun -np {beads}"

    def __post_init__(self) -> None:
        temperatures = self.temperatures_k
        if not temperatures or not all(math.isfinite(t) and t > 0 for t in temperatures):
            raise BadInputError("temperature", expected="positive numbers, at least one", found=f"{list(temperatures)}")
        if len({f"{t:g}" for t in temperatures}) < len(temperatures):
            raise BadInputError(
                "temperature", expected="numbers that differ in six digits", found=f"{list(temperatures)}"
            )
        counts = {"replicas": self.n_replicas, "steps": self.n_steps, "steps of a segment": self.segment_steps}
        for name, value in (*counts.items(), ("steps between frames", self.sample_every)):
            if value < 1:
                raise BadInputError(name, expected="a whole number >= 1", found=f"{value}")
        for name, value in (
            ("steps", self.n_steps),
            ("steps of a segment", self.segment_steps),
            ("steps of equilibration", self.n_equilibration),
        ):
            if value < 0 or value % self.sample_every:
                expected = f"a multiple of the {self.sample_every} steps between frames"
                raise BadInputError(name, expected=expected, found=f"{value}")
        if self.n_beads < 1:
            raise BadInputError("beads", expected="a whole number >= 1", found=f"{self.n_beads}")
        if self.n_beads > 1 and self.ensemble == "nve":
            raise BadInputError("ensemble", expected="nvt with path-integral MD", found="nve")
        if self.n_beads > 1 and self.frozen_host:
            raise BadInputError("frozen host", expected="a host that moves with path-integral MD", found="a frozen one")

    @property
    def nuclei(self) -> str:
        """How nuclei are treated, in words."""
        if self.n_beads > 1:
            return f"quantum: path-integral MD, {self.n_beads} beads"
        return f"{CLASSICAL_WORDS}, frozen host" if self.frozen_host else CLASSICAL_WORDS

    @property
    def segments(self) -> tuple[int, ...]:
        """Steps of each segment."""
        whole, rest = divmod(self.n_steps, self.segment_steps)
        return (self.segment_steps,) * whole + ((rest,) if rest else ())

    def member(self, replica: int, n_models: int) -> int:
        """The model whose forces move a replica."""
        return replica % n_models if self.committee else 0

    @property
    def frame_ps(self) -> float:
        """Time between frames, ps."""
        return self.dt_ps * self.sample_every


def standard_plan(
    production: ProductionConfig,
    temperatures_k: tuple[float, ...],
    *,
    n_replicas: int = N_REPLICAS,
    n_steps: int | None = None,
    frozen_host: bool = False,
) -> MdPlan:
    """MD of the length of ``alh2.production`` unless told, and a fifth of it before as equilibration."""
    every = production.md_sample_every
    steps = n_steps if n_steps is not None else max(every, every * (production.md_steps // every))
    return MdPlan(
        temperatures_k=tuple(sorted(temperatures_k)),
        n_replicas=n_replicas,
        n_steps=steps,
        n_equilibration=every * int(EQUILIBRATION_FRACTION * steps / every),
        segment_steps=min(steps, every * max(1, SEGMENT_STEPS // every)),
        dt_ps=production.md_dt_ps,
        sample_every=every,
        frozen_host=frozen_host,
    )


@dataclass(frozen=True, eq=False)
class MdRunsSetting:
    """Where and with what the runs are done.

    graphs : committee as LAMMPS reads it, with `forces`
    start, other_starts : what the first replica begins with, and those after it, which take turns through all of them;
        the same atoms, cell and host
    interaction, under : graphs of models of interaction energies and their pair baselines, which move the molecules by
        ASE; () where they are not to, and LAMMPS does it with `graphs`
    hosts, springs : models of the bare host, which move it beside them, () where it stands still; and the springs
        under each (`alh2.potential.host_springs`), () for none
    command, python : LAMMPS, and the interpreter of alh2 on the machine that runs it
    sanity, bonds : what a sound geometry is (`alh2.select.sanity`)
    """

    directory: Path
    graphs: tuple[Path, ...]
    forces: LammpsForces
    masses_amu: tuple[float, ...]
    start: Frame
    root_seed: int
    command: str
    python: str
    sanity: SelectConfig
    bonds: HostBonds
    interaction: tuple[Path, ...] = ()
    under: tuple[Path, ...] = ()
    hosts: tuple[Path, ...] = ()
    springs: tuple[Path, ...] = ()
    other_starts: tuple[Frame, ...] = ()

    def start_of(self, replica: int) -> Frame:
        """What a replica begins with."""
        starts = (self.start, *self.other_starts)
        return starts[replica % len(starts)]

    @property
    def shared_files(self) -> list[str]:
        """What every run reads, as seen from `directory`."""
        tables = [] if self.forces.baseline is None else [TABLE_FILE]
        return [os.path.relpath(graph, self.directory) for graph in self.graphs] + tables


def by_ase(plan: MdPlan, setting: MdRunsSetting) -> bool:
    """Whether models of interaction energies move the molecules, without LAMMPS (`alh2.production.md_by_ase`)."""
    return bool(setting.interaction) and (plan.frozen_host or bool(setting.hosts))


def movers(plan: MdPlan, setting: MdRunsSetting) -> tuple[Path, ...]:
    """The models whose forces move the molecules."""
    return setting.interaction if by_ase(plan, setting) else setting.graphs


def unused_models(plan: MdPlan, setting: MdRunsSetting) -> set[Path]:
    """Links in the folder of `setting` to what moves nothing: engines of Monte Carlo, models of the other kind."""
    used = {*setting.graphs, setting.directory / FORCE_PAIRS_FILE}
    if by_ase(plan, setting):
        used = {*setting.interaction, *setting.under, *setting.hosts, *setting.springs}
    return {path for path in setting.directory.iterdir() if path.is_symlink() and path not in used}


def movers_words(plan: MdPlan, setting: MdRunsSetting) -> str:
    """What moves what, for people."""
    if not by_ase(plan, setting):
        return MOVED_BY_LAMMPS
    of_host = "models of its own" if setting.springs else "models of total energies"
    host = "" if plan.frozen_host else f", the host by {of_host}"
    return f"H2 moved by models of interaction energies{host}"


def segment_input(
    plan: MdPlan, setting: MdRunsSetting, *, temperature_k: float, number: int, seed: int, models: tuple[str, ...]
) -> str:
    """LAMMPS input of segment `number`; the first one begins with velocities and the equilibration."""
    moving = "guests" if plan.frozen_host else "all"
    thermostat = [f"fix thermostat {moving} nvt temp {temperature_k} {temperature_k} {plan.thermostat_ps}"]
    deviation = f" out_freq {plan.sample_every} out_file {DEVIATION_FILE}" if len(models) > 1 else ""
    read = f"read_restart ../seg.{number - 1:03d}/{END_FILE}" if number else f"read_data {CONF_FILE}"
    lines = force_lines(setting, read, models, deviation)
    if plan.frozen_host:
        lines += _guests_alone(setting.start)
        thermostat.append("fix_modify thermostat temp guest_temp")
    lines += [f"timestep {plan.dt_ps}", f"thermo {plan.sample_every}", "thermo_style custom step temp pe ke etotal"]
    lines.append("thermo_modify lost error flush yes" + (" temp guest_temp" if plan.frozen_host else ""))
    if not number:
        whole = "no" if plan.frozen_host else "yes"
        lines.append(f"velocity {moving} create {temperature_k} {seed} mom {whole} rot {whole} dist gaussian")
        if plan.n_equilibration:
            lines += [*thermostat, f"run {plan.n_equilibration}"]
            lines += ["unfix thermostat"] if plan.ensemble == "nve" else []
    if plan.ensemble == "nve":
        lines.append(f"fix motion {moving} nve")
    elif number or not plan.n_equilibration:
        lines += thermostat
    lines += [
        f"dump frames all custom {plan.sample_every} {TRAJECTORY_FILE} id type xu yu zu",
        'dump_modify frames sort id format float "%.10g"',
        f"run {plan.segments[number]}",
        f"write_restart {END_FILE}",
    ]
    return "\n".join(lines) + "\n"


def _guests_alone(start: Frame) -> list[str]:
    """A group of the molecules, and their temperature; a host that stands still takes no momentum from them."""
    return [
        f"group guests id {start.n_host + 1}:{start.n_atoms}",
        "compute guest_temp guests temp",
        "compute_modify guest_temp extra/dof 0",
    ]


def force_lines(
    setting: MdRunsSetting, read: str, models: tuple[str, ...], deviation: str = "", *, above: str = "../../"
) -> list[str]:
    """LAMMPS lines up to the forces: units, atoms by the line `read`, masses, neighbours, models.

    above : the way from the folder of the input to that of the setting
    """
    return [
        "units metal",
        "boundary p p p",
        "atom_style atomic",
        "atom_modify map yes",
        read,
        *(f"mass {k + 1} {mass:.6f}" for k, mass in enumerate(setting.forces.masses_amu(setting.masses_amu))),
        "neighbor 1.0 bin",
        "neigh_modify delay 0 every 5 check yes",
        *setting.forces.lines(models, table=above + TABLE_FILE, deviation=deviation),
    ]

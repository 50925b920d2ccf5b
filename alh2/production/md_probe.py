"""How fast LAMMPS runs with how many MPI ranks and threads: measured on the machine before production starts."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from alh2.config.model import StageMachine
from alh2.core.errors import BadInputError, NeedsPersonError
from alh2.core.files import atomic_write_text, from_fields, read_json
from alh2.dispatch.run import Progress, run_tasks
from alh2.dispatch.tasks import Task
from alh2.explore.lammps import CONF_FILE, INPUT_FILE, write_conf
from alh2.production.md_plan import MdPlan, MdRunsSetting, force_lines

RESULT_FILE = "probe.json"
FOLDER = "probe"
WORKER_MODULE = "alh2.production.md_probe_worker"
WARM_STEPS, MEASURED_STEPS = 10, 40
PROBE_TIMEOUT_S = 3600.0
THREAD_VARIABLES = ("OMP_NUM_THREADS", "DP_INTRA_OP_PARALLELISM_THREADS")


@dataclass(frozen=True)
class Launch:
    """MPI ranks and threads of each, and the steps per second measured with them (0: not measured)."""

    ranks: int
    threads: int
    steps_per_s: float = 0.0

    def command(self, lammps: str) -> str:
        """Shell line that starts `lammps` (a program with its folder, where ranks are more than one) like this."""
        variables = " ".join(f"{name}={self.threads}" for name in THREAD_VARIABLES)
        launcher = ""
        if self.ranks > 1:
            launcher = f"{shlex.quote(str(Path(shlex.split(lammps)[0]).parent / 'mpiexec'))} -n {self.ranks} "
        return f"env {variables} {launcher}{lammps}"


@dataclass(frozen=True)
class Probe:
    """What was measured: cores one run may use, every launch tried, the fastest."""

    cores: int
    tried: tuple[Launch, ...]
    best: Launch


def candidates(cores: int, *, mpi: bool) -> list[Launch]:
    """Launches worth trying on `cores` cores: one of each, and every split of a power of two or of all of them."""
    numbers = sorted({2**k for k in range(cores.bit_length()) if 2**k <= cores} | {cores})
    splits = {(r, t) for r in numbers for t in numbers if r * t <= cores and 2 * r * t > cores}
    return [Launch(r, t) for r, t in sorted({(1, 1), *splits}) if mpi or r == 1]


def probed_command(
    plan: MdPlan,
    setting: MdRunsSetting,
    *,
    machine: StageMachine,
    n_runs: int,
    on_progress: Callable[[Progress], None] | None = None,
    on_message: Callable[[str], None] | None = None,
) -> str:
    """The command of LAMMPS with the fastest launch for `n_runs` runs on this machine; measured once.

    The setting's own command where that says itself how to launch (more than one word) or `plan.probe` is off.
    Raises NeedsPersonError where LAMMPS does not run at all.
    """
    if not plan.probe or len(shlex.split(setting.command)) != 1:
        return setting.command
    folder = setting.directory / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write_text(folder / INPUT_FILE, probe_input(plan, setting, os.path.relpath(setting.graphs[0], folder)))
    write_conf(setting.start, folder / CONF_FILE, forces=setting.forces)
    side_by_side = max(1, min(machine.parallel, n_runs))
    task = Task(
        work_dir=folder,
        command=f"{setting.python} -m {WORKER_MODULE} --lammps {setting.command} --side-by-side {side_by_side}",
        inputs=(INPUT_FILE, CONF_FILE, *setting.shared_files),
        outputs=(RESULT_FILE,),
        timeout_s=PROBE_TIMEOUT_S,
        label="probe of MPI ranks and threads",
    )
    (outcome,) = run_tasks(
        [task], machine=machine, base_dir=setting.directory, name="md.probe", on_progress=on_progress
    )
    if outcome.status != "done":
        raise NeedsPersonError(f"the probe of LAMMPS failed; {folder}: {outcome.message}")
    probe = read_probe(folder)
    if on_message is not None and len(probe.tried) > 1:
        best = probe.best
        on_message(
            f"LAMMPS: {best.ranks} MPI ranks of {best.threads} threads, {best.steps_per_s:.4g} steps/s, is the fastest "
            f"of {len(probe.tried)} ways to use {probe.cores} cores"
        )
    return probe.best.command(setting.command)


def probe_input(plan: MdPlan, setting: MdRunsSetting, model: str) -> str:
    """LAMMPS input of a few steps with `model` at the first temperature."""
    temperature_k = plan.temperatures_k[0]
    lines = force_lines(setting, f"read_data {CONF_FILE}", (model,), above="../")
    lines += [
        f"velocity all create {temperature_k} 1 mom yes rot yes dist gaussian",
        f"timestep {plan.dt_ps}",
        f"fix thermostat all nvt temp {temperature_k} {temperature_k} {plan.thermostat_ps}",
        f"run {WARM_STEPS}",
        f"run {MEASURED_STEPS}",
    ]
    return "\n".join(lines) + "\n"


def read_probe(folder: Path) -> Probe:
    """What the worker wrote; raises BadInputError for a file of another kind."""
    path = folder / RESULT_FILE
    tree = read_json(path)
    if not isinstance(tree, dict) or not isinstance(tree.get("tried"), list):
        raise BadInputError(str(path), expected="a probe with what was tried", found=type(tree).__name__)
    tried = tuple(from_fields(entry, Launch, where=f"{path}, tried") for entry in tree["tried"])
    best = from_fields(tree["best"], Launch, where=f"{path}, best")
    return from_fields({**tree, "tried": tried, "best": best}, Probe, where=str(path))

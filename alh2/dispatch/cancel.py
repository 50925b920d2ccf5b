"""Cancel what a campaign has in the queue or running, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

from alh2.config.model import StageMachine
from alh2.core.errors import BadInputError
from alh2.core.files import read_json
from alh2.dispatch.attach import patiently
from alh2.dispatch.engine import open_engine
from alh2.dispatch.placement import JobSpec, place
from alh2.dispatch.plan import SUBMITTED_NAME
from alh2.dispatch.scheduler import runs_script
from alh2.dispatch.slurm import SlurmScheduler

CONTROL_GLOB = "**/.dispatch/*/" + SUBMITTED_NAME
OUTAGE_S = 120.0


def cancel_jobs(root: Path, machines: Sequence[StageMachine]) -> int:
    """Cancel all jobs that tasks below `root` have on `machines`; returns how many there were.

    Only while no driver is at work there. Finished tasks keep their results. Raises Alh2Error where the scheduler
    does not answer for two minutes.
    """
    controls = [path.parent for path in sorted(root.glob(CONTROL_GLOB))]
    names = {name for control in controls for name in _names(control)}
    cancelled = 0
    seen = []
    for machine in machines:
        placement = place(machine, root)
        if (placement.machine, placement.local) in seen:
            continue
        seen.append((placement.machine, placement.local))
        if placement.local:
            cancelled += sum(_end_local(control) for control in controls)
            continue
        scratch = root / ".dispatch" / "cancel"
        engine = open_engine(placement, [JobSpec("true", name="none")], scratch if placement.in_place else root)
        scratch.mkdir(parents=True, exist_ok=True)
        if isinstance(engine.scheduler, SlurmScheduler):
            slurm = engine.scheduler
            cancelled += patiently(lambda slurm=slurm: slurm.cancel_names(names), OUTAGE_S)  # type: ignore[misc]
        else:
            ids = [job_id for control in controls for job_id in _ids(control)]
            for job_id in ids:
                engine.submission.machine.kill(SimpleNamespace(job_id=job_id))
            cancelled += len(ids)
        if not placement.in_place:
            engine.clean_remote()
        shutil.rmtree(scratch, ignore_errors=True)
    for control in controls:
        shutil.rmtree(control, ignore_errors=True)
    return cancelled


def _names(control: Path) -> list[str]:
    try:
        return [str(name) for name in read_json(control / SUBMITTED_NAME)["names"]]
    except (BadInputError, KeyError, TypeError):
        return []


def _ids(control: Path) -> list[str]:
    return [text for path in control.glob("*_job_id") if (text := path.read_text().strip())]


def _end_local(control: Path) -> int:
    """End the processes of a local job: its script first, which starts the tasks, then all that it started."""
    import psutil

    ended = 0
    for path in control.glob("*_job_id"):
        script = f"{path.name.removesuffix('_job_id')}.sub"
        text = path.read_text().strip()
        if not text.isdigit() or not runs_script(int(text), script):
            continue
        try:
            job = psutil.Process(int(text))
            family = [job, *job.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
        for process in family:
            try:
                process.terminate()
            except psutil.NoSuchProcess:
                continue
        _, alive = psutil.wait_procs(family, timeout=15)
        for process in alive:
            process.kill()
        ended += 1
    return ended

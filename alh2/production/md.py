"""Production MD with a converged committee: one NVT run, its Al(open)–H2 distribution, the deviation met."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from alh2.analysis.rdf import radial_distribution
from alh2.config.model import MdJob, ProductionConfig, StageMachine
from alh2.core.atoms import to_atoms
from alh2.core.errors import NeedsPersonError
from alh2.core.files import atomic_write_json, read_json_as
from alh2.core.frames import Frame
from alh2.dispatch.run import Progress, run_tasks
from alh2.explore.md import MdSetting, collect_md, prepare_md, why_failed
from alh2.structure.sites import al_open_indices

RESULT_FILE = "md.json"
EQUILIBRATION_FRACTION = 0.2
THERMOSTAT_PS = 0.1


@dataclass(frozen=True)
class MdResult:
    """Outcome of the production MD.

    r_ang, g, g_error : Al(open)–H2 centre-of-mass distribution; empty where there is no open site or no H2
    max_devi_f_ev_ang : largest committee force deviation met; untrusted_fraction : share of frames at or above
    the failed level
    """

    temperature_k: float
    n_h2: int
    n_frames: int
    max_devi_f_ev_ang: float
    untrusted_fraction: float
    r_ang: tuple[float, ...]
    g: tuple[float, ...]
    g_error: tuple[float, ...]


def run_md(
    config: ProductionConfig,
    setting: MdSetting,
    start: Frame,
    *,
    machine: StageMachine,
    f_trust_hi_ev_ang: float,
    on_progress: Callable[[Progress], None] | None = None,
) -> MdResult:
    """Run (or find finished) the NVT run in ``setting.directory`` and analyse it.

    The first fifth is left out as equilibration. Raises NeedsPersonError where the run left nothing to analyse.
    """
    job = MdJob(
        (0,), (config.md_temperature_k,), config.md_steps, config.md_dt_ps, config.md_sample_every, THERMOSTAT_PS
    )
    run = prepare_md(setting, job, 0, config.md_temperature_k, start, index=0)
    outcomes = run_tasks(
        [run.task], machine=machine, base_dir=setting.directory, name="production.md", on_progress=on_progress
    )
    explored = collect_md(setting, [run], outcomes)
    kept = explored[int(EQUILIBRATION_FRACTION * len(explored)) :]
    if outcomes[0].status != "done" or not kept:
        raise NeedsPersonError(f"production MD failed; {why_failed(run, outcomes[0])}")
    deviations = np.array([entry.max_devi_f_ev_ang for entry in explored])
    r, g, g_error = _distribution(start, [entry.frame for entry in kept])
    result = MdResult(
        temperature_k=config.md_temperature_k,
        n_h2=start.n_h2,
        n_frames=len(kept),
        max_devi_f_ev_ang=float(np.max(deviations)),
        untrusted_fraction=float(np.mean(~(deviations < f_trust_hi_ev_ang))),
        r_ang=tuple(map(float, r)),
        g=tuple(map(float, g)),
        g_error=tuple(map(float, g_error)),
    )
    atomic_write_json(setting.directory / RESULT_FILE, asdict(result))
    return result


def _distribution(start: Frame, frames: Sequence[Frame]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Around the sites that are open in `start`: in a moving host a bond may be long for a moment."""
    sites = al_open_indices(to_atoms(start.bare_host()))
    if not len(sites) or not start.n_h2:
        return np.empty(0), np.empty(0), np.empty(0)
    rdf = radial_distribution(frames, sites)
    return rdf.r_ang, rdf.g, rdf.g_error


def read_md(directory: Path) -> MdResult | None:
    """Result of a finished production MD, None where there is none; raises BadInputError for another kind of file."""
    path = directory / RESULT_FILE
    return read_json_as(path, MdResult) if path.exists() else None

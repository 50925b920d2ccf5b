"""The files of one Monte Carlo exploration task: what it is asked, and what it answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from alh2.core.files import atomic_write_json, from_fields, read_json, read_json_as
from alh2.core.frames import Frame
from alh2.core.nuclei import CLASSICAL_WORDS, Quantum
from alh2.potential.frames_npz import load_frame, load_frames, read_npz, save_frames, write_npz

JOB_FILE = "job.json"
START_FILE = "start.npz"
RESULT_FILE = "gcmc.json"
SAMPLES_FILE = "samples.npz"
SERIES_FILE = "series.npz"
RESTART_FILE = "restart.npz"
"""Where a killed run goes on from; no output of the task, which is removed before another attempt."""
END_FILE = "end.npz"
"""The restart file of a finished run, from which a longer chain goes on."""
WORKER_MODULE = "alh2.explore.gcmc_worker"

EXIT_UNTRUSTWORTHY = 4
"""Exit code of the worker where the model's energies cannot be trusted: an answer of exploration, not a mistake."""


@dataclass(frozen=True)
class GcmcSpec:
    """One Monte Carlo run on a frozen host.

    ensemble : "grand-canonical", or "canonical" (fixed loading: held-out insertions)
    engine_model : uncompressed model the engine runs with (relative to the task folder)
    pair_baselines : the pair potential under it; () for none. Both are filled in when the task is prepared
    bond_length_ang : None: the model's own gas-phase minimum
    grid : energy grid (relative to the task folder) of the empty host, new molecules are drawn where it binds them; "":
        drawn anywhere
    max_samples : most frames kept, evenly spread over the run
    restart_every : moves between points from which a killed run goes on; 0: it starts afresh
    quantum : nuclei of the engine; not in the file where classical, so that tasks of before are the same tasks
    continues : `END_FILE` (relative to the task folder) of the run whose chain this one goes on with; "": a new chain
    """

    ensemble: Literal["grand-canonical", "canonical"]
    temperature_k: float
    fugacity_bar: float
    n_initial: int
    n_moves: int
    n_equilibration: int
    sample_every: int
    max_samples: int
    max_loading: int | None
    min_distance_ang: float
    seed: int
    bond_length_ang: float | None = None
    grid: str = ""
    engine_model: str = ""
    pair_baselines: tuple[str, ...] = ()
    restart_every: int = 0
    continues: str = ""
    quantum: Quantum = "classical"


@dataclass(frozen=True)
class GcmcSummary:
    """What a run found: ⟨N⟩ ± one standard error, acceptance of each move, and the geometry used."""

    n_adsorbed: float
    n_adsorbed_error: float
    n_effective: float
    energy_ev: float
    energy_error_ev: float
    acceptance_insertion: float
    acceptance_deletion: float
    acceptance_translation: float
    acceptance_rotation: float
    bond_length_ang: float
    potential: str
    wall_s: float
    self_check_drift_ev: float
    nuclei: str = CLASSICAL_WORDS


@dataclass(frozen=True, eq=False)
class GcmcSamples:
    """Sampled frames and the moves after which they were kept, (n_samples,)."""

    frames: list[Frame]
    steps: np.ndarray


def write_job(directory: Path, spec: GcmcSpec, start: Frame) -> None:
    """Write the input files of a task: the host with the guests to start from, and the settings."""
    save_frames(directory / START_FILE, [start])
    content = {"kind": "gcmc", **asdict(spec)}
    if spec.quantum == "classical":
        del content["quantum"]
    atomic_write_json(directory / JOB_FILE, content)


def read_job(directory: Path) -> tuple[GcmcSpec, Frame]:
    """Settings and start of a task folder; raises BadInputError where they are not such files."""
    path = directory / JOB_FILE
    content = read_json(path)
    if isinstance(content, dict):
        content.pop("kind", None)
    spec = from_fields(content, GcmcSpec, where=str(path))
    return spec, load_frame(directory / START_FILE)


@dataclass(frozen=True, eq=False)
class GcmcSeries:
    """Every sample of a run, in order, arrays (n_samples,).

    n_adsorbed : molecules in the cell
    adsorption_energy_ev : E(host + N molecules) - E(host) - N·E(molecule), eV
    """

    n_adsorbed: np.ndarray
    adsorption_energy_ev: np.ndarray


def write_answer(directory: Path, summary: GcmcSummary, samples: GcmcSamples, series: GcmcSeries) -> None:
    """Write the answer; the summary comes last, so that its presence means the answer is whole."""
    save_frames(directory / SAMPLES_FILE, samples.frames)
    write_npz(
        directory / SERIES_FILE,
        n_adsorbed=np.asarray(series.n_adsorbed),
        adsorption_energy_ev=np.asarray(series.adsorption_energy_ev),
        steps_of_samples=samples.steps,
    )
    atomic_write_json(directory / RESULT_FILE, asdict(summary))


def read_summary(directory: Path) -> GcmcSummary:
    """⟨N⟩ and acceptance of a finished task."""
    return read_json_as(directory / RESULT_FILE, GcmcSummary)


def read_series(directory: Path) -> GcmcSeries:
    """Every sample of a finished task."""
    data = read_npz(directory / SERIES_FILE, "n_adsorbed", "adsorption_energy_ev")
    return GcmcSeries(data["n_adsorbed"], data["adsorption_energy_ev"])


def read_samples(directory: Path) -> GcmcSamples:
    """Sampled frames of a finished task."""
    steps = read_npz(directory / SERIES_FILE, "steps_of_samples")["steps_of_samples"]
    return GcmcSamples(load_frames(directory / SAMPLES_FILE), steps)

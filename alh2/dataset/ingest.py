"""From AIMD files to a dataset: equilibration and unconverged steps out, host first, held-out blocks, a report.

Everything is read and checked before anything is written, and a new dataset folder appears whole.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_json, commit_directory, digest_bytes
from alh2.core.frames import LabelledFrame
from alh2.dataset.series import Drift, MeanStd, energy_drift, mean_std
from alh2.dataset.source import TrajectorySource
from alh2.dataset.split import SplitMethod, validation_mask
from alh2.dataset.store import SPLITS, DatasetStore
from alh2.dataset.systems import hill_formula, system_name, type_indices
from alh2.dataset.timeline import Outlier, Timeline, build_timelines, find_outliers, split_hosts

REPORTS = "ingest"


@dataclass(frozen=True)
class IngestOptions:
    """What holds for all sources.

    host_id : name of the host; n_host : its number of atoms where known (None: all atoms but free H2)
    validation_fraction, split, seed : see :func:`alh2.dataset.split.validation_mask`
    outlier_z : robust z-score from which a frame is reported; drop_outliers : leave such frames out
    name : of the append in the store; None: from the content, so that further ingests never share a name
    """

    host_id: str = "host"
    n_host: int | None = None
    validation_fraction: float = 0.1
    split: SplitMethod = "blocks"
    seed: int = 1
    outlier_z: float = 8.0
    drop_outliers: bool = False
    name: str | None = "init.aimd"


@dataclass(frozen=True)
class TrajectoryReport:
    """What became of one trajectory; counts of frames, in the order of the steps that removed them.

    temperature : mean and standard deviation over kept frames, None without velocities
    drift : of the energy per atom over kept frames, None without times; duration_ps : of the kept frames
    """

    files: tuple[str, ...]
    system: str
    composition: str
    host_id: str
    n_host: int
    n_h2: int
    n_read: int
    n_equilibration: int
    n_unconverged: int
    n_thinned: int
    n_outliers_dropped: int
    n_train: int
    n_valid: int
    dt_fs: float | None
    duration_ps: float | None
    temperature: MeanStd | None
    drift: Drift | None
    energy_std_mev_per_atom: float
    max_force_ev_ang: float
    outliers: tuple[Outlier, ...]


@dataclass(frozen=True)
class IngestReport:
    """All trajectories of one ingest; `output`, `plot` None where nothing was written; `n_added` new in the store."""

    trajectories: tuple[TrajectoryReport, ...]
    output: Path | None = None
    plot: Path | None = None
    n_added: int = 0

    @property
    def n_train(self) -> int:
        """Frames to train on."""
        return sum(t.n_train for t in self.trajectories)

    @property
    def n_valid(self) -> int:
        """Held-out frames."""
        return sum(t.n_valid for t in self.trajectories)


@dataclass(frozen=True, eq=False)
class Prepared:
    """Frames ready for a store, with the report and the series behind its plot."""

    train: tuple[LabelledFrame, ...]
    valid: tuple[LabelledFrame, ...]
    report: IngestReport
    timelines: tuple[Timeline, ...]


def prepare(
    sources: Sequence[TrajectorySource], *, type_map: tuple[str, ...], options: IngestOptions | None = None
) -> Prepared:
    """Read and check all `sources`; writes nothing.

    Raises BadInputError naming file and frame: see :func:`alh2.dataset.timeline.build_timelines`, and for elements
    outside `type_map`.
    """
    options = options or IngestOptions()
    rng = np.random.default_rng(options.seed)
    train: list[LabelledFrame] = []
    valid: list[LabelledFrame] = []
    reports: list[TrajectoryReport] = []
    timelines: list[Timeline] = []
    for source in sources:
        for timeline in build_timelines(source):
            where = f"{timeline.steps[0].file}, frame {timeline.steps[0].step.number}"
            type_indices(timeline.steps[0].step.symbols, type_map, where=where)
            frames, timeline = split_hosts(timeline, source, host_id=options.host_id, n_host=options.n_host)
            outliers = find_outliers(timeline, frames, threshold=options.outlier_z)
            bad = {outlier.index for outlier in outliers} if options.drop_outliers else set()
            keep = [i for i in range(len(frames)) if i not in bad]
            held_out = validation_mask(len(keep), options.validation_fraction, method=options.split, rng=rng)
            train += [frames[i] for i, out in zip(keep, held_out, strict=True) if not out]
            valid += [frames[i] for i, out in zip(keep, held_out, strict=True) if out]
            timeline = replace(timeline, held_out=frozenset(np.array(keep, int)[held_out].tolist()))
            reports.append(_report(timeline, frames, outliers, n_dropped=len(bad)))
            timelines.append(timeline)
    return Prepared(tuple(train), tuple(valid), IngestReport(tuple(reports)), tuple(timelines))


def _report(
    timeline: Timeline, frames: Sequence[LabelledFrame], outliers: tuple[Outlier, ...], *, n_dropped: int
) -> TrajectoryReport:
    frame = frames[0].frame
    energies = timeline.energies_ev_per_atom
    times = timeline.times_ps
    return TrajectoryReport(
        files=timeline.files,
        system=system_name(frame),
        composition=hill_formula(frame.symbols),
        host_id=frame.host_id,
        n_host=frame.n_host,
        n_h2=frame.n_h2,
        n_read=timeline.n_read,
        n_equilibration=timeline.n_equilibration,
        n_unconverged=timeline.n_unconverged,
        n_thinned=timeline.n_thinned,
        n_outliers_dropped=n_dropped,
        n_train=len(frames) - n_dropped - len(timeline.held_out),
        n_valid=len(timeline.held_out),
        dt_fs=timeline.dt_fs,
        duration_ps=None if times is None else float(times[-1] - times[0]),
        temperature=mean_std(timeline.temperatures_k),
        drift=None if times is None else energy_drift(times, energies),
        energy_std_mev_per_atom=1000.0 * float(np.std(energies)),
        max_force_ev_ang=float(timeline.max_forces_ev_ang.max()),
        outliers=outliers,
    )


def ingest(
    sources: Sequence[TrajectorySource], output: Path, *, type_map: tuple[str, ...],
    options: IngestOptions | None = None,
) -> IngestReport:  # fmt: skip
    """Store the usable frames of `sources` in the dataset at `output` (new, or one to append to).

    Also writes ``ingest/<name>.png`` (energy, largest force and temperature over time) and ``ingest/<name>.json``
    there. Repeating an ingest adds nothing. Raises BadInputError as `prepare` and `DatasetStore.append`; then
    nothing is written.
    """
    options = options or IngestOptions()
    prepared = prepare(sources, type_map=type_map, options=options)
    name = options.name or _content_name(prepared)
    if output.exists():
        if not output.is_dir() or (any(output.iterdir()) and not any((output / s).is_dir() for s in SPLITS)):
            raise BadInputError(
                str(output), expected="a dataset or a new folder", found="something else", action="choose another name"
            )
        return _write(prepared, output, type_map, name)
    output.parent.mkdir(parents=True, exist_ok=True)
    staged = output.with_name(f".{output.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        report = _write(prepared, staged, type_map, name)
        commit_directory(staged, output)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return replace(report, output=output, plot=output / REPORTS / f"{name}.png")


def _content_name(prepared: Prepared) -> str:
    digests = sorted(f.frame.digest for f in (*prepared.train, *prepared.valid))
    return f"aimd.{digest_bytes(*(d.encode() for d in digests))[:8]}"


def _write(prepared: Prepared, root: Path, type_map: tuple[str, ...], name: str) -> IngestReport:
    from alh2.dataset.plot import plot_timelines

    store = DatasetStore(root, type_map)
    store.check([*prepared.train, *prepared.valid], name=name)
    n_added = store.append(prepared.train, split="train", name=name)
    n_added += store.append(prepared.valid, split="valid", name=name)
    plot = root / REPORTS / f"{name}.png"
    plot_timelines(prepared.timelines, plot)
    report = replace(prepared.report, output=root, plot=plot, n_added=n_added)
    trajectories = [asdict(trajectory) for trajectory in report.trajectories]
    atomic_write_json(root / REPORTS / f"{name}.json", {"n_added": n_added, "trajectories": trajectories})
    return report

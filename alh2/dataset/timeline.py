"""Steps of one composition in time order: what is dropped, how host and guests are told apart, what looks wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from ase import Atoms

from alh2.core.errors import BadInputError
from alh2.core.frames import ATOMS_PER_H2, Frame, Label, LabelledFrame, Provenance
from alh2.dataset.read import read_trajectory
from alh2.dataset.series import robust_z
from alh2.dataset.source import TrajectorySource
from alh2.formats.trajectory import Step, Trajectory
from alh2.structure.topology import h2_molecules

CELL_TOLERANCE_ANG = 1e-4
H2_BOND_MAX_ANG = 1.2
"""H–H distance beyond which a guest counts as broken, Å."""


@dataclass(frozen=True, eq=False)
class TimedStep:
    """A step, the file it comes from, and its time in the trajectory, ps (None where unknown)."""

    step: Step
    file: str
    time_ps: float | None


@dataclass(frozen=True)
class Outlier:
    """A kept frame that stands out: `index` among the kept frames, file and frame number there, and why."""

    index: int
    file: str
    frame: int
    reason: str


@dataclass(frozen=True, eq=False)
class Timeline:
    """The kept steps of one composition and the counts of what was dropped before."""

    files: tuple[str, ...]
    steps: tuple[TimedStep, ...]
    dt_fs: float | None
    n_read: int
    n_equilibration: int
    n_unconverged: int
    n_thinned: int
    held_out: frozenset[int] = field(default_factory=frozenset)

    @property
    def times_ps(self) -> np.ndarray | None:
        """Times of the kept steps, (n_steps,), None where unknown."""
        times = [timed.time_ps for timed in self.steps]
        return None if None in times else np.array(times, dtype=float)

    @property
    def energies_ev_per_atom(self) -> np.ndarray:
        """(n_steps,), eV/atom."""
        return np.array([t.step.energy_ev / len(t.step.symbols) for t in self.steps])

    @property
    def max_forces_ev_ang(self) -> np.ndarray:
        """Largest force on any atom, (n_steps,), eV/Å."""
        return np.array([np.linalg.norm(t.step.forces_ev_ang, axis=1).max() for t in self.steps])

    @property
    def temperatures_k(self) -> np.ndarray:
        """(n_steps,), K, NaN where unknown."""
        return np.array([np.nan if t.step.temperature_k is None else t.step.temperature_k for t in self.steps])


def build_timelines(source: TrajectorySource) -> list[Timeline]:
    """The trajectories of `source`, one per composition in order of appearance.

    Raises BadInputError naming file and frame for a file that breaks off, cells that change, equilibration to drop
    without a time step, or where no frame is left.
    """
    trajectories = [read_trajectory(path, file_format=source.format) for path in source.files]
    for trajectory in trajectories:
        if trajectory.truncated and not source.allow_truncated:
            raise BadInputError(
                trajectory.file, expected="a whole file", found=trajectory.truncated,
                action="wait for the run to end, or keep its whole frames with --allow-truncated",
            )  # fmt: skip
    groups: dict[tuple[str, ...], list[tuple[str, Step]]] = {}
    for trajectory in trajectories:
        for step in trajectory.steps:
            groups.setdefault(step.symbols, []).append((trajectory.file, step))
    if not groups:
        raise BadInputError(", ".join(map(str, source.files)), expected="at least one whole frame", found="none")
    dt_fs = _time_step(source, trajectories)
    return [_timeline(group, source, dt_fs) for group in groups.values()]


def _time_step(source: TrajectorySource, trajectories: Sequence[Trajectory]) -> float | None:
    dt_fs = source.dt_fs
    if dt_fs is None:
        found = {trajectory.dt_fs for trajectory in trajectories}
        if len(found) > 1:
            raise BadInputError(
                ", ".join(map(str, source.files)), expected="one time step", found=f"{sorted(map(str, found))} fs",
                action="ingest them separately",
            )  # fmt: skip
        dt_fs = found.pop()
    if source.drop_ps > 0 and not dt_fs:
        raise BadInputError(
            str(source.files[0]), expected="the time between frames, to drop equilibration", found="none in the file",
            action="give --dt-fs",
        )  # fmt: skip
    return dt_fs


def _timeline(group: list[tuple[str, Step]], source: TrajectorySource, dt_fs: float | None) -> Timeline:
    timed = [
        TimedStep(step, file, None if not dt_fs else 1e-3 * dt_fs * index) for index, (file, step) in enumerate(group)
    ]
    first = next((i for i, t in enumerate(timed) if (t.time_ps or 0.0) >= source.drop_ps - 1e-9), len(timed))
    equilibrated = timed[first:]
    converged = [t for t in equilibrated if t.step.converged]
    kept = converged[:: max(1, source.every)][: source.max_frames]
    files = tuple(dict.fromkeys(file for file, _ in group))
    n_unconverged = len(equilibrated) - len(converged)
    if not kept:
        raise BadInputError(
            ", ".join(files), expected="at least one usable frame",
            found=f"0 of {len(group)} ({first} dropped as equilibration, {n_unconverged} not converged)",
            action="raise NELM and recompute, or drop less time",
        )  # fmt: skip
    if not source.allow_mixed_cells:
        _check_cells(kept)
    return Timeline(files, tuple(kept), dt_fs, len(group), first, n_unconverged, len(converged) - len(kept))


def _check_cells(kept: Sequence[TimedStep]) -> None:
    reference = kept[0].step.cell_ang
    for timed in kept:
        difference = float(np.abs(timed.step.cell_ang - reference).max())
        if difference > CELL_TOLERANCE_ANG:
            raise BadInputError(
                f"{timed.file}, frame {timed.step.number}",
                expected=f"the cell of the first kept frame {_edges(reference)} Å",
                found=f"{_edges(timed.step.cell_ang)} Å", action="accept changing cells with --allow-mixed-cells",
            )  # fmt: skip


def _edges(cell: np.ndarray) -> str:
    return " ".join(f"{edge:.4f}" for edge in np.linalg.norm(cell, axis=1))


def split_hosts(
    timeline: Timeline, source: TrajectorySource, *, host_id: str, n_host: int | None
) -> tuple[list[LabelledFrame], Timeline]:
    """Frames of `timeline` with the host first and H2 pairs after it, and the timeline in that atom order.

    The pairs are found in the first frame; the second H of each is moved by whole cell vectors next to the first.
    Raises BadInputError where the number of host atoms is not `n_host` (None: whatever is not free H2).
    """
    first = timeline.steps[0]
    order, found = _host_first(first, n_host)
    steps, frames = [], []
    for timed in timeline.steps:
        step = timed.step
        positions = _pairs_together(step.positions_ang[order], step.cell_ang, found)
        step = replace(
            step, symbols=tuple(step.symbols[i] for i in order), positions_ang=positions,
            forces_ev_ang=step.forces_ev_ang[order],
        )  # fmt: skip
        steps.append(replace(timed, step=step))
        provenance = Provenance(
            "aimd", detail=f"{Path(timed.file).name} frame {step.number}", temperature_k=source.temperature_k
        )
        frame = Frame(step.symbols, positions, step.cell_ang, found, host_id if found else "", provenance)
        frames.append(LabelledFrame(frame, Label(step.energy_ev, step.forces_ev_ang, source.labeler)))
    return frames, replace(timeline, steps=tuple(steps))


def _host_first(first: TimedStep, n_host: int | None) -> tuple[np.ndarray, int]:
    step = first.step
    n_atoms = len(step.symbols)
    guests = h2_molecules(Atoms(step.symbols, step.positions_ang, cell=step.cell_ang, pbc=True)).ravel()
    is_host = np.ones(n_atoms, bool)
    is_host[guests] = False
    found = int(is_host.sum())
    if n_host is None or found in (n_host, 0):  # nothing but H2: isolated gas
        return np.concatenate([np.flatnonzero(is_host), guests]).astype(int), found
    where = f"{first.file}, frame {step.number}"
    tail = step.symbols[n_host:]
    if n_host > n_atoms or len(tail) % ATOMS_PER_H2 or any(s != "H" for s in tail):
        raise BadInputError(
            where, expected=f"{n_host} host atoms and free H2", found=f"{found} host atoms and {len(guests) // 2} H2",
            action="check n_host and the order of the elements",
        )  # fmt: skip
    return np.arange(n_atoms), n_host


def _pairs_together(positions: np.ndarray, cell: np.ndarray, n_host: int) -> np.ndarray:
    moved = np.array(positions)
    bond = moved[n_host + 1 :: 2] - moved[n_host::2]
    moved[n_host + 1 :: 2] -= np.round(np.linalg.solve(cell.T, bond.T).T) @ cell
    return moved


def find_outliers(timeline: Timeline, frames: Sequence[LabelledFrame], *, threshold: float) -> tuple[Outlier, ...]:
    """Frames whose energy or largest force is `threshold` robust standard deviations off, or with a broken H2."""
    reasons: dict[int, list[str]] = {}
    series = (
        ("energy", timeline.energies_ev_per_atom, "eV/atom"),
        ("largest force", timeline.max_forces_ev_ang, "eV/Å"),
    )
    for what, values, unit in series:
        for i, z in enumerate(robust_z(values)):
            if abs(z) > threshold:
                reasons.setdefault(i, []).append(f"{what} {values[i]:.4f} {unit}, {z:+.1f} sigma from the median")
    for i, labelled in enumerate(frames):
        frame = labelled.frame
        guests = frame.positions_ang[frame.n_host :]
        bonds = np.linalg.norm(guests[1::2] - guests[::2], axis=1)
        if len(bonds) and bonds.max() > H2_BOND_MAX_ANG:
            reasons.setdefault(i, []).append(f"H–H distance {bonds.max():.2f} Å")
    return tuple(
        Outlier(i, timeline.steps[i].file, timeline.steps[i].step.number, "; ".join(reasons[i]))
        for i in sorted(reasons)
    )

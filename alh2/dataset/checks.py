"""What a dataset determines: the energy of adding one H2, and whether `sel` holds every neighbour.

DeePMD adds one energy per type. A model trained at one composition only can shift those energies by any δ with
C·δ = 0 (C: counts of each element, one row per composition) without changing a single training energy, yet such a
shift changes the energy of adding H2 by 2 δ_H. The data determine that energy where every such δ has δ_H = 0, that
is, where the step of one H2 lies in the row space of C.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from alh2.core.errors import BadInputError
from alh2.core.frames import ATOMS_PER_H2, Frame, LabelledFrame, Target
from alh2.dataset.store import SystemCount
from alh2.structure.topology import periodic_images

_TOLERANCE = 1e-9


@dataclass(frozen=True)
class HostLoadings:
    """The loadings (numbers of H2) at which one host occurs."""

    host: str
    loadings: tuple[int, ...]


@dataclass(frozen=True)
class CompositionVerdict:
    """Whether a dataset determines the energy of adding one H2.

    determined : no shift of per-type energies that leaves the data unchanged changes it
    free_shift_ev : change of the insertion energy by the worst such shift of unit length (0 where determined)
    n_compositions, rank : different compositions, rank of their matrix
    hosts : loadings each host occurs at; has_gas : isolated H2 occurs
    warning : what is thin although determined, "" where nothing is
    explanation : one sentence for a person; says what to add where it is not determined
    """

    target: Target
    determined: bool
    free_shift_ev: float
    n_compositions: int
    rank: int
    hosts: tuple[HostLoadings, ...]
    has_gas: bool
    warning: str
    explanation: str


@dataclass(frozen=True)
class _Row:
    """One composition: host name ("" for gas), loading, (element, count) pairs."""

    host: str
    n_h2: int
    composition: tuple[tuple[str, int], ...]


def composition_check(
    data: Iterable[Frame | LabelledFrame | SystemCount], *, target: Target = "total"
) -> CompositionVerdict:
    """Verdict on frames, or on `DatasetStore.counts()`.

    For "interaction" only data with an interaction target count (gas, bare hosts, frames whose bare host is
    labelled); plain frames without labels count in full, and so do systems with training frames.
    """
    rows = sorted({row for item in data if (row := _row(item, target)) is not None}, key=lambda r: (r.host, r.n_h2))
    elements = sorted({symbol for row in rows for symbol, _ in row.composition} | {"H"})
    matrix = np.array([[dict(row.composition).get(e, 0) for e in elements] for row in rows], dtype=float)
    matrix = matrix.reshape(len(rows), len(elements))
    step = np.array([float(ATOMS_PER_H2) if e == "H" else 0.0 for e in elements])
    rank, free_shift = 0, ATOMS_PER_H2 * 1.0
    if len(rows):
        _, singular, right = np.linalg.svd(matrix)
        rank = int((singular > _TOLERANCE * singular[0]).sum())
        free_shift = float(np.linalg.norm(right[rank:] @ step))
    determined = free_shift < 1e-6
    hosts = tuple(
        HostLoadings(host, tuple(sorted({r.n_h2 for r in rows if r.host == host})))
        for host in sorted({r.host for r in rows if r.host})
    )
    has_gas = any(not row.host for row in rows)
    warning, explanation = _words(determined, hosts, has_gas, target)
    return CompositionVerdict(
        target, determined, 0.0 if determined else free_shift, len({r.composition for r in rows}), rank, hosts,
        has_gas, warning, explanation,
    )  # fmt: skip


def require_insertion_energy_determined(
    data: Iterable[Frame | LabelledFrame | SystemCount], *, target: Target = "total", where: str = "dataset"
) -> CompositionVerdict:
    """The verdict of `composition_check`; raises BadInputError where GCMC on these data would be meaningless."""
    verdict = composition_check(data, target=target)
    if not verdict.determined:
        raise BadInputError(
            where,
            expected="compositions that determine the energy of adding one H2",
            found=f"{_loadings_in_words(verdict.hosts, verdict.has_gas)}, which leave it free",
            action=_what_to_add(verdict.hosts, target),
        )
    return verdict


def _row(item: Frame | LabelledFrame | SystemCount, target: Target) -> _Row | None:
    if isinstance(item, SystemCount):
        if item.n_train == 0 or (target == "interaction" and item.n_interaction == 0):
            return None
        return _Row(item.system.rsplit(".", 1)[0] if item.n_host else "", item.n_h2, tuple(sorted(item.composition)))
    if isinstance(item, LabelledFrame):
        if not item.has_target(target) and item.frame.n_h2:
            return None
        item = item.frame
    composition = tuple(sorted((s, item.symbols.count(s)) for s in set(item.symbols)))
    return _Row(item.host_id if item.n_host else "", item.n_h2, composition)


def _words(
    determined: bool, hosts: Sequence[HostLoadings], has_gas: bool, target: Target
) -> tuple[str, str]:  # fmt: skip
    spanned = _loadings_in_words(hosts, has_gas)
    if not determined:
        return "", (
            f"The {target} energies ({spanned}) do not determine the energy of adding one H2: per-type energies can "
            f"be shifted without changing any of them; {_what_to_add(hosts, target)}."
        )
    several = [host for host in hosts if len(host.loadings) > 1]
    warning = ""
    if hosts and not several:
        source = "only isolated H2 and a single loading" if has_gas else "only different hosts at single loadings"
        warning = (
            f"{source} ({spanned}) fix the energy of adding one H2 formally: the type energies are pinned, but no "
            "host is seen at two loadings, so the host–H2 part rests on extrapolation; add the bare host or another "
            "loading"
        )
    elif not hosts:
        warning = "only isolated H2: nothing is known of H2 in the host"
    return warning, f"The {target} energies ({spanned}) determine the energy of adding one H2."


def _what_to_add(hosts: Sequence[HostLoadings], target: Target) -> str:
    labels = " with labels of their bare hosts" if target == "interaction" else ""
    if not hosts:
        return f"add frames of the host at two loadings{labels}, or isolated H2 in a box"
    bare = "" if any(0 in host.loadings for host in hosts) else "frames of the bare host, or "
    return f"add {bare}frames at another loading{labels}, or isolated H2 in a box"


def _loadings_in_words(hosts: Sequence[HostLoadings], has_gas: bool) -> str:
    parts = [f"{host.host} with {', '.join(map(str, host.loadings))} H2" for host in hosts]
    return "; ".join(parts + ["isolated H2"] * has_gas) or "no frames"


@dataclass(frozen=True)
class NeighbourCounts:
    """Largest number of neighbours of each type that any atom of any frame has within `rcut_ang`.

    per_type : in type-map order; total : largest number of all neighbours together
    """

    rcut_ang: float
    type_map: tuple[str, ...]
    per_type: tuple[int, ...]
    total: int


def neighbour_counts(
    frames: Iterable[Frame | LabelledFrame], rcut_ang: float, type_map: tuple[str, ...]
) -> NeighbourCounts:
    """Maxima over all atoms and frames, periodic images included (cells may be smaller than the cutoff)."""
    per_type = np.zeros(len(type_map), dtype=int)
    total = 0
    for item in frames:
        frame = item.frame if isinstance(item, LabelledFrame) else item
        counts = _counts(frame, rcut_ang, type_map)
        if len(counts):
            per_type = np.maximum(per_type, counts.max(axis=0))
            total = max(total, int(counts.sum(axis=1).max()))
    return NeighbourCounts(rcut_ang, tuple(type_map), tuple(int(n) for n in per_type), total)


def _counts(frame: Frame, rcut_ang: float, type_map: tuple[str, ...]) -> np.ndarray:
    """Neighbours of each type of each atom, (n_atoms, n_types)."""
    points, owner = periodic_images(frame.positions_ang, frame.cell_ang, rcut_ang, pbc=np.ones(3, bool))
    centres = points[: frame.n_atoms]
    symbols = np.array(frame.symbols)
    counts = np.zeros((frame.n_atoms, len(type_map)), dtype=int)
    for t, symbol in enumerate(type_map):
        of_type = symbols[owner] == symbol
        if of_type.any():
            counts[:, t] = cKDTree(points[of_type]).query_ball_point(centres, rcut_ang, return_length=True)
            counts[symbols == symbol, t] -= 1
    return counts


def check_sel(
    frames: Iterable[Frame | LabelledFrame], *, rcut_ang: float, sel: Sequence[int] | int, type_map: tuple[str, ...],
    where: str = "descriptor.sel",
) -> NeighbourCounts:  # fmt: skip
    """Neighbour counts of `frames`; raises BadInputError with the `sel` needed where `sel` is too small.

    `sel` per type (se_e2_a) or one number for all types (se_atten). Beyond it DeePMD drops neighbours silently, so
    check the highest loading explored. The suggested values carry a margin of 10 %, rounded up to multiples of 4.
    """
    counts = neighbour_counts(frames, rcut_ang, type_map)
    if isinstance(sel, int):
        needed: int | list[int] = _with_margin(counts.total)
        short = counts.total > sel
        found = f"{counts.total} neighbours of an atom"
    else:
        if len(sel) != len(type_map):
            raise BadInputError(where, expected=f"{len(type_map)} numbers ({' '.join(type_map)})", found=str(len(sel)))
        needed = [max(_with_margin(n), int(s)) for n, s in zip(counts.per_type, sel, strict=True)]
        short = any(n > s for n, s in zip(counts.per_type, sel, strict=True))
        found = "neighbours " + " ".join(f"{s}:{n}" for s, n in zip(type_map, counts.per_type, strict=True))
    if short:
        raise BadInputError(
            where, expected=f"room for every neighbour within {rcut_ang:g} Å (sel {sel})", found=found,
            action=f"set sel to {needed}",
        )  # fmt: skip
    return counts


def _with_margin(count: int) -> int:
    return -(-int(np.ceil(1.1 * count)) // 4) * 4

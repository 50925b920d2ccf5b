"""The append-only dataset: deepmd/npy systems per host, composition and split, with bare-host labels beside them.

Layout under the root::

    train/node.C6H7Al3O14.h2_006/type.raw type_map.raw set.000/ set.001/ …   frames to train on
    valid/…                                                                  held-out frames
    hosts/node.C6H7Al3O14.h2_000/…                                           labels of bare hosts
    .staging/                                                                unfinished appends, never read

Labels of bare hosts live only in ``hosts/`` (and in frames of ``train``/``valid`` that are bare hosts themselves),
keyed by the bare host's digest: one label serves every frame on that frozen host, and a frame ingested without one
gets it the moment its host is labelled. ``load`` joins them; ``export`` forms interaction energies and forces.
One writer at a time (the campaign holds a lock); readers need none, since set folders appear whole.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from alh2.core.errors import BadInputError
from alh2.core.files import commit_directory
from alh2.core.frames import ATOMS_PER_H2, Frame, Label, LabelledFrame, Target
from alh2.dataset.systems import (
    FrameRecord,
    check_label,
    read_records,
    read_set,
    read_symbols,
    set_folders,
    system_name,
    type_indices,
    write_set,
    write_types,
)

Split = Literal["train", "valid"]
SPLITS: tuple[Split, ...] = ("train", "valid")
HOSTS = "hosts"


@dataclass(frozen=True)
class SystemCount:
    """How many frames one system has.

    composition : (element, count) in type-map order, elements that occur
    n_interaction : frames of both splits that have an interaction target (bare host labelled, or gas)
    """

    system: str
    host_id: str
    n_host: int
    n_h2: int
    composition: tuple[tuple[str, int], ...]
    n_train: int
    n_valid: int
    n_interaction: int

    @property
    def n_atoms(self) -> int:
        """Atoms per frame."""
        return sum(count for _, count in self.composition)


class DatasetStore:
    """Append-only store under `root` for elements `type_map` (DeePMD type order).

    Raises BadInputError, on reading, for torn or foreign content, naming the folder.
    """

    def __init__(self, root: Path, type_map: tuple[str, ...]) -> None:
        self.root = Path(root)
        self.type_map = tuple(type_map)

    @classmethod
    def open(cls, root: Path) -> DatasetStore:
        """The store at `root`, with the type map it was made with; raises BadInputError where there is none."""
        for path in sorted(Path(root).glob("*/*/type_map.raw")):
            return cls(root, tuple(path.read_text().split()))
        raise BadInputError(str(root), expected="a dataset", found="no systems", action="make one with `alh2 ingest`")

    def append(self, frames: Sequence[LabelledFrame], *, split: Split, name: str) -> int:
        """Add `frames` to `split` as the step called `name`; returns how many were added.

        Repeating a name is a no-op per system, and frames already stored in any split are skipped, so an
        interrupted append is finished by repeating it. Bare-host labels that `frames` carry are stored too.
        Everything is checked before anything is written. Raises BadInputError for elements outside the type map,
        another atom order than the system has, values that are not finite, or labels of another labeler.
        """
        self.check(frames, name=name)
        self.append_host_labels(_hosts_of(frames), name=name)
        pairs = [(f.frame, f.label) for f in frames]
        return self._append(pairs, folder=split, known=self.digests(), name=name, once=True)

    def check(self, frames: Sequence[LabelledFrame], *, name: str) -> None:
        """Raise BadInputError, as `append` would, where `frames` do not fit this store; writes nothing."""
        self._check([(f.frame, f.label) for f in frames] + _hosts_of(frames), name)

    def append_host_labels(self, labels: Iterable[tuple[Frame, Label]], *, name: str) -> int:
        """Store labels of bare hosts; returns how many were new. Hosts that have a label are skipped.

        Raises BadInputError for a frame with guests, and as `append`.
        """
        pairs = list(labels)
        for frame, _ in pairs:
            if frame.n_h2 or not frame.n_host:
                raise BadInputError(f"{name}: host label", expected="a bare host", found=f"{frame.n_h2} H2 on it")
        self._check(pairs, name)
        known = {record.digest for record in self._records(HOSTS)}
        return self._append(pairs, folder=HOSTS, known=known, name=name, once=False)

    def load(self, split: Split | None = None) -> list[LabelledFrame]:
        """All frames of `split` (None: train, then valid), by system and order of appending, hosts joined."""
        hosts = self._host_labels()
        frames = []
        for each in SPLITS if split is None else (split,):
            for system in self._systems(each):
                symbols = read_symbols(system, self.type_map)
                for folder in set_folders(system):
                    for frame, label, record in read_set(folder, symbols):
                        host = label if frame.n_h2 == 0 else hosts.get(record.host_digest)
                        frames.append(LabelledFrame(frame, label, host if frame.n_host else None))
        return frames

    def digests(self) -> set[str]:
        """Digests of the frames of both splits (not of the hosts beside them)."""
        return {record.digest for split in SPLITS for record in self._records(split)}

    def host_digests(self) -> set[str]:
        """Digests of all bare hosts with a label, stored beside the frames or as frames."""
        own = {r.digest for split in SPLITS for r in self._records(split) if r.host_digest == r.digest}
        return own | {record.digest for record in self._records(HOSTS)}

    def hosts_to_label(self, split: Split | None = None) -> list[Frame]:
        """Distinct bare hosts that no label is known of, in loading order: what to label for interaction training."""
        missing: dict[str, Frame] = {}
        for labelled in self.load(split):
            if not labelled.has_target("interaction"):
                host = labelled.frame.bare_host()
                missing.setdefault(host.digest, host)
        return list(missing.values())

    def counts(self) -> list[SystemCount]:
        """Frames per system and split, by system name; reads the records only."""
        hosts = self.host_digests()
        names = sorted({system.name for split in SPLITS for system in self._systems(split)})
        return [self._count(name, hosts) for name in names]

    def export(self, destination: Path, *, target: Target, split: Split) -> list[Path]:
        """Systems for training on `target` at `destination`; see :func:`alh2.dataset.export.export_systems`."""
        from alh2.dataset.export import export_systems

        return export_systems(self.load(split), destination, target=target, type_map=self.type_map)

    def _count(self, name: str, hosts: set[str]) -> SystemCount:
        folders = [path for split in SPLITS if (path := self.root / split / name).is_dir()]
        symbols = read_symbols(folders[0], self.type_map)
        per_split = {s: [r for f in set_folders(self.root / s / name) for r in read_records(f)] for s in SPLITS}
        records = [record for split in SPLITS for record in per_split[split]]
        if not records:
            raise BadInputError(str(folders[0]), expected="set folders", found="none", action="remove this folder")
        first = records[0]
        return SystemCount(
            system=name,
            host_id=first.host_id,
            n_host=first.n_host,
            n_h2=(len(symbols) - first.n_host) // ATOMS_PER_H2,
            composition=tuple((s, symbols.count(s)) for s in self.type_map if s in symbols),
            n_train=len(per_split["train"]),
            n_valid=len(per_split["valid"]),
            n_interaction=sum(not r.n_host or r.host_digest in hosts for r in records),
        )

    def _systems(self, folder: str, pattern: str = "*") -> list[Path]:
        return sorted(path for path in (self.root / folder).glob(pattern) if path.is_dir())

    def _records(self, folder: str) -> list[FrameRecord]:
        return [r for system in self._systems(folder) for each in set_folders(system) for r in read_records(each)]

    def _host_labels(self) -> dict[str, Label]:
        labels: dict[str, Label] = {}
        for folder in (HOSTS, *SPLITS):
            for system in self._systems(folder):
                symbols = read_symbols(system, self.type_map)
                for each in set_folders(system):
                    if any(r.host_digest == r.digest for r in read_records(each)):
                        labels.update((f.digest, label) for f, label, _ in read_set(each, symbols))
        return labels

    def _check(self, pairs: Sequence[tuple[Frame, Label]], name: str) -> None:
        labelers = {r.labeler for folder in (*SPLITS, HOSTS) for r in self._records(folder)}
        orders: dict[str, tuple[str, ...]] = {}
        for number, (frame, label) in enumerate(pairs, start=1):
            where = f"{name}, frame {number} ({frame.provenance.detail or frame.provenance.source})"
            type_indices(frame.symbols, self.type_map, where=where)
            check_label(frame, label, where=where)
            labelers.add(label.labeler)
            if len(labelers) > 1:
                raise BadInputError(
                    where, expected="labels of one level of theory", found=" and ".join(sorted(labelers)),
                    action="give the same labeler name to labels that may be mixed, else keep two datasets",
                )  # fmt: skip
            host = system_name(frame).rsplit(".", 1)[0]
            symbols = frame.symbols[: frame.n_host]
            if host not in orders:
                stored = [path for part in (*SPLITS, HOSTS) for path in self._systems(part, f"{host}.h2_*")]
                orders[host] = read_symbols(stored[0], self.type_map)[: frame.n_host] if stored else symbols
            if orders[host] != symbols:
                at = next(i for i, (a, b) in enumerate(zip(orders[host], symbols, strict=True)) if a != b)
                raise BadInputError(
                    where, expected=f"atom {at + 1} to be {orders[host][at]} as in the other frames of {host}",
                    found=symbols[at], action="bring the atoms of the host into the same order",
                )  # fmt: skip

    def _append(
        self, pairs: Sequence[tuple[Frame, Label]], *, folder: str, known: set[str], name: str, once: bool
    ) -> int:
        """Commit the new ones of checked `pairs`; `once`: not into systems that hold a set called `name`."""
        groups: dict[str, list[tuple[Frame, Label]]] = {}
        for frame, label in pairs:
            if frame.digest not in known:
                known.add(frame.digest)
                groups.setdefault(system_name(frame), []).append((frame, label))
        self._drop_stale_staging()
        added = 0
        for system, group in sorted(groups.items()):
            final = self.root / folder / system
            if once and any(r.append == name for each in set_folders(final) for r in read_records(each)[:1]):
                continue
            self._commit(final, group, name)
            added += len(group)
        return added

    def _commit(self, final: Path, group: Sequence[tuple[Frame, Label]], name: str) -> None:
        staged = self.root / ".staging" / f"{os.getpid()}.{uuid.uuid4().hex[:8]}"
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.is_dir():
            folders = set_folders(final)
            index = int(folders[-1].name.removeprefix("set.")) + 1 if folders else 0
            write_set(staged, group, append=name)
            commit_directory(staged, final / f"set.{index:03d}")
        else:
            write_set(staged / "set.000", group, append=name)
            write_types(staged, group[0][0], self.type_map)
            commit_directory(staged, final)

    def _drop_stale_staging(self) -> None:
        """Remove what interrupted appends of processes that are gone left behind."""
        for path in (self.root / ".staging").glob("*"):
            pid = path.name.split(".")[0]
            if pid.isdigit() and int(pid) != os.getpid() and not Path(f"/proc/{pid}").exists():
                shutil.rmtree(path, ignore_errors=True)


def _hosts_of(frames: Sequence[LabelledFrame]) -> list[tuple[Frame, Label]]:
    """Bare hosts and their labels that `frames` carry, each host once."""
    seen: set[str] = set()
    pairs = []
    for labelled in frames:
        if labelled.host_label is not None and labelled.frame.n_host and labelled.frame.n_h2:
            host = labelled.frame.bare_host()
            if host.digest not in seen:
                seen.add(host.digest)
                pairs.append((host, labelled.host_label))
    return pairs

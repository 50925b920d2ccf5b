"""Which atoms are what: guests, open Al sites, the rest of the framework, isolated H2."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from alh2.core.frames import Frame

GROUPS = ("H2", "open Al", "framework", "isolated H2")
"""Names of the groups of atoms; arrays hold indices into this."""

GUEST, OPEN_AL, FRAMEWORK, ISOLATED = range(4)

MOST_LOOKED_AT = 9
"""Frames of one host whose geometry votes on which Al atoms are open."""


def atom_groups(frames: Sequence[Frame]) -> np.ndarray:
    """Group of each atom of `frames`, one after the other, (total atoms,) int8.

    Open sites belong to a host, not to a geometry: of some frames of each host, the set found most often counts.
    """
    hosts: dict[tuple[str, tuple[str, ...]], list[Frame]] = {}
    for frame in frames:
        hosts.setdefault((frame.host_id, frame.symbols[: frame.n_host]), []).append(frame)
    sites = {key: _open_sites(members) for key, members in hosts.items()}
    parts = [_groups(frame, sites[(frame.host_id, frame.symbols[: frame.n_host])]) for frame in frames]
    return np.concatenate([np.empty(0, np.int8), *parts]).astype(np.int8)


def groups_without_sites(n_h2: np.ndarray, n_atoms: np.ndarray) -> np.ndarray:
    """The same where only the numbers of molecules and atoms (n_frames,) are known: open sites count as framework."""
    parts = []
    for guests, atoms in zip(2 * n_h2, n_atoms, strict=True):
        parts.append(np.full(atoms, ISOLATED if guests == atoms else FRAMEWORK, np.int8))
        if guests < atoms:
            parts[-1][atoms - guests :] = GUEST
    return np.concatenate([np.empty(0, np.int8), *parts]).astype(np.int8)


def _open_sites(frames: Sequence[Frame]) -> tuple[int, ...]:
    from alh2.core.atoms import to_atoms
    from alh2.structure.sites import al_open_indices

    if not frames[0].n_host:
        return ()
    chosen = np.unique(np.linspace(0, len(frames) - 1, MOST_LOOKED_AT).astype(int))
    found = [tuple(int(i) for i in al_open_indices(to_atoms(frames[k].bare_host()))) for k in chosen]
    return Counter(found).most_common(1)[0][0]


def _groups(frame: Frame, open_sites: tuple[int, ...]) -> np.ndarray:
    groups = np.full(frame.n_atoms, FRAMEWORK if frame.n_host else ISOLATED, np.int8)
    if frame.n_host:
        groups[frame.n_host :] = GUEST
        groups[list(open_sites)] = OPEN_AL
    return groups

"""Training input for DeePMD: deepmd/npy systems on total or interaction energies, same frames → same bytes."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from alh2.core.files import atomic_write_json, commit_directory, digest_bytes, read_json
from alh2.core.frames import LabelledFrame, Target
from alh2.dataset.systems import system_name, write_arrays, write_types

MANIFEST = "export.json"


def export_systems(
    frames: Sequence[LabelledFrame],
    destination: Path,
    *,
    target: Target,
    type_map: tuple[str, ...],
    guest_weights: bool = False,
) -> list[Path]:
    """Write `frames` under `destination`, one system per composition and host; returns the system folders.

    For "interaction", energies and forces are those of host+guests minus the bare host at the same geometry;
    frames whose bare host has no label are left out, and counted in ``export.json`` (`n_frames`,
    `n_without_host_label`). With `guest_weights` each set has DeePMD's ``atom_pref.npy`` (n_frames, n_atoms), 1 for
    guests and 0 for the host, which the ``pref_pf`` of its loss weigh. The folder appears whole; one that holds another
    content is replaced.
    """
    usable = [frame for frame in frames if frame.has_target(target)]
    groups: dict[str, list[LabelledFrame]] = {}
    for frame in usable:
        groups.setdefault(system_name(frame.frame), []).append(frame)
    manifest = {
        "target": target,
        "type_map": list(type_map),
        "n_frames": len(usable),
        "n_without_host_label": len(frames) - len(usable),
        "systems": {name: len(group) for name, group in sorted(groups.items())},
        **({"guest_weights": True} if guest_weights else {}),
        "digest": digest_bytes(*(_content(frame, target) for _, g in sorted(groups.items()) for frame in g)),
    }
    paths = [destination / name for name in sorted(groups)]
    if destination.is_dir() and all(path.is_dir() for path in paths):
        if (destination / MANIFEST).is_file() and read_json(destination / MANIFEST) == manifest:
            return paths
    destination.parent.mkdir(parents=True, exist_ok=True)
    token = f".{destination.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
    staged = destination.with_name(f"{token}.tmp")
    for name, group in sorted(groups.items()):
        folder = staged / name / "set.000"
        folder.mkdir(parents=True)
        write_types(folder.parent, group[0].frame, type_map)
        write_arrays(
            folder, [f.frame for f in group], [f.energy_ev(target) for f in group],
            [f.forces_ev_ang(target) for f in group],
        )  # fmt: skip
        if guest_weights:
            weights = [np.arange(f.frame.n_atoms) >= f.frame.n_host for f in group]
            np.save(folder / "atom_pref.npy", np.array(weights, dtype=np.float64))
    staged.mkdir(exist_ok=True)
    atomic_write_json(staged / MANIFEST, manifest)
    if destination.exists():
        old = destination.with_name(f"{token}.old")
        os.rename(destination, old)
        commit_directory(staged, destination)
        shutil.rmtree(old)
    else:
        commit_directory(staged, destination)
    return paths


def _content(frame: LabelledFrame, target: Target) -> bytes:
    return (
        frame.frame.digest.encode()
        + float(frame.energy_ev(target)).hex().encode()
        + frame.forces_ev_ang(target).tobytes()
    )

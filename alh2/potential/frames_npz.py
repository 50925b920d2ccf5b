"""Frames in one `.npz` file: ragged arrays by offsets, no pickle, written in one step."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_bytes
from alh2.core.frames import Frame, Provenance


def write_npz(path: Path, **arrays: np.ndarray) -> None:
    """Write `arrays` (no objects) as an uncompressed npz in one step; the file exists only when complete."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    atomic_write_bytes(path, buffer.getvalue())


def read_npz(path: Path, *names: str) -> dict[str, np.ndarray]:
    """Arrays `names` of `path`; raises BadInputError where the file is absent, torn, or of another kind."""
    try:
        with np.load(path, allow_pickle=False) as data:
            missing = [name for name in names if name not in data.files]
            if missing:
                raise BadInputError(str(path), expected=f"arrays {', '.join(names)}", found=f"no {missing[0]}")
            return {name: data[name] for name in names}
    except FileNotFoundError:
        raise BadInputError(str(path), expected="an npz file", found="no such file") from None
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise BadInputError(
            str(path), expected="a complete npz file", found=str(error), action="write it anew"
        ) from None


def offsets_of(frames: Sequence[Frame]) -> np.ndarray:
    """(n_frames + 1,) int64: atoms of frame i are offsets[i]:offsets[i+1] in concatenated arrays."""
    return np.concatenate([[0], np.cumsum([frame.n_atoms for frame in frames], dtype=np.int64)]).astype(np.int64)


def save_frames(path: Path, frames: Sequence[Frame]) -> None:
    """Write `frames` with their provenance to `path` in one step."""
    origins = [frame.provenance for frame in frames]
    temperatures = [np.nan if p.temperature_k is None else p.temperature_k for p in origins]
    write_npz(
        path,
        offsets=offsets_of(frames),
        symbols=np.array([s for frame in frames for s in frame.symbols], dtype="U3"),
        positions_ang=np.concatenate([np.empty((0, 3)), *(frame.positions_ang for frame in frames)]),
        cells_ang=np.array([frame.cell_ang for frame in frames], dtype=np.float64).reshape(-1, 3, 3),
        n_host=np.array([frame.n_host for frame in frames], dtype=np.int64),
        host_id=np.array([frame.host_id for frame in frames], dtype=np.str_),
        source=np.array([p.source for p in origins], dtype=np.str_),
        iteration=np.array([p.iteration for p in origins], dtype=np.int64),
        detail=np.array([p.detail for p in origins], dtype=np.str_),
        temperature_k=np.array(temperatures, dtype=np.float64),
    )


def load_frame(path: Path) -> Frame:
    """The one frame of `path`; raises BadInputError where there is another number."""
    frames = load_frames(path)
    if len(frames) != 1:
        raise BadInputError(str(path), expected="one frame", found=str(len(frames)))
    return frames[0]


def load_frames(path: Path) -> list[Frame]:
    """Frames written by :func:`save_frames`; raises BadInputError where `path` is not such a file."""
    names = ("offsets", "symbols", "positions_ang", "cells_ang", "n_host", "host_id")
    data = read_npz(path, *names, "source", "iteration", "detail", "temperature_k")
    offsets = data["offsets"]
    frames = []
    for i in range(len(offsets) - 1):
        atoms = slice(int(offsets[i]), int(offsets[i + 1]))
        temperature = float(data["temperature_k"][i])
        provenance = Provenance(
            str(data["source"][i]),
            int(data["iteration"][i]),
            str(data["detail"][i]),
            None if np.isnan(temperature) else temperature,
        )
        frames.append(
            Frame(
                tuple(str(s) for s in data["symbols"][atoms]),
                data["positions_ang"][atoms],
                data["cells_ang"][i],
                int(data["n_host"][i]),
                str(data["host_id"][i]),
                provenance,
            )
        )
    return frames

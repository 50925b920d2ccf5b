"""Names, atom order and set folders of deepmd/npy systems: the file format under the store.

One system per host and composition, e.g. ``node.C6H7Al3O14.h2_006``; gas frames are ``gas.h2_001``. A set folder
holds coord, box, energy, force (DeePMD's names, shapes (n_frames, 3 n_atoms), (n_frames, 9), (n_frames,)) and
``frames.jsonl``, one line per frame with its digest, labeler, host and provenance. A set folder appears whole.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from alh2.core.errors import BadInputError
from alh2.core.frames import Frame, Label, Provenance

ARRAYS = ("coord", "box", "energy", "force")
RECORDS = "frames.jsonl"
_HOST_ID = re.compile(r"[A-Za-z0-9_+-]+")


@dataclass(frozen=True)
class FrameRecord:
    """What ``frames.jsonl`` says of one frame; `host_digest` is the digest of its bare host ("" for gas)."""

    append: str
    digest: str
    host_digest: str
    labeler: str
    host_id: str
    n_host: int
    provenance: Provenance


def hill_formula(symbols: Sequence[str]) -> str:
    """Formula with C and H first, then alphabetical, e.g. ``C6H7Al3O14``."""
    counts = Counter(symbols)
    order = [s for s in ("C", "H") if s in counts] + sorted(s for s in counts if s not in ("C", "H"))
    return "".join(f"{s}{counts[s]}" for s in order)


def system_name(frame: Frame) -> str:
    """Name of the system `frame` belongs to; raises BadInputError for a host id that cannot name a folder."""
    if frame.n_host == 0:
        return f"gas.h2_{frame.n_h2:03d}"
    if not _HOST_ID.fullmatch(frame.host_id):
        raise BadInputError(
            "host id", expected="letters, digits, _, + or -", found=repr(frame.host_id), action="rename the host"
        )
    return f"{frame.host_id}.{hill_formula(frame.symbols[: frame.n_host])}.h2_{frame.n_h2:03d}"


def type_indices(symbols: Sequence[str], type_map: Sequence[str], *, where: str) -> np.ndarray:
    """Index of each symbol in `type_map`, (n_atoms,) int; raises BadInputError for an element that is not in it."""
    unknown = sorted(set(symbols) - set(type_map))
    if unknown:
        raise BadInputError(
            where,
            expected=f"elements of the type map {' '.join(type_map)}",
            found=" ".join(unknown),
            action="add them to type_map or take those atoms out",
        )
    index = {symbol: i for i, symbol in enumerate(type_map)}
    return np.array([index[s] for s in symbols], dtype=np.int64)


def check_label(frame: Frame, label: Label, *, where: str) -> None:
    """Raise BadInputError where shapes do not fit or anything is not finite."""
    forces = np.asarray(label.forces_ev_ang)
    if forces.shape != (frame.n_atoms, 3):
        raise BadInputError(where, expected=f"forces of shape ({frame.n_atoms}, 3)", found=str(forces.shape))
    for what, values in (
        ("energy", label.energy_ev),
        ("forces", forces),
        ("positions", frame.positions_ang),
        ("cell", frame.cell_ang),
    ):
        if not np.all(np.isfinite(values)):
            raise BadInputError(where, expected=f"finite {what}", found="NaN or infinite", action="drop this frame")


def write_types(folder: Path, frame: Frame, type_map: tuple[str, ...]) -> None:
    """``type.raw`` and ``type_map.raw`` of the system of `frame`."""
    types = type_indices(frame.symbols, type_map, where=folder.name)
    (folder / "type.raw").write_text("".join(f"{t}\n" for t in types))
    (folder / "type_map.raw").write_text("".join(f"{s}\n" for s in type_map))


def write_arrays(
    folder: Path, frames: Sequence[Frame], energies_ev: Sequence[float], forces: Sequence[np.ndarray]
) -> None:
    """DeePMD's four arrays of `frames` (one composition) in `folder`, float64."""
    n = len(frames)
    np.save(folder / "coord.npy", np.array([f.positions_ang for f in frames]).reshape(n, -1))
    np.save(folder / "box.npy", np.array([f.cell_ang for f in frames]).reshape(n, 9))
    np.save(folder / "energy.npy", np.array(energies_ev, dtype=np.float64))
    np.save(folder / "force.npy", np.array(forces, dtype=np.float64).reshape(n, -1))


def write_set(folder: Path, pairs: Sequence[tuple[Frame, Label]], *, append: str) -> None:
    """One set folder of `pairs` with its records; `append` names the step that added it."""
    folder.mkdir(parents=True)
    frames = [frame for frame, _ in pairs]
    write_arrays(folder, frames, [lab.energy_ev for _, lab in pairs], [lab.forces_ev_ang for _, lab in pairs])
    lines = [json.dumps(asdict(record_of(f, lab, append=append)), sort_keys=True) for f, lab in pairs]
    (folder / RECORDS).write_text("".join(f"{line}\n" for line in lines))


def record_of(frame: Frame, label: Label, *, append: str) -> FrameRecord:
    """The record of `frame`."""
    host_digest = frame.bare_host().digest if frame.n_host else ""
    return FrameRecord(append, frame.digest, host_digest, label.labeler, frame.host_id, frame.n_host, frame.provenance)


def read_symbols(system: Path, type_map: tuple[str, ...]) -> tuple[str, ...]:
    """Elements of the atoms of `system`; raises BadInputError where types are absent or of another type map."""
    try:
        found_map = tuple((system / "type_map.raw").read_text().split())
        types = [int(word) for word in (system / "type.raw").read_text().split()]
    except (FileNotFoundError, ValueError) as error:
        raise BadInputError(str(system), expected="type.raw and type_map.raw", found=str(error)) from None
    if found_map != type_map:
        raise BadInputError(
            str(system / "type_map.raw"),
            expected=f"the type map {' '.join(type_map)}",
            found=" ".join(found_map),
            action="use the type map this dataset was made with",
        )
    if any(not 0 <= t < len(type_map) for t in types):
        raise BadInputError(
            str(system / "type.raw"), expected=f"types 0 to {len(type_map) - 1}", found=f"type {max(types)}"
        )
    return tuple(type_map[t] for t in types)


def set_folders(system: Path) -> list[Path]:
    """Set folders of `system` in the order they were appended; raises BadInputError for foreign names."""
    folders = [path for path in system.glob("set.*") if path.is_dir()]
    for path in folders:
        if not path.name.removeprefix("set.").isdigit():
            raise BadInputError(str(path), expected="set.NNN", found=path.name, action="remove this folder")
    return sorted(folders, key=lambda path: int(path.name.removeprefix("set.")))


def read_records(folder: Path) -> list[FrameRecord]:
    """Records of one set folder; raises BadInputError where they are absent or torn."""
    path = folder / RECORDS
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        raise BadInputError(
            str(folder), expected=RECORDS, found="no such file", action="remove this folder: it is torn or foreign"
        ) from None
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            fields = json.loads(line)
            records.append(FrameRecord(**{**fields, "provenance": Provenance(**fields["provenance"])}))
        except (ValueError, TypeError, KeyError) as error:
            raise BadInputError(
                f"{path}, line {number}", expected="a frame record", found=str(error), action="restore the file"
            ) from None
    return records


def read_set(folder: Path, symbols: tuple[str, ...]) -> list[tuple[Frame, Label, FrameRecord]]:
    """Frames, labels and records of one set folder; raises BadInputError naming the folder where they do not fit."""
    records = read_records(folder)
    n, n_atoms = len(records), len(symbols)
    shapes = {"coord": (n, 3 * n_atoms), "box": (n, 9), "energy": (n,), "force": (n, 3 * n_atoms)}
    arrays = {}
    for name in ARRAYS:
        try:
            arrays[name] = np.load(folder / f"{name}.npy")
        except (OSError, ValueError, EOFError) as error:
            raise BadInputError(
                str(folder), expected=f"{name}.npy", found=type(error).__name__, action="restore or remove this folder"
            ) from None
        if arrays[name].shape != shapes[name]:
            raise BadInputError(
                str(folder), expected=f"{name}.npy of shape {shapes[name]}", found=str(arrays[name].shape)
            )
    result = []
    for i, record in enumerate(records):
        frame = Frame(
            symbols,
            arrays["coord"][i].reshape(-1, 3),
            arrays["box"][i].reshape(3, 3),
            record.n_host,
            record.host_id,
            record.provenance,
        )
        if frame.digest != record.digest:
            raise BadInputError(
                f"{folder}, frame {i + 1}", expected=f"digest {record.digest}", found=frame.digest,
                action="arrays and records disagree: restore the folder",
            )  # fmt: skip
        label = Label(float(arrays["energy"][i]), arrays["force"][i].reshape(-1, 3), record.labeler)
        result.append((frame, label, record))
    return result

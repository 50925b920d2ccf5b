"""First-principles inputs of frames, written by DP-GEN in a folder of its own and brought to the task folders.

DP-GEN makes one POTCAR for all tasks of a system and takes the elements from any one of them, so here each formula is
a system. Files that it links (POTCAR, pseudopotentials) are kept once beside the task folders.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_bytes, atomic_write_json, digest_bytes, link_file, read_json
from alh2.label.dpgen_worker import JDATA_FILE
from alh2.label.matching import poscar
from alh2.label.protocol import LabelJob

SHARED = "shared"
"""Folder, beside the task folders, of files that tasks link to."""

STAMP_FILE = "inputs.json"
"""What a task's inputs were made from: tasks whose inputs are there are not made again."""

Edit = Callable[[LabelJob, bytes], bytes]


@dataclass(frozen=True)
class InputSet:
    """What inputs are made from.

    jdata : keys of the param file as DP-GEN takes them; content : digest of the files they name
    edits : for files that change with the attempt, what to write instead of DP-GEN's content
    """

    jdata: dict[str, Any]
    type_map: tuple[str, ...]
    content: str
    edits: dict[str, Edit] = field(default_factory=dict)

    def key(self, structure: str) -> str:
        """Digest of everything that DP-GEN's inputs of the POSCAR `structure` depend on."""
        words = json.dumps({**self.jdata, "type_map": self.type_map}, sort_keys=True)
        return digest_bytes(words.encode(), self.content.encode(), structure.encode())


def write_inputs(jobs: Sequence[LabelJob], inputs: InputSet) -> None:
    """Write what DP-GEN writes for ``fp_style`` into the folder of each job; same job and attempt, same bytes.

    Raises BadInputError with DP-GEN's own words where it cannot.
    """
    structures = [poscar(job.frame, inputs.type_map) for job in jobs]
    keys = [inputs.key(structure) for structure in structures]
    new = [i for i, job in enumerate(jobs) if not _is_made(job.folder, keys[i])]
    if new:
        with tempfile.TemporaryDirectory(prefix="alh2-dpgen-") as name:
            folders = _stage(Path(name), [structures[i] for i in new], inputs)
            _run_dpgen(Path(name), str(inputs.jdata["fp_style"]))
            for i, folder in zip(new, folders, strict=True):
                if not folder.is_dir():
                    raise BadInputError(
                        f"{jobs[i].folder}", expected=f"an input of {inputs.jdata['fp_style']}",
                        found="none: DP-GEN left it out",
                    )  # fmt: skip
                _bring(jobs[i], folder, keys[i], inputs)
    for job in jobs:
        given = read_json(job.folder / STAMP_FILE)["given"] if inputs.edits else {}
        for name, text in given.items():
            _write_if_changed(job.folder / name, inputs.edits[name](job, text.encode()))


def _is_made(folder: Path, key: str) -> bool:
    try:
        stamp = json.loads((folder / STAMP_FILE).read_text())
        return stamp["key"] == key and all((folder / name).exists() for name in stamp["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _stage(stage: Path, structures: Sequence[str], inputs: InputSet) -> list[Path]:
    (stage / JDATA_FILE).write_text(json.dumps({**inputs.jdata, "type_map": list(inputs.type_map)}))
    systems: dict[str, int] = {}
    folders = []
    for number, text in enumerate(structures):
        system = systems.setdefault(text.split("\n", 1)[0], len(systems))
        folder = stage / "iter.000000" / "02.fp" / f"task.{system:03d}.{number:06d}"
        folder.mkdir(parents=True)
        (folder / "POSCAR").write_text(text)
        folders.append(folder)
    return folders


def _run_dpgen(stage: Path, style: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "alh2.label.dpgen_worker"],
        cwd=stage,
        env={**os.environ, "HOME": str(stage)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise BadInputError(
            f"fp_style {style}", expected="inputs by DP-GEN", found=said, action="correct the fp keys of the param file"
        )


def _bring(job: LabelJob, folder: Path, key: str, inputs: InputSet) -> None:
    """Move the files of a staged task into its folder; the stamp is written last."""
    paths = [path for path in sorted(folder.rglob("*")) if not path.is_dir()]
    given = {}
    for path in paths:
        name = path.relative_to(folder).as_posix()
        content = path.read_bytes()
        if path.is_symlink():
            shared = job.folder.parent / SHARED / f"{path.name}.{digest_bytes(content)[:12]}"
            if not shared.exists():
                atomic_write_bytes(shared, content)
            (job.folder / name).parent.mkdir(parents=True, exist_ok=True)
            link_file(shared, job.folder / name)
        elif name in inputs.edits:
            given[name] = content.decode()
            _write_if_changed(job.folder / name, inputs.edits[name](job, content))
        else:
            _write_if_changed(job.folder / name, content)
    names = [path.relative_to(folder).as_posix() for path in paths]
    atomic_write_json(job.folder / STAMP_FILE, {"key": key, "files": names, "given": given})


def _write_if_changed(path: Path, content: bytes) -> None:
    if not path.is_file() or path.is_symlink() or path.read_bytes() != content:
        path.unlink(missing_ok=True)
        atomic_write_bytes(path, content)

"""Labels by the other first-principles codes of DP-GEN: inputs by DP-GEN, outputs by dpdata.

One table says what each code reads, writes and prints when it has converged. VASP has a module of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from alh2.core.errors import BadInputError
from alh2.core.files import digest_bytes
from alh2.core.frames import Frame, Label
from alh2.formats.dpdata_files import read_dpdata
from alh2.formats.trajectory import Trajectory
from alh2.label.dpgen_inputs import InputSet, write_inputs
from alh2.label.matching import label_from
from alh2.label.protocol import LabelFailure, LabelJob


@dataclass(frozen=True)
class Code:
    """What alh2 must know of a code beside what DP-GEN and dpdata know.

    inputs : files DP-GEN writes; output : file with the standard output, which DP-GEN's users know under this name
    file_format : of dpdata; source : file or folder dpdata reads, "" for `output`
    log : file that says whether the run converged, "" for `output`
    done : text that a finished run has; failed : texts that an unconverged one has
    potentials : whether files of ``fp_pp_files`` lie in the task folder
    """

    inputs: tuple[str, ...]
    output: str
    file_format: str
    source: str = ""
    log: str = ""
    done: str = ""
    failed: tuple[str, ...] = ()
    potentials: bool = False


CODES = {
    "cp2k": Code(
        ("input.inp", "coord.xyz"), "output", "cp2kdata/e_f", done="SCF run converged",
        failed=("SCF run NOT converged",), potentials=True,
    ),
    "pwscf": Code(
        ("input",), "output", "qe/pw/scf", done="JOB DONE", failed=("convergence NOT achieved",), potentials=True
    ),
    "abacus": Code(
        ("INPUT", "STRU"), "output", "abacus/scf", source=".", log="OUT.ABACUS/running_scf.log", done="!FINAL_ETOT_IS",
        failed=("convergence has NOT been achieved",),
    ),
    "siesta": Code(
        ("input",), "output", "siesta/output", done="End of run", failed=("SCF_NOT_CONV",), potentials=True
    ),
    "gaussian": Code(("input",), "output", "gaussian/log", done="Normal termination"),
    "custom": Code((), "output", ""),
}  # fmt: skip
"""The codes by ``fp_style``."""

REFUSED = {
    "amber/diff": "it corrects Amber exploration, and alh2 explores with LAMMPS",
    "cpx": "Car-Parrinello trajectories are no single points; run pw.x with fp_style pwscf",
    "pwmat": "its structures are written by its own tool poscar2config.x; label with another code",
}
"""Styles of DP-GEN that alh2 does not run, and why."""


@dataclass(frozen=True)
class DpgenLabeler:
    """Labeler of one of :data:`CODES`; `jdata` holds the param file's keys as DP-GEN takes them,
    `content` is the digest of the files they name."""

    name: str
    code: Code
    jdata: dict[str, Any]
    type_map: tuple[str, ...]
    content: str

    @property
    def n_attempts(self) -> int:
        """One: alh2 knows no other recipe than the user's input."""
        return 1

    @property
    def program(self) -> str:
        """None: these codes are started differently everywhere."""
        return ""

    @property
    def input_files(self) -> tuple[str, ...]:
        """What DP-GEN writes for this code and these keys."""
        potentials = tuple(self.jdata.get("fp_pp_files", ())) if self.code.potentials else ()
        return (*self.code.inputs, *potentials)

    @property
    def output_files(self) -> tuple[str, ...]:
        """The standard output, and the folder or file dpdata reads."""
        own = self.code.log.split("/")[0] or self.code.source
        return tuple(dict.fromkeys(name for name in (self.code.output, own) if name))

    def command(self, program: str) -> str:
        """`program` with its output in the file where DP-GEN's users look for it, unless it puts it there itself."""
        if re.search(rf">\s*{re.escape(self.code.output)}\b", program):
            return program
        return f"{{ {program}\n}} > {self.code.output} 2>&1"

    def prepare(self, jobs: Sequence[LabelJob]) -> None:
        """Write the inputs by DP-GEN."""
        write_inputs(jobs, InputSet(self.jdata, self.type_map, self.content))

    def collect(self, frame: Frame, folder: Path) -> Label | LabelFailure:
        """Label as dpdata reads it, where the output says that the run converged; else the reason."""
        log = folder / (self.code.log or self.code.output)
        if not log.exists():
            return LabelFailure(f"no {log.name}: the program did not start")
        text = log.read_text(errors="replace")
        for words in self.code.failed:
            if words in text:
                return LabelFailure(f'not converged: {log.name} has "{words}"')
        if self.code.done not in text:
            return LabelFailure(f'{log.name} is not whole: no "{self.code.done}" in it')
        source = folder / (self.code.source or self.code.output)
        try:
            trajectory = read_dpdata(source, self.code.file_format)
        except BadInputError as error:
            return LabelFailure(f"{source.name}: {error.found}")
        return label_from(by_type(trajectory, self.type_map), frame, self.type_map, labeler=self.name)


def by_type(trajectory: Trajectory, type_map: tuple[str, ...]) -> Trajectory:
    """Steps with the atoms grouped by `type_map`, the order within each element kept.

    dpdata numbers elements in the order in which a reader met them; foreign elements come last.
    """
    index = {symbol: i for i, symbol in enumerate(type_map)}
    steps = []
    for step in trajectory.steps:
        order = np.argsort([index.get(symbol, len(index)) for symbol in step.symbols], kind="stable")
        symbols = tuple(step.symbols[i] for i in order)
        steps.append(
            replace(
                step,
                symbols=symbols,
                positions_ang=step.positions_ang[order],
                forces_ev_ang=step.forces_ev_ang[order],
            )
        )
    return replace(trajectory, steps=tuple(steps))


def make(style: str, params: Mapping[str, Any], *, type_map: tuple[str, ...], where: str) -> DpgenLabeler:
    """Labeler of DP-GEN's `style`; raises BadInputError where alh2 does not run it or its keys do not fit."""
    if style in REFUSED:
        raise BadInputError(
            "fp_style", expected=f"vasp, {', '.join(CODES)} or a labeler of alh2", found=f'"{style}"',
            action=REFUSED[style],
        )  # fmt: skip
    if params.get("use_clusters"):
        raise BadInputError(
            f"{where}.use_clusters", expected="false", found="true", action="alh2 labels whole frames, as they were"
        )
    params = {key: value for key, value in params.items() if key not in ("fp_skip_bad_box", "use_clusters")}
    code = _fitted(style, params)
    contents: list[str | bytes] = [
        repr(sorted((key, repr(value)) for key, value in params.items() if key not in _PLACES))
    ]
    contents += _files(params, type_map, where)
    digest = digest_bytes(*(part.encode() if isinstance(part, str) else part for part in contents))[:8]
    return DpgenLabeler(f"{style} (level {digest})", code, {"fp_style": style, **params}, type_map, digest)


_PLACES = ("fp_pp_path", "fp_incar", "external_input_path", "fp_kpt_file", "mass_map")


def _fitted(style: str, params: Mapping[str, Any]) -> Code:
    """The code with the file names that depend on the keys."""
    code = CODES[style]
    if style == "custom":
        own = params["fp_params"]
        return replace(
            code,
            inputs=(own["input_fn"],),
            file_format=own["output_fmt"],
            source=own["output_fn"],
            log=own["output_fn"],
        )
    if style == "abacus":
        settings = params.get("user_fp_params", {})
        files = [] if "kspacing" in settings else ["KPT"]
        return replace(code, inputs=(*code.inputs, *files, "pporb"))
    return code


def _files(params: Mapping[str, Any], type_map: tuple[str, ...], where: str) -> list[bytes]:
    """Content of every file the keys name; raises BadInputError where one is absent or there are too few."""
    named: list[tuple[str, Path]] = [
        (f"{where}.{key}", Path(params[key]))
        for key in ("fp_incar", "external_input_path", "fp_kpt_file")
        if key in params
    ]
    for key in ("fp_pp_files", "fp_orb_files"):
        files = params.get(key, [])
        if files and len(files) != len(type_map):
            wanted = f"{len(type_map)} files, one for each of type_map ({', '.join(type_map)})"
            raise BadInputError(f"{where}.{key}", expected=wanted, found=str(len(files)))
        named += [(f"{where}.{key}[{i}]", Path(params["fp_pp_path"]) / name) for i, name in enumerate(files)]
    contents = []
    for place, path in named:
        try:
            contents.append(path.read_bytes())
        except OSError as error:
            raise BadInputError(
                place, expected=f"a readable file {path}", found=str(error.strerror).lower(), action="check the path"
            ) from None
    return contents

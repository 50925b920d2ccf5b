"""Labels by VASP: inputs through DP-GEN, OUTCAR read with the convergence counted, recipes for stubborn ones.

POTCAR is assembled from the user's own files, in the order of the atoms; no part of it comes with alh2.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alh2.core.errors import BadInputError
from alh2.core.files import digest_bytes
from alh2.core.frames import Frame, Label
from alh2.formats.vasp import read_outcar, read_vasprun
from alh2.label.attempts import attempt_number
from alh2.label.dpgen_inputs import InputSet, write_inputs
from alh2.label.matching import label_from
from alh2.label.protocol import LabelFailure, LabelJob
from alh2.label.vasp_incar import RECIPES, check_single_point, format_incar, level_of_theory, parse_incar, with_recipe
from alh2.label.vasp_restart import keep_orbitals

CVASP_ERRORS = 3
"""Times that Custodian mends a run with ``cvasp``."""

_TITEL = re.compile(r"TITEL\s*=\s*(\S+)\s+([A-Z][a-z]?)")


@dataclass(frozen=True)
class VaspLabeler:
    """Labeler "vasp".

    jdata : the param file's keys of ``fp_style: vasp``, absolute paths, as DP-GEN takes them
    content : digest of INCAR and pseudopotentials
    reuse_orbitals : start from the orbitals of the task before with the same formula
    """

    name: str
    jdata: dict[str, Any]
    type_map: tuple[str, ...]
    content: str
    reuse_orbitals: bool = False

    @property
    def n_attempts(self) -> int:
        """One for each of :data:`alh2.label.vasp_incar.RECIPES`."""
        return len(RECIPES)

    @property
    def program(self) -> str:
        """None: VASP is started differently everywhere."""
        return ""

    @property
    def input_files(self) -> tuple[str, ...]:
        """VASP's four, and Custodian's script with ``cvasp``."""
        files = ("POSCAR", "INCAR", "KPOINTS", "POTCAR")
        return (*files, "cvasp.py") if self.jdata.get("cvasp") else files

    @property
    def output_files(self) -> tuple[str, ...]:
        """The file that is read."""
        return ("OUTCAR",)

    def command(self, program: str) -> str:
        """`program`, through Custodian with ``cvasp``, between taking and leaving orbitals with `reuse_orbitals`."""
        command = program
        if self.jdata.get("cvasp") and "cvasp.py" not in program:
            command = f"python cvasp.py {shlex.quote(program)} {CVASP_ERRORS}"
        return keep_orbitals(command) if self.reuse_orbitals else command

    def prepare(self, jobs: Sequence[LabelJob]) -> None:
        """Write POSCAR, INCAR, KPOINTS and POTCAR by DP-GEN; the INCAR follows the recipe of the task's attempt."""
        write_inputs(jobs, InputSet(self.jdata, self.type_map, self.content, {"INCAR": self._incar}))

    def _incar(self, job: LabelJob, content: bytes) -> bytes:
        text = with_recipe(content.decode(), attempt_number(job.folder, self.n_attempts))
        if self.reuse_orbitals:
            text = format_incar({**parse_incar(text), "LWAVE": ".TRUE."})
        return text.encode()

    def collect(self, frame: Frame, folder: Path) -> Label | LabelFailure:
        """Label from OUTCAR, or from vasprun.xml where there is no OUTCAR; else the reason."""
        outcar, vasprun = folder / "OUTCAR", folder / "vasprun.xml"
        if not outcar.exists() and not vasprun.exists():
            return LabelFailure("no OUTCAR: VASP did not start")
        try:
            trajectory = read_outcar(outcar) if outcar.exists() else read_vasprun(vasprun)
        except BadInputError as error:
            return LabelFailure(f"{Path(error.where).name}: expected {error.expected}, found {error.found}")
        if trajectory.truncated:
            return LabelFailure(f"{Path(trajectory.file).name} is not whole: {trajectory.truncated}")
        if any(not step.converged for step in trajectory.steps):
            return LabelFailure("SCF not converged: the electronic steps reached NELM")
        return label_from(trajectory, frame, self.type_map, labeler=self.name)


def make(
    params: Mapping[str, Any], *, type_map: tuple[str, ...], where: str, reuse_orbitals: bool = False
) -> VaspLabeler:
    """Labeler "vasp" from the keys of a DP-GEN param file.

    Raises BadInputError where a file is absent, the pseudopotentials are not those of `type_map` in its order, or the
    INCAR is not a single point.
    """
    params = {key: value for key, value in params.items() if key != "fp_skip_bad_box"}
    tags = _incar_tags(params, where)
    generated = "fp_incar" not in params and "user_fp_params" not in params
    if not generated:
        place = str(params.get("fp_incar", f"{where}.user_fp_params"))
        check_single_point(tags, place, kspacing_elsewhere="fp_aniso_kspacing" in params)
    potentials = _potentials(params, type_map, where)
    level = [level_of_theory(tags), repr(params.get("fp_aniso_kspacing")), *potentials]
    if generated:
        level.append(repr(sorted(params["fp_params"].items())))
    digest = digest_bytes(*(part.encode() for part in level))[:8]
    words = [f"ENCUT {tags['ENCUT']}"] if "ENCUT" in tags else []
    words += [f"{name} {tags[name]}" for name in ("METAGGA", "GGA", "IVDW") if name in tags]
    name = f"VASP ({', '.join([*words, f'level {digest}'])})"
    jdata = {"fp_style": "vasp", **params}
    content = digest_bytes(repr(sorted(tags.items())).encode(), _incar_bytes(params), *(p.encode() for p in potentials))
    return VaspLabeler(name, jdata, type_map, content, reuse_orbitals)


def _incar_bytes(params: Mapping[str, Any]) -> bytes:
    return Path(params["fp_incar"]).read_bytes() if "fp_incar" in params else b""


def _incar_tags(params: Mapping[str, Any], where: str) -> dict[str, str]:
    """Tags of the INCAR that `params` lead to, as far as the user gave them."""
    if "fp_incar" in params:
        path = Path(params["fp_incar"])
        try:
            return parse_incar(path.read_text(errors="replace"))
        except OSError as error:
            raise BadInputError(
                f"{where}.fp_incar", expected=f"a readable INCAR {path}", found=str(error.strerror).lower(),
                action="check the path",
            ) from None  # fmt: skip
    source = params.get("user_fp_params") or params.get("fp_params", {}).get("user_vasp_params", {})
    if "user_fp_params" not in params and "fp_params" not in params:
        raise BadInputError(
            f"{where}.fp_incar", expected="an INCAR for the labels", found="no such key", action="name a file"
        )
    return {str(name).upper(): str(value) for name, value in source.items()}


def _potentials(params: Mapping[str, Any], type_map: tuple[str, ...], where: str) -> list[str]:
    """Digest of each pseudopotential; raises BadInputError where they are not those of `type_map`, one each."""
    files = params.get("fp_pp_files", [])
    if len(files) != len(type_map):
        raise BadInputError(
            f"{where}.fp_pp_files",
            expected=f"{len(type_map)} files, one for each of type_map ({', '.join(type_map)})",
            found=f"{len(files)}",
        )
    digests = []
    for i, (element, name) in enumerate(zip(type_map, files, strict=True)):
        path = Path(params["fp_pp_path"]) / name
        place = f"{where}.fp_pp_files[{i}]"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BadInputError(
                place, expected=f"the POTCAR of {element}, {path}", found=str(error.strerror).lower(),
                action="VASP's pseudopotentials come with its licence; set fp_pp_path to where yours are",
            ) from None  # fmt: skip
        titles = _TITEL.findall(content.decode(errors="replace"))
        if [symbol for _, symbol in titles] != [element]:
            found = " and ".join(" ".join(title) for title in titles) or "no TITEL"
            raise BadInputError(
                place, expected=f"one POTCAR, of {element}, as in type_map", found=f"{path} with {found}",
                action="put fp_pp_files into the order of type_map",
            ) from None  # fmt: skip
        digests.append(digest_bytes(content))
    return digests

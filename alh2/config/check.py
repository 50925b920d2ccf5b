"""``alh2 check``: beyond the files themselves, the programs and the data they name, and the work they ask for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from alh2.config.commands import brings_programs, find_program, is_local, programs_of
from alh2.config.data import UNREAD, Content, scan
from alh2.config.model import AimdSource, MachineConfig, ParamConfig, StageMachine
from alh2.config.plan import PlannedWork, planned_work
from alh2.config.rules import keys_without_effect
from alh2.config.schema import LABEL_PATHS, own_styles
from alh2.core.errors import BadInputError


@dataclass(frozen=True)
class CheckReport:
    """What was found.

    problems : one line each, the campaign would fail on them
    notes : one line each, worth knowing
    n_aimd_frames : initial frames kept, as far as the files tell without being read in full
    """

    work: PlannedWork
    n_aimd_frames: int
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.problems


def check(param: ParamConfig, machine: MachineConfig) -> CheckReport:
    """Look for the programs and data that loaded files name, and count the planned work. Changes nothing."""
    problems: list[str] = []
    notes: list[str] = []
    contents: list[Content] = []
    n_frames = 0
    for i, source in enumerate(param.dataset.aimd):
        own = len(param.raw.get("alh2", {}).get("dataset", {}).get("aimd", []))
        place = f"alh2.dataset.aimd[{i}].files" if i < own else f"init_data_sys[{i - own}]"
        found = _source(param, source, f"{param.source.name}: {place}", problems)
        contents += found
        n_frames += _kept(source, found)
    problems += _other_files(param)
    problems += _composition(param, contents)
    problems += _fp_command(param, machine)
    for name, stage in _stages(machine).items():
        _programs(stage, f"{machine.source.name}: {name}.command", problems, notes)
    ignored = keys_without_effect(param.raw, param.label.params)
    if ignored:
        notes.append(f"{param.source.name}: keys of DP-GEN that alh2 has no use for: {', '.join(ignored)}")
    return CheckReport(planned_work(param, n_aimd_frames=n_frames), n_frames, tuple(problems), tuple(notes))


def _stages(machine: MachineConfig) -> dict[str, StageMachine]:
    return {"train": machine.train, "model_devi": machine.model_devi, "fp": machine.fp, "gcmc": machine.gcmc}


def _line(where: str, expected: str, found: str, action: str = "") -> str:
    return str(BadInputError(where, expected=expected, found=found, action=action))


def _source(param: ParamConfig, source: AimdSource, where: str, problems: list[str]) -> list[Content]:
    contents: list[Content] = []
    for path in source.files:
        if not os.access(path, os.R_OK):
            found = "a file that cannot be read" if path.exists() else "no such file"
            problems.append(_line(where, f"a readable file {path}", found, "check the path"))
            continue
        try:
            content = scan(path)
        except BadInputError as error:
            problems.append(str(error))
            continue
        if content is None:
            contents.append(UNREAD)
            continue
        foreign = sorted({symbol for formula in content.formulas for symbol, _ in formula} - set(param.type_map))
        if foreign:
            problems.append(_line(str(path), f"elements of type_map {list(param.type_map)}", ", ".join(foreign)))
        contents.append(content)
    return contents


def _kept(source: AimdSource, contents: list[Content]) -> int:
    total = sum(content.n_frames for content in contents)
    left = max(0, total - int(round(source.drop_ps * 1000 / source.dt_fs)))
    left = -(-left // source.every)
    return left if source.max_frames is None else min(left, source.max_frames)


def _other_files(param: ParamConfig) -> list[str]:
    name = param.source.name
    wanted: list[tuple[str, Path]] = []
    if param.host is not None and param.host.file is not None:
        wanted.append((f"{name}: alh2.host.file", param.host.file))
    for i, paths in enumerate(param.explore.sys_configs):
        wanted += [(f"{name}: sys_configs[{i}]", path) for path in paths]
    params = param.label.params
    if "host_file" in params:
        wanted.append((f"{name}: fp_params.host_file", Path(params["host_file"])))
    for key in LABEL_PATHS:
        if isinstance(params.get(key), str) and key != "fp_pp_path":
            wanted.append((f"{name}: {key}", Path(params[key])))
    lines = [
        _line(where, f"a readable file {path}", "no such file", "check the path")
        for where, path in wanted
        if not os.access(path, os.R_OK)
    ]
    return lines + _pseudopotentials(param)


def _pseudopotentials(param: ParamConfig) -> list[str]:
    params, name = param.label.params, param.source.name
    files, folder = params.get("fp_pp_files"), params.get("fp_pp_path")
    if not isinstance(files, list) or not isinstance(folder, str):
        return []
    what = "POTCAR" if param.label.style == "vasp" else "pseudopotential"
    elements = [*(f"of {element} " for element in param.type_map), *[""] * len(files)]
    return [
        _line(
            f"{name}: fp_pp_files[{i}]", f"the {what} {elements[i]}{Path(folder) / file}",
            "no such file", "set fp_pp_path to the folder of your own files; none come with alh2",
        )
        for i, file in enumerate(files)
        if not os.access(Path(folder) / file, os.R_OK)
    ]  # fmt: skip


def _fp_command(param: ParamConfig, machine: MachineConfig) -> list[str]:
    """A first-principles code is not started by the interpreter that alh2's own labelers need."""
    words = programs_of(machine.fp.command)
    first = Path(words[0]).name if words else ""
    if param.label.style in own_styles() or not first.startswith("python") or "cvasp.py" in machine.fp.command:
        return []
    expected = f"how {param.label.style} is started, e.g. mpirun -np 16 vasp_gam"
    return [_line(f"{machine.source.name}: fp.command", expected, machine.fp.command, "name the program")]


def _composition(param: ParamConfig, contents: list[Content]) -> list[str]:
    """GCMC needs data that tell what one more H2 costs: two loadings at least, and H2 alone."""
    uses_gcmc = bool(param.explore.gcmc_jobs) or param.production is not None
    if not uses_gcmc or UNREAD in contents:
        return []
    formulas = {formula for content in contents for formula in content.formulas}
    gas = any({symbol for symbol, _ in formula} == {"H"} for formula in formulas)
    hydrogens = {dict(formula).get("H", 0) for formula in formulas}
    lines = []
    if len(set(param.bootstrap.loadings)) < 2 and len(hydrogens) < 2:
        lines.append(
            _line(
                f"{param.source.name}: alh2.bootstrap.loadings",
                "data at two loadings or more, as GCMC needs the energy of adding one H2",
                "one",
                "add loadings such as 0, 1, 4",
            )
        )
    if not param.bootstrap.gas_frames and not gas:
        lines.append(
            _line(
                f"{param.source.name}: alh2.bootstrap.gas_frames",
                "frames of H2 alone, whose energy GCMC subtracts",
                "none",
                "set it to 10 or more",
            )
        )
    return lines


def _programs(stage: StageMachine, where: str, problems: list[str], notes: list[str]) -> None:
    if not is_local(str(stage.machine["context_type"])):
        notes.append(f"{where}: not looked for, the machine is remote ({stage.machine['context_type']})")
        return
    if brings_programs(stage.resources):
        notes.append(f"{where}: not looked for, source_list or module_list bring it")
        return
    for program in programs_of(stage.command):
        if find_program(program) is None:
            problems.append(_line(where, f"the program {program}", "no such program", "install it or give its path"))

"""``alh2 label``: frames in structure files, computed here; and a campaign's quarantine, listed or tried again."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ase import Atoms

    from alh2.core.frames import Frame, Label
    from alh2.label.local import LocalRun
    from alh2.label.protocol import Labeler, LabelFailure


def register(app: typer.Typer) -> None:
    """Add the subcommand to `app`."""
    app.command("label", help="Compute energies and forces of structure files, or of quarantined frames.")(label)


def label(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Structure files (any format ASE reads; all their frames).")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="extxyz file for the labelled frames.")] = None,
    style: Annotated[str, typer.Option(help="Labeler: xtb, ase, reference, or a code of DP-GEN.")] = "xtb",
    params: Annotated[str, typer.Option(help="Labeler parameters as a JSON object.")] = "{}",
    param: Annotated[Path | None, typer.Option(help="Param file whose labeler is used instead.")] = None,
    program: Annotated[str, typer.Option(help="How the code is started, e.g. 'mpirun -np 16 vasp_gam'.")] = "",
    jobs: Annotated[int, typer.Option(min=1, help="Frames computed at a time.")] = 2,
    timeout_s: Annotated[float, typer.Option(min=0.1, help="Longest time for one frame, s.")] = 3600.0,
    workdir: Annotated[Path | None, typer.Option(help="Keep the task folders here, and go on from them.")] = None,
    host_label: Annotated[
        bool, typer.Option("--host-label", help="Also label the bare host of each frame: interaction energies.")
    ] = False,
    quarantine: Annotated[
        Path | None, typer.Option(help="List the frames of this campaign that have no label, and why.")
    ] = None,
    retry: Annotated[Path | None, typer.Option(help="Label the quarantined frames of this campaign again.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="With --quarantine or --retry: tasks whose name contains this.")
    ] = None,
) -> None:
    """Label all frames of `files`, or again those in a campaign's quarantine; exit code 1 if some have no label."""
    from alh2.core.errors import BadInputError

    if (retry or quarantine) and (files or output or (retry and quarantine)):
        raise BadInputError("alh2 label", expected="files with --output, or --retry, or --quarantine", found="several")
    if quarantine is not None:
        _list_quarantine(quarantine, only or [])
        return
    if retry is not None:
        _retry(retry, only or [])
        return
    if not files or output is None:
        missing = "structure files" if not files else "--output"
        raise BadInputError("alh2 label", expected="structure files and --output", found=f"no {missing}")
    labeler_from = _from_param(param) if param is not None else _from_words(style, params)
    run = _Run(labeler_from, jobs, timeout_s, program, workdir, host_label)
    _label_files(files, output, run)


@dataclass(frozen=True)
class _Run:
    """Options of a labelling run; `make` gives the labeler for the elements of the frames."""

    make: Callable[[tuple[str, ...]], Labeler]
    jobs: int
    timeout_s: float
    program: str
    workdir: Path | None
    host_label: bool


def _from_words(style: str, params: str) -> Callable[[tuple[str, ...]], Labeler]:
    from alh2.config.model import LabelConfig
    from alh2.core.errors import BadInputError
    from alh2.label.registry import make_labeler

    try:
        parsed = json.loads(params)
    except ValueError as error:
        raise BadInputError("--params", expected="a JSON object", found=f"{params!r} ({error})") from None
    if not isinstance(parsed, dict):
        raise BadInputError("--params", expected="a JSON object", found=repr(params))
    return lambda elements: make_labeler(LabelConfig(style, parsed, 0.0, where="--params"), type_map=elements)


def _from_param(path: Path) -> Callable[[tuple[str, ...]], Labeler]:
    from alh2.config.load import load_param
    from alh2.label.registry import make_labeler

    config = load_param(path)
    return lambda elements: make_labeler(config.label, type_map=config.type_map)


def _label_files(files: list[Path], output: Path, run: _Run) -> None:
    from alh2.core.errors import BadInputError
    from alh2.label.local import LocalRun

    named = [item for path in files for item in _read_frames(path)]
    labeler = run.make(tuple(sorted({symbol for _, frame in named for symbol in frame.symbols})))
    if not (run.program or labeler.program):
        raise BadInputError(
            "--program", expected=f"how the code of {labeler.name} is started", found="nothing",
            action="e.g. --program 'mpirun -np 16 vasp_gam'",
        )  # fmt: skip
    distinct = {frame.digest: frame for _, frame in named}
    if run.host_label:
        distinct |= {host.digest: host for host in (f.bare_host() for _, f in named if f.n_host)}
    with contextlib.ExitStack() as stack:
        folder = run.workdir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="alh2-label-")))
        answers = _label_all(labeler, distinct, LocalRun(folder, run.jobs, run.timeout_s, run.program))
    labelled, failures = _collect(named, answers, host_label=run.host_label)
    for line in failures:
        typer.echo(line, err=True)
    if labelled:
        _write_extxyz(output, labelled)
        typer.echo(f"{len(labelled)} of {len(named)} frames labelled by {labeler.name}: {output}")
    else:
        typer.echo(f"no frame labelled, {output} not written", err=True)
    if failures:
        raise typer.Exit(1)


def _list_quarantine(directory: Path, only: list[str]) -> None:
    from alh2.campaign.retrying import quarantined

    entries = quarantined(directory, only=only)
    for entry in entries:
        typer.echo(f"{entry.task}  {entry.when}  {entry.reason}")
    typer.echo(f"{len(entries)} frames without a label" + (f"; alh2 label --retry {directory}" if entries else ""))


def _retry(directory: Path, only: list[str]) -> None:
    from alh2.campaign.retrying import retry

    done = retry(directory, only=only)
    for entry in done.left:
        typer.echo(f"{entry.task}: no label: {entry.reason}", err=True)
    typer.echo(f"{done.n_released} frames labelled, {len(done.left)} not; the next training uses the new labels")
    if done.left:
        raise typer.Exit(1)


def _read_frames(path: Path) -> list[tuple[str, Frame]]:
    """Frames of one file with a name for messages; raises BadInputError."""
    from ase.io import read
    from ase.io.formats import UnknownFileTypeError

    from alh2.core.atoms import from_atoms
    from alh2.core.errors import BadInputError
    from alh2.core.frames import Provenance
    from alh2.structure.topology import split_host_guests

    try:
        images = read(path, index=":")
    except (OSError, ValueError, KeyError, IndexError, TypeError, StopIteration, UnknownFileTypeError) as error:
        found = f"{type(error).__name__}: {error}" if path.exists() else "no such file"
        raise BadInputError(str(path), expected="a structure file", found=found) from None
    if not images:
        raise BadInputError(str(path), expected="at least one frame", found="none")
    named = []
    for number, atoms in enumerate(images):
        name = f"{path}, frame {number}"
        if atoms.cell.rank < 3:
            raise BadInputError(name, expected="a cell with three vectors", found=f"cell of rank {atoms.cell.rank}")
        ordered, n_host = split_host_guests(atoms)
        host_id = str(atoms.info.get("host_id", "host"))
        named.append((name, from_atoms(ordered, n_host=n_host, host_id=host_id, provenance=Provenance("file"))))
    return named


def _label_all(labeler: Labeler, frames: dict[str, Frame], run: LocalRun) -> dict[str, Label | LabelFailure]:
    """Answers by frame digest, each geometry computed once."""
    from alh2.label.local import label_frames

    return dict(zip(frames, label_frames(labeler, list(frames.values()), run), strict=True))


def _collect(
    named: list[tuple[str, Frame]], answers: dict[str, Label | LabelFailure], *, host_label: bool
) -> tuple[list[Atoms], list[str]]:
    """Labelled atoms, and one line per frame without a label."""
    from ase.calculators.singlepoint import SinglePointCalculator

    from alh2.core.atoms import to_atoms
    from alh2.core.frames import LabelledFrame
    from alh2.label.protocol import LabelFailure

    labelled, failures = [], []
    for name, frame in named:
        answer = answers[frame.digest]
        host = answers[frame.bare_host().digest] if host_label and frame.n_host else None
        if isinstance(answer, LabelFailure) or isinstance(host, LabelFailure):
            reason = answer.reason if isinstance(answer, LabelFailure) else f"bare host: {host.reason}"  # type: ignore[union-attr]
            failures.append(f"{name}: no label: {reason}")
            continue
        atoms = to_atoms(frame)
        atoms.info["labeler"] = answer.labeler
        if host is not None:
            pair = LabelledFrame(frame, answer, host)
            atoms.info.update(host_energy=host.energy_ev, interaction_energy=pair.energy_ev("interaction"))
            atoms.arrays["interaction_forces"] = pair.forces_ev_ang("interaction")
        properties: dict[str, Any] = {"energy": answer.energy_ev, "forces": answer.forces_ev_ang}
        atoms.calc = SinglePointCalculator(atoms, **properties)
        labelled.append(atoms)
    return labelled, failures


def _write_extxyz(path: Path, images: list[Atoms]) -> None:
    """Write all frames in one step."""
    import io

    from ase.io import write

    from alh2.core.files import atomic_write_text

    text = io.StringIO()
    write(text, images, format="extxyz")
    atomic_write_text(path, text.getvalue())

"""``alh2 ingest``: AIMD files to a dataset, with a report of what was kept and what looks wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from alh2.dataset.ingest import IngestReport, TrajectoryReport

DEFAULT_TYPE_MAP = "Al,O,C,N,H"
MAX_OUTLIERS_SHOWN = 5

Files = Annotated[
    list[Path],
    typer.Argument(help="OUTCAR, vasprun.xml (both also .gz), extxyz, ASE trajectory or deepmd/npy folder."),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Dataset folder: new, or one to append to.")]


def register(app: typer.Typer) -> None:
    """Add ``ingest`` to `app`."""
    app.command("ingest")(ingest)


def ingest(
    files: Files,
    output: Output,
    format: Annotated[
        str, typer.Option("--format", help="vasp/outcar, vasp/xml, extxyz, deepmd/npy, or an ASE or dpdata format.")
    ] = "auto",
    drop_ps: Annotated[float, typer.Option("--drop-ps", min=0.0, help="Equilibration time to drop, ps.")] = 0.0,
    dt_fs: Annotated[
        float | None, typer.Option("--dt-fs", min=0.0, help="Time between frames, fs (VASP: default POTIM).")
    ] = None,
    every: Annotated[int, typer.Option("--every", min=1, help="Keep every n-th frame.")] = 1,
    max_frames: Annotated[int | None, typer.Option("--max-frames", min=1, help="Then keep at most so many.")] = None,
    temperature: Annotated[float | None, typer.Option("--temperature", help="Thermostat temperature, K.")] = None,
    type_map: Annotated[
        str | None, typer.Option("--type-map", help=f"Elements in DeePMD's order (new dataset: {DEFAULT_TYPE_MAP}).")
    ] = None,
    validation: Annotated[
        float, typer.Option("--validation", min=0.0, max=0.9, help="Fraction of frames held out.")
    ] = 0.1,
    split: Annotated[str, typer.Option("--split", help="blocks (of time) or random (single frames).")] = "blocks",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the random split.")] = 1,
    n_host: Annotated[
        int | None, typer.Option("--n-host", min=0, help="Number of host atoms (default: all but free H2).")
    ] = None,
    host_id: Annotated[str, typer.Option("--host-id", help="Name of the host in the dataset.")] = "host",
    labeler: Annotated[str, typer.Option("--labeler", help="Level of theory of these energies and forces.")] = "aimd",
    name: Annotated[
        str | None, typer.Option("--name", help="Name of this step; a name adds once (default: from the content).")
    ] = None,
    continued: Annotated[
        bool, typer.Option("--continued", help="The files are one run, in this order, not one run each.")
    ] = False,
    drop_outliers: Annotated[bool, typer.Option("--drop-outliers", help="Leave outliers out.")] = False,
    allow_truncated: Annotated[
        bool, typer.Option("--allow-truncated", help="Keep the whole frames of a file that breaks off.")
    ] = False,
    allow_mixed_cells: Annotated[bool, typer.Option("--allow-mixed-cells", help="Accept changing cells.")] = False,
) -> None:
    """Read AIMD, drop equilibration and unconverged steps, hold out blocks of time, and store the rest."""
    from alh2.core.errors import BadInputError
    from alh2.dataset.ingest import IngestOptions, TrajectorySource
    from alh2.dataset.ingest import ingest as run_ingest

    if split not in ("blocks", "random"):
        raise BadInputError("--split", expected="blocks or random", found=split)
    groups = [tuple(files)] if continued else [(path,) for path in files]
    sources = [
        TrajectorySource(
            group, format, drop_ps, dt_fs, every, max_frames, temperature, labeler, allow_truncated, allow_mixed_cells
        )  # fmt: skip
        for group in groups
    ]
    options = IngestOptions(
        host_id=host_id, n_host=n_host, validation_fraction=validation,
        split="random" if split == "random" else "blocks", seed=seed, drop_outliers=drop_outliers, name=name,
    )  # fmt: skip
    report = run_ingest(sources, output, type_map=_type_map(type_map, output), options=options)
    for line in report_lines(report):
        typer.echo(line)


def _type_map(given: str | None, output: Path) -> tuple[str, ...]:
    """The elements given, else those of the dataset that exists at `output`, else the default."""
    from ase.data import chemical_symbols

    from alh2.core.errors import BadInputError
    from alh2.dataset.store import DatasetStore

    if given is None and any(output.glob("*/*/type_map.raw")):
        return DatasetStore.open(output).type_map
    elements = tuple((given or DEFAULT_TYPE_MAP).replace(",", " ").split())
    unknown = [element for element in elements if element not in chemical_symbols[1:]]
    if unknown or len(set(elements)) != len(elements) or not elements:
        raise BadInputError("--type-map", expected="different chemical elements", found=given or "none")
    return elements


def report_lines(report: IngestReport) -> list[str]:
    """`report` as lines of text."""
    lines = [line for trajectory in report.trajectories for line in _trajectory_lines(trajectory)]
    frames = report.n_train + report.n_valid
    lines.append(f"{frames} frames: {report.n_train} to train on, {report.n_valid} held out")
    if report.n_added < frames:
        lines.append(
            f"{frames - report.n_added} of them are in the dataset already (or its step has this --name), "
            f"{report.n_added} added"
        )
    return [*lines, f"dataset  {report.output}", f"plot     {report.plot}"]


def _trajectory_lines(t: TrajectoryReport) -> list[str]:
    dropped = [
        f"{count} {why}"
        for count, why in (
            (t.n_equilibration, "equilibration"),
            (t.n_unconverged, "not converged"),
            (t.n_thinned, "thinned out"),
            (t.n_outliers_dropped, "outliers"),
        )
        if count
    ]
    host = f"host {t.host_id} ({t.n_host} atoms) + {t.n_h2} H2" if t.n_host else f"{t.n_h2} H2, no host"
    lines = [
        ", ".join(t.files),
        f"  {t.composition}: {host}",
        f"  {t.n_read} frames read; dropped: {', '.join(dropped) or 'none'}; {t.n_train} train, {t.n_valid} held out",
    ]
    if t.temperature is None:
        lines.append("  temperature: no velocities in the file")
    else:
        lines.append(f"  temperature {t.temperature.mean:.1f} ± {t.temperature.std:.1f} K (standard deviation)")
    drift = "drift unknown (no time step or too few frames)"
    if t.drift is not None:
        drift = f"drift {t.drift.mev_per_atom_ps:+.3f} ± {t.drift.error:.3f} meV/atom/ps over {t.duration_ps:.3f} ps"
        if t.drift.significant:
            drift += ": not equilibrated? drop more with --drop-ps"
    lines.append(f"  energy: scatter {t.energy_std_mev_per_atom:.2f} meV/atom, {drift}")
    lines.append(f"  largest force {t.max_force_ev_ang:.2f} eV/Å; outliers: {len(t.outliers)}")
    for outlier in t.outliers[:MAX_OUTLIERS_SHOWN]:
        lines.append(f"    {outlier.file}, frame {outlier.frame}: {outlier.reason}")
    if len(t.outliers) > MAX_OUTLIERS_SHOWN:
        lines.append(f"    and {len(t.outliers) - MAX_OUTLIERS_SHOWN} more in the report file")
    return lines

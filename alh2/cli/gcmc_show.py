"""How ``alh2 gcmc`` tells its progress and its results."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from alh2.cli.gcmc_run import Inputs
    from alh2.core.statistics import Estimate
    from alh2.gcmc import GcmcResult
    from alh2.gcmc.settings import Progress

PLAIN_EVERY_S = 60.0
"""Where stderr is no terminal, a line of progress at most this often."""


def progress_line() -> Progress:
    """How far the run is and how long it will take: one live line on a terminal, now and then a line elsewhere."""
    live = sys.stderr.isatty()
    start = last = time.monotonic()
    first: int | None = None

    def tell(done: int, total: int, n_molecules: int) -> None:
        nonlocal first, last, start
        now = time.monotonic()
        if first is None:
            first, start = done, now
        left = (now - start) * (total - done) / (done - first) if done > first else math.nan
        text = f"{done}/{total} moves, {n_molecules} H2{', ' + duration(left) + ' left' if left > 0 else ''}"
        if live:
            end = "\n" if done == total else ""
            print(f"\r{text:60s}", end=end, file=sys.stderr, flush=True)
        elif now - last >= PLAIN_EVERY_S:
            last = now
            print(text, file=sys.stderr, flush=True)

    return tell


def duration(seconds: float) -> str:
    """``2 h 05 min``, ``3 min 20 s`` or ``12 s``."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"


def show(results: list[GcmcResult], pressure_bar: float | None) -> None:
    """Print the point and, of each run, the acceptance of each move."""
    from alh2.gcmc.replicas import combine

    first = results[0]
    outside = f"{pressure_bar:g} bar, " if pressure_bar is not None else ""
    typer.echo(f"{first.temperature_k:g} K, {outside}fugacity {first.fugacity_bar:.6g} bar")
    typer.echo(f"{first.framework_label}, {first.nuclei}")
    typer.echo(f"H2 bond {first.adsorbate.bond_length_ang:.4f} Å ({first.adsorbate.geometry_source})")
    for number, result in enumerate(results):
        _show_run(result, number if len(results) > 1 else None)
    if len(results) > 1:
        point = combine(results)
        typer.echo(_loading(first, point.n_adsorbed.mean, point.n_adsorbed.standard_error, what="all replicas: "))
        _energies(point.adsorption_energy_ev, point.isosteric_heat_kj_per_mol)
        if point.hysteresis:
            typer.echo(
                f"hysteresis: the replicas differ by {point.largest_difference_sigma:.1f} standard errors; "
                "the point depends on the start, run longer"
            )


def _show_run(result: GcmcResult, number: int | None) -> None:
    what = "" if number is None else f"replica {number}, from {result.n_initial} H2: "
    typer.echo(_loading(result, result.mean_n_adsorbed, result.n_adsorbed_error, what=what))
    averages = result.averages
    _energies(averages.adsorption_energy_ev, averages.isosteric_heat_kj_per_mol)
    for name, move in result.acceptance.items():
        if move.attempted:
            typer.echo(f"  {name:12s} {100 * move.ratio:6.2f} % of {move.attempted} accepted")
    if result.max_energy_drift_ev is not None:
        typer.echo(f"  running energy within {result.max_energy_drift_ev:.1e} eV of fresh evaluations")
    if result.hybrid is not None:
        for name, found in (
            ("framework", result.hybrid.host_temperature_k),
            ("molecules", result.hybrid.guest_temperature_k),
        ):
            if found is not None:
                typer.echo(f"  kinetic temperature of the {name} {found.mean:.1f} ± {found.standard_error:.1f} K")
        typer.echo(f"  both parts' energies agree within {result.hybrid.max_handover_ev:.1e} eV at hand-overs")


def _energies(adsorption: Estimate, heat: Estimate) -> None:
    typer.echo(f"  adsorption energy {adsorption.mean:.5g} ± {adsorption.standard_error:.2g} eV per cell")
    if not math.isnan(heat.mean):
        error = "unknown" if math.isnan(heat.standard_error) else f"{heat.standard_error:.2g}"
        typer.echo(f"  isosteric heat {heat.mean:.4g} ± {error} kJ/mol")


def _loading(result: GcmcResult, n: float, error: float, *, what: str) -> str:
    from alh2.core.units import H2_MASS_AMU

    if math.isnan(error):
        return f"{what}<N> = {n:.4g} H2 per cell; N never changed, so its error is unknown: run longer or start loaded"
    text = f"{what}<N> = {n:.4g} ± {error:.2g} H2 per cell"
    if len(result.framework):
        weight, host = H2_MASS_AMU * n, float(result.framework.get_masses().sum())
        percent = 100.0 * weight / (host + weight)
        percent_error = 100.0 * host * H2_MASS_AMU * error / (host + weight) ** 2
        text += f" ({percent:.3g} ± {percent_error:.2g} wt%)"
    return text


def write_results(
    results: list[GcmcResult],
    folders: list[Path | None],
    output: Path,
    pressure_bar: float | None,
    inputs: Inputs,
) -> None:
    """Frames and ``result.json`` (conditions, means, series); the latter last, so that it means finished.

    Of several replicas each has its own in its folder, and the point's ``result.json`` lies above them.
    """
    from alh2.core.errors import BadInputError
    from alh2.core.files import atomic_write_json
    from alh2.gcmc.replicas import combine

    try:
        for result, folder in zip(results, folders, strict=True):
            assert folder is not None
            _write_run(result, folder, pressure_bar, inputs)
        if len(results) > 1:
            record = _about(results[0], pressure_bar, inputs) | combine(results).summary()
            atomic_write_json(output / "result.json", record)
        for folder in filter(None, folders):
            (folder / "restart.npz").unlink(missing_ok=True)
    except OSError as error:
        raise BadInputError(
            str(output), expected="a folder that can be written", found=str(error.strerror), action="choose another"
        ) from None
    frames = sum(len(result.frames) for result in results)
    typer.echo(f"written: {output / 'result.json'} and {frames} frames")


def _write_run(result: GcmcResult, folder: Path, pressure_bar: float | None, inputs: Inputs) -> None:
    import io

    from ase.io import write

    from alh2.core.files import atomic_write_json, atomic_write_text

    frames = io.StringIO()
    write(frames, result.frames_atoms(), format="extxyz")
    atomic_write_text(folder / "frames.extxyz", frames.getvalue())
    series = {
        "n_adsorbed": result.n_adsorbed.tolist(),
        "adsorption_energy_ev": result.adsorption_energy_ev.tolist(),
    }
    record = result.summary() | _about(result, pressure_bar, inputs) | {"series": series}
    atomic_write_json(folder / "result.json", record)


def _about(result: GcmcResult, pressure_bar: float | None, inputs: Inputs) -> dict[str, Any]:
    from alh2.core.files import digest_files

    model, structure = inputs.models[0], inputs.structure
    return {
        "temperature_k": result.temperature_k,
        "fugacity_bar": result.fugacity_bar,
        "pressure_bar": pressure_bar,
        "framework": result.summary()["framework"],
        "framework_label": result.framework_label,
        "nuclei": result.nuclei,
        "model": {"file": str(model), "digest": digest_files([model])},
        "structure": {"file": str(structure), "digest": digest_files([structure])},
    }

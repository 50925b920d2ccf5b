"""``alh2 gcmc``: how much H2 a structure holds at one temperature and pressure, by one model."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms

    from alh2.gcmc import GcmcResult
    from alh2.gcmc.settings import Progress

MinDistance = Annotated[
    float, typer.Option(help="Closest approach of H2 to other atoms, Å: models know nothing below (0: off).")
]
PairFile = Annotated[
    Path | None,
    typer.Option(help="Pair baseline the model was trained on top of (default: pair_baseline.json in its folder)."),
]


def register(app: typer.Typer) -> None:
    """Add ``gcmc`` to `app`."""
    app.command("gcmc", help="Grand-canonical Monte Carlo of rigid H2 in a fixed structure.")(gcmc)


def gcmc(
    model: Annotated[list[Path], typer.Option(help="DeePMD model; repeated for a committee, whose first is used.")],
    structure: Annotated[Path, typer.Option(help="Structure (any format ASE reads); H2 in it are kept as guests.")],
    temperature: Annotated[float, typer.Option(help="Temperature, K.")],
    moves: Annotated[int, typer.Option(help="Measured moves.")],
    pressure: Annotated[float | None, typer.Option(help="Pressure of normal H2 outside, bar.")] = None,
    fugacity: Annotated[float | None, typer.Option(help="Fugacity, bar, instead of the pressure.")] = None,
    initial: Annotated[int, typer.Option(help="H2 placed at random at the start, besides those in the file.")] = 0,
    seed: Annotated[int, typer.Option(help="Same seed, same result.")] = 1,
    equilibration: Annotated[int | None, typer.Option(help="Moves before (default: a fifth of --moves).")] = None,
    sample_every: Annotated[int, typer.Option(help="Moves between samples.")] = 10,
    max_molecules: Annotated[int | None, typer.Option(help="Insertions beyond are rejected.")] = None,
    bond_length: Annotated[float | None, typer.Option(help="H2 bond, Å (default: the model's own minimum).")] = None,
    min_distance: MinDistance = 1.4,
    pair_baseline: PairFile = None,
    output: Annotated[Path | None, typer.Option(help="Folder for result.json and frames.extxyz.")] = None,
) -> None:
    """Print <N> with its standard error and the acceptance of each move."""
    from alh2.core.errors import BadInputError
    from alh2.gcmc import GcmcSettings, RigidMolecule, simulate
    from alh2.potential.load import load_potential
    from alh2.potential.pair_baseline import baseline_beside

    if output is not None and output.exists() and not output.is_dir():
        raise BadInputError(str(output), expected="a folder for the results", found="a file")
    if moves < 1:
        raise BadInputError("--moves", expected="a whole number >= 1", found=f"{moves}")
    fugacity_bar = _fugacity(pressure, fugacity, temperature)
    molecule = RigidMolecule.h2(bond_length)
    host, guests_ang = _host_and_guests(structure)
    potential = load_potential(model, pair_baseline=pair_baseline or baseline_beside(model[0]))
    settings = GcmcSettings(
        n_equilibration=equilibration,
        sample_every=min(sample_every, moves),
        max_molecules=max_molecules,
        initial_guests_ang=guests_ang,
        min_distance_ang=min_distance,
        progress=_progress(),
    )
    typer.echo(potential.describe())
    typer.echo(
        f"{structure}: host {host.get_chemical_formula(mode='hill') or 'empty box'}, "
        f"{len(guests_ang)} H2 in the file, {initial} more at random"
    )
    result = simulate(
        host,
        molecule,
        potential,
        temperature_k=temperature,
        fugacity_bar=fugacity_bar,
        n_moves=moves,
        seed=seed,
        n_initial=initial,
        settings=settings,
    )
    _show(result, pressure)
    if output is not None:
        _write(result, output, pressure_bar=pressure, model=model[0], structure=structure)


def _fugacity(pressure: float | None, fugacity: float | None, temperature: float) -> float:
    from alh2.core.errors import BadInputError
    from alh2.gcmc import fugacity_bar

    if (pressure is None) == (fugacity is None):
        found = "neither" if pressure is None else "both"
        raise BadInputError("gcmc", expected="either --pressure or --fugacity", found=found)
    if pressure is not None:
        return fugacity_bar(pressure, temperature)
    assert fugacity is not None
    return fugacity


def _host_and_guests(path: Path) -> tuple[Atoms, np.ndarray]:
    """The host and the guests (n_molecules, 2, 3) Å of the last structure in `path`; raises BadInputError."""
    from ase import Atoms
    from ase.io import read
    from ase.io.formats import UnknownFileTypeError

    from alh2.core.errors import BadInputError
    from alh2.structure.topology import split_host_guests

    try:
        atoms = read(path)
    except (OSError, ValueError, KeyError, IndexError, TypeError, StopIteration, UnknownFileTypeError) as error:
        found = f"{type(error).__name__}: {error}".splitlines()[0] if path.exists() else "no such file"
        raise BadInputError(str(path), expected="a structure file", found=found, action="check the path") from None
    assert isinstance(atoms, Atoms)
    if atoms.cell.rank < 3:
        raise BadInputError(str(path), expected="a cell with three independent vectors", found="none in the file")
    atoms.pbc = True
    ordered, n_host = split_host_guests(atoms)
    return ordered[:n_host], ordered.positions[n_host:].reshape(-1, 2, 3)


def _progress() -> Progress | None:
    """A line on the terminal that shows how far the run is; None where stderr is no terminal."""
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int, n_molecules: int) -> None:
        end = "\n" if done == total else ""
        print(f"\r{done}/{total} moves, {n_molecules} H2   ", end=end, file=sys.stderr, flush=True)

    return show


def _show(result: GcmcResult, pressure_bar: float | None) -> None:
    from alh2.core.units import H2_MASS_AMU

    outside = f"{pressure_bar:g} bar, " if pressure_bar is not None else ""
    typer.echo(f"{result.temperature_k:g} K, {outside}fugacity {result.fugacity_bar:.6g} bar")
    typer.echo(f"H2 bond {result.adsorbate.bond_length_ang:.4f} Å ({result.adsorbate.geometry_source})")
    n, error = result.mean_n_adsorbed, result.n_adsorbed_error
    text = f"<N> = {n:.4g} ± {error:.2g} H2 per cell"
    if math.isnan(error):
        text = f"<N> = {n:.4g} H2 per cell; N never changed, so its error is unknown: run longer or start loaded"
    elif len(result.framework):
        weight, host = H2_MASS_AMU * n, float(result.framework.get_masses().sum())
        percent = 100.0 * weight / (host + weight)
        percent_error = 100.0 * host * H2_MASS_AMU * error / (host + weight) ** 2
        text += f" ({percent:.3g} ± {percent_error:.2g} wt%)"
    typer.echo(text)
    for name, move in result.acceptance.items():
        if move.attempted:
            typer.echo(f"  {name:12s} {100 * move.ratio:6.2f} % of {move.attempted} accepted")
    if result.max_energy_drift_ev is not None:
        typer.echo(f"running energy within {result.max_energy_drift_ev:.1e} eV of fresh evaluations")


def _write(result: GcmcResult, output: Path, *, pressure_bar: float | None, model: Path, structure: Path) -> None:
    """``result.json`` (conditions, means, series) and ``frames.extxyz``, each replaced in one step."""
    import io

    from ase.io import write

    from alh2.core.errors import BadInputError
    from alh2.core.files import atomic_write_json, atomic_write_text, digest_files

    record = result.summary() | {
        "pressure_bar": pressure_bar,
        "model": {"file": str(model), "digest": digest_files([model])},
        "structure": {"file": str(structure), "digest": digest_files([structure])},
        "series": {
            "n_adsorbed": result.n_adsorbed.tolist(),
            "adsorption_energy_ev": result.adsorption_energy_ev.tolist(),
        },
    }
    frames = io.StringIO()
    write(frames, result.frames_atoms(), format="extxyz")
    try:
        atomic_write_json(output / "result.json", record)
        atomic_write_text(output / "frames.extxyz", frames.getvalue())
    except OSError as error:
        raise BadInputError(
            str(output), expected="a folder that can be written", found=str(error.strerror), action="choose another"
        ) from None
    typer.echo(f"written: {output / 'result.json'}, {output / 'frames.extxyz'} ({len(result.frames)} frames)")

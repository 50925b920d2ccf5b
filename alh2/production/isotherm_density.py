"""Density of the molecules at one point of an isotherm, from the configurations its chains kept, as a cube file."""

from __future__ import annotations

from pathlib import Path

from alh2.analysis.density import DensityGrid, guest_density, write_cube
from alh2.analysis.rdf import guest_centres_ang
from alh2.core.atoms import to_atoms
from alh2.core.errors import BadInputError
from alh2.core.frames import Frame
from alh2.explore.gcmc_job import read_samples
from alh2.production.isotherm_result import Isotherm, IsothermPoint


def density_name(point: IsothermPoint) -> str:
    """File stem of the density of `point`."""
    return f"density.{point.temperature_k:g}K.{point.pressure_bar:g}bar"


def shown_points(isotherm: Isotherm) -> list[IsothermPoint]:
    """The lowest and the highest pressure of each temperature: what a report shows of all points."""
    return [
        point
        for temperature_k in isotherm.temperatures_k
        for point in dict.fromkeys((isotherm.at(temperature_k)[0], isotherm.at(temperature_k)[-1]))
    ]


def point_frames(directory: Path, point: IsothermPoint) -> list[list[Frame]]:
    """Configurations that each chain of `point` kept; directory : of the isotherm.

    The first run of a chain is left out where it has others: it holds the transient.
    """
    chains = []
    for chain in point.chains:
        name = f"{point.temperature_k:g}K.{point.pressure_bar:g}bar.{chain.n_initial}h2"
        runs = sorted((directory / name).glob("run.*"))
        chains.append([frame for run in runs[1:] or runs for frame in read_samples(run).frames])
    return chains


def point_density(directory: Path, point: IsothermPoint, path: Path) -> DensityGrid:
    """Mean density over the kept configurations of all chains of `point`, written to `path` with the frozen host.

    directory : of the isotherm. Raises BadInputError where no configuration was kept.
    """
    frames = [frame for chain in point_frames(directory, point) for frame in chain]
    if not frames:
        raise BadInputError(str(directory), expected="kept configurations of the point", found="none")
    host = frames[0].bare_host()
    grid = guest_density([guest_centres_ang(frame) for frame in frames], host.cell_ang)
    write_cube(path, grid, to_atoms(host))
    return grid

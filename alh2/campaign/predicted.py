"""What predictions have left in ``production``, for the report: densities of isotherms and of molecular dynamics."""

from __future__ import annotations

from pathlib import Path

from alh2.analysis.density import read_cube
from alh2.campaign.context import Campaign
from alh2.core.errors import BadInputError
from alh2.production.isotherm_density import density_name, shown_points
from alh2.production.isotherm_result import Isotherm
from alh2.production.made import read_made
from alh2.production.md_summary import read_md_summary
from alh2.report.model import Predictions
from alh2.report.scene import DensityScene, density_scene
from alh2.report.stored import read_figures

MAPS = ("density.",)
"""Projected densities: the page has their isosurfaces instead."""
DISTRIBUTIONS = ("rdf",)
"""Of an isotherm: the page has them in a section of their own, with those of molecular dynamics."""


def predictions(campaign: Campaign, isotherm: Isotherm | None) -> Predictions:
    """Everything that is there; what cannot be read is said and left out."""
    isotherms, runs = (campaign.paths.production / name for name in ("isotherm", "md"))
    try:
        return Predictions(
            isotherm=isotherm,
            isotherm_figures=tuple(read_figures(isotherms, prefix="predicted_", leave_out=(*MAPS, *DISTRIBUTIONS))),
            isotherm_made=read_made(isotherms),
            md=read_md_summary(runs),
            md_figures=tuple(read_figures(runs, prefix="md_", leave_out=MAPS)),
            md_made=read_made(runs),
            densities=tuple(densities(campaign, isotherm)),
        )
    except BadInputError as error:
        campaign.reporter.message(f"predictions are not in the report: {error}")
        return Predictions(isotherm=isotherm)


def densities(campaign: Campaign, isotherm: Isotherm | None) -> list[DensityScene]:
    """Scenes of the density files that are there: lowest and highest pressure of each temperature, then MD."""
    found = []
    for point in shown_points(isotherm) if isotherm is not None else []:
        path = campaign.paths.production / "isotherm" / f"{density_name(point)}.cube"
        words = f"H₂ centres in Monte Carlo at {point.temperature_k:g} K and {point.pressure_bar:g} bar."
        name = f"density_isotherm_{point.temperature_k:g}K_{point.pressure_bar:g}bar".replace(".", "p")
        found.append(_scene(campaign, path, name, words))
    for path in sorted((campaign.paths.production / "md").glob("density.*K.cube")):
        kelvin = path.name.split(".", 1)[1].removesuffix("K.cube")
        words = f"H₂ centres in molecular dynamics at {kelvin} K, about the framework as it was at the start."
        found.append(_scene(campaign, path, f"density_md_{kelvin}K".replace(".", "p"), words))
    return [scene for scene in found if scene is not None]


def _scene(campaign: Campaign, path: Path, name: str, words: str) -> DensityScene | None:
    if not path.exists():
        return None
    try:
        grid, host = read_cube(path)
    except BadInputError as error:
        campaign.reporter.message(f"a density is not in the report: {error}")
        return None
    return density_scene(grid, host, name=name, words=words, source=campaign.relative(path))

"""Where the molecules of an isotherm are: Al(open)–H2 distributions of the configurations its chains kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from alh2.analysis.rdf import radial_distribution_of_replicas
from alh2.core.atoms import to_atoms
from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_json, from_fields, read_json
from alh2.core.frames import Frame
from alh2.production.isotherm_density import point_frames, shown_points
from alh2.production.isotherm_result import Isotherm, IsothermPoint
from alh2.structure.sites import al_open_indices

PLACES_FILE = "places.json"
BLOCKS_PER_CHAIN = 5


@dataclass(frozen=True)
class Places:
    """Distribution of H2 centres of mass around open Al sites at one point, by the models that made the isotherm.

    n_h2 : mean number of molecules in the configurations
    r_ang, g, g_error : middles of the bins; one standard error over five blocks of every chain
    """

    temperature_k: float
    pressure_bar: float
    n_h2: float
    n_frames: int
    r_ang: tuple[float, ...]
    g: tuple[float, ...]
    g_error: tuple[float, ...]


def point_places(directory: Path, point: IsothermPoint) -> Places | None:
    """Distribution at `point`; None without an open Al site, a molecule or a kept configuration."""
    blocks: list[list[Frame]] = []
    for chain in point_frames(directory, point):
        parts = np.array_split(np.arange(len(chain)), max(1, min(BLOCKS_PER_CHAIN, len(chain))))
        blocks += [[chain[k] for k in part] for part in parts]
    frames = [frame for block in blocks for frame in block]
    if not any(frame.n_h2 for frame in frames):
        return None
    sites = al_open_indices(to_atoms(frames[0].bare_host()))
    if not len(sites):
        return None
    found = radial_distribution_of_replicas(blocks, sites)
    mean = float(np.mean([frame.n_h2 for frame in frames]))
    curves = (tuple(map(float, values)) for values in (found.r_ang, found.g, found.g_error))
    return Places(point.temperature_k, point.pressure_bar, mean, len(frames), *curves)


def save_places(directory: Path, isotherm: Isotherm) -> tuple[Places, ...]:
    """Distributions at the lowest and the highest pressure of each temperature, written into `directory`."""
    found = [point_places(directory, point) for point in shown_points(isotherm)]
    places = tuple(place for place in found if place is not None)
    atomic_write_json(directory / PLACES_FILE, [asdict(place) for place in places])
    return places


def read_places(directory: Path) -> tuple[Places, ...]:
    """What `save_places` wrote, () where it has not; raises BadInputError for a file of another kind."""
    path = directory / PLACES_FILE
    if not path.exists():
        return ()
    content = read_json(path)
    if not isinstance(content, list):
        raise BadInputError(str(path), expected="a list of distributions", found=type(content).__name__)
    return tuple(from_fields(entry, Places, where=str(path)) for entry in content)

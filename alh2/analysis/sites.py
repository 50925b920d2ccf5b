"""H2 at open sites: how many, how often, and for how long."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from alh2.analysis.rdf import centre_distances_ang
from alh2.core.frames import Frame
from alh2.core.statistics import Estimate, combine_replicas, mean_and_error

ENTER_ANG, LEAVE_ANG = 3.4, 4.2
"""A molecule is at a site from when its centre comes closer than the first until it is farther than the second.

In between, Al–H2 distances of the first shell (peak at 2.7 Å, shoulders at 3.4 and 4.1 Å; Liu et al., Chem. Sci. 15,
5294, 2024) flicker across any single limit, which would count one stay as many.
"""


@dataclass(frozen=True)
class Residence:
    """Mean time of a stay at a site, ps, with one standard error; NaN where no stay ended.

    n_departures : stays that ended; occupied_ps : time of all molecules at all sites
    """

    mean_ps: float
    error_ps: float
    n_departures: int
    occupied_ps: float


@dataclass(frozen=True)
class SiteStatistics:
    """What molecules do at the sites.

    occupancy : per site, mean number of molecules with one standard error; mean_occupancy : over all sites
    residence : of a molecule at a site
    """

    occupancy: tuple[Estimate, ...]
    mean_occupancy: Estimate
    residence: Residence


def at_sites(
    frames: Sequence[Frame],
    site_indices: Sequence[int] | np.ndarray,
    *,
    enter_ang: float = ENTER_ANG,
    leave_ang: float = LEAVE_ANG,
) -> np.ndarray:
    """(n_frames, n_sites, n_h2) whether a molecule is at a site; the same molecules in every frame, in time order.

    Raises ValueError without frames, or for a leaving distance below the entering one.
    """
    if not frames or not 0.0 < enter_ang <= leave_ang:
        raise ValueError(f"frames and 0 < enter <= leave, not {len(frames)} frames, {enter_ang} and {leave_ang} Å")
    sites = np.asarray(site_indices, dtype=int)
    inside = np.zeros((len(sites), frames[0].n_h2), dtype=bool)
    states = np.zeros((len(frames), *inside.shape), dtype=bool)
    for number, frame in enumerate(frames):
        distances = centre_distances_ang(frame, frame.positions_ang[sites])
        inside = (distances < enter_ang) | (inside & (distances <= leave_ang))
        states[number] = inside
    return states


def residence_time(states: Sequence[np.ndarray], *, dt_ps: float) -> Residence:
    """Mean stay from states (n_frames, …) of independent runs, `dt_ps` between frames.

    The maximum-likelihood estimate for stays that end with a constant rate, of which the first and last of a run are
    seen in part: with n departures in m steps that began at a site, τ = -dt/ln(1 - n/m), and a relative error of 1/√n.
    Stays shorter than `dt_ps` are seen only where a frame falls into them.
    """
    began = sum(int(s[:-1].sum()) for s in states)
    left = sum(int((s[:-1] & ~s[1:]).sum()) for s in states)
    if not left or left >= began:
        return Residence(math.nan, math.nan, left, began * dt_ps)
    mean = -dt_ps / math.log(1.0 - left / began)
    return Residence(mean, mean / math.sqrt(left), left, began * dt_ps)


def site_statistics(
    replicas: Sequence[Sequence[Frame]], site_indices: Sequence[int] | np.ndarray, *, dt_ps: float
) -> SiteStatistics:
    """Occupancies and residence time over independent runs."""
    states = [at_sites(frames, site_indices) for frames in replicas]
    numbers = [s.sum(axis=2).astype(np.float64) for s in states]
    each = tuple(_mean([n[:, site] for n in numbers]) for site in range(numbers[0].shape[1]))
    together = _mean([n.mean(axis=1) for n in numbers])
    return SiteStatistics(each, together, residence_time(states, dt_ps=dt_ps))


def _mean(series: Sequence[np.ndarray]) -> Estimate:
    """Mean over runs; where nothing ever changed, nothing is known of its error."""
    mean = combine_replicas([mean_and_error(one) for one in series])
    if all(np.ptp(one) == 0 for one in series):
        return replace(mean, standard_error=math.nan)
    return mean

"""What predictions of a campaign begin with: its last models, what is known of them, and molecules on its last host."""

from __future__ import annotations

import math

from alh2.assess.errors import load_errors
from alh2.campaign.context import Campaign
from alh2.core.atoms import from_atoms, to_atoms
from alh2.core.errors import BadInputError
from alh2.core.frames import Frame, Provenance, Target
from alh2.core.random_streams import stream
from alh2.production.committee_interval import systematic_error_ev
from alh2.structure.loading import load_h2


def last_trained(campaign: Campaign, iteration: int) -> int:
    """The last iteration up to `iteration` whose committees are all trained; raises BadInputError where none is."""
    for number in range(iteration, -1, -1):
        if all(m.graph.exists() for c in campaign.param.committees for m in campaign.members(c, number)):
            return number
    raise BadInputError(
        str(campaign.paths.root), expected="trained committees", found="none yet", action="alh2 run goes on with it"
    )


def insertion_error_ev(campaign: Campaign, iteration: int) -> float:
    """Standard error (eV) of the mean insertion energy on the held-out labels of `iteration`, NaN where none are."""
    path = campaign.paths.assess(iteration) / f"errors.{campaign.engine_committee.target}.npz"
    if not path.exists():
        return math.nan
    error = systematic_error_ev(load_errors(path)[1].errors_ev)
    return error if math.isfinite(error) else math.nan


def insertion_rmse_ev(campaign: Campaign, iteration: int, target: Target) -> float:
    """RMSE (eV) of held-out insertion energies by the models on `target`, NaN where none is known."""
    path = campaign.paths.assess(iteration) / f"errors.{target}.npz"
    return load_errors(path)[1].rmse_ev if path.exists() else math.nan


def on_last_host(campaign: Campaign, n_h2: int, *, replica: int = 0) -> Frame:
    """`n_h2` molecules on the last host snapshot: production is on one frozen host.

    Replicas differ: every other one begins with molecules at random places instead of at open sites first, so that what
    runs remember of their start is part of their scatter.
    """
    host = campaign.hosts()[-1]
    atoms = load_h2(
        to_atoms(host),
        n_h2,
        rng=stream(campaign.param.seed, "production-start", n_h2, *([replica] if replica else [])),
        min_distance_ang=campaign.param.bootstrap.min_distance_ang,
        prefer_open_sites=replica % 2 == 0,
    )
    return from_atoms(atoms, n_host=host.n_host, host_id=host.host_id, provenance=Provenance("bootstrap"))

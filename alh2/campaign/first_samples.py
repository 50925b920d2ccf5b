"""First frames drawn by Monte Carlo on the pair terms that the very first labels give, before any network is trained.

Placed at random, molecules are rarely where Monte Carlo will take them. Pair terms alone, fitted to those random frames
in seconds, bind them in about the right places.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alh2.campaign.context import Campaign
from alh2.campaign.exploring import gas_bond_length_ang
from alh2.config.model import BootstrapConfig
from alh2.core.atoms import to_atoms
from alh2.core.frames import ATOMS_PER_H2, Frame, LabelledFrame, Provenance
from alh2.core.random_streams import seed_for
from alh2.dataset.bootstrap import BOND_MEAN_ANG, disturbed
from alh2.gcmc import MoveWeights, RigidMolecule, simulate
from alh2.potential.frames_npz import load_frames, save_frames
from alh2.potential.nothing import NoPotential
from alh2.potential.pair_baseline import PairBaseline
from alh2.potential.pair_session import PairBaselinePotential
from alh2.structure.loading import load_h2
from alh2.train.pair_fit import fit_pair_baseline, fitted_frames

MOVES_TO_SETTLE, MOVES_BETWEEN = 200, 100
"""Moves per molecule before the first frame of a run and between frames."""
WEIGHTS = MoveWeights(insertion=0.0, deletion=0.0, translation=50.0, rotation=30.0, reinsertion=20.0)


def sampled_frames(campaign: Campaign, hosts: Sequence[Frame]) -> list[Frame]:
    """`sampled_per_loading` frames at each loading of the bootstrap, drawn once and kept; repeatable.

    Raises BadInputError where no labelled frame has guests and a label of its bare host.
    """
    config, file = campaign.param.bootstrap, campaign.paths.sampled
    if not config.sampled_per_loading:
        return []
    if not file.exists():
        campaign.reporter.message(f"drawing {config.sampled_per_loading} frames of each loading on pair terms")
        baseline = _pair_terms(campaign, campaign.store.load("train"))
        bond = gas_bond_length_ang(campaign) or BOND_MEAN_ANG
        frames: list[Frame] = []
        for loading in config.loadings:
            n_runs = min(len(hosts), config.sampled_per_loading) if loading else 0
            for k, part in enumerate(np.array_split(np.arange(config.sampled_per_loading), max(1, n_runs))[:n_runs]):
                frames += draw(
                    baseline, hosts[k], loading, config=config, n_frames=len(part), bond_length_ang=bond,
                    min_distance_ang=campaign.param.select.min_distance_ang,
                    seed=seed_for(campaign.param.seed, "bootstrap-sampled", loading, k),
                )  # fmt: skip
        save_frames(file, frames)
    return load_frames(file)


def _pair_terms(campaign: Campaign, labelled: Sequence[LabelledFrame]) -> PairBaseline:
    cutoff = min(float(c.training_param["model"]["descriptor"]["rcut"]) for c in campaign.param.committees)
    return fit_pair_baseline(fitted_frames(labelled), cutoff_ang=cutoff)


def draw(
    baseline: PairBaseline, host: Frame, loading: int, *, config: BootstrapConfig, n_frames: int, seed: int,
    bond_length_ang: float, min_distance_ang: float,
) -> list[Frame]:  # fmt: skip
    """`n_frames` of `loading` molecules on `host`, from one canonical chain at `config.sampled_temperature_k`.

    min_distance_ang : closest approach in the chain and after the random displacements of `config`
    """
    rng = np.random.default_rng(seed)
    start = load_h2(to_atoms(host), loading, rng=rng, min_distance_ang=config.min_distance_ang, prefer_open_sites=False)
    between = MOVES_BETWEEN * loading
    result = simulate(
        to_atoms(host.bare_host()), RigidMolecule.h2(bond_length_ang),
        PairBaselinePotential(NoPotential(), baseline, "pair terms"), temperature_k=config.sampled_temperature_k,
        fugacity_bar=1.0, n_moves=n_frames * between, n_equilibration=MOVES_TO_SETTLE * loading, seed=seed,
        sample_every=between, max_frames=n_frames, move_weights=WEIGHTS,
        initial_guests_ang=start.positions[host.n_host :].reshape(-1, ATOMS_PER_H2, 3),
        min_distance_ang=min_distance_ang,
    )  # fmt: skip
    frames = []
    for sample in result.frames:
        atoms = start.copy()
        atoms.positions[host.n_host :] = np.asarray(sample.guests_ang).reshape(-1, 3)
        where = f"{loading} H2 by Monte Carlo on pair terms, {host.provenance.detail}"
        origin = Provenance("bootstrap", detail=where, temperature_k=config.sampled_temperature_k)
        symbols = host.symbols[: host.n_host] + ("H",) * (ATOMS_PER_H2 * loading)
        positions = disturbed(atoms, host.n_host, config, rng, min_distance_ang=min_distance_ang)
        frames.append(Frame(symbols, positions, host.cell_ang, host.n_host, host.host_id, origin))
    return frames

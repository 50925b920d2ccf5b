"""First frames by Monte Carlo on pair terms: where they are, and that they are drawn once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from alh2.campaign.first_samples import draw, sampled_frames
from alh2.campaign.open import open_campaign
from alh2.config.model import BootstrapConfig
from alh2.core.frames import Frame, Label, LabelledFrame
from alh2.dataset.bootstrap import bootstrap_frames
from alh2.label.reference_network import HostNetwork
from alh2.label.reference_pes import reference_energy_forces
from alh2.train.pair_fit import fit_pair_baseline


def labelled(frame: Frame) -> LabelledFrame:
    """By the reference potential on a host at rest."""
    springs = np.zeros((0, 2), int), np.zeros((0, 3)), np.zeros(0, int)
    network = HostNetwork(frame.symbols[: frame.n_host], *springs) if frame.n_host else None
    host = Label(0.0, np.zeros((frame.n_host, 3)), "reference") if frame.n_host else None
    return LabelledFrame(frame, Label(*reference_energy_forces(frame, network=network), "reference"), host)


def test_they_are_bound_where_random_ones_are_not(node: Frame) -> None:
    """Terms fitted to 72 random frames and isolated H2 put molecules where the reference binds them."""
    config = BootstrapConfig((1, 2, 4), 24, 1, 2.2, 0.01, 1.6, 0, (), 20, 20, 13.0, False, 8, 150.0)
    first = [labelled(f) for f in bootstrap_frames(config, [node], host_id="node", rng=np.random.default_rng(2))]
    baseline = fit_pair_baseline([f for f in first if f.frame.n_h2], cutoff_ang=6.0)
    for loading in (1, 4):
        drawn = draw(
            baseline, node, loading, config=config, n_frames=8, seed=3, bond_length_ang=0.7414, min_distance_ang=1.5
        )
        assert [f.n_h2 for f in drawn] == [loading] * 8 and len({f.digest for f in drawn}) == 8
        assert {f.provenance.temperature_k for f in drawn} == {150.0}
        bound = np.median([labelled(f).energy_ev() / loading + 4.747 for f in drawn])
        random = [f.energy_ev() / loading + 4.747 for f in first if f.frame.n_h2 == loading and f.frame.n_host]
        assert bound < -0.045 and bound < np.median(random) - 0.02, (bound, np.median(random))


@pytest.mark.slow
def test_they_are_drawn_once_labelled_and_the_same_again(again: Any) -> None:
    campaign = open_campaign(again.inputs.param, again.inputs.machine, again.workdir)
    hosts = campaign.hosts()
    content = campaign.paths.sampled.read_bytes()
    before = sampled_frames(campaign, hosts)
    assert sorted(f.n_h2 for f in before) == [1, 1, 3, 3]
    assert {f.digest for f in before} <= {f.frame.digest for f in campaign.store.load("train")}
    assert [f.digest for f in sampled_frames(campaign, hosts)] == [f.digest for f in before]
    assert campaign.paths.sampled.read_bytes() == content

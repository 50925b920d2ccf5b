"""First frames by Monte Carlo on pair terms: where they are, and that they are drawn once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from alh2.campaign.first_samples import sampled_frames
from alh2.campaign.open import open_campaign
from alh2.core.frames import Frame
from alh2.label.reference_network import HostNetwork
from alh2.label.reference_pes import reference_energy_forces

pytestmark = pytest.mark.slow


def energy_per_h2(frame: Frame) -> float:
    """Energy of the guests, eV per molecule, above the bottom of the bond."""
    still = HostNetwork(frame.symbols[: frame.n_host], np.zeros((0, 2), int), np.zeros((0, 3)), np.zeros(0, int))
    return reference_energy_forces(frame, network=still)[0] / frame.n_h2 + 4.747


def test_they_are_bound_where_random_ones_are_not(again: Any) -> None:
    known = open_campaign(again.inputs.param, again.inputs.machine, again.workdir).store.load()
    first = [f.frame for f in known if f.frame.provenance.source == "bootstrap" and f.frame.n_h2]
    sampled = [f for f in first if "Monte Carlo" in f.provenance.detail]
    assert sorted(f.n_h2 for f in sampled) == [1, 1, 3, 3]
    assert {f.provenance.temperature_k for f in sampled} == {150.0}
    random = [f for f in first if "Monte Carlo" not in f.provenance.detail]
    assert np.median([energy_per_h2(f) for f in sampled]) < min(-0.02, np.median([energy_per_h2(f) for f in random]))


def test_they_are_drawn_once_and_the_same_again(again: Any) -> None:
    campaign = open_campaign(again.inputs.param, again.inputs.machine, again.workdir)
    hosts = campaign.hosts()
    before = [f.digest for f in sampled_frames(campaign, hosts)]
    assert len(before) == 4
    content = campaign.paths.sampled.read_bytes()
    assert [f.digest for f in sampled_frames(campaign, hosts)] == before
    assert campaign.paths.sampled.read_bytes() == content

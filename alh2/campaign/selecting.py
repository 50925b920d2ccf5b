"""Stage *select*: which explored frames are labelled, and why."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from alh2.assess.errors import frames_of
from alh2.assess.heldout import load_heldout
from alh2.assess.trust import TrustDecision, decide, save_decision
from alh2.campaign.assessing import calibration_of
from alh2.campaign.context import Campaign
from alh2.campaign.training import usable_frames
from alh2.core.errors import NeedsPersonError
from alh2.core.explored import SelectionVerdict
from alh2.core.frames import Frame
from alh2.core.random_streams import stream
from alh2.dispatch.run import run_tasks
from alh2.dispatch.tasks import Task
from alh2.explore.explored_file import TABLE_FILE, load_explored, save_explored
from alh2.label.quarantine import read_quarantine
from alh2.potential.descriptors import FrameFeatures, load_features
from alh2.potential.frames_npz import save_frames
from alh2.select.choose import Surroundings, select_frames
from alh2.select.sanity import HostBonds, bonds_of
from alh2.select.table import write_selection

PICKED = "picked"
DESCRIPTORS = "descriptors"
MOST_LABELLED = 4000
"""Labelled frames that candidates are compared with."""
DESCRIBE_TIMEOUT_S = 24 * 3600.0


def select(campaign: Campaign, iteration: int) -> None:
    """Judge every explored frame; writes the table and, last, the picked frames to ``02.fp``; repeatable.

    A selection that is there stays as it is: its frames may be labelled already.
    """
    directory = campaign.paths.label(iteration)
    if (picked_dir(directory) / TABLE_FILE).exists():
        return
    refused = {entry.digest for entry in read_quarantine(campaign.paths.quarantine) if entry.final}
    explored = load_explored(campaign.paths.explore(iteration))
    trust = _trust(campaign, iteration)
    verdicts = select_frames(
        explored,
        config=trust.applied(campaign.param.select),
        known_digests=campaign.store.digests() | refused,
        bonds=host_bonds(campaign),
        rng=stream(campaign.param.seed, "select", iteration),
        surroundings=surroundings(campaign, iteration) if campaign.param.select.method == "diverse" else None,
    )
    directory.mkdir(parents=True, exist_ok=True)
    save_decision(directory, trust)
    write_selection(directory, verdicts)
    save_explored(picked_dir(directory), [v.explored for v in verdicts if v.picked])
    shutil.rmtree(directory / DESCRIPTORS, ignore_errors=True)  # large, and made again from the same frames
    campaign.reporter.message(_words(verdicts))


def _trust(campaign: Campaign, iteration: int) -> TrustDecision:
    """Levels of this iteration; the present committees have no held-out labels yet, so those of the last one count."""
    config = campaign.param.select
    force = calibration_of(campaign.paths, iteration - 1, campaign.force_committee.target)
    insertion = calibration_of(campaign.paths, iteration - 1, campaign.engine_committee.target)
    trust = decide(config, iteration, force, insertion)
    for level in (trust.force, trust.insertion):
        if level.target is not None:
            campaign.reporter.message(f"trust in the {level.of} deviation: {level.words}")
    return trust


def picked_dir(label_dir: Path) -> Path:
    """Where the picked frames of an iteration lie."""
    return label_dir / PICKED


def host_bonds(campaign: Campaign) -> HostBonds:
    """Bonded host pairs and their lengths in the first host snapshot."""
    return bonds_of(campaign.hosts()[0])


def surroundings(campaign: Campaign, iteration: int) -> Surroundings:
    """What candidates are compared with: frames that the next training has in any case, by the models of this one.

    Of more than `MOST_LABELLED` frames some are taken, evenly over the dataset.
    """
    known = [f.frame for f in usable_frames(campaign, iteration + 1)]
    held_out = frames_of(load_heldout(campaign.paths.explore(iteration)))
    distinct = {f.digest: f for f in (*known, *held_out) if f.n_host}
    frames = list(distinct.values())
    if len(frames) > MOST_LABELLED:
        kept = np.linspace(0, len(frames) - 1, MOST_LABELLED).round().astype(int)
        frames = [frames[i] for i in kept]
    return Surroundings(frames, partial(_describe, campaign, iteration))


def _describe(campaign: Campaign, iteration: int, frames: Sequence[Frame]) -> FrameFeatures:
    """Features by the first model of the force committee, computed by a task."""
    work_dir = campaign.paths.label(iteration) / DESCRIPTORS
    work_dir.mkdir(parents=True, exist_ok=True)
    save_frames(work_dir / "frames.npz", frames)
    graph = os.path.relpath(campaign.members(campaign.force_committee, iteration)[0].graph, work_dir)
    task = Task(
        work_dir=work_dir,
        command=f"{campaign.machine.gcmc.command} -m alh2.potential.descriptors --model {graph} --frames frames.npz "
        "--output features.npz",
        inputs=("frames.npz", graph),
        outputs=("features.npz",),
        timeout_s=DESCRIBE_TIMEOUT_S,
        label=f"descriptors of {len(frames)} frames",
    )
    (outcome,) = run_tasks(
        [task],
        machine=campaign.machine.gcmc,
        base_dir=campaign.paths.label(iteration),
        name=f"describe.{iteration:06d}",
        on_progress=campaign.on_progress,
    )
    if outcome.status != "done":
        raise NeedsPersonError(f"{work_dir}: candidates could not be described: {outcome.message}")
    return load_features(work_dir / "features.npz")


def _words(verdicts: list[SelectionVerdict]) -> str:
    bands = [v.band for v in verdicts]
    n = max(1, len(bands))
    shares = ", ".join(f"{100 * bands.count(b) / n:.0f} % {b}" for b in ("accurate", "candidate", "failed"))
    return f"{len(bands)} explored frames: {shares}; {sum(v.picked for v in verdicts)} picked for labelling"

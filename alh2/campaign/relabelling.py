"""Stage *label*: labels for picked frames, their bare hosts, and the held-out insertions."""

from __future__ import annotations

from collections.abc import Sequence

from alh2.assess.heldout import load_heldout
from alh2.campaign.context import Campaign
from alh2.campaign.labelling import LabelRequest, label_frames
from alh2.campaign.selecting import picked_dir
from alh2.core.frames import Label, LabelledFrame
from alh2.explore.explored_file import load_explored


def label(campaign: Campaign, iteration: int) -> None:
    """Label and store; repeatable: finished tasks are not run again, stored frames are not stored twice."""
    directory = campaign.paths.label(iteration)
    requests = _requests(campaign, iteration)
    labels = label_frames(
        requests,
        campaign.bench,
        directory=directory,
        known={f.frame.digest: f.label for f in campaign.store.load()},
        name=f"label.{iteration:06d}",
        on_progress=campaign.on_progress,
    )
    name = f"iter.{iteration:06d}"
    hosts = _labelled(requests, labels, "host")
    campaign.store.append_host_labels([(f.frame, f.label) for f in hosts], name=name)
    added = campaign.store.append(_labelled(requests, labels, "task"), split="train", name=name)
    campaign.store.append(_labelled(requests, labels, "heldout"), split="valid", name=f"{name}.heldout")
    refused = len(requests) - sum(request.frame.digest in labels for request in requests)
    tail = f", {refused} refused (see quarantine.jsonl)" if refused else ""
    campaign.reporter.message(f"{added} frames added to the training data{tail}")


def _requests(campaign: Campaign, iteration: int) -> list[LabelRequest]:
    picked = [entry.frame for entry in load_explored(picked_dir(campaign.paths.label(iteration)))]
    requests = [LabelRequest(f"task.{frame.n_h2:03d}.{i:06d}", frame) for i, frame in enumerate(picked)]
    if campaign.param.committee("interaction") is not None:
        known = campaign.store.host_digests()
        hosts = {frame.bare_host().digest: frame.bare_host() for frame in picked if frame.n_host}
        wanted = [host for digest, host in hosts.items() if digest not in known]
        requests += [LabelRequest(f"host.{i:06d}", host) for i, host in enumerate(wanted)]
    heldout = [f for x in load_heldout(campaign.paths.explore(iteration)) for f in (x.loaded, x.less, x.gas)]
    unique = list({frame.digest: frame for frame in heldout}.values())
    return requests + [LabelRequest(f"heldout.{i:06d}", frame) for i, frame in enumerate(unique)]


def _labelled(requests: Sequence[LabelRequest], labels: dict[str, Label], kind: str) -> list[LabelledFrame]:
    return [
        LabelledFrame(request.frame, labels[request.frame.digest])
        for request in requests
        if request.name.startswith(kind) and request.frame.digest in labels
    ]

"""Stage *label*: labels for picked frames, their bare hosts, and the held-out insertions."""

from __future__ import annotations

from collections.abc import Sequence

from alh2.assess.heldout import load_heldout
from alh2.campaign.context import Campaign
from alh2.campaign.labelling import LabelRequest, host_requests, known_labels, label_frames, store_frames
from alh2.campaign.selecting import picked_dir
from alh2.core.errors import NeedsPersonError
from alh2.core.frames import Frame, Label, LabelledFrame
from alh2.dispatch.tolerance import check_failures
from alh2.explore.explored_file import load_explored


def label(campaign: Campaign, iteration: int) -> None:
    """Label and store; repeatable: finished tasks are not run again, stored frames are not stored twice.

    Raises NeedsPersonError where not one of the frames with H2 in a host has a label: then something is wrong with the
    labeler, and training again on the same data would not help.
    """
    directory = campaign.paths.label(iteration)
    requests = _requests(campaign, iteration)
    answers = label_frames(
        requests,
        campaign.bench,
        directory=directory,
        known=known_labels(campaign.store),
        name=f"label.{iteration:06d}",
        on_progress=campaign.on_progress,
    )
    if answers.reasons and not any(_loaded_host(r.frame) and r.frame.digest in answers.labels for r in requests):
        raise NeedsPersonError(
            f"{directory}: none of {len(answers.reasons)} frames could be labelled, most often because of: "
            f"{answers.common_reason} (all reasons: {campaign.paths.quarantine}); mend the labeler and run again"
        )
    name = f"iter.{iteration:06d}"
    hosts = _labelled(requests, answers.labels, "host")
    campaign.store.append_host_labels([(f.frame, f.label) for f in hosts], name=name)
    added = store_frames(campaign.store, _labelled(requests, answers.labels, "task"), split="train", name=name)
    heldout = _labelled(requests, answers.labels, "heldout")
    store_frames(campaign.store, heldout, split="valid", name=f"{name}.heldout")
    policy = campaign.machine.fp.policy
    n_frames = len({request.frame.digest for request in requests})
    check_failures(answers.reasons, n_frames, policy, what=f"labels ({campaign.paths.quarantine})")
    refused = f", {len(answers.reasons)} without a label (see quarantine.jsonl)" if answers.reasons else ""
    campaign.reporter.message(f"{added} frames added to the training data{refused}")


def _loaded_host(frame: Frame) -> bool:
    """Bare hosts and isolated H2 have older labels."""
    return frame.n_host > 0 and frame.n_h2 > 0


def _requests(campaign: Campaign, iteration: int) -> list[LabelRequest]:
    picked = [entry.frame for entry in load_explored(picked_dir(campaign.paths.label(iteration)))]
    requests = [LabelRequest(f"task.{frame.n_h2:03d}.{i:06d}", frame) for i, frame in enumerate(picked)]
    if campaign.param.committee("interaction") is not None:
        hosts = [frame.bare_host() for frame in picked if frame.n_host]
        requests += host_requests(hosts, campaign.store.host_digests())
    heldout = [f for x in load_heldout(campaign.paths.explore(iteration)) for f in (x.loaded, x.less, x.gas)]
    unique = list({frame.digest: frame for frame in heldout}.values())
    return requests + [LabelRequest(f"heldout.{i:06d}", frame) for i, frame in enumerate(unique)]


def _labelled(requests: Sequence[LabelRequest], labels: dict[str, Label], kind: str) -> list[LabelledFrame]:
    return [
        LabelledFrame(request.frame, labels[request.frame.digest])
        for request in requests
        if request.name.startswith(kind) and request.frame.digest in labels
    ]

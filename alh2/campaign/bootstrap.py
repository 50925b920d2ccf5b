"""Before the first training: ingest the AIMD, label what makes compositions span H2 exchange, choose host snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from alh2.campaign.context import Campaign
from alh2.campaign.first_samples import sampled_frames
from alh2.campaign.labelling import LabelRequest, host_requests, known_labels, label_frames, store_frames
from alh2.config.model import AimdSource, ParamConfig
from alh2.core.atoms import from_atoms
from alh2.core.errors import BadInputError
from alh2.core.frames import Frame, Label, LabelledFrame, Provenance
from alh2.core.random_streams import seed_for, stream
from alh2.dataset.bootstrap import bootstrap_frames
from alh2.dataset.ingest import REPORTS, IngestOptions, TrajectorySource, ingest
from alh2.dispatch.tolerance import check_failures
from alh2.potential.frames_npz import save_frames
from alh2.structure.hosts import build_host


def bootstrap(campaign: Campaign) -> None:
    """Fill the dataset for the first training; repeatable at any point."""
    ingest_aimd(campaign)
    if not campaign.paths.hosts.exists():
        save_frames(campaign.paths.hosts, choose_hosts(campaign))
    hosts = campaign.hosts()
    frames = bootstrap_frames(
        campaign.param.bootstrap,
        hosts,
        host_id=_host_id(campaign),
        rng=stream(campaign.param.seed, "bootstrap"),
    )
    requests = _requests(frames, first=0)
    if campaign.param.bootstrap.label_bare_hosts:
        bare = [f.frame.bare_host() for f in campaign.store.load() if f.frame.n_host]
        requests += host_requests([*hosts, *bare], campaign.store.host_digests())
    _label(campaign, requests, name="bootstrap")
    _label(campaign, _requests(sampled_frames(campaign, hosts), first=len(frames)), name="sampled")


def _requests(frames: Sequence[Frame], *, first: int) -> list[LabelRequest]:
    return [LabelRequest(f"task.{frame.n_h2:03d}.{first + i:06d}", frame) for i, frame in enumerate(frames)]


def _label(campaign: Campaign, requests: Sequence[LabelRequest], *, name: str) -> None:
    """Label and store what is asked for; raises NeedsPersonError where too many labels fail."""
    if not requests:
        return
    answers = label_frames(
        requests,
        campaign.bench,
        directory=campaign.paths.bootstrap / "02.fp",
        known=known_labels(campaign.store),
        name=f"init.label.{name}",
        on_progress=campaign.on_progress,
    )
    n_frames = len({request.frame.digest for request in requests})
    policy = campaign.machine.fp.policy
    check_failures(answers.reasons, n_frames, policy, what=f"labels of initial frames ({campaign.paths.quarantine})")
    _store(campaign, requests, answers.labels, name=name)
    if answers.reasons:
        campaign.reporter.message(f"{len(answers.reasons)} frames have no label (see {campaign.paths.quarantine.name})")


def _store(campaign: Campaign, requests: Sequence[LabelRequest], labels: dict[str, Label], *, name: str) -> None:
    done = [r for r in requests if r.frame.digest in labels]
    hosts = [(r.frame, labels[r.frame.digest]) for r in done if r.name.startswith("host")]
    campaign.store.append_host_labels(hosts, name="init.hosts")
    frames = [LabelledFrame(r.frame, labels[r.frame.digest]) for r in done if r.name.startswith("task")]
    store_frames(campaign.store, frames, split="train", name=f"init.{name}")


def ingest_aimd(campaign: Campaign) -> None:
    """Read the AIMD of the param file into the store, once: its report in the dataset says that it was done."""
    config = campaign.param.dataset
    options = IngestOptions(
        host_id=_host_id(campaign),
        validation_fraction=config.validation_fraction,
        split=config.split,
        seed=seed_for(campaign.param.seed, "split"),
    )
    if not config.aimd or (campaign.paths.dataset / REPORTS / f"{options.name}.json").exists():
        return
    n_host = None
    if campaign.param.host is not None:
        n_host = len(build_host(campaign.param.host))
    report = ingest(
        [TrajectorySource.from_config(_with_labeler_name(campaign, source)) for source in config.aimd],
        campaign.paths.dataset,
        type_map=campaign.param.type_map,
        options=replace(options, n_host=n_host),
    )
    for trajectory in report.trajectories:
        campaign.reporter.message(
            f"read {trajectory.n_train} training and {trajectory.n_valid} held-out frames of {trajectory.system}"
        )


def _with_labeler_name(campaign: Campaign, source: AimdSource) -> AimdSource:
    """`source` with the labeler's full name where the file says (or defaults to) the campaign's own ``fp_style``."""
    own = source.labeler == campaign.param.label.style
    return replace(source, labeler=campaign.labeler.name) if own else source


def choose_hosts(campaign: Campaign) -> list[Frame]:
    """Host geometries evenly over the AIMD; the built or given host alone where there is no AIMD.

    AIMD hotter than anything the campaign asks about teaches the potential, but its hosts are not the material's:
    they are used only where nothing else is there.
    """
    wanted = max(1, campaign.param.bootstrap.host_snapshots)
    cold: dict[str, Frame] = {}
    hot: dict[str, Frame] = {}
    limit_k = highest_temperature_k(campaign.param)
    for labelled in campaign.store.load("train"):
        if labelled.frame.n_host and labelled.frame.host_id == _host_id(campaign):
            host = labelled.frame.bare_host()
            temperature_k = labelled.frame.provenance.temperature_k
            (hot if temperature_k is not None and temperature_k > limit_k else cold).setdefault(host.digest, host)
    candidates = list((cold or hot).values())
    if candidates:
        chosen = np.unique(np.linspace(0, len(candidates) - 1, wanted).round().astype(int))
        return [candidates[i] for i in chosen]
    if campaign.param.host is None:
        raise BadInputError(
            str(campaign.param.source),
            expected="alh2.host or AIMD of a host to start from",
            found="neither",
            action="name a structure file in alh2.host.file",
        )
    atoms = build_host(campaign.param.host)
    return [from_atoms(atoms, n_host=len(atoms), host_id=campaign.param.host.id, provenance=Provenance("bootstrap"))]


def highest_temperature_k(param: ParamConfig) -> float:
    """Highest temperature that exploration or production asks about, K; infinite where none is given."""
    temperatures = [t for job in param.explore.md_jobs for t in job.temperatures_k]
    temperatures += [t for jobs in param.explore.gcmc_jobs for job in jobs for t in job.temperatures_k]
    if param.curriculum is not None:
        temperatures = list(param.curriculum.temperatures_k)
    if param.production is not None:
        temperatures += [param.production.md_temperature_k, param.production.isotherm_temperature_k]
    return max(temperatures, default=float("inf"))


def _host_id(campaign: Campaign) -> str:
    return campaign.param.host.id if campaign.param.host is not None else "host"

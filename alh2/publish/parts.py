"""Parts of the bundle that are copies: models, data set, results and versions."""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from alh2.campaign.context import Campaign
from alh2.campaign.host_models import host_model_files
from alh2.campaign.provenance import versions
from alh2.core.atoms import to_atoms
from alh2.core.files import atomic_write_json
from alh2.core.frames import LabelledFrame, Target
from alh2.dataset.store import HOSTS, SPLITS

MODELS = "models"
GRAPH, UNCOMPRESSED, ENGINE = "graph.pb", "frozen_model.pb", "engine.dp"
RESULT_SUFFIXES = (".json", ".csv", ".svg", ".png", ".aif", ".cube")


@dataclass(frozen=True)
class PublishedModel:
    """One model of the bundle: its committee, its place in the bundle, its pair baseline ("" for none)."""

    target: Target
    graph: str
    pair_baseline: str


def write_models(campaign: Campaign, iteration: int, bundle: Path) -> tuple[PublishedModel, ...]:
    """Copy every member of every committee trained in `iteration`: ``models/TARGET/NNN/``."""
    found = []
    for committee in campaign.param.committees:
        for member in campaign.members(committee, iteration):
            folder = bundle / MODELS / committee.target / f"{member.index:03d}"
            folder.mkdir(parents=True)
            shutil.copyfile(member.graph, folder / GRAPH)
            if member.frozen.exists() and member.frozen.read_bytes() != member.graph.read_bytes():
                shutil.copyfile(member.frozen, folder / UNCOMPRESSED)
            if member.engine.exists():
                shutil.copyfile(member.engine, folder / ENGINE)
            under = ""
            if member.pair_baseline.exists():
                shutil.copyfile(member.pair_baseline, folder / member.pair_baseline.name)
                under = str((folder / member.pair_baseline.name).relative_to(bundle))
            found.append(PublishedModel(committee.target, str((folder / GRAPH).relative_to(bundle)), under))
    return tuple(found)


def write_host_models(campaign: Campaign, iteration: int, bundle: Path) -> tuple[str, ...]:
    """Copy the models of the bare host, where production has trained any: ``models/host/NNN/``; returns the graphs."""
    found = []
    for k, (graph, springs) in enumerate(host_model_files(campaign, iteration)):
        folder = bundle / MODELS / "host" / f"{k:03d}"
        folder.mkdir(parents=True)
        shutil.copyfile(graph, folder / GRAPH)
        shutil.copyfile(springs, folder / springs.name)
        found.append(str((folder / GRAPH).relative_to(bundle)))
    return tuple(found)


@dataclass(frozen=True)
class DatasetCounts:
    """Frames to train on, and held out."""

    train: int
    valid: int


def write_dataset(campaign: Campaign, folder: Path) -> DatasetCounts:
    """The labelled frames as deepmd/npy systems and as extxyz."""
    counts = {}
    for split in (*SPLITS, HOSTS):
        stored = campaign.paths.dataset / split
        if stored.is_dir():
            shutil.copytree(stored, folder / "deepmd" / split)
    (folder / "extxyz").mkdir(parents=True)
    for split in SPLITS:
        frames = campaign.store.load(split)
        counts[split] = len(frames)
        if frames:
            write(folder / "extxyz" / f"{split}.extxyz", [labelled_atoms(f) for f in frames], format="extxyz")
    return DatasetCounts(counts["train"], counts["valid"])


def labelled_atoms(labelled: LabelledFrame) -> Atoms:
    """`labelled` for ASE: energy (eV) and forces (eV/Å) of the label; where it comes from in ``atoms.info``.

    ``host_energy_ev`` is the label of the bare host at this geometry, where known.
    """
    atoms = to_atoms(labelled.frame)
    origin = labelled.frame.provenance
    atoms.info.update(
        source=origin.source, iteration=origin.iteration, origin=origin.detail, labeler=labelled.label.labeler
    )
    if origin.temperature_k is not None:
        atoms.info["temperature_k"] = origin.temperature_k
    if labelled.host_label is not None and labelled.frame.n_h2:
        atoms.info["host_energy_ev"] = labelled.host_label.energy_ev
    label = labelled.label
    atoms.calc = SinglePointCalculator(atoms, energy=label.energy_ev, forces=label.forces_ev_ang)
    return atoms


def write_results(campaign: Campaign, iteration: int, folder: Path) -> tuple[str, ...]:
    """Copy what predictions and assessments left: numbers, figures, densities; returns the folders that have any."""
    found = []
    for directory in campaign.paths.predictions:
        if copy_results(directory, folder / directory.name):
            found.append(directory.name)
    for number in range(iteration + 1):
        stage = campaign.paths.assess(number)
        if copy_results(stage, folder / "assessment" / stage.parent.name):
            found.append(f"assessment/{stage.parent.name}")
    return tuple(found)


def copy_results(source: Path, target: Path) -> int:
    """Copy the result files that lie in `source` itself (not in task folders below); returns how many."""
    if not source.is_dir():
        return 0
    chosen = sorted(p for p in source.iterdir() if is_result(p))
    if chosen:
        target.mkdir(parents=True)
    for path in chosen:
        shutil.copyfile(path, target / path.name)
    return len(chosen)


def is_result(path: Path) -> bool:
    """Whether `path` is a file of numbers, a figure or a density: no link (a model), nothing hidden."""
    return path.is_file() and not path.is_symlink() and path.suffix in RESULT_SUFFIXES and path.name[0] != "."


def write_versions(path: Path) -> None:
    """Versions of the programs that are installed now, by which the bundle was made and checked."""
    atomic_write_json(path, {"python": platform.python_version(), **dict(versions())})

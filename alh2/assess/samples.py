"""Deviations and errors of held-out labels, per quantity, group of atoms and loading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from alh2.assess.calibration import DeviationSample
from alh2.assess.errors import FrameErrors, InsertionEnergies
from alh2.assess.groups import GROUPS, ISOLATED

Quantity = Literal["force", "largest force", "energy", "insertion"]
"""force: components, eV/Å. largest force: of the atoms of a frame, length of the vector, eV/Å. energy: per atom, eV.
insertion: E(N+1) - E(N) - E(H2), eV."""

QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)

ALL = "all"

MOST_VALUES = 20_000
"""Samples are thinned evenly to this many values."""


@dataclass(frozen=True, eq=False)
class NamedSample:
    """A sample and what it is of.

    group : "all" (frames with a host) or one of `GROUPS`; n_h2 : loading (before the insertion), None: all together
    """

    quantity: Quantity
    group: str
    n_h2: int | None
    sample: DeviationSample


def named_samples(errors: FrameErrors, insertions: InsertionEnergies) -> list[NamedSample]:
    """Every sample of one committee that has a value: the pooled one of a quantity comes before its parts.

    Bare hosts say nothing of an interaction committee (their energies and forces are zero) and are left out of it.
    """
    frames = np.ones(errors.n_h2.size, dtype=bool) if errors.target == "total" else errors.n_h2 > 0
    isolated = 2 * errors.n_h2 == errors.n_atoms
    found = _forces(errors, frames)
    largest = largest_force_sample(errors).part(frames & ~isolated)
    energies = energy_sample(errors)
    found.append(NamedSample("largest force", ALL, None, largest))
    found += _by_loading("energy", energies.part(frames & ~isolated), errors.n_h2[frames & ~isolated])
    found.append(NamedSample("energy", GROUPS[ISOLATED], None, energies.part(frames & isolated)))
    found += _by_loading("insertion", insertion_sample(insertions), insertions.n_h2)
    return [entry for entry in found if entry.sample.finite().error.size]


def force_sample(errors: FrameErrors) -> DeviationSample:
    """Force components, (3 × total atoms,), eV/Å.

    The deviation is one per atom, √(Σ_xyz var / 3) with the unbiased variance over M models, shared by its three
    components: it has three times the degrees of freedom of each. DP-GEN's deviation of the atom is √(3 (M-1)/M) of it.
    """
    models = errors.force_models_ev_ang
    mean = models.mean(axis=0)
    if len(models) < 2:
        deviation = np.full(len(mean), np.nan)
    else:
        deviation = np.sqrt(models.var(axis=0, ddof=1).mean(axis=1))
    error = (mean - errors.force_label_ev_ang).ravel()
    return DeviationSample(np.repeat(deviation, 3), error, np.repeat(_frame_of_atom(errors), 3))


def largest_force_sample(errors: FrameErrors) -> DeviationSample:
    """Of each frame the largest force deviation as DP-GEN and selection define it, and the largest length of a force
    error, eV/Å, (n_frames,): not always of the same atom.
    """
    models = errors.force_models_ev_ang
    mean, owner = models.mean(axis=0), _frame_of_atom(errors)
    deviation = np.sqrt(((models - mean) ** 2).sum(axis=2).mean(axis=0))
    length = np.linalg.norm(mean - errors.force_label_ev_ang, axis=1)
    n = errors.n_h2.size
    largest = np.zeros((2, n))
    np.maximum.at(largest[0], owner, deviation)
    np.maximum.at(largest[1], owner, length)
    if len(models) < 2:
        largest[0] = np.nan
    return DeviationSample(largest[0], largest[1], np.arange(n))


def energy_sample(errors: FrameErrors) -> DeviationSample:
    """Energy per atom, (n_frames,), eV."""
    models = errors.energy_models_ev / errors.n_atoms
    deviation = models.std(axis=0, ddof=1) if len(models) > 1 else np.full(errors.n_h2.size, np.nan)
    error = models.mean(axis=0) - errors.energy_label_ev / errors.n_atoms
    return DeviationSample(deviation, error, np.arange(errors.n_h2.size))


def insertion_sample(insertions: InsertionEnergies) -> DeviationSample:
    """Insertion energies, (n,), eV."""
    return DeviationSample(insertions.spread_ev, insertions.errors_ev, np.arange(insertions.label_ev.size))


def _forces(errors: FrameErrors, frames: np.ndarray) -> list[NamedSample]:
    sample, groups = force_sample(errors), np.repeat(errors.atom_group, 3)
    counted = frames[sample.frame]
    parts = [(ALL, groups != ISOLATED), *((name, groups == k) for k, name in enumerate(GROUPS))]
    return [NamedSample("force", name, None, _thinned(sample.part(counted & of))) for name, of in parts]


def _by_loading(quantity: Quantity, sample: DeviationSample, n_h2: np.ndarray) -> list[NamedSample]:
    pooled = [NamedSample(quantity, ALL, None, sample)]
    return pooled + [NamedSample(quantity, ALL, int(n), sample.part(n_h2 == n)) for n in np.unique(n_h2)]


def _frame_of_atom(errors: FrameErrors) -> np.ndarray:
    return np.repeat(np.arange(errors.n_h2.size), np.diff(errors.offsets))


def _thinned(sample: DeviationSample) -> DeviationSample:
    n = sample.error.size
    return sample if n <= MOST_VALUES else sample.part(np.linspace(0, n - 1, MOST_VALUES).astype(int))

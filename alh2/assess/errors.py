"""Errors of a committee on labelled frames it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alh2.assess.groups import atom_groups, groups_without_sites
from alh2.assess.heldout import HeldoutInsertion
from alh2.core.errors import BadInputError
from alh2.core.frames import Frame, Label, LabelledFrame, Target
from alh2.potential.evaluate import CommitteeEvaluation
from alh2.potential.frames_npz import read_npz, write_npz


@dataclass(frozen=True, eq=False)
class FrameErrors:
    """Labels and committee predictions of held-out frames.

    n_h2, n_atoms, energy_label_ev : (n_frames,); energy_models_ev : (n_models, n_frames)
    force_label_ev_ang : (total atoms, 3); force_models_ev_ang : (n_models, total atoms, 3)
    offsets : (n_frames + 1,); source : (n_frames,) origin of each frame ("aimd", "heldout", "gas", …)
    atom_group : (total atoms,) indices into `alh2.assess.groups.GROUPS`
    """

    target: Target
    n_h2: np.ndarray
    n_atoms: np.ndarray
    source: np.ndarray
    offsets: np.ndarray
    energy_label_ev: np.ndarray
    energy_models_ev: np.ndarray
    force_label_ev_ang: np.ndarray
    force_models_ev_ang: np.ndarray
    atom_group: np.ndarray

    @property
    def force_rmse_ev_ang(self) -> float:
        """RMSE of the committee-mean force components, eV/Å; NaN without frames."""
        if not self.force_label_ev_ang.size:
            return float("nan")
        return _rms(self.force_models_ev_ang.mean(axis=0) - self.force_label_ev_ang)

    @property
    def energy_rmse_ev_atom(self) -> float:
        """RMSE of the committee-mean energy per atom, eV; NaN without frames."""
        if not self.energy_label_ev.size:
            return float("nan")
        return _rms((self.energy_models_ev.mean(axis=0) - self.energy_label_ev) / self.n_atoms)


@dataclass(frozen=True, eq=False)
class InsertionEnergies:
    """Insertion energies of held-out insertions: n_h2, label_ev (n,), models_ev (n_models, n), eV."""

    target: Target
    n_h2: np.ndarray
    label_ev: np.ndarray
    models_ev: np.ndarray

    @property
    def errors_ev(self) -> np.ndarray:
        """Committee mean minus label, (n,)."""
        return np.asarray(self.models_ev.mean(axis=0) - self.label_ev)

    @property
    def spread_ev(self) -> np.ndarray:
        """Committee standard deviation of each prediction, (n,); NaN with fewer than two models."""
        if len(self.models_ev) < 2:
            return np.full(self.label_ev.shape, np.nan)
        return np.asarray(self.models_ev.std(axis=0, ddof=1))

    @property
    def rmse_ev(self) -> float:
        """RMSE of the committee mean; NaN without insertions."""
        return _rms(self.errors_ev) if self.label_ev.size else float("nan")

    @property
    def mean_ev(self) -> float:
        """Mean error of the committee mean; NaN without insertions."""
        return float(self.errors_ev.mean()) if self.label_ev.size else float("nan")


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def frame_errors(frames: Sequence[LabelledFrame], evaluation: CommitteeEvaluation, *, target: Target) -> FrameErrors:
    """Labels beside predictions; `evaluation` is of the same frames in the same order (checked by digest)."""
    _same_frames([f.frame.digest for f in frames], evaluation)
    return FrameErrors(
        target=target,
        n_h2=np.array([f.frame.n_h2 for f in frames], dtype=np.int64),
        n_atoms=np.array([f.frame.n_atoms for f in frames], dtype=np.int64),
        source=np.array([f.frame.provenance.source for f in frames], dtype=np.str_),
        offsets=evaluation.offsets,
        energy_label_ev=np.array([f.energy_ev(target) for f in frames]),
        energy_models_ev=evaluation.energies_ev,
        force_label_ev_ang=np.concatenate([np.empty((0, 3)), *(f.forces_ev_ang(target) for f in frames)]),
        force_models_ev_ang=evaluation.forces_ev_ang,
        atom_group=atom_groups([f.frame for f in frames]),
    )


def insertion_energies(
    insertions: Sequence[HeldoutInsertion],
    labels: dict[str, Label],
    evaluation: CommitteeEvaluation,
    *,
    target: Target,
) -> InsertionEnergies:
    """Insertion energies of all `insertions` whose three labels exist.

    The bare host cancels between N+1 and N, so total and interaction committees are compared with the same numbers.
    evaluation : of `frames_of(insertions)`
    """
    _same_frames([frame.digest for frame in frames_of(insertions)], evaluation)
    kept = [
        i
        for i, insertion in enumerate(insertions)
        if all(frame.digest in labels for frame in (insertion.loaded, insertion.less, insertion.gas))
    ]
    energy = evaluation.energies_ev
    label = [
        labels[insertions[i].loaded.digest].energy_ev
        - labels[insertions[i].less.digest].energy_ev
        - labels[insertions[i].gas.digest].energy_ev
        for i in kept
    ]
    first = 3 * np.array(kept, dtype=np.int64)
    return InsertionEnergies(
        target,
        np.array([insertions[i].n_h2 for i in kept], dtype=np.int64),
        np.array(label, dtype=np.float64),
        energy[:, first] - energy[:, first + 1] - energy[:, first + 2],
    )


def frames_of(insertions: Sequence[HeldoutInsertion]) -> list[Frame]:
    """Frames to evaluate for `insertions`: loaded, less, gas of each."""
    return [frame for insertion in insertions for frame in (insertion.loaded, insertion.less, insertion.gas)]


def _same_frames(digests: Sequence[str], evaluation: CommitteeEvaluation) -> None:
    if tuple(digests) != evaluation.digests:
        raise ValueError("the evaluation is of other frames")


def save_errors(path: Path, errors: FrameErrors, insertions: InsertionEnergies) -> None:
    """Write both in one file, in one step."""
    write_npz(
        path,
        target=np.array(errors.target),
        n_h2=errors.n_h2,
        n_atoms=errors.n_atoms,
        source=errors.source,
        offsets=errors.offsets,
        energy_label_ev=errors.energy_label_ev,
        energy_models_ev=errors.energy_models_ev,
        force_label_ev_ang=errors.force_label_ev_ang,
        force_models_ev_ang=errors.force_models_ev_ang,
        atom_group=errors.atom_group,
        insertion_n_h2=insertions.n_h2,
        insertion_label_ev=insertions.label_ev,
        insertion_models_ev=insertions.models_ev,
    )


def load_errors(path: Path) -> tuple[FrameErrors, InsertionEnergies]:
    """What `save_errors` wrote; raises BadInputError where `path` is absent or torn.

    A file without groups of atoms, from before there were any, has open sites among the framework.
    """
    names = (
        "n_h2",
        "n_atoms",
        "source",
        "offsets",
        "energy_label_ev",
        "energy_models_ev",
        "force_label_ev_ang",
        "force_models_ev_ang",
    )
    data = read_npz(path, "target", *names, "insertion_n_h2", "insertion_label_ev", "insertion_models_ev")
    target: Target = "total" if str(data["target"]) == "total" else "interaction"
    try:
        group = read_npz(path, "atom_group")["atom_group"]
    except BadInputError:
        group = groups_without_sites(data["n_h2"], data["n_atoms"])
    errors = FrameErrors(target, **{name: data[name] for name in names}, atom_group=group)
    insertions = InsertionEnergies(
        target, data["insertion_n_h2"], data["insertion_label_ev"], data["insertion_models_ev"]
    )
    return errors, insertions

"""Committee members as files: folder names, models, and where the weights to start from are.

The total committee keeps DP-GEN's names (``000``, ``graph.000.pb``); the interaction committee has a prefix.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alh2.config.model import CommitteeConfig
from alh2.core.frames import Target
from alh2.potential.pair_baseline import FILE_NAME

CHECKPOINT_SUFFIXES = (".meta", ".index", ".data-00000-of-00001")


@dataclass(frozen=True)
class Member:
    """One model of a committee in an iteration's ``00.train`` folder."""

    train_dir: Path
    target: Target
    index: int

    @property
    def _prefix(self) -> str:
        return "" if self.target == "total" else f"{self.target}."

    @property
    def work_dir(self) -> Path:
        """Folder the member is trained in."""
        return self.train_dir / f"{self._prefix}{self.index:03d}"

    @property
    def frozen(self) -> Path:
        """Frozen model with the full embedding nets (read by the incremental energies)."""
        return self.work_dir / "frozen_model.pb"

    @property
    def engine(self) -> Path:
        """The frozen model in DeePMD's NumPy format (``.dp``), made for the first member: the Monte Carlo's model."""
        return self.work_dir / "frozen_model.dp"

    @property
    def graph(self) -> Path:
        """The model exploration uses (compressed where asked for), DP-GEN's ``graph.NNN.pb``."""
        return self.train_dir / f"{self._prefix}graph.{self.index:03d}.pb"

    @property
    def pair_baseline(self) -> Path:
        """The pair potential that belongs to the models, where the committee has one: they know only the rest."""
        return self.work_dir / FILE_NAME

    @property
    def pair_start(self) -> Path:
        """The pair potential that was taken off the labels; `pair_baseline` is it and what is fitted after training."""
        return self.work_dir / "pair_baseline_start.json"

    @property
    def checkpoint(self) -> Path:
        """Prefix of the checkpoint files."""
        return self.work_dir / "model.ckpt"

    @property
    def lcurve(self) -> Path:
        """Training errors over steps."""
        return self.work_dir / "lcurve.out"


def members(train_dir: Path, target: Target, n_models: int) -> list[Member]:
    """All members of the committee for `target`."""
    return [Member(train_dir, target, index) for index in range(n_models)]


def reuses(committee: CommitteeConfig, iteration: int, previous_train_dir: Path | None) -> bool:
    """Whether `iteration` starts from the weights of the one before (DP-GEN's ``training_reuse_iter``)."""
    return previous_train_dir is not None and committee.reuse_iter is not None and iteration >= committee.reuse_iter

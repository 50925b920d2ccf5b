"""What every stage of a campaign works with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alh2.campaign.labelling import LabelBench
from alh2.campaign.lock import DriverLock
from alh2.campaign.notify import Notifier
from alh2.campaign.paths import RunPaths
from alh2.campaign.progress import Reporter
from alh2.campaign.snapshot import Snapshot
from alh2.campaign.state import Journal
from alh2.config.model import CommitteeConfig, MachineConfig, ParamConfig
from alh2.core.errors import BadInputError
from alh2.core.frames import Frame
from alh2.dataset.store import DatasetStore
from alh2.dispatch.run import Progress
from alh2.label.protocol import Labeler
from alh2.potential.frames_npz import load_frames
from alh2.train.members import Member, members


@dataclass(frozen=True, eq=False)
class Campaign:
    """Configuration, paths and the long-lived helpers of a campaign directory.

    seeds : sampled frames that exploration starts from; () for molecules placed at random
    """

    param: ParamConfig
    machine: MachineConfig
    paths: RunPaths
    store: DatasetStore
    labeler: Labeler
    journal: Journal
    reporter: Reporter
    lock: DriverLock
    notifier: Notifier
    snapshot: Snapshot
    seeds: tuple[Frame, ...] = ()

    def on_progress(self, progress: Progress) -> None:
        """Show task counts, note them for ``alh2 status``, and tell someone where nothing goes on."""
        self.reporter.tasks(progress)
        self.snapshot.take(progress)
        self.notifier.watch(progress)

    @property
    def bench(self) -> LabelBench:
        """Where labels are made."""
        return LabelBench(
            self.labeler,
            self.machine.fp,
            self.param.label.timeout_s,
            self.paths.quarantine,
            self.param.label.energy_window_ev_per_atom,
        )

    @property
    def engine_committee(self) -> CommitteeConfig:
        """The committee whose first model runs the Monte Carlo: interaction, or total where there is none."""
        committee = self.param.committee("interaction") or self.param.committee("total")
        if committee is None:
            raise BadInputError(str(self.param.source), expected="numb_models of a committee", found="none")
        return committee

    @property
    def force_committee(self) -> CommitteeConfig:
        """The committee that MD runs with and whose force deviation selects: total, or interaction."""
        committee = self.param.committee("total") or self.param.committee("interaction")
        assert committee is not None
        return committee

    def members(self, committee: CommitteeConfig, iteration: int) -> list[Member]:
        """Members of a committee trained in `iteration`."""
        return members(self.paths.train(iteration), committee.target, committee.n_models)

    def hosts(self) -> list[Frame]:
        """Host snapshots written by the bootstrap."""
        return load_frames(self.paths.hosts)

    def relative(self, path: Path) -> str:
        """`path` as seen from the campaign directory."""
        return str(path.relative_to(self.paths.root))

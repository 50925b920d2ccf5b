"""Where everything of a campaign lies: DP-GEN's layout, plus what DP-GEN does not have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alh2.campaign.lock import STOP_REQUEST
from alh2.campaign.state import Stage


@dataclass(frozen=True)
class RunPaths:
    """Paths of a campaign directory. Everything not listed here is derived from task folders."""

    root: Path

    @property
    def state(self) -> Path:
        """The one state file."""
        return self.root / "state.json"

    @property
    def identity(self) -> Path:
        """What the stored data were made with."""
        return self.root / "campaign.json"

    @property
    def journal(self) -> Path:
        """Append-only events."""
        return self.root / "journal.jsonl"

    @property
    def lock(self) -> Path:
        """Lock of the running driver."""
        return self.root / "driver.lock"

    @property
    def log(self) -> Path:
        """Words of drivers without a terminal."""
        return self.root / "driver.log"

    @property
    def job_script(self) -> Path:
        """Job script of a driver that is a Slurm job."""
        return self.root / "driver.sh"

    @property
    def stop_request(self) -> Path:
        """Exists while the driver is asked to stop."""
        return self.root / STOP_REQUEST

    @property
    def progress(self) -> Path:
        """Tasks and jobs of the running stage as the driver saw them last."""
        return self.root / "progress.json"

    @property
    def record(self) -> Path:
        """DP-GEN's record of finished steps."""
        return self.root / "record.dpgen"

    @property
    def bootstrap(self) -> Path:
        """Initial data: ingestion report, bootstrap labels, host snapshots."""
        return self.root / "init"

    @property
    def hosts(self) -> Path:
        """Host snapshots (frames_npz) that exploration and production use."""
        return self.bootstrap / "hosts.npz"

    @property
    def sampled(self) -> Path:
        """First frames drawn by Monte Carlo on pair terms."""
        return self.bootstrap / "sampled.npz"

    @property
    def dataset(self) -> Path:
        """The append-only store."""
        return self.root / "dataset"

    @property
    def quarantine(self) -> Path:
        """Refused labels."""
        return self.root / "quarantine.jsonl"

    @property
    def production(self) -> Path:
        """Production runs."""
        return self.root / "production"

    @property
    def predictions(self) -> tuple[Path, ...]:
        """Folders of predictions, one for each kind and its nuclei, by the last models that predicted."""
        return tuple(self.production / name for name in ("isotherm", "isotherm-feynman-hibbs", "md", "md-pimd"))

    @property
    def report(self) -> Path:
        """The report's folder."""
        return self.root / "report"

    def stage(self, stage: Stage, index: int) -> Path:
        """Folder whose tasks belong to `stage` of iteration `index`."""
        folders: dict[Stage, Path] = {
            "bootstrap": self.bootstrap,
            "train": self.train(index),
            "explore": self.explore(index),
            "select": self.label(index),
            "label": self.label(index),
            "assess": self.assess(index),
        }
        return folders.get(stage, self.production)

    def iteration(self, index: int) -> Path:
        """``iter.NNNNNN``."""
        return self.root / f"iter.{index:06d}"

    def train(self, index: int) -> Path:
        """Training folder of an iteration."""
        return self.iteration(index) / "00.train"

    def explore(self, index: int) -> Path:
        """Exploration folder of an iteration."""
        return self.iteration(index) / "01.model_devi"

    def label(self, index: int) -> Path:
        """Selection and labelling folder of an iteration."""
        return self.iteration(index) / "02.fp"

    def assess(self, index: int) -> Path:
        """Assessment folder of an iteration."""
        return self.iteration(index) / "03.assess"

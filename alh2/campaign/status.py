"""Where a campaign stands, read from its directory without touching it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from alh2.campaign.assessing import errors_in_words, load_assessment
from alh2.campaign.paths import RunPaths
from alh2.campaign.state import load_state
from alh2.core.errors import BadInputError
from alh2.dispatch.script import SCRIPT_NAME
from alh2.dispatch.tasks import RECORD_NAME
from alh2.label.quarantine import read_quarantine


@dataclass(frozen=True)
class TaskCounts:
    """Task folders of the stage at hand: finished (a record exists), and all."""

    finished: int
    total: int


@dataclass(frozen=True)
class IterationRow:
    """Verdict of one assessed iteration."""

    iteration: int
    met: bool
    force_rmse_ev_ang: float
    insertion_rmse_ev: float
    insertion_mean_ev: float
    accurate_fraction: float


@dataclass(frozen=True)
class CampaignStatus:
    """What ``alh2 status`` shows.

    state : "running", "interrupted", "needs-person" or "done" (as last written); driver : whether one is at work now
    n_labels : labelled frames in the dataset
    """

    state: str
    driver: bool
    iteration: int
    stage: str
    converged: bool
    verdict: str
    message: str
    n_labels: int
    n_quarantined: int
    tasks: TaskCounts
    iterations: tuple[IterationRow, ...]

    def lines(self) -> list[str]:
        """The same for people."""
        driver = "a driver is at work" if self.driver else "no driver is at work"
        rows = [
            f"state      {self.state} ({driver})",
            f"stage      {self.stage}, iteration {self.iteration}",
            f"tasks      {self.tasks.finished} of {self.tasks.total} finished in this stage",
            f"labels     {self.n_labels} in the dataset, {self.n_quarantined} quarantined",
            f"converged  {'yes' if self.converged else 'no'}: {self.verdict}",
        ]
        if self.message:
            rows.append(f"message    {self.message}")
        for row in self.iterations:
            accurate = (
                f"{100 * row.accurate_fraction:.0f} %" if math.isfinite(row.accurate_fraction) else "not measured"
            )
            errors = errors_in_words(
                force_rmse_ev_ang=row.force_rmse_ev_ang,
                insertion_rmse_ev=row.insertion_rmse_ev,
                insertion_mean_ev=row.insertion_mean_ev,
            )
            rows.append(f"  iteration {row.iteration}: accurate {accurate}, {errors}")
        return rows


def read_status(directory: Path) -> CampaignStatus:
    """Status of the campaign in `directory`; raises BadInputError where there is none."""
    from alh2.campaign.lock import is_held
    from alh2.dataset.store import DatasetStore

    paths = RunPaths(directory.resolve())
    state = load_state(paths.state)
    if state is None:
        raise BadInputError(
            str(directory),
            expected="a campaign directory (with state.json)",
            found="none",
            action="start with alh2 run",
        )
    rows = []
    for iteration in range(state.iteration + 1):
        result = load_assessment(paths.assess(iteration))
        if result is not None:
            rows.append(
                IterationRow(
                    iteration,
                    result.met,
                    result.force_rmse_ev_ang,
                    result.insertion_rmse_ev,
                    result.insertion_mean_ev,
                    result.accurate_fraction,
                )
            )
    where = paths.stage(state.stage, state.iteration)
    return CampaignStatus(
        state=state.status,
        driver=is_held(paths.lock),
        iteration=state.iteration,
        stage=state.stage,
        converged=state.converged,
        verdict=state.verdict,
        message=state.message,
        n_labels=len(DatasetStore(paths.dataset, ()).digests()),
        n_quarantined=len(read_quarantine(paths.quarantine)),
        tasks=TaskCounts(len(list(where.glob(f"**/{RECORD_NAME}"))), len(list(where.glob(f"**/{SCRIPT_NAME}")))),
        iterations=tuple(rows),
    )

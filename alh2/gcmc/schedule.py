"""When something other than moves happens in a run: a function of the moves done and of nothing else.

So a run that is continued from a restart file meets the same events as one that was never stopped.
"""

from __future__ import annotations

from dataclasses import dataclass

ADAPT_EVERY = 500
"""Equilibration moves between changes of the move sizes."""
PROGRESS_STEPS = 100
LOOK_EVERY = 10
"""Moves between questions whether a run with a restart file must stop."""


@dataclass(frozen=True)
class Schedule:
    """Lengths and intervals in moves; 0 means never.

    n_equilibration, n_measured : moves of the two parts, the first one first
    sample_every, trajectory_every : within the measured part
    self_check_every, restart_every, segment_every : within the whole run
    reports : whether progress is reported, about `PROGRESS_STEPS` times
    """

    n_equilibration: int
    n_measured: int
    sample_every: int
    trajectory_every: int = 0
    self_check_every: int = 0
    restart_every: int = 0
    segment_every: int = 0
    reports: bool = False

    @property
    def n_total(self) -> int:
        """Moves in all."""
        return self.n_equilibration + self.n_measured

    @property
    def n_samples(self) -> int:
        """Samples in all."""
        return self.n_measured // self.sample_every

    def moves_to_event(self, done: int) -> int:
        """Moves from `done` to the next event, at least 1; to the end of the run at most."""
        start, ends = self.n_equilibration, self.n_total
        steps = [ends - done]
        if done < start:
            steps += [start - done, ADAPT_EVERY - done % ADAPT_EVERY]
        else:
            measured = done - start
            steps += [every - measured % every for every in (self.sample_every, self.trajectory_every) if every]
        steps += [every - done % every for every in (self.self_check_every, self.segment_every) if every]
        if self.restart_every:
            steps.append(self.restart_every - done % self.restart_every)
            steps.append(LOOK_EVERY - done % LOOK_EVERY)
        if self.reports:
            steps.append(self._notice - done % self._notice)
        return max(1, min(steps))

    def adapts_at(self, done: int) -> bool:
        """Whether move sizes are adapted after `done` moves."""
        return 0 < done <= self.n_equilibration and (done % ADAPT_EVERY == 0 or done == self.n_equilibration)

    def samples_at(self, done: int) -> bool:
        """Whether N and energy are recorded after `done` moves."""
        return self._measured_multiple(done, self.sample_every)

    def stores_at(self, done: int) -> bool:
        """Whether the configuration goes to the trajectory after `done` moves."""
        return self._measured_multiple(done, self.trajectory_every)

    def checks_at(self, done: int) -> bool:
        """Whether the energy is computed afresh after `done` moves: at self-checks, restart points and the end."""
        at_end = bool(self.self_check_every) and done == self.n_total
        return at_end or _multiple(done, self.self_check_every) or self.restarts_at(done)

    def restarts_at(self, done: int) -> bool:
        """Whether the run can be continued from after `done` moves."""
        return bool(self.restart_every) and (_multiple(done, self.restart_every) or done == self.n_total)

    def segment_at(self, done: int) -> bool:
        """Whether a segment of molecular dynamics follows after `done` moves."""
        return _multiple(done, self.segment_every)

    def reports_at(self, done: int) -> bool:
        """Whether progress is reported after `done` moves."""
        return self.reports and (_multiple(done, self._notice) or done == self.n_total)

    @property
    def _notice(self) -> int:
        return max(1, self.n_total // PROGRESS_STEPS)

    def _measured_multiple(self, done: int, every: int) -> bool:
        return done > self.n_equilibration and _multiple(done - self.n_equilibration, every)


def _multiple(done: int, every: int) -> bool:
    return every > 0 and done % every == 0

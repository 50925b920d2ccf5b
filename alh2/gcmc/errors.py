"""What stops a simulation."""

from __future__ import annotations

from alh2.core.errors import Alh2Error


class UntrustworthyEnergyError(Alh2Error):
    """The potential returned NaN or minus infinity, or its trials do not add up to its full energy."""


class InterruptedRunError(Alh2Error):
    """The run stopped on request or before its time was over, after `done` of `total` moves, and can be continued."""

    exit_code = 3

    def __init__(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        super().__init__(f"stopped after {done} of {total} moves; the same command resumes")

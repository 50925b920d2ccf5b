"""Errors that reach a user as one line, with the exit code they carry."""

from __future__ import annotations


class Alh2Error(Exception):
    """Base of the errors a user may see; `exit_code` is what the command line returns."""

    exit_code = 1


class BadInputError(Alh2Error):
    """An input is wrong: where, what was expected, what was found, what to do.

    Parameters
    ----------
    where : str
        File, field or frame, e.g. ``"OUTCAR, frame 3"`` or ``"param.json: alh2.gcmc_jobs[0].temps"``.
    expected, found, action : str
        Short phrases; `action` tells the user the next step and may be empty.
    """

    exit_code = 2

    def __init__(self, where: str, *, expected: str, found: str, action: str = "") -> None:
        self.where = where
        self.expected = expected
        self.found = found
        self.action = action
        tail = f"; {action}" if action else ""
        super().__init__(f"{where}: expected {expected}, found {found}{tail}")


class NeedsPersonError(Alh2Error):
    """The campaign cannot decide alone; the message says what a person must decide."""

    exit_code = 1


class InterruptedCampaignError(Alh2Error):
    """Stopped on request (SIGINT, SIGTERM); repeating the same command resumes."""

    exit_code = 3

"""Places where a crash can be asked for, to show that nothing is lost whatever dies where.

Off unless the environment says otherwise: ``ALH2_FAULT_AT=n`` kills the process (SIGKILL) at the n-th place it comes
to, counted from 1; ``ALH2_FAULT_LOG=file`` appends the name of every place. Places are before, amid and after each
durable write, and before and after each submission of a job.
"""

from __future__ import annotations

import itertools
import os
import signal

AT_VARIABLE, LOG_VARIABLE = "ALH2_FAULT_AT", "ALH2_FAULT_LOG"
_AT = int(os.environ.get(AT_VARIABLE, "0") or 0)
_LOG = os.environ.get(LOG_VARIABLE, "")
_COUNT = itertools.count(1)


def fault_point(name: str) -> None:
    """A place where the process may be made to die; does nothing in a normal run."""
    if not (_AT or _LOG):
        return
    number = next(_COUNT)
    if _LOG:
        with open(_LOG, "a", encoding="utf-8") as handle:
            handle.write(f"{name}\n")
    if number == _AT:
        os.kill(os.getpid(), signal.SIGKILL)

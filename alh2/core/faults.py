"""Places where a crash can be asked for, to show that nothing is lost whatever dies where.

Off unless the environment variable ``ALH2_FAULTS`` names a file: then the process dies (SIGKILL) at every place that
the file does not list yet, after listing it, so that a driver started again and again dies once everywhere and ends at
last. ``ALH2_FAULTS_ONLY`` (a regular expression) picks places by name, ``ALH2_FAULTS_STRIDE=n`` about every n-th.
Places are before, amid and after each durable write, and before and after each submission of a job.
"""

from __future__ import annotations

import os
import re
import signal
import zlib
from pathlib import Path

_PROCESS = re.compile(r"\.\d+\.[0-9a-f]{8}(?=\.tmp)")
"""What makes a temporary name unique to one process, left out so that a place has one name."""


def fault_point(name: str, content: bytes = b"") -> None:
    """A place where the process may be made to die; does nothing in a normal run.

    content : what is written there: the same file with other content is another place
    """
    listed_in = os.environ.get("ALH2_FAULTS", "")
    if not listed_in:
        return
    place = _PROCESS.sub("", f"{name} {zlib.crc32(content):08x}" if content else name)
    if not re.search(os.environ.get("ALH2_FAULTS_ONLY", ""), place):
        return
    if zlib.crc32(place.encode()) % int(os.environ.get("ALH2_FAULTS_STRIDE", "1")):
        return
    path = Path(listed_in)
    if path.exists() and place in path.read_text(encoding="utf-8").splitlines():
        return
    with open(path, "a", encoding="utf-8") as handle:
        handle.write(f"{place}\n")
    os.kill(os.getpid(), signal.SIGKILL)

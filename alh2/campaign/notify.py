"""A command of the user's, run when the campaign is done, stuck, or needs a person."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from alh2.config.policy import NotifyConfig
from alh2.dispatch.run import Progress

What = Literal["done", "needs-person", "stuck"]
COMMAND_TIMEOUT_S = 60.0


class Notifier:
    """Runs ``alh2.notify.command`` with ALH2_EVENT, ALH2_MESSAGE and ALH2_DIR in its environment.

    say : where a command that fails is told of
    """

    def __init__(self, config: NotifyConfig, directory: Path, *, say: Callable[[str], None]) -> None:
        self._config = config
        self._directory = directory
        self._say = say
        self._last: tuple[str, int] = ("", -1)
        self._since = time.monotonic()
        self._told = False

    def tell(self, what: What, message: str) -> None:
        """Run the command; one that fails or hangs does not stop the campaign."""
        if not self._config.command:
            return
        environment = {"ALH2_EVENT": what, "ALH2_MESSAGE": message, "ALH2_DIR": str(self._directory)}
        try:
            done = subprocess.run(
                ["sh", "-c", self._config.command],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=COMMAND_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            self._say(f"note: the notification command did not work: {error}")
            return
        if done.returncode:
            self._say(f"note: the notification command ended with code {done.returncode}")

    def watch(self, progress: Progress) -> None:
        """Tell once where no task has ended for ``stuck_after_s``."""
        now, at = time.monotonic(), (progress.name, progress.n_done + progress.n_failed)
        if at != self._last:
            self._last, self._since, self._told = at, now, False
        elif not self._told and now - self._since > self._config.stuck_after_s:
            self._told = True
            hours = (now - self._since) / 3600
            reason = f" ({progress.trouble})" if progress.trouble else ""
            self.tell("stuck", f"{progress.name}: no task has ended for {hours:.1f} h{reason}")

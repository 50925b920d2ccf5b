"""How many failures a stage tolerates, and what then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from alh2.config.policy import TaskPolicy
from alh2.core.errors import NeedsPersonError


def check_failures(reasons: Sequence[str], n_total: int, policy: TaskPolicy, *, what: str) -> None:
    """Raise NeedsPersonError where more of `n_total` tasks failed than the policy tolerates and it says to stop.

    reasons : why each task that failed did; what : "labels", "MD runs", …
    """
    if policy.too_many == "go on" or not n_total or len(reasons) <= policy.ratio_failed * n_total:
        return
    common, times = Counter(reasons).most_common(1)[0]
    raise NeedsPersonError(
        f"{len(reasons)} of {n_total} {what} failed, more than the {100 * policy.ratio_failed:g} % tolerated "
        f"(ratio_failed); {times} of them: {common}; mend the cause or raise the limit, and run again"
    )

"""Trust bands of explored frames: DP-GEN's levels on the force deviation, ours on the insertion energy."""

from __future__ import annotations

import math
from typing import Literal

from alh2.config.model import SelectConfig
from alh2.core.explored import ExploredFrame

Band = Literal["accurate", "candidate", "failed"]


def trust_band(explored: ExploredFrame, config: SelectConfig) -> tuple[Band, str]:
    """Band of one frame by its deviations alone, and the reason in words.

    accurate below ``f_trust_lo``, candidate in [lo, hi), failed from ``f_trust_hi`` on (DP-GEN's
    ``_select_by_model_devi_standard``), by the levels of the frame's own system where the param file has such. A
    deviation or spread that is not a finite number fails. Below hi, a committee spread of the insertion energy above
    ``insertion_trust_lo`` makes an accurate frame a candidate.
    """
    devi = explored.max_devi_f_ev_ang
    spread = explored.devi_insertion_ev
    low, high = config.f_trust(explored.system)
    if not math.isfinite(devi):
        return "failed", f"max_devi_f is {devi}"
    if devi >= high:
        return "failed", f"max_devi_f {_short(devi)} ≥ {_short(high)}"
    if spread is not None and not math.isfinite(spread):
        return "failed", f"insertion spread is {spread}"
    if devi >= low:
        return "candidate", f"max_devi_f {_short(devi)} in [{_short(low)}, {_short(high)})"
    if spread is not None and spread > config.insertion_trust_lo_ev:
        return "candidate", f"insertion spread {_short(spread)} eV > {_short(config.insertion_trust_lo_ev)} eV"
    return "accurate", f"max_devi_f {_short(devi)} < {_short(low)}"


def _short(value: float) -> str:
    """Number with four significant digits."""
    return f"{value:.4g}"

"""Schema of ``alh2.curriculum``: the target of a campaign and the way to it."""

from __future__ import annotations

from dargs import Argument

from alh2.config.fields import AT_LEAST_ONE, field, section
from alh2.config.strict import Limits


def curriculum_section() -> Argument:
    """The ``alh2.curriculum`` section of a param file."""
    positive = Limits(above=0, not_empty=True)
    return section(
        "curriculum",
        "Loadings explored one after the other: from `start_loading` down to the empty host, then up in steps to "
        "`max_loading`. Each rung has iterations of its own and ends when `converge` holds for it; each new loading "
        "starts from Monte Carlo of the rung before. Replaced on each rung are the systems, temperatures, loadings and "
        "fugacities of `model_devi_jobs` and `gcmc_jobs`, and `assess.loadings`. `max_loading`, `temps` and "
        "`pressures_bar` may be extended later.",
        [
            field("temps", list[float], "Temperatures of exploration.", unit="K", limits=positive),
            field("pressures_bar", list[float], "Pressures that production asks about.", unit="bar", limits=positive),
            field("max_loading", int, "Highest loading.", unit="H2", limits=AT_LEAST_ONE),
            field("start_loading", int, "Loading of the first rung, that of the AIMD.", unit="H2", limits=AT_LEAST_ONE),
            field("step", int, "H2 between two loadings.", unit="H2", default=8, limits=AT_LEAST_ONE),
            field(
                "fugacity_factor",
                float,
                "Highest fugacity explored, as a multiple of the fugacity at the highest of the pressures.",
                default=2.0,
                limits=Limits(at_least=1),
            ),
        ],
        default=None,
    )

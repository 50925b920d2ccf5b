"""Schema of ``alh2.converge`` and ``alh2.production``: when the loop ends, and what is predicted then."""

from __future__ import annotations

from dargs import Argument

from alh2.config.fields import (
    AT_LEAST_ONE,
    FRACTION,
    LIST_NOT_EMPTY,
    LIST_POSITIVE,
    NOT_NEGATIVE,
    POSITIVE,
    field,
    section,
)
from alh2.config.strict import Limits


def converge_section() -> Argument:
    """``alh2.converge``."""

    def limit(name: str, doc: str, unit: str, bounds: Limits = POSITIVE) -> Argument:
        return field(name, [float, None], doc + " null: not asked.", unit=unit, default=None, limits=bounds)

    return section(
        "converge",
        "The loop ends when all limits given here hold for `consecutive` iterations.",
        [
            limit("accurate_fraction", "Least fraction of explored frames within trust.", "", FRACTION),
            limit("insertion_spread_ev", "Most committee spread of insertion energies.", "eV"),
            limit("force_rmse_ev_ang", "Most RMSE of held-out force components.", "eV/Å"),
            limit("insertion_rmse_ev", "Most RMSE of held-out insertion energies.", "eV"),
            limit("insertion_mean_ev", "Most mean error of held-out insertion energies, absolute.", "eV"),
            field("consecutive", int, "Iterations in a row.", default=1, limits=AT_LEAST_ONE),
            field(
                "max_iterations",
                [int, None],
                "Iterations after which the loop stops in any case; null: number of `model_devi_jobs`.",
                default=None,
                limits=AT_LEAST_ONE,
            ),
        ],
        default={},
    )


def _md_fields() -> list[Argument]:
    return [
        field("md_temperature_k", float, "Of the two NVT runs.", unit="K", default=77.0, limits=POSITIVE),
        field("md_loading", int, "H2 molecules in them.", unit="H2", limits=NOT_NEGATIVE),
        field(
            "md_steps",
            int,
            "Of each, which are analysed; a fifth more before, as equilibration.",
            unit="steps",
            limits=AT_LEAST_ONE,
        ),
        field("md_dt_ps", float, "Their time step.", unit="ps", default=0.0005, limits=POSITIVE),
        field("md_sample_every", int, "Steps between stored frames.", unit="steps", default=20, limits=AT_LEAST_ONE),
    ]


def production_section() -> Argument:
    """``alh2.production``."""
    return section(
        "production",
        "What the converged committee predicts.",
        [
            *_md_fields(),
            field(
                "isotherm_temperature_k", float, "Temperature of the isotherm.", unit="K", default=77.0, limits=POSITIVE
            ),
            field("pressures_bar", list[float], "Its pressures.", unit="bar", limits=LIST_POSITIVE),
            field(
                "biased_insertion",
                bool,
                "Draw new molecules where the empty host binds them, the bias undone in the acceptance.",
                default=True,
            ),
            field("n_moves", int, "Trial moves per pressure and run.", limits=AT_LEAST_ONE),
            field("n_equilibration", int, "Moves before sampling, of those.", default=0, limits=NOT_NEGATIVE),
            field(
                "relative_error",
                [float, None],
                "Runs of a point go on until the standard error is at most this part of the loading and they agree; "
                "null: they do not go on.",
                default=None,
                limits=FRACTION,
            ),
            field(
                "max_moves",
                [int, None],
                "Measured moves of one run at most; null: 100 times `n_moves`.",
                default=None,
                limits=AT_LEAST_ONE,
            ),
            field(
                "committee",
                str,
                "How the other models of the committee are asked for the interval of the isotherm: 'reweight' uses the "
                "samples of the first one where they carry enough weight and runs the model elsewhere; 'run' always "
                "runs it; 'none' asks the first model alone.",
                default="reweight",
                limits=Limits(choices=("reweight", "run", "none")),
            ),
            field(
                "n_initial",
                list[int],
                "Loadings the runs start from: one run each, which must agree.",
                unit="H2",
                default=[0],
                limits=LIST_NOT_EMPTY,
            ),
        ],
        default=None,
    )

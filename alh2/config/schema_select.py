"""Schema of ``alh2.select``: what makes a frame worth a label."""

from __future__ import annotations

from dargs import Argument

from alh2.config.fields import AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE, field, section
from alh2.config.strict import Limits


def select_section() -> Argument:
    """The ``alh2.select`` section of a param file."""
    return section(
        "select",
        "What makes a frame worth a label, beside DP-GEN's trust levels.",
        [
            field(
                "insertion_trust_lo_ev",
                float,
                "GCMC frames whose committee spread of the insertion energy exceeds it are candidates.",
                unit="eV",
                default=0.02,
                limits=POSITIVE,
            ),
            field(
                "min_distance_ang",
                float,
                "Frames with a contact between molecules, or molecule and host, below it are failed.",
                unit="Å",
                default=1.2,
                limits=POSITIVE,
            ),
            field("h2_bond_max_ang", float, "Longer H-H: dissociated.", unit="Å", default=1.1, limits=POSITIVE),
            field(
                "framework_bond_stretch",
                float,
                "A host bond longer than this multiple of its length in the host is broken.",
                default=1.4,
                limits=Limits(above=1),
            ),
            *_choice(),
            _trust_levels(),
        ],
        default={},
    )


def _choice() -> list[Argument]:
    """How many candidates are labelled, and which."""
    return [
        field(
            "method",
            str,
            "How candidates are chosen where there are more than may be labelled: random (DP-GEN's way, evenly over "
            "exploration tasks) or diverse (most uncertain, and far in the model's own descriptors from labelled "
            "frames and from each other).",
            default="random",
            limits=Limits(choices=("random", "diverse")),
        ),
        field(
            "max_labels",
            [int, None],
            "Most frames picked in one iteration, shared evenly by the loadings; null: `fp_task_max` for each.",
            default=None,
            limits=AT_LEAST_ONE,
        ),
        field(
            "duplicate_distance",
            float,
            "diverse: candidates closer than this to a labelled or picked frame are not labelled; 1 is the spread over "
            "all environments of an element. 0: none is left out.",
            default=0.05,
            limits=NOT_NEGATIVE,
        ),
        field(
            "pool",
            int,
            "diverse: most candidates compared; of more, the most uncertain half and others evenly over tasks are.",
            default=2000,
            limits=AT_LEAST_ONE,
        ),
    ]


def _trust_levels() -> Argument:
    fixed = "the fixed level is used in the first iteration, and where too few labels are held out"
    return section(
        "trust_levels",
        "Lower trust levels from the calibration of the committees on held-out labels, in place of fixed ones.",
        [
            field(
                "target_force_error_ev_ang",
                [float, None],
                "`model_devi_f_trust_lo` becomes the deviation at which the RMS of the largest force error of a frame "
                f"reaches this; {fixed}. null: fixed.",
                unit="eV/Å",
                default=None,
                limits=POSITIVE,
            ),
            field(
                "target_insertion_error_ev",
                [float, None],
                "`insertion_trust_lo_ev` becomes the spread at which the RMS error of the insertion energy reaches "
                f"this; {fixed}. null: fixed.",
                unit="eV",
                default=None,
                limits=POSITIVE,
            ),
        ],
        default={},
    )

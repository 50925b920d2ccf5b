"""Schema of ``alh2.failures`` and ``alh2.notify``: what happens to tasks that fail, and who is told."""

from __future__ import annotations

from dargs import Argument

from alh2.config.fields import AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE, field, section
from alh2.config.strict import Limits


def failures_section() -> Argument:
    """The section; its parts are named as in the machine file."""
    return section(
        "failures",
        "What happens to tasks that fail and to jobs that end without a result, for each kind of task.",
        [
            field(
                "outage_s",
                float,
                "How long a scheduler that does not answer is waited for.",
                unit="s",
                default=7200.0,
                limits=POSITIVE,
            ),
            _policy("train", "Trainings; one that fails or diverges is tried with two other seeds in any case."),
            _policy("model_devi", "MD; a run that explodes counts as failed, and its frames are used all the same."),
            _policy("gcmc", "Monte Carlo, and the evaluation of committees."),
            _policy("fp", "Labels; a geometry that the labeler refuses counts as failed and is not tried again."),
        ],
        default={},
    )


def notify_section() -> Argument:
    """``alh2.notify``."""
    return section(
        "notify",
        "A command that tells someone: with ALH2_EVENT (done, needs-person or stuck), ALH2_MESSAGE and ALH2_DIR set.",
        [
            field(
                "command", str, 'Shell command, e.g. `mail -s "alh2 $ALH2_EVENT" me <<< "$ALH2_MESSAGE"`.', default=""
            ),
            field(
                "stuck_after_s",
                float,
                "Stuck is a stage in which no task has ended for this long.",
                unit="s",
                default=86400.0,
                limits=POSITIVE,
            ),
        ],
        default={},
    )


def _policy(name: str, doc: str) -> Argument:
    label = name == "fp"
    fields = [*_retries(1 if label else 0), *_jobs()]
    if name != "train":  # a committee is whole or it is not
        fields += _tolerance(label=label)
    if not label:  # labels have alh2.label.timeout_s
        days = {"train": 7}.get(name, 3)
        doc_timeout = f"Time after which a task is stopped; null: {days} days."
        fields.append(field("timeout_s", [float, None], doc_timeout, unit="s", default=None, limits=POSITIVE))
    return section(name, doc, fields, default={})


def _retries(count: int) -> list[Argument]:
    return [
        field("retry_count", int, "Times a failed task is run again.", default=count, limits=NOT_NEGATIVE),
        field(
            "retry_wait_s",
            float,
            "Wait before the first of these, doubled each time.",
            unit="s",
            default=0.0,
            limits=NOT_NEGATIVE,
        ),
    ]


def _jobs() -> list[Argument]:
    return [
        field(
            "job_retry_count",
            int,
            "Times a job that ended without a result (killed, out of memory, cancelled, lost) is submitted again; node "
            "failures and preemption are not counted.",
            default=3,
            limits=NOT_NEGATIVE,
        ),
        field(
            "job_wait_s",
            float,
            "Wait before the first of these, four times as long each time, an hour at most.",
            unit="s",
            default=10.0,
            limits=NOT_NEGATIVE,
        ),
        field(
            "memory_factor",
            float,
            "With Slurm: memory asked for after an out-of-memory end, as a multiple of that before.",
            default=2.0,
            limits=AT_LEAST_ONE,
        ),
    ]


def _tolerance(*, label: bool) -> list[Argument]:
    own = "null: DP-GEN's `ratio_failed` of the file, else 0.5."
    return [
        field(
            "ratio_failed",
            [float, None] if label else float,
            "Part of a stage's tasks that may fail" + (f"; {own}" if label else "."),
            default=None if label else 1.0,
            limits=Limits(at_least=0, at_most=1),
        ),
        field(
            "too_many",
            str,
            "What then: stop for a person, or go on with what there is.",
            default="stop",
            limits=Limits(choices=("stop", "go on")),
        ),
    ]

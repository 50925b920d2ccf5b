"""Tables of the page, as text cells."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from alh2.core.nuclei import CLASSICAL_WORDS
from alh2.report.figures_common import h2, rmse
from alh2.report.figures_production import insertion_by_loading, start_words
from alh2.report.figures_selection import KIND_WORDS, SelectionCount, Selections
from alh2.report.model import (
    InsertionErrors,
    IsothermPoint,
    IterationSummary,
    Parity,
    ProvenanceItem,
    QuarantinedLabel,
)
from alh2.report.words import signed

LONG = 30
"""Tables with more rows are folded."""

ABSENT = "–"


@dataclass(frozen=True)
class PageTable:
    """A table of the page: the first `n_head` cells of a row are its headers, text columns are left-aligned."""

    caption: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    n_text: int = 1

    @property
    def folded(self) -> bool:
        """Whether the page shows it behind a summary line."""
        return len(self.rows) > LONG


def number(value: float | None, digits: int, scale: float = 1.0) -> str:
    """`value` × `scale` with `digits` decimals and a true minus; a dash for None and NaN."""
    if value is None or value != value:
        return ABSENT
    return f"{scale * value:.{digits}f}".replace("-", "−")


def campaign_table(iterations: Sequence[IterationSummary]) -> PageTable:
    """What each iteration explored and labelled."""
    columns = (
        "iteration",
        "explored",
        "accurate",
        "candidate",
        "failed",
        "picked",
        "quarantined",
        "training labels",
    )
    rows = [
        (
            str(s.iteration),
            str(s.n_explored),
            str(s.n_accurate),
            str(s.n_candidate),
            str(s.n_failed),
            str(s.n_picked),
            str(s.n_quarantined),
            str(s.n_labels_total),
        )
        for s in iterations
    ]
    return PageTable("The campaign by iteration: frames explored, and labels.", columns, rows)


def verdict_table(iterations: Sequence[IterationSummary]) -> PageTable:
    """Held-out errors of each iteration and what was concluded."""
    columns = (
        "iteration",
        "force RMSE (eV/Å)",
        "insertion RMSE (meV)",
        "insertion mean (meV)",
        "insertion spread (meV)",
        "converged",
        "verdict",
    )
    rows = [
        (
            str(s.iteration),
            number(s.force_rmse_ev_ang, 3),
            number(s.insertion_rmse_ev, 1, 1000),
            number(s.insertion_mean_ev, 1, 1000),
            number(s.insertion_spread_ev, 1, 1000),
            "yes" if s.converged else "no",
            s.verdict,
        )
        for s in iterations
    ]
    return PageTable("The campaign by iteration: held-out errors and the verdict.", columns, rows)


def parity_table(parities: Sequence[Parity]) -> PageTable:
    """Held-out errors per composition."""
    columns = (
        "loading",
        "system",
        "frames",
        "atoms",
        "energy RMSE (meV/cell)",
        "energy RMSE (meV/atom)",
        "energy mean error (meV/cell)",
        "force RMSE (eV/Å)",
    )
    rows = []
    for p in parities:
        difference = p.energy_model_ev - p.energy_label_ev
        energy = rmse(difference)
        mean = float(difference.mean()) if difference.size else None
        rows.append(
            (
                h2(p.n_h2),
                p.system,
                str(difference.size),
                str(p.n_atoms),
                number(energy, 1, 1000),
                number(energy / p.n_atoms, 2, 1000),
                number(mean, 1, 1000),
                number(rmse(p.force_model_ev_ang - p.force_label_ev_ang), 3),
            )
        )
    name = f"{parities[0].target.capitalize()} energies" if parities else "Energies"
    return PageTable(f"{name}: held-out errors per composition.", columns, rows, n_text=2)


def selection_table(counts: Sequence[SelectionCount]) -> PageTable:
    """Bands and picks per iteration, kind and loading."""
    columns = ("iteration", "explored by", "loading", "accurate", "candidate", "failed", "picked")
    rows = [
        (
            str(c.iteration),
            KIND_WORDS.get(c.kind, c.kind),
            h2(c.n_h2),
            str(c.accurate),
            str(c.candidate),
            str(c.failed),
            str(c.picked),
        )
        for c in counts
    ]
    return PageTable(
        "Explored frames per iteration and loading, and how many were picked for labelling.", columns, rows, 3
    )


def failure_table(selections: Selections) -> PageTable:
    """Why frames were refused as failed: reasons without their numbers, most frequent first."""
    reasons = Counter(
        (iteration, _kind_of_reason(v.reason)) for iteration, vs in selections.items() for v in vs if v.band == "failed"
    )
    rows = [
        (str(i), reason, str(n)) for (i, reason), n in sorted(reasons.items(), key=lambda item: (item[0][0], -item[1]))
    ]
    return PageTable("Why frames failed (numbers in the reasons left out).", ("iteration", "reason", "frames"), rows, 2)


def _kind_of_reason(reason: str) -> str:
    """`reason` without its numbers, so that like reasons count together: dots, elements for atoms (H23–Al4: H–Al).

    Digits in words (H2) stay.
    """
    reason = re.sub(r"\b([A-Z][a-z]?)\d+–([A-Z][a-z]?)\d+\b", r"\1–\2", reason)
    return re.sub(r"(?<![A-Za-z0-9.])(\d+\.?\d*([eE][-+]?\d+)?|nan|inf)(?![A-Za-z0-9])", "…", reason)


def insertion_table(errors: InsertionErrors) -> PageTable:
    """Insertion-energy errors per loading."""
    columns = ("loading before", "insertions", "RMSE (meV)", "mean error (meV)", "± (meV)", "committee spread (meV)")
    rows = [
        (
            h2(n),
            str(count),
            number(rms, 1, 1000),
            number(mean, 1, 1000),
            number(error, 1, 1000),
            number(spread, 1, 1000),
        )
        for n, count, rms, mean, error, spread in insertion_by_loading(errors)
    ]
    return PageTable(f"{errors.target.capitalize()} energies: insertion-energy error per loading.", columns, rows)


def isotherm_table(points: Sequence[IsothermPoint]) -> PageTable:
    """Every isotherm point."""
    columns = (
        "pressure (bar)",
        "temperature (K)",
        "start",
        "fugacity (bar)",
        "H₂ per cell",
        "± (one s.e.)",
        "insertions accepted (%)",
    )
    rows = [
        (
            f"{p.pressure_bar:g}",
            f"{p.temperature_k:g}",
            start_words(p.n_initial) + ("" if p.nuclei == CLASSICAL_WORDS else f"; {p.nuclei}"),
            f"{p.fugacity_bar:.4g}",
            number(p.n_adsorbed, 3),
            number(p.n_adsorbed_error, 3),
            f"{100 * p.insertion_acceptance:.2g}",
        )
        for p in sorted(points, key=lambda p: (p.temperature_k, p.pressure_bar, p.nuclei, p.n_initial))
    ]
    return PageTable("Isotherm points.", columns, rows, n_text=3)


def quarantine_table(labels: Sequence[QuarantinedLabel]) -> PageTable:
    """Refused labels."""
    return PageTable(
        "Labels refused, and why.", ("task", "reason"), [(label.task, label.reason) for label in labels], n_text=2
    )


def provenance_table(items: Sequence[ProvenanceItem]) -> PageTable:
    """Versions, seeds, files, machine, timings."""
    rows = [(item.section, item.name, item.value) for item in items]
    return PageTable("Provenance.", ("part", "what", "value"), rows, n_text=3)


def worst_mean_words(mean_mev: float, error_mev: float) -> str:
    """Mean error with its standard error for the key numbers, in meV."""
    return signed(mean_mev) + (f" ± {error_mev:.1f}" if error_mev == error_mev else "")

"""What the numbers mean, computed from them: each function returns paragraphs of plain text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alh2.core.nuclei import CLASSICAL_WORDS
from alh2.core.units import H2_MASS_AMU
from alh2.production.md_plan import MOVED_BY_LAMMPS
from alh2.report.figures_common import kt_ev, rmse
from alh2.report.figures_production import (
    GFN1_PEAK_ANG,
    PAPER_PEAK_ANG,
    insertion_by_loading,
    latest_insertions,
    start_words,
)
from alh2.report.figures_selection import SelectionCount
from alh2.report.model import InsertionErrors, IsothermPoint, Parity, Rdf, ReportData
from alh2.report.scene import DensityScene

NOT_YET = "Not yet reached."

H2_DIAMETER_ANG = 2.96
"""Lennard-Jones diameter of H2, Å (Buch, J. Chem. Phys. 1994, 100, 7610)."""

SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class InsertionStatistics:
    """Errors (model - label) of held-out insertion energies, eV, and what they do to the Henry constant.

    mean_error_ev : standard error of the mean, NaN for one value; sigma_ev : spread of the errors about their mean
    spread_ev : mean committee standard deviation
    ln_henry : ln(K_H model / K_H labels) = -mean/kT; ln_henry_error : its standard error
    ln_widening : sigma²/(2 kT²), what Gaussian scatter adds to ln<exp(-error/kT)>
    """

    n: int
    rmse_ev: float
    mean_ev: float
    mean_error_ev: float
    sigma_ev: float
    spread_ev: float
    kt_ev: float
    ln_henry: float
    ln_henry_error: float
    ln_widening: float


def insertion_statistics(errors: InsertionErrors, temperature_k: float) -> InsertionStatistics:
    """Statistics over all loadings; the insertions are taken as independent. Raises ValueError on no insertions."""
    difference = errors.model_ev - errors.label_ev
    if not difference.size:
        raise ValueError("no held-out insertions")
    kt = kt_ev(temperature_k)
    mean = float(difference.mean())
    sigma = float(difference.std(ddof=1)) if difference.size > 1 else math.nan
    error = sigma / math.sqrt(difference.size)
    return InsertionStatistics(
        n=difference.size,
        rmse_ev=rmse(difference),
        mean_ev=mean,
        mean_error_ev=error,
        sigma_ev=sigma,
        spread_ev=float(errors.spread_ev.mean()),
        kt_ev=kt,
        ln_henry=-mean / kt,
        ln_henry_error=error / kt,
        ln_widening=sigma**2 / (2 * kt**2),
    )


def factor(ln_value: float) -> str:
    """exp(`ln_value`) as text: two significant figures, a power of ten from 10⁴ up or below 10⁻³."""
    if not math.isfinite(ln_value):
        return "an unknown factor"
    power = ln_value / math.log(10)
    if power >= 4 or power <= -3:
        return "10" + str(round(power)).translate(SUPERSCRIPT)
    value = math.exp(ln_value)
    if value >= 100:
        return f"{round(value, -1 if value < 1000 else -2):.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def signed(value: float, digits: int = 1) -> str:
    """`value` with its sign, a true minus, and `digits` decimals."""
    return f"{value:+.{digits}f}".replace("-", "−")


def insertion_words(errors: InsertionErrors | None, temperature_k: float) -> list[str]:
    """What the insertion-energy error does to the isotherm."""
    if errors is None:
        return [f"{NOT_YET} No held-out insertion energies: nothing is known of the error of an isotherm."]
    s = insertion_statistics(errors, temperature_k)
    return [_size_words(s, errors, temperature_k), _henry_words(s), _scatter_words(s), _loading_words(errors, s)]


def _size_words(s: InsertionStatistics, errors: InsertionErrors, temperature_k: float) -> str:
    error = f" ± {1000 * s.mean_error_ev:.1f}" if math.isfinite(s.mean_error_ev) else ""
    text = (
        f"Against {s.n} held-out insertions (loadings {errors.n_h2.min()}–{errors.n_h2.max()}), the "
        f"{errors.target}-energy committee of iteration {errors.iteration} has an insertion-energy RMSE of "
        f"{1000 * s.rmse_ev:.1f} meV and a mean error of {signed(1000 * s.mean_ev)}{error} meV (model minus label). "
        f"kT at {temperature_k:g} K is {1000 * s.kt_ev:.1f} meV. "
    )
    if s.spread_ev > 0:
        ratio = s.rmse_ev / s.spread_ev
        verdict = "the committee is overconfident" if ratio > 1.5 else "the committee knows its own error"
        verdict = "the committee overstates its error" if ratio < 0.67 else verdict
        text += f"The committee spread averages {1000 * s.spread_ev:.1f} meV, "
        text += f"so the RMSE is {ratio:.1f} times the spread: {verdict}."
    return text


def _henry_words(s: InsertionStatistics) -> str:
    direction = "weakly" if s.mean_ev > 0 else "strongly"
    if not math.isfinite(s.ln_henry_error):
        tail = "; one insertion gives no error of this factor."
    else:
        low, high = s.ln_henry - s.ln_henry_error, s.ln_henry + s.ln_henry_error
        tail = f", between {factor(low)} and {factor(high)} within one standard error of the mean."
    text = (
        f"A systematic error of {signed(1000 * s.mean_ev)} meV (H₂ held too {direction}) multiplies the Henry constant "
        f"by exp(−mean/kT) = {factor(s.ln_henry)}{tail} The low-pressure isotherm moves along the pressure axis by the "
        f"inverse: the same loading is reached at {factor(-s.ln_henry)} times the pressure."
    )
    if math.isfinite(s.mean_error_ev) and abs(s.mean_ev) < s.mean_error_ev:
        text += " The mean error is smaller than its own standard error: no systematic shift is resolved."
    return text


def _scatter_words(s: InsertionStatistics) -> str:
    if not math.isfinite(s.sigma_ev):
        return "One insertion says nothing about the scatter of the errors."
    text = (
        f"The errors scatter by σ = {1000 * s.sigma_ev:.1f} meV = {s.sigma_ev / s.kt_ev:.1f} kT about their mean. "
        f"Gaussian scatter unrelated to the energy itself would multiply the sampled ⟨exp(−ΔU/kT)⟩ by "
        f"exp(σ²/2kT²) = {factor(s.ln_widening)}. "
    )
    if s.ln_widening > 3:
        needed = (s.sigma_ev / (0.1 * s.kt_ev)) ** 2
        text += (
            "That is no correction any more: the average is ruled by the few most over-bound configurations, which "
            f"{s.n} insertions do not resolve, so the isotherm is qualitative until σ comes down to about kT. "
            f"(With this scatter, about {float(f'{needed:.1e}'):,.0f} insertions would be needed to know the mean to "
            "0.1 kT.)"
        )
    elif s.ln_widening > 0.1:
        text += f"Read the isotherm with that factor ({factor(s.ln_widening)}) as part of its systematic uncertainty."
    else:
        text += "This is a small correction beside the statistical errors of most isotherms."
    return text


def _loading_words(errors: InsertionErrors, s: InsertionStatistics) -> str:
    rows = insertion_by_loading(errors)
    worst = max(rows, key=lambda row: row[2])
    shifted = [row for row in rows if row[4] is not None and abs(row[3]) > max(2 * row[4], s.kt_ev)]
    text = f"The largest RMSE is {1000 * worst[2]:.1f} meV at {worst[0]} H₂ ({worst[1]} insertions). "
    if shifted:
        where = ", ".join(f"{row[0]} H₂ ({signed(1000 * row[3])} meV)" for row in shifted)
        return text + f"A mean error beyond kT and two standard errors shows at {where}: the isotherm is bent there."
    return text + "At no loading is the mean error beyond both kT and two of its standard errors."


def verdict_words(data: ReportData) -> list[str]:
    """Whether the loop converged, on what grounds, and what that does not say."""
    if not data.iterations:
        return [f"No iteration has finished. State: {data.state}. {data.verdict}".strip()]
    last = data.iterations[-1]
    state = "The loop has converged" if data.converged else f"The loop has not converged (state: {data.state})"
    plural = "s" if len(data.iterations) > 1 else ""
    quarantined = sum(s.n_quarantined for s in data.iterations)
    grounds = f": {data.verdict}" if data.verdict else ""
    text = [f"{state} after {len(data.iterations)} iteration{plural}{grounds}."]
    share = f"{100 * last.n_accurate / last.n_explored:.0f} %" if last.n_explored else "none"
    text.append(
        f"In iteration {last.iteration}, {last.n_explored} frames were explored; {share} of them were accurate, "
        f"{last.n_candidate} candidates and {last.n_failed} failed, and {last.n_picked} were sent to labelling. "
        f"{last.n_labels_total} labels to train on; {quarantined} were quarantined."
    )
    measured = [s for s in data.iterations if s.insertion_rmse_ev is not None]
    if len(measured) > 1:
        first, final = 1000 * (measured[0].insertion_rmse_ev or 0.0), 1000 * (measured[-1].insertion_rmse_ev or 0.0)
        course = "fell" if final < first else "rose"
        text.append(
            f"The insertion-energy RMSE {course} from {first:.1f} meV (iteration {measured[0].iteration}) to "
            f"{final:.1f} meV (iteration {measured[-1].iteration})."
        )
    if not data.converged and (data.isotherm or data.rdfs):
        text.append("The predictions below were made with a committee that has not converged.")
    return text


def parity_words(parities: Sequence[Parity]) -> list[str]:
    """Pooled held-out errors of the newest iteration per target."""
    text = []
    for target in ("total", "interaction"):
        of = [p for p in parities if p.target == target]
        newest = max((p.iteration for p in of), default=None)
        of = [p for p in of if p.iteration == newest]
        if not of:
            continue
        force = rmse(np.concatenate([p.force_model_ev_ang - p.force_label_ev_ang for p in of]))
        per_atom = rmse(np.concatenate([(p.energy_model_ev - p.energy_label_ev) / p.n_atoms for p in of]))
        frames = sum(p.energy_label_ev.size for p in of)
        text.append(
            f"{target.capitalize()} energies, iteration {newest}: on {frames} held-out frames of {len(of)} "
            f"compositions the committee mean has a force RMSE of {force:.3f} eV/Å and an energy RMSE of "
            f"{1000 * per_atom:.2f} meV/atom."
        )
    return text or [f"{NOT_YET} No held-out frames have been evaluated."]


def selection_words(counts: Sequence[SelectionCount]) -> list[str]:
    """Which loadings the committee knows least, in the newest iteration."""
    if not counts:
        return [f"{NOT_YET} No frames have been explored."]
    newest = max(c.iteration for c in counts)
    text = []
    for kind, words in (("md", "molecular dynamics"), ("gcmc", "Monte Carlo")):
        of = [c for c in counts if c.iteration == newest and c.kind == kind]
        if not of:
            continue
        share = {c.n_h2: c.accurate / max(1, c.accurate + c.candidate + c.failed) for c in of}
        worst = min(share, key=lambda n: (share[n], n))
        total = sum(c.accurate + c.candidate + c.failed for c in of)
        accurate = sum(c.accurate for c in of)
        text.append(
            f"Iteration {newest}, {words}: {accurate} of {total} frames ({100 * accurate / total:.0f} %) accurate; "
            f"least at {worst} H₂, with {100 * share[worst]:.0f} %."
        )
    return text


def _mover_words(data: ReportData) -> list[str]:
    """What moves atoms in MD beside Monte Carlo; models of total energies: how far their insertion energies are off."""
    dynamics = data.predictions.md
    if dynamics is None or not any(e.target == "interaction" for e in data.insertions):
        return []
    told = (
        "Monte Carlo (MC) is on a frozen host, with the models of interaction energies that make the isotherm. In "
        f"molecular dynamics (MD): {', '.join(filter(None, (dynamics.nuclei, dynamics.movers)))}."
    )
    errors = [e for e in data.insertions if e.target == "total" and e.label_ev.size]
    if dynamics.movers != MOVED_BY_LAMMPS or not errors:
        return [told]
    s = insertion_statistics(max(errors, key=lambda e: e.iteration), data.temperature_k)
    told += (
        f" Held-out insertion energies of its models have an RMSE of {1000 * s.rmse_ev:.1f} meV; kT is "
        f"{1000 * s.kt_ev:.1f} meV."
    )
    return [told + (" Where the two differ, believe Monte Carlo." if s.rmse_ev > s.kt_ev else "")]


def first_peak_ang(rdf: Rdf) -> float | None:
    """Position of the first maximum: the highest g within 0.3 Å either side, at least half the global maximum."""
    if not rdf.g.size or not rdf.g.max() > 0:
        return None
    for i, (r, g) in enumerate(zip(rdf.r_ang, rdf.g, strict=True)):
        near = np.abs(rdf.r_ang - r) <= 0.3
        if g >= 0.5 * rdf.g.max() and g >= rdf.g[near].max():
            return float(rdf.r_ang[i])
    return None


def rdf_words(data: ReportData) -> list[str]:
    """First peaks against the two references, and whose models put the molecules there."""
    rdfs = data.rdfs
    if not rdfs:
        return [f"{NOT_YET} Production follows convergence."]
    text = [*_mover_words(data)]
    for rdf in rdfs:
        peak = first_peak_ang(rdf)
        if peak is None:
            text.append(f"{rdf.label}, {rdf.temperature_k:g} K: no peak, no H₂ came near an open Al site.")
            continue
        half_bin = float(rdf.r_ang[1] - rdf.r_ang[0]) / 2 if rdf.r_ang.size > 1 else math.nan
        text.append(
            f"{rdf.label}, {rdf.temperature_k:g} K: first peak at {peak:.2f} ± {half_bin:.2f} Å (half a bin), "
            f"{signed(peak - PAPER_PEAK_ANG, 2)} Å from {PAPER_PEAK_ANG} Å in the DFT-based literature and "
            f"{signed(peak - GFN1_PEAK_ANG, 2)} Å from {GFN1_PEAK_ANG} Å, the GFN1-xTB minimum."
        )
    return text


def density_words(scenes: Sequence[DensityScene]) -> list[str]:
    """How much of the cell the molecules keep to."""
    if not scenes:
        return [f"{NOT_YET} Densities come from production; alh2 produce isotherm and md write more with --density."]
    text = []
    for scene in scenes:
        volume = abs(float(np.linalg.det(scene.cell_ang)))
        inner = next(s for s in scene.surfaces if s.fraction == 0.5)
        text.append(
            f"{scene.words} {scene.grid.n_molecules:.2f} molecules on average; half of them keep to "
            f"{100 * inner.volume_ang3 / volume:.2g} % of the cell."
        )
    return text


def isotherm_words(points: Sequence[IsothermPoint]) -> list[str]:
    """Whether runs started empty and loaded agree, and how often insertions were accepted."""
    if not points:
        return [f"{NOT_YET} The isotherm follows convergence."]
    text = [_agreement_words(points)]
    rare = min(points, key=lambda p: p.insertion_acceptance)
    text.append(
        f"The lowest insertion acceptance is {100 * rare.insertion_acceptance:.2g} % at {rare.pressure_bar:g} bar, "
        f"{start_words(rare.n_initial)}."
    )
    capped = [p for p in points if p.is_capped]
    if capped:
        text.append(
            f"{len(capped)} of {len(points)} points lie at the largest loading that was explored "
            f"({capped[0].max_loading} H₂), beyond which insertions are refused: they are lower bounds. Extend the "
            "exploration to higher loadings."
        )
    frozen = sum(p.n_adsorbed_error == 0 for p in points)
    if frozen:
        text.append(
            f"{frozen} of {len(points)} points never changed their number of molecules: their error of 0 means "
            "“not known”, not “exact”."
        )
    return text


def _agreement_words(points: Sequence[IsothermPoint]) -> str:
    empty = {(p.temperature_k, p.pressure_bar, p.nuclei): p for p in points if p.n_initial == 0}
    gaps: list[tuple[float, float]] = []
    for p in points:
        partner = empty.get((p.temperature_k, p.pressure_bar, p.nuclei))
        if p.n_initial == 0 or partner is None:
            continue
        difference = abs(p.n_adsorbed - partner.n_adsorbed)
        combined = math.hypot(p.n_adsorbed_error, partner.n_adsorbed_error)
        known = math.isfinite(combined) and combined > 0
        gaps.append((difference / combined if known else (0.0 if difference == 0 else math.inf), p.pressure_bar))
    if not gaps:
        return "Only one kind of start was run, so nothing tests whether the runs forgot how they began."
    worst, pressure = max(gaps)
    agreeing = sum(gap <= 2 for gap, _ in gaps)
    size = f"{worst:.1f} combined standard errors" if math.isfinite(worst) else "beyond any stated error"
    text = (
        f"Started empty and started loaded agree within two combined standard errors at {agreeing} of {len(gaps)} "
        f"pressures; the largest gap is {size}, at {pressure:g} bar."
    )
    if agreeing < len(gaps):
        text += " Where they differ the walk still remembers its start: the two values bracket the answer at best."
    return text


def limits_words(data: ReportData, *, labels_from_xtb: bool) -> list[str]:
    """What no number on this page includes."""
    wave = 17.4583 / math.sqrt(H2_MASS_AMU * data.temperature_k)
    text = []
    if labels_from_xtb:
        text.append(
            "The labels are GFN1-xTB. It binds H₂ on the open Al site with about −28 kJ/mol, where experiment and "
            "dispersion-corrected DFT give about −6 kJ/mol: structures are close (2.69 against 2.71–2.73 Å), but "
            "the uptake predicted here is far too high at low pressure and is not a prediction for the material. All "
            "errors on this page are against GFN1-xTB, not against nature."
        )
    else:
        text.append(
            "All errors on this page are against the labels; the error of the electronic-structure method adds to them."
        )
    quantum = list(dict.fromkeys(p.nuclei for p in data.isotherm if p.nuclei != CLASSICAL_WORDS))
    shown = f" The isotherm with {quantum[0]} shows how much that is." if quantum else ""
    text.append(
        f"Nuclei are classical where nothing else is said. The thermal wavelength of H₂ at {data.temperature_k:g} K is "
        f"{wave:.2f} Å, {100 * wave / H2_DIAMETER_ANG:.0f} % of the molecule's Lennard-Jones diameter: quantum nuclei "
        f"see a shallower well, and adsorb less and farther out than classical ones.{shown}"
    )
    newest = [e for t in ("total", "interaction") if (e := latest_insertions(data.insertions, t))]  # type: ignore[arg-type]
    if newest:
        n = min(e.label_ev.size for e in newest)
        text.append(
            f"Samples are small: with {n} held-out insertions the RMSE itself is known to about "
            f"{100 / math.sqrt(2 * n):.0f} %, and less well if insertions into the same host are correlated."
        )
    text.append(
        "Monte Carlo keeps the host frozen at sampled geometries; the error bars of the isotherm are statistical "
        "and contain neither the model error above nor the choice of host geometry."
    )
    return text

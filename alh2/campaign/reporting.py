"""Stage *report*: everything a campaign directory knows, as `ReportData`, and the page made of it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from alh2.assess.errors import FrameErrors, load_errors
from alh2.assess.samples import named_samples
from alh2.assess.trust import load_decision
from alh2.campaign.assessing import calibration_of, load_assessment
from alh2.campaign.context import Campaign
from alh2.campaign.predicted import predictions
from alh2.campaign.producing_isotherm import isotherm_directory
from alh2.campaign.provenance import provenance
from alh2.campaign.state import CampaignState
from alh2.campaign.status import rung_rows
from alh2.config.public import public_param
from alh2.core.errors import BadInputError
from alh2.core.explored import SelectionVerdict
from alh2.core.nuclei import Quantum
from alh2.explore.explored_file import load_explored
from alh2.label.quarantine import read_quarantine
from alh2.production.isotherm_places import read_places
from alh2.production.isotherm_result import Isotherm, read_isotherm
from alh2.production.md_summary import MdSummary
from alh2.report.html import summary_picture, write_report
from alh2.report.isotherm_files import rdf_of
from alh2.report.model import (
    InsertionErrors,
    IsothermPoint,
    IterationCalibration,
    IterationSummary,
    LearningCurve,
    Parity,
    QuarantinedLabel,
    Rdf,
    ReportData,
    Rung,
)
from alh2.select.table import SELECTION_FILE, read_selection_table
from alh2.train.lcurve import read_lcurve
from alh2.train.members import members


def report(campaign: Campaign, state: CampaignState, *, for_paper: bool = False) -> Path:
    """Write the page and, beside it, ``summary.png`` with its four most telling figures; returns the page's path.

    for_paper : figures as PNG of 300 dpi too
    """
    data = collect(campaign, state)
    summary_picture(data, campaign.paths.report / "summary.png")
    return write_report(data, campaign.paths.report, for_paper=for_paper)


def collect(campaign: Campaign, state: CampaignState) -> ReportData:
    """All data of the report; stages that have not happened leave empty lists."""
    param = campaign.param
    iterations = range(state.iteration + 1)
    production = param.production
    isotherm = _isotherm(campaign)
    predicted = predictions(campaign, isotherm)
    return ReportData(
        title=f"{param.host.id if param.host else 'campaign'}: {param.source.stem}",
        state="done" if state.stage in ("report", "done") else f"{state.stage}, iteration {state.iteration}",
        converged=state.converged,
        verdict=state.verdict,
        host_description=_host_words(campaign),
        f_trust_lo_ev_ang=param.select.f_trust_lo_ev_ang,
        f_trust_hi_ev_ang=param.select.f_trust_hi_ev_ang,
        temperature_k=production.isotherm_temperature_k if production else 77.0,
        iterations=[s for i in iterations if (s := _summary(campaign, i, state)) is not None],
        learning_curves=[curve for i in iterations for curve in _curves(campaign, i)],
        parities=[parity for i in iterations for parity in _parities(campaign, i)],
        calibrations=_calibrations(campaign, state.iteration),
        trust={i: found for i in iterations if (found := load_decision(campaign.paths.label(i))) is not None},
        insertions=[errors for i in iterations for errors in _insertions(campaign, i)],
        selections={i: verdicts for i in iterations if (verdicts := _verdicts(campaign, i))},
        rungs=[Rung(row.number, row.loadings, row.words, row.converged) for row in rung_rows(state)],
        quarantine=[QuarantinedLabel(q.task, q.reason) for q in read_quarantine(campaign.paths.quarantine)],
        rdfs=_rdfs(campaign, predicted.md),
        isotherm=_chains(isotherm, _isotherm(campaign, "feynman-hibbs")),
        predictions=predicted,
        provenance=provenance(campaign, state),
        param_json=json.dumps(public_param(param.raw), indent=1),
    )


def _host_words(campaign: Campaign) -> str:
    host = campaign.hosts()[0] if campaign.paths.hosts.exists() else None
    if host is None:
        return "host not chosen yet"
    counts = {s: host.symbols.count(s) for s in sorted(set(host.symbols))}
    formula = "".join(f"{s}{n if n > 1 else ''}" for s, n in counts.items())
    a, b, c = np.linalg.norm(host.cell_ang, axis=1)
    return f"{host.host_id}: {formula}, {host.n_atoms} atoms in a cell of {a:.2f} × {b:.2f} × {c:.2f} Å"


def _verdicts(campaign: Campaign, iteration: int) -> list[SelectionVerdict]:
    table = campaign.paths.label(iteration) / SELECTION_FILE
    if not table.exists():
        return []
    rows = read_selection_table(table)
    explored = load_explored(campaign.paths.explore(iteration))
    return [SelectionVerdict(e, row.band, row.reason, row.picked) for e, row in zip(explored, rows, strict=True)]


def _summary(campaign: Campaign, iteration: int, state: CampaignState) -> IterationSummary | None:
    verdicts = _verdicts(campaign, iteration)
    if not verdicts:
        return None
    bands = [v.band for v in verdicts]
    result = load_assessment(campaign.paths.assess(iteration))
    name = f"iter.{iteration:06d}/"

    def known(value: float | None) -> float | None:
        return None if value is None or not math.isfinite(value) else value

    return IterationSummary(
        iteration=iteration,
        n_labels_total=_labels_until(campaign, iteration),
        n_explored=len(verdicts),
        n_accurate=bands.count("accurate"),
        n_candidate=bands.count("candidate"),
        n_failed=bands.count("failed"),
        n_picked=sum(v.picked for v in verdicts),
        n_quarantined=sum(q.task.startswith(name) for q in read_quarantine(campaign.paths.quarantine)),
        force_rmse_ev_ang=known(result.force_rmse_ev_ang if result else None),
        insertion_rmse_ev=known(result.insertion_rmse_ev if result else None),
        insertion_mean_ev=known(result.insertion_mean_ev if result else None),
        insertion_spread_ev=known(result.insertion_spread_ev if result else None),
        converged=bool(result and result.met),
        verdict=result.words if result else "not assessed yet",
    )


def _labels_until(campaign: Campaign, iteration: int) -> int:
    """Training frames whose provenance is not later than `iteration`."""
    return sum(f.frame.provenance.iteration <= iteration for f in campaign.store.load("train"))


def _curves(campaign: Campaign, iteration: int) -> list[LearningCurve]:
    curves = []
    for committee in campaign.param.committees:
        for member in members(campaign.paths.train(iteration), committee.target, committee.n_models):
            if member.lcurve.exists():
                data = read_lcurve(member.lcurve)
                curves.append(
                    LearningCurve(
                        iteration,
                        committee.target,
                        member.index,
                        data.steps,
                        data.rmse_force_ev_ang,
                        data.rmse_energy_ev_atom,
                    )
                )
    return curves


def _parities(campaign: Campaign, iteration: int) -> list[Parity]:
    found = []
    for committee in campaign.param.committees:
        path = campaign.paths.assess(iteration) / f"errors.{committee.target}.npz"
        if path.exists():
            errors, _ = load_errors(path)
            found += [_parity(errors, iteration, n, gas) for n, gas in _systems(errors)]
    return found


def _systems(errors: FrameErrors) -> list[tuple[int, bool]]:
    return sorted({(int(n), source == "gas") for n, source in zip(errors.n_h2, errors.source, strict=True)})


def _parity(errors: FrameErrors, iteration: int, n_h2: int, gas: bool) -> Parity:
    chosen = np.flatnonzero((errors.n_h2 == n_h2) & ((errors.source == "gas") == gas))
    atoms = np.concatenate([np.arange(errors.offsets[i], errors.offsets[i + 1]) for i in chosen])
    return Parity(
        iteration=iteration,
        target=errors.target,
        system="gas" if gas else f"{n_h2} H2",
        n_h2=n_h2,
        n_atoms=int(errors.n_atoms[chosen[0]]),
        energy_label_ev=errors.energy_label_ev[chosen],
        energy_model_ev=errors.energy_models_ev.mean(axis=0)[chosen],
        force_label_ev_ang=errors.force_label_ev_ang[atoms].ravel(),
        force_model_ev_ang=errors.force_models_ev_ang.mean(axis=0)[atoms].ravel(),
    )


def _insertions(campaign: Campaign, iteration: int) -> list[InsertionErrors]:
    found = []
    for committee in campaign.param.committees:
        path = campaign.paths.assess(iteration) / f"errors.{committee.target}.npz"
        if path.exists():
            _, data = load_errors(path)
            mean = data.models_ev.mean(axis=0)
            found.append(InsertionErrors(iteration, data.target, data.n_h2, data.label_ev, mean, data.spread_ev))
    return found


def _calibrations(campaign: Campaign, last: int) -> list[IterationCalibration]:
    """Calibrations of all iterations; the newest one that is there comes with its samples."""
    found: list[IterationCalibration] = []
    for target in (c.target for c in campaign.param.committees):
        of = [(i, c) for i in range(last + 1) if (c := calibration_of(campaign.paths, i, target)) is not None]
        for iteration, calibration in of:
            path = campaign.paths.assess(iteration) / f"errors.{target}.npz"
            samples = named_samples(*load_errors(path)) if iteration == of[-1][0] and path.exists() else []
            found.append(IterationCalibration(iteration, target, calibration, tuple(samples)))
    return found


def _rdfs(campaign: Campaign, dynamics: MdSummary | None) -> list[Rdf]:
    """Of Monte Carlo, then of `dynamics` at the same temperatures, or at all of them without Monte Carlo."""
    found = [rdf_of(place) for place in read_places(campaign.paths.production / "isotherm")]
    known = {rdf.temperature_k for rdf in found}
    for result in dynamics.temperatures if dynamics is not None else ():
        curve = result.around_open_sites
        if curve is not None and (result.temperature_k in known or not known):
            found.append(Rdf(result.temperature_k, f"MD, {result.n_h2} H2", curve.r_ang, curve.g, curve.g_error))
    return found


def _isotherm(campaign: Campaign, quantum: Quantum = "classical") -> Isotherm | None:
    directory = isotherm_directory(campaign, quantum)
    try:
        return read_isotherm(directory)
    except BadInputError as error:  # of an earlier version
        campaign.reporter.message(f"no {directory.name} in the report: {error}")
        return None


def _chains(*found: Isotherm | None) -> list[IsothermPoint]:
    """One entry per chain, of all nuclei: the page shows where chains from different loadings disagree."""
    return [
        IsothermPoint(
            point.temperature_k,
            point.pressure_bar,
            point.fugacity_bar,
            chain.n_initial,
            chain.n_adsorbed,
            chain.n_adsorbed_error,
            chain.insertion_acceptance,
            isotherm.host.max_loading,
            isotherm.host.nuclei,
        )
        for isotherm in found
        if isotherm is not None
        for point in isotherm.points
        for chain in point.chains
    ]

"""A synthetic but sensible campaign: two committees, three iterations, MD and Monte Carlo, production."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from alh2.analysis.density import guest_density
from alh2.analysis.diffusion import Arrhenius
from alh2.assess.calibration import DeviationSample
from alh2.assess.groups import GROUPS
from alh2.assess.samples import NamedSample
from alh2.assess.trust import TrustDecision, decide
from alh2.assess.uncertainty import calibrate_committee
from alh2.config.model import SelectConfig
from alh2.core.explored import ExploredFrame, SelectionVerdict
from alh2.core.frames import Frame, Target
from alh2.production.isotherm_result import HenryPoint, HostFacts, Isotherm
from alh2.production.isotherm_result import IsothermPoint as PooledPoint
from alh2.production.made import Made, ModelFile
from alh2.production.md_plan import MOVED_BY_LAMMPS
from alh2.production.md_summary import Known, MdSummary, TemperatureSummary
from alh2.report.figures_isotherm import comparison_figure
from alh2.report.html import write_report
from alh2.report.model import (
    InsertionErrors,
    IsothermPoint,
    IterationCalibration,
    IterationSummary,
    LearningCurve,
    Parity,
    Predictions,
    ProvenanceItem,
    QuarantinedLabel,
    Rdf,
    ReportData,
    Rung,
)
from alh2.report.scene import density_scene
from alh2.report.stored import read_figures, save_figure

N_HOST = 30
LOADINGS = (0, 2, 4, 6, 9, 12)
TRUST = (0.15, 0.45)


@dataclass
class Campaign:
    """Makes the parts of a report from one stream of random numbers."""

    rng: np.random.Generator

    def curves(self) -> list[LearningCurve]:
        steps = np.arange(0, 16001, 200)
        return [
            LearningCurve(
                iteration,
                target,
                model,
                steps,
                (0.9 * np.exp(-steps / 900) + 0.10 - 0.015 * iteration) * self.rng.lognormal(0, 0.15, steps.size),
                (0.09 * np.exp(-steps / 700) + 0.002) * self.rng.lognormal(0, 0.25, steps.size),
            )
            for target in ("total", "interaction")
            for iteration in range(3)
            for model in range(2)
        ]

    def parity(self, target: Target, iteration: int, n_h2: int) -> Parity:
        n_atoms = N_HOST + 2 * n_h2
        label = -2534.6 - 31.7 * n_h2 + self.rng.normal(0, 0.35, 40)
        force = self.rng.normal(0, 1.2, 40 * 3 * n_atoms)
        return Parity(
            iteration,
            target,
            f"Al3C6H{7 + 2 * n_h2}O14",
            n_h2,
            n_atoms,
            label,
            label + self.rng.normal(0.02, 0.06, label.size),
            force,
            force + self.rng.normal(0, 0.09, force.size),
        )

    def insertions(self, target: Target, iteration: int) -> InsertionErrors:
        n_h2 = np.repeat(LOADINGS, 15)
        label = self.rng.normal(-0.09, 0.06, n_h2.size)
        scale = {"total": 0.08, "interaction": 0.035}[target] / (1 + 0.3 * iteration)
        return InsertionErrors(
            iteration,
            target,
            n_h2,
            label,
            label + self.rng.normal(-0.003, scale, label.size),
            np.abs(self.rng.normal(0.6 * scale, 0.2 * scale, label.size)),
        )

    def verdicts(self, iteration: int) -> list[SelectionVerdict]:
        frames = {n: _frame(n) for n in LOADINGS}
        made = []
        for kind in ("md", "gcmc"):
            for number in range(240):
                n_h2 = int(self.rng.choice(LOADINGS[1:]))
                middle = 0.14 / (1 + 0.5 * iteration) * (1 + n_h2 / 12) * (1.3 if kind == "gcmc" else 1.0)
                deviation = float("nan") if number == 7 else float(self.rng.lognormal(np.log(middle), 0.45))
                band = "accurate" if deviation < TRUST[0] else "candidate" if deviation < TRUST[1] else "failed"
                reason = (
                    f"max_devi_f {deviation:.2f} eV/Å"
                    if band != "failed"
                    else f"H2 bond {1.2 + deviation:.2f} Å > 1.10 Å"
                )
                explored = ExploredFrame(
                    frames[n_h2],
                    kind,  # type: ignore[arg-type]
                    f"task.{kind}.{number // 60:06d}",
                    40 * (number % 60),
                    77.0,
                    deviation,
                    0.02 if kind == "gcmc" else None,
                )
                made.append(SelectionVerdict(explored, band, reason, band == "candidate" and number % 4 == 0))  # type: ignore[arg-type]
        return made

    def rdf(self, label: str, temperature_k: float) -> Rdf:
        r = np.arange(0.05, 8.0, 0.1)
        g = (
            24 * np.exp(-(((r - 2.75) / 0.22) ** 2))
            + 2.5 * np.exp(-(((r - 4.2) / 0.8) ** 2))
            + 0.8 / (1 + np.exp(-4 * (r - 3)))
        )
        return Rdf(temperature_k, label, r, g, 0.02 + 0.06 * g)

    def isotherm(self) -> list[IsothermPoint]:
        points = []
        for pressure in (0.01, 0.03, 0.1, 0.3, 1.0, 3.0):
            n = 12 * 4 * pressure / (1 + 4 * pressure)
            for start in (0, 12):
                value = float(self.rng.normal(n, 0.15))
                points.append(
                    IsothermPoint(77.0, pressure, 0.998 * pressure, start, value, 0.15, 0.04 / (1 + pressure))
                )
        return points


def calibrations(rng: np.random.Generator) -> list[IterationCalibration]:
    """Two committees over three iterations; the newest comes with its samples."""
    found = []
    for target, scale in (("total", 1.0), ("interaction", 0.4)):
        before = None
        for iteration in range(3):
            samples = _samples(rng, scale / (1 + iteration))
            before = calibrate_committee(target, samples, before)  # type: ignore[arg-type]
            found.append(IterationCalibration(iteration, target, before, tuple(samples if iteration == 2 else ())))  # type: ignore[arg-type]
    return found


def _samples(rng: np.random.Generator, scale: float) -> list[NamedSample]:
    def draw(n: int, width: float, per_frame: int = 1) -> DeviationSample:
        deviation = width * rng.lognormal(0, 0.5, n * per_frame)
        error = np.hypot(1.5 * width, 2 * deviation) * rng.standard_normal(n * per_frame)
        return DeviationSample(deviation, error, np.repeat(np.arange(n), per_frame))

    forces = draw(60, 0.05 * scale, 90)
    group = np.tile(np.repeat([0, 1, 2], [30, 6, 54]), 60)
    largest, energies, insertions = draw(60, 0.2 * scale), draw(60, 0.002 * scale), draw(60, 0.02 * scale)
    largest = replace(largest, error=np.abs(largest.error))
    loading = np.repeat([0, 2, 4, 6], [5, 25, 25, 5])
    return [
        NamedSample("force", "all", None, forces),
        *(NamedSample("force", GROUPS[k], None, forces.part(group == k)) for k in range(3)),
        NamedSample("largest force", "all", None, largest),
        NamedSample("energy", "all", None, energies),
        NamedSample("insertion", "all", None, insertions),
        *(NamedSample("insertion", "all", n, insertions.part(loading == n)) for n in (0, 2, 4, 6)),
    ]


def trust_decisions(calibrated: list[IterationCalibration]) -> dict[int, TrustDecision]:
    """Levels for the three iterations from the calibrations before them."""
    asked = SelectConfig(
        *TRUST, 0.02, 20, 1, 1.2, 1.1, 1.4, target_force_error_ev_ang=0.3, target_insertion_error_ev=0.01
    )  # fmt: skip
    of = {(c.iteration, c.target): c.calibration for c in calibrated}
    return {i: decide(asked, i, of.get((i - 1, "total")), of.get((i - 1, "interaction"))) for i in range(3)}


def predictions(rng: np.random.Generator, folder: Path) -> Predictions:
    """An isotherm with heats, MD at two temperatures with a stored figure, and one density around a node."""
    points = tuple(
        PooledPoint(77.0, p, p, 1e-5 * p, n, 0.1, math.nan, math.nan, 6.0 + n / 10, 0.2, 1.0, False, 1000, True, ())
        for p, n in ((0.01, 2.0), (0.1, 5.5), (1.0, 9.0))
    )
    host = HostFacts("node", "Al3C6H7O14", 440.0, 4096.0, "a test potential", 0.74, 12)
    henry = HenryPoint(77.0, 300.0, 12.0, 1e-3, 4e-5, 6.1, 0.1, 20000, 900.0, True)
    isotherm = Isotherm(host, None, points, (henry,))
    save_figure(comparison_figure(isotherm), folder)
    node = Atoms("AlOHC", [[8, 8, 8], [9.8, 8, 8], [10.4, 8.8, 8], [8, 8, 9.9]], cell=[16, 16, 16], pbc=True)
    centres = [rng.normal([6.0, 8.0, 8.0], 0.5, (4, 3)) for _ in range(150)]
    grid = guest_density(centres, np.array(node.cell), spacing_ang=0.5)
    scene = density_scene(grid, node, name="density_77K", words="H₂ centres at 77 K.", source="isotherm/density.cube")
    assert scene is not None
    known = Known(1.2, 0.1)
    diffusing = TemperatureSummary(
        77.0, 6, 2, 400, 3, 0.21, ("77K.r1: H2 bond 1.4 Å",), known, known, Known(3.0, 0.5), 40, 1.9e-9, 1.5e-9, 2.4e-9,
        None,
    )  # fmt: skip
    stuck = replace(diffusing, temperature_k=10.0, d_m2_s=math.nan, residence_ps=Known(math.nan, math.nan), ended=())
    made = Made(
        "alh2 produce md quickstart", 1, (ModelFile("graph.000.pb", "../../iter.000001/graph.000.pb", "ab" * 16),)
    )
    return Predictions(
        isotherm=isotherm,
        isotherm_figures=tuple(read_figures(folder, prefix="predicted_")),
        isotherm_made=made,
        md=MdSummary("nve", 10.0, (stuck, diffusing), Arrhenius(4.3, 0.2, -18.0, 0.3), movers=MOVED_BY_LAMMPS),
        md_figures=tuple(read_figures(folder, prefix="md_")),
        md_made=None,
        densities=(scene,),
    )


def _frame(n_h2: int) -> Frame:
    symbols = ("Al",) * N_HOST + ("H",) * 2 * n_h2
    return Frame(symbols, np.zeros((len(symbols), 3)), np.eye(3) * 16.0, N_HOST, "node")


def _summary(iteration: int) -> IterationSummary:
    return IterationSummary(
        iteration,
        520 + 60 * iteration,
        480,
        300 + 60 * iteration,
        140 - 50 * iteration,
        40 - 10 * iteration,
        60,
        1,
        0.14 - 0.02 * iteration,
        0.055 - 0.012 * iteration,
        0.011 - 0.004 * iteration,
        0.034 - 0.009 * iteration,
        iteration == 2,
        "all limits held" if iteration == 2 else "insertion spread 25.0 meV > 20.0 meV",
    )


@pytest.fixture(scope="session")
def report_data(tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    """A whole campaign."""
    campaign = Campaign(np.random.default_rng(2024))
    calibrated = calibrations(np.random.default_rng(77))
    both: tuple[Target, Target] = ("total", "interaction")
    return ReportData(
        title="H₂ on the Al₃O node of Al-soc-MOF",
        state="finished",
        converged=True,
        verdict="All limits of the param file held for two iterations.",
        host_description="the formate-capped Al₃O node, C₆H₇Al₃O₁₄, 30 atoms in a box of 16 Å",
        f_trust_lo_ev_ang=TRUST[0],
        f_trust_hi_ev_ang=TRUST[1],
        temperature_k=77.0,
        iterations=[_summary(i) for i in range(3)],
        learning_curves=campaign.curves(),
        parities=[campaign.parity(t, i, n) for t in both for i in (1, 2) for n in LOADINGS],
        insertions=[campaign.insertions(t, i) for t in both for i in range(3)],
        calibrations=calibrated,
        trust=trust_decisions(calibrated),
        selections={i: campaign.verdicts(i) for i in range(3)},
        rungs=[
            Rung(1, "6", "iteration 0 to 1, converged", True),
            Rung(2, "0, 2, 4", "iteration 2, not converged", False),
        ],
        quarantine=[QuarantinedLabel("iter.000001/02.fp/task.000.000007", "SCF not converged in 250 cycles")],
        rdfs=[campaign.rdf("6 H₂ on the node", 77.0)],
        isotherm=campaign.isotherm(),
        predictions=predictions(np.random.default_rng(5), tmp_path_factory.mktemp("stored")),
        provenance=[
            ProvenanceItem("versions", "alh2", "0.1.0"),
            ProvenanceItem("versions", "deepmd-kit", "3.2.0"),
            ProvenanceItem("seeds", "root", "7"),
        ],
        param_json=json.dumps({"fp_style": "xtb", "type_map": ["Al", "C", "H", "O"]}, indent=1),
    )


@pytest.fixture(scope="session")
def written_report(report_data: ReportData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of `report_data`, rendered once."""
    return write_report(report_data, tmp_path_factory.mktemp("report"), for_paper=True)


@pytest.fixture
def empty_data(report_data: ReportData) -> ReportData:
    """A campaign in which nothing has happened yet."""
    return ReportData("Nothing yet", "waiting", False, "", "", *TRUST, 77.0)


def _hostile(known: Predictions, bad: str) -> Predictions:
    """Words of the predictions replaced."""
    scene = replace(known.densities[0], words=bad, source=bad)
    figure = replace(known.isotherm_figures[0], caption=bad, alt=bad)
    made = Made(bad, 1, (ModelFile(bad, bad, bad),))
    return replace(known, densities=(scene,), isotherm_figures=(figure,), md_figures=(), isotherm_made=made)


@pytest.fixture
def hostile_data(report_data: ReportData) -> ReportData:
    """Strings that would break a page that did not escape them."""
    bad = '<script>alert("x")</script>&<img src="https://evil.example/x.png" onerror=alert(1)>'
    return replace(
        report_data,
        learning_curves=[],
        parities=[replace(report_data.parities[0], system=bad)],
        insertions=[],
        calibrations=[],
        predictions=_hostile(report_data.predictions, bad),
        selections={0: [replace(v, reason=bad, band="failed") for v in report_data.selections[0][:20]]},
        title=bad,
        state=bad,
        verdict=bad,
        host_description=bad,
        quarantine=[QuarantinedLabel(bad, bad)],
        iterations=[replace(report_data.iterations[0], verdict=bad)],
        provenance=[ProvenanceItem(bad, bad, bad)],
        rdfs=[replace(report_data.rdfs[0], label=bad)],
        param_json="</pre></details>" + bad,
    )

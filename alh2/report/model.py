"""Everything a report shows, as typed data.

`alh2.campaign` collects it from a run directory; `alh2.report.html` renders it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from alh2.assess.samples import NamedSample
from alh2.assess.trust import TrustDecision
from alh2.assess.uncertainty import CommitteeCalibration
from alh2.core.explored import SelectionVerdict
from alh2.core.frames import Target
from alh2.core.nuclei import CLASSICAL_WORDS
from alh2.production.isotherm_result import Isotherm
from alh2.production.made import Made
from alh2.production.md_summary import MdSummary
from alh2.report.scene import DensityScene
from alh2.report.stored import DrawnFigure


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """DeePMD ``lcurve.out`` of one model: steps (n,), rmse_force (n,) eV/Å, rmse_energy (n,) eV/atom (training)."""

    iteration: int
    target: Target
    model: int
    steps: np.ndarray
    rmse_force_ev_ang: np.ndarray
    rmse_energy_ev_atom: np.ndarray


@dataclass(frozen=True, eq=False)
class Parity:
    """Committee mean against labels on held-out frames of one composition and target.

    energies (n_frames,) eV per cell; forces (n_components,) eV/Å, flattened
    """

    iteration: int
    target: Target
    system: str
    n_h2: int
    n_atoms: int
    energy_label_ev: np.ndarray
    energy_model_ev: np.ndarray
    force_label_ev_ang: np.ndarray
    force_model_ev_ang: np.ndarray


@dataclass(frozen=True, eq=False)
class InsertionErrors:
    """Held-out insertion energies E(N+1) - E(N) - E(H2 gas), all arrays (n,).

    spread is the committee standard deviation of each prediction.
    """

    iteration: int
    target: Target
    n_h2: np.ndarray
    label_ev: np.ndarray
    model_ev: np.ndarray
    spread_ev: np.ndarray


@dataclass(frozen=True, eq=False)
class IterationCalibration:
    """Calibration of one committee in one iteration; `samples` behind it only for the newest, else ()."""

    iteration: int
    target: Target
    calibration: CommitteeCalibration
    samples: tuple[NamedSample, ...] = ()


@dataclass(frozen=True)
class IterationSummary:
    """One row of the campaign table; None where not measured."""

    iteration: int
    n_labels_total: int
    n_explored: int
    n_accurate: int
    n_candidate: int
    n_failed: int
    n_picked: int
    n_quarantined: int
    force_rmse_ev_ang: float | None
    insertion_rmse_ev: float | None
    insertion_mean_ev: float | None
    insertion_spread_ev: float | None
    converged: bool
    verdict: str


@dataclass(frozen=True, eq=False)
class Rdf:
    """Al(open)–H2 centre-of-mass radial distribution: r (n,) Å, g (n,), standard error (n,)."""

    temperature_k: float
    label: str
    r_ang: np.ndarray
    g: np.ndarray
    g_error: np.ndarray


@dataclass(frozen=True)
class IsothermPoint:
    """One pressure of the isotherm, molecules per cell with one standard error.

    max_loading : insertions beyond it were refused (the largest loading explored); None: no limit
    nuclei : how nuclei were treated
    """

    temperature_k: float
    pressure_bar: float
    fugacity_bar: float
    n_initial: int
    n_adsorbed: float
    n_adsorbed_error: float
    insertion_acceptance: float
    max_loading: int | None = None
    nuclei: str = CLASSICAL_WORDS

    @property
    def is_capped(self) -> bool:
        """Whether the point lies within one molecule of the limit: it is a lower bound."""
        return self.max_loading is not None and self.n_adsorbed > self.max_loading - 1


@dataclass(frozen=True)
class Rung:
    """One rung of the curriculum over loadings, and where it stands in words."""

    number: int
    loadings: str
    words: str
    converged: bool


@dataclass(frozen=True)
class QuarantinedLabel:
    """A label that was refused."""

    task: str
    reason: str


@dataclass(frozen=True)
class ProvenanceItem:
    """One line of the provenance table (versions, seeds, files, machine, timings)."""

    section: str
    name: str
    value: str


@dataclass(frozen=True, eq=False)
class Predictions:
    """What production left: numbers, the figures that lie beside them, and how they were made; None: not there."""

    isotherm: Isotherm | None = None
    isotherm_figures: tuple[DrawnFigure, ...] = ()
    isotherm_made: Made | None = None
    md: MdSummary | None = None
    md_figures: tuple[DrawnFigure, ...] = ()
    md_made: Made | None = None
    densities: tuple[DensityScene, ...] = ()


@dataclass(frozen=True, eq=False)
class ReportData:
    """A whole report. Empty lists where a stage has not happened yet: the report is honest about it."""

    title: str
    state: str
    converged: bool
    verdict: str
    host_description: str
    f_trust_lo_ev_ang: float
    f_trust_hi_ev_ang: float
    temperature_k: float
    iterations: list[IterationSummary] = field(default_factory=list)
    learning_curves: list[LearningCurve] = field(default_factory=list)
    parities: list[Parity] = field(default_factory=list)
    insertions: list[InsertionErrors] = field(default_factory=list)
    calibrations: list[IterationCalibration] = field(default_factory=list)
    trust: dict[int, TrustDecision] = field(default_factory=dict)
    selections: dict[int, list[SelectionVerdict]] = field(default_factory=dict)
    rungs: list[Rung] = field(default_factory=list)
    quarantine: list[QuarantinedLabel] = field(default_factory=list)
    rdfs: list[Rdf] = field(default_factory=list)
    isotherm: list[IsothermPoint] = field(default_factory=list)
    predictions: Predictions = Predictions()
    provenance: list[ProvenanceItem] = field(default_factory=list)
    param_json: str = ""

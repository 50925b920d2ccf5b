"""Typed form of a param file. `alh2.config.load` makes it; nothing else reads the raw JSON.

DP-GEN's keys keep their DP-GEN names in the file; everything DP-GEN does not have lives under the one
top-level key ``alh2``. Paths are absolute after loading.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from alh2.config.curriculum import CurriculumConfig
from alh2.config.policy import FailureConfig, NotifyConfig, TaskPolicy
from alh2.core.frames import Target

DeepmdInput = dict[str, Any]
"""The content of a DeePMD ``input.json``; DeePMD's own schema validates it."""


@dataclass(frozen=True)
class HostConfig:
    """``alh2.host``: the framework that stays while H2 comes and goes.

    id : name used in the dataset ("node", "al-soc-mof")
    n_atoms : number of host atoms; frames read from files have this many leading (or detected) host atoms
    file : structure file of the bare host (any format ASE reads), or None when `build` is given
    build : "node" (carved cluster) or "al-soc-mof" (full crystal), or None when `file` is given
    lattice_ang : lattice parameter of the crystal the node is carved from / that is built
    box_ang : edge of the cubic box around the node (ignored for the crystal)
    """

    id: str
    file: Path | None
    build: Literal["node", "al-soc-mof"] | None
    lattice_ang: float
    box_ang: float


@dataclass(frozen=True)
class AimdSource:
    """One entry of ``alh2.dataset.aimd``.

    drop_ps : equilibration time removed from the start; dt_fs : time between stored frames
    every : keep every n-th frame; max_frames : cap after that (None: all)
    labeler : name recorded for these labels (must be the level of theory of `fp_style` to be mixed with it)
    """

    files: tuple[Path, ...]
    format: str
    drop_ps: float
    dt_fs: float
    every: int
    max_frames: int | None
    temperature_k: float | None
    labeler: str


@dataclass(frozen=True)
class DatasetConfig:
    """``alh2.dataset``: the initial data and how the held-out part is split off."""

    aimd: tuple[AimdSource, ...]
    validation_fraction: float
    split: Literal["blocks", "random"]


@dataclass(frozen=True)
class BootstrapConfig:
    """``alh2.bootstrap``: frames labelled before the first training, so that compositions span H2 exchange.

    loadings : numbers of H2 per host cell; frames_per_loading : how many frames each
    host_snapshots : number of distinct host geometries (taken from the AIMD) shared by those frames
    displacement_ang : standard deviation of random displacements of guest atoms
    close_distance_ang : closest contact of crowded guests
    rattled_frames : frames on hosts with displaced atoms; host_displacements_ang : standard deviations, in turn
    gas_frames, gas_pair_frames : isolated H2, and H2 pairs, in a cubic box of gas_box_ang
    label_bare_hosts : also label the bare host of every AIMD frame (interaction target needs it)
    sampled_per_loading : frames at each loading drawn by Monte Carlo on pair terms fitted to the other ones, at
        sampled_temperature_k
    """

    loadings: tuple[int, ...]
    frames_per_loading: int
    host_snapshots: int
    min_distance_ang: float
    displacement_ang: float
    close_distance_ang: float
    rattled_frames: int
    host_displacements_ang: tuple[float, ...]
    gas_frames: int
    gas_pair_frames: int
    gas_box_ang: float
    label_bare_hosts: bool
    sampled_per_loading: int = 0
    sampled_temperature_k: float = 150.0


@dataclass(frozen=True)
class CommitteeConfig:
    """A committee of DeePMD models.

    From the DP-GEN keys ``numb_models``, ``default_training_param``, ``training_reuse_*`` for "total" and from
    ``alh2.interaction`` (same keys, `training_param` deep-merged over the default) for "interaction".
    reuse_* apply from iteration `reuse_iter` on (None: always from scratch).
    pair_baseline : fit a pair potential first and train on what it leaves; between atoms only, and the same for all
        models, on total energies
    """

    target: Target
    n_models: int
    training_param: DeepmdInput
    reuse_iter: int | None
    reuse_start_lr: float
    reuse_start_pref_e: float
    reuse_start_pref_f: float
    reuse_n_steps: int
    compress: bool
    pair_baseline: bool = False


@dataclass(frozen=True)
class MdJob:
    """One entry of DP-GEN's ``model_devi_jobs`` (MD part): one LAMMPS task per system and temperature.

    sys_idx : indices into ``alh2.systems`` (or ``sys_configs``)
    """

    sys_idx: tuple[int, ...]
    temperatures_k: tuple[float, ...]
    n_steps: int
    dt_ps: float
    trj_freq: int
    thermostat_ps: float


@dataclass(frozen=True)
class GcmcJob:
    """One entry of ``alh2.gcmc_jobs``: one task per temperature, fugacity and initial loading.

    n_moves : trial moves per task; sample_every : moves between stored frames
    canonical_loadings : also one task at each of these fixed loadings and temperatures, for loadings that the
    fugacities jump over
    """

    temperatures_k: tuple[float, ...]
    fugacities_bar: tuple[float, ...]
    n_initial: tuple[int, ...]
    n_moves: int
    n_equilibration: int
    sample_every: int
    max_loading: int
    canonical_loadings: tuple[int, ...] = ()

    @property
    def n_tasks(self) -> int:
        """Monte Carlo tasks of this job."""
        return len(self.temperatures_k) * (
            len(self.fugacities_bar) * len(self.n_initial) + len(self.canonical_loadings)
        )


@dataclass(frozen=True)
class ExploreConfig:
    """Exploration per iteration: iteration i uses entry i, the last entry repeats.

    clean_trajectories : DP-GEN's ``model_devi_clean_traj``: True: removed once an iteration is over; a number: those
    of so many iterations are kept
    """

    md_jobs: tuple[MdJob, ...]
    gcmc_jobs: tuple[tuple[GcmcJob, ...], ...]
    loadings: tuple[int, ...]
    sys_configs: tuple[tuple[Path, ...], ...]
    mass_amu: tuple[float, ...]
    clean_trajectories: bool | int = True


@dataclass(frozen=True)
class SelectConfig:
    """DP-GEN's trust levels (eV/Å) and caps, plus geometric sanity limits.

    f_trust_lo, f_trust_hi : ``model_devi_f_trust_lo/hi``; insertion_trust_lo : eV, GCMC frames whose committee
    insertion spread exceeds it are candidates too
    fp_task_max, fp_task_min : per iteration and system
    f_trust_per_system : (lo, hi) for each index of ``sys_configs`` where the file gives lists; () otherwise
    method : at random (DP-GEN), or by distance in descriptor space; max_labels : per iteration, None: no such limit
    duplicate_distance, pool : of the method "diverse", see ``alh2.select.diverse``
    target_force_error_ev_ang, target_insertion_error_ev : ``trust_levels``: where given, the lower level is the
        deviation at which the calibrated RMS error reaches it, and the fixed one is used while nothing is calibrated
    """

    f_trust_lo_ev_ang: float
    f_trust_hi_ev_ang: float
    insertion_trust_lo_ev: float
    fp_task_max: int
    fp_task_min: int
    min_distance_ang: float
    h2_bond_max_ang: float
    framework_bond_stretch: float
    f_trust_per_system: tuple[tuple[float, float], ...] = ()
    method: Literal["random", "diverse"] = "random"
    max_labels: int | None = None
    duplicate_distance: float = 0.05
    pool: int = 2000
    target_force_error_ev_ang: float | None = None
    target_insertion_error_ev: float | None = None

    def f_trust(self, system: int | None = None) -> tuple[float, float]:
        """Trust levels (lo, hi), eV/Å, of a system.

        Without one (Monte Carlo), or where the file does not tell them apart: from the lowest to the highest of all.
        """
        if system is not None and self.f_trust_per_system:
            return self.f_trust_per_system[system]
        return self.f_trust_lo_ev_ang, self.f_trust_hi_ev_ang


@dataclass(frozen=True)
class LabelConfig:
    """``fp_style`` and its parameters; `params` is passed to the labeler of that name.

    energy_window_ev_per_atom : least half width of the window of believed energies, None: not compared
    reuse_orbitals : VASP starts from the orbitals of the task before with the same formula
    where : file that the parameters stand in, for messages
    """

    style: str
    params: dict[str, Any]
    timeout_s: float
    energy_window_ev_per_atom: float | None = None
    reuse_orbitals: bool = False
    where: str = field(default="", compare=False)


@dataclass(frozen=True)
class AssessConfig:
    """``alh2.assess``: held-out insertions labelled each iteration.

    loadings : N of E(N+1) - E(N); per_loading : how many each
    temperature_k : of the GCMC/MC that draws them
    """

    loadings: tuple[int, ...]
    per_loading: int
    temperature_k: float
    n_moves_between: int


@dataclass(frozen=True)
class ConvergeConfig:
    """``alh2.converge``: all limits held for `consecutive` iterations ends the loop; None limit: not asked."""

    accurate_fraction: float | None
    insertion_spread_ev: float | None
    force_rmse_ev_ang: float | None
    insertion_rmse_ev: float | None
    insertion_mean_ev: float | None
    consecutive: int
    max_iterations: int

    @property
    def asks(self) -> bool:
        """Whether there is any limit; without one the loop ends with its last iteration."""
        limits = (
            self.accurate_fraction,
            self.insertion_spread_ev,
            self.force_rmse_ev_ang,
            self.insertion_rmse_ev,
            self.insertion_mean_ev,
        )
        return any(limit is not None for limit in limits)


CommitteeBy = Literal["reweight", "run", "none"]


@dataclass(frozen=True)
class ProductionConfig:
    """``alh2.production``: what is predicted after convergence.

    relative_error : of the isotherm; chains go on until it is reached or they have `max_moves`; None: they do not
    committee : how the other models are asked for its interval: "reweight", "run" or "none"
    """

    md_temperature_k: float
    md_loading: int
    md_steps: int
    md_dt_ps: float
    md_sample_every: int
    isotherm_temperature_k: float
    pressures_bar: tuple[float, ...]
    n_moves: int
    n_equilibration: int
    n_initial: tuple[int, ...]
    biased_insertion: bool = True
    relative_error: float | None = None
    max_moves: int | None = None
    committee: CommitteeBy = "reweight"


@dataclass(frozen=True)
class ParamConfig:
    """A whole param file.

    host : None where the file names none (a stock DP-GEN file: systems come from ``sys_configs`` alone)
    source : path of the file; raw : its parsed content, kept for provenance only
    """

    source: Path
    raw: dict[str, Any]
    seed: int
    type_map: tuple[str, ...]
    host: HostConfig | None
    dataset: DatasetConfig
    bootstrap: BootstrapConfig
    committees: tuple[CommitteeConfig, ...]
    explore: ExploreConfig
    select: SelectConfig
    label: LabelConfig
    assess: AssessConfig | None
    converge: ConvergeConfig
    production: ProductionConfig | None
    failures: FailureConfig = FailureConfig()
    notify: NotifyConfig = NotifyConfig()
    curriculum: CurriculumConfig | None = None

    def committee(self, target: Target) -> CommitteeConfig | None:
        """The committee for `target`, None where the file asks for none."""
        return next((c for c in self.committees if c.target == target), None)


@dataclass(frozen=True)
class StageMachine:
    """Machine, resources and command of one stage, as dpdispatcher takes them.

    machine, resources : arguments of ``dpdispatcher.Machine.load_from_dict`` / ``Resources.load_from_dict``
    command : the program ("dp", "lmp", "python -m alh2.label.worker", …)
    parallel : tasks at a time on this machine (para_deg for local jobs)
    user_forward_files, user_backward_files : DP-GEN's keys, files that travel with each task (absolute paths; names)
    policy : what happens to tasks that fail, from the param file
    poll_s : time between looks at the queue; None: 0.2 s for processes of this computer, 10 s for schedulers
    """

    machine: dict[str, Any]
    resources: dict[str, Any]
    command: str
    parallel: int
    user_forward_files: tuple[str, ...] = ()
    user_backward_files: tuple[str, ...] = ()
    poll_s: float | None = None
    policy: TaskPolicy = TaskPolicy()


@dataclass(frozen=True)
class MachineConfig:
    """DP-GEN's machine file: ``train``, ``model_devi``, ``fp``, and ``gcmc`` (ours; default: as model_devi)."""

    source: Path
    train: StageMachine
    model_devi: StageMachine
    fp: StageMachine
    gcmc: StageMachine

    def with_policies(self, failures: FailureConfig) -> MachineConfig:
        """The same machines with what the param file says about failures."""
        return replace(
            self,
            train=replace(self.train, policy=failures.train),
            model_devi=replace(self.model_devi, policy=failures.model_devi),
            fp=replace(self.fp, policy=failures.fp),
            gcmc=replace(self.gcmc, policy=failures.gcmc),
        )

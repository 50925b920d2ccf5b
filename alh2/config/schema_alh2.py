"""Schema of the ``alh2`` section: everything DP-GEN has no key for."""

from __future__ import annotations

from dargs import Argument

from alh2.config.fields import (
    AT_LEAST_ONE,
    LIST_NOT_EMPTY,
    LIST_POSITIVE,
    NOT_NEGATIVE,
    POSITIVE,
    field,
    section,
)
from alh2.config.schema_curriculum import curriculum_section
from alh2.config.schema_failures import failures_section, notify_section
from alh2.config.schema_production import converge_section, production_section
from alh2.config.schema_select import select_section
from alh2.config.strict import Limits


def alh2_section() -> Argument:
    """The ``alh2`` section of a param file."""
    return section(
        "alh2",
        "What alh2 adds to DP-GEN. Left out: no H2, no GCMC, one committee on total energies.",
        [
            field("seed", int, "Root of all random streams of the campaign.", default=1, limits=NOT_NEGATIVE),
            _host(),
            _systems(),
            _dataset(),
            _bootstrap(),
            _interaction(),
            _gcmc_jobs(),
            curriculum_section(),
            select_section(),
            section(
                "label",
                "Running of labels; the labeler itself is `fp_style`.",
                [
                    field(
                        "timeout_s",
                        float,
                        "Time after which a label is stopped.",
                        unit="s",
                        default=3600.0,
                        limits=POSITIVE,
                    ),
                    field(
                        "energy_window_ev_per_atom",
                        [float, None],
                        "Labels whose energy is further from the median of their composition, and further than 30 "
                        "robust standard deviations, are not believed (from 5 frames on); null: not compared.",
                        unit="eV/atom",
                        default=0.5,
                        limits=POSITIVE,
                    ),
                    field(
                        "reuse_orbitals",
                        bool,
                        "VASP starts from the orbitals of the task before with the same formula. It saves electronic "
                        "steps where geometries are alike and costs a WAVECAR per formula while labels run.",
                        default=False,
                    ),
                ],
                default={},
            ),
            _assess(),
            converge_section(),
            production_section(),
            failures_section(),
            notify_section(),
        ],
        default={},
    )


def _host() -> Argument:
    return section(
        "host",
        "The framework that stays while H2 comes and goes: a file, or one that alh2 builds.",
        [
            field("id", str, "Name of the host in the dataset.", limits=Limits(not_empty=True)),
            field("file", [str, None], "Structure of the bare host, in any format ASE reads.", default=None),
            field(
                "build",
                [str, None],
                "Host built by alh2: node (Al3O node, formate-capped) or al-soc-mof (full crystal).",
                default=None,
                limits=Limits(choices=("node", "al-soc-mof")),
            ),
            field("lattice_ang", float, "Lattice parameter of the crystal.", unit="Å", default=21.67, limits=POSITIVE),
            field("box_ang", float, "Edge of the cubic box around the node.", unit="Å", default=16.0, limits=POSITIVE),
        ],
        default=None,
    )


def _systems() -> Argument:
    return section(
        "systems",
        "Systems that MD explores; `sys_idx` of `model_devi_jobs` counts them from 0. Instead of `sys_configs`.",
        [
            field(
                "loadings", list[int], "H2 molecules per host cell, one system each.", unit="H2", limits=LIST_NOT_EMPTY
            )
        ],
        default=None,
    )


def _dataset() -> Argument:
    source = section(
        "aimd",
        "Trajectories of labelled frames to start from.",
        [
            field("files", list[str], "Files of one trajectory, in order.", limits=Limits(not_empty=True)),
            field(
                "format",
                str,
                "auto (by the name), vasp/outcar, vasp/xml, deepmd/npy, extxyz, or another format of dpdata or ASE.",
                default="auto",
            ),
            field(
                "drop_ps",
                float,
                "Equilibration time removed from the start.",
                unit="ps",
                default=0.0,
                limits=NOT_NEGATIVE,
            ),
            field("dt_fs", float, "Time between stored frames.", unit="fs", default=1.0, limits=POSITIVE),
            field("every", int, "Keep every n-th frame.", default=1, limits=AT_LEAST_ONE),
            field("max_frames", [int, None], "Most frames kept; null: all.", default=None, limits=AT_LEAST_ONE),
            field("temperature_k", [float, None], "Temperature of the run.", unit="K", default=None, limits=POSITIVE),
            field("labeler", [str, None], "Level of theory of the labels; null: that of `fp_style`.", default=None),
        ],
        default=[],
        repeat=True,
    )
    return section(
        "dataset",
        "Initial data and the part of it held out for validation.",
        [
            source,
            field(
                "validation_fraction",
                float,
                "Fraction of frames held out.",
                default=0.1,
                limits=Limits(at_least=0, below=1),
            ),
            field(
                "split",
                str,
                "Held out are blocks of time, or random frames.",
                default="blocks",
                limits=Limits(choices=("blocks", "random")),
            ),
        ],
        default={},
    )


def _bootstrap() -> Argument:
    return section(
        "bootstrap",
        "Frames labelled before the first training, so that the data determine the energy of adding one H2.",
        [
            field("loadings", list[int], "H2 molecules per host cell.", unit="H2", limits=LIST_NOT_EMPTY),
            field("frames_per_loading", int, "Frames at each loading.", default=10, limits=AT_LEAST_ONE),
            field("host_snapshots", int, "Host geometries shared by the frames.", default=1, limits=AT_LEAST_ONE),
            field(
                "min_distance_ang",
                float,
                "Least distance of a placed H2 from other atoms.",
                unit="Å",
                default=2.2,
                limits=POSITIVE,
            ),
            field(
                "displacement_ang",
                float,
                "Standard deviation of random displacements of the H2 atoms.",
                unit="Å",
                default=0.02,
                limits=NOT_NEGATIVE,
            ),
            field(
                "close_distance_ang",
                float,
                "Least contact of crowded H2 (a third of the frames), which teach short-range repulsion.",
                unit="Å",
                default=1.6,
                limits=POSITIVE,
            ),
            field(
                "rattled_frames",
                int,
                "Frames on hosts whose atoms are displaced at random, crowded with H2.",
                default=0,
                limits=NOT_NEGATIVE,
            ),
            field(
                "host_displacements_ang",
                list[float],
                "Standard deviations of those displacements, taken in turn.",
                unit="Å",
                default=[0.03, 0.06],
            ),
            field("gas_frames", int, "Frames of one H2 alone in a box.", default=20, limits=NOT_NEGATIVE),
            field("gas_pair_frames", int, "Frames of two H2 alone in a box.", default=20, limits=NOT_NEGATIVE),
            field("gas_box_ang", float, "Edge of that cubic box.", unit="Å", default=16.0, limits=POSITIVE),
            field(
                "label_bare_hosts",
                [bool, None],
                "Also label the bare host of every initial frame, which interaction energies need; null: if "
                "`interaction` is given.",
                default=None,
            ),
            *_sampled(),
        ],
        default=None,
    )


def _sampled() -> list[Argument]:
    return [
        field(
            "sampled_per_loading",
            int,
            "Further frames at each loading, drawn by Monte Carlo on pair terms fitted to the first labels.",
            default=0,
            limits=NOT_NEGATIVE,
        ),
        field(
            "sampled_temperature_k", float, "Temperature of that Monte Carlo.", unit="K", default=150.0, limits=POSITIVE
        ),
    ]


def _interaction() -> Argument:
    doc_reuse = "As the DP-GEN key of this name, for this committee; null: as there."
    return section(
        "interaction",
        "A second committee, trained on E(host + H2) - E(host alone): insertion energies and GCMC use it.",
        [
            field(
                "numb_models", [int, None], "Models; null: as `numb_models`.", default=None, limits=Limits(at_least=2)
            ),
            field("training_param", dict, "Merged key by key over `default_training_param`.", default={}),
            field(
                "pair_baseline",
                bool,
                "Fit a pair potential of the H2 to the interaction labels first and train on what it leaves.",
                default=True,
            ),
            field(
                "total_pair_baseline",
                bool,
                "Put such pair terms, between atoms only, under the models on total energies too: LAMMPS adds them "
                "from a table (`hybrid/overlay`).",
                default=True,
            ),
            field(
                "dp_compress",
                [bool, None],
                "Compress its models, which only evaluate sampled frames: worth it for hundreds of atoms; null: as "
                "`dp_compress`.",
                default=None,
            ),
            field("training_reuse_iter", [int, None], doc_reuse, default=None, limits=AT_LEAST_ONE),
            field("training_reuse_numb_steps", [int, None], doc_reuse, unit="steps", default=None, limits=AT_LEAST_ONE),
            field("training_reuse_start_lr", [float, None], doc_reuse, default=None, limits=POSITIVE),
            field("training_reuse_start_pref_e", [float, None], doc_reuse, default=None, limits=NOT_NEGATIVE),
            field("training_reuse_start_pref_f", [float, None], doc_reuse, default=None, limits=NOT_NEGATIVE),
        ],
        default=None,
    )


def _gcmc_jobs() -> Argument:
    return section(
        "gcmc_jobs",
        "Grand-canonical exploration: one entry per iteration, the last one repeats. One task for each "
        "temperature, fugacity and initial loading.",
        [
            field("temps", list[float], "Temperatures.", unit="K", limits=LIST_POSITIVE),
            field("fugacities_bar", list[float], "Fugacities.", unit="bar", limits=LIST_POSITIVE),
            field("n_initial", list[int], "H2 molecules at the start.", unit="H2", default=[0], limits=LIST_NOT_EMPTY),
            field("n_moves", int, "Trial moves per task.", limits=AT_LEAST_ONE),
            field("n_equilibration", int, "Moves before the first sample, of those.", default=0, limits=NOT_NEGATIVE),
            field("sample_every", int, "Moves between stored frames.", default=100, limits=AT_LEAST_ONE),
            field("max_loading", int, "Insertions beyond it are rejected.", unit="H2", limits=AT_LEAST_ONE),
            field(
                "canonical_loadings",
                list[int],
                "Also Monte Carlo at each of these fixed loadings, for those that the fugacities jump over.",
                unit="H2",
                default=[],
            ),
        ],
        default=[],
        repeat=True,
    )


def _assess() -> Argument:
    return section(
        "assess",
        "Held-out insertions E(N+1) - E(N), labelled afresh in each iteration.",
        [
            field("loadings", list[int], "Values of N.", unit="H2", limits=LIST_NOT_EMPTY),
            field("per_loading", int, "Insertions at each N.", default=10, limits=AT_LEAST_ONE),
            field("temperature_k", float, "Temperature that draws them.", unit="K", default=77.0, limits=POSITIVE),
            field("n_moves_between", int, "Monte Carlo moves between two of them.", default=2000, limits=AT_LEAST_ONE),
        ],
        default=None,
    )

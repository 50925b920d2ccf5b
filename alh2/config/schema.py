"""Schemas of the param and machine files: DP-GEN's and dpdispatcher's own trees, extended."""

from __future__ import annotations

from collections.abc import Callable

from dargs import Argument, Variant

from alh2.config.fields import AT_LEAST_ONE, FRACTION, NOT_NEGATIVE, POSITIVE, field
from alh2.config.schema_alh2 import alh2_section
from alh2.config.strict import Limits, set_limits
from alh2.core.quiet import import_dpdispatcher, import_dpgen_arginfo

DPGEN_LIMITS = {
    "type_map": Limits(not_empty=True),
    "mass_map": POSITIVE,
    "numb_models": Limits(at_least=2),
    "fp_task_max": NOT_NEGATIVE,
    "fp_task_min": NOT_NEGATIVE,
    "fp_accurate_threshold": Limits(at_least=0, at_most=1),
    "fp_accurate_soft_threshold": Limits(at_least=0, at_most=1),
    "ratio_failed": Limits(at_least=0, at_most=1),
    "training_reuse_iter": NOT_NEGATIVE,
    "training_reuse_numb_steps": AT_LEAST_ONE,
    "training_reuse_start_lr": POSITIVE,
    "training_reuse_start_pref_e": NOT_NEGATIVE,
    "training_reuse_start_pref_f": NOT_NEGATIVE,
    "model_devi_dt": POSITIVE,
    "model_devi_skip": NOT_NEGATIVE,
    "model_devi_f_trust_lo": NOT_NEGATIVE,
    "model_devi_f_trust_hi": POSITIVE,
    "model_devi_v_trust_lo": NOT_NEGATIVE,
    "model_devi_v_trust_hi": POSITIVE,
    "model_devi_perc_candi_f": FRACTION,
    "model_devi_perc_candi_v": FRACTION,
    "sys_idx": Limits(at_least=0, not_empty=True),
    "temps": Limits(above=0, not_empty=True),
    "press": POSITIVE,
    "nsteps": AT_LEAST_ONE,
    "trj_freq": AT_LEAST_ONE,
    "ensemble": Limits(choices=("nvt", "npt", "npt-i", "npt-iso", "npt-a", "npt-aniso", "npt-t", "npt-tri", "nve")),
    "dt": POSITIVE,
    "taut": POSITIVE,
    "taup": POSITIVE,
    "nbeads": AT_LEAST_ONE,
}
"""Ranges of DP-GEN's keys, wherever they stand."""


def param_schema() -> Argument:
    """DP-GEN's ``run_jdata`` with our labelers and the ``alh2`` section.

    ``init_data_sys`` and ``sys_configs`` become optional: ``alh2.dataset`` and ``alh2.systems`` may stand for them.
    """
    root: Argument = import_dpgen_arginfo().run_jdata_arginfo()
    for name in ("init_data_sys", "sys_configs"):
        root.sub_fields[name].optional = True
        root.sub_fields[name].default = []
    _limit_tree(root)
    styles = root.sub_variants["fp_style"]
    _complete_styles(styles)
    for style, doc, params in LABELERS:
        fp_params = Argument("fp_params", dict, params(), optional=True, default={}, doc="Parameters of the labeler.")
        styles.add_choice(Argument(style, dict, [fp_params], doc=doc))
    root.add_subfield(alh2_section())
    return root


def xtb_params() -> list[Argument]:
    """``fp_params`` of ``fp_style: xtb``."""
    methods = Limits(choices=("GFN1-xTB", "GFN2-xTB", "IPEA1-xTB"))
    return [
        field("method", str, "Hamiltonian.", default="GFN1-xTB", limits=methods),
        field("accuracy", float, "Multiplier of tblite's convergence thresholds.", default=0.1, limits=POSITIVE),
        field(
            "electronic_temperature_k",
            float,
            "Fermi smearing of the electrons.",
            unit="K",
            default=300.0,
            limits=POSITIVE,
        ),
        field(
            "max_iterations", int, "SCF iterations before a label counts as failed.", default=250, limits=AT_LEAST_ONE
        ),
        _threads(),
    ]


def ase_params() -> list[Argument]:
    """``fp_params`` of ``fp_style: ase``."""
    return [
        field("calculator", str, "Import path of the calculator class, e.g. ase.calculators.emt.EMT."),
        field("arguments", dict, "Keyword arguments of its constructor.", default={}),
        field("name", [str, None], "Name recorded with each label; null: class and arguments.", default=None),
        _threads(),
    ]


def reference_params() -> list[Argument]:
    """``fp_params`` of ``fp_style: reference``."""
    return [
        Argument("host_file", str, optional=True, doc="Bare host in its reference geometry; left out: gas only."),
        field("overrides", dict, "Numbers that replace parameters of the potential.", default={}),
        _threads(),
    ]


LABEL_PATHS = ("fp_pp_path", "fp_incar", "external_input_path", "fp_kpt_file", "fp_nbands_esti_data")
"""Keys of DP-GEN's first-principles styles that name files or folders."""


def _complete_styles(styles: Variant) -> None:
    """Keys that DP-GEN's code and example files use and its schema lacks.

    VASP's INCAR may also be an object of tags (``user_fp_params``) or DP-GEN's older ``fp_params``; its CP2K inputs
    need the keys of pseudopotentials.
    """
    vasp, cp2k = styles.choice_dict["vasp"], styles.choice_dict["cp2k"]
    vasp.sub_fields["fp_incar"].optional = True
    vasp.add_subfield(Argument("user_fp_params", dict, optional=True, doc="Tags of INCAR, instead of a file."))
    vasp.add_subfield(Argument("fp_params", dict, optional=True, doc="DP-GEN's older form of the same."))
    cp2k.add_subfield(Argument("fp_pp_path", str, optional=True, default=".", doc="Folder of fp_pp_files."))
    cp2k.add_subfield(Argument("fp_pp_files", list[str], optional=True, default=[], doc="Files linked to each task."))


LABELERS: tuple[tuple[str, str, Callable[[], list[Argument]]], ...] = (
    ("xtb", "GFN-xTB by tblite, periodic, Γ point.", xtb_params),
    ("ase", "Any ASE calculator, named by its import path.", ase_params),
    ("reference", "The analytic reference potential of the tests; not a model of any real material.", reference_params),
)
"""Labelers of alh2: ``fp_style``, what it is, its ``fp_params``. The other values of ``fp_style`` are DP-GEN's."""


def own_styles() -> frozenset[str]:
    """Values of ``fp_style`` whose parameters are ``fp_params``; those of DP-GEN have keys of their own."""
    return frozenset(style for style, _, _ in LABELERS)


def _threads() -> Argument:
    return field("threads", int, "OpenMP threads of one label.", default=1, limits=AT_LEAST_ONE)


def _limit_tree(argument: Argument) -> None:
    for child in argument.sub_fields.values():
        if child.name in DPGEN_LIMITS:
            set_limits(child, DPGEN_LIMITS[child.name])
        _limit_tree(child)
    for variant in argument.sub_variants.values():
        for choice in variant.choice_dict.values():
            _limit_tree(choice)


def stage_schema(name: str, *, optional: bool) -> Argument:
    """One stage of a machine file: command, machine, resources, and ours, `parallel`."""
    dispatcher = import_dpdispatcher()
    machine = dispatcher.Machine.arginfo()
    machine.name = "machine"
    machine.sub_fields["local_root"].optional = True
    contexts = machine.sub_variants["context_type"]
    contexts.choice_dict = dict(sorted(contexts.choice_dict.items()))
    resources = dispatcher.Resources.arginfo(detail_kwargs=False)
    resources.name = "resources"
    for key in ("number_node", "cpu_per_node", "para_deg"):
        set_limits(resources.sub_fields[key], AT_LEAST_ONE)
    for key in ("gpu_per_node", "group_size", "wait_time"):
        set_limits(resources.sub_fields[key], NOT_NEGATIVE)
    set_limits(machine.sub_fields["batch_type"], _batch_types(dispatcher.Machine))
    fields = [
        Argument("command", str, doc="Program of the stage."),
        machine,
        resources,
        field(
            "parallel", [int, None], "Tasks at a time; null: `resources.para_deg`.", default=None, limits=AT_LEAST_ONE
        ),
        field(
            "poll_s",
            [float, None],
            "Time between looks at the queue; null: 0.2 s on this computer, 10 s with a scheduler.",
            default=None,
            limits=POSITIVE,
        ),
        Argument("user_forward_files", list[str], optional=True, default=[], doc="Files sent along with each task."),
        Argument("user_backward_files", list[str], optional=True, default=[], doc="Files fetched with its results."),
    ]
    if name == "train":
        fields.append(Argument("export_command", str, optional=True, doc="Command that freezes models; DP-GEN's key."))
    return Argument(name, dict, fields, optional=optional, doc=f"Machine of the {name} tasks.")


def _batch_types(machine: type) -> Limits:
    """Batch systems by the names of their classes; dpdispatcher's other spellings pass too.

    Classes that others derived from them are no batch systems of their own, though dpdispatcher registers them.
    """
    registered: dict[str, type] = getattr(machine, "subclasses_dict", {})
    known = {name: cls for name, cls in registered.items() if cls.__module__.startswith("dpdispatcher.")}
    return Limits(choices=tuple(sorted({cls.__name__ for cls in known.values()})), also=tuple(known))


def machine_schema() -> Argument:
    """DP-GEN's machine file, with an optional ``gcmc`` stage."""
    return Argument(
        "machine",
        dict,
        [
            Argument("api_version", str, optional=True, default="1.0", doc="Version of the format."),
            Argument("deepmd_version", str, optional=True, default="2", doc="Version of DeePMD-kit."),
            stage_schema("train", optional=False),
            stage_schema("model_devi", optional=False),
            stage_schema("fp", optional=False),
            stage_schema("gcmc", optional=True),
        ],
        doc="Machine file.",
    )

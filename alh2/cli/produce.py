"""``alh2 produce``: predictions with a trained committee, as dispatched tasks that a repeated command goes on with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from alh2.core.frames import Target

produce_app = typer.Typer(
    help="Predict with trained models: MD and isotherms, run as tasks on the machine; repeating a command resumes it.",
    no_args_is_help=True,
)

Campaign = Annotated[
    Path | None, typer.Argument(help="Campaign directory, whose last models, host and machine are used.")
]
Structure = Annotated[Path | None, typer.Option(help="Without a campaign: host, in any format ASE reads.")]
Machine = Annotated[Path | None, typer.Option(help="Without a campaign: machine file.")]
Output = Annotated[Path | None, typer.Option(help="Without a campaign: folder of the results.")]
PairFile = Annotated[
    list[Path] | None,
    typer.Option(help="Pair baseline under each model, as many (default: pair_baseline.json in its folder)."),
]
Temperatures = Annotated[
    list[float] | None, typer.Option("--temperature", help="K; repeated for several (default: that of the campaign).")
]
Pressures = Annotated[list[float] | None, typer.Option("--pressure", help="bar; repeated for several.")]
PressureRange = Annotated[
    str | None, typer.Option("--pressures", help="LOW:HIGH:N, N pressures between, evenly in the logarithm (bar).")
]
Initial = Annotated[list[int] | None, typer.Option(help="H2 a chain starts with; repeated: one chain from each.")]
RelativeError = Annotated[
    float | None, typer.Option(help="Chains go on until the standard error is at most this part of the loading.")
]
Quantum = Annotated[
    str, typer.Option(help="Nuclei: classical, or feynman-hibbs (docs/theory.md); results in a folder of their own.")
]
Beside = Annotated[
    list[Path] | None, typer.Option(help="Folder of an earlier result to draw beside (a campaign finds its own).")
]
Void = Annotated[str | None, typer.Option(help="Void fraction for the excess: helium or geometric.")]

CommitteeHow = Annotated[
    str | None,
    typer.Option(
        help="Other models of the committee: reweight (run where weights fail), run, or none "
        "(default: the campaign's; reweight)."
    ),
]
Forces = Annotated[
    str | None,
    typer.Option(
        help="Models that move H2: interaction (and the host by models of its own), or total, by LAMMPS "
        "(default: those with the better held-out insertion energies)."
    ),
]
Trusted = Annotated[
    float | None, typer.Option(help="Force deviation a frame must stay below, eV/Å (default: the campaign's).")
]
Turns = Annotated[
    str, typer.Option(help="run: replicas take turns through the models; none: all are moved by the first.")
]
Compare = Annotated[
    list[Path] | None, typer.Option(help="Measured isotherm: NIST-ISODB .json, .aif or .csv; repeated for several.")
]


def register(app: typer.Typer) -> None:
    """Add ``produce`` to `app`."""
    from alh2.cli import produce_all

    produce_all.register(produce_app)
    app.add_typer(produce_app, name="produce")


@produce_app.command("isotherm")
def isotherm(
    campaign: Campaign = None,
    model: Annotated[list[Path] | None, typer.Option(help="Without a campaign: model; repeated: a committee.")] = None,
    structure: Structure = None,
    machine: Machine = None,
    output: Output = None,
    pair_baseline: PairFile = None,
    temperature: Temperatures = None,
    pressure: Pressures = None,
    pressures: PressureRange = None,
    initial: Initial = None,
    moves: Annotated[int | None, typer.Option(help="Measured moves of the first run of a chain.")] = None,
    equilibration: Annotated[int | None, typer.Option(help="Moves before (default: a fifth of --moves).")] = None,
    relative_error: RelativeError = None,
    max_moves: Annotated[int | None, typer.Option(help="Measured moves of one chain at most.")] = None,
    max_loading: Annotated[int | None, typer.Option(help="Insertions beyond are refused (--model).")] = None,
    bond_length: Annotated[float | None, typer.Option(help="H2 bond, Å (--model; default: the model's own).")] = None,
    min_distance: Annotated[float, typer.Option(help="Closest approach of H2 to other atoms, Å (--model).")] = 1.4,
    committee: CommitteeHow = None,
    void: Void = None,
    probe_radius: Annotated[float, typer.Option(help="Radius of the probe of --void geometric, Å.")] = 0.0,
    widom: Annotated[int, typer.Option(help="Widom insertions for the Henry constant; 0: none.")] = 20_000,
    compare: Compare = None,
    density: Annotated[bool, typer.Option(help="Also cube files and maps of the density at every point.")] = False,
    unit: Annotated[str, typer.Option(help="Loading in the figure: molecules/cell, mol/kg, wt%, cm3(STP)/g.")] = "wt%",
    weight_of: Annotated[
        str, typer.Option(help="What wt% of measured files are of: host, or both (framework and H2).")
    ] = "host",
    quantum: Quantum = "classical",
    beside: Beside = None,
    seed: Annotated[int, typer.Option(help="Same seed, same result (--model).")] = 1,
) -> int:
    """Adsorption isotherm with the committee's interval: absolute and excess, heats, Henry constants, exports.

    Exit codes: 0 done, 1 a person must decide, 2 bad input, 3 interrupted and resumable.
    """
    from alh2.cli.produce_isotherm import Asked, Comparison, Source, VoidOptions, run_command
    from alh2.core.nuclei import monte_carlo_nuclei

    source = Source(campaign, tuple(model or ()), structure, machine, output, tuple(pair_baseline or ()))
    asked = Asked(
        tuple(temperature or ()),
        tuple(pressure or ()),
        pressures,
        tuple(initial or ()),
        moves,
        equilibration,
        relative_error,
        max_moves,
        max_loading,
        bond_length,
        min_distance,
        widom,
        seed,
        committee,
        monte_carlo_nuclei(quantum, where="--quantum"),
    )
    shown = Comparison(tuple(compare or ()), unit, weight_of, density, tuple(beside or ()))
    run_command(source, asked, VoidOptions(void, probe_radius), shown)
    return 0


def _one_of(option: str, value: str, *known: str) -> None:
    """Raise BadInputError for a value that is not among `known`."""
    from alh2.core.errors import BadInputError

    if value not in known:
        raise BadInputError(option, expected=f"{', '.join(known[:-1])} or {known[-1]}", found=value)


def _forces(wanted: str | None) -> Target | None:
    """Models that move molecules, as asked for; raises BadInputError."""
    if wanted is not None:
        _one_of("--forces", wanted, "interaction", "total")
    return cast("Target | None", wanted)


def _beads(quantum: str, beads: int) -> int:
    """Beads of path-integral MD, 1 for classical nuclei; raises BadInputError."""
    from alh2.core.errors import BadInputError

    _one_of("--quantum", quantum, "classical", "pimd")
    if quantum == "pimd" and beads < 2:
        raise BadInputError("--beads", expected="a whole number >= 2", found=f"{beads}")
    return beads if quantum == "pimd" else 1


@produce_app.command("md")
def md(
    campaign: Campaign = None,
    model: Annotated[list[Path] | None, typer.Option(help="Without a campaign: model; repeated: a committee.")] = None,
    structure: Structure = None,
    machine: Machine = None,
    output: Output = None,
    loading: Annotated[int | None, typer.Option(help="H2 in the cell (default: that of the campaign; else 0).")] = None,
    temperature: Temperatures = None,
    replicas: Annotated[int, typer.Option(help="Runs at each temperature, with velocities of their own.")] = 2,
    steps: Annotated[int, typer.Option(help="Steps that are analysed.")] = 20_000,
    equilibration: Annotated[int, typer.Option(help="NVT steps before.")] = 2_000,
    segment: Annotated[int, typer.Option(help="Steps of one task, which the next one goes on from.")] = 10_000,
    dt_fs: Annotated[float, typer.Option(help="Time step, fs.")] = 0.5,
    sample_every: Annotated[int, typer.Option(help="Steps between frames and between committee deviations.")] = 20,
    ensemble: Annotated[str, typer.Option(help="After the equilibration: nvt, or nve for diffusion.")] = "nvt",
    frozen_host: Annotated[bool, typer.Option("--frozen-host", help="Only the molecules move.")] = False,
    forces: Forces = None,
    trusted: Trusted = None,
    on_untrusted: Annotated[str, typer.Option(help="What then: flag, cut or stop.")] = "flag",
    committee: Turns = "run",
    probe: Annotated[bool, typer.Option(help="Measure first which MPI ranks and threads are the fastest.")] = True,
    density: Annotated[bool, typer.Option(help="Also cube files and maps of the density.")] = False,
    quantum: Annotated[str, typer.Option(help="Nuclei: classical, or pimd (docs/theory.md).")] = "classical",
    beads: Annotated[int, typer.Option(help="Beads of --quantum pimd, each one process.")] = 16,
    launcher: Annotated[str, typer.Option(help="Starts the beads, {beads} of them.")] = "mpirun -np {beads}",
    beside: Beside = None,
    seed: Annotated[int, typer.Option(help="Same seed, same velocities (--model).")] = 1,
) -> int:
    """Molecular dynamics: structure around open sites, residence, diffusion; the committee watched all along.

    Exit codes: 0 done, 1 a person must decide, 2 bad input, 3 interrupted and resumable.
    """
    from alh2.cli.produce_md import Drawn, MdSource, run_command, temperatures_k
    from alh2.production.md_plan import MdPlan, Policy

    _one_of("--ensemble", ensemble, "nvt", "nve")
    _one_of("--on-untrusted", on_untrusted, "flag", "cut", "stop")
    _one_of("--committee", committee, "run", "none")
    source = MdSource(campaign, tuple(model or ()), structure, machine, output, loading, seed, _forces(forces))
    plan = MdPlan(
        temperatures_k=temperatures_k(source, temperature or ()),
        n_replicas=replicas,
        n_steps=steps,
        n_equilibration=equilibration,
        segment_steps=segment,
        dt_ps=1e-3 * dt_fs,
        sample_every=sample_every,
        ensemble="nve" if ensemble == "nve" else "nvt",
        frozen_host=frozen_host,
        trusted_ev_ang=trusted,
        on_untrusted=cast("Policy", on_untrusted),
        committee=committee == "run",
        probe=probe,
        n_beads=_beads(quantum, beads),
        launcher=launcher,
    )
    return run_command(source, plan, Drawn(density, tuple(beside or ())))

"""``alh2 gcmc``: how much H2 a structure holds at one temperature and pressure, by one model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

Models = Annotated[list[Path], typer.Option(help="DeePMD model; repeated for a committee, whose first is used.")]
Structure = Annotated[Path, typer.Option(help="Structure (any format ASE reads); H2 in it are kept as guests.")]
Initial = Annotated[
    list[int] | None,
    typer.Option(help="H2 placed at random at the start, besides those in the file; repeated: a replica for each."),
]
MinDistance = Annotated[
    float, typer.Option(help="Closest approach of H2 to other atoms, Å: models know nothing below (0: off).")
]
PairFile = Annotated[
    Path | None,
    typer.Option(help="Pair baseline the model was trained on top of (default: pair_baseline.json in its folder)."),
]
Dataset = Annotated[
    Path | None,
    typer.Option(help="Dataset of the model (`alh2 ingest`): refuse to run where it leaves insertions undetermined."),
]
Quantum = Annotated[str, typer.Option(help="Nuclei: classical, or feynman-hibbs (docs/theory.md).")]
Output = Annotated[
    Path | None, typer.Option(help="Folder for result.json and frames; a stopped run goes on from it when repeated.")
]
MaxWall = Annotated[
    float | None, typer.Option(help="Stop before so many seconds, with exit code 3; the same command goes on.")
]
RestartEvery = Annotated[int, typer.Option(help="Moves between points from which a stopped run can go on.")]
Trajectory = Annotated[
    str | None, typer.Option(help="Format of a trajectory in the output folder: extxyz or lammpstrj (LAMMPS dump).")
]
Flexible = Annotated[bool, typer.Option(help="The framework moves: molecular dynamics between blocks of moves.")]
Biased = Annotated[
    bool,
    typer.Option(help="New molecules are drawn where the empty framework binds them; the acceptance undoes the bias."),
]
Reinsertion = Annotated[
    float, typer.Option(help="Weight of moves that place a molecule anew, beside 30, 30, 20, 20 of the others.")
]


def register(app: typer.Typer) -> None:
    """Add ``gcmc`` to `app`."""
    app.command("gcmc", help="Grand-canonical Monte Carlo of rigid H2 in a structure.")(gcmc)


def gcmc(
    model: Models,
    structure: Structure,
    temperature: Annotated[float, typer.Option(help="Temperature, K.")],
    moves: Annotated[int, typer.Option(help="Measured moves.")],
    pressure: Annotated[float | None, typer.Option(help="Pressure of normal H2 outside, bar.")] = None,
    fugacity: Annotated[float | None, typer.Option(help="Fugacity, bar, instead of the pressure.")] = None,
    initial: Initial = None,
    seed: Annotated[int, typer.Option(help="Same seed, same result.")] = 1,
    equilibration: Annotated[int | None, typer.Option(help="Moves before (default: a fifth of --moves).")] = None,
    sample_every: Annotated[int, typer.Option(help="Moves between samples.")] = 10,
    max_molecules: Annotated[int | None, typer.Option(help="Insertions beyond are rejected.")] = None,
    bond_length: Annotated[float | None, typer.Option(help="H2 bond, Å (default: the model's own minimum).")] = None,
    min_distance: MinDistance = 1.4,
    biased: Biased = False,
    reinsertion: Reinsertion = 0.0,
    quantum: Quantum = "classical",
    pair_baseline: PairFile = None,
    dataset: Dataset = None,
    output: Output = None,
    max_wall_s: MaxWall = None,
    restart_every: RestartEvery = 1000,
    trajectory: Trajectory = None,
    trajectory_every: Annotated[int, typer.Option(help="Moves between frames of the trajectory.")] = 1000,
    flexible: Flexible = False,
    moves_per_block: Annotated[int, typer.Option(help="Moves between segments of dynamics (--flexible).")] = 1000,
    md_steps: Annotated[int, typer.Option(help="Steps of one segment (--flexible).")] = 200,
    dt_fs: Annotated[float, typer.Option(help="Time step, fs (--flexible).")] = 0.5,
) -> None:
    """Print <N> with its standard error and the acceptance of each move.

    Exit codes: 0 done, 1 the model's energies cannot be trusted, 2 bad input, 3 stopped and resumable.
    """
    started = time.monotonic()
    from alh2.cli.gcmc_run import FlexibleOptions, Inputs, Lengths, Moves, OutputOptions, run_command
    from alh2.core.nuclei import monte_carlo_nuclei

    inputs = Inputs(model, structure, pair_baseline, dataset, bond_length, min_distance)
    lengths = Lengths(temperature, pressure, fugacity, moves, equilibration, sample_every, max_molecules, seed)
    deadline = None if max_wall_s is None else started + max_wall_s
    outputs = OutputOptions(output, max_wall_s, deadline, restart_every, trajectory, trajectory_every)
    dynamics = FlexibleOptions(moves_per_block, md_steps, dt_fs) if flexible else None
    chosen = Moves(tuple(initial or [0]), biased, reinsertion, dynamics, monte_carlo_nuclei(quantum, where="--quantum"))
    run_command(inputs, lengths, outputs, chosen)

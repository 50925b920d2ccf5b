"""``alh2 publish``: models, data, inputs and results of a campaign as a folder to give away."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the subcommand to `app`."""
    app.command("publish", help="Write a folder to publish: models, data, inputs, results, checksums, citations.")(
        publish_command
    )


def publish_command(
    campaign: Annotated[Path, typer.Argument(help="Campaign directory.")] = Path("."),
    *,
    output: Annotated[Path, typer.Option(help="New folder; one that holds the same bundle is left as it is.")],
) -> int:
    """Exit codes: 0 done, 2 where there is nothing to publish or the folder holds something else."""
    from alh2.cli.run import quiet_libraries

    quiet_libraries()
    from alh2.publish.bundle import publish

    done = publish(campaign, output)
    if not done.is_new:
        typer.echo(f"the same bundle is there already: {output}")
        return 0
    size = f"{done.n_files} files, {done.size_bytes / 1e6:.1f} MB"
    typer.echo(f"{done.n_models} models and {done.n_frames} labelled frames in {size}: {output}")
    typer.echo(f"results: {', '.join(done.results) or 'none'}")
    typer.echo(f"check it with: sha256sum -c SHA256SUMS, python load_ase.py and lmp -in in.lammps in {output}/examples")
    return 0

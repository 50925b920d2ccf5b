"""``alh2 structure``: the crystal or its node, with or without H2, to a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ase import Atoms

structure_app = typer.Typer(
    help="Build Al-soc-MOF or its Al3O node, load H2, write CIF, POSCAR, extxyz or LAMMPS data.",
    no_args_is_help=True,
)

Output = Annotated[
    Path, typer.Argument(help="File to write; .cif, .vasp or POSCAR, .xyz or .extxyz, .data or .lmp name the format.")
]
Lattice = Annotated[float, typer.Option("--lattice", help="Cubic lattice parameter of the crystal, Å.")]
Loading = Annotated[int, typer.Option("--h2", min=0, help="Number of H2 molecules.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the random placement; same seed, same file.")]
OpenSites = Annotated[bool, typer.Option("--prefer-open-sites", help="Put the first H2 on the open Al sites.")]
MinDistance = Annotated[float, typer.Option("--min-distance", help="Smallest distance of H2 to other atoms, Å.")]
Format = Annotated[str | None, typer.Option("--format", help="cif, poscar, extxyz or lammps-data.")]
TypeMap = Annotated[str, typer.Option("--type-map", help="Order of elements in POSCAR and LAMMPS data.")]


@structure_app.command("crystal")
def crystal(
    output: Output,
    lattice: Lattice = 21.67,
    h2: Loading = 0,
    seed: Seed = 0,
    prefer_open_sites: OpenSites = False,
    oh_ordering: Annotated[
        str, typer.Option("--oh-ordering", help="P-42c, P-42c:x, P-42c:y, or random (drawn with --seed).")
    ] = "P-42c",
    hydroxide: Annotated[bool, typer.Option(help="One OH per Al3O trimer; without it the framework is bare.")] = True,
    min_distance: MinDistance = 2.2,
    format: Format = None,
    type_map: TypeMap = "Al,O,C,N,H",
) -> None:
    """The full crystal, C192 H80 Al24 N24 O112 (432 atoms)."""
    from alh2.core.random_streams import stream
    from alh2.structure.crystal import build_al_soc_mof
    from alh2.structure.symmetry import space_group

    host = build_al_soc_mof(
        lattice_ang=lattice,
        hydroxide=hydroxide,
        oh_ordering=oh_ordering,
        rng=stream(seed, "structure", "oh"),
    )
    loaded = _load(host, h2, seed=seed, prefer_open_sites=prefer_open_sites, min_distance=min_distance)
    _write(loaded, output, format, type_map)
    framework = space_group(build_al_soc_mof(lattice_ang=lattice, hydroxide=False))
    ordered = space_group(host)
    _describe(host, loaded, h2, output)
    print(f"  framework: {_symmetry(framework)}; as written without H2: {_symmetry(ordered)}")


@structure_app.command("node")
def node(
    output: Output,
    lattice: Lattice = 21.67,
    h2: Loading = 0,
    seed: Seed = 0,
    prefer_open_sites: OpenSites = False,
    box: Annotated[float, typer.Option("--box", help="Edge of the cubic box, Å.")] = 16.0,
    min_distance: MinDistance = 2.2,
    format: Format = None,
    type_map: TypeMap = "Al,O,C,N,H",
) -> None:
    """The formate-capped Al3O node, C6H7Al3O14 (30 atoms), carved from the crystal."""
    from alh2.structure.cluster import carve_node

    host = carve_node(lattice_ang=lattice, box_ang=box)
    loaded = _load(host, h2, seed=seed, prefer_open_sites=prefer_open_sites, min_distance=min_distance)
    _write(loaded, output, format, type_map)
    _describe(host, loaded, h2, output)


def register(app: typer.Typer) -> None:
    """Add ``structure`` to the root command."""
    app.add_typer(structure_app, name="structure")


def _load(host: Atoms, n: int, *, seed: int, prefer_open_sites: bool, min_distance: float) -> Atoms:
    from alh2.core.random_streams import stream
    from alh2.structure.loading import load_h2

    return load_h2(
        host,
        n,
        rng=stream(seed, "structure", "h2"),
        min_distance_ang=min_distance,
        prefer_open_sites=prefer_open_sites,
    )


def _write(atoms: Atoms, output: Path, format: str | None, type_map: str) -> None:
    from alh2.core.errors import BadInputError
    from alh2.structure.io import write_structure

    elements = tuple(symbol.strip() for symbol in type_map.split(",") if symbol.strip())
    try:
        write_structure(atoms, output, format=format, type_map=elements)
    except OSError as error:
        raise BadInputError(
            str(output), expected="a place to write a file", found=str(error.strerror), action="choose another path"
        ) from None


def _describe(host: Atoms, loaded: Atoms, n_h2: int, output: Path) -> None:
    from alh2.structure.loading import h2_weight_percent
    from alh2.structure.sites import open_metal_sites
    from alh2.structure.topology import shortest_contact_ang

    a, b, c = loaded.cell.lengths()
    print(f"{output}: {host.get_chemical_formula(mode='hill')}" + (f" + {n_h2} H2" if n_h2 else ""))
    print(f"  atoms: {len(loaded)} ({len(host)} host); cell {a:.3f} x {b:.3f} x {c:.3f} Å")
    print(f"  open Al sites: {len(open_metal_sites(loaded))}; shortest contact {shortest_contact_ang(loaded):.2f} Å")
    print(f"  H2: {n_h2} molecules, {h2_weight_percent(host, n_h2):.2f} wt%")


def _symmetry(group: object) -> str:
    from alh2.structure.symmetry import SpaceGroup

    return f"{group.symbol} ({group.number})" if isinstance(group, SpaceGroup) else "no symmetry found"

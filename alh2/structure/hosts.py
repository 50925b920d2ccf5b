"""The bare host a campaign works on, from its configuration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io.formats import UnknownFileTypeError

from alh2.config.model import HostConfig
from alh2.core.errors import BadInputError
from alh2.structure.cluster import carve_node
from alh2.structure.crystal import build_al_soc_mof
from alh2.structure.topology import h2_molecules

# What ASE's readers raise on files that are not what their names say.
_READER_FAILURES = (
    UnknownFileTypeError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    StopIteration,
    TypeError,
    ValueError,
)


def build_host(config: HostConfig) -> Atoms:
    """Bare host of `config`: read from its file (last frame), or built.

    Raises BadInputError where the file cannot be read, has no three-dimensional cell or holds H2 molecules, and for
    parameters the builders refuse.
    """
    if config.file is not None:
        return read_host(config.file)
    if config.build == "node":
        return carve_node(lattice_ang=config.lattice_ang, box_ang=config.box_ang)
    if config.build == "al-soc-mof":
        return build_al_soc_mof(lattice_ang=config.lattice_ang)
    raise BadInputError("alh2.host", expected='a file, or build "node" or "al-soc-mof"', found=repr(config.build))


def read_host(path: Path) -> Atoms:
    """Bare periodic host from any structure file ASE reads (last frame); raises BadInputError as `build_host`."""
    from ase.io import read

    if not path.is_file():
        raise BadInputError(str(path), expected="a structure file", found="no such file", action="check the path")
    try:
        host = read(path, index=-1)
    except _READER_FAILURES as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise BadInputError(
            str(path), expected="a structure file ASE can read", found=reason[0], action="convert it to CIF or POSCAR"
        ) from None
    assert isinstance(host, Atoms)
    if host.cell.rank < 3:
        raise BadInputError(str(path), expected="a cell with three vectors", found=f"{host.cell.rank}")
    if not np.isfinite(host.positions).all():
        raise BadInputError(str(path), expected="finite positions", found="NaN or infinity")
    host.pbc = True
    host.calc = None
    guests = len(h2_molecules(host))
    if guests:
        raise BadInputError(
            str(path), expected="a bare host", found=f"{guests} free H2 molecules", action="remove the guests"
        )
    return host

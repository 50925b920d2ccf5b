"""Labels by the analytic reference potential."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alh2.core.errors import BadInputError
from alh2.core.frames import Frame
from alh2.label.files import EnergyForces, LabelError, WorkerLabeler, frame_from_json, frame_to_json
from alh2.label.params import integer, number, reject_unknown
from alh2.label.reference_network import HostNetwork, build_network
from alh2.label.reference_pes import ReferenceParameters, reference_energy_forces

KEYS = ("host_file", "overrides", "threads")
NAME = "reference-pes"


def make(params: Mapping[str, Any], *, type_map: tuple[str, ...], where: str) -> WorkerLabeler:
    """Labeler "reference".

    params : host_file (structure file of the bare host in its reference geometry; leave it out for gas only),
    overrides (numbers that replace fields of `ReferenceParameters`), threads

    Raises BadInputError for unknown keys, an unreadable host file or elements without parameters.
    """
    reject_unknown(params, KEYS, where)
    overrides = params.get("overrides", {})
    parameters = _parameters(overrides, where=f"{where}.overrides")
    host = _read_host(params["host_file"], where=f"{where}.host_file") if "host_file" in params else None
    known = {"Al", "H", *(entry.element for entry in parameters.host_lj)}
    for symbol in sorted(set(type_map) - known):
        raise BadInputError("type_map", expected=f"elements {', '.join(sorted(known))}", found=f'"{symbol}"')
    threads = integer(params, "threads", 1, where=where, low=1)
    return for_host(host, overrides=overrides, threads=threads)


def for_host(host: Frame | None, *, overrides: Mapping[str, float] | None = None, threads: int = 1) -> WorkerLabeler:
    """Labeler for the host `host` (None: gas only), whose geometry is the network's reference.

    The host geometry travels inside each task, so that tasks run where the host file is not.
    """
    params: dict[str, Any] = {"overrides": dict(overrides or {}), "threads": threads}
    if host is not None:
        params["host"] = frame_to_json(host.bare_host())
    return WorkerLabeler(NAME, "reference", params)


def compute(frame: Frame, params: Mapping[str, Any]) -> EnergyForces:
    """Energy and forces of `frame`; raises LabelError where it has another host."""
    network = _network(json.dumps(params["host"])) if "host" in params else None
    try:
        parameters = _parameters(params.get("overrides", {}), where="overrides")
        return EnergyForces(*reference_energy_forces(frame, parameters, network))
    except BadInputError as error:
        raise LabelError(str(error)) from None


@functools.lru_cache(maxsize=4)
def _network(host_json: str) -> HostNetwork:
    """Network of the host written as JSON; kept, because many frames share one host."""
    return build_network(frame_from_json(json.loads(host_json)))


def _parameters(overrides: Mapping[str, Any], *, where: str) -> ReferenceParameters:
    """Default parameters with numbers replaced; raises BadInputError."""
    if not isinstance(overrides, Mapping):
        raise BadInputError(where, expected="an object of numbers", found=repr(overrides))
    defaults = ReferenceParameters()
    names = [f.name for f in dataclasses.fields(defaults) if isinstance(getattr(defaults, f.name), float)]
    reject_unknown(overrides, names, where)
    values: dict[str, Any] = {key: number(overrides, key, 0.0, where=where, low=0.0) for key in overrides}
    parameters = dataclasses.replace(defaults, **values)
    if not 0.0 < parameters.switch_ang < parameters.cutoff_ang:
        raise BadInputError(
            where,
            expected="0 < switch_ang < cutoff_ang",
            found=f"{parameters.switch_ang:g} and {parameters.cutoff_ang:g}",
        )
    return parameters


def _read_host(path: Any, *, where: str) -> Frame:
    """Bare host from any structure file ASE reads; raises BadInputError."""
    from ase.io import read
    from ase.io.formats import UnknownFileTypeError

    from alh2.core.atoms import from_atoms
    from alh2.core.frames import Provenance

    try:
        atoms: Any = read(Path(path))
    except (OSError, ValueError, KeyError, IndexError, TypeError, UnknownFileTypeError) as error:
        raise BadInputError(where, expected="a structure file", found=f"{path!r} ({error})") from None
    return from_atoms(atoms, n_host=len(atoms), host_id="host", provenance=Provenance("file", detail=str(path)))

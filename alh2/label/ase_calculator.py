"""Labels by any ASE calculator, named by import path and arguments:

``{"calculator": "ase.calculators.lj.LennardJones", "arguments": {"sigma": 2.9}}``
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms

from alh2.core.errors import BadInputError
from alh2.core.frames import Frame
from alh2.label.files import EnergyForces, LabelError, WorkerLabeler
from alh2.label.params import integer, reject_unknown

KEYS = ("calculator", "arguments", "name", "threads")


def make(params: Mapping[str, Any], *, type_map: tuple[str, ...], where: str) -> WorkerLabeler:
    """Labeler "ase".

    params : calculator (import path of the class), arguments (its keyword arguments), name (recorded with each
    label; default: class name and arguments), threads (default 1)

    Raises BadInputError where the path cannot be imported or the class does not take the arguments.
    """
    reject_unknown(params, KEYS, where)
    arguments = params.get("arguments", {})
    if not isinstance(arguments, Mapping):
        raise BadInputError(f"{where}.arguments", expected="an object of keyword arguments", found=repr(arguments))
    path = params.get("calculator")
    if not isinstance(path, str):
        raise BadInputError(
            f"{where}.calculator",
            expected='an import path such as "ase.calculators.lj.LennardJones"',
            found=repr(path) if "calculator" in params else "nothing",
        )
    build_calculator(path, arguments, where=where)
    checked = {
        "calculator": path,
        "arguments": dict(arguments),
        "threads": integer(params, "threads", 1, where=where, low=1),
    }
    words = ",".join(f"{key}={arguments[key]}" for key in sorted(arguments))
    name = params.get("name") or f"{path.rpartition('.')[2]}({words})/ase"
    return WorkerLabeler(str(name), "ase", checked)


def build_calculator(path: str, arguments: Mapping[str, Any], *, where: str) -> Any:
    """Calculator instance; raises BadInputError where import path or arguments do not fit."""
    module_name, _, class_name = path.rpartition(".")
    try:
        factory = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadInputError(
            f"{where}.calculator",
            expected="the import path of an ASE calculator class",
            found=f'"{path}" ({error})',
            action="check the spelling and that the package is installed where labels are computed",
        ) from None
    if not callable(factory):
        raise BadInputError(f"{where}.calculator", expected="an ASE calculator class", found=f'"{path}"')
    try:
        calculator = factory(**arguments)
    except (TypeError, ValueError, KeyError, RuntimeError, OSError) as error:
        raise BadInputError(
            f"{where}.arguments",
            expected=f"arguments that {class_name} takes",
            found=f"{dict(arguments)} ({type(error).__name__}: {error})",
        ) from None
    if isinstance(calculator, Atoms) or not hasattr(calculator, "get_potential_energy"):
        raise BadInputError(
            f"{where}.calculator", expected="an ASE calculator class", found=f'"{path}", which is not one'
        )
    return calculator


def compute(frame: Frame, params: Mapping[str, Any]) -> EnergyForces:
    """Energy and forces of `frame`; raises LabelError with the calculator's own message where it fails."""
    from ase.calculators.calculator import CalculatorError

    from alh2.core.atoms import to_atoms

    atoms = to_atoms(frame)
    try:
        atoms.calc = build_calculator(params["calculator"], params.get("arguments", {}), where="fp_params")
        energy = float(atoms.get_potential_energy())
        forces = np.array(atoms.get_forces(), dtype=np.float64)
    except (CalculatorError, BadInputError, RuntimeError, ValueError, NotImplementedError, OSError) as error:
        raise LabelError(f"{type(error).__name__}: {error}") from None
    return EnergyForces(energy, forces)
